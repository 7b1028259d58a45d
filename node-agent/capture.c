/* Composition: loads and attaches, seeds the process table, and turns each record into an event.
 * capture_turn is the way of a record: merge → decode → process table → the caller. */
#include "node-agent/capture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/sysinfo.h>

#include "common/clock.h"
#include "node-agent/containers.h"
#include "node-agent/coverage.h"
#include "node-agent/cpu_use.h"
#include "node-agent/decode.h"
#include "node-agent/event_class.h"
#include "node-agent/kernel_caps.h"
#include "node-agent/merge.h"
#include "node-agent/policy.h"
#include "node-agent/policy_switch.h"
#include "node-agent/probe.h"
#include "node-agent/procfs.h"
#include "node-agent/proctable.h"
#include "node-agent/repeats.h"
#include "node-agent/ring_plan.h"
#include "node-agent/seeds.h"

#define CONTAINERS_MAX	   4096
#define PROCESSES_DEFAULT  16384
#define SEED_BYTES_MAX	   (64UL << 20)
#define SEEDS_PER_TURN	   64 /* whose definitions are kept at a time */
/* Ten turns a second cost an idle node nothing that can be measured. */
#define WAIT_NS		   (100 * NS_PER_MS)

/* How often windows are closed whose time is over, and for how long after a policy a program may still
 * work by the one before. */
#define SWEEP_NS  NS_PER_SEC
#define SETTLE_NS (50 * NS_PER_MS)
#define KEEP_BYTES (1UL << 20)

struct capture {
	struct kernel_caps caps;
	struct probe *probe;
	struct merge *merge;
	struct containers *containers;
	struct proctable *processes;
	struct cpu_use *cpu; /* NULL: not sampled */
	uint64_t cpu_period_ns;
	uint64_t cpu_next_ns;
	bool cpu_host;
	struct repeats *repeats;
	const struct uplink_policy *policy; /* in force; NULL before the first */
	uint64_t policy_ns, sweep_ns;
	uint64_t cgroups_unset; /* whose policy found no room */
	uint64_t seq;
	/* When the processes that ran already had been listed. A record from before whose process is
	 * not known is of one that had ended by then: the watch begins with those that are listed. */
	uint64_t begin_ns;
	/* Counted here since start, and what of everything has been reported. */
	uint64_t decode_lost[NJ_CLASS_MAX];
	uint64_t unknown[NJ_CLASS_MAX];
	uint64_t reported[LOSS_REASON_MAX][NJ_CLASS_MAX];
	uint64_t (*shipped)[NJ_CLASS_MAX]; /* records taken from the rings, by CPU as their heads have it */
	uint32_t cpus;
	uint64_t repeated[NJ_CLASS_MAX]; /* acts that repeats stood for */
	uint64_t turn_ns;  /* of the last turn */
	/* Of the running turn. */
	capture_event_fn handle;
	void *ctx;
};

/* ---- policy ---- */

int capture_set_policy(struct capture *c, const struct uplink_policy *policy, struct err *e)
{
	int r = policy_switch(c->probe, c->containers, c->policy, policy, e);

	if (r < 0)
		return r;
	c->policy = policy;
	c->policy_ns = clock_boot_ns();
	return 0;
}

/* A cgroup came or went: what the policy says of it. */
static void set_cgroup(struct capture *c, const struct decoded *d)
{
	const struct nj_cgroup_key key = {.cgroup = d->cgroup_id, .hierarchy = d->cgroup_hierarchy};

	c->cgroups_unset += policy_switch_cgroup(c->probe, c->policy, &key, d->cgroup_removed ? NULL : d->file.path) < 0;
}

/* ---- records ---- */

static struct event event_of(struct capture *c, const struct decoded *d, const struct process_def *process)
{
	return (struct event){
		.seq = ++c->seq,
		.time_ns = d->head.time,
		.kind = d->kind,
		.tid = d->head.tid,
		.process = process,
		.result = d->result,
		.endpoints = d->endpoints,
		.endpoint_count = d->endpoint_count,
		.flags = d->flags,
		.old_fd = d->old_fd,
		.file = d->file,
		.raw_path = d->raw_path,
		.creds = d->creds,
		.marks = d->marks,
	};
}

