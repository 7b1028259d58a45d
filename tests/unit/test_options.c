/* The agent's command line and settings: what is refused, and what is there without any. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

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

static void defaults_are_whole_and_the_node_is_named_after_its_host(void **state)
{
	struct agent_settings settings = {0};
	enum agent_mode mode = AGENT_PROBE;
	char host[256] = "";
	struct err e = {0};

	(void)state;
	(void)gethostname(host, sizeof(host) - 1);
	assert_int_equal(LOAD(&settings, &mode, &e), OPT_RUN);
	assert_int_equal(mode, AGENT_RUN);
	assert_string_equal(settings.node_name, host);
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
		cmocka_unit_test(defaults_are_whole_and_the_node_is_named_after_its_host),
		cmocka_unit_test(modes_are_flags_of_the_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
