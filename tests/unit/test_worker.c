/* Determinism: the same batches through one thread and through several, and their recordings
 * through a replay, give the same alerts, byte for byte. */
#include "tests/unit/story.h"

#include <pthread.h>
#include <unistd.h>

#include "collector/options.h"
#include "collector/replay.h"
#include "collector/worker.h"
#include "common/proto_json.h"

#define NODES	  6
#define ALERT_MAX 64
#define BATCH	  16

struct run {
	struct metrics *metrics;
	struct nodes *nodes;
	char path[64]; /* of the recording */
	pthread_mutex_t lock;
	int count;
	int need_epoch;
	char *lines[ALERT_MAX];
};

static void on_alert(void *ctx, struct alert *alert)
{
	struct run *r = (struct run *)ctx;
	_cleanup_buf_ struct buf line = {0};

	/* What a replay leaves out. */
	alert->msg.timing->received_ns = alert->msg.timing->detected_ns = 0;
	if (proto_json_write(&line, &alert->msg.base) < 0)
		abort();
	alert_free(alert);
	(void)pthread_mutex_lock(&r->lock);
	if (r->count == ALERT_MAX)
		abort();
	r->lines[r->count++] = strdup(buf_text(&line));
	(void)pthread_mutex_unlock(&r->lock);
}

static void on_room_again(void *ctx)
{
	(void)ctx;
}