static void hand_on(struct capture *c, const struct decoded *d, struct event *event)
{
	struct event_detail detail = d->detail;

	if (d->target.task.tgid)
		detail.target = proctable_target(c->processes, &d->target);
	event->detail = &detail;
	c->handle(c->ctx, event);
}

static void deliver(struct capture *c, const struct decoded *d, const struct process_def *process,
		    const struct process_def *child)
{
	struct event event = event_of(c, d, process);

	event.child = child;
	hand_on(c, d, &event);
}

static const struct process_def *actor(struct capture *c, const struct decoded *d)
{
	bool unknown = false;
	const struct process_def *process = proctable_of(c->processes, &d->head, &unknown);

	c->unknown[event_class_of(d->kind, d->endpoints, d->endpoint_count)] += unknown && d->head.time > c->begin_ns;
	return process;
}

/* An act that came again so often. Its process may be gone by now, and is known all the same. */
static void on_repeat(void *ctx, const struct repeat *repeat)
{
	struct capture *c = ctx;
	const struct process_def *process;
	struct decoded d;
	struct event event;

	c->repeated[repeat->key.class % NJ_CLASS_MAX] += repeat->count;
	if (repeats_decode(repeat, &d) < 0)
		return;
	process = proctable_find(c->processes, &repeat->key.task);
	event = event_of(c, &d, process ? process : actor(c, &d));
	event.repeats = repeat->count;
	event.first_ns = repeat->first_ns;
	event.time_ns = repeat->last_ns;
	hand_on(c, &d, &event);
}

/* The image that was told of. An exec that fails past its point of no return (killed in the middle of it)
 * has counted and was not reported: then it is the one before. False when neither is known. */
static bool find_told(struct capture *c, struct decoded *d)
{
	struct nj_task earlier = d->head.task;

	if (proctable_find(c->processes, &d->head.task))
		return true;
	earlier.exec_count--;
	if (!proctable_find(c->processes, &earlier))
		return false;
	d->head.task = earlier;
	return true;
}

static void on_exit_record(struct capture *c, struct decoded *d)
{
	const struct process_def *process;

	repeats_task(c->repeats, &d->head.task, on_repeat, c);
	if (!find_told(c, d) && d->head.time <= c->begin_ns)
		return;
	repeats_task(c->repeats, &d->head.task, on_repeat, c);
	process = actor(c, d);
	if (proctable_exit(c->processes, &d->head.task))
		deliver(c, d, process, NULL);
}

/* The image before does nothing any more. */
static void on_exec_record(struct capture *c, const struct decoded *d)
{
	struct nj_task before = d->head.task;

	before.exec_count--;
	repeats_task(c->repeats, &before, on_repeat, c);
	deliver(c, d, proctable_exec(c->processes, d), NULL);
}

static void on_fork_record(struct capture *c, const struct decoded *d)
{
	const struct process_def *parent = actor(c, d);
	const struct process_def *child = proctable_fork(c->processes, d, parent);

	deliver(c, d, parent, child);
}

/* Reported in the hierarchy that says which container a process is in; a runtime on v1 makes a dozen. */
static void on_cgroup_record(struct capture *c, const struct decoded *d)
{
	if (d->cgroup_removed)
		containers_gone(c->containers, d->cgroup_hierarchy, d->cgroup_id);
	else
		containers_made(c->containers, d->cgroup_hierarchy, d->cgroup_id, d->file.path);
	set_cgroup(c, d);
	if (d->cgroup_hierarchy == 0 || d->cgroup_hierarchy == d->head.hierarchy)
		deliver(c, d, actor(c, d), NULL);
}

static void count_malformed(struct capture *c, struct bytes record)
{
	c->decode_lost[decode_class_of(record)]++;
}

