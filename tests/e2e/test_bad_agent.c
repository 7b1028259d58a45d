/* A real agent that its collector refuses: it says why, once, goes on trying with a back-off, and
 * connects without a restart once the reason is gone. And a process in a cgroup that no runtime has
 * made is the host's, under its right names. */
#include "tests/e2e/harness.h"
#include "tests/e2e/product.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define REFUSED_OFTEN 4
#define PROBLEM	      "no connection to the collector: "
#define READY	      "nightjar-agent: ready"

struct fixture {
	struct site site, other; /* other: of another CA */
	struct collected collector;
	struct product agent;
	char files[64]; /* what the agent reads: ca.pem, cert.pem, key.pem */
	struct attacker attacker;
	struct run run;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	f->agent = (struct product)PRODUCT_NONE;
	f->collector.product = f->agent;
	f->attacker = (struct attacker){.pid = -1, .result = -1};
	f->run = (struct run){.leader = -1};
	*state = f;
	if (harness_skip_reason()[0])
		return 0;
	site_init(&f->site);
	site_init(&f->other);
	snprintf(f->files, sizeof(f->files), "%.40s/agent-files", f->site.dir);
	if (mkdir(f->files, 0755) < 0)
		return -1;
	collected_start(&f->collector, &f->site, NULL, NULL, NULL);
	return 0;
}

static void remove_odd_cgroups(pid_t pid)
{
	char command[192];

	snprintf(command, sizeof(command),
		 "find /sys/fs/cgroup -maxdepth 4 -path '*/nightjar-odd-%d*' -type d -depth -exec rmdir {} + 2>/dev/null",
		 pid);
	(void)!system(command);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	pid_t odd = f->run.leader;

	product_done(&f->agent);
	attacker_stop(&f->attacker);
	if (odd > 0)
		run_done(&f->run, f->collector.product.pid);
	if (odd > 0)
		remove_odd_cgroups(odd);
	product_done(&f->collector.product);
	site_done(&f->other);
	site_done(&f->site);
	free(f);
	return 0;
}

static void skip_without_permission(void)
{
	if (!harness_skip_reason()[0])
		return;
	printf("SKIP %s\n", harness_skip_reason());
	skip();
}

/* One file of the agent's becomes that of a site; a new inode, as a mounted secret changes. */
static void give(const struct fixture *f, const char *file, const struct site *from, const char *name)
{
	char command[320];

	snprintf(command, sizeof(command), "cp '%s/%s' '%s/.new' && mv '%s/.new' '%s/%s'", from->dir, name, f->files,
		 f->files, f->files, file);
	assert_int_equal(system(command), 0);
}

static void give_all(const struct fixture *f, const struct site *from, const char *name)
{
	char cert[64], key[64];

	snprintf(cert, sizeof(cert), "%s.pem", name);
	snprintf(key, sizeof(key), "%s-key.pem", name);
	give(f, "ca.pem", from, "ca.pem");
	give(f, "key.pem", from, key);
	give(f, "cert.pem", from, cert);
}

static void start_agent(struct fixture *f, const char *node)
{
	char address[96], ca[96], cert[96], key[96], name[64];
	const char *const argv[] = {"nightjar-agent",	 address,
				    ca,			 cert,
				    key,		 name,
				    "--node-cluster=e2e", "--uplink-backoff-min=20ms",
				    "--uplink-backoff-max=100ms", NULL};

	snprintf(address, sizeof(address), "--collector-address=%s", f->collector.grpc);
	snprintf(ca, sizeof(ca), "--tls-ca=%s/ca.pem", f->files);
	snprintf(cert, sizeof(cert), "--tls-cert=%s/cert.pem", f->files);
	snprintf(key, sizeof(key), "--tls-key=%s/key.pem", f->files);
	snprintf(name, sizeof(name), "--node-name=%s", node);
	product_start(&f->agent, argv, NULL, NULL);
}

static void assert_says_once(struct fixture *f, const char *why)
{
	assert_true(product_says(&f->agent, PROBLEM, PRODUCT_SAY_MS));
	assert_true(product_says(&f->agent, why, 0));
	assert_int_equal(product_count(&f->agent, PROBLEM), 1);
}

static void assert_recovers(struct fixture *f)
{
	assert_true(product_is_alive(&f->agent));
	assert_true(product_says(&f->agent, READY, PRODUCT_SAY_MS));
	assert_int_equal(product_count(&f->agent, PROBLEM), 1);
	assert_int_equal(product_stop(&f->agent), 0);
	collected_canary(&f->collector);
	collected_stop(&f->collector);
}

static void assert_ends(struct fixture *f, int status, const char *first, const char *second)
{
	assert_int_equal(product_wait(&f->agent, PRODUCT_STOP_MS), status);
	assert_true(product_says(&f->agent, first, 0));
	assert_true(product_says(&f->agent, second, 0));
	product_done(&f->agent);
}

static void what_is_wrong_with_the_names_at_start_ends_the_agent(void **state)
{
	struct fixture *f = *state;

	skip_without_permission();
	give(f, "ca.pem", &f->site, "ca.pem");
	give(f, "key.pem", &f->site, "agent-key.pem");
	start_agent(f, "n1");
	assert_ends(f, 2, "cert.pem", "No such file or directory");
	give_all(f, &f->site, "agent");
	start_agent(f, "n9");
	assert_ends(f, 2, "node.name is 'n9'", "is for 'n1'");
	collected_canary(&f->collector);
	collected_stop(&f->collector);
}

