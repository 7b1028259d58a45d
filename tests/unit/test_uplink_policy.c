/* Policies as a collector sends them: what does not fit is refused as a whole, what fits comes out
 * field by field. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "nightjar/v1/agent.pb-c.h"
#include "node-agent/event_class.h"
#include "node-agent/uplink_message.h"

#define TEXT(t) ((char *)(uintptr_t)(t))

struct mailbox {
	struct uplink_policy *policy;
	uint32_t refused;
	char why[512];
};

static void on_ack(void *ctx, uint64_t seq)
{
	(void)ctx;
	(void)seq;
}

static void on_need_epoch(void *ctx)
{
	(void)ctx;
}

static void on_throttle(void *ctx, uint32_t max_in_flight)
{
	(void)ctx;
	(void)max_in_flight;
}

static void on_policy(void *ctx, struct uplink_policy *policy)
{
	struct mailbox *m = ctx;

	uplink_policy_free(m->policy);
	m->policy = policy;
}

static void on_refused(void *ctx, uint32_t generation, const char *why)
{
	struct mailbox *m = ctx;

	m->refused = generation;
	(void)snprintf(m->why, sizeof(m->why), "%s", why);
}

static int take(struct mailbox *m, struct bytes message)
{
	const struct uplink_handlers handlers = {.ack = on_ack,
						 .need_epoch = on_need_epoch,
						 .policy = on_policy,
						 .refused = on_refused,
						 .throttle = on_throttle,
						 .ctx = m};

	return uplink_read(message, &handlers);
}

static uint8_t *pack(Nightjar__V1__Policy *policy, size_t *ret_size)
{
	Nightjar__V1__CollectorMessage message = NIGHTJAR__V1__COLLECTOR_MESSAGE__INIT;
	uint8_t *packed;

	message.body_case = NIGHTJAR__V1__COLLECTOR_MESSAGE__BODY_POLICY;
	message.policy = policy;
	*ret_size = nightjar__v1__collector_message__get_packed_size(&message);
	packed = malloc(*ret_size);
	(void)nightjar__v1__collector_message__pack(&message, packed);
	return packed;
}

/* Through the bytes, as it comes from a collector. */
static void send(struct mailbox *m, Nightjar__V1__Policy *policy)
{
	size_t size;
	uint8_t *packed = pack(policy, &size);

	assert_int_equal(take(m, bytes_of(packed, size)), 0);
	free(packed);
}

static void expect_refused(Nightjar__V1__Policy *policy, const char *part)
{
	struct mailbox m = {0};

	policy->generation = 4;
	send(&m, policy);
	assert_null(m.policy);
	assert_int_equal(m.refused, 4);
	assert_non_null(strstr(m.why, part));
}

static void expect_taken(Nightjar__V1__Policy *policy)
{
	struct mailbox m = {0};

	send(&m, policy);
	assert_non_null(m.policy);
	uplink_policy_free(m.policy);
}

static void names_that_are_no_single_component_are_refused(void **state)
{
	Nightjar__V1__Policy policy = NIGHTJAR__V1__POLICY__INIT;
	char longest[UPLINK_NAME_BYTES + 2], *names[] = {longest};

	(void)state;
	memset(longest, 'n', sizeof(longest));
	longest[UPLINK_NAME_BYTES] = '\0';
	policy.open_names = names;
	policy.n_open_names = 1;
	expect_taken(&policy);
	longest[UPLINK_NAME_BYTES] = 'n';
	longest[UPLINK_NAME_BYTES + 1] = '\0';
	expect_refused(&policy, "is no file name of 1 to 63 bytes");
	names[0] = TEXT("");
	expect_refused(&policy, "\"\" is no file name");
	names[0] = TEXT("ssh/id_rsa");
	expect_refused(&policy, "\"ssh/id_rsa\" is no file name");
}