static void on_need_epoch(void *ctx, struct node *node)
{
	(void)node;
	((struct run *)ctx)->need_epoch++;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A shell to an outside party and a scan of thirty addresses on every node. */
static struct story *tell(unsigned int number)
{
	struct story *s = story_new();
	struct peer away = {.cookie = 77, .ip = "198.51.100.7", .port = 4444};
	struct actor *sshd = story_start(s, NULL, "/usr/sbin/cron", ARGS("cron"), FDS());
	struct actor *sh = story_fork(s, sshd);
	unsigned int i;

	story_wait(s, number * 1000ULL);
	story_connected(s, sh, &away);
	story_exec(s, sh, "/usr/bin/bash", ARGS("bash", "-i"),
		   FDS(tcp(0, &away), tcp(1, &away), tcp(2, &away)));
	for (i = 0; i < 30; i++) {
		struct peer p = {.cookie = 1000 + i, .port = 22};
		char ip[32];

		(void)snprintf(ip, sizeof(ip), "10.9.%u.%u", number, i + 1);
		p.ip = arena_strdup(s->arena, ip);
		story_connect(s, sh, &p);
		story_close(s, sh, &p, -111);
	}
	return s;
}

static struct intake_item *make_item(struct run *r, const char *name, struct bytes message)
{
	struct intake_item *item = calloc(1, sizeof(*item) + message.len);

	assert_non_null(item);
	item->kind = INTAKE_BATCH;
	item->node = nodes_get(r->nodes, "test", name);
	(void)snprintf(item->boot_id, sizeof(item->boot_id), "boot-1");
	item->received_ns = 12345;
	item->len = message.len;
	memcpy(item->message, message.data, message.len);
	return item;
}

static void submit_events(struct run *r, struct workers *w, struct wire_encoder *enc, struct story *s,
			  const char *name, uint32_t from, uint64_t seq)
{
	const struct wire_batch_head head = {.seq = seq, .wall_offset_ns = STORY_WALL};
	_cleanup_buf_ struct buf message = {0};
	uint32_t i;

	wire_encode_begin(enc);
	for (i = from; i < s->event_count && i < from + BATCH; i++) {
		s->events[i].seq = i + 1;
		assert_int_equal(wire_encode_event(enc, &s->events[i]), 0);
	}
	if (from == 0)
		wire_encode_loss(enc, &(struct loss){LOSS_REASON_RING, "file", 150});
	assert_int_equal(wire_encode_end(enc, &head, &message), 0);
	workers_submit(w, make_item(r, name, buf_bytes(&message)));
}

/* As intake passes it on: the node cannot see all of what is wanted. */
static void submit_hello(struct run *r, struct workers *w, const char *name)
{
	Nightjar__V1__AgentMessage message = NIGHTJAR__V1__AGENT_MESSAGE__INIT;
	Nightjar__V1__Hello hello = NIGHTJAR__V1__HELLO__INIT;
	Nightjar__V1__Coverage row = NIGHTJAR__V1__COVERAGE__INIT, *rows[] = {&row};
	char *wanted[] = {(char *)(uintptr_t) "file"};
	struct intake_item *item;
	uint8_t packed[256];

	row.class_ = (char *)(uintptr_t) "file";
	row.state = (char *)(uintptr_t) "missing";
	hello.coverage = rows;
	hello.n_coverage = 1;
	hello.wanted = wanted;
	hello.n_wanted = 1;
	message.body_case = NIGHTJAR__V1__AGENT_MESSAGE__BODY_HELLO;
	message.hello = &hello;
	assert_true(nightjar__v1__agent_message__get_packed_size(&message) <= sizeof(packed));
	item = make_item(r, name,
			 bytes_of(packed, nightjar__v1__agent_message__pack(&message, packed)));
	item->kind = INTAKE_HELLO;
	item->received_ns = 777000000;
	workers_submit(w, item);
}

static void feed_all(struct run *r, struct workers *w)
{
	struct wire_encoder *encoders[NODES];
	struct story *stories[NODES];
	uint64_t wall = 0;
	uint32_t from;
	unsigned int i;

	for (i = 0; i < NODES; i++) {
		encoders[i] = wire_encoder_new(4096);
		stories[i] = tell(i);
	}
	for (from = 0; from < stories[0]->event_count; from += BATCH)
		for (i = 0; i < NODES; i++) {
			char name[16];

			(void)snprintf(name, sizeof(name), "node-%u", i);
			if (from == BATCH)
				submit_hello(r, w, name);
			submit_events(r, w, encoders[i], stories[i], name, from, from / BATCH + 1);
			wall = STORY_WALL + stories[i]->now_ns;
		}
	for (i = 0; i < NODES; i++) {
		struct intake_item *item;
		char name[16];

		/* Time goes on everywhere: what waits behind the watermark is handled. */
		(void)snprintf(name, sizeof(name), "node-%u", i);
		item = make_item(r, name, (struct bytes){0});
		item->kind = INTAKE_HEARTBEAT;
		item->wall_ns = wall + 10 * STAGE2_LATE_NS;
		workers_submit(w, item);
		wire_encoder_free(encoders[i]);
		story_free(stories[i]);
	}
}

static struct run *run_with(unsigned int stage1_threads, unsigned int stage2_threads)
{
	struct run *r = calloc(1, sizeof(*r));
	struct workers_config config = {.stage1_threads = stage1_threads,
					.stage2_threads = stage2_threads,
					.queue_batches = 4,
					.shard_nodes = 8,
					.alert = on_alert,
					.room_again = on_room_again,
					.need_epoch = on_need_epoch,
					.ctx = r};
	struct detect_options detect;
	struct workers *w = NULL;
	int fd;

	assert_non_null(r);
	(void)pthread_mutex_init(&r->lock, NULL);
	r->metrics = metrics_new();
	r->nodes = nodes_new(64, r->metrics);
	(void)snprintf(r->path, sizeof(r->path), "/tmp/nj-worker-XXXXXX");
	fd = mkstemp(r->path);
	assert_true(fd >= 0);
	(void)close(fd);
	detect_options_default(&detect);
	config.detect = &detect;
	config.metrics = r->metrics;
	assert_int_equal(recorder_new(r->path, 1 << 30, r->metrics, &config.recorder, NULL), 0);
	assert_int_equal(workers_new(&config, &w, NULL), 0);
	feed_all(r, w);
	workers_stop(w);
	workers_free(w);
	recorder_free(config.recorder);
	qsort(r->lines, (size_t)r->count, sizeof(r->lines[0]), by_text);
	return r;
}

static void run_free(struct run *r)
{
	(void)unlink(r->path);
	while (r->count > 0)
		free(r->lines[--r->count]);
	nodes_free(r->nodes);
	metrics_free(r->metrics);
	free(r);
}

static void assert_same(const struct run *a, const struct run *b)
{
	int i;

	assert_int_equal(a->count, b->count);
	for (i = 0; i < a->count; i++)
		assert_string_equal(a->lines[i], b->lines[i]);
}

/* The alerts that a replay of r's recording gives, in lines of out; sorted. */
static void replay(const struct run *r, struct run *out)
{
	char flag[128], program[] = "test", path[64] = "/tmp/nj-replay-XXXXXX";
	char *argv[] = {program, flag, NULL};
	struct options o = {0};
	const char *none = NULL;
	struct err e = {0};
	char line[65536];
	FILE *file;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	(void)snprintf(flag, sizeof(flag), "--log-path=%s", path);
	assert_int_equal(collector_options_load(2, argv, &o, &none, &e), OPT_RUN);
	if (replay_run(&o, r->path, &e) < 0)
		fail_msg("%s", e.text);
	collector_options_done(&o);
	file = fdopen(fd, "r");
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		out->lines[out->count++] = strdup(line);
	}
	(void)fclose(file);
	(void)unlink(path);
	qsort(out->lines, (size_t)out->count, sizeof(out->lines[0]), by_text);
}