/* A record that is not an act, or opens a window. True: that was all. */
static bool take_window(struct capture *c, struct bytes record)
{
	struct nj_head head;

	if (record.len < sizeof(head))
		return false;
	memcpy(&head, record.data, sizeof(head));
	if (head.type == NJ_REPEAT) {
		if (repeats_told(c->repeats, record, on_repeat, c) < 0)
			count_malformed(c, record);
		return true;
	}
	c->shipped[head.cpu < c->cpus ? head.cpu : 0][decode_class_of(record)]++;
	if (head.window)
		repeats_keep(c->repeats, record);
	return false;
}

/* One record of a ring. */
static void on_record(void *ctx, struct bytes record)
{
	struct capture *c = ctx;
	struct decoded d;

	if (take_window(c, record))
		return;
	if (decode_record(record, &d) < 0) {
		count_malformed(c, record);
		return;
	}
	switch (d.head.type) {
	case NJ_CGROUP:
		on_cgroup_record(c, &d);
		return;
	case NJ_FORK:
		on_fork_record(c, &d);
		return;
	case NJ_EXEC:
		on_exec_record(c, &d);
		return;
	case NJ_EXIT:
		on_exit_record(c, &d);
		return;
	}
	if (d.kind == EVENT_KIND_EXEC_FAILED)
		(void)find_told(c, &d);
	if (d.kind == EVENT_KIND_CRED)
		proctable_set_creds(c->processes, &d.head.task, &d.creds);
	if (d.kind)
		deliver(c, &d, actor(c, &d), NULL);
}

/* The agent is awake: nobody need wake it. */
static void wake(struct capture *c, uint64_t now_ns)
{
	__atomic_store_n(&probe_bell(c->probe)->state, NJ_AGENT_AWAKE, __ATOMIC_RELAXED);
	c->turn_ns = now_ns;
}

static void on_cpu_use(void *ctx, const struct nj_owner *owner, uint64_t used_ns, uint64_t over_ns)
{
	struct capture *c = ctx;
	const struct process_def *process = proctable_find(c->processes, &owner->task);
	struct decoded d;

	if (!process || (!c->cpu_host && !process->container->container_id[0]))
		return;
	decode_cpu_use(owner, c->turn_ns, used_ns, over_ns, &d);
	deliver(c, &d, process, NULL);
}

static void add_cpu(void *ctx, struct bytes records)
{
	cpu_use_add(ctx, records);
}

static bool cpu_due(const struct capture *c)
{
	return c->cpu && c->turn_ns >= c->cpu_next_ns &&
	       probe_settings(c->probe)->classes & 1ULL << NJ_CLASS_CPU;
}

/* After the rings: whoever used much is known by then. A sample that fails is left out, and the next one is
 * over a longer time. */
static void sample_cpu(struct capture *c)
{
	c->cpu_next_ns = c->turn_ns + c->cpu_period_ns;
	cpu_use_begin(c->cpu, c->turn_ns);
	if (probe_sample_cpu(c->probe, add_cpu, c->cpu) == 0)
		cpu_use_end(c->cpu, on_cpu_use, c);
}

/* Windows whose time is over. */
static void sweep(struct capture *c)
{
	const struct nj_settings *settings = probe_settings(c->probe);

	if (c->turn_ns < c->sweep_ns + SWEEP_NS || c->turn_ns < c->policy_ns + SETTLE_NS)
		return;
	c->sweep_ns = c->turn_ns;
	repeats_sweep(c->repeats, c->turn_ns, settings->window_ns, settings->epoch, on_repeat, c);
}

int capture_turn(struct capture *c, uint32_t max_records, capture_event_fn handle, void *ctx)
{
	int handled;

	c->handle = handle;
	c->ctx = ctx;
	wake(c, clock_boot_ns());
	proctable_turn(c->processes);
	handled = (int)merge_turn(c->merge, c->turn_ns, max_records, on_record, c);
	if (cpu_due(c))
		sample_cpu(c);
	sweep(c);
	return handled;
}