static void prefixes_and_cgroups_that_are_not_absolute_are_refused(void **state)
{
	Nightjar__V1__Policy policy = NIGHTJAR__V1__POLICY__INIT;
	Nightjar__V1__WorkloadPolicy workload = NIGHTJAR__V1__WORKLOAD_POLICY__INIT,
				     *workloads[] = {&workload};
	char *prefixes[] = {TEXT("etc/")};

	(void)state;
	policy.open_prefixes = prefixes;
	policy.n_open_prefixes = 1;
	expect_refused(&policy, "\"etc/\" is no path prefix");
	prefixes[0] = TEXT("/");
	expect_taken(&policy);
	policy.workloads = workloads;
	policy.n_workloads = 1;
	expect_refused(&policy, "\"\" is no cgroup");
	workload.cgroup = TEXT("/a");
	expect_taken(&policy);
}

static void ports_that_are_none_are_refused(void **state)
{
	Nightjar__V1__Policy policy = NIGHTJAR__V1__POLICY__INIT;
	uint32_t ports[UPLINK_PORTS_MAX + 1];

	(void)state;
	for (size_t i = 0; i <= UPLINK_PORTS_MAX; i++)
		ports[i] = 53;
	policy.ports = ports;
	policy.n_ports = UPLINK_PORTS_MAX;
	expect_taken(&policy);
	policy.n_ports++;
	expect_refused(&policy, "257 times a port, more than 256");
	policy.n_ports = 1;
	ports[0] = 65536;
	expect_refused(&policy, "65536 is no port");
	ports[0] = 0;
	expect_refused(&policy, "0 is no port");
}

static void more_than_the_caps_is_refused(void **state)
{
	Nightjar__V1__Policy policy = NIGHTJAR__V1__POLICY__INIT;
	Nightjar__V1__WorkloadPolicy workload = NIGHTJAR__V1__WORKLOAD_POLICY__INIT;
	Nightjar__V1__WorkloadPolicy *workloads[UPLINK_WORKLOADS_MAX + 1];
	char *texts[UPLINK_NAMES_MAX + 1];

	(void)state;
	workload.cgroup = TEXT("/a");
	for (size_t i = 0; i <= UPLINK_NAMES_MAX; i++)
		texts[i] = TEXT("/n") + 1;
	for (size_t i = 0; i <= UPLINK_WORKLOADS_MAX; i++)
		workloads[i] = &workload;
	policy.open_names = texts;
	policy.n_open_names = UPLINK_NAMES_MAX;
	policy.workloads = workloads;
	policy.n_workloads = UPLINK_WORKLOADS_MAX;
	expect_taken(&policy);
	policy.n_open_names++;
	expect_refused(&policy, "more than 256");
	policy.n_open_names--;
	policy.n_workloads++;
	expect_refused(&policy, "more than 1024");
}

static void a_message_cut_at_any_byte_does_no_harm(void **state)
{
	Nightjar__V1__Policy policy = NIGHTJAR__V1__POLICY__INIT;
	Nightjar__V1__WorkloadPolicy workload = NIGHTJAR__V1__WORKLOAD_POLICY__INIT,
				     *workloads[] = {&workload};
	char *names[] = {TEXT("shadow"), TEXT("token")};
	uint32_t ports[] = {53, 443};
	uint8_t *packed;
	size_t size;

	(void)state;
	workload.cgroup = TEXT("/a");
	policy.open_names = names;
	policy.n_open_names = 2;
	policy.ports = ports;
	policy.n_ports = 2;
	policy.workloads = workloads;
	policy.n_workloads = 1;
	packed = pack(&policy, &size);
	for (size_t len = 1; len < size; len++) {
		uint8_t *cut = malloc(len);
		struct mailbox m = {0};

		memcpy(cut, packed, len);
		assert_int_equal(take(&m, bytes_of(cut, len)), -EBADMSG);
		assert_null(m.policy);
		free(cut);
	}
	for (size_t at = 0; at < size * 8; at++) {
		struct mailbox m = {0};

		packed[at / 8] ^= (uint8_t)(1 << at % 8);
		(void)take(&m, bytes_of(packed, size));
		packed[at / 8] ^= (uint8_t)(1 << at % 8);
		uplink_policy_free(m.policy);
	}
	free(packed);
}