/* As when the wrong secret is mounted at a renewal. */
static void the_certificate_of_another_node_is_said_once_until_it_is_right(void **state)
{
	static const char counter[] = "nightjar_sessions_refused_total{reason=\"other_node\"}";
	static const char sentence[] = "the certificate is that of node 'n2': set node.name";
	struct fixture *f = *state;

	skip_without_permission();
	site_cert(&f->site, "old", TLS_ROLE_AGENT, "n1", -60);
	site_cert(&f->site, "wrong", TLS_ROLE_AGENT, "n2", 86400);
	give_all(f, &f->site, "old");
	start_agent(f, "n1");
	assert_true(product_says(&f->agent, "cert.pem' expired on", PRODUCT_READY_MS));
	give(f, "key.pem", &f->site, "wrong-key.pem");
	give(f, "cert.pem", &f->site, "wrong.pem");
	assert_true(product_says(&f->agent, sentence, PRODUCT_SAY_MS));
	assert_true(collected_counts(&f->collector, counter, REFUSED_OFTEN));
	assert_int_equal(product_count(&f->agent, sentence), 1);
	give(f, "key.pem", &f->site, "agent-key.pem");
	give(f, "cert.pem", &f->site, "agent.pem");
	assert_true(product_says(&f->agent, READY, PRODUCT_SAY_MS));
	assert_int_equal(product_stop(&f->agent), 0);
	collected_canary(&f->collector);
	collected_stop(&f->collector);
}

static void a_certificate_of_another_ca_is_said_once_until_it_is_right(void **state)
{
	struct fixture *f = *state;

	skip_without_permission();
	give_all(f, &f->other, "agent");
	start_agent(f, "n1");
	assert_says_once(f, "is not signed by our CA");
	assert_true(collected_counts(&f->collector, "nightjar_tls_handshakes_failed_total", REFUSED_OFTEN));
	give_all(f, &f->site, "agent");
	assert_recovers(f);
}

static void an_expired_certificate_is_said_once_until_it_is_renewed(void **state)
{
	struct fixture *f = *state;

	skip_without_permission();
	site_cert(&f->site, "old", TLS_ROLE_AGENT, "n1", -60);
	give_all(f, &f->site, "old");
	start_agent(f, "n1");
	assert_says_once(f, "cert.pem' expired on");
	give(f, "key.pem", &f->site, "agent-key.pem");
	give(f, "cert.pem", &f->site, "agent.pem");
	assert_true(product_says(&f->agent, READY, PRODUCT_SAY_MS));
	assert_int_equal(product_stop(&f->agent), 0);
	collected_canary(&f->collector);
	collected_stop(&f->collector);
}

static void a_missing_ca_is_said_once_until_it_is_there(void **state)
{
	struct fixture *f = *state;

	skip_without_permission();
	give(f, "cert.pem", &f->site, "agent.pem");
	give(f, "key.pem", &f->site, "agent-key.pem");
	start_agent(f, "n1");
	assert_says_once(f, "ca.pem': No such file or directory");
	give(f, "ca.pem", &f->site, "ca.pem");
	assert_recovers(f);
}

/* The alert about a remote port, from what the collector has printed. */
static json_t *printed_alert(struct fixture *f, uint16_t port)
{
	struct product *p = &f->collector.product;
	char wanted[64];
	const char *line;

	snprintf(wanted, sizeof(wanted), "\"port\":%u}", port);
	assert_true(product_says(p, wanted, PRODUCT_SAY_MS));
	assert_true(product_says(p, "\n", PRODUCT_SAY_MS));
	line = strstr(buf_text(&p->text), wanted);
	while (line > buf_text(&p->text) && line[-1] != '\n')
		line--;
	return json_loads(line, JSON_DISABLE_EOF_CHECK, NULL);
}

static void a_cgroup_of_no_known_shape_is_the_hosts(void **state)
{
	static const char *const argv[] = {"scenario/in-odd-cgroup.sh", "shell_dup2", NULL};
	struct fixture *f = *state;
	json_t *alert, *process;

	skip_without_permission();
	give_all(f, &f->site, "agent");
	start_agent(f, "n1");
	assert_true(product_says(&f->agent, READY, PRODUCT_READY_MS));
	assert_int_equal(attacker_start(ATTACKER_SHELL, &f->attacker), 0);
	assert_int_equal(run_start(argv, f->attacker.port, &f->run), 0);
	assert_true(attacker_got_shell(&f->attacker, HARNESS_SHELL_MS));
	alert = printed_alert(f, f->attacker.port);
	assert_non_null(alert);
	process = json_object_get(alert, "process");
	assert_string_equal(json_string_value(json_object_get(alert, "rule")), "reverse_shell");
	assert_string_equal(json_string_value(json_object_get(alert, "node")), "n1");
	assert_int_equal(json_integer_value(json_object_get(process, "pid")), f->run.leader);
	assert_string_equal(json_string_value(json_object_get(process, "cwd")), f->run.dir);
	assert_null(json_object_get(alert, "container"));
	assert_null(json_object_get(alert, "pod"));
	json_decref(alert);
	assert_int_equal(product_stop(&f->agent), 0);
	collected_stop(&f->collector);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(what_is_wrong_with_the_names_at_start_ends_the_agent),
		T(the_certificate_of_another_node_is_said_once_until_it_is_right),
		T(a_certificate_of_another_ca_is_said_once_until_it_is_right),
		T(an_expired_certificate_is_said_once_until_it_is_renewed),
		T(a_missing_ca_is_said_once_until_it_is_there),
		T(a_cgroup_of_no_known_shape_is_the_hosts),
	};
	int failed;

	rpc_init();
	failed = cmocka_run_group_tests_name("bad_agent", tests, NULL, NULL);
	rpc_done();
	return failed;
}
