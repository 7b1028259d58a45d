/* Bad input, as an operator or a broken peer gives it: each program says in one sentence which file,
 * key or port is wrong and what to do, ends with the right status or goes on working, and counts. */
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/e2e/product.h"

#define EXIT_RUN   1
#define EXIT_USAGE 2
#define NOBODY	   65534

struct fixture {
	struct site site;
	struct collected collector;
	struct product other;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->collector.product = f->other = (struct product)PRODUCT_NONE;
	site_init(&f->site);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	product_done(&f->other);
	product_done(&f->collector.product);
	site_done(&f->site);
	free(f);
	return 0;
}

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Runs to the end; it must have said every one of the words, NULL-ended. */
static void assert_ends_saying(struct product *p, int status, const char *const *words)
{
	assert_int_equal(product_wait(p, PRODUCT_STOP_MS), status);
	for (; *words; words++)
		if (product_count(p, *words) == 0)
			fail_msg("'%s' is missing in: %s", *words, buf_text(&p->text));
	product_done(p);
}

static void assert_refuses(struct fixture *f, const char *const *argv, int status, const char *const *words)
{
	product_start(&f->other, argv, NULL, NULL);
	assert_ends_saying(&f->other, status, words);
}

static void path_in(const struct fixture *f, const char *name, char ret[160])
{
	(void)snprintf(ret, 160, "%s/%s", f->site.dir, name);
}

static void write_file(const char *path, const char *text)
{
	_cleanup_(fclosep) FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
}

/* ---- configuration ---- */

static void an_unreadable_configuration_is_named(void **state)
{
	static const char *const programs[] = {"nightjar-collector", "nightjar-agent"};
	struct fixture *f = *state;
	char missing[160];

	path_in(f, "missing.yaml", missing);
	for (size_t i = 0; i < 2; i++) {
		assert_refuses(f, ARGV(programs[i], "--config", missing), EXIT_USAGE,
			       ARGV(missing, "No such file", "--config"));
		assert_refuses(f, ARGV(programs[i], "--config", f->site.dir), EXIT_USAGE,
			       ARGV(f->site.dir, "Is a directory", "--config"));
	}
}

static void an_unknown_key_is_named_with_its_place_and_its_likely_spelling(void **state)
{
	struct fixture *f = *state;
	char file[160], place[200];

	path_in(f, "bad.yaml", file);
	(void)snprintf(place, sizeof(place), "%s:2:3", file);
	write_file(file, "grpc:\n  lissten: 127.0.0.1:1\n");
	assert_refuses(f, ARGV("nightjar-collector", "--config", file), EXIT_USAGE,
		       ARGV(place, "'grpc.lissten'", "did you mean 'grpc.listen'"));
	write_file(file, "collector:\n  adress: 127.0.0.1:1\n");
	assert_refuses(f, ARGV("nightjar-agent", "--config", file), EXIT_USAGE,
		       ARGV(place, "'collector.adress'", "did you mean 'collector.address'"));
	assert_refuses(f, ARGV("nightjar-agent", "--tls-ca=x"), EXIT_USAGE, ARGV("collector.address is not set"));
}

static void a_missing_certificate_is_named_by_a_start_and_by_check_config(void **state)
{
	struct fixture *f = *state;
	char ca[192], cert[192], key[192], missing[160];

	path_in(f, "nothing.pem", missing);
	(void)snprintf(ca, sizeof(ca), "--tls-ca=%s/ca.pem", f->site.dir);
	(void)snprintf(cert, sizeof(cert), "--tls-cert=%s", missing);
	(void)snprintf(key, sizeof(key), "--tls-key=%s/collector-key.pem", f->site.dir);
	assert_refuses(f, ARGV("nightjar-collector", ca, cert, key), EXIT_USAGE,
		       ARGV(missing, "tls.cert", "nightjar certs"));
	assert_refuses(f, ARGV("nightjar-collector", ca, cert, key, "--check-config"), EXIT_USAGE,
		       ARGV(missing, "tls.cert", "nightjar certs"));
	assert_refuses(f, ARGV("nightjar-collector"), EXIT_USAGE, ARGV("tls.ca is not set", "nightjar certs"));
	site_cert(&f->site, "old", TLS_ROLE_COLLECTOR, "", -3600);
	(void)snprintf(cert, sizeof(cert), "--tls-cert=%s/old.pem", f->site.dir);
	(void)snprintf(key, sizeof(key), "--tls-key=%s/old-key.pem", f->site.dir);
	assert_refuses(f, ARGV("nightjar-collector", ca, cert, key), EXIT_USAGE, ARGV("old.pem", "expired"));
}