static void every_field_arrives(void **state)
{
	Nightjar__V1__Policy policy = NIGHTJAR__V1__POLICY__INIT;
	Nightjar__V1__WorkloadPolicy workload = NIGHTJAR__V1__WORKLOAD_POLICY__INIT,
				     *workloads[] = {&workload};
	char *classes[] = {TEXT("file"), TEXT("no such class"), TEXT("socket")};
	char *names[] = {TEXT("shadow"), TEXT("token")}, *prefixes[] = {TEXT("/etc/cron.d/")};
	uint32_t ports[] = {53, 65535};
	struct mailbox m = {0};

	(void)state;
	workload.cgroup = TEXT("/kubepods/a");
	workload.classes = classes;
	workload.n_classes = 1;
	workload.each = true;
	policy.generation = 9;
	policy.classes = classes;
	policy.n_classes = 3;
	policy.each = classes + 2;
	policy.n_each = 1;
	policy.open_names = names;
	policy.n_open_names = 2;
	policy.open_prefixes = prefixes;
	policy.n_open_prefixes = 1;
	policy.open_writes = policy.open_all = policy.first_bytes = true;
	policy.ports = ports;
	policy.n_ports = 2;
	policy.repeat_window_ns = 3000000000;
	policy.workloads = workloads;
	policy.n_workloads = 1;
	send(&m, &policy);
	assert_non_null(m.policy);
	assert_int_equal(m.policy->generation, 9);
	assert_int_equal(m.policy->classes, 1 << NJ_CLASS_FILE | 1 << NJ_CLASS_SOCKET);
	assert_int_equal(m.policy->each, 1 << NJ_CLASS_SOCKET);
	assert_int_equal(m.policy->open_name_count, 2);
	assert_string_equal(m.policy->open_names[0], "shadow");
	assert_string_equal(m.policy->open_names[1], "token");
	assert_null(m.policy->open_names[2]);
	assert_int_equal(m.policy->open_prefix_count, 1);
	assert_string_equal(m.policy->open_prefixes[0], "/etc/cron.d/");
	assert_null(m.policy->open_prefixes[1]);
	assert_true(m.policy->open_writes && m.policy->open_all && m.policy->first_bytes);
	assert_int_equal(m.policy->port_count, 2);
	assert_int_equal(m.policy->ports[1], 65535);
	assert_int_equal(m.policy->repeat_window_ns, 3000000000);
	assert_int_equal(m.policy->workload_count, 1);
	assert_string_equal(m.policy->workloads[0].cgroup, "/kubepods/a");
	assert_int_equal(m.policy->workloads[0].classes, 1 << NJ_CLASS_FILE);
	assert_true(m.policy->workloads[0].each);
	uplink_policy_free(m.policy);
}

static void a_window_that_is_not_said_or_is_extreme_is_set_right(void **state)
{
	static const uint64_t told[][2] = {{0, UPLINK_REPEAT_WINDOW_NS},
					   {1, UPLINK_REPEAT_WINDOW_MIN_NS},
					   {UINT64_MAX, UPLINK_REPEAT_WINDOW_MAX_NS}};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		Nightjar__V1__Policy policy = NIGHTJAR__V1__POLICY__INIT;
		struct mailbox m = {0};

		policy.repeat_window_ns = told[i][0];
		send(&m, &policy);
		assert_int_equal(m.policy->repeat_window_ns, told[i][1]);
		uplink_policy_free(m.policy);
	}
	uplink_policy_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_that_are_no_single_component_are_refused),
		cmocka_unit_test(prefixes_and_cgroups_that_are_not_absolute_are_refused),
		cmocka_unit_test(ports_that_are_none_are_refused),
		cmocka_unit_test(more_than_the_caps_is_refused),
		cmocka_unit_test(a_message_cut_at_any_byte_does_no_harm),
		cmocka_unit_test(every_field_arrives),
		cmocka_unit_test(a_window_that_is_not_said_or_is_extreme_is_set_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
