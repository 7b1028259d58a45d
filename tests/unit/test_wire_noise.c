/* Batches with every field set, spoiled at random: whatever is decoded all the same keeps what
 * common/event.h promises, can be shown as JSON and encoded again, and the tables are never harmed.
 * The other messages of the stream are spoiled the same way. Always the same random numbers. */
#include "tests/unit/wire_sample.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "collector/stage1.h"
#include "common/event_json.h"
#include "common/wire.h"
#include "common/wire_check.h"
#include "nightjar/v1/agent.pb-c.h"
#include "node-agent/uplink_message.h"
#include "collector/detect/detect.h"

#define ROUNDS 6000

struct noise {
	uint64_t state;
};

static uint32_t next(struct noise *n, uint32_t below)
{
	n->state = n->state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)((n->state >> 33) % below);
}

/* A few bytes changed, a piece moved over another, or the end cut off. Returns the new length. */
static size_t spoil(struct noise *n, uint8_t *data, size_t len)
{
	uint32_t size = (uint32_t)len, from, to, count;

	switch (next(n, 4)) {
	case 0:
		return next(n, size);
	case 1:
		count = 1 + next(n, 32);
		from = next(n, size);
		to = next(n, size);
		count = from + count > size ? size - from : count;
		count = to + count > size ? size - to : count;
		memmove(data + to, data + from, count);
		return len;
	default:
		for (count = 1 + next(n, 4); count > 0; count--)
			data[next(n, size)] = (uint8_t)next(n, 256);
		return len;
	}
}

/* ---- what a decoder promises ---- */

static size_t text_len(const char *text)
{
	assert_non_null(text);
	return strlen(text);
}

static size_t touch(struct bytes data)
{
	size_t sum = 0;

	for (size_t i = 0; i < data.len; i++)
		sum += data.data[i];
	return sum;
}

static size_t assert_process(const struct process_def *p)
{
	size_t sum = 0;

	assert_non_null(p);
	assert_non_null(p->container);
	assert_true(p->exec_id != 0);
	assert_true(p->arg_count <= EVENT_ARGS_MAX && p->env_count <= EVENT_ENV_MAX);
	for (uint16_t i = 0; i < p->arg_count; i++)
		sum += touch(p->args[i]);
	for (uint16_t i = 0; i < p->env_count; i++)
		sum += touch(p->env[i]);
	return sum + text_len(p->exe.path) + text_len(p->cwd) + text_len(p->comm) +
	       text_len(p->exe_raw) + text_len(p->container->cgroup) +
	       text_len(p->container->image);
}

static size_t assert_sound(const struct event *e)
{
	const struct event_detail *d = event_detail(e);
	size_t sum = assert_process(e->process) + touch(d->data);

	assert_true(e->kind < EVENT_KIND_MAX);
	assert_true(e->kind != EVENT_KIND_FORK || e->child);
	assert_true(e->endpoint_count >= event_kind_endpoints(e->kind));
	assert_true(e->endpoint_count <= EVENT_ENDPOINTS_MAX);
	assert_true(d->arg_count <= EVENT_CALL_ARGS_MAX && d->data.len <= EVENT_DATA_MAX);
	for (uint16_t i = 0; i < e->endpoint_count; i++)
		assert_true(e->endpoints[i].kind < ENDPOINT_KIND_MAX && e->endpoints[i].fd >= -1);
	if (e->child)
		sum += assert_process(e->child);
	if (d->target)
		sum += assert_process(d->target);
	return sum + text_len(e->file.path) + text_len(e->raw_path) + text_len(d->call) +
	       text_len(d->path2) + text_len(d->raw_path2) + text_len(d->text);
}

static void assert_json(const struct event *e)
{
	_cleanup_buf_ struct buf line = {0};
	json_t *parsed;

	assert_int_equal(event_json_write(e, 0, &line), 0);
	parsed = json_loadb((const char *)line.data, line.len, JSON_ALLOW_NUL, NULL);
	assert_non_null(parsed);
	json_decref(parsed);
}

/* ---- batches ---- */

