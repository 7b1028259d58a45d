/* Both directions of the wire: what protobuf-c reads of the encoder's bytes, what the decoder makes
 * of them, and what it makes of bytes that nobody honest sent. */
#include "tests/unit/wire_sample.h"

#include <errno.h>
#include <stdlib.h>

#include "common/wire.h"
#include "common/wire_check.h"
#include "nightjar/v1/agent.pb-c.h"

struct pair {
	struct wire_encoder *enc;
	struct wire_decoder *dec;
	struct arena *arena;
	struct buf message;
	uint64_t seq;
};

static int set_up(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));

	p->enc = wire_encoder_new(64);
	p->dec = wire_decoder_new(64);
	p->arena = arena_new(16UL << 20);
	*state = p;
	return p->enc && p->dec && p->arena ? 0 : -1;
}

static int tear_down(void **state)
{
	struct pair *p = *state;

	wire_encoder_free(p->enc);
	wire_decoder_free(p->dec);
	arena_free(p->arena);
	buf_done(&p->message);
	free(p);
	return 0;
}

static void end_batch(struct pair *p)
{
	const struct wire_batch_head head = {
		.seq = ++p->seq, .wall_offset_ns = -5, .policy_generation = 3, .node = "n1"};

	buf_clear(&p->message);
	assert_int_equal(wire_encode_end(p->enc, &head, &p->message), 0);
}

/* Encodes one batch of these events into p->message. */
static void encode(struct pair *p, const struct event *events, size_t count)
{
	wire_encode_begin(p->enc);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(wire_encode_event(p->enc, &events[i]), 0);
	end_batch(p);
}

static int decode(struct pair *p, struct wire_batch *ret_batch)
{
	arena_reset(p->arena);
	return wire_decode_batch(p->dec, buf_bytes(&p->message), p->arena, ret_batch);
}

static struct event complete_event(enum event_kind kind, uint64_t seq, const struct process_def *child)
{
	struct event event = sample_event(kind, seq);

	if (kind == EVENT_KIND_FORK)
		event.child = child;
	return event;
}

/* ---- what must be refused ---- */

static void a_batch_of_an_epoch_that_was_never_opened_is_stale(void **state)
{
	struct pair *p = *state;
	struct event event = sample_event(EVENT_KIND_EXEC, 1);
	struct wire_batch batch = {0};

	encode(p, &event, 1);
	event.seq = 2;
	encode(p, &event, 1);
	assert_int_equal(decode(p, &batch), -ESTALE);
	assert_null(batch.events);
	assert_int_equal(batch.event_count, 0);
}

static void a_batch_cut_at_any_byte_changes_nothing(void **state)
{
	struct pair *p = *state;
	const struct event first = sample_event(EVENT_KIND_EXEC, 1);
	struct process_def child = sample_child();
	const struct event second = complete_event(EVENT_KIND_FORK, 2, &child);
	struct wire_batch batch = {0};

	encode(p, &first, 1);
	assert_int_equal(decode(p, &batch), 0);
	encode(p, &second, 1);
	for (size_t len = 0; len < p->message.len; len++) {
		/* A copy of its own, so that a read past the end is seen. */
		uint8_t *cut = malloc(len + 1);
		struct wire_batch_head head;
		int r;

		memcpy(cut, p->message.data, len);
		cut = realloc(cut, len ? len : 1);
		arena_reset(p->arena);
		r = wire_decode_batch(p->dec, bytes_of(cut, len), p->arena, &batch);
		assert_int_equal(r, len == 0 ? -ENOMSG : -EBADMSG);
		assert_int_equal(wire_peek_batch(bytes_of(cut, len), p->arena, &head), r);
		free(cut);
	}
	assert_int_equal(decode(p, &batch), 0);
	assert_events_equal(&batch.events[0], &second);
}

/* The tables are unharmed when the batch that follows still decodes to the event that was sent. */
static void probe_with_flipped_byte(struct pair *p, const struct buf *first, const struct buf *second,
				    size_t at, uint8_t mask, const struct event *expected)
{
	uint8_t *bad = malloc(second->len);
	struct wire_batch batch = {0};
	int r;

	arena_reset(p->arena);
	assert_int_equal(wire_decode_batch(p->dec, buf_bytes(first), p->arena, &batch), 0);
	memcpy(bad, second->data, second->len);
	bad[at] ^= mask;
	r = wire_decode_batch(p->dec, bytes_of(bad, second->len), p->arena, &batch);
	if (r < 0) {
		assert_true(r == -EBADMSG || r == -ESTALE || r == -ENOMSG);
		assert_int_equal(wire_decode_batch(p->dec, buf_bytes(second), p->arena, &batch), 0);
		assert_events_equal(&batch.events[0], expected);
	} else {
		for (uint32_t i = 0; i < batch.event_count; i++)
			assert_non_null(batch.events[i].process);
	}
	free(bad);
}

static void a_flipped_byte_never_harms_the_tables(void **state)
{
	struct pair *p = *state;
	const struct event first = sample_event(EVENT_KIND_EXEC, 1);
	struct process_def child = sample_child();
	const struct event second = complete_event(EVENT_KIND_FORK, 2, &child);
	_cleanup_buf_ struct buf opening = {0};

	encode(p, &first, 1);
	buf_add(&opening, p->message.data, p->message.len);
	encode(p, &second, 1);
	for (size_t at = 0; at < p->message.len; at++)
		for (int bit = 0; bit < 8; bit++)
			probe_with_flipped_byte(p, &opening, &p->message, at, (uint8_t)(1 << bit), &second);
	for (size_t at = 0; at < p->message.len; at++)
		probe_with_flipped_byte(p, &opening, &p->message, at, 0xff, &second);
}

static void random_bytes_are_refused(void **state)
{
	struct pair *p = *state;
	uint32_t seed = 12345;
	struct wire_batch batch;

	for (int round = 0; round < 20000; round++) {
		uint8_t noise[64];
		int r;

		for (size_t i = 0; i < sizeof(noise); i++)
			noise[i] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
		noise[0] = 0x12;
		noise[1] = sizeof(noise) - 2;
		arena_reset(p->arena);
		r = wire_decode_batch(p->dec, bytes_of(noise, sizeof(noise)), p->arena, &batch);
		assert_true(r == -EBADMSG || r == -ESTALE || r == -ENOMSG || r == 0);
	}
}

