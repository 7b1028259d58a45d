/* An agent's stream through session, intake and journal, over real mTLS, with a worker that only
 * collects: what is refused, what is dropped as a duplicate, what waits, and what is acknowledged. */
#include "tests/unit/peer.h"
#include "tests/unit/wire_sample.h"

#include <errno.h>
#include <pthread.h>

#include "collector/ingest/intake.h"
#include "collector/ingest/session.h"
#include "nightjar/v1/query.pb-c.h"
#include "tests/await.h"
#include "tests/unit/counter.h"

#define ITEMS_MAX 64
#define WAIT_NS	  (20 * NS_PER_SEC)

struct fixture {
	struct peer peer;
	struct nodes *nodes;
	struct journal *journal;
	struct intake *intake;
	struct sessions *sessions;
	const struct listen_method *tables[2];
	struct wire_encoder *encoder;
	char journal_dir[96];

	pthread_mutex_t lock;
	bool full;
	int count;
	struct intake_item *items[ITEMS_MAX]; /* batches */
	int hello_count;
	struct intake_item *hellos[ITEMS_MAX];
};

static bool room(void *ctx, const struct node *node)
{
	struct fixture *f = (struct fixture *)ctx;
	bool yes;

	assert_string_equal(node->name, "n1");
	(void)pthread_mutex_lock(&f->lock);
	yes = !f->full;
	(void)pthread_mutex_unlock(&f->lock);
	return yes;
}

static void submit(void *ctx, struct intake_item *item)
{
	struct fixture *f = (struct fixture *)ctx;

	(void)pthread_mutex_lock(&f->lock);
	if (f->count == ITEMS_MAX || f->hello_count == ITEMS_MAX)
		abort();
	if (item->kind == INTAKE_HELLO)
		f->hellos[f->hello_count++] = item;
	else
		f->items[f->count++] = item;
	(void)pthread_mutex_unlock(&f->lock);
}

static void set_full(struct fixture *f, bool full)
{
	(void)pthread_mutex_lock(&f->lock);
	f->full = full;
	(void)pthread_mutex_unlock(&f->lock);
}

static int taken(struct fixture *f)
{
	int n;

	(void)pthread_mutex_lock(&f->lock);
	n = f->count;
	(void)pthread_mutex_unlock(&f->lock);
	return n;
}

static void assert_boot(struct fixture *f, int item, const char *boot_id)
{
	(void)pthread_mutex_lock(&f->lock);
	assert_string_equal(f->items[item]->boot_id, boot_id);
	(void)pthread_mutex_unlock(&f->lock);
}

static void synced(void *ctx, uint64_t position)
{
	struct fixture *f = (struct fixture *)ctx;

	intake_synced(f->intake, position);
}

static void rotated(void *ctx)
{
	struct fixture *f = (struct fixture *)ctx;

	intake_rotated(f->intake);
}

static void build(struct fixture *f)
{
	struct journal_config journal = {.dir = f->journal_dir,
					 .segment_bytes = 1 << 20,
					 .cap_bytes = 16 << 20,
					 .metrics = f->peer.metrics,
					 .synced = synced,
					 .rotated = rotated,
					 .ctx = f};
	static const char *const wanted[] = {"process", "file", NULL};
	struct intake_config intake = {.metrics = f->peer.metrics,
				       .wanted = wanted,
				       .room = room,
				       .submit = submit,
				       .ctx = f};
	struct session_config sessions = {.greeting = bytes_of("\x1a\x02\x08\x07", 4), /* policy 7 */
					  .metrics = f->peer.metrics};

	f->nodes = nodes_new(16, f->peer.metrics);
	assert_int_equal(journal_open(&journal, &f->journal, NULL), 0);
	intake.nodes = f->nodes;
	intake.journal = f->journal;
	assert_int_equal(intake_new(&intake, &f->intake, NULL), 0);
	sessions.intake = f->intake;
	f->sessions = sessions_new(&sessions);
	assert_non_null(f->sessions);
	assert_int_equal(journal_replay(f->journal, intake_replay, f->intake, NULL), 0);
	assert_int_equal(journal_start(f->journal, NULL), 0);
	f->tables[0] = sessions_methods(f->sessions);
	peer_listen(&f->peer, f->tables);
}

