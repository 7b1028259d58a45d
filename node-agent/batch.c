/* Filling and closing of batches; see batch.h. */
#include "node-agent/batch.h"

#include <errno.h>
#include <stdlib.h>

#include "common/clock.h"
#include "node-agent/event_class.h"

#define LOOK_AGAIN_NS (NS_PER_MS / 2) /* about what the uplink needs to send a batch */

struct batch {
	struct batch_config config;
	struct wire_encoder *enc;
	bool open;
	uint32_t event_count;
	bool has_containers; /* the open batch defines some though no event needs them */
	uint64_t opened_ns;
	uint64_t closed_ns; /* the last one */
	uint64_t due_ns;    /* when the purse is full */
	uint64_t patience_ns; /* between two that the purse has nothing for */
	uint64_t checked_ns;
	uint64_t epoch_ns;  /* when the present epoch began */
	int64_t wall_offset_ns;
	uint32_t generation;
	struct spool_counts counts; /* of what the open batch holds */
	/* Losses that wait for the next batch. */
	uint64_t pending[LOSS_REASON_MAX][NJ_CLASS_MAX];
	bool has_pending;
	struct batch_stats stats;
};

struct batch *batch_new(const struct batch_config *config)
{
	_cleanup_(batch_freep) struct batch *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->config = *config;
	b->enc = wire_encoder_new(config->max_definitions);
	return b->enc ? take_ptr(b) : NULL;
}

void batch_free(struct batch *b)
{
	if (!b)
		return;
	wire_encoder_free(b->enc);
	free(b);
}

void batch_set_limits(struct batch *b, const struct batch_config *config)
{
	b->config.max_events = config->max_events;
	b->config.max_bytes = config->max_bytes;
	b->config.interval_ns = config->interval_ns;
	b->config.age_ns = config->age_ns;
}

void batch_new_epoch(struct batch *b)
{
	wire_encoder_new_epoch(b->enc);
}

void batch_set_generation(struct batch *b, uint32_t generation)
{
	b->generation = generation;
}

void batch_set_wall_offset(struct batch *b, int64_t wall_offset_ns)
{
	b->wall_offset_ns = wall_offset_ns;
}

static void note(struct batch *b, enum loss_reason reason, enum nj_class class, uint64_t count)
{
	if (count == 0)
		return;
	b->pending[reason][class] += count;
	b->has_pending = true;
}

static void note_counts(struct batch *b, enum loss_reason reason, const struct spool_counts *counts)
{
	for (int class = 0; class < NJ_CLASS_MAX; class++) {
		note(b, reason, (enum nj_class)class, counts->events[class]);
		b->stats.lost += counts->events[class];
	}
}

static enum nj_class class_of_name(const char *name)
{
	for (int class = 0; class < NJ_CLASS_MAX; class++)
		if (strcmp(event_class_name((enum nj_class)class), name) == 0)
			return (enum nj_class)class;
	return NJ_CLASS_PROCESS;
}

void batch_add_loss(struct batch *b, const struct loss *loss)
{
	if (loss->reason > 0 && loss->reason < LOSS_REASON_MAX)
		note(b, loss->reason, class_of_name(loss->class), loss->count);
}

static void begin(struct batch *b, uint64_t now_ns)
{
	if (b->open)
		return;
	if (wire_encoder_epoch_full(b->enc) || spool_epoch_full(b->config.spool) ||
	    now_ns - b->epoch_ns >= b->config.epoch_ns) {
		wire_encoder_new_epoch(b->enc);
		b->epoch_ns = now_ns;
	}
	wire_encode_begin(b->enc);
	b->open = true;
	b->opened_ns = now_ns;
	b->event_count = 0;
	b->has_containers = false;
	b->counts = (struct spool_counts){0};
}

/* A loss report counts as what it reports: should its batch be dropped, it is a loss again. */
static void write_pending(struct batch *b)
{
	for (int reason = 0; reason < LOSS_REASON_MAX; reason++) {
		for (int class = 0; class < NJ_CLASS_MAX; class++) {
			const struct loss loss = {(enum loss_reason)reason,
						  event_class_name((enum nj_class)class),
						  b->pending[reason][class]};

			if (loss.count == 0)
				continue;
			wire_encode_loss(b->enc, &loss);
			b->counts.events[class] += loss.count;
			b->pending[reason][class] = 0;
		}
	}
	b->has_pending = false;
}

/* When the purse had one last, or has one next: the others are saved or owed. */
static uint64_t earned_ns(const struct batch *b)
{
	uint64_t saved = BATCH_BURST * b->config.interval_ns;

	return b->due_ns > saved ? b->due_ns - saved : 0;
}

/* One more is spent. Whoever has half of a purse left is not in a hurry for long; who has none waits longer
 * each time. More than one is never owed. */