static int decode_message(struct pair *p, const Nightjar__V1__AgentMessage *message)
{
	size_t size = nightjar__v1__agent_message__get_packed_size(message);
	uint8_t *packed = malloc(size ? size : 1);
	struct wire_batch batch;
	int r;

	(void)nightjar__v1__agent_message__pack(message, packed);
	arena_reset(p->arena);
	r = wire_decode_batch(p->dec, bytes_of(packed, size), p->arena, &batch);
	free(packed);
	return r;
}

static void a_hello_is_no_batch(void **state)
{
	Nightjar__V1__AgentMessage message = NIGHTJAR__V1__AGENT_MESSAGE__INIT;
	Nightjar__V1__Hello hello = NIGHTJAR__V1__HELLO__INIT;
	struct wire_batch_head head;
	uint8_t packed[16];
	struct pair *p = *state;
	size_t size;

	message.body_case = NIGHTJAR__V1__AGENT_MESSAGE__BODY_HELLO;
	message.hello = &hello;
	size = nightjar__v1__agent_message__pack(&message, packed);
	assert_int_equal(wire_peek_batch(bytes_of(packed, size), p->arena, &head), -ENOMSG);
	assert_int_equal(decode_message(p, &message), -ENOMSG);
}

/* A batch that opens an epoch with one process and one event, for the tests to spoil. */
struct honest {
	Nightjar__V1__AgentMessage message;
	Nightjar__V1__Batch batch;
	Nightjar__V1__ProcessDef process;
	Nightjar__V1__Event event;
	Nightjar__V1__Endpoint endpoint;
	Nightjar__V1__ProcessDef *processes[1];
	Nightjar__V1__Event *events[1];
	Nightjar__V1__Endpoint *endpoints[1];
};

static void make_honest(struct honest *h)
{
	nightjar__v1__agent_message__init(&h->message);
	nightjar__v1__batch__init(&h->batch);
	nightjar__v1__process_def__init(&h->process);
	nightjar__v1__event__init(&h->event);
	nightjar__v1__endpoint__init(&h->endpoint);
	h->message.body_case = NIGHTJAR__V1__AGENT_MESSAGE__BODY_BATCH;
	h->message.batch = &h->batch;
	h->processes[0] = &h->process;
	h->events[0] = &h->event;
	h->endpoints[0] = &h->endpoint;
	h->batch.opens_epoch = 1;
	h->batch.epoch = 1;
	h->batch.n_processes = 1;
	h->batch.processes = h->processes;
	h->batch.n_events = 1;
	h->batch.events = h->events;
	h->process.id = 1;
	h->process.exec_id = 7;
	h->event.kind = NIGHTJAR__V1__EVENT_KIND__EVENT_CONNECT;
	h->event.process = 1;
	h->event.n_endpoints = 1;
	h->event.endpoints = h->endpoints;
}

#define ASSERT_REFUSED(p, spoil)                                                                   \
	do {                                                                                       \
		struct honest h;                                                                   \
		make_honest(&h);                                                                   \
		assert_int_equal(decode_message(p, &h.message), 0);                                \
		spoil;                                                                             \
		assert_int_equal(decode_message(p, &h.message), -EBADMSG);                         \
	} while (0)

static void ids_that_nothing_defines_are_refused(void **state)
{
	struct pair *p = *state;

	ASSERT_REFUSED(p, h.event.process = 0);
	ASSERT_REFUSED(p, h.event.process = 2);
	ASSERT_REFUSED(p, h.event.child = 2);
	ASSERT_REFUSED(p, h.event.path = 1);
	ASSERT_REFUSED(p, h.event.raw_path = 1);
	ASSERT_REFUSED(p, h.event.target = 2);
	ASSERT_REFUSED(p, h.event.path2 = 1);
	ASSERT_REFUSED(p, h.event.raw_path2 = 1);
	ASSERT_REFUSED(p, h.event.call = 1);
	ASSERT_REFUSED(p, h.event.text = 1);
	ASSERT_REFUSED(p, h.process.container = 1);
	ASSERT_REFUSED(p, h.process.image_of = 1);
	ASSERT_REFUSED(p, h.process.id = 2);
	ASSERT_REFUSED(p, h.process.id = 0);
	ASSERT_REFUSED(p, h.process.exec_id = 0);
}

static void values_that_do_not_fit_are_refused(void **state)
{
	static uint8_t data[EVENT_DATA_MAX + 1];
	struct pair *p = *state;
	uint64_t args[EVENT_CALL_ARGS_MAX + 1] = {0};
	uint8_t ip[5] = {0};

	ASSERT_REFUSED(p, h.event.n_endpoints = 0);
	ASSERT_REFUSED(p, h.event.kind = NIGHTJAR__V1__EVENT_KIND__EVENT_FORK);
	ASSERT_REFUSED(p, h.event.kind = NIGHTJAR__V1__EVENT_KIND__EVENT_PIPE);
	ASSERT_REFUSED(p, h.endpoint.fd = 32768);
	ASSERT_REFUSED(p, h.endpoint.fd = -2);
	ASSERT_REFUSED(p, h.endpoint.mode = 4);
	ASSERT_REFUSED(p, h.endpoint.remote_port = 65536);
	ASSERT_REFUSED(p, h.endpoint.readers = 65536);
	ASSERT_REFUSED(p, h.endpoint.remote_ip = ((ProtobufCBinaryData){sizeof(ip), ip}));
	ASSERT_REFUSED(p, h.event.data = ((ProtobufCBinaryData){sizeof(data), data}));
	ASSERT_REFUSED(p, (h.event.n_args = EVENT_CALL_ARGS_MAX + 1, h.event.args = args));
}

static void more_definitions_than_the_cap_are_refused(void **state)
{
	struct pair *p = *state;
	Nightjar__V1__ProcessDef defs[65], *list[65];
	struct honest h;

	make_honest(&h);
	for (uint32_t i = 0; i < 65; i++) {
		defs[i] = h.process;
		defs[i].id = i + 1;
		list[i] = &defs[i];
	}
	h.batch.processes = list;
	h.batch.n_processes = 64;
	assert_int_equal(decode_message(p, &h.message), 0);
	h.batch.n_processes = 65;
	assert_int_equal(decode_message(p, &h.message), -EBADMSG);
}