static void unbuild(struct fixture *f)
{
	peer_unlisten(&f->peer);
	journal_stop(f->journal);
	sessions_free(f->sessions);
	intake_free(f->intake);
	journal_close(f->journal);
	nodes_free(f->nodes);
	while (f->count > 0)
		intake_item_free(f->items[--f->count]);
	while (f->hello_count > 0)
		intake_item_free(f->hellos[--f->hello_count]);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)pthread_mutex_init(&f->lock, NULL);
	peer_init(&f->peer);
	(void)snprintf(f->journal_dir, sizeof(f->journal_dir), "%s/journal", f->peer.dir);
	f->encoder = wire_encoder_new(64);
	assert_non_null(f->encoder);
	build(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = (struct fixture *)*state;

	unbuild(f);
	wire_encoder_free(f->encoder);
	peer_done(&f->peer);
	free(f);
	return 0;
}

static uint64_t counted(struct fixture *f, const char *name)
{
	return counter_value(f->peer.metrics, name);
}

/* ---- the agent's side ------------------------------------------------------------------------- */

struct agent {
	struct rpc_client *client;
	struct rpc_stream *stream;
};

static struct agent agent_open(struct fixture *f)
{
	struct agent a = {.client = peer_client(&f->peer, "agent1")};

	assert_int_equal(rpc_stream_open(a.client, "/nightjar.v1.Ingest/Stream", &a.stream, NULL), 0);
	return a;
}

static void agent_close(struct agent *a)
{
	rpc_stream_free(a->stream);
	rpc_client_free(a->client);
}

static void agent_send(struct agent *a, struct bytes message)
{
	peer_send(a->stream, message);
}

/* state: of the class file; NULL: no coverage is told. */
static void send_hello_with(struct agent *a, const char *node, const char *boot_id,
			    const char *state)
{
	Nightjar__V1__AgentMessage message = NIGHTJAR__V1__AGENT_MESSAGE__INIT;
	Nightjar__V1__Hello hello = NIGHTJAR__V1__HELLO__INIT;
	Nightjar__V1__Coverage row = NIGHTJAR__V1__COVERAGE__INIT, *rows[] = {&row};
	char *claimed[] = {(char *)(uintptr_t) "nothing at all"};
	uint8_t room_for[512];
	size_t len;

	hello.node = (char *)(uintptr_t)node;
	hello.boot_id = (char *)(uintptr_t)boot_id;
	hello.kernel = (char *)(uintptr_t)"6.1.0";
	hello.resume_seq = 100;
	hello.wanted = claimed; /* which is the collector's to say */
	hello.n_wanted = 1;
	row.class_ = (char *)(uintptr_t) "file";
	row.state = (char *)(uintptr_t)state;
	hello.coverage = rows;
	hello.n_coverage = state ? 1 : 0;
	message.body_case = NIGHTJAR__V1__AGENT_MESSAGE__BODY_HELLO;
	message.hello = &hello;
	len = nightjar__v1__agent_message__get_packed_size(&message);
	assert_true(len <= sizeof(room_for));
	(void)nightjar__v1__agent_message__pack(&message, room_for);
	agent_send(a, bytes_of(room_for, len));
}

static void send_hello(struct agent *a, const char *node, const char *boot_id)
{
	send_hello_with(a, node, boot_id, NULL);
}

/* What the collector says next. */
static Nightjar__V1__CollectorMessage *receive(struct agent *a)
{
	struct rpc_event event = peer_next(a->stream);
	Nightjar__V1__CollectorMessage *m;

	if (event.kind == RPC_EVENT_CLOSED)
		fail_msg("closed: %s", event.text);
	m = nightjar__v1__collector_message__unpack(NULL, event.data.len, event.data.data);
	assert_non_null(m);
	return m;
}

