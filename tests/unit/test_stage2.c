/* Scans shared by pods and nodes, in any order of arrival. */
#include "tests/unit/unit.h"

#include <stdio.h>

#include "collector/detect/detect.h"
#include "collector/stage2.h"

#define SECOND 1000000000ULL
#define START  (1000 * SECOND)

struct heard {
	struct alert *alerts[32];
	uint32_t count;
};

static void on_alert(void *ctx, struct alert *alert)
{
	struct heard *h = ctx;

	assert_true(h->count < 32);
	h->alerts[h->count++] = alert;
}

static void forget(struct heard *h)
{
	for (uint32_t i = 0; i < h->count; i++)
		alert_free(h->alerts[i]);
	h->count = 0;
}

static struct observation probe(unsigned int pods, unsigned int i)
{
	struct observation o = {.kind = OBSERVATION_CONNECT_ATTEMPT,
				.wall_ns = START + i * 1000,
				.seq = i,
				.family = 2,
				.remote_port = 22,
				.exec_id = 7,
				.pid = 9};

	(void)snprintf(o.key, sizeof(o.key), "workload:test/shop/web");
	(void)snprintf(o.cluster, sizeof(o.cluster), "test");
	(void)snprintf(o.node, sizeof(o.node), "node-%u", i % pods);
	(void)snprintf(o.container_id, sizeof(o.container_id), "%u", i % pods);
	(void)snprintf(o.namespace, sizeof(o.namespace), "shop");
	(void)snprintf(o.workload, sizeof(o.workload), "web");
	o.remote_ip[0] = 10;
	o.remote_ip[3] = (uint8_t)(i + 1);
	return o;
}

static struct stage2 *begin(struct heard *h, struct metrics *m)
{
	struct detect_options options;
	struct stage2 *s;

	detect_options_default(&options);
	s = stage2_new(&options, on_alert, h, m);
	assert_non_null(s);
	return s;
}

/* Feeds n probes of that many pods, the first one as number first, then round. */
static void run(struct heard *h, unsigned int pods, unsigned int n, unsigned int first)
{
	struct metrics *m = metrics_new();
	struct stage2 *s = begin(h, m);

	for (unsigned int i = 0; i < n; i++) {
		struct observation o = probe(pods, (first + i * 7) % n);

		stage2_feed(s, stage2_shard(o.key), &o);
	}
	assert_int_equal(h->count, 0);
	stage2_advance(s, stage2_shard("workload:test/shop/web"), START + SECOND);
	stage2_free(s);
	metrics_free(m);
}

static void freeing_nothing_is_allowed(void **state)
{
	(void)state;
	stage2_free(NULL);
}

static void one_pod_alone_is_stage_1_s_matter(void **state)
{
	struct heard h = {0};

	(void)state;
	run(&h, 1, 60, 0);
	assert_int_equal(h.count, 0);
}

static void fewer_targets_are_silent(void **state)
{
	struct heard h = {0};

	(void)state;
	run(&h, 3, 19, 0);
	assert_int_equal(h.count, 0);
}

static void pods_that_scan_together_are_one_alert(void **state)
{
	struct heard h = {0};

	(void)state;
	run(&h, 4, 24, 0);
	assert_int_equal(h.count, 1);
	assert_string_equal(h.alerts[0]->msg.workload, "web");
	assert_string_equal(h.alerts[0]->msg.rule, "lateral_scan");
	assert_int_equal(h.alerts[0]->msg.count, 20);
	forget(&h);
}

static void the_order_of_arrival_changes_nothing(void **state)
{
	uint8_t packed[2][4096];
	size_t len[2];

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		struct heard h = {0};

		run(&h, 4, 24, i * 11);
		assert_int_equal(h.count, 1);
		assert_true(nightjar__v1__alert__get_packed_size(&h.alerts[0]->msg) <=
			    sizeof(packed[i]));
		len[i] = nightjar__v1__alert__pack(&h.alerts[0]->msg, packed[i]);
		forget(&h);
	}
	assert_int_equal(len[0], len[1]);
	assert_memory_equal(packed[0], packed[1], len[0]);
}

/* More than can wait: the earliest are handled before their time, and counted; none is lost. */
static void a_flood_is_handled_early_and_counted(void **state)
{
	struct heard h = {0};
	struct metrics *m = metrics_new();
	struct stage2 *s = begin(&h, m);

	(void)state;
	for (unsigned int i = 0; i < 1100; i++) {
		struct observation o = probe(4, i);

		o.remote_ip[3] = (uint8_t)(i % 24 + 1);
		stage2_feed(s, 0, &o);
	}
	assert_int_equal(h.count, 1);
	forget(&h);
	stage2_free(s);
	metrics_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(freeing_nothing_is_allowed),
		cmocka_unit_test(one_pod_alone_is_stage_1_s_matter),
		cmocka_unit_test(fewer_targets_are_silent),
		cmocka_unit_test(pods_that_scan_together_are_one_alert),
		cmocka_unit_test(the_order_of_arrival_changes_nothing),
		cmocka_unit_test(a_flood_is_handled_early_and_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
