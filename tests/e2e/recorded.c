/* Follows the lineage of each run through a recording.
 *
 * A process belongs to a run when it is the leader of the run's session, or when the image that
 * forked it does. Sizes: some 10 k processes a suite. */
#include "tests/e2e/recorded.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/recording.h"
#include "common/table.h"
#include "common/wire.h"
#include "nightjar/v1/agent.pb-c.h"

#define PROCESSES_MAX	65536
#define DEFINITIONS_MAX 65536

struct reading {
	struct recorded_run *runs;
	size_t count;
	struct table *lineages; /* exec_id → bit mask of runs */
	struct wire_decoder *decoder;
	struct arena *arena;
	uint64_t next_seq; /* 0: not known yet */
	recorded_event_fn fn; /* NULL: none */
	void *ctx;
	struct recorded sum;
};

static uint64_t leaders(const struct reading *r, uint32_t pid)
{
	uint64_t mask = 0;

	for (size_t i = 0; i < r->count; i++)
		if ((uint32_t)r->runs[i].leader == pid)
			mask |= 1ULL << i;
	return mask;
}

/* The runs that the process belongs to; remembered for its children. */
static uint64_t lineage(struct reading *r, const struct process_def *p)
{
	const uint64_t *own = table_get(r->lineages, &p->exec_id);
	const uint64_t *parent = table_get(r->lineages, &p->parent_exec_id);
	uint64_t mask = own ? *own : leaders(r, p->pid) | (parent ? *parent : 0);

	if (mask && !own)
		*(uint64_t *)table_put(r->lineages, &p->exec_id, NULL) = mask;
	return mask;
}

static bool has_endpoint(const struct event *event, const struct decisive *d)
{
	if (d->endpoint == ENDPOINT_KIND_NONE)
		return true;
	for (uint16_t i = 0; i < event->endpoint_count; i++)
		if (event->endpoints[i].kind == d->endpoint &&
		    (d->fd < 0 || event->endpoints[i].fd == d->fd))
			return true;
	return false;
}

static bool is_decisive(const struct event *event, const struct decisive *d, const char *name)
{
	const char *slash = strrchr(event->process->exe.path, '/');

	return event->kind == d->kind && slash && strcmp(slash + 1, name) == 0 &&
	       has_endpoint(event, d);
}

static void take_event(struct reading *r, const struct event *event)
{
	uint64_t mask = lineage(r, event->process);

	if (event->child)
		(void)lineage(r, event->child);
	if (r->next_seq && event->seq > r->next_seq)
		r->sum.gaps += event->seq - r->next_seq;
	r->next_seq = event->seq + 1;
	r->sum.events++;
	for (size_t i = 0; i < r->count; i++) {
		const struct decisive *d = r->runs[i].row->decisive;

		for (uint32_t n = 0; (mask & 1ULL << i) && n < DECISIVE_MAX && d[n].exe; n++)
			if (is_decisive(event, &d[n], r->runs[i].names[n]))
				r->runs[i].found |= 1U << n;
	}
}

/* Which loss it was is for the reader of a failure. */
static void take_loss(struct reading *r, int reason, const char *class, uint64_t count)
{
	fprintf(stderr, "lost after event %" PRIu64 ": %" PRIu64 " of class %s, reason %d\n",
		r->next_seq ? r->next_seq - 1 : 0, count, class, reason);
	r->sum.lost += count;
	r->sum.lost_life += strcmp(class, "process") == 0 ? count : 0;
}

static int take_message(struct reading *r, struct bytes message)
{
	struct wire_batch batch;
	int status;

	arena_reset(r->arena);
	status = wire_decode_batch(r->decoder, message, r->arena, &batch);
	if (status == -ENOMSG)
		return 0; /* a heartbeat, or a Hello */
	if (status < 0)
		return status;
	for (uint32_t i = 0; i < batch.event_count; i++) {
		take_event(r, &batch.events[i]);
		if (r->fn)
			r->fn(r->ctx, &batch.events[i], batch.events[i].time_ns + (uint64_t)batch.head.wall_offset_ns);
	}
	for (uint32_t i = 0; i < batch.loss_count; i++)
		take_loss(r, batch.losses[i].reason, batch.losses[i].class, batch.losses[i].count);
	return 0;
}

static int take_all(struct reading *r, const char *path, struct err *e)
{
	_cleanup_(recording_closep) struct recording_reader *reader = NULL;
	struct recording_entry entry;
	int status = recording_open(path, &reader, e);

	if (status < 0)
		return status;
	while ((status = recording_next(reader, &entry, e)) > 0) {
		if (entry.kind != RECORDING_MESSAGE)
			continue;
		status = take_message(r, entry.message);
		if (status < 0)
			return err_set(e, status, "a recorded message: %s", strerror(-status));
	}
	return status;
}

/* What a program is called once the links to it are followed; events name it so. */
static void find_name(const char *exe, char *ret_name, size_t size)
{
	static const char *const dirs[] = {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
					   "/usr/bin",	      "/sbin",		"/bin"};
	char path[PATH_MAX], real[PATH_MAX];

	snprintf(ret_name, size, "%s", exe);
	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
		snprintf(path, sizeof(path), "%s/%s", dirs[i], exe);
		if (!realpath(path, real))
			continue;
		snprintf(ret_name, size, "%s", strrchr(real, '/') + 1);
		return;
	}
}

static void find_names(struct recorded_run *run)
{
	for (uint32_t n = 0; n < DECISIVE_MAX && run->row->decisive[n].exe; n++)
		find_name(run->row->decisive[n].exe, run->names[n], sizeof(run->names[n]));
}

static int read_into(struct reading *r, const char *path, struct recorded *ret_recorded, struct err *e)
{
	const struct table_config config = {.key_size = sizeof(uint64_t),
					    .record_size = sizeof(uint64_t),
					    .capacity = PROCESSES_MAX};
	_cleanup_(table_freep) struct table *lineages = table_new(&config);
	_cleanup_(wire_decoder_freep) struct wire_decoder *decoder =
		wire_decoder_new(DEFINITIONS_MAX);
	_cleanup_(arena_freep) struct arena *arena = arena_new(64UL << 20);
	int status;

	if (!lineages || !decoder || !arena || r->count > RECORDED_RUNS_MAX)
		return -ENOMEM;
	r->lineages = lineages;
	r->decoder = decoder;
	r->arena = arena;
	status = take_all(r, path, e);
	if (status == 0)
		*ret_recorded = r->sum;
	return status;
}

int recorded_read(const char *path, struct recorded_run *runs, size_t count,
		  struct recorded *ret_recorded, struct err *e)
{
	struct reading r = {.runs = runs, .count = count};

	for (size_t i = 0; i < count; i++)
		find_names(&runs[i]);
	return read_into(&r, path, ret_recorded, e);
}

int recorded_walk(const char *path, recorded_event_fn fn, void *ctx, struct recorded *ret_recorded,
		  struct err *e)
{
	struct reading r = {.fn = fn, .ctx = ctx};

	return read_into(&r, path, ret_recorded, e);
}