static void expect_policy(struct agent *a)
{
	Nightjar__V1__CollectorMessage *m = receive(a);

	assert_int_equal(m->body_case, NIGHTJAR__V1__COLLECTOR_MESSAGE__BODY_POLICY);
	assert_int_equal(m->policy->generation, 7);
	nightjar__v1__collector_message__free_unpacked(m, NULL);
}

static void expect_ack(struct agent *a, uint64_t seq)
{
	uint64_t acked = 0;

	/* One may come for the batches before. */
	while (acked < seq) {
		Nightjar__V1__CollectorMessage *m = receive(a);

		assert_int_equal(m->body_case, NIGHTJAR__V1__COLLECTOR_MESSAGE__BODY_ACK);
		assert_true(m->ack->seq > acked);
		acked = m->ack->seq;
		nightjar__v1__collector_message__free_unpacked(m, NULL);
	}
	assert_int_equal(acked, seq);
}

static void expect_closed(struct agent *a, int status, const char *text)
{
	struct rpc_event event = peer_next(a->stream);

	assert_int_equal(event.kind, RPC_EVENT_CLOSED);
	assert_int_equal(event.status, status);
	if (!strstr(event.text, text))
		fail_msg("'%s' is not in '%s'", text, event.text);
}

static void send_batch(struct fixture *f, struct agent *a, uint64_t seq, const char *node)
{
	const struct wire_batch_head head = {.seq = seq, .node = node};
	_cleanup_buf_ struct buf message = {0};
	struct event event = {.seq = seq,
			      .kind = EVENT_KIND_EXIT,
			      .process = &sample_shell,
			      .file = {.path = ""},
			      .raw_path = ""};

	wire_encode_begin(f->encoder);
	assert_int_equal(wire_encode_event(f->encoder, &event), 0);
	assert_int_equal(wire_encode_end(f->encoder, &head, &message), 0);
	agent_send(a, buf_bytes(&message));
}

static struct agent greeted(struct fixture *f, const char *boot_id)
{
	struct agent a = agent_open(f);

	send_hello(&a, "n1", boot_id);
	expect_policy(&a);
	return a;
}

/* ---- refused -------------------------------------------------------------------------------------- */

static void a_batch_before_the_hello_is_refused(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct agent a = agent_open(f);

	send_batch(f, &a, 100, "n1");
	expect_closed(&a, LISTEN_INVALID_ARGUMENT, "a hello expected");
	assert_int_equal(counted(f, "nightjar_sessions_refused_total{reason=\"unexpected\"}"), 1);
	agent_close(&a);
}

static void a_second_hello_is_refused(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct agent a = greeted(f, "boot-1");

	send_hello(&a, "n1", "boot-1");
	expect_closed(&a, LISTEN_INVALID_ARGUMENT, "batches and heartbeats expected");
	agent_close(&a);
}

static void metadata_is_nothing_that_an_agent_may_say(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct agent a = greeted(f, "boot-1");
	Nightjar__V1__AgentMessage message = NIGHTJAR__V1__AGENT_MESSAGE__INIT;
	Nightjar__V1__ContainerMetadata m = NIGHTJAR__V1__CONTAINER_METADATA__INIT;
	uint8_t room[128];

	m.container_id = (char *)"c";
	m.workload = (char *)"somebody-else";
	message.body_case = NIGHTJAR__V1__AGENT_MESSAGE__BODY_METADATA;
	message.metadata = &m;
	peer_send(a.stream, bytes_of(room, nightjar__v1__agent_message__pack(&message, room)));
	expect_closed(&a, LISTEN_INVALID_ARGUMENT, "batches and heartbeats expected");
	agent_close(&a);
}

static void a_hello_of_another_node_is_refused(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct agent a = agent_open(f);

	send_hello(&a, "n2", "boot-1");
	expect_closed(&a, LISTEN_PERMISSION_DENIED, "another node");
	assert_int_equal(counted(f, "nightjar_sessions_refused_total{reason=\"other_node\"}"), 1);
	assert_null(nodes_find(f->nodes, "n2"));
	agent_close(&a);
}