static const char *const nothing[] = {NULL};

static void check_config_passes_what_a_start_would_take_and_changes_nothing(void **state)
{
	struct fixture *f = *state;
	char ca[192], cert[192], key[192], data[192], made[160];
	struct stat st;

	(void)snprintf(ca, sizeof(ca), "--tls-ca=%s/ca.pem", f->site.dir);
	(void)snprintf(cert, sizeof(cert), "--tls-cert=%s/collector.pem", f->site.dir);
	(void)snprintf(key, sizeof(key), "--tls-key=%s/collector-key.pem", f->site.dir);
	(void)snprintf(data, sizeof(data), "--data-dir=%s/data", f->site.dir);
	assert_refuses(f, ARGV("nightjar-collector", ca, cert, key, data, "--check-config"), 0, nothing);
	path_in(f, "data", made);
	assert_int_equal(stat(made, &st), -1);
}

static void a_busy_port_is_named_with_its_key_and_its_owner_goes_on(void **state)
{
	struct fixture *f = *state;
	char ca[192], cert[192], key[192], data[192], grpc[96], http[96];

	collected_start(&f->collector, &f->site, NULL, NULL, NULL);
	(void)snprintf(ca, sizeof(ca), "--tls-ca=%s/ca.pem", f->site.dir);
	(void)snprintf(cert, sizeof(cert), "--tls-cert=%s/collector.pem", f->site.dir);
	(void)snprintf(key, sizeof(key), "--tls-key=%s/collector-key.pem", f->site.dir);
	(void)snprintf(data, sizeof(data), "--data-dir=%s/second", f->site.dir);
	(void)snprintf(grpc, sizeof(grpc), "--grpc-listen=%s", f->collector.grpc);
	(void)snprintf(http, sizeof(http), "--http-listen=%s", f->collector.http);
	assert_refuses(f, ARGV("nightjar-collector", ca, cert, key, data, grpc, "--http-listen=127.0.0.1:0"), EXIT_RUN,
		       ARGV(f->collector.grpc, "grpc.listen", "another program has the port", "set another"));
	assert_refuses(f, ARGV("nightjar-collector", ca, cert, key, data, http, "--grpc-listen=127.0.0.1:0"), EXIT_RUN,
		       ARGV(f->collector.http, "http.listen", "another program has the port", "set another"));
	collected_canary(&f->collector);
	collected_stop(&f->collector);
}

/* ---- what the host lacks ---- */

static bool become_nobody(void *ctx)
{
	(void)ctx;
	return setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0;
}

static bool is_root(void)
{
	if (geteuid() == 0)
		return true;
	printf("SKIP this test becomes another user, which needs root\n");
	return false;
}

static void a_data_directory_of_somebody_else_is_named(void **state)
{
	struct fixture *f = *state;
	char ca[192], cert[192], key[192], path[160], data[192];

	if (!is_root())
		skip();
	(void)snprintf(ca, sizeof(ca), "--tls-ca=%s/ca.pem", f->site.dir);
	(void)snprintf(cert, sizeof(cert), "--tls-cert=%s/collector.pem", f->site.dir);
	(void)snprintf(key, sizeof(key), "--tls-key=%s/collector-key.pem", f->site.dir);
	path_in(f, "collector-key.pem", path);
	assert_int_equal(chown(path, NOBODY, NOBODY), 0);
	assert_int_equal(chmod(f->site.dir, 0755), 0);
	path_in(f, "data", path);
	assert_int_equal(mkdir(path, 0755), 0);
	(void)snprintf(data, sizeof(data), "--data-dir=%s", path);
	product_start(&f->other, ARGV("nightjar-collector", ca, cert, key, data, "--grpc-listen=127.0.0.1:0"),
		      become_nobody, NULL);
	assert_ends_saying(&f->other, EXIT_USAGE, ARGV(path, "data.dir", "Permission denied", "set another"));
}

static void an_agent_that_is_not_root_says_what_it_needs(void **state)
{
	struct fixture *f = *state;

	if (!is_root())
		skip();
	product_start(&f->other, ARGV("nightjar-agent", "--print-events"), become_nobody, NULL);
	assert_ends_saying(&f->other, EXIT_RUN, ARGV("run as root", "CAP_BPF"));
}

