/* Reads one figure from a page of metrics. Some hundred lines, fetched whole each time. */
#include "tests/e2e/harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"

static int http_get(const char *host, uint16_t port, const char *path, struct buf *out)
{
	_cleanup_(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	char request[256];
	ssize_t n;

	if (fd < 0 || inet_pton(AF_INET, host, &to.sin_addr) != 1)
		return -EINVAL;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return -errno;
	snprintf(request, sizeof(request), "GET %s HTTP/1.0\r\nHost: nightjar\r\n\r\n", path);
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		return -errno;
	do {
		uint8_t *room = buf_extend(out, 16384);

		if (!room)
			return buf_error(out);
		n = read(fd, room, 16384);
		buf_truncate(out, out->len - 16384 + (size_t)(n > 0 ? n : 0));
	} while (n > 0);
	return n < 0 ? -errno : 0;
}

int harness_metric(const char *host, uint16_t port, const char *name, uint64_t *ret_value)
{
	_cleanup_buf_ struct buf page = {0};
	size_t len = strlen(name);
	uint64_t sum = 0;
	bool found = false;
	int r = http_get(host, port, "/metrics", &page);
	char *save = NULL;

	if (r < 0)
		return r;
	buf_add_byte(&page, '\0');
	for (char *line = strtok_r((char *)page.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		const char *value = strrchr(line, ' ');

		if (strncmp(line, name, len) != 0 || (line[len] != ' ' && line[len] != '{') ||
		    !value)
			continue;
		sum += strtoull(value, NULL, 10);
		found = true;
	}
	if (!found)
		return -ENOENT;
	*ret_value = sum;
	return 0;
}