static void a_hello_without_a_boot_id_is_refused(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct agent a = agent_open(f);

	send_hello(&a, "n1", "");
	expect_closed(&a, LISTEN_INVALID_ARGUMENT, "boot id");
	agent_close(&a);
}

static void a_batch_that_claims_another_node_is_refused_and_counted(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct agent a = greeted(f, "boot-1");

	send_batch(f, &a, 100, "n2");
	expect_closed(&a, LISTEN_PERMISSION_DENIED, "the batch names another node");
	assert_int_equal(counted(f, "nightjar_sessions_refused_total{reason=\"other_node\"}"), 1);
	assert_int_equal(taken(f), 0);
	agent_close(&a);
}

static void garbage_and_cut_batches_end_the_stream(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	const struct wire_batch_head head = {.seq = 100, .node = "n1"};
	_cleanup_buf_ struct buf message = {0};
	uint64_t ended = 0;
	size_t cut;

	wire_encode_begin(f->encoder);
	assert_int_equal(wire_encode_end(f->encoder, &head, &message), 0);
	for (cut = 1; cut < message.len; cut++) {
		struct agent a = greeted(f, "boot-1");

		agent_send(&a, bytes_of(message.data, cut));
		expect_closed(&a, LISTEN_INVALID_ARGUMENT, "no nightjar.v1.AgentMessage");
		agent_close(&a);
		ended++;
	}
	assert_true(ended > 5);
	assert_int_equal(counted(f, "nightjar_sessions_refused_total{reason=\"garbage\"}"), ended);
	assert_int_equal(taken(f), 0);
}

/* ---- what a node says of itself
 * ------------------------------------------------------------------ */

static int told(struct fixture *f)
{
	int n;

	(void)pthread_mutex_lock(&f->lock);
	n = f->hello_count;
	(void)pthread_mutex_unlock(&f->lock);
	return n;
}

static struct agent introduced(struct fixture *f, const char *boot_id, const char *state)
{
	struct agent a = agent_open(f);

	send_hello_with(&a, "n1", boot_id, state);
	expect_policy(&a);
	return a;
}

static void assert_told(struct fixture *f, int at, const char *boot_id, const char *state)
{
	const struct intake_item *item = f->hellos[at];
	Nightjar__V1__AgentMessage *m =
		nightjar__v1__agent_message__unpack(NULL, item->len, item->message);

	assert_non_null(m);
	assert_int_equal(m->body_case, NIGHTJAR__V1__AGENT_MESSAGE__BODY_HELLO);
	assert_string_equal(m->hello->node, "n1");
	assert_string_equal(item->boot_id, boot_id);
	assert_string_equal(m->hello->coverage[0]->state, state);
	assert_int_equal(m->hello->n_wanted, 2);
	assert_string_equal(m->hello->wanted[1], "file");
	assert_int_equal(m->hello->resume_seq, 0);
	assert_true(item->received_ns > 0);
	nightjar__v1__agent_message__free_unpacked(m, NULL);
}

static void only_what_is_new_of_a_hello_goes_to_the_worker(void **state)
{
	static const char *const states[] = {"full", "full", "missing"};
	struct fixture *f = (struct fixture *)*state;

	for (int i = 0; i < 3; i++) {
		struct agent a = introduced(f, "boot-1", states[i]);

		agent_close(&a);
	}
	assert_int_equal(told(f), 2);
	assert_told(f, 0, "boot-1", "full");
	assert_told(f, 1, "boot-1", "missing");
}

static void a_hello_that_finds_no_room_comes_later_and_only_the_newest(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct agent a, b;

	set_full(f, true);
	a = introduced(f, "boot-1", "full");
	b = introduced(f, "boot-1", "degraded");
	intake_retry(f->intake);
	assert_int_equal(told(f), 0);
	set_full(f, false);
	intake_retry(f->intake);
	intake_retry(f->intake);
	assert_int_equal(told(f), 1);
	assert_told(f, 0, "boot-1", "degraded");
	agent_close(&a);
	agent_close(&b);
}