/* In a mount namespace of the child: everything below where is empty, with room for ctx's bytes. */
struct empty {
	const char *where;
	const char *options;
};

static bool make_empty(void *ctx)
{
	const struct empty *e = ctx;

	return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", e->where, "tmpfs", 0, e->options) == 0;
}

static void an_agent_without_btf_says_which_kernel_has_it(void **state)
{
	struct empty btf = {.where = "/sys/kernel/btf", .options = "size=4k"};
	struct fixture *f = *state;

	if (!is_root())
		skip();
	product_start(&f->other, ARGV("nightjar-agent", "--print-events"), make_empty, &btf);
	assert_ends_saying(&f->other, EXIT_RUN,
			   ARGV("/sys/kernel/btf/vmlinux", "CONFIG_DEBUG_INFO_BTF", "5.15"));
}

static void a_recording_on_a_full_disk_ends_and_detection_goes_on(void **state)
{
	struct fixture *f = *state;
	char dir[160], file[200];
	struct empty disk = {.where = dir, .options = "size=4k"};

	if (!is_root())
		skip();
	path_in(f, "small", dir);
	assert_int_equal(mkdir(dir, 0755), 0);
	(void)snprintf(file, sizeof(file), "--record-file=%s/r.njr", dir);
	collected_start(&f->collector, &f->site, ARGV(file), make_empty, &disk);
	/* Each canary is about a kilobyte. */
	for (int i = 0; i < 60 && product_count(&f->collector.product, "the recording ends here") == 0; i++)
		collected_canary(&f->collector);
	f->collector.product.seen = 0;
	assert_true(product_says(&f->collector.product, "the recording ends here: No space left on device",
				 PRODUCT_SAY_MS));
	collected_canary(&f->collector);
	collected_stop(&f->collector);
}

static void assert_stored(struct collected *c, const char *rule)
{
	struct rpc_client *client = agent_client(c, "reader");
	struct bytes reply = {0};
	struct err e = {0};

	if (rpc_client_call(client, "/nightjar.v1.Alerts/List", (struct bytes){0}, PRODUCT_SAY_MS, &reply, NULL, &e) < 0)
		fail_msg("%s", e.text);
	assert_true(reply.len > 0 && memmem(reply.data, reply.len, rule, strlen(rule)));
	free((void *)(uintptr_t)reply.data);
	rpc_client_free(client);
}

static void a_broker_that_is_down_at_start_holds_nothing_up(void **state)
{
	struct fixture *f = *state;
	struct collected *c = &f->collector;

	/* Port 9 of loopback: discard, which nobody runs. */
	collected_start(c, &f->site, ARGV("--kafka-brokers=127.0.0.1:9", "--drain=0s"), NULL, NULL);
	c->product.seen = 0;
	assert_true(product_says(&c->product, "127.0.0.1:9", PRODUCT_SAY_MS));
	collected_canary(c);
	assert_int_equal(product_stop(&c->product), 0);
	assert_true(product_count(&c->product, "alerts are in the store, but some sink has not confirmed them") == 1);
	product_done(&c->product);
	/* The store has it: a collector without a broker lists it. */
	collected_start(c, &f->site, NULL, NULL, NULL);
	assert_stored(c, "reverse_shell");
	collected_stop(c);
}

/* ---- broken agents ---- */

static void assert_stream_refused(struct fixture *f, struct bytes message, const char *counter, int status,
				  const char *sentence)
{
	struct collected *c = &f->collector;
	struct rpc_client *client = agent_client(c, "agent");
	struct rpc_stream *stream = agent_stream(client);
	uint64_t before = collected_metric(c, counter);
	char text[256];

	agent_hello(stream, "n1");
	agent_send(stream, message);
	assert_int_equal(agent_ended(stream, text), status);
	if (!strstr(text, sentence))
		fail_msg("said '%s', not '%s'", text, sentence);
	assert_true(collected_counts(c, counter, before + 1));
	rpc_stream_free(stream);
	rpc_client_free(client);
	collected_canary(c);
}

