/* What --check-config and a start ask before anything is begun. */
#include "tests/unit/peer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/preflight.h"

struct fixture {
	struct peer peer;
	struct options o;
	char ca[128], cert[128], key[128], data[128], listen[32];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	peer_init(&f->peer);
	(void)snprintf(f->ca, sizeof(f->ca), "%s/ca.pem", f->peer.dir);
	(void)snprintf(f->cert, sizeof(f->cert), "%s/server.pem", f->peer.dir);
	(void)snprintf(f->key, sizeof(f->key), "%s/server-key.pem", f->peer.dir);
	(void)snprintf(f->data, sizeof(f->data), "%s/data", f->peer.dir);
	(void)snprintf(f->listen, sizeof(f->listen), "127.0.0.1:0");
	f->o.tls_ca = f->ca;
	f->o.tls_cert = f->cert;
	f->o.tls_key = f->key;
	f->o.data_dir = f->data;
	f->o.grpc_listen = f->listen;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	peer_done(&f->peer);
	free(f);
	return 0;
}

static void assert_refused(struct fixture *f, const char *key, const char *what)
{
	struct err e = {0};

	assert_true(preflight_check(&f->o, clock_wall_ns(), &e) < 0);
	if (!strstr(e.text, key) || !strstr(e.text, what))
		fail_msg("'%s' or '%s' is missing in: %s", key, what, e.text);
}

static void each_option_without_a_default_is_asked_for_by_its_key(void **state)
{
	struct fixture *f = *state;
	struct {
		char **at;
		const char *key;
	} needed[] = {{&f->o.tls_ca, "tls.ca"},
		      {&f->o.tls_cert, "tls.cert"},
		      {&f->o.tls_key, "tls.key"},
		      {&f->o.grpc_listen, "grpc.listen"},
		      {&f->o.data_dir, "data.dir"}};
	char empty[] = "";

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		char *kept = *needed[i].at;

		*needed[i].at = empty;
		assert_refused(f, needed[i].key, "is not set");
		*needed[i].at = kept;
	}
}

static void certificates_are_opened_and_dated(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};

	/* The server's ends in an hour. */
	assert_true(preflight_check(&f->o, clock_wall_ns() + 7200 * NS_PER_SEC, &e) < 0);
	assert_non_null(strstr(e.text, "expired"));
	(void)snprintf(f->cert, sizeof(f->cert), "%s/nobody.pem", f->peer.dir);
	assert_refused(f, f->cert, "nightjar certs");
}

static void a_data_directory_that_is_none_is_named(void **state)
{
	struct fixture *f = *state;

	f->o.data_dir = f->ca; /* a file */
	assert_refused(f, "data.dir", "Not a directory");
	(void)snprintf(f->data, sizeof(f->data), "%s/a/b", f->peer.dir);
	f->o.data_dir = f->data; /* nobody makes its parent */
	assert_refused(f, f->data, "No such file");
}

static void what_would_work_passes_and_nothing_is_made(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};
	struct stat st;

	assert_int_equal(preflight_check(&f->o, clock_wall_ns(), &e), 0);
	assert_int_equal(stat(f->data, &st), -1);
	assert_int_equal(mkdir(f->data, 0700), 0);
	assert_int_equal(preflight_check(&f->o, clock_wall_ns(), &e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(each_option_without_a_default_is_asked_for_by_its_key),
		T(certificates_are_opened_and_dated),
		T(a_data_directory_that_is_none_is_named),
		T(what_would_work_passes_and_nothing_is_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
