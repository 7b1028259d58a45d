/* The way of README's "More than one host", by hand: certificates from the command, configurations from
 * the sample files, a collector, two agents (two nodes on this kernel), a reader. A shell is reported
 * by both; the alerts are read in every way, and are still there when the collector comes back. */
#include "tests/unit/unit.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/ready.h"
#include "tests/e2e/harness.h"
#include "tests/e2e/product.h"
#include "tests/unit/program.h"

#define NODES 2

static const char *const node_names[NODES] = {"node-a", "node-b"};

static struct {
	bool skipped;
	char dir[64];
	char reader[256]; /* flags of every question */
	char http[64];
	uint16_t port;
	struct product collector, agents[NODES], watch;
	struct attacker attacker;
	struct run run;
	char ids[NODES][64];
	char *listed[NODES]; /* the alert of each node as alerts list prints it */
} hosts = {.collector = PRODUCT_NONE,
	   .agents = {PRODUCT_NONE, PRODUCT_NONE},
	   .watch = PRODUCT_NONE,
	   .attacker = {.pid = -1, .result = -1},
	   .run = {.leader = -1}};

/* ---- doing as a person does ----------------------------------------------------------------- */

/* Runs a shell command in which $B stands for the programs and $D for the directory; fails the test
 * unless it ends well. */
static void type(struct buf *ret_said, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void type(struct buf *ret_said, const char *fmt, ...)
{
	const char *build = getenv("NJ_BUILD");
	char words[1024], command[2048];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	(void)snprintf(command, sizeof(command), "B=%s/bin D=%s; exec 2>&1; set -e; %s", build ? build : "build",
		       hosts.dir, words);
	if (program_shell(command, ret_said) != 0)
		fail_msg("%s: %s", words, buf_text(ret_said));
}

/* What an editor does to a sample file. */
static void edit(const char *file, const char *section, const char *key, const char *value)
{
	_cleanup_buf_ struct buf said = {0};

	type(&said, "sed -i '/^%s:/,/^$/s|^  %s: .*|  %s: %s|' $D/%s; grep -q '^  %s: %s$' $D/%s", section, key,
	     key, value, file, key, value, file);
}

static void edit_tls(const char *file, const char *name)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/pki/ca.pem", hosts.dir);
	edit(file, "tls", "ca", path);
	(void)snprintf(path, sizeof(path), "%s/pki/%s.pem", hosts.dir, name);
	edit(file, "tls", "cert", path);
	(void)snprintf(path, sizeof(path), "%s/pki/%s-key.pem", hosts.dir, name);
	edit(file, "tls", "key", path);
}