/* When the first Hello had come. */
static uint64_t told_ns(struct fixture *f)
{
	uint64_t ns;

	(void)pthread_mutex_lock(&f->lock);
	ns = f->hellos[0]->received_ns;
	(void)pthread_mutex_unlock(&f->lock);
	return ns;
}

static void after_a_restart_a_node_is_who_it_was(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct agent a = introduced(f, "boot-1", "degraded");
	Nightjar__V1__Node *node;
	_cleanup_buf_ struct buf packed = {0};
	uint64_t first_ns = told_ns(f);
	struct node *n;

	agent_close(&a);
	unbuild(f);
	build(f);
	assert_int_equal(told(f), 1);
	assert_told(f, 0, "boot-1", "degraded");
	assert_int_equal(f->hellos[0]->received_ns, first_ns);
	n = nodes_find(f->nodes, "n1");
	assert_non_null(n);
	assert_int_equal(nodes_pack(f->nodes, n, &packed), 0);
	node = nightjar__v1__node__unpack(NULL, packed.len, packed.data);
	assert_string_equal(node->kernel, "6.1.0");
	assert_string_equal(node->boot_id, "boot-1");
	assert_string_equal(node->coverage[0]->state, "degraded");
	assert_false(node->connected);
	nightjar__v1__node__free_unpacked(node, NULL);
	node_unref(n);
	a = introduced(f, "boot-1", "degraded"); /* nothing new */
	assert_int_equal(told(f), 1);
	agent_close(&a);
}

struct seen {
	uint32_t hellos;
	uint64_t received_ns[8];
};

static void see_hello(void *ctx, const struct journal_record *record)
{
	struct seen *seen = (struct seen *)ctx;

	if (record->type == JOURNAL_HELLO)
		seen->received_ns[seen->hellos++] = record->received_ns;
}

static void each_segment_says_again_who_the_nodes_are(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct agent a = introduced(f, "boot-1", "degraded");
	struct seen seen = {0};

	agent_close(&a);
	intake_rotated(f->intake);
	assert_int_equal(told(f), 1);
	unbuild(f);
	build(f); /* and once more when it is read */
	journal_stop(f->journal);
	assert_int_equal(journal_replay(f->journal, see_hello, &seen, NULL), 0);
	assert_int_equal(seen.hellos, 2);
	assert_int_equal(seen.received_ns[0], seen.received_ns[1]);
}

static void a_policy_that_changes_reaches_streams_that_have_begun(void **state)
{
	static const char *const wider[] = {"process", "file", "mount", NULL};
	const struct bytes policy = bytes_of("\x1a\x02\x08\x08", 4); /* 8 */
	struct fixture *f = (struct fixture *)*state;
	struct agent a = introduced(f, "boot-1", "full"), b;
	Nightjar__V1__CollectorMessage *m;
	Nightjar__V1__AgentMessage *said;

	assert_int_equal(sessions_greet(f->sessions, policy), 0);
	intake_set_policy(f->intake, policy, wider, 12345);
	m = receive(&a);
	assert_int_equal(m->body_case, NIGHTJAR__V1__COLLECTOR_MESSAGE__BODY_POLICY);
	assert_int_equal(m->policy->generation, 8);
	nightjar__v1__collector_message__free_unpacked(m, NULL);
	/* What is wanted now is a part of what is known of the node. */
	assert_int_equal(told(f), 2);
	said = nightjar__v1__agent_message__unpack(NULL, f->hellos[1]->len, f->hellos[1]->message);
	assert_int_equal(said->hello->n_wanted, 3);
	assert_string_equal(said->hello->wanted[2], "mount");
	assert_int_equal(f->hellos[1]->received_ns, 12345);
	nightjar__v1__agent_message__free_unpacked(said, NULL);
	b = agent_open(f);
	send_hello_with(&b, "n1", "boot-1", "full");
	m = receive(&b);
	assert_int_equal(m->policy->generation, 8);
	nightjar__v1__collector_message__free_unpacked(m, NULL);
	agent_close(&a);
	agent_close(&b);
}

