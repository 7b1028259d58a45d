/* One record a process, by what exec does not change: number and start. */
#include "node-agent/cpu_use.h"

#include <stdlib.h>
#include <string.h>

#include "common/table.h"

struct key {
	uint64_t start_ns;
	uint64_t tgid;
};

struct process {
	struct nj_owner owner;
	uint64_t sample; /* the last one that it was in */
	uint64_t now_ns; /* its time by that one, and by the one before */
	uint64_t before_ns;
	bool measured; /* before_ns is known */
};

struct cpu_use {
	struct table *processes;
	uint32_t percent;
	uint64_t sample; /* counts from 1 */
	uint64_t began_ns;
	uint64_t before_ns;
	/* Of the running end. */
	cpu_use_fn tell;
	void *ctx;
};

struct cpu_use *cpu_use_new(uint32_t percent)
{
	_cleanup_(cpu_use_freep) struct cpu_use *u = calloc(1, sizeof(*u));
	struct table_config config = {.key_size = sizeof(struct key),
				      .record_size = sizeof(struct process),
				      .capacity = CPU_USE_PROCESSES};

	if (!u)
		return NULL;
	u->percent = percent;
	u->processes = table_new(&config);
	return u->processes ? take_ptr(u) : NULL;
}

void cpu_use_free(struct cpu_use *u)
{
	if (!u)
		return;
	table_free(u->processes);
	free(u);
}

void cpu_use_begin(struct cpu_use *u, uint64_t now_ns)
{
	u->sample++;
	u->before_ns = u->began_ns;
	u->began_ns = now_ns;
}

/* The first thread of a process in a sample. Whoever began after the last sample began with nothing. */
static void begin_process(const struct cpu_use *u, struct process *p, uint64_t start_ns)
{
	bool seen_before = p->sample != 0 && p->sample == u->sample - 1;

	p->before_ns = seen_before ? p->now_ns : 0;
	p->measured = seen_before || (u->sample > 1 && start_ns >= u->before_ns);
	p->now_ns = 0;
	p->sample = u->sample;
}

static void add_thread(struct cpu_use *u, const struct nj_cpu *thread)
{
	struct key key = {thread->thread.task.start_ns, thread->thread.task.tgid};
	struct process *p = table_put(u->processes, &key, NULL);

	if (p->sample != u->sample)
		begin_process(u, p, key.start_ns);
	p->owner = thread->thread;
	p->now_ns += thread->used_ns;
}

void cpu_use_add(struct cpu_use *u, struct bytes records)
{
	struct nj_cpu thread;

	while (records.len >= sizeof(thread)) {
		memcpy(&thread, records.data, sizeof(thread));
		add_thread(u, &thread);
		records = bytes_of(records.data + sizeof(thread), records.len - sizeof(thread));
	}
}

static bool visit(void *ctx, const void *key, void *record)
{
	struct cpu_use *u = ctx;
	struct process *p = record;
	uint64_t over_ns = u->began_ns - u->before_ns;

	if (p->sample != u->sample) {
		(void)table_remove(u->processes, key);
		return true;
	}
	/* A thread that ends while the threads are listed may be missing from the sum. */
	if (p->measured && p->now_ns > p->before_ns &&
	    (p->now_ns - p->before_ns) / u->percent >= over_ns / 100)
		u->tell(u->ctx, &p->owner, p->now_ns - p->before_ns, over_ns);
	return true;
}

void cpu_use_end(struct cpu_use *u, cpu_use_fn tell, void *ctx)
{
	u->tell = tell;
	u->ctx = ctx;
	table_each(u->processes, visit, u);
}
