/* Nothing is lost in silence: under a flood of distinct opens, with acts of every other class in between, each act
 * that passed the kernel's filter came here, was summed up and told as a repeat, or is counted as lost, by
 * class and CPU. All by counts, whatever the rate; the rate that was reached is printed. */
#include "tests/bpf/live.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "node-agent/accounts.h"
#include "node-agent/event_class.h"
#include "tests/bpf/acts.h"

/* Processes that open and close, nothing else, more than there are CPUs: two quiet ones are offered more than
 * 200 000 opens a second, and the reader gets what a node under attack would leave to it. */
#define OPENERS	 6
#define OPENS	 50000
#define FORK_OFF 1000 /* opens between two forks */
/* 65 536 acts that are all different before one comes again: many times the slots of a CPU. */
#define FILES 2048
#define WAYS  32
#define FDS_MAX	 900
/* The last process: so often an act of every class. */
#define MIXES 500
#define CPUS_MAX 256

static char dir[64];

struct flood {
	struct capture *capture;
	struct uplink_policy policy;
	struct actor actors[OPENERS + 1];
	uint64_t events[NJ_CLASS_MAX]; /* each of its own */
	uint64_t repeated[NJ_CLASS_MAX];
	uint64_t reported[NJ_CLASS_MAX]; /* as lost */
	uint64_t last_seq;
	bool gap;
};

static void on_event(void *ctx, const struct event *event)
{
	struct flood *f = ctx;
	enum nj_class class = event_class(event);

	f->gap |= f->last_seq && event->seq != f->last_seq + 1;
	f->last_seq = event->seq;
	f->events[class] += event->repeats == 0;
	f->repeated[class] += event->repeats;
}

static void take_losses(struct flood *f)
{
	struct loss losses[4 * NJ_CLASS_MAX];
	uint32_t count = capture_losses(f->capture, losses, 4 * NJ_CLASS_MAX);

	for (uint32_t i = 0; i < count; i++)
		for (int class = 0; class < NJ_CLASS_MAX; class++)
			if (losses[i].reason == LOSS_REASON_RING &&
			    strcmp(losses[i].class, event_class_name((enum nj_class)class)) == 0)
				f->reported[class] += losses[i].count;
}

static int pump(struct flood *f, int timeout_ms)
{
	struct pollfd p = {.fd = capture_fd(f->capture), .events = POLLIN};
	int most_ms = (int)(capture_wait_ns(f->capture, 2 * NS_PER_MS) / NS_PER_MS);
	int r;

	(void)poll(&p, 1, timeout_ms < most_ms ? timeout_ms : most_ms);
	r = capture_turn(f->capture, 4096, on_event, f);
	assert_true(r >= 0);
	return r;
}

/* What an actor is to do. */
struct load {
	unsigned int opens, mixes;
};

static int open_all_ways(void *arg)
{
	static const int ways[] = {O_CLOEXEC, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY, O_NOATIME};
	static char names[FILES][8];
	const struct load *load = arg;

	for (unsigned int i = 0; i < FILES; i++)
		(void)snprintf(names[i], sizeof(names[i]), "%u", i);
	(void)close_range(3, ~0U, 0);
	for (unsigned int i = 0; i < load->opens; i++) {
		int how = O_RDONLY, fd;

		for (unsigned int bit = 0; bit < sizeof(ways) / sizeof(ways[0]); bit++)
			how |= i / FILES % WAYS >> bit & 1 ? ways[bit] : 0;
		fd = open(names[i % FILES], how);
		if (fd < 0)
			return 1;
		/* All at once, which leaves more time for opens. */
		if (fd >= FDS_MAX)
			(void)close_range(3, ~0U, 0);
		if (i % FORK_OFF == 0)
			acts_do(NJ_CLASS_PROCESS, i);
	}
	return 0;
}

static int do_everything(void *arg)
{
	const struct load *load = arg;

	for (unsigned int i = 0; i < load->mixes; i++)
		for (int class = 0; class < NJ_CLASS_MAX; class++)
			/* A cgroup that goes waits for the whole kernel. */
			if (class != NJ_CLASS_CGROUP || i % 50 == 0)
				acts_do((enum nj_class)class, i);
	return 0;
}

static void begin(struct flood *f, uint64_t ring_bytes)
{
	struct capture_config config = {.boot_id = "test", .ring_bytes = ring_bytes, .policy = &f->policy};
	struct err e = {0};
	int r;

	memset(f, 0, sizeof(*f));
	policy_default(NULL, &f->policy);
	f->policy.classes = (uint32_t)POLICY_ALL;
	f->policy.open_all = true;
	r = capture_new(&config, &f->capture, &e);
	if (r == -EPERM) {
		printf("SKIP %s\n", e.text);
		exit(LIVE_SKIP);
	}
	if (r < 0)
		fail_msg("%s", e.text);
}

static uint64_t cpu_ns(const struct rusage *used)
{
	return (uint64_t)(used->ru_utime.tv_sec + used->ru_stime.tv_sec) * NS_PER_SEC +
	       (uint64_t)(used->ru_utime.tv_usec + used->ru_stime.tv_usec) * 1000;
}