static void truncated_oversized_and_foreign_batches_end_their_stream_only(void **state)
{
	static const char garbage[] = "nightjar_sessions_refused_total{reason=\"garbage\"}";
	struct fixture *f = *state;
	_cleanup_buf_ struct buf batch = {0};
	_cleanup_(freep) uint8_t *large = calloc(1, 5U << 20);

	assert_non_null(large);
	collected_start(&f->collector, &f->site, NULL, NULL, NULL);
	agent_batch(1, 443, "", &batch);
	assert_stream_refused(f, bytes_of(batch.data, batch.len - 3), garbage, 3, "no nightjar.v1.AgentMessage");
	assert_stream_refused(f, bytes_of_text("GET / HTTP/1.1\r\n\r\n"), garbage, 3,
			      "no nightjar.v1.AgentMessage");
	assert_stream_refused(f, bytes_of(large, 5U << 20), "nightjar_grpc_calls_broken_total", 8, "larger than max");
	buf_clear(&batch);
	agent_batch(1, 443, "n2", &batch);
	assert_stream_refused(f, buf_bytes(&batch), "nightjar_sessions_refused_total{reason=\"other_node\"}", 7,
			      "another node than the certificate");
	collected_stop(&f->collector);
}

static void a_hello_for_another_node_is_refused_and_counted(void **state)
{
	struct fixture *f = *state;
	struct collected *c = &f->collector;
	struct rpc_client *client;
	struct rpc_stream *stream;
	char text[256];

	collected_start(c, &f->site, NULL, NULL, NULL);
	client = agent_client(c, "agent");
	stream = agent_stream(client);
	agent_hello(stream, "n2");
	assert_int_equal(agent_ended(stream, text), 7);
	assert_non_null(strstr(text, "another node"));
	assert_true(collected_counts(c, "nightjar_sessions_refused_total{reason=\"other_node\"}", 1));
	assert_true(product_says(&c->product, "holds the certificate of node 'n1' and claims another", PRODUCT_SAY_MS));
	rpc_stream_free(stream);
	rpc_client_free(client);
	collected_canary(c);
	collected_stop(c);
}

static int connect_to(const char *address)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	to.sin_port = htons((uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10));
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static void drop(const char *address, const void *data, size_t len)
{
	_cleanup_(closep) int fd = connect_to(address);

	(void)!send(fd, data, len, MSG_NOSIGNAL);
}

/* Reads until the other side has closed. */
static void poke(const char *address, const void *data, size_t len)
{
	_cleanup_(closep) int fd = connect_to(address);
	char answer[512];

	(void)!send(fd, data, len, MSG_NOSIGNAL);
	(void)shutdown(fd, SHUT_WR);
	while (recv(fd, answer, sizeof(answer), 0) > 0)
		;
}

static void garbage_on_either_port_disturbs_nobody(void **state)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	static const char tls[] = "\x16\x03\x01\xff\xff\x01\x00\x00\x00";
	struct fixture *f = *state;
	struct collected *c = &f->collector;
	_cleanup_buf_ struct buf page = {0};
	uint8_t noise[4096];

	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)(i * 2654435761U >> 13);
	collected_start(c, &f->site, NULL, NULL, NULL);
	poke(c->grpc, noise, sizeof(noise));
	poke(c->grpc, request, sizeof(request) - 1);
	poke(c->grpc, preface, sizeof(preface) - 1);
	poke(c->grpc, tls, sizeof(tls) - 1);
	poke(c->grpc, "", 0);
	assert_true(collected_counts(c, "nightjar_tls_handshakes_failed_total", 4));
	drop(c->http, noise, sizeof(noise));
	drop(c->http, preface, sizeof(preface) - 1);
	drop(c->http, tls, sizeof(tls) - 1);
	collected_get(c, "/readyz", &page);
	assert_non_null(strstr(buf_text(&page), "200 OK"));
	collected_canary(c);
	collected_stop(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(an_unreadable_configuration_is_named),
		T(an_unknown_key_is_named_with_its_place_and_its_likely_spelling),
		T(a_missing_certificate_is_named_by_a_start_and_by_check_config),
		T(check_config_passes_what_a_start_would_take_and_changes_nothing),
		T(a_busy_port_is_named_with_its_key_and_its_owner_goes_on),
		T(a_data_directory_of_somebody_else_is_named),
		T(an_agent_that_is_not_root_says_what_it_needs),
		T(an_agent_without_btf_says_which_kernel_has_it),
		T(a_recording_on_a_full_disk_ends_and_detection_goes_on),
		T(a_broker_that_is_down_at_start_holds_nothing_up),
		T(truncated_oversized_and_foreign_batches_end_their_stream_only),
		T(a_hello_for_another_node_is_refused_and_counted),
		T(garbage_on_either_port_disturbs_nobody),
	};
	int failed;

	rpc_init();
	failed = cmocka_run_group_tests_name("bad_input", tests, NULL, NULL);
	rpc_done();
	return failed;
}