static uint16_t free_port(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	_cleanup_(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(at);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	return ntohs(at.sin_port);
}

/* Starts a daemon on NAME.yaml; what its ready line has for key. */
static void start(struct product *p, const char *program, const char *name, const char *key, char *ret_value,
		  size_t size)
{
	char config[128];
	const char *const argv[] = {program, "--config", config, NULL};

	(void)snprintf(config, sizeof(config), "%s/%s.yaml", hosts.dir, name);
	product_start(p, argv, NULL, NULL);
	assert_true(product_says(p, ": ready ", PRODUCT_READY_MS));
	assert_true(ready_value(buf_text(&p->text) + p->seen, key, ret_value, size));
}

static void start_collector(void)
{
	start(&hosts.collector, "nightjar-collector", "collector", "http", hosts.http, sizeof(hosts.http));
}

static void start_agent(size_t i)
{
	char name[64];

	start(&hosts.agents[i], "nightjar-agent", node_names[i], "node", name, sizeof(name));
	assert_string_equal(name, node_names[i]);
}

static int stop(struct product *p)
{
	int status = product_stop(p);

	product_done(p);
	return status;
}

/* ---- the tests, in the order of a person's steps -------------------------------------------- */

static void certificates_are_issued_for_every_part(void **state)
{
	_cleanup_buf_ struct buf said = {0};

	(void)state;
	if (hosts.skipped)
		skip();
	type(&said, "$B/nightjar certs init --dir $D/pki --cluster prod");
	type(&said, "$B/nightjar certs issue collector --dir $D/pki --role collector --hosts localhost,127.0.0.1");
	type(&said, "$B/nightjar certs issue node-a --dir $D/pki --role agent");
	type(&said, "$B/nightjar certs issue node-b --dir $D/pki --role agent");
	type(&said, "$B/nightjar certs issue reader --dir $D/pki");
	type(&said, "$B/nightjar certs show $D/pki/node-b.pem $D/pki/reader.pem");
	assert_non_null(strstr(buf_text(&said), "spiffe://prod/ns/nightjar/node/node-b"));
	assert_non_null(strstr(buf_text(&said), "spiffe://prod/ns/nightjar/role/reader"));
}

static void sample_files_become_configurations(void **state)
{
	_cleanup_buf_ struct buf said = {0};
	char value[128];

	(void)state;
	if (hosts.skipped)
		skip();
	hosts.port = free_port();
	type(&said, "$B/nightjar-collector --sample-config > $D/collector.yaml");
	(void)snprintf(value, sizeof(value), "\"127.0.0.1:%u\"", hosts.port);
	edit("collector.yaml", "grpc", "listen", value);
	edit("collector.yaml", "http", "listen", "\"127.0.0.1:0\"");
	(void)snprintf(value, sizeof(value), "%s/data", hosts.dir);
	edit("collector.yaml", "data", "dir", value);
	edit_tls("collector.yaml", "collector");
	type(&said, "$B/nightjar-collector --config $D/collector.yaml --check-config");
	for (size_t i = 0; i < NODES; i++) {
		(void)snprintf(value, sizeof(value), "%s.yaml", node_names[i]);
		type(&said, "$B/nightjar-agent --sample-config > $D/%s", value);
		edit_tls(value, node_names[i]);
		type(&said, "sed -i 's|^  address: .*|  address: \"localhost:%u\"|' $D/%s", hosts.port, value);
		type(&said, "$B/nightjar-agent --config $D/%s --check-config", value);
	}
	(void)snprintf(hosts.reader, sizeof(hosts.reader), "--server localhost:%u --ca %s/pki/ca.pem", hosts.port,
		       hosts.dir);
}

static void both_nodes_are_listed_as_connected(void)
{
	_cleanup_buf_ struct buf said = {0};
	size_t connected = 0;
	char *save = NULL;

	type(&said, "$B/nightjar nodes %s", hosts.reader);
	assert_non_null(strstr(buf_text(&said), "node-a"));
	assert_non_null(strstr(buf_text(&said), "node-b"));
	type(&said, "$B/nightjar nodes --output json %s", hosts.reader);
	for (char *line = strtok_r((char *)(uintptr_t)buf_text(&said), "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		json_t *node = json_loads(line, 0, NULL);

		assert_non_null(node);
		assert_string_equal(json_string_value(json_object_get(node, "cluster")), "prod");
		connected += json_is_true(json_object_get(node, "connected"));
		json_decref(node);
	}
	assert_int_equal(connected, NODES);
	buf_clear(&said);
	type(&said, "$B/nightjar nodes get node-a %s", hosts.reader);
	assert_non_null(strstr(buf_text(&said), "connected"));
	assert_non_null(strstr(buf_text(&said), "CLASS"));
	assert_non_null(strstr(buf_text(&said), "descriptor"));
}

static void both_agents_connect_and_are_listed(void **state)
{
	(void)state;
	if (hosts.skipped)
		skip();
	start_collector();
	for (size_t i = 0; i < NODES; i++)
		start_agent(i);
	both_nodes_are_listed_as_connected();
}

static void start_watch(void)
{
	char server[64], ca[128];
	const char *const argv[] = {"nightjar", "alerts", "watch", "--output", "json",
				    "--server", server,	  "--ca",  ca,	       NULL};
	uint64_t deadline = clock_monotonic_ns() + HARNESS_READY_MS * NS_PER_MS;
	_cleanup_buf_ struct buf said = {0};

	(void)snprintf(server, sizeof(server), "localhost:%u", hosts.port);
	(void)snprintf(ca, sizeof(ca), "%s/pki/ca.pem", hosts.dir);
	product_start(&hosts.watch, argv, NULL, NULL);
	do
		type(&said, "curl -s http://%s/metrics", hosts.http);
	while (!strstr(buf_text(&said), "\nnightjar_watchers 1\n") && clock_monotonic_ns() < deadline);
	assert_non_null(strstr(buf_text(&said), "\nnightjar_watchers 1\n"));
}

/* Notes the id of an alert about the run. */
static bool note(const char *line, size_t len)
{
	json_t *alert = json_loadb(line, len, 0, NULL);
	const char *node = json_string_value(json_object_get(alert, "node"));
	bool noted = false;

	assert_non_null(alert);
	for (size_t i = 0; i < NODES && run_owns_alert(&hosts.run, alert); i++) {
		if (strcmp(node, node_names[i]) != 0 || hosts.ids[i][0])
			continue;
		assert_string_equal(json_string_value(json_object_get(alert, "rule")), "reverse_shell");
		(void)snprintf(hosts.ids[i], sizeof(hosts.ids[i]), "%s",
			       json_string_value(json_object_get(alert, "id")));
		noted = true;
	}
	json_decref(alert);
	return noted;
}

static void a_shell_is_watched_from_both_nodes(void **state)
{
	static const char *const shell[] = {"shell_dup2", NULL};
	struct product *w = &hosts.watch;

	(void)state;
	if (hosts.skipped)
		skip();
	start_watch();
	assert_int_equal(attacker_start(ATTACKER_SHELL, &hosts.attacker), 0);
	assert_int_equal(run_start(shell, hosts.attacker.port, &hosts.run), 0);
	assert_true(attacker_got_shell(&hosts.attacker, HARNESS_SHELL_MS));
	for (size_t noted = 0; noted < NODES;) {
		size_t from = w->seen;

		if (!product_says(w, "\n", HARNESS_ALERT_MS))
			fail_msg("alerts of %zu of %d nodes came", noted, NODES);
		noted += note(buf_text(&w->text) + from, w->seen - from);
	}
	assert_string_not_equal(hosts.ids[0], hosts.ids[1]);
}

/* The line of alerts list with this id, malloc'ed. */
static char *list(const char *id)
{
	_cleanup_buf_ struct buf said = {0};

	type(&said, "$B/nightjar alerts list --output json --rule reverse_shell %s | grep '\"id\":\"%s\"'",
	     hosts.reader, id);
	return strdup(buf_text(&said));
}

static void what_was_watched_is_listed_and_can_be_got(void **state)
{
	_cleanup_buf_ struct buf said = {0};

	(void)state;
	if (hosts.skipped)
		skip();
	type(&said, "$B/nightjar alerts list --limit 1000 %s", hosts.reader);
	for (size_t i = 0; i < NODES; i++)
		assert_non_null(strstr(buf_text(&said), hosts.ids[i]));
	for (size_t i = 0; i < NODES; i++) {
		hosts.listed[i] = list(hosts.ids[i]);
		type(&said, "$B/nightjar alerts get %s --output json %s", hosts.ids[i], hosts.reader);
		assert_string_equal(buf_text(&said), hosts.listed[i]);
		type(&said, "$B/nightjar alerts get %s %s", hosts.ids[i], hosts.reader);
		assert_non_null(strstr(buf_text(&said), "reverse_shell"));
		assert_non_null(strstr(buf_text(&said), node_names[i]));
		assert_null(strchr(buf_text(&said), '\x1b'));
	}
}

static void alerts_outlive_the_collector_and_agents_come_back(void **state)
{
	(void)state;
	if (hosts.skipped)
		skip();
	assert_int_equal(stop(&hosts.watch), 128 + SIGTERM);
	assert_int_equal(stop(&hosts.collector), 0);
	start_collector();
	for (size_t i = 0; i < NODES; i++)
		assert_true(product_says(&hosts.agents[i], "connected to", PRODUCT_READY_MS));
	both_nodes_are_listed_as_connected();
	for (size_t i = 0; i < NODES; i++) {
		_cleanup_(freep) char *again = list(hosts.ids[i]);

		assert_string_equal(again, hosts.listed[i]);
	}
}

static void everything_stops_with_status_0(void **state)
{
	(void)state;
	if (hosts.skipped)
		skip();
	for (size_t i = 0; i < NODES; i++)
		assert_int_equal(stop(&hosts.agents[i]), 0);
	assert_int_equal(stop(&hosts.collector), 0);
}

static int begin(void **state)
{
	(void)state;
	hosts.skipped = harness_skip_reason()[0] != '\0';
	if (hosts.skipped) {
		printf("SKIP %s\n", harness_skip_reason());
		return 0;
	}
	(void)snprintf(hosts.dir, sizeof(hosts.dir), "/tmp/nightjar-e2e-XXXXXX");
	return mkdtemp(hosts.dir) ? 0 : -1;
}

static int end(void **state)
{
	_cleanup_buf_ struct buf said = {0};
	char command[96];

	(void)state;
	product_done(&hosts.watch);
	for (size_t i = 0; i < NODES; i++) {
		product_done(&hosts.agents[i]);
		free(hosts.listed[i]);
	}
	product_done(&hosts.collector);
	attacker_stop(&hosts.attacker);
	run_done(&hosts.run, 0);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", hosts.dir);
	return hosts.dir[0] && !getenv("NJ_KEEP") ? program_shell(command, &said) : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(certificates_are_issued_for_every_part),
		cmocka_unit_test(sample_files_become_configurations),
		cmocka_unit_test(both_agents_connect_and_are_listed),
		cmocka_unit_test(a_shell_is_watched_from_both_nodes),
		cmocka_unit_test(what_was_watched_is_listed_and_can_be_got),
		cmocka_unit_test(alerts_outlive_the_collector_and_agents_come_back),
		cmocka_unit_test(everything_stops_with_status_0),
	};

	return cmocka_run_group_tests_name("hosts", tests, begin, end);
}
