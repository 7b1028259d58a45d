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

/* One pod scans alone, which stage 1 reports; a second one adds a target. */
static void what_stage_1_has_reported_is_not_reported_again(void **state)
{
	struct heard h = {0};
	struct metrics *m = metrics_new();
	struct stage2 *s = begin(&h, m);
	uint32_t shard = stage2_shard("workload:test/shop/web");

	(void)state;
	for (unsigned int i = 0; i < 20; i++) {
		struct observation o = probe(1, i);

		if (i == 19)
			o.kind = OBSERVATION_CONNECT_EXPLAINED;
		stage2_feed(s, shard, &o);
	}
	for (unsigned int i = 21; i < 41; i += 2) {
		struct observation o = probe(2, i);

		stage2_feed(s, shard, &o);
	}
	stage2_advance(s, shard, START + SECOND);
	assert_int_equal(h.count, 0);
	/* What others do together without it is news. */
	for (unsigned int i = 42; i < 62; i += 2) {
		struct observation o = probe(1, i);

		o.session = 77;
		stage2_feed(s, shard, &o);
	}
	stage2_advance(s, shard, START + 2 * SECOND);
	assert_int_equal(h.count, 1);
	forget(&h);
	stage2_free(s);
	metrics_free(m);
}

static void sessions_of_one_container_are_different_sources(void **state)
{
	struct heard h = {0};
	struct metrics *m = metrics_new();
	struct stage2 *s = begin(&h, m);

	(void)state;
	for (unsigned int i = 0; i < 20; i++) {
		struct observation o = probe(1, i);

		o.session = i + 1;
		stage2_feed(s, 0, &o);
	}
	stage2_advance(s, 0, START + SECOND);
	assert_int_equal(h.count, 1);
	forget(&h);
	stage2_free(s);
	metrics_free(m);
}

struct lookup {
	const char *name;
	uint64_t value;
};

static void look(void *ctx, const char *name, uint64_t value)
{
	struct lookup *l = ctx;

	if (strcmp(name, l->name) == 0)
		l->value = value;
}

static uint64_t evictions(const struct metrics *m, const char *name)
{
	struct lookup l = {.name = name};

	metrics_each(m, look, &l);
	return l.value;
}

static void what_makes_room_is_counted(void **state)
{
	struct heard h = {0};
	struct metrics *m = metrics_new();
	struct stage2 *s = begin(&h, m);

	(void)state;
	for (unsigned int i = 0; i < 600; i++) {
		struct observation o = probe(1, i);

		o.remote_port = (uint16_t)(i + 1);
		o.remote_ip[2] = (uint8_t)(i / 250);
		stage2_feed(s, 0, &o);
	}
	stage2_advance(s, 0, START + SECOND);
	for (unsigned int i = 0; i < 300; i++) {
		struct observation o = probe(1, 600 + i);

		(void)snprintf(o.key, sizeof(o.key), "workload:test/shop/web-%u", i);
		stage2_feed(s, 0, &o);
	}
	stage2_advance(s, 0, START + SECOND);
	assert_int_equal(
		evictions(m, "nightjar_state_evicted_total{table=\"scan_workload_targets\"}"),
		600 - 512);
	assert_int_equal(evictions(m, "nightjar_state_evicted_total{table=\"scan_workloads\"}"),
			 301 - 256);
	forget(&h);
	stage2_free(s);
	metrics_free(m);
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
		cmocka_unit_test(what_stage_1_has_reported_is_not_reported_again),
		cmocka_unit_test(sessions_of_one_container_are_different_sources),
		cmocka_unit_test(what_makes_room_is_counted),
		cmocka_unit_test(a_flood_is_handled_early_and_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