int capture_stop(struct capture *c, capture_event_fn handle, void *ctx)
{
	struct err e = {0};
	int r = probe_want(c->probe, POLICY_FIXED, &e);
	int handled = capture_turn(c, UINT32_MAX, handle, ctx);
	uint64_t since = c->turn_ns;

	while (merge_held(c->merge) && c->turn_ns - since < MERGE_HOLD_NS)
		handled += capture_turn(c, UINT32_MAX, handle, ctx);
	repeats_all(c->repeats, on_repeat, c);
	return r < 0 ? r : handled;
}

/* The iterator cannot read another process's memory: its arguments come from /proc, and are left
 * out when the process is not the one it was. */
static void complete_seed(struct decoded *d, struct procfs_image *image)
{
	if (procfs_read_areas("/proc", d->head.task.tgid, image) < 0 ||
	    image->start_ticks != procfs_ticks(d->head.task.start_ns))
		return;
	d->args = bytes_of(image->args, image->args_len);
	d->env = bytes_of(image->env, image->env_len);
	d->truncated |= image->truncated;
}

static const struct process_def *seed_process(struct capture *c, struct decoded *d)
{
	const struct process_def *known = proctable_find(c->processes, &d->head.task);
	struct procfs_image image;

	if (known)
		return known;
	complete_seed(d, &image);
	return proctable_exec(c->processes, d);
}

/* Takes every live process into the table, and reports it when there is somebody to tell. */
static int seed(struct capture *c, bool report)
{
	_cleanup_buf_ struct buf records = buf_with_max(SEED_BYTES_MAX);
	_cleanup_(freep) struct seed *seeds = NULL;
	int r = probe_seed(c->probe, &records);
	int count;

	if (r < 0)
		return r;
	if (c->begin_ns == 0)
		c->begin_ns = clock_boot_ns();
	count = seeds_cut(buf_bytes(&records), &seeds);
	for (int i = 0; i < count; i++) {
		const struct process_def *process;
		struct decoded d;

		if (decode_record(seeds[i].record, &d) < 0) {
			count_malformed(c, seeds[i].record);
			continue;
		}
		if (i % SEEDS_PER_TURN == 0)
			proctable_turn(c->processes);
		process = seed_process(c, &d);
		if (report)
			deliver(c, &d, process, NULL);
	}
	return count;
}

int capture_snapshot(struct capture *c, capture_event_fn handle, void *ctx)
{
	int waiting = capture_turn(c, UINT32_MAX, handle, ctx);

	return waiting < 0 ? waiting : seed(c, true);
}

static int map_rings(struct capture *c, struct err *e)
{
	c->merge = merge_new(probe_ring_count(c->probe));
	if (!c->merge)
		return err_set(e, -ENOMEM, "cannot map the rings: out of memory");
	for (uint32_t i = 0; i < probe_ring_count(c->probe); i++) {
		int r = merge_add_map(c->merge, probe_ring_fd(c->probe, i), probe_ring_bytes(c->probe, i));

		if (r < 0)
			return err_set(e, r, "cannot map a ring: %s", strerror(-r));
	}
	return 0;
}

static int make_tables(struct capture *c, const struct capture_config *config, struct err *e)
{
	struct proctable_config table = {
		.boot_id = config->boot_id,
		.proc = "/proc",
		.capacity = config->max_processes ? config->max_processes : PROCESSES_DEFAULT,
		.env_names = config->env_names,
	};

	c->cpus = (uint32_t)get_nprocs_conf();
	c->shipped = calloc(c->cpus, sizeof(*c->shipped));
	if (!c->shipped)
		return err_set(e, -ENOMEM, "cannot make the accounts: out of memory");
	if (config->cpu_period_ns)
		c->cpu = cpu_use_new(config->cpu_percent);
	if (config->cpu_period_ns && !c->cpu)
		return err_set(e, -ENOMEM, "cannot make the table of CPU use: out of memory");
	c->cpu_period_ns = config->cpu_period_ns;
	c->cpu_host = config->cpu_host;
	c->containers = containers_new("/sys/fs/cgroup", "/proc", CONTAINERS_MAX);
	table.containers = c->containers;
	c->processes = c->containers ? proctable_new(&table) : NULL;
	return c->processes ? 0 : err_set(e, -ENOMEM, "cannot make the process table: out of memory");
}

