/* The listener on a real port: what it says when it cannot have one, and that it starts and stops
 * cleanly. Calls over TLS are in test_listen_calls.c. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "collector/ingest/listen.h"
#include "common/clock.h"

struct fixture {
	char dir[64];
	struct metrics *metrics;
	struct tls_files files;
};

static int setup(void **state)
{
	static const char *const hosts[] = {"localhost", "127.0.0.1", NULL};
	struct tls_request request = {
		.name = "server",
		.identity = {.role = TLS_ROLE_COLLECTOR, .cluster = "c", .namespace = "n"},
		.hosts = hosts,
		.not_before_s = -60,
		.not_after_s = 3600,
	};
	struct fixture *f = calloc(1, sizeof(*f));
	char ca[128], cert[128], key[128];
	struct err e = {0};

	assert_non_null(f);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/nj-listen-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(ca, sizeof(ca), "%s/ca.pem", f->dir);
	(void)snprintf(cert, sizeof(cert), "%s/server.pem", f->dir);
	(void)snprintf(key, sizeof(key), "%s/server-key.pem", f->dir);
	assert_int_equal(tls_make_ca(f->dir, "c", 1, &e), 0);
	assert_int_equal(tls_make_cert(f->dir, &request, &e), 0);
	assert_int_equal(tls_load(ca, cert, key, clock_wall_ns(), &f->files, &e), 0);
	f->metrics = metrics_new();
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
	assert_int_equal(system(command), 0);
	tls_files_done(&f->files);
	metrics_free(f->metrics);
	free(f);
	return 0;
}

static int start(struct fixture *f, const char *address, struct listen **ret_listen, struct err *e)
{
	static const struct listen_method *const none[] = {NULL};
	struct listen_config config = {.address = address,
				       .files = &f->files,
				       .threads = 2,
				       .methods = none,
				       .metrics = f->metrics};

	return listen_new(&config, ret_listen, e);
}

static void a_busy_port_is_one_sentence_that_says_what_to_do(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct listen *first = NULL, *second = NULL;
	char address[64];
	struct err e = {0};

	assert_int_equal(start(f, "127.0.0.1:0", &first, &e), 0);
	(void)snprintf(address, sizeof(address), "127.0.0.1:%u", listen_port(first));
	assert_int_equal(start(f, address, &second, &e), -EADDRINUSE);
	assert_null(second);
	assert_non_null(strstr(e.text, address));
	assert_non_null(strstr(e.text, "another program has the port"));
	listen_stop(first, 1000);
	listen_free(first);
}

static void an_address_without_a_port_is_refused(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct listen *l = NULL;
	struct err e = {0};

	assert_int_equal(start(f, "no such host at all:x", &l, &e), -EINVAL);
	assert_null(l);
	assert_non_null(strstr(e.text, "no such host at all"));
}

static void an_address_of_another_machine_is_refused(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct listen *l = NULL;
	struct err e = {0};

	assert_true(start(f, "192.0.2.1:4317", &l, &e) < 0);
	assert_non_null(strstr(e.text, "192.0.2.1:4317"));
}

static void it_starts_on_any_port_reloads_and_stops(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct listen *l = NULL;
	struct err e = {0};

	assert_int_equal(start(f, "127.0.0.1:0", &l, &e), 0);
	assert_true(listen_port(l) > 0);
	assert_int_equal(listen_reload(l, &f->files, &e), 0);
	listen_stop(l, 1000);
	listen_stop(l, 1000);
	listen_free(l);
	listen_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_busy_port_is_one_sentence_that_says_what_to_do, setup,
						teardown),
		cmocka_unit_test_setup_teardown(an_address_without_a_port_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(an_address_of_another_machine_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(it_starts_on_any_port_reloads_and_stops, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