static void a_flood_of_empty_elements_is_refused_before_it_costs_memory(void **state)
{
	struct pair *p = *state;
	_cleanup_buf_ struct buf flood = {0};
	const struct wire_batch_head head = {.seq = 1, .epoch = 1, .opens_epoch = true, .node = ""};
	size_t size = 2UL << 20;
	uint8_t *elements = malloc(size);
	struct bytes part = bytes_of(elements, size);
	struct wire_batch batch;

	for (size_t i = 0; i < size; i += 2)
		memcpy(elements + i, "\x4a", 2); /* field 9, length 0 */
	assert_int_equal(wire_write_batch(&head, &part, 1, &flood), 0);
	assert_int_equal(wire_decode_batch(p->dec, buf_bytes(&flood), p->arena, &batch), -EBADMSG);
	assert_int_equal(arena_used(p->arena), 0);
	free(elements);
}

/* One event: process 1 and then these bytes. */
static int decode_event_with(struct pair *p, const void *bytes, size_t len)
{
	_cleanup_buf_ struct buf body = {0}, message = {0};
	const struct wire_batch_head head = {.seq = 1, .epoch = 1, .opens_epoch = true, .node = ""};
	struct wire_batch batch;
	struct bytes part;
	int r;

	buf_add(&body,
		"\x42\x0b\x08\x01\x11"
		"exec_id.",
		13); /* process 1 */
	buf_add(&body, "\x4a", 1);
	for (size_t n = len + 4; n > 0; n >>= 7)
		buf_add_byte(&body, (uint8_t)((n & 0x7f) | (n > 0x7f ? 0x80 : 0)));
	buf_add(&body, "\x08\x03\x18\x01", 4); /* an exit */
	buf_add(&body, bytes, len);
	part = buf_bytes(&body);
	assert_int_equal(wire_write_batch(&head, &part, 1, &message), 0);
	arena_reset(p->arena);
	r = wire_decode_batch(p->dec, buf_bytes(&message), p->arena, &batch);
	if (r == 0 && batch.events[0].detail)
		return batch.events[0].detail->arg_count;
	return r;
}

