/* The agent's command line and settings: what is refused, and what is there without any. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/tls.h"
#include "node-agent/options.h"

static int load(char **argv, struct agent_settings *settings, enum agent_mode *mode, struct err *e)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	return options_load(argc, argv, settings, mode, e);
}

#define LOAD(settings, mode, e, ...)                                                               \
	load((char *[]){(char *)(uintptr_t)"nightjar-agent", __VA_ARGS__ __VA_OPT__(, ) NULL}, settings, mode, e)
#define ARG(text) ((char *)(uintptr_t)(text))

static void an_unknown_flag_is_refused(void **state)
{
	struct agent_settings settings = {0};
	enum agent_mode mode;
	struct err e = {0};

	(void)state;
	assert_int_equal(LOAD(&settings, &mode, &e, ARG("--prob")), -EINVAL);
	assert_non_null(strstr(e.text, "--prob"));
	assert_int_equal(LOAD(&settings, &mode, &e, ARG("extra")), -EINVAL);
}

static void values_out_of_bounds_are_refused(void **state)
{
	static const char *const bad[] = {"--batch-events=0", "--batch-events=5000", "--capture-ring-bytes=1KiB",
					  "--uplink-heartbeat=1ms", "--log-level=loud"};
	struct agent_settings settings = {0};
	enum agent_mode mode;
	struct err e = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(LOAD(&settings, &mode, &e, ARG(bad[i])), -EINVAL);
	assert_int_equal(LOAD(&settings, &mode, &e, ARG("--uplink-backoff-min=20s")), -EINVAL);
	assert_non_null(strstr(e.text, "backoff_max"));
}

static void without_a_collector_the_missing_key_is_named(void **state)
{
	struct agent_settings settings = {0};
	enum agent_mode mode;
	struct err e = {0};

	(void)state;
	assert_int_equal(LOAD(&settings, &mode, &e), OPT_RUN);
	assert_int_equal(options_check_uplink(&settings, &e), -EINVAL);
	assert_non_null(strstr(e.text, "collector.address"));
	options_done(&settings);
	assert_int_equal(LOAD(&settings, &mode, &e, ARG("--collector-address=h:1"), ARG("--tls-ca=a"),
			      ARG("--tls-cert=b")),
			 OPT_RUN);
	assert_int_equal(options_check_uplink(&settings, &e), -EINVAL);
	assert_non_null(strstr(e.text, "tls.key"));
	options_done(&settings);
}

/* Issues NAME.pem in the directory. */
static void issue(const char *dir, const char *name, enum tls_role role)
{
	struct tls_request request = {
		.name = name, .identity = {.role = role, .namespace = "nightjar"}, .not_after_s = 3600};
	struct err e = {0};

	if (role == TLS_ROLE_AGENT)
		(void)snprintf(request.identity.node, sizeof(request.identity.node), "%s", name);
	if (tls_make_cert(dir, &request, &e) < 0)
		fail_msg("%s", e.text);
}

/* options_identify with this certificate and, unless "", these names set. */
static int identify(const char *dir, const char *cert, const char *node, const char *cluster,
		    struct agent_settings *ret_settings, struct err *e)
{
	char cert_flag[128], node_flag[64], cluster_flag[64];
	enum agent_mode mode;

	(void)snprintf(cert_flag, sizeof(cert_flag), "--tls-cert=%s/%s.pem", dir, cert);
	(void)snprintf(node_flag, sizeof(node_flag), "--node-name=%s", node);
	(void)snprintf(cluster_flag, sizeof(cluster_flag), "--node-cluster=%s", cluster);
	assert_int_equal(LOAD(ret_settings, &mode, e, ARG(cert_flag), ARG(node_flag), ARG(cluster_flag)), OPT_RUN);
	return options_identify(ret_settings, e);
}

static void names_come_from_the_certificate_and_others_are_refused(void **state)
{
	static const struct {
		const char *cert, *node, *cluster, *sentence;
	} bad[] = {
		{"none", "", "", "none.pem"},
		{"reader", "", "", "has the role reader"},
		{"n1", "n2", "", "node.name is 'n2', but the certificate"},
		{"n1", "", "test", "node.cluster is 'test', but the certificate"},
	};
	struct agent_settings settings = {0};
	char dir[] = "/tmp/nightjar-test-XXXXXX", command[64];
	struct err e = {0};

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(tls_make_ca(dir, "prod", 1, &e), 0);
	issue(dir, "n1", TLS_ROLE_AGENT);
	issue(dir, "reader", TLS_ROLE_READER);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_true(identify(dir, bad[i].cert, bad[i].node, bad[i].cluster, &settings, &e) < 0);
		assert_non_null(strstr(e.text, bad[i].sentence));
		options_done(&settings);
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(identify(dir, "n1", i ? "n1" : "", i ? "prod" : "", &settings, &e), 0);
		assert_string_equal(settings.node_name, "n1");
		assert_string_equal(settings.node_cluster, "prod");
		options_done(&settings);
	}
	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
}

static void defaults_are_whole(void **state)
{
	struct agent_settings settings = {0};
	enum agent_mode mode = AGENT_PROBE;
	struct err e = {0};

	(void)state;
	assert_int_equal(LOAD(&settings, &mode, &e), OPT_RUN);
	assert_int_equal(mode, AGENT_RUN);
	assert_string_equal(settings.node_name, "");
	assert_int_equal(settings.ring_bytes, 2 << 20);
	assert_int_equal(settings.batch_events, 1024);
	assert_true(settings.env_names.count > 0);
	options_done(&settings);
}

static void modes_are_flags_of_the_program(void **state)
{
	struct agent_settings settings = {0};
	enum agent_mode mode;
	struct err e = {0};

	(void)state;
	assert_int_equal(LOAD(&settings, &mode, &e, ARG("--probe")), OPT_RUN);
	assert_int_equal(mode, AGENT_PROBE);
	options_done(&settings);
	assert_int_equal(LOAD(&settings, &mode, &e, ARG("--print-events"), ARG("--log-level"), ARG("debug")),
			 OPT_RUN);
	assert_int_equal(mode, AGENT_PRINT_EVENTS);
	options_done(&settings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_unknown_flag_is_refused),
		cmocka_unit_test(values_out_of_bounds_are_refused),
		cmocka_unit_test(without_a_collector_the_missing_key_is_named),
		cmocka_unit_test(names_come_from_the_certificate_and_others_are_refused),
		cmocka_unit_test(defaults_are_whole),
		cmocka_unit_test(modes_are_flags_of_the_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