static void pay(struct batch *b, uint64_t now_ns)
{
	uint64_t interval = b->config.interval_ns;
	uint64_t most = now_ns + (BATCH_BURST + 1) * interval;

	if (now_ns >= earned_ns(b) + BATCH_BURST / 2 * interval)
		b->patience_ns = interval / BATCH_HASTE;
	else if (now_ns < earned_ns(b))
		b->patience_ns = 2 * b->patience_ns < interval ? 2 * b->patience_ns : interval;
	b->due_ns = (b->due_ns > now_ns ? b->due_ns : now_ns) + interval;
	if (b->due_ns > most)
		b->due_ns = most;
}

static void close_batch(struct batch *b, uint64_t now_ns)
{
	struct spool_batch out = {.wall_offset_ns = b->wall_offset_ns, .policy_generation = b->generation};
	struct spool_counts dropped = {0};

	if (b->has_pending)
		write_pending(b);
	b->open = false;
	b->closed_ns = now_ns;
	pay(b, now_ns);
	out.counts = b->counts;
	if (wire_encode_parts(b->enc, &out.parts) < 0) {
		note_counts(b, LOSS_REASON_QUEUE, &b->counts);
		return;
	}
	if (spool_push(b->config.spool, &out, &dropped) < 0)
		wire_encoder_new_epoch(b->enc);
	note_counts(b, LOSS_REASON_QUEUE, &dropped);
	b->stats.batches++;
}

/* One more try in a fresh batch when this one, or its epoch, is full. */
static int encode(struct batch *b, const struct event *event, uint64_t now_ns)
{
	int r;

	begin(b, now_ns);
	r = wire_encode_event(b->enc, event);
	if (r != -ENOSPC && !(r == -EINVAL && b->event_count > 0))
		return r;
	close_batch(b, now_ns);
	begin(b, now_ns);
	return wire_encode_event(b->enc, event);
}

void batch_add(struct batch *b, const struct event *event, uint64_t now_ns)
{
	enum nj_class class = event_class(event);
	int r = encode(b, event, now_ns);

	if (r == -ENOMEM) { /* what was in the batch is gone as well */
		b->counts.events[class]++;
		note_counts(b, LOSS_REASON_QUEUE, &b->counts);
		b->open = false;
		return;
	}
	if (r < 0) {
		note(b, LOSS_REASON_DECODE, class, 1);
		b->stats.lost++;
		return;
	}
	b->stats.events++;
	b->event_count++;
	b->counts.events[class]++;
	if (b->event_count >= b->config.max_events || wire_encoder_bytes(b->enc) >= b->config.max_bytes)
		close_batch(b, now_ns);
}

/* One that is lost here comes with the next epoch. */
void batch_add_container(struct batch *b, const struct container_def *container, uint64_t now_ns)
{
	int r;

	begin(b, now_ns);
	r = wire_encode_container(b->enc, container);
	if (r == -ENOSPC) {
		close_batch(b, now_ns);
		begin(b, now_ns);
		r = wire_encode_container(b->enc, container);
	}
	b->has_containers |= r == 0;
}

static bool has_content(const struct batch *b)
{
	return (b->open && (b->event_count > 0 || b->has_containers)) || b->has_pending;
}

void batch_flush(struct batch *b, uint64_t now_ns)
{
	if (!has_content(b))
		return;
	begin(b, now_ns);
	close_batch(b, now_ns);
}

/* From when on the next batch may be closed that is neither full nor old. */
static uint64_t allowed_ns(const struct batch *b)
{
	uint64_t earned = earned_ns(b), patient = b->closed_ns + b->patience_ns;

	return earned < patient ? earned : patient;
}

void batch_turn(struct batch *b, uint64_t now_ns)
{
	bool allowed = now_ns >= allowed_ns(b);
	bool aged = b->open && now_ns - b->opened_ns >= b->config.age_ns;

	b->checked_ns = now_ns;
	if (aged || (allowed && spool_unsent(b->config.spool) == 0))
		batch_flush(b, now_ns);
}

uint64_t batch_deadline_ns(const struct batch *b)
{
	uint64_t age = (b->open ? b->opened_ns : b->closed_ns) + b->config.age_ns;
	uint64_t next = allowed_ns(b);

	if (!has_content(b))
		return 0;
	/* Held back only by an earlier one that the uplink has not taken yet. */
	if (next <= b->checked_ns)
		next = b->checked_ns + LOOK_AGAIN_NS;
	return next < age ? next : age;
}

uint64_t batch_rest_ns(const struct batch *b, uint64_t now_ns)
{
	uint64_t age = b->config.age_ns;
	uint64_t next = allowed_ns(b);
	uint64_t due = batch_deadline_ns(b);

	if (next <= now_ns)
		return 0;
	if (due != 0 && due < next)
		next = due;
	if (next <= now_ns)
		return 0;
	return next - now_ns < age ? next - now_ns : age;
}

void batch_stats(const struct batch *b, struct batch_stats *ret_stats)
{
	*ret_stats = b->stats;
}