struct codec {
	struct wire_encoder *enc;
	struct wire_decoder *dec;
	struct arena *arena;
};

static struct codec codec_new(void)
{
	struct codec c = {wire_encoder_new(256), wire_decoder_new(256), arena_new(16UL << 20)};

	assert_true(c.enc && c.dec && c.arena);
	return c;
}

static void codec_done(struct codec *c)
{
	wire_encoder_free(c->enc);
	wire_decoder_free(c->dec);
	arena_free(c->arena);
}

/* One event of every kind with all that it can have. */
static void encode_all(struct wire_encoder *enc, struct buf *out)
{
	const struct wire_batch_head head = {.seq = 1, .policy_generation = 3, .node = "n1"};
	const struct loss loss = {LOSS_REASON_RING, "file", 7};
	struct process_def child = sample_child();

	wire_encode_begin(enc);
	for (int kind = 1; kind < EVENT_KIND_MAX; kind++) {
		struct event event = sample_event((enum event_kind)kind, (uint64_t)kind);

		event.child = kind == EVENT_KIND_FORK ? &child : NULL;
		event.endpoint_count = kind % 3 ? 2 : event.endpoint_count;
		assert_int_equal(wire_encode_event(enc, &event), 0);
	}
	wire_encode_loss(enc, &loss);
	assert_int_equal(wire_encode_end(enc, &head, out), 0);
}

/* What a recorder does with it: every event that a decoder accepts, an encoder can write again, but
 * for kinds that are not known here and what is too large. */
static void encode_again(const struct wire_batch *batch)
{
	struct wire_encoder *enc = wire_encoder_new(65536);
	const struct wire_batch_head head = {.seq = 1, .node = ""};
	_cleanup_buf_ struct buf out = {0};
	bool begun = false;

	assert_non_null(enc);
	for (uint32_t i = 0; i < batch->event_count; i++) {
		int r;

		if (!begun)
			wire_encode_begin(enc);
		r = wire_encode_event(enc, &batch->events[i]);
		assert_true(r == 0 || r == -EINVAL || r == -E2BIG);
		assert_true(r != -EINVAL || batch->events[i].kind == 0 || batch->events[i].child);
		begun = r == 0;
	}
	if (begun)
		assert_int_equal(wire_encode_end(enc, &head, &out), 0);
	wire_encoder_free(enc);
}

static void spoiled_batches_decode_to_sound_events_or_not_at_all(void **state)
{
	struct codec c = codec_new();
	struct noise n = {42};
	_cleanup_buf_ struct buf whole = {0};
	size_t decoded = 0, sum = 0;

	(void)state;
	encode_all(c.enc, &whole);
	for (int round = 0; round < ROUNDS; round++) {
		uint8_t *bad = malloc(whole.len);
		struct wire_batch batch = {0};
		size_t len;
		int r;

		memcpy(bad, whole.data, whole.len);
		len = spoil(&n, bad, whole.len);
		bad = realloc(bad, len ? len : 1); /* a read past the end is seen */
		arena_reset(c.arena);
		r = wire_decode_batch(c.dec, bytes_of(bad, len), c.arena, &batch);
		assert_true(r == 0 || r == -EBADMSG || r == -ENOMSG || r == -ESTALE);
		for (uint32_t i = 0; i < batch.event_count; i++)
			sum += assert_sound(&batch.events[i]);
		if (batch.event_count > 0 && decoded++ % 16 == 0) {
			encode_again(&batch);
			assert_json(&batch.events[next(&n, batch.event_count)]);
		}
		free(bad);
	}
	assert_in_range(decoded, ROUNDS / 20, ROUNDS); /* the noise is neither deaf nor deadly */
	assert_true(sum > 0);
	arena_reset(c.arena);
	{
		struct wire_batch batch = {0};

		assert_int_equal(wire_decode_batch(c.dec, buf_bytes(&whole), c.arena, &batch), 0);
		assert_int_equal(batch.event_count, EVENT_KIND_MAX - 1);
	}
	codec_done(&c);
}

/* ---- the other messages ---- */

