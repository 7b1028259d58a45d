/* Splits, resolves, binds. Uses the first address that the name resolves to. */
#include "collector/address.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"

#define HOST_MAX 256
#define BACKLOG	 128

static int split(const char *address, char ret_host[HOST_MAX], const char **ret_port)
{
	const char *colon = strrchr(address, ':');
	size_t len = colon ? (size_t)(colon - address) : 0;

	if (!colon || colon[1] == '\0' || len >= HOST_MAX)
		return -EINVAL;
	if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
		address++;
		len -= 2;
	}
	memcpy(ret_host, address, len);
	ret_host[len] = '\0';
	*ret_port = colon + 1;
	return 0;
}

static int bound_port(int fd, uint16_t *ret_port)
{
	struct sockaddr_storage bound = {0};
	socklen_t len = sizeof(bound);

	if (getsockname(fd, (struct sockaddr *)&bound, &len) < 0)
		return -errno;
	*ret_port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port :
							((struct sockaddr_in *)&bound)->sin_port);
	return 0;
}

static int listen_on(const struct addrinfo *to, int *ret_fd, uint16_t *ret_port)
{
	_cleanup_(closep) int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1, r;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, to->ai_addr, to->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	r = bound_port(fd, ret_port);
	if (r < 0)
		return r;
	*ret_fd = take_fd(&fd);
	return 0;
}

int address_listen(const char *what, const char *address, int *ret_fd, uint16_t *ret_port, struct err *e)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
	char host[HOST_MAX];
	const char *port;
	int r;

	if (split(address, host, &port) < 0)
		return err_set(e, -EINVAL, "cannot listen on '%s' (%s): write it as HOST:PORT", address,
			       what);
	r = getaddrinfo(host[0] ? host : NULL, port, &hints, &found);
	if (r != 0)
		return err_set(e, -EINVAL, "cannot listen on '%s' (%s): %s", address, what,
			       gai_strerror(r));
	r = listen_on(found, ret_fd, ret_port);
	freeaddrinfo(found);
	if (r == -EADDRINUSE)
		return err_set(e, r,
			       "cannot listen on '%s' (%s): another program has the port; stop it or set "
			       "another HOST:PORT",
			       address, what);
	if (r < 0)
		return err_set(e, r, "cannot listen on '%s' (%s): %s", address, what, strerror(-r));
	return 0;
}
