/* From a policy to settings and map keys: nothing here touches a kernel. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <sys/syscall.h>

#include "bpf/calls.h"
#include "node-agent/policy.h"

static struct nj_settings settings;

static void a_name_that_no_file_can_have_is_refused(void **state)
{
	char longest[NJ_NAME_MAX], too_long[NJ_NAME_MAX + 1];
	struct nj_name name;

	(void)state;
	memset(longest, 'x', sizeof(longest));
	longest[NJ_NAME_MAX - 1] = '\0';
	memset(too_long, 'x', sizeof(too_long));
	too_long[NJ_NAME_MAX] = '\0';
	assert_int_equal(policy_name("", &name), -EINVAL);
	assert_int_equal(policy_name("a/b", &name), -EINVAL);
	assert_int_equal(policy_name(too_long, &name), -EINVAL);
	assert_int_equal(policy_name(longest, &name), 0);
}

static void a_name_is_padded_with_zeros(void **state)
{
	struct nj_name name, expected = {.text = "shadow"};

	(void)state;
	memset(&name, 0xff, sizeof(name));
	assert_int_equal(policy_name("shadow", &name), 0);
	assert_memory_equal(&name, &expected, sizeof(name));
}

static void a_path_that_is_not_absolute_or_too_long_is_refused(void **state)
{
	char longest[NJ_PREFIX_MAX], too_long[NJ_PREFIX_MAX + 1];
	struct nj_prefix prefix;

	(void)state;
	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[NJ_PREFIX_MAX - 1] = '\0';
	memset(too_long, 'x', sizeof(too_long));
	too_long[0] = '/';
	too_long[NJ_PREFIX_MAX] = '\0';
	assert_int_equal(policy_prefix("", &prefix), -EINVAL);
	assert_int_equal(policy_prefix("etc", &prefix), -EINVAL);
	assert_int_equal(policy_prefix(too_long, &prefix), -EINVAL);
	assert_int_equal(policy_prefix(longest, &prefix), 0);
	assert_int_equal(prefix.bits, NJ_PREFIX_MAX * 8);
}

static void a_path_ends_at_a_component(void **state)
{
	struct nj_prefix prefix;

	(void)state;
	assert_int_equal(policy_prefix("/etc/ssh", &prefix), 0);
	assert_string_equal(prefix.text, "/etc/ssh/");
	assert_int_equal(prefix.bits, 9 * 8);
	assert_int_equal(policy_prefix("/etc/ssh///", &prefix), 0);
	assert_string_equal(prefix.text, "/etc/ssh/");
	assert_int_equal(policy_prefix("/", &prefix), 0);
	assert_string_equal(prefix.text, "/");
	assert_int_equal(prefix.bits, 8);
}

static bool looked_at(uint32_t nr)
{
	return settings.any_calls[nr / 64] & 1ULL << nr % 64;
}

static void only_the_calls_of_wanted_classes_are_looked_at(void **state)
{
	(void)state;
	memset(&settings, 0xff, sizeof(settings));
	policy_calls(POLICY_FIXED, &settings);
	for (uint32_t nr = 0; nr < NJ_CALLS_MAX; nr++) {
		assert_false(looked_at(nr));
		assert_int_equal(settings.acts[nr], NJ_ACT_NONE);
		assert_int_equal(settings.compat_acts[nr], NJ_ACT_NONE);
	}
	policy_calls(NJ_BIT(FILE), &settings);
	assert_true(looked_at(SYS_openat));
	assert_int_equal(settings.acts[SYS_openat], NJ_ACT_OPENAT);
	assert_int_equal(settings.compat_acts[295], NJ_ACT_OPENAT);
	assert_true(looked_at(295));
	assert_false(looked_at(SYS_mount));
}

static void a_call_of_several_classes_is_looked_at_for_each(void **state)
{
	(void)state;
	policy_calls(NJ_BIT(DESCRIPTOR), &settings);
	assert_int_equal(settings.acts[SYS_recvmsg], NJ_ACT_RECVMSG);
	policy_calls(NJ_BIT(MESSAGE), &settings);
	assert_int_equal(settings.acts[SYS_recvmsg], NJ_ACT_RECVMSG);
	policy_calls(NJ_BIT(FILE), &settings);
	assert_int_equal(settings.acts[SYS_recvmsg], NJ_ACT_NONE);
}

static void process_life_and_tcp_are_always_wanted(void **state)
{
	const struct uplink_workload workload = {.cgroup = "/a", .classes = 0};
	const struct uplink_policy nothing = {.workloads = &workload, .workload_count = 1};
	struct nj_workload of;

	(void)state;
	assert_int_equal(policy_classes(&nothing), POLICY_FIXED);
	policy_settings(&nothing, &settings);
	assert_int_equal(settings.classes, POLICY_FIXED);
	assert_true(policy_workload(&nothing, "/a", &of));
	assert_int_equal(of.classes, POLICY_FIXED);
}

static void what_any_workload_wants_is_captured(void **state)
{
	const struct uplink_workload workloads[] = {
		{.cgroup = "/a", .classes = NJ_BIT(SIGNAL)},
		{.cgroup = "/b", .classes = NJ_BIT(DNS)},
	};
	const struct uplink_policy policy = {
		.classes = NJ_BIT(FILE), .workloads = workloads, .workload_count = 2};

	(void)state;
	assert_int_equal(policy_classes(&policy),
			 POLICY_FIXED | NJ_BIT(FILE) | NJ_BIT(SIGNAL) | NJ_BIT(DNS));
	policy_settings(&policy, &settings);
	assert_int_equal(settings.classes, POLICY_FIXED | NJ_BIT(FILE));
	assert_int_equal(settings.flags, NJ_WANT_WORKLOADS);
}

static void a_class_that_this_build_does_not_know_is_left_out(void **state)
{
	const struct uplink_policy policy = {.classes = UINT32_MAX};

	(void)state;
	assert_int_equal(policy_classes(&policy), POLICY_ALL);
}

static void each_word_of_a_policy_has_its_flag(void **state)
{
	static const char *const prefixes[] = {"/etc", NULL};
	static const uint16_t ports[] = {53};
	struct uplink_policy policy = {0};

	(void)state;
	policy_settings(&policy, &settings);
	assert_int_equal(settings.flags, 0);
	policy.open_all = true;
	policy_settings(&policy, &settings);
	assert_int_equal(settings.flags, NJ_WANT_OPEN_ALL);
	policy = (struct uplink_policy){.open_writes = true};
	policy_settings(&policy, &settings);
	assert_int_equal(settings.flags, NJ_WANT_OPEN_WRITES);
	policy = (struct uplink_policy){.open_prefixes = prefixes, .open_prefix_count = 1};
	policy_settings(&policy, &settings);
	assert_int_equal(settings.flags, NJ_WANT_PREFIXES);
	policy = (struct uplink_policy){.ports = ports, .port_count = 1};
	policy_settings(&policy, &settings);
	assert_int_equal(settings.flags, NJ_WANT_PORTS);
	policy = (struct uplink_policy){.first_bytes = true};
	policy_settings(&policy, &settings);
	assert_true(settings.classes & NJ_BIT(PAYLOAD));
}

static void settings_of_others_stay(void **state)
{
	static const char *const names[] = {"shadow", NULL};
	struct uplink_policy policy;

	(void)state;
	memset(&settings, 0, sizeof(settings));
	settings.own_tgid = 77;
	settings.epoch = 5;
	policy_default(names, &policy);
	policy.generation = 9;
	policy.each = NJ_BIT(DNS);
	policy_settings(&policy, &settings);
	assert_int_equal(settings.own_tgid, 77);
	assert_int_equal(settings.epoch, 5);
	assert_int_equal(settings.generation, 9);
	assert_int_equal(settings.each, NJ_BIT(DNS));
	assert_int_equal(settings.window_ns, UPLINK_REPEAT_WINDOW_NS);
	assert_int_equal(settings.name_mask[6], 1ULL << ('s' & 63));
	assert_int_equal(settings.name_mask[5], 0);
}

static void ports_are_bits(void **state)
{
	static const uint16_t ports[] = {1, 63, 64, 65535};
	const struct uplink_policy policy = {.ports = ports, .port_count = 4};
	uint64_t words[POLICY_PORT_WORDS];

	(void)state;
	memset(words, 0xff, sizeof(words));
	policy_ports(&policy, words);
	assert_int_equal(words[0], 1ULL << 1 | 1ULL << 63);
	assert_int_equal(words[1], 1);
	assert_int_equal(words[2], 0);
	assert_int_equal(words[POLICY_PORT_WORDS - 1], 1ULL << 63);
}

static void the_nearest_cgroup_above_decides(void **state)
{
	const struct uplink_workload workloads[] = {
		{.cgroup = "/pods/a", .classes = NJ_BIT(FILE)},
		{.cgroup = "/pods/a/inner", .classes = NJ_BIT(DNS), .each = true},
		{.cgroup = "/pods/", .classes = NJ_BIT(SIGNAL)},
	};
	const struct uplink_policy policy = {.workloads = workloads, .workload_count = 3};
	struct nj_workload of;

	(void)state;
	assert_false(policy_workload(&policy, "/", &of));
	assert_false(policy_workload(&policy, "/podsy", &of));
	assert_true(policy_workload(&policy, "/pods", &of));
	assert_true(of.classes & NJ_BIT(SIGNAL));
	assert_true(policy_workload(&policy, "/pods/ab", &of));
	assert_true(of.classes & NJ_BIT(SIGNAL));
	assert_true(policy_workload(&policy, "/pods/a/x", &of));
	assert_true(of.classes & NJ_BIT(FILE));
	assert_int_equal(of.exact, 0);
	assert_true(policy_workload(&policy, "/pods/a/inner/deep/er", &of));
	assert_true(of.classes & NJ_BIT(DNS));
	assert_int_equal(of.exact, 1);
}

static void the_default_wants_nothing_whose_rate_a_program_decides(void **state)
{
	static const char *const names[] = {"a", "b", NULL};
	struct uplink_policy policy;

	(void)state;
	policy_default(NULL, &policy);
	assert_int_equal(policy.open_name_count, 0);
	policy_default(names, &policy);
	assert_int_equal(policy.open_name_count, 2);
	assert_false(policy.open_all);
	assert_int_equal(policy.classes & (NJ_BIT(MESSAGE) | NJ_BIT(SIGNAL) | NJ_BIT(MEMORY) |
					   NJ_BIT(SPLICE)),
			 0);
	assert_int_equal(policy.classes & NJ_BIT(FILE), NJ_BIT(FILE));
}

#define ITEM(text)                                                                                 \
	{                                                                                          \
		(char *[]){(char *)(uintptr_t)(text)}, 1                                           \
	}

static struct uplink_policy *asked(const struct capture_options *options, bool alone)
{
	struct uplink_policy *policy = NULL;

	assert_int_equal(policy_asked(options, alone, &policy), 0);
	return policy;
}

static void what_options_ask_for_comes_on_top_of_the_default(void **state)
{
	_cleanup_(uplink_policy_freep) struct uplink_policy *bare =
		asked(&(struct capture_options){0}, false);
	_cleanup_(uplink_policy_freep) struct uplink_policy *more = asked(
		&(struct capture_options){.classes = ITEM("signal"), .open_prefixes = ITEM("/etc")},
		false);
	struct uplink_policy policy;

	(void)state;
	policy_default(NULL, &policy);
	assert_int_equal(bare->classes, policy.classes);
	assert_int_equal(bare->open_prefix_count, 0);
	assert_int_equal(more->classes, policy.classes | NJ_BIT(SIGNAL));
	assert_string_equal(more->open_prefixes[0], "/etc");
	assert_null(more->open_prefixes[1]);
}

static void alone_options_ask_for_what_they_name_or_for_everything(void **state)
{
	_cleanup_(uplink_policy_freep) struct uplink_policy *bare =
		asked(&(struct capture_options){0}, true);
	_cleanup_(uplink_policy_freep) struct uplink_policy *ports =
		asked(&(struct capture_options){.ports = ITEM("53")}, true);
	_cleanup_(uplink_policy_freep) struct uplink_policy *opens =
		asked(&(struct capture_options){.open_all = true, .each = ITEM("file")}, true);

	(void)state;
	assert_int_equal(bare->classes, POLICY_ALL);
	assert_int_equal(ports->classes, NJ_BIT(MESSAGE));
	assert_int_equal(ports->ports[0], 53);
	assert_int_equal(opens->classes, NJ_BIT(FILE));
	assert_int_equal(opens->each, NJ_BIT(FILE));
	assert_true(opens->open_all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_that_no_file_can_have_is_refused),
		cmocka_unit_test(a_name_is_padded_with_zeros),
		cmocka_unit_test(a_path_that_is_not_absolute_or_too_long_is_refused),
		cmocka_unit_test(a_path_ends_at_a_component),
		cmocka_unit_test(only_the_calls_of_wanted_classes_are_looked_at),
		cmocka_unit_test(a_call_of_several_classes_is_looked_at_for_each),
		cmocka_unit_test(process_life_and_tcp_are_always_wanted),
		cmocka_unit_test(what_any_workload_wants_is_captured),
		cmocka_unit_test(a_class_that_this_build_does_not_know_is_left_out),
		cmocka_unit_test(each_word_of_a_policy_has_its_flag),
		cmocka_unit_test(settings_of_others_stay),
		cmocka_unit_test(ports_are_bits),
		cmocka_unit_test(the_nearest_cgroup_above_decides),
		cmocka_unit_test(the_default_wants_nothing_whose_rate_a_program_decides),
		cmocka_unit_test(what_options_ask_for_comes_on_top_of_the_default),
		cmocka_unit_test(alone_options_ask_for_what_they_name_or_for_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