#define TEXT(text) ((char *)(uintptr_t)(text))

static void pack_hello(struct buf *out)
{
	Nightjar__V1__AgentMessage message = NIGHTJAR__V1__AGENT_MESSAGE__INIT;
	Nightjar__V1__Hello hello = NIGHTJAR__V1__HELLO__INIT;
	Nightjar__V1__Coverage row = NIGHTJAR__V1__COVERAGE__INIT, *rows[] = {&row, &row};
	char *wanted[] = {TEXT("file"), TEXT("mount")};
	uint8_t *room;

	row.class_ = TEXT("file");
	row.state = TEXT("degraded");
	row.reason = TEXT("no hook");
	hello.cluster = TEXT("c");
	hello.node = TEXT("n1");
	hello.boot_id = TEXT("b");
	hello.kernel = TEXT("6.1.0");
	hello.agent_version = TEXT("1");
	hello.coverage = rows;
	hello.n_coverage = 2;
	hello.resume_seq = 5;
	hello.wanted = wanted;
	hello.n_wanted = 2;
	message.body_case = NIGHTJAR__V1__AGENT_MESSAGE__BODY_HELLO;
	message.hello = &hello;
	room = buf_extend(out, nightjar__v1__agent_message__get_packed_size(&message));
	assert_non_null(room);
	(void)nightjar__v1__agent_message__pack(&message, room);
}

static void count_alert(void *ctx, struct alert *alert)
{
	++*(uint32_t *)ctx;
	assert_non_null(alert->msg.id);
	alert_free(alert);
}

static void spoiled_hellos_do_the_detection_no_harm(void **state)
{
	uint32_t alerts = 0;
	const struct stage1_out out = {.alert = count_alert, .ctx = &alerts};
	const struct node_ref node = {"c", "n1", "b"};
	struct metrics *metrics = metrics_new();
	struct detect_options options;
	struct stage1 *stage1;
	struct noise n = {7};
	_cleanup_buf_ struct buf whole = {0};

	(void)state;
	detect_options_default(&options);
	stage1 = stage1_new(&options, &out, metrics);
	pack_hello(&whole);
	for (int round = 0; round < ROUNDS; round++) {
		uint8_t *bad = malloc(whole.len);
		size_t len;

		memcpy(bad, whole.data, whole.len);
		len = spoil(&n, bad, whole.len);
		bad = realloc(bad, len ? len : 1);
		stage1_control(stage1, 0, &node, (uint64_t)round, bytes_of(bad, len));
		free(bad);
	}
	assert_true(alerts > 1);
	stage1_free(stage1);
	metrics_free(metrics);
}

struct heard {
	uint32_t acks, epochs, policies, refused, throttles;
};

static void hear_ack(void *ctx, uint64_t seq)
{
	(void)seq;
	((struct heard *)ctx)->acks++;
}

static void hear_epoch(void *ctx)
{
	((struct heard *)ctx)->epochs++;
}

static void hear_policy(void *ctx, struct uplink_policy *policy)
{
	((struct heard *)ctx)->policies++;
	assert_true(policy->open_name_count <= UPLINK_NAMES_MAX);
	for (size_t i = 0; i < policy->open_name_count; i++)
		assert_in_range(text_len(policy->open_names[i]), 1, UPLINK_NAME_BYTES);
	for (size_t i = 0; i < policy->workload_count; i++)
		assert_in_range(text_len(policy->workloads[i].cgroup), 1, UPLINK_CGROUP_BYTES);
	assert_in_range(policy->repeat_window_ns, UPLINK_REPEAT_WINDOW_MIN_NS,
			UPLINK_REPEAT_WINDOW_MAX_NS);
	uplink_policy_free(policy);
}

static void hear_refusal(void *ctx, uint32_t generation, const char *why)
{
	(void)generation;
	assert_true(text_len(why) > 0);
	((struct heard *)ctx)->refused++;
}

static void hear_throttle(void *ctx, uint32_t max_in_flight)
{
	(void)max_in_flight;
	((struct heard *)ctx)->throttles++;
}