/* Lets the actors go and reaps them, reading meanwhile or not. */
static void await_actors(struct flood *f, bool read_meanwhile, uint64_t *ret_opening_ns, uint64_t *ret_cpu_ns)
{
	uint64_t start = clock_monotonic_ns(), last = start, used = 0;

	for (int i = 0; i < OPENERS + 1; i++)
		live_go(&f->actors[i]);
	for (int left = OPENERS + 1; left > 0;) {
		struct rusage usage;
		int status;
		pid_t pid = wait4(-1, &status, read_meanwhile ? WNOHANG : 0, &usage);

		if (pid > 0) {
			assert_int_equal(status, 0);
			left--;
		}
		if (pid > 0 && pid != f->actors[OPENERS].pid) {
			last = clock_monotonic_ns();
			used += cpu_ns(&usage);
		}
		if (read_meanwhile)
			(void)pump(f, 5);
	}
	*ret_opening_ns = last - start;
	*ret_cpu_ns = used;
}

/* Runs the flood; read: while it runs, or only after it. */
static void run(struct flood *f, struct load load, bool read_meanwhile)
{
	static struct live none;
	uint64_t ns, used;

	none.tree_size = 0;
	for (int i = 0; i < OPENERS; i++)
		f->actors[i] = live_actor(&none, open_all_ways, &load);
	f->actors[OPENERS] = live_actor(&none, do_everything, &load);
	await_actors(f, read_meanwhile, &ns, &used);
	printf("%u distinct opens, %llu a second, %llu a second of CPU time, for a reader that is %s\n",
	       OPENERS * load.opens, OPENERS * load.opens * NS_PER_SEC / ns, OPENERS * load.opens * NS_PER_SEC / used,
	       read_meanwhile ? "there" : "away");
	assert_true(capture_stop(f->capture, on_event, f) >= 0);
}

/* An account, of all and of each CPU. */
struct ledger {
	struct capture_account rows[NJ_CLASS_MAX];
	struct nj_counts counts[CPUS_MAX];
	uint64_t shipped[CPUS_MAX][NJ_CLASS_MAX];
	int cpus;
};

static void draw_up_cpus(struct flood *f, struct ledger *l)
{
	for (l->cpus = 0; l->cpus < CPUS_MAX; l->cpus++) {
		if (capture_counts(f->capture, l->cpus, &l->counts[l->cpus]) < 0)
			break;
		for (int class = 0; class < NJ_CLASS_MAX; class++)
			l->shipped[l->cpus][class] = capture_shipped(f->capture, l->cpus, (enum nj_class)class);
	}
}

/* False when something was under way. */
static bool draw_up(struct flood *f, struct ledger *l)
{
	struct capture_account after[NJ_CLASS_MAX];
	bool still = true;

	(void)pump(f, 0);
	if (capture_account(f->capture, l->rows) < 0)
		return false;
	draw_up_cpus(f, l);
	take_losses(f);
	if (capture_account(f->capture, after) < 0)
		return false;
	for (int class = 0; class < NJ_CLASS_MAX; class++)
		still = still && !after[class].moved && after[class].seen == l->rows[class].seen;
	return still;
}

/* Process life goes on, of other programs too: until a moment without any. */
static void settle(struct flood *f, struct ledger *l)
{
	uint64_t deadline = clock_monotonic_ns() + LIVE_DEADLINE_MS * NS_PER_MS;

	while (!draw_up(f, l))
		assert_true(clock_monotonic_ns() < deadline);
}

static void check_sums(const struct flood *f, const struct capture_account rows[static NJ_CLASS_MAX])
{
	for (int class = 0; class < NJ_CLASS_MAX; class++) {
		const struct capture_account *row = &rows[class];

		if (accounts_off(row, 0) != 0 || row->repeated != f->repeated[class] || row->waiting != 0)
			fail_msg("%s: seen %llu, shipped %llu, suppressed %llu, lost %llu, repeated %llu (told %llu), waiting %llu",
				 row->class, (unsigned long long)row->seen, (unsigned long long)row->shipped,
				 (unsigned long long)row->suppressed, (unsigned long long)row->lost,
				 (unsigned long long)row->repeated, (unsigned long long)f->repeated[class],
				 (unsigned long long)row->waiting);
	}
}

/* What was lost was told as lost. */
static void check_losses(const struct flood *f, const struct ledger *l)
{
	for (int class = 0; class < NJ_CLASS_MAX; class++)
		assert_int_equal(l->rows[class].lost, f->reported[class]);
}

/* The same account for each CPU. */
static void check_cpus(const struct ledger *l)
{
	assert_int_equal(l->cpus, get_nprocs_conf());
	for (int cpu = 0; cpu < l->cpus; cpu++)
		for (int class = 0; class < NJ_CLASS_MAX; class++) {
			const struct nj_counts *c = &l->counts[cpu];
			uint64_t shipped = l->shipped[cpu][class];

			if (c->seen[class] != shipped + c->suppressed[class] + c->lost[class])
				fail_msg("CPU %d, %s: seen %llu, shipped %llu, suppressed %llu, lost %llu", cpu,
					 event_class_name((enum nj_class)class), (unsigned long long)c->seen[class],
					 (unsigned long long)shipped, (unsigned long long)c->suppressed[class],
					 (unsigned long long)c->lost[class]);
		}
}