static uint64_t covered(struct fixture *f, const char *state)
{
	char name[96];

	(void)snprintf(name, sizeof(name), "nightjar_nodes_coverage{class=\"file\",state=\"%s\"}",
		       state);
	return counted(f, name);
}

static void the_gauge_of_coverage_follows_the_newest_hello(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct agent a = introduced(f, "boot-1", "degraded");

	assert_int_equal(covered(f, "degraded"), 1);
	assert_int_equal(covered(f, "full"), 0);
	agent_close(&a);
	a = introduced(f, "boot-1", "full");
	assert_int_equal(covered(f, "degraded"), 0);
	assert_int_equal(covered(f, "full"), 1);
	agent_close(&a);
	a = introduced(f, "boot-1", "no such state");
	assert_int_equal(covered(f, "full"), 0);
	agent_close(&a);
}

/* ---- told to send less, and to open an epoch ---------------------------------------------------- */

static void expect_throttle(struct agent *a, uint32_t max_in_flight)
{
	Nightjar__V1__CollectorMessage *m = receive(a);

	assert_int_equal(m->body_case, NIGHTJAR__V1__COLLECTOR_MESSAGE__BODY_THROTTLE);
	assert_int_equal(m->throttle->max_batches_in_flight, max_in_flight);
	nightjar__v1__collector_message__free_unpacked(m, NULL);
}

static void a_worker_that_stays_full_throttles_its_agent_until_it_has_room_again(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct agent a = greeted(f, "boot-1");

	set_full(f, true);
	send_batch(f, &a, 100, "n1");
	assert_true(AWAIT(counted(f, "nightjar_intake_parked_total") > 0, WAIT_NS));
	intake_tick(f->intake);
	assert_int_equal(counted(f, "nightjar_throttles_total"), 0); /* a moment is no throttle */
	for (unsigned int i = 0; i < 3 * INTAKE_THROTTLE_TICKS; i++)
		intake_tick(f->intake);
	assert_int_equal(counted(f, "nightjar_throttles_total"), 1); /* and it is told once */
	expect_throttle(&a, INTAKE_THROTTLED);
	set_full(f, false);
	intake_retry(f->intake);
	expect_ack(&a, 100);
	for (unsigned int i = 0; i < INTAKE_CALM_TICKS; i++)
		intake_tick(f->intake);
	expect_throttle(&a, UINT32_MAX);
	send_batch(f, &a, 101, "n1");
	expect_ack(&a, 101);
	agent_close(&a);
}

static void an_agent_that_was_throttled_and_comes_back_begins_at_full_speed(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct agent a = greeted(f, "boot-1"), b;

	set_full(f, true);
	send_batch(f, &a, 100, "n1");
	assert_true(AWAIT(counted(f, "nightjar_intake_parked_total") > 0, WAIT_NS));
	for (unsigned int i = 0; i < INTAKE_THROTTLE_TICKS; i++)
		intake_tick(f->intake);
	expect_throttle(&a, INTAKE_THROTTLED);
	b = greeted(f, "boot-1");
	set_full(f, false);
	for (unsigned int i = 0; i < 2 * INTAKE_CALM_TICKS; i++)
		intake_tick(f->intake);
	wire_encoder_new_epoch(f->encoder);
	send_batch(f, &b, 100, "n1");
	expect_ack(&b, 100); /* and nothing about a throttle before it */
	agent_close(&a);
	agent_close(&b);
}

/* Batches of an epoch that the new segment lacks are refused until one opens it. */
static void a_new_segment_of_the_journal_asks_for_a_new_epoch(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct agent a = greeted(f, "boot-1");
	Nightjar__V1__CollectorMessage *m;

	send_batch(f, &a, 100, "n1");
	expect_ack(&a, 100);
	intake_rotated(f->intake);
	m = receive(&a);
	assert_int_equal(m->body_case, NIGHTJAR__V1__COLLECTOR_MESSAGE__BODY_NEED_EPOCH);
	nightjar__v1__collector_message__free_unpacked(m, NULL);
	wire_encoder_new_epoch(f->encoder);
	send_batch(f, &a, 101, "n1");
	expect_ack(&a, 101);
	agent_close(&a);
}