static void runs_of_numbers_are_read_in_both_forms_and_checked_to_the_end(void **state)
{
	struct pair *p = *state;
	static uint8_t flood[5 + 0xffff]; /* as many numbers as there may be elements */

	assert_int_equal(decode_event_with(p, "", 0), 0);
	assert_int_equal(decode_event_with(p, "\xba\x01\x03\x01\x80\x01", 6), 2);
	assert_int_equal(decode_event_with(p, "\xba\x01\x00", 3), 0);
	assert_int_equal(decode_event_with(p, "\xb8\x01\x05\xb8\x01\x06", 6), 2);
	assert_int_equal(decode_event_with(p, "\xba\x01\x02\x01\x80", 5), -EBADMSG);
	assert_int_equal(decode_event_with(
				 p, "\xba\x01\x0b\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 14),
			 -EBADMSG);
	assert_int_equal(decode_event_with(p, "\xb9\x01\x00\x00\x00\x00\x00\x00\x00\x00", 10),
			 -EBADMSG);
	memcpy(flood, "\xba\x01\xff\xff\x03", 5);
	assert_int_equal(decode_event_with(p, flood, 5 + 0xffff), -EBADMSG);
	assert_int_equal(arena_used(p->arena), 0);
}

static void without_memory_the_epoch_has_to_be_opened_again(void **state)
{
	struct pair *p = *state;
	const struct event first = sample_event(EVENT_KIND_EXEC, 1);
	struct event second = sample_event(EVENT_KIND_EXIT, 2);
	struct wire_batch batch = {0};
	_cleanup_buf_ struct buf opening = {0};
	size_t needed;

	encode(p, &first, 1);
	buf_add(&opening, p->message.data, p->message.len);
	assert_int_equal(decode(p, &batch), 0);
	needed = arena_used(p->arena);
	for (size_t limit = 16; limit < needed; limit += 16) {
		struct arena *small = arena_new(limit);

		assert_int_equal(wire_decode_batch(p->dec, buf_bytes(&opening), small, &batch), -ENOMEM);
		arena_free(small);
	}
	encode(p, &second, 1);
	assert_int_equal(decode(p, &batch), -ESTALE);
	assert_int_equal(wire_decode_batch(p->dec, buf_bytes(&opening), p->arena, &batch), 0);
	assert_int_equal(decode(p, &batch), 0);
}

static void the_encoder_refuses_what_a_decoder_would(void **state)
{
	struct pair *p = *state;
	struct event event = sample_event(EVENT_KIND_FORK, 1); /* without a child */

	wire_encode_begin(p->enc);
	assert_int_equal(wire_encode_event(p->enc, &event), -EINVAL);
	event = sample_event(EVENT_KIND_MAX, 1);
	assert_int_equal(wire_encode_event(p->enc, &event), -EINVAL);
	event = sample_event(EVENT_KIND_CONNECT, 1);
	event.endpoint_count = 0;
	assert_int_equal(wire_encode_event(p->enc, &event), -EINVAL);
	event.endpoint_count = 1;
	assert_int_equal(wire_encode_event(p->enc, &event), 0);
	event.seq = 3; /* 2 is missing */
	assert_int_equal(wire_encode_event(p->enc, &event), -EINVAL);
}

static void containers_past_their_caps_never_leave_the_encoder(void **state)
{
	struct pair *p = *state;
	static struct container_label labels[CONTAINER_LABELS_MAX + 1];
	static struct container_mount mounts[CONTAINER_MOUNTS_MAX + 1];
	_cleanup_(freep) char *text = calloc(1, CONTAINER_BYTES_MAX + 2);
	struct container_def c = sample_host;

	assert_non_null(text);
	for (size_t i = 0; i <= CONTAINER_LABELS_MAX; i++)
		labels[i] = (struct container_label){"k", "v"};
	for (size_t i = 0; i <= CONTAINER_MOUNTS_MAX; i++)
		mounts[i] = (struct container_mount){"/a", "/b", "", false};
	wire_encode_begin(p->enc);
	c.labels = labels;
	c.label_count = CONTAINER_LABELS_MAX;
	assert_int_equal(wire_encode_container(p->enc, &c), 0);
	c.label_count++;
	assert_int_equal(wire_encode_container(p->enc, &c), -E2BIG);
	c = sample_host;
	c.mounts = mounts;
	c.mount_count = CONTAINER_MOUNTS_MAX;
	assert_int_equal(wire_encode_container(p->enc, &c), 0);
	c.mount_count++;
	assert_int_equal(wire_encode_container(p->enc, &c), -E2BIG);
	c = sample_host;
	c.name = memset(text, 'x', CONTAINER_BYTES_MAX);
	assert_int_equal(wire_encode_container(p->enc, &c), 0);
	text[CONTAINER_BYTES_MAX] = 'x';
	assert_int_equal(wire_encode_container(p->enc, &c), -E2BIG);
}

static void containers_past_their_caps_are_refused(void **state)
{
	struct pair *p = *state;
	Nightjar__V1__ContainerDef def = NIGHTJAR__V1__CONTAINER_DEF__INIT, *defs[] = {&def};
	Nightjar__V1__Label label = NIGHTJAR__V1__LABEL__INIT, *labels[CONTAINER_LABELS_MAX + 1];
	Nightjar__V1__Mount mount = NIGHTJAR__V1__MOUNT__INIT, *mounts[CONTAINER_MOUNTS_MAX + 1];
	_cleanup_(freep) char *text = calloc(1, 3 * CONTAINER_BYTES_MAX + 2);

	assert_non_null(text);
	(void)memset(text, 'x', 3 * CONTAINER_BYTES_MAX + 1);
	for (size_t i = 0; i <= CONTAINER_LABELS_MAX; i++)
		labels[i] = &label;
	for (size_t i = 0; i <= CONTAINER_MOUNTS_MAX; i++)
		mounts[i] = &mount;
	def.id = 1;
	def.labels = labels;
	def.mounts = mounts;
	ASSERT_REFUSED(p, (h.batch.n_containers = 1, h.batch.containers = defs, def.id = 2));
	def.id = 1;
	ASSERT_REFUSED(p, (h.batch.n_containers = 1, h.batch.containers = defs,
			   def.n_labels = CONTAINER_LABELS_MAX + 1));
	def.n_labels = CONTAINER_LABELS_MAX;
	ASSERT_REFUSED(p, (h.batch.n_containers = 1, h.batch.containers = defs,
			   def.n_mounts = CONTAINER_MOUNTS_MAX + 1));
	def.n_mounts = CONTAINER_MOUNTS_MAX;
	ASSERT_REFUSED(p, (h.batch.n_containers = 1, h.batch.containers = defs, mount.source = text));
}

static void the_encoder_refuses_a_detail_that_is_too_large(void **state)
{
	static const uint8_t data[EVENT_DATA_MAX + 1];
	struct pair *p = *state;
	struct event event = sample_event(EVENT_KIND_FIRST_BYTES, 1);
	struct event_detail detail = sample_detail;

	event.detail = &detail;
	detail.arg_count = EVENT_CALL_ARGS_MAX + 1;
	wire_encode_begin(p->enc);
	assert_int_equal(wire_encode_event(p->enc, &event), -EINVAL);
	detail.arg_count = EVENT_CALL_ARGS_MAX;
	detail.data = bytes_of(data, sizeof(data));
	assert_int_equal(wire_encode_event(p->enc, &event), -EINVAL);
	detail.data.len--;
	assert_int_equal(wire_encode_event(p->enc, &event), 0);
}

/* ---- what must go through ---- */

static void every_kind_with_every_endpoint_comes_back_equal(void **state)
{
	struct pair *p = *state;
	struct process_def child = sample_child();
	struct event events[EVENT_KIND_MAX];
	struct wire_batch batch;

	for (int kind = 1; kind < EVENT_KIND_MAX; kind++)
		events[kind] = complete_event((enum event_kind)kind, 100 + (uint64_t)kind, &child);
	encode(p, &events[1], EVENT_KIND_MAX - 1);
	assert_int_equal(decode(p, &batch), 0);
	assert_int_equal(batch.event_count, EVENT_KIND_MAX - 1);
	for (int kind = 1; kind < EVENT_KIND_MAX; kind++)
		assert_events_equal(&batch.events[kind - 1], &events[kind]);
	assert_int_equal(batch.head.seq, 1);
	assert_int_equal(batch.head.first_event, 101);
	assert_int_equal(batch.head.wall_offset_ns, -5);
	assert_int_equal(batch.head.policy_generation, 3);
	assert_true(batch.head.opens_epoch);
	assert_string_equal(batch.head.node, "n1");
}

static void an_event_with_nothing_set_comes_back_equal(void **state)
{
	struct pair *p = *state;
	const struct event event = {
		.seq = 1, .kind = EVENT_KIND_EXIT, .process = &sample_bare, .file = {.path = ""}, .raw_path = ""};
	struct wire_batch batch;

	encode(p, &event, 1);
	assert_int_equal(decode(p, &batch), 0);
	assert_events_equal(&batch.events[0], &event);
}

static void a_detail_in_which_all_is_absent_costs_nothing(void **state)
{
	struct pair *p = *state;
	const struct event_detail nothing = {.call = "", .path2 = "", .raw_path2 = "", .text = ""};
	struct event event = {.seq = 1,
			      .kind = EVENT_KIND_EXIT,
			      .process = &sample_bare,
			      .file = {.path = ""},
			      .raw_path = ""};
	struct wire_batch batch;
	size_t without;

	encode(p, &event, 1);
	assert_int_equal(decode(p, &batch), 0);
	assert_null(batch.events[0].detail);
	event.seq = 2;
	encode(p, &event, 1);
	without = p->message.len;
	event.seq = 3;
	event.detail = &nothing;
	encode(p, &event, 1);
	assert_int_equal(p->message.len, without);
	assert_int_equal(decode(p, &batch), 0);
	assert_null(batch.events[0].detail);
	assert_string_equal(event_detail(&batch.events[0])->call, "");
}

static void each_part_of_a_detail_comes_back_without_the_others(void **state)
{
	const struct event_detail nothing = {.call = "", .path2 = "", .raw_path2 = "", .text = ""};
	struct event_detail parts[8];
	struct pair *p = *state;

	for (size_t i = 0; i < 8; i++)
		parts[i] = nothing;
	parts[0].call = "openat";
	parts[1].path2 = "/a";
	parts[2].raw_path2 = "b";
	parts[3].text = "c";
	parts[4].data = bytes_of_text("d");
	parts[5].target = &sample_shell;
	parts[6].arg_count = 1; /* and it is 0 */
	parts[7].namespaces.time = 9;
	for (uint64_t i = 0; i < 8; i++) {
		struct event event = sample_event(EVENT_KIND_PRCTL, i + 1);
		struct wire_batch batch;

		event.detail = &parts[i];
		encode(p, &event, 1);
		assert_int_equal(decode(p, &batch), 0);
		assert_events_equal(&batch.events[0], &event);
	}
}

static void definitions_go_over_the_wire_once_an_epoch(void **state)
{
	struct pair *p = *state;
	struct event event = sample_event(EVENT_KIND_EXEC, 1);
	struct wire_batch batch;
	size_t with_definitions;

	encode(p, &event, 1);
	with_definitions = p->message.len;
	assert_int_equal(decode(p, &batch), 0);
	event.seq = 2;
	encode(p, &event, 1);
	assert_true(p->message.len + 200 < with_definitions);
	assert_int_equal(decode(p, &batch), 0);
	assert_events_equal(&batch.events[0], &event);
	event.seq = 3;
	wire_encoder_new_epoch(p->enc);
	encode(p, &event, 1);
	assert_int_equal(p->message.len, with_definitions);
	assert_int_equal(decode(p, &batch), 0);
	assert_int_equal(batch.head.epoch, 2);
	assert_events_equal(&batch.events[0], &event);
}

static void an_epoch_is_opened_again_by_its_definitions_and_a_later_batch(void **state)
{
	struct pair *p = *state;
	struct event event = sample_event(EVENT_KIND_EXEC, 1);
	_cleanup_buf_ struct buf kept = {0};
	struct wire_parts parts;
	struct wire_batch_head head = {.seq = 2, .opens_epoch = true, .node = ""};
	struct wire_batch batch;

	encode(p, &event, 1);
	assert_int_equal(wire_encode_parts(p->enc, &parts), 0);
	buf_add(&kept, parts.definitions.data, parts.definitions.len);
	event.seq = 2;
	encode(p, &event, 1);
	assert_int_equal(wire_encode_parts(p->enc, &parts), 0);
	assert_int_equal(parts.definitions.len, 0);
	head.epoch = parts.epoch;
	head.first_event = parts.first_event;
	buf_clear(&p->message);
	assert_int_equal(wire_write_batch(&head, (struct bytes[]){buf_bytes(&kept), parts.body}, 2,
					  &p->message),
			 0);
	assert_int_equal(decode(p, &batch), 0);
	assert_events_equal(&batch.events[0], &event);
}

static void an_epoch_that_is_full_says_so_and_a_new_one_goes_on(void **state)
{
	struct pair *p = *state;
	struct process_def process = sample_shell;
	struct event event = sample_event(EVENT_KIND_EXEC, 1);
	struct wire_batch batch;

	event.process = &process;
	wire_encode_begin(p->enc);
	while (!wire_encoder_epoch_full(p->enc)) {
		process.exec_id++;
		assert_int_equal(wire_encode_event(p->enc, &event), 0);
		event.seq++;
	}
	assert_int_equal(wire_encode_event(p->enc, &event), -ENOSPC);
	end_batch(p);
	assert_int_equal(decode(p, &batch), 0);
	assert_in_range(batch.event_count, 56, 64);
	wire_encoder_new_epoch(p->enc);
	encode(p, &event, 1);
	assert_int_equal(decode(p, &batch), 0);
	assert_events_equal(&batch.events[0], &event);
}

static void text_that_is_no_utf8_is_mended_and_arguments_are_not(void **state)
{
	struct pair *p = *state;
	struct event event = sample_event(EVENT_KIND_OPEN, 1);
	struct wire_batch batch;

	event.file.path = "/tmp/\xff\xfe";
	encode(p, &event, 1);
	assert_int_equal(decode(p, &batch), 0);
	assert_string_equal(batch.events[0].file.path, "/tmp/\xef\xbf\xbd\xef\xbf\xbd");
	assert_memory_equal(batch.events[0].process->args[2].data, "\xff\0x", 3);
}

static void a_container_of_other_bytes_is_mended_and_fits(void **state)
{
	struct pair *p = *state;
	_cleanup_(freep) char *text = calloc(1, CONTAINER_BYTES_MAX + 1);
	const struct container_label label = {"app", text};
	struct container_def c = sample_host;
	struct wire_batch batch;

	assert_non_null(text);
	(void)memset(text, 0xff, CONTAINER_BYTES_MAX - 3);
	c.labels = &label;
	c.label_count = 1;
	wire_encode_begin(p->enc);
	assert_int_equal(wire_encode_container(p->enc, &c), 0);
	end_batch(p);
	assert_int_equal(decode(p, &batch), 0);
	assert_int_equal(strlen(batch.containers[0]->labels[0].value), 3 * strlen(text));
	assert_memory_equal(batch.containers[0]->labels[0].value, "\xef\xbf\xbd\xef", 4);
}

/* What was sent before the runtime was asked. */
static struct container_def unresolved(const char *cgroup)
{
	struct container_def c = sample_host;

	c.container_id = sample_pod.container_id;
	c.pod_uid = sample_pod.pod_uid;
	c.cgroup = cgroup;
	return c;
}

static void a_fuller_container_completes_the_earlier_ones_of_its_epoch(void **state)
{
	struct pair *p = *state;
	const struct container_def early = unresolved("/kubepods/pod1"), below = unresolved("/kubepods/pod1/below");
	struct process_def shell = sample_shell, inner = sample_child();
	struct event events[2] = {sample_event(EVENT_KIND_EXIT, 1), sample_event(EVENT_KIND_EXIT, 2)};
	struct container_def full = sample_pod;
	struct wire_batch batch;

	shell.container = &early;
	inner.container = &below;
	events[0].process = &shell;
	events[1].process = &inner;
	encode(p, events, 2);
	assert_int_equal(decode(p, &batch), 0);
	assert_containers_equal(batch.events[0].process->container, &early);
	wire_encode_begin(p->enc);
	assert_int_equal(wire_encode_container(p->enc, &sample_pod), 0);
	end_batch(p);
	assert_int_equal(decode(p, &batch), 0);
	assert_int_equal(batch.event_count, 0);
	assert_int_equal(batch.container_count, 1);
	assert_containers_equal(batch.containers[0], &sample_pod);
	events[0].seq = 3;
	events[1].seq = 4;
	encode(p, events, 2);
	assert_int_equal(decode(p, &batch), 0);
	assert_int_equal(batch.container_count, 0);
	full.cgroup = early.cgroup;
	assert_containers_equal(batch.events[0].process->container, &full);
	full.cgroup = below.cgroup;
	assert_containers_equal(batch.events[1].process->container, &full);
}

static void a_container_that_says_nothing_new_is_not_sent_again(void **state)
{
	struct pair *p = *state;
	const struct event event = sample_event(EVENT_KIND_EXIT, 1);
	struct wire_batch batch;

	wire_encode_begin(p->enc);
	assert_int_equal(wire_encode_event(p->enc, &event), 0);
	assert_int_equal(wire_encode_container(p->enc, &sample_pod), 0);
	assert_int_equal(wire_encode_container(p->enc, &sample_host), 0);
	end_batch(p);
	assert_int_equal(decode(p, &batch), 0);
	assert_int_equal(batch.container_count, 1);
}

static void losses_and_the_head_come_through_without_events(void **state)
{
	struct pair *p = *state;
	const struct loss loss = {LOSS_REASON_QUEUE, "file", 1ULL << 40};
	struct wire_batch batch;
	struct wire_batch_head head;

	wire_encode_begin(p->enc);
	wire_encode_loss(p->enc, &loss);
	end_batch(p);
	assert_int_equal(wire_peek_batch(buf_bytes(&p->message), p->arena, &head), 0);
	assert_int_equal(head.seq, 1);
	assert_int_equal(head.epoch, 1);
	assert_true(head.opens_epoch);
	assert_int_equal(head.wall_offset_ns, -5);
	assert_string_equal(head.node, "n1");
	assert_int_equal(decode(p, &batch), 0);
	assert_int_equal(batch.event_count, 0);
	assert_int_equal(batch.loss_count, 1);
	assert_int_equal(batch.losses[0].reason, LOSS_REASON_QUEUE);
	assert_string_equal(batch.losses[0].class, "file");
	assert_int_equal(batch.losses[0].count, 1ULL << 40);
}

static void peeking_at_a_full_batch_takes_the_arena_only_for_the_name(void **state)
{
	struct pair *p = *state;
	struct wire_batch_head head;

	wire_encode_begin(p->enc);
	for (uint64_t seq = 1; seq <= 1024; seq++) {
		struct event event = sample_event(EVENT_KIND_EXEC, seq);

		assert_int_equal(wire_encode_event(p->enc, &event), 0);
	}
	end_batch(p);
	assert_int_equal(wire_peek_batch(buf_bytes(&p->message), p->arena, &head), 0);
	assert_in_range(arena_used(p->arena), 1, 64);
}

/* ---- what protobuf-c makes of it ---- */

static ProtobufCBinaryData pb_data(const void *data, size_t len)
{
	return (ProtobufCBinaryData){len, len ? (uint8_t *)(uintptr_t)data : NULL};
}

static void expect_file(Nightjar__V1__File *out, const struct file_info *file, const char *path)
{
	nightjar__v1__file__init(out);
	out->path = (char *)(uintptr_t)path;
	out->inode = file->inode;
	out->device = file->device;
	out->generation = file->generation;
	out->mode = file->mode;
	out->uid = file->uid;
	out->nlink = file->nlink;
}

static void expect_endpoint(Nightjar__V1__Endpoint *out, const struct endpoint *ep)
{
	size_t len = ep->family == AF_INET ? 4 : ep->family == AF_INET6 ? 16 : 0;

	nightjar__v1__endpoint__init(out);
	out->kind = (Nightjar__V1__EndpointKind)ep->kind;
	out->mode = ep->mode;
	out->fd = ep->fd;
	out->family = ep->family;
	out->state = ep->state;
	out->id = ep->id;
	out->id2 = ep->id2;
	out->local_ip = pb_data(ep->local_ip, len);
	out->local_port = ep->local_port;
	out->remote_ip = pb_data(ep->remote_ip, len);
	out->remote_port = ep->remote_port;
	out->readers = ep->readers;
	out->writers = ep->writers;
	out->protocol = ep->protocol;
}

static void expect_namespaces(Nightjar__V1__Namespaces *out, const struct namespaces *ns)
{
	nightjar__v1__namespaces__init(out);
	out->mnt = ns->mnt;
	out->pid = ns->pid;
	out->net = ns->net;
	out->user = ns->user;
	out->uts = ns->uts;
	out->ipc = ns->ipc;
	out->cgroup = ns->cgroup;
	out->time = ns->time;
}

#define STRINGS 6

struct expected {
	Nightjar__V1__AgentMessage message;
	Nightjar__V1__Batch batch;
	Nightjar__V1__StringDef strings[STRINGS], *string_list[STRINGS];
	Nightjar__V1__ContainerDef container, *container_list[1];
	Nightjar__V1__Label labels[2], *label_list[2];
	Nightjar__V1__Mount mounts[2], *mount_list[2];
	Nightjar__V1__ProcessDef process, child, target, *process_list[3];
	Nightjar__V1__Namespaces process_namespaces, namespaces;
	uint64_t call_args[EVENT_CALL_ARGS_MAX];
	Nightjar__V1__File exe, file;
	ProtobufCBinaryData args[3], env[1];
	Nightjar__V1__Event event, *event_list[1];
	Nightjar__V1__Endpoint endpoints[ENDPOINT_KIND_MAX], *endpoint_list[ENDPOINT_KIND_MAX];
};

static void expect_definitions(struct expected *x, const struct event *event)
{
	const struct container_def *c = event->process->container;

	const struct event_detail *d = event_detail(event);
	const char *const texts[STRINGS] = {event->file.path, event->raw_path, d->path2,
					    d->raw_path2,     d->call,	       d->text};

	for (size_t i = 0; i < STRINGS; i++) {
		nightjar__v1__string_def__init(&x->strings[i]);
		x->strings[i].id = (uint32_t)i + 1;
		x->strings[i].value = (char *)(uintptr_t)texts[i];
		x->string_list[i] = &x->strings[i];
	}
	nightjar__v1__container_def__init(&x->container);
	x->container.id = 1;
	x->container.container_id = (char *)(uintptr_t)c->container_id;
	x->container.pod_uid = (char *)(uintptr_t)c->pod_uid;
	x->container.name = (char *)(uintptr_t)c->name;
	x->container.image = (char *)(uintptr_t)c->image;
	x->container.pod = (char *)(uintptr_t)c->pod;
	x->container.namespace_ = (char *)(uintptr_t)c->namespace;
	x->container.cgroup = (char *)(uintptr_t)c->cgroup;
	x->container.image_id = (char *)(uintptr_t)c->image_id;
	x->container.workload = (char *)(uintptr_t)c->workload;
	x->container.privileged = c->privileged;
	x->container.cap_bounding = c->cap_bounding;
	x->container.start_ns = c->start_ns;
	for (uint16_t i = 0; i < c->label_count; i++) {
		nightjar__v1__label__init(&x->labels[i]);
		x->labels[i].key = (char *)(uintptr_t)c->labels[i].key;
		x->labels[i].value = (char *)(uintptr_t)c->labels[i].value;
		x->label_list[i] = &x->labels[i];
	}
	for (uint16_t i = 0; i < c->mount_count; i++) {
		nightjar__v1__mount__init(&x->mounts[i]);
		x->mounts[i].source = (char *)(uintptr_t)c->mounts[i].source;
		x->mounts[i].destination = (char *)(uintptr_t)c->mounts[i].destination;
		x->mounts[i].propagation = (char *)(uintptr_t)c->mounts[i].propagation;
		x->mounts[i].readonly = c->mounts[i].readonly;
		x->mount_list[i] = &x->mounts[i];
	}
	x->container.n_labels = c->label_count;
	x->container.labels = x->label_list;
	x->container.n_mounts = c->mount_count;
	x->container.mounts = x->mount_list;
	x->container_list[0] = &x->container;
	x->batch.n_strings = STRINGS;
	x->batch.strings = x->string_list;
	x->batch.n_containers = 1;
	x->batch.containers = x->container_list;
}

static void expect_birth(Nightjar__V1__ProcessDef *out, uint32_t id, const struct process_def *def)
{
	nightjar__v1__process_def__init(out);
	out->id = id;
	out->exec_id = def->exec_id;
	out->parent_exec_id = def->parent_exec_id;
	out->pid = def->pid;
	out->ppid = def->ppid;
	out->start_ns = def->start_ns;
	out->exec_ns = def->exec_ns;
	out->vpid = def->vpid;
}

static void expect_target(struct expected *x, const struct process_def *def)
{
	expect_birth(&x->target, x->event.target, def);
	x->process_list[x->batch.n_processes++] = &x->target;
}

static void expect_image_rest(struct expected *x, const struct process_def *def)
{
	Nightjar__V1__ProcessDef *out = &x->process;

	out->comm = (char *)(uintptr_t)def->comm;
	out->exe_raw = (char *)(uintptr_t)def->exe_raw;
	out->pgid = def->pgid;
	out->vpgid = def->vpgid;
	out->cap_inheritable = def->creds.cap_inheritable;
	out->exe_flags = def->exe_flags;
	out->exe_ctime_ns = def->exe_ctime_ns;
	out->exe_mtime_ns = def->exe_mtime_ns;
	out->suid = def->creds.suid;
	out->sgid = def->creds.sgid;
	expect_namespaces(&x->process_namespaces, &def->namespaces);
	out->namespaces = &x->process_namespaces;
}

static void expect_processes(struct expected *x, const struct event *event)
{
	const struct process_def *def = event->process;
	Nightjar__V1__ProcessDef *out = &x->process;

	expect_birth(out, 1, def);
	expect_file(&x->exe, &def->exe, def->exe.path);
	out->exe = &x->exe;
	for (uint16_t i = 0; i < def->arg_count; i++)
		x->args[i] = pb_data(def->args[i].data, def->args[i].len);
	x->env[0] = pb_data(def->env[0].data, def->env[0].len);
	out->n_args = def->arg_count;
	out->args = x->args;
	out->n_env = def->env_count;
	out->env = x->env;
	out->cwd = (char *)(uintptr_t)def->cwd;
	out->uid = def->creds.uid;
	out->gid = def->creds.gid;
	out->euid = def->creds.euid;
	out->egid = def->creds.egid;
	out->loginuid = def->loginuid;
	out->session = def->session;
	out->tty = def->tty;
	out->cap_effective = def->creds.cap_effective;
	out->cap_permitted = def->creds.cap_permitted;
	out->container = 1;
	out->truncated = def->truncated;
	expect_image_rest(x, def);
	x->process_list[0] = out;
	x->process_list[1] = &x->child;
	x->batch.n_processes = event->child ? 2 : 1;
	x->batch.processes = x->process_list;
	if (event->child) {
		expect_birth(&x->child, 2, event->child);
		x->child.image_of = 1;
	}
	expect_target(x, event_detail(event)->target);
}

static void expect_detail(struct expected *x, const struct event_detail *detail)
{
	Nightjar__V1__Event *out = &x->event;

	out->path2 = 3;
	out->raw_path2 = 4;
	out->call = 5;
	out->text = 6;
	memcpy(x->call_args, detail->args, sizeof(x->call_args));
	out->n_args = detail->arg_count;
	out->args = x->call_args;
	out->data = pb_data(detail->data.data, detail->data.len);
	expect_namespaces(&x->namespaces, &detail->namespaces);
	out->namespaces = &x->namespaces;
}

static void expect_event(struct expected *x, const struct event *event)
{
	Nightjar__V1__Event *out = &x->event;

	nightjar__v1__event__init(out);
	out->kind = (Nightjar__V1__EventKind)event->kind;
	out->time_ns = event->time_ns;
	out->process = 1;
	out->tid = event->tid;
	out->child = event->child ? 2 : 0;
	out->result = event->result;
	for (uint16_t i = 0; i < event->endpoint_count; i++) {
		expect_endpoint(&x->endpoints[i], &event->endpoints[i]);
		x->endpoint_list[i] = &x->endpoints[i];
	}
	out->n_endpoints = event->endpoint_count;
	out->endpoints = x->endpoint_list;
	out->path = 1;
	out->raw_path = 2;
	expect_file(&x->file, &event->file, "");
	out->file = &x->file;
	out->flags = event->flags;
	out->old_fd = event->old_fd;
	out->uid = event->creds.uid;
	out->gid = event->creds.gid;
	out->euid = event->creds.euid;
	out->egid = event->creds.egid;
	out->cap_effective = event->creds.cap_effective;
	out->cap_permitted = event->creds.cap_permitted;
	out->cap_inheritable = event->creds.cap_inheritable;
	out->suid = event->creds.suid;
	out->sgid = event->creds.sgid;
	out->marks = event->marks;
	out->repeats = event->repeats;
	out->first_ns = event->first_ns;
	out->target = event->child ? 3 : 2;
	expect_detail(x, event_detail(event));
	x->event_list[0] = out;
	x->batch.n_events = 1;
	x->batch.events = x->event_list;
}

static void expect(struct expected *x, const struct event *event)
{
	nightjar__v1__agent_message__init(&x->message);
	nightjar__v1__batch__init(&x->batch);
	x->message.body_case = NIGHTJAR__V1__AGENT_MESSAGE__BODY_BATCH;
	x->message.batch = &x->batch;
	x->batch.seq = 1;
	x->batch.epoch = 1;
	x->batch.opens_epoch = 1;
	x->batch.first_event = event->seq;
	x->batch.wall_offset_ns = -5;
	x->batch.policy_generation = 3;
	x->batch.node = (char *)(uintptr_t)"n1";
	expect_definitions(x, event);
	expect_event(x, event);
	expect_processes(x, event);
}

/* Both are packed by protobuf-c, so that the order of fields does not matter. */
static void assert_same_message(const Nightjar__V1__AgentMessage *a, const Nightjar__V1__AgentMessage *b)
{
	size_t a_size = nightjar__v1__agent_message__get_packed_size(a);
	size_t b_size = nightjar__v1__agent_message__get_packed_size(b);
	uint8_t *a_bytes = malloc(a_size), *b_bytes = malloc(b_size);

	(void)nightjar__v1__agent_message__pack(a, a_bytes);
	(void)nightjar__v1__agent_message__pack(b, b_bytes);
	assert_int_equal(a_size, b_size);
	assert_memory_equal(a_bytes, b_bytes, a_size);
	free(a_bytes);
	free(b_bytes);
}

static void protobuf_c_reads_the_same_message_of_every_kind(void **state)
{
	struct process_def child = sample_child();

	(void)state;
	for (int kind = 1; kind < EVENT_KIND_MAX; kind++) {
		const struct event event = complete_event((enum event_kind)kind, 70, &child);
		struct pair p = {.enc = wire_encoder_new(64)};
		struct expected x = {0};
		Nightjar__V1__AgentMessage *read;

		encode(&p, &event, 1);
		read = nightjar__v1__agent_message__unpack(NULL, p.message.len, p.message.data);
		assert_non_null(read);
		expect(&x, &event);
		assert_same_message(read, &x.message);
		/* The encoder is as short as protobuf-c is. */
		assert_int_equal(p.message.len, nightjar__v1__agent_message__get_packed_size(&x.message));
		nightjar__v1__agent_message__free_unpacked(read, NULL);
		wire_encoder_free(p.enc);
		buf_done(&p.message);
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_batch_of_an_epoch_that_was_never_opened_is_stale),
		TEST(a_batch_cut_at_any_byte_changes_nothing),
		TEST(a_flipped_byte_never_harms_the_tables),
		TEST(random_bytes_are_refused),
		TEST(a_hello_is_no_batch),
		TEST(ids_that_nothing_defines_are_refused),
		TEST(values_that_do_not_fit_are_refused),
		TEST(more_definitions_than_the_cap_are_refused),
		TEST(a_flood_of_empty_elements_is_refused_before_it_costs_memory),
		TEST(runs_of_numbers_are_read_in_both_forms_and_checked_to_the_end),
		TEST(without_memory_the_epoch_has_to_be_opened_again),
		TEST(containers_past_their_caps_never_leave_the_encoder),
		TEST(containers_past_their_caps_are_refused),
		TEST(the_encoder_refuses_what_a_decoder_would),
		TEST(the_encoder_refuses_a_detail_that_is_too_large),
		TEST(every_kind_with_every_endpoint_comes_back_equal),
		TEST(an_event_with_nothing_set_comes_back_equal),
		TEST(a_detail_in_which_all_is_absent_costs_nothing),
		TEST(each_part_of_a_detail_comes_back_without_the_others),
		TEST(definitions_go_over_the_wire_once_an_epoch),
		TEST(an_epoch_is_opened_again_by_its_definitions_and_a_later_batch),
		TEST(an_epoch_that_is_full_says_so_and_a_new_one_goes_on),
		TEST(text_that_is_no_utf8_is_mended_and_arguments_are_not),
		TEST(a_container_of_other_bytes_is_mended_and_fits),
		TEST(a_fuller_container_completes_the_earlier_ones_of_its_epoch),
		TEST(a_container_that_says_nothing_new_is_not_sent_again),
		TEST(losses_and_the_head_come_through_without_events),
		TEST(peeking_at_a_full_batch_takes_the_arena_only_for_the_name),
		TEST(protobuf_c_reads_the_same_message_of_every_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