/* A class without a provider here sees nothing, and says so. */
static bool covered(const struct flood *f, enum nj_class class)
{
	const struct capture_coverage *rows;
	uint32_t count = capture_coverages(f->capture, &rows);

	for (uint32_t i = 0; i < count; i++)
		if (strcmp(rows[i].class, event_class_name(class)) == 0)
			return strcmp(rows[i].state, "missing") != 0;
	return false;
}

static void check_classes(const struct flood *f, const struct capture_account rows[static NJ_CLASS_MAX],
			  const struct load *load)
{
	for (int class = 0; class < NJ_CLASS_MAX; class++)
		if (rows[class].seen == 0 && acts_exist((enum nj_class)class) && covered(f, (enum nj_class)class))
			fail_msg("nothing seen of class %s", rows[class].class);
	assert_true(rows[NJ_CLASS_FILE].seen >= OPENERS * load->opens);
}

static void check(struct flood *f, struct ledger *l, const struct load *load)
{
	settle(f, l);
	check_sums(f, l->rows);
	check_cpus(l);
	check_losses(f, l);
	check_classes(f, l->rows, load);
}

static void say(const struct capture_account *row)
{
	printf("%-11s seen %llu = %llu shipped + %llu summed up + %llu lost\n", row->class,
	       (unsigned long long)row->seen, (unsigned long long)row->shipped, (unsigned long long)row->suppressed,
	       (unsigned long long)row->lost);
}

/* Fewer on a machine that is emulated. */
static struct load load_of(unsigned int opens, unsigned int mixes)
{
	unsigned int slow = (unsigned int)live_deadline_ms() / 10000;

	return (struct load){opens / slow, mixes / slow};
}

static void every_act_is_shipped_summed_up_or_counted_as_lost(void **state)
{
	const struct load load = load_of(OPENS, MIXES);
	static struct ledger l;
	struct flood f;

	(void)state;
	begin(&f, 0);
	run(&f, load, true);
	check(&f, &l, &load);
	assert_false(f.gap);
	assert_true(l.rows[NJ_CLASS_FILE].suppressed > 0);
	/* Whatever the flood. */
	assert_int_equal(l.rows[NJ_CLASS_PROCESS].lost, 0);
	for (int class = 0; class < NJ_CLASS_MAX; class++)
		say(&l.rows[class]);
	capture_free(f.capture);
}

/* Rings of the smallest size and nobody who reads: nearly all is lost, and all of that is counted. */
static void so_it_is_when_most_is_lost(void **state)
{
	const struct load load = load_of(OPENS / 10, MIXES / 10);
	static struct ledger l;
	struct flood f;

	(void)state;
	begin(&f, 1);
	run(&f, load, false);
	check(&f, &l, &load);
	assert_true(l.rows[NJ_CLASS_FILE].lost > 0);
	/* Only what was told before is counted instead of being told: no act is summed up under one that was lost. */
	assert_true(f.events[NJ_CLASS_FILE] > 0);
	capture_free(f.capture);
}

static void an_account_that_is_off_says_by_how_much(void **state)
{
	struct capture_account a = {.seen = 100, .shipped = 60, .suppressed = 30, .lost = 10, .repeated = 25, .waiting = 5};

	(void)state;
	assert_int_equal(accounts_off(&a, 0), 0);
	a.seen = 102;
	assert_int_equal(accounts_off(&a, 2), 0);
	assert_int_equal(accounts_off(&a, 1), 2);
	a.seen = 99;
	assert_int_equal(accounts_off(&a, 2), -1);
	a.seen = 100;
	a.repeated = 24;
	assert_int_equal(accounts_off(&a, 2), 1);
	a.moved = true;
	assert_int_equal(accounts_off(&a, 2), 0);
}

/* Where files are memory, if there is such a place. */
static int make_files(void **state)
{
	char name[16];

	(void)state;
	(void)snprintf(dir, sizeof(dir), "%s/nj-accounts-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(dir) || chdir(dir) < 0)
		return -1;
	for (int i = 0; i < FILES; i++) {
		(void)snprintf(name, sizeof(name), "%d", i);
		if (close(creat(name, 0600)) < 0)
			return -1;
	}
	return 0;
}

static int remove_files(void **state)
{
	char name[16];

	(void)state;
	for (int i = 0; i < FILES; i++) {
		(void)snprintf(name, sizeof(name), "%d", i);
		(void)unlink(name);
	}
	return chdir("/") < 0 || rmdir(dir) < 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_account_that_is_off_says_by_how_much),
		cmocka_unit_test(every_act_is_shipped_summed_up_or_counted_as_lost),
		cmocka_unit_test(so_it_is_when_most_is_lost),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