/* ---- taken ---------------------------------------------------------------------------------------- */

static void batches_are_acknowledged_once_they_are_on_disk(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct agent a = greeted(f, "boot-1");
	struct node *node;

	send_batch(f, &a, 100, "n1");
	send_batch(f, &a, 101, "");
	expect_ack(&a, 101);
	assert_true(counted(f, "nightjar_journal_syncs_total") >= 1);
	assert_int_equal(taken(f), 2);
	assert_boot(f, 0, "boot-1");
	node = nodes_find(f->nodes, "n1");
	assert_non_null(node);
	assert_int_equal(node->synced_seq, 101);
	node_unref(node);
	agent_close(&a);
}

static void a_batch_that_comes_twice_is_worked_on_once(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct agent a = greeted(f, "boot-1");

	send_batch(f, &a, 100, "n1");
	expect_ack(&a, 100);
	agent_close(&a);
	a = greeted(f, "boot-1");
	send_batch(f, &a, 100, "n1");
	expect_ack(&a, 100); /* again: the agent has missed it */
	send_batch(f, &a, 101, "n1");
	expect_ack(&a, 101);
	assert_int_equal(taken(f), 2);
	assert_int_equal(counted(f, "nightjar_intake_batches_total{result=\"duplicate\"}"), 1);
	agent_close(&a);
}

static void after_a_reboot_the_same_numbers_are_new(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct agent a = greeted(f, "boot-1");

	send_batch(f, &a, 100, "n1");
	expect_ack(&a, 100);
	agent_close(&a);
	a = greeted(f, "boot-2");
	wire_encoder_new_epoch(f->encoder);
	send_batch(f, &a, 100, "n1");
	expect_ack(&a, 100);
	assert_int_equal(taken(f), 2);
	assert_boot(f, 1, "boot-2");
	agent_close(&a);
}

static void a_batch_of_an_unknown_epoch_asks_for_a_new_one(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct agent a = greeted(f, "boot-1");
	Nightjar__V1__CollectorMessage *m;

	send_batch(f, &a, 100, "n1");
	expect_ack(&a, 100);
	agent_close(&a);
	a = greeted(f, "boot-2"); /* whose batches nobody has opened an epoch for */
	send_batch(f, &a, 100, "n1");
	m = receive(&a);
	assert_int_equal(m->body_case, NIGHTJAR__V1__COLLECTOR_MESSAGE__BODY_NEED_EPOCH);
	nightjar__v1__collector_message__free_unpacked(m, NULL);
	assert_int_equal(taken(f), 1);
	wire_encoder_new_epoch(f->encoder);
	send_batch(f, &a, 100, "n1");
	expect_ack(&a, 100);
	agent_close(&a);
}

static void numbers_that_were_skipped_are_counted(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct agent a = greeted(f, "boot-1");

	send_batch(f, &a, 100, "n1");
	send_batch(f, &a, 105, "n1");
	expect_ack(&a, 105);
	assert_int_equal(counted(f, "nightjar_intake_batches_missing_total"), 4);
	agent_close(&a);
}

static void a_newer_stream_of_the_node_ends_the_older(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct agent first = greeted(f, "boot-1"), second = greeted(f, "boot-1");

	expect_closed(&first, LISTEN_UNAVAILABLE, "newer stream");
	send_batch(f, &second, 100, "n1");
	expect_ack(&second, 100);
	agent_close(&first);
	agent_close(&second);
}

/* ---- waiting and coming back ------------------------------------------------------------------- */