/* A connection that ended before its owner was listed ended before the watch began. */
static void leave_out_earlier_ends(struct capture *c)
{
	uint64_t missed[NJ_CLASS_MAX];
	struct nj_counts kernel;

	probe_missed(c->probe, missed);
	(void)probe_counts(c->probe, -1, &kernel);
	c->reported[LOSS_REASON_TABLE][NJ_CLASS_TCP] = kernel.ownerless;
}

static int make_repeats(struct capture *c, struct err *e)
{
	const struct nj_window *windows;
	uint32_t slots = probe_windows(c->probe, &windows);

	c->repeats = repeats_new(windows, slots, KEEP_BYTES);
	return c->repeats ? 0 : err_set(e, -ENOMEM, "cannot make the table of repeats: out of memory");
}

int capture_new(const struct capture_config *config, struct capture **ret_capture, struct err *e)
{
	_cleanup_(capture_freep) struct capture *c = calloc(1, sizeof(*c));
	const uint32_t cpus = (uint32_t)get_nprocs_conf();
	struct probe_config rings = ring_plan(config->ring_bytes, cpus > config->cpus ? cpus : config->cpus);
	int r;

	if (!c)
		return err_set(e, -ENOMEM, "out of memory");
	c->seq = config->first_seq ? config->first_seq - 1 : 0;
	r = kernel_caps_read(config->btf_path, &c->caps, e);
	if (r == 0)
		r = make_tables(c, config, e);
	if (r < 0)
		return r;
	rings.refused = config->refused;
	rings.provider = provider_of(config->provider);
	rings.use_v1_cgroup = containers_use_v1(c->containers);
	r = probe_new(&rings, &c->probe, e);
	if (r == 0)
		r = map_rings(c, e);
	if (r == 0)
		r = make_repeats(c, e);
	if (r == 0)
		r = capture_set_policy(c, config->policy, e);
	if (r == 0)
		r = probe_attach(c->probe, e);
	if (r < 0)
		return r;
	r = seed(c, false);
	if (r < 0)
		return err_set(e, r, "cannot list the processes that run already: %s", strerror(-r));
	leave_out_earlier_ends(c);
	*ret_capture = take_ptr(c);
	return 0;
}

void capture_free(struct capture *c)
{
	if (!c)
		return;
	merge_free(c->merge);
	repeats_free(c->repeats);
	probe_free(c->probe);
	proctable_free(c->processes);
	cpu_use_free(c->cpu);
	containers_free(c->containers);
	free(c->shipped);
	free(c);
}

int capture_fd(const struct capture *c)
{
	return merge_fd(c->merge);
}

/* The bell first, then the look: a record that came in between is seen here or rings. */
uint64_t capture_wait_ns(struct capture *c, uint64_t rest_ns)
{
	const enum nj_bell_state state = rest_ns > 0 ? NJ_AGENT_NAPS : NJ_AGENT_ASLEEP;

	__atomic_store_n(&probe_bell(c->probe)->state, state, __ATOMIC_SEQ_CST);
	if (rest_ns > 0)
		return rest_ns < WAIT_NS ? rest_ns : WAIT_NS;
	if (!merge_pending(c->merge))
		return WAIT_NS;
	return merge_held(c->merge) ? MERGE_EPSILON_NS : 0;
}

struct containers *capture_containers(struct capture *c)
{
	return c->containers;
}

uint32_t capture_coverages(const struct capture *c, const struct capture_coverage **ret_rows)
{
	return probe_coverages(c->probe, ret_rows);
}

struct loss_rows {
	struct loss *rows;
	uint32_t count;
	uint32_t max;
};

/* Adds what total has more than was reported. */
static void add_loss(struct capture *c, struct loss_rows *out, enum loss_reason reason, uint32_t class, uint64_t total)
{
	uint64_t *reported = &c->reported[reason][class];

	if (total <= *reported || out->count >= out->max)
		return;
	out->rows[out->count++] = (struct loss){reason, event_class_name(class), total - *reported};
	*reported = total;
}