static void pack_policy(struct buf *out)
{
	Nightjar__V1__CollectorMessage message = NIGHTJAR__V1__COLLECTOR_MESSAGE__INIT;
	Nightjar__V1__Policy policy = NIGHTJAR__V1__POLICY__INIT;
	Nightjar__V1__WorkloadPolicy workload = NIGHTJAR__V1__WORKLOAD_POLICY__INIT,
				     *workloads[] = {&workload};
	char *classes[] = {TEXT("file"), TEXT("dns")}, *names[] = {TEXT("shadow"), TEXT("token")};
	char *prefixes[] = {TEXT("/etc/")};
	uint32_t ports[] = {53, 443};
	uint8_t *room;

	workload.cgroup = TEXT("/kubepods/a");
	workload.classes = classes;
	workload.n_classes = 2;
	policy.generation = 7;
	policy.classes = policy.each = classes;
	policy.n_classes = policy.n_each = 2;
	policy.open_names = names;
	policy.n_open_names = 2;
	policy.open_prefixes = prefixes;
	policy.n_open_prefixes = 1;
	policy.ports = ports;
	policy.n_ports = 2;
	policy.repeat_window_ns = 1;
	policy.workloads = workloads;
	policy.n_workloads = 1;
	message.body_case = NIGHTJAR__V1__COLLECTOR_MESSAGE__BODY_POLICY;
	message.policy = &policy;
	room = buf_extend(out, nightjar__v1__collector_message__get_packed_size(&message));
	assert_non_null(room);
	(void)nightjar__v1__collector_message__pack(&message, room);
}

static void spoiled_policies_are_refused_or_within_their_bounds(void **state)
{
	struct heard heard = {0};
	const struct uplink_handlers handlers = {.ack = hear_ack,
						 .need_epoch = hear_epoch,
						 .policy = hear_policy,
						 .refused = hear_refusal,
						 .throttle = hear_throttle,
						 .ctx = &heard};
	struct noise n = {99};
	_cleanup_buf_ struct buf whole = {0};
	uint32_t bad_messages = 0;

	(void)state;
	pack_policy(&whole);
	for (int round = 0; round < 4 * ROUNDS; round++) {
		uint8_t *bad = malloc(whole.len);
		size_t len;

		memcpy(bad, whole.data, whole.len);
		len = spoil(&n, bad, whole.len);
		bad = realloc(bad, len ? len : 1);
		bad_messages += uplink_read(bytes_of(bad, len), &handlers) < 0;
		free(bad);
	}
	assert_true(bad_messages > 100);
	assert_true(heard.policies > 100);
	assert_true(heard.refused > 100);
}

static void bytes_without_any_sense_are_read_by_nobody(void **state)
{
	struct codec c = codec_new();
	struct heard heard = {0};
	const struct uplink_handlers handlers = {.ack = hear_ack,
						 .need_epoch = hear_epoch,
						 .policy = hear_policy,
						 .refused = hear_refusal,
						 .throttle = hear_throttle,
						 .ctx = &heard};
	struct noise n = {3};

	(void)state;
	for (int round = 0; round < 4 * ROUNDS; round++) {
		size_t len = next(&n, 200);
		uint8_t *data = malloc(len ? len : 1);
		struct wire_batch batch = {0};
		int r;

		for (size_t i = 0; i < len; i++)
			data[i] = (uint8_t)next(&n, 256);
		arena_reset(c.arena);
		r = wire_decode_batch(c.dec, bytes_of(data, len), c.arena, &batch);
		assert_true(r == -EBADMSG || r == -ENOMSG || r == -ESTALE ||
			    batch.event_count == 0);
		(void)!uplink_read(bytes_of(data, len), &handlers);
		free(data);
	}
	assert_int_equal(heard.policies, 0);
	codec_done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spoiled_batches_decode_to_sound_events_or_not_at_all),
		cmocka_unit_test(spoiled_hellos_do_the_detection_no_harm),
		cmocka_unit_test(spoiled_policies_are_refused_or_within_their_bounds),
		cmocka_unit_test(bytes_without_any_sense_are_read_by_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