static void when_the_worker_is_full_the_stream_waits_and_nothing_is_lost(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct agent a = greeted(f, "boot-1");
	struct rpc_event event;
	int i;

	set_full(f, true);
	for (i = 0; i < 3; i++)
		send_batch(f, &a, 100 + (uint64_t)i, "n1");
	assert_true(AWAIT(counted(f, "nightjar_intake_parked_total") == 1, WAIT_NS));
	/* Only the first has been read: the stream is not read on, and nothing is answered. */
	do
		rpc_stream_wait(a.stream, 100, &event);
	while (event.kind == RPC_EVENT_SENT);
	assert_int_equal(event.kind, RPC_EVENT_TIMEOUT);
	assert_int_equal(counted(f, "nightjar_intake_parked_total"), 1);
	assert_int_equal(taken(f), 0);
	set_full(f, false);
	intake_retry(f->intake);
	expect_ack(&a, 102);
	assert_int_equal(taken(f), 3);
	agent_close(&a);
}

static void a_stream_that_ends_while_it_waits_takes_its_batch_along(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct agent a = greeted(f, "boot-1"), b;

	set_full(f, true);
	send_batch(f, &a, 100, "n1");
	assert_true(AWAIT(counted(f, "nightjar_intake_parked_total") > 0, WAIT_NS));
	b = greeted(f, "boot-1");
	agent_close(&a);
	set_full(f, false);
	intake_retry(f->intake);
	wire_encoder_new_epoch(f->encoder);
	send_batch(f, &b, 100, "n1");
	expect_ack(&b, 100);
	assert_int_equal(taken(f), 1);
	agent_close(&b);
}

static void after_a_restart_the_journal_is_worked_on_again_and_duplicates_are_known(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct agent a = greeted(f, "boot-1");

	send_batch(f, &a, 100, "n1");
	send_batch(f, &a, 101, "n1");
	expect_ack(&a, 101);
	agent_close(&a);
	unbuild(f);
	build(f);
	assert_int_equal(taken(f), 2);
	a = greeted(f, "boot-1");
	send_batch(f, &a, 101, "n1");
	expect_ack(&a, 101);
	send_batch(f, &a, 102, "n1"); /* of the epoch that the journal has opened */
	expect_ack(&a, 102);
	assert_int_equal(taken(f), 3);
	agent_close(&a);
}

#define STREAMED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STREAMED(only_what_is_new_of_a_hello_goes_to_the_worker),
		STREAMED(a_hello_that_finds_no_room_comes_later_and_only_the_newest),
		STREAMED(after_a_restart_a_node_is_who_it_was),
		STREAMED(each_segment_says_again_who_the_nodes_are),
		STREAMED(a_policy_that_changes_reaches_streams_that_have_begun),
		STREAMED(the_gauge_of_coverage_follows_the_newest_hello),
		STREAMED(a_worker_that_stays_full_throttles_its_agent_until_it_has_room_again),
		STREAMED(an_agent_that_was_throttled_and_comes_back_begins_at_full_speed),
		STREAMED(a_new_segment_of_the_journal_asks_for_a_new_epoch),
		STREAMED(a_batch_before_the_hello_is_refused),
		STREAMED(a_second_hello_is_refused),
		STREAMED(metadata_is_nothing_that_an_agent_may_say),
		STREAMED(a_hello_of_another_node_is_refused),
		STREAMED(a_hello_without_a_boot_id_is_refused),
		STREAMED(a_batch_that_claims_another_node_is_refused_and_counted),
		STREAMED(garbage_and_cut_batches_end_the_stream),
		STREAMED(batches_are_acknowledged_once_they_are_on_disk),
		STREAMED(a_batch_that_comes_twice_is_worked_on_once),
		STREAMED(after_a_reboot_the_same_numbers_are_new),
		STREAMED(a_batch_of_an_unknown_epoch_asks_for_a_new_one),
		STREAMED(numbers_that_were_skipped_are_counted),
		STREAMED(a_newer_stream_of_the_node_ends_the_older),
		STREAMED(when_the_worker_is_full_the_stream_waits_and_nothing_is_lost),
		STREAMED(a_stream_that_ends_while_it_waits_takes_its_batch_along),
		STREAMED(after_a_restart_the_journal_is_worked_on_again_and_duplicates_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
