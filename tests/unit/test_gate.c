/* The sockets of the process from below: what a peer may send before it has said anything, and how
 * many peers there may be. The test's own sockets stand for the library's. */
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "collector/ingest/gate.h"
#include "tests/unit/counter.h"

#define MAX 3

struct fixture {
	struct metrics *metrics;
	int listener, client, server;
	char peer[64]; /* the client's name, as gRPC writes it */
};

static int dial(struct fixture *f)
{
	struct sockaddr_in to = {0};
	socklen_t len = sizeof(to);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(getsockname(f->listener, (struct sockaddr *)&to, &len), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&to, &len), 0);
	(void)snprintf(f->peer, sizeof(f->peer), "ipv4:127.0.0.1:%u", ntohs(to.sin_port));
	return fd;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct err e = {0};

	assert_non_null(f);
	f->metrics = metrics_new();
	assert_int_equal(gate_open(MAX, f->metrics, &e), 0);
	f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(f->listener, (struct sockaddr *)&any, sizeof(any)), 0);
	assert_int_equal(listen(f->listener, 16), 0);
	f->client = dial(f);
	f->server = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(f->server >= 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	(void)close(f->client);
	(void)close(f->server);
	(void)close(f->listener);
	gate_close();
	metrics_free(f->metrics);
	free(f);
	return 0;
}

/* Bytes that the server could read of those that the client sent in pieces; -errno at a failure. */
static long pump(struct fixture *f, long bytes)
{
	static char piece[16384];
	long total = 0;

	while (total < bytes) {
		struct iovec to = {.iov_base = piece, .iov_len = sizeof(piece)};
		struct msghdr message = {.msg_iov = &to, .msg_iovlen = 1};
		ssize_t n;

		if (send(f->client, piece, sizeof(piece), MSG_NOSIGNAL) < 0)
			return -errno;
		n = recvmsg(f->server, &message, MSG_WAITALL);
		if (n < 0)
			return -errno;
		total += n;
	}
	return total;
}

static void who_says_nothing_is_cut_once_its_credit_is_spent(void **state)
{
	struct fixture *f = *state;
	char byte;

	assert_int_equal(pump(f, GATE_CREDIT_NEW), GATE_CREDIT_NEW);
	assert_int_equal(pump(f, 1), -ECONNRESET);
	assert_int_equal(counter_value(f->metrics, "nightjar_connections_cut_total"), 1);
	assert_true(recv(f->client, &byte, 1, 0) <= 0); /* the other side sees it */
}

static void a_message_that_was_handled_renews_the_credit(void **state)
{
	struct fixture *f = *state;
	struct gate_ticket ticket = gate_find(f->peer);

	assert_int_equal(ticket.fd, f->server);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pump(f, GATE_CREDIT_NEW), GATE_CREDIT_NEW);
		gate_renew(ticket, GATE_CREDIT_OTHER);
	}
	gate_lower(ticket);
	assert_int_equal(pump(f, GATE_CREDIT_NEW), GATE_CREDIT_NEW);
	assert_int_equal(pump(f, 1), -ECONNRESET);
}

static void an_agents_first_message_may_be_large_and_once_only(void **state)
{
	struct fixture *f = *state;
	struct gate_ticket ticket = gate_find(f->peer);

	gate_raise(ticket);
	assert_true(pump(f, GATE_CREDIT_AGENT / 2) > 0);
	gate_raise(ticket); /* a second call without a message changes nothing */
	assert_int_equal(pump(f, GATE_CREDIT_AGENT), -ECONNRESET);
}

static void messages_of_ours_pay_for_their_window_updates(void **state)
{
	struct fixture *f = *state;
	struct gate_ticket ticket = gate_find(f->peer);

	assert_int_equal(pump(f, GATE_CREDIT_NEW), GATE_CREDIT_NEW);
	for (long paid = 0; paid < 16384; paid += GATE_PER_SENT)
		gate_sent(ticket);
	assert_int_equal(pump(f, 16384), 16384);
	assert_int_equal(pump(f, 1), -ECONNRESET);
}

static void one_more_than_may_be_is_closed_at_once_until_another_goes(void **state)
{
	struct fixture *f = *state;
	int clients[MAX], servers[MAX];
	char byte;

	for (int i = 1; i < MAX; i++) {
		clients[i] = dial(f);
		servers[i] = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		assert_true(servers[i] >= 0);
	}
	assert_true(listen(f->listener, 16) == 0);
	assert_int_equal(fcntl(f->listener, F_SETFL, O_NONBLOCK), 0);
	clients[0] = dial(f);
	assert_int_equal(accept4(f->listener, NULL, NULL, SOCK_CLOEXEC), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(recv(clients[0], &byte, 1, 0), 0);
	assert_int_equal(counter_value(f->metrics, "nightjar_connections_refused_total"), 1);
	(void)close(servers[1]);
	(void)close(clients[0]);
	clients[0] = dial(f);
	servers[0] = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(servers[0] >= 0);
	(void)close(servers[0]);
	(void)close(servers[2]);
	for (int i = 0; i < MAX; i++)
		(void)close(clients[i]);
}

static void a_ticket_of_a_connection_that_is_gone_is_worth_nothing(void **state)
{
	struct fixture *f = *state;
	struct gate_ticket old = gate_find(f->peer);
	int server = f->server;

	(void)close(f->client);
	(void)close(f->server);
	f->client = dial(f);
	f->server = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_int_equal(f->server, server); /* the same number, another connection */
	gate_renew(old, GATE_CREDIT_AGENT);
	assert_int_equal(pump(f, GATE_CREDIT_NEW), GATE_CREDIT_NEW);
	assert_int_equal(pump(f, 1), -ECONNRESET);
	assert_int_equal(gate_find("ipv4:192.0.2.1:1").fd, -1);
	assert_int_equal(gate_find(NULL).fd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(who_says_nothing_is_cut_once_its_credit_is_spent),
		T(a_message_that_was_handled_renews_the_credit),
		T(an_agents_first_message_may_be_large_and_once_only),
		T(messages_of_ours_pay_for_their_window_updates),
		T(one_more_than_may_be_is_closed_at_once_until_another_goes),
		T(a_ticket_of_a_connection_that_is_gone_is_worth_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