static int count_rule(const struct run *r, const char *rule)
{
	char text[64];
	int n = 0;

	(void)snprintf(text, sizeof(text), "\"rule\":\"%s\"", rule);
	for (int i = 0; i < r->count; i++)
		n += strstr(r->lines[i], text) != NULL;
	return n;
}

static void the_number_of_threads_changes_no_alert(void **state)
{
	struct run *one = run_with(1, 1), *many = run_with(4, 3);

	(void)state;
	assert_true(one->count >=
		    3 * NODES); /* a shell on each, events lost, coverage, and scans */
	assert_int_equal(count_rule(one, "events_lost"), NODES);
	assert_int_equal(count_rule(one, "coverage_degraded"), NODES);
	assert_int_equal(one->need_epoch, 0);
	assert_same(one, many);
	run_free(one);
	run_free(many);
}

static void a_replay_gives_the_alerts_of_the_run_that_was_recorded(void **state)
{
	struct run *run = run_with(4, 3), *again = calloc(1, sizeof(*again)),
		   *twice = calloc(1, sizeof(*twice));

	(void)state;
	replay(run, again);
	replay(run, twice);
	assert_same(run, again);
	assert_same(again, twice);
	run_free(run);
	run_free(again);
	run_free(twice);
}

static void a_batch_that_makes_no_sense_is_counted_and_asks_for_a_new_epoch(void **state)
{
	struct run *r = calloc(1, sizeof(*r));
	struct detect_options detect;
	struct workers_config config = {.stage1_threads = 1, .stage2_threads = 1, .queue_batches = 4,
					.shard_nodes = 8, .detect = &detect, .alert = on_alert,
					.room_again = on_room_again, .need_epoch = on_need_epoch, .ctx = r};
	struct workers *w = NULL;

	(void)state;
	detect_options_default(&detect);
	r->metrics = config.metrics = metrics_new();
	r->nodes = nodes_new(4, r->metrics);
	assert_int_equal(workers_new(&config, &w, NULL), 0);
	workers_submit(w, make_item(r, "node-0", bytes_of("\xff\xff", 2)));
	workers_stop(w);
	assert_int_equal(r->need_epoch, 1);
	assert_int_equal(r->count, 0);
	workers_free(w);
	run_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_batch_that_makes_no_sense_is_counted_and_asks_for_a_new_epoch),
		cmocka_unit_test(the_number_of_threads_changes_no_alert),
		cmocka_unit_test(a_replay_gives_the_alerts_of_the_run_that_was_recorded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