uint32_t capture_losses(struct capture *c, struct loss *ret_losses, uint32_t max)
{
	struct loss_rows out = {ret_losses, 0, max};
	uint64_t missed[NJ_CLASS_MAX];
	struct proctable_stats stats;
	struct nj_counts kernel;

	probe_missed(c->probe, missed);
	(void)probe_counts(c->probe, -1, &kernel);
	proctable_stats(c->processes, &stats);
	for (uint32_t class = 0; class < NJ_CLASS_MAX; class++) {
		uint64_t table = c->unknown[class];

		table += class == NJ_CLASS_PROCESS ? stats.evicted_live : 0;
		table += class == NJ_CLASS_TCP ? kernel.ownerless : 0;
		add_loss(c, &out, LOSS_REASON_RING, class, kernel.lost[class]);
		add_loss(c, &out, LOSS_REASON_MISSED, class, missed[class]);
		add_loss(c, &out, LOSS_REASON_TABLE, class, table);
		add_loss(c, &out, LOSS_REASON_DECODE, class, c->decode_lost[class]);
	}
	return out.count;
}

uint64_t capture_overtaken(const struct capture *c)
{
	return merge_overtaken(c->merge);
}

int capture_counts(struct capture *c, int cpu, struct nj_counts *ret_counts)
{
	return probe_counts(c->probe, cpu, ret_counts);
}

uint64_t capture_shipped(const struct capture *c, int cpu, enum nj_class class)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < c->cpus; i++)
		sum += cpu < 0 || (uint32_t)cpu == i ? c->shipped[i][class] : 0;
	return sum;
}

/* Records are looked for after the counts are read: what was counted is either taken or in a ring. A
 * program that has counted and not written yet is one per CPU at most. */
int capture_account(struct capture *c, struct capture_account ret_rows[static NJ_CLASS_MAX])
{
	uint64_t waiting[NJ_CLASS_MAX];
	struct nj_counts kernel, after;
	int r = probe_counts(c->probe, -1, &kernel);

	repeats_waiting(c->repeats, waiting);
	if (r == 0)
		r = probe_counts(c->probe, -1, &after);
	if (r < 0 || merge_pending(c->merge))
		return r < 0 ? r : -EAGAIN;
	for (uint32_t class = 0; class < NJ_CLASS_MAX; class++)
		ret_rows[class] = (struct capture_account){
			.class = event_class_name(class),
			.seen = kernel.seen[class],
			.shipped = capture_shipped(c, -1, (enum nj_class)class),
			.suppressed = kernel.suppressed[class],
			.lost = kernel.lost[class],
			.repeated = c->repeated[class],
			.waiting = waiting[class],
			.moved = after.seen[class] != kernel.seen[class],
		};
	return 0;
}

bool capture_gaps(const struct capture *c, struct buf *out)
{
	const struct capture_coverage *rows;
	uint32_t count = capture_coverages(c, &rows);

	return coverage_gaps(rows, count, c->caps.obstacle, out);
}

int capture_probe(const char *provider, struct buf *out, struct buf *ret_gaps, struct err *e)
{
	_cleanup_(probe_freep) struct probe *p = NULL;
	struct probe_config rings = ring_plan(0, 1);
	const struct capture_coverage *rows;
	struct kernel_caps caps;
	uint32_t count;
	int r = kernel_caps_read(NULL, &caps, e);

	rings.provider = provider_of(provider);
	if (r == 0)
		r = probe_new(&rings, &p, e);
	if (r == 0)
		r = probe_attach(p, e);
	if (r < 0)
		return r;
	buf_printf(out, "kernel %s\n", caps.release);
	count = probe_coverages(p, &rows);
	for (uint32_t i = 0; i < count; i++)
		buf_printf(out, "%-11s  %-8s  %s%s%s\n", rows[i].class, rows[i].state, rows[i].provider,
			   rows[i].reason[0] ? "  " : "", rows[i].reason);
	(void)coverage_gaps(rows, count, caps.obstacle, ret_gaps);
	return buf_error(out);
}
