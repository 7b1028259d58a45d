/* An HTTP server on loopback for tests of clients: a thread for each connection reads a request's head
 * and hands its path to the test, which answers as it likes; the connection is closed after. */
#pragma once

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define FAKE_HTTP_THREADS 256

struct fake_http {
	int fd;
	char url[64];
	/* On a thread of the connection. head: the whole request up to and with its empty line. */
	void (*handle)(void *ctx, const char *head, int fd);
	void *ctx;
	pthread_t acceptor, threads[FAKE_HTTP_THREADS];
	int fds[FAKE_HTTP_THREADS];
	atomic_uint count;
};

struct fake_http_turn {
	struct fake_http *server;
	int fd;
};

static inline void fake_http_say(int fd, const char *text)
{
	size_t len = strlen(text);

	while (len > 0) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		text += n;
		len -= (size_t)n;
	}
}

/* A whole answer, its length left to the end of the connection. */
static inline void fake_http_answer(int fd, int status, const char *body)
{
	char head[128];

	(void)snprintf(head, sizeof(head), "HTTP/1.1 %d X\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n",
		       status);
	fake_http_say(fd, head);
	fake_http_say(fd, body);
}

static inline void *fake_http_serve(void *arg)
{
	struct fake_http_turn turn = *(struct fake_http_turn *)arg;
	char head[16384];
	size_t len = 0;

	free(arg);
	while (len < sizeof(head) - 1) {
		ssize_t n = recv(turn.fd, head + len, sizeof(head) - 1 - len, 0);

		if (n <= 0)
			break;
		len += (size_t)n;
		head[len] = '\0';
		if (!strstr(head, "\r\n\r\n"))
			continue;
		turn.server->handle(turn.server->ctx, head, turn.fd);
		break;
	}
	(void)shutdown(turn.fd, SHUT_RDWR);
	return NULL;
}

static inline void *fake_http_accept(void *arg)
{
	struct fake_http *s = (struct fake_http *)arg;
	int fd;

	while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
		struct fake_http_turn *turn = malloc(sizeof(*turn));
		unsigned int i = atomic_load(&s->count);

		if (!turn || i == FAKE_HTTP_THREADS)
			abort();
		*turn = (struct fake_http_turn){.server = s, .fd = fd};
		s->fds[i] = fd;
		if (pthread_create(&s->threads[i], NULL, fake_http_serve, turn) != 0)
			abort();
		atomic_store(&s->count, i + 1);
	}
	return NULL;
}

static inline void fake_http_start(struct fake_http *s, void (*handle)(void *ctx, const char *head, int fd), void *ctx)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);

	*s = (struct fake_http){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .handle = handle, .ctx = ctx};
	assert_int_equal(bind(s->fd, (struct sockaddr *)&at, len), 0);
	assert_int_equal(listen(s->fd, 64), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&at, &len), 0);
	(void)snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%u", ntohs(at.sin_port));
	assert_int_equal(pthread_create(&s->acceptor, NULL, fake_http_accept, s), 0);
}

static inline void fake_http_stop(struct fake_http *s)
{
	(void)shutdown(s->fd, SHUT_RDWR);
	(void)pthread_join(s->acceptor, NULL);
	for (unsigned int i = 0; i < atomic_load(&s->count); i++)
		(void)shutdown(s->fds[i], SHUT_RDWR);
	for (unsigned int i = 0; i < atomic_load(&s->count); i++) {
		(void)pthread_join(s->threads[i], NULL);
		(void)close(s->fds[i]);
	}
	(void)close(s->fd);
}
