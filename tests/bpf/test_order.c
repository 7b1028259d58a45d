/* Order, whatever CPU it happens on: a process is born before it does anything, an image begins before its
 * acts, and nothing comes after the end. Families of processes that move between CPUs at random; the seed
 * is printed, and NJ_SEED repeats it. */
#include "tests/bpf/live.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"

#define SEEDS	 40
#define FAMILIES 2
#define CHILDREN 12

static struct live live;

struct chance {
	uint64_t state;
};

static uint32_t draw(struct chance *c, uint32_t below)
{
	c->state ^= c->state << 13;
	c->state ^= c->state >> 7;
	c->state ^= c->state << 17;
	return (uint32_t)(c->state >> 32) % below;
}

/* pid 0: the caller. Another one is moved in the middle of whatever it does. */
static void move(struct chance *c, pid_t pid)
{
	cpu_set_t there;

	CPU_ZERO(&there);
	CPU_SET(draw(c, (uint32_t)get_nprocs()), &there);
	(void)sched_setaffinity(pid, sizeof(there), &there);
}

/* Waits for a child, which is moved a few times meanwhile. */
static void drive(struct chance *c, pid_t pid)
{
	for (uint32_t moves = draw(c, 6); moves > 0; moves--)
		move(c, pid);
	(void)waitpid(pid, NULL, 0);
}

static void act(struct chance *c)
{
	int fds[2];

	if (draw(c, 2))
		move(c, 0);
	if (draw(c, 2)) {
		(void)close(open("/nonexistent/nj-wanted", O_RDONLY));
	} else if (pipe(fds) == 0) {
		(void)dup2(fds[0], fds[1]);
		(void)close(fds[0]);
		(void)close(fds[1]);
	}
}

static int child(struct chance *c, int depth)
{
	for (uint32_t acts = draw(c, 4); acts > 0; acts--)
		act(c);
	if (depth > 0 && draw(c, 3) == 0) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(child(c, depth - 1));
		act(c);
		drive(c, pid);
	}
	if (draw(c, 2)) {
		move(c, 0);
		execl("/bin/sh", "sh", "-c", ": < /dev/null | :", (char *)NULL);
	}
	return 0;
}

static int family(void *arg)
{
	struct chance c = *(struct chance *)arg;

	for (int i = 0; i < CHILDREN; i++) {
		pid_t pid;

		move(&c, 0);
		c.state += 0x9e3779b97f4a7c15ULL;
		pid = fork();
		if (pid == 0)
			_exit(child(&c, 2));
		if (draw(&c, 2))
			act(&c);
		drive(&c, pid);
	}
	return 0;
}

/* What is known of a pid while the events are walked through. */
struct life {
	uint32_t pid;
	bool born, ended;
	uint64_t exec_id;
	uint64_t time_ns;
};

static struct life *life_of(struct life *lives, size_t *count, uint32_t pid)
{
	for (size_t i = 0; i < *count; i++)
		if (lives[i].pid == pid)
			return &lives[i];
	lives[*count] = (struct life){.pid = pid};
	return &lives[(*count)++];
}

static void check(const struct seen *s, struct life *lives, size_t *count, uint64_t seed)
{
	struct life *life = life_of(lives, count, s->process.pid);
	bool root = s->process.pid == (uint32_t)live.tree[0] || s->process.pid == (uint32_t)live.tree[1];

	if (!life->born && !root)
		fail_msg("seed %llu: %s of process %u before its fork", (unsigned long long)seed,
			 event_kind_name(s->event.kind), s->process.pid);
	if (life->ended)
		fail_msg("seed %llu: %s of process %u after its end", (unsigned long long)seed,
			 event_kind_name(s->event.kind), s->process.pid);
	if (s->event.time_ns < life->time_ns)
		fail_msg("seed %llu: %s of process %u before what it did before", (unsigned long long)seed,
			 event_kind_name(s->event.kind), s->process.pid);
	if (s->event.kind == EVENT_KIND_EXEC)
		life->exec_id = s->process.exec_id;
	else if (life->exec_id && life->exec_id != s->process.exec_id)
		fail_msg("seed %llu: %s of process %u by another image than the last", (unsigned long long)seed,
			 event_kind_name(s->event.kind), s->process.pid);
	life->exec_id = s->process.exec_id;
	life->time_ns = s->event.time_ns;
	life->ended = s->event.kind == EVENT_KIND_EXIT;
	if (s->event.kind != EVENT_KIND_FORK)
		return;
	life = life_of(lives, count, s->child_pid);
	*life = (struct life){.pid = s->child_pid, .born = true, .exec_id = s->child_exec_id};
}

/* CPUs whose rings records came through. */
static int cpus_used(void)
{
	int used = 0;

	for (int cpu = 0; cpu < get_nprocs_conf(); cpu++)
		used += capture_shipped(live.capture, cpu, NJ_CLASS_DESCRIPTOR) > 0;
	return used;
}

static void run_families(uint64_t seed)
{
	struct chance chances[FAMILIES];
	struct actor actors[FAMILIES];

	for (int i = 0; i < FAMILIES; i++) {
		chances[i].state = (seed * FAMILIES + (uint64_t)i + 1) * 0x9e3779b97f4a7c15ULL;
		actors[i] = live_actor(&live, family, &chances[i]);
	}
	for (int i = 0; i < FAMILIES; i++)
		live_go(&actors[i]);
	for (int i = 0; i < FAMILIES; i++)
		assert_int_equal(live_finish(&live, &actors[i]), 0);
	assert_true(live.count < LIVE_SEEN_MAX);
	assert_false(live.gap);
}

/* All that was seen of the families, one event after the other. */
static void check_all(uint64_t seed)
{
	static struct life lives[LIVE_SEEN_MAX];
	size_t count = 0, forks = 0, execs = 0;

	for (size_t i = 0; i < live.count; i++) {
		check(&live.seen[i], lives, &count, seed);
		forks += live.seen[i].event.kind == EVENT_KIND_FORK;
		execs += live.seen[i].event.kind == EVENT_KIND_EXEC;
	}
	assert_true(forks >= FAMILIES * CHILDREN);
	assert_true(execs > 0);
	/* Each was waited for by its parent, and the first ones by the test. */
	for (size_t i = 0; i < count; i++)
		if (!lives[i].ended)
			fail_msg("seed %llu: process %u never ended", (unsigned long long)seed, lives[i].pid);
}

/* False when the machine took a CPU away for so long that order had to give way (see merge.h): that is not
 * what is asked here. */
static bool run_seed(uint64_t seed)
{
	const uint64_t overtaken = capture_overtaken(live.capture);

	live.count = 0;
	live.tree_size = 0;
	run_families(seed);
	if (capture_overtaken(live.capture) != overtaken)
		return false;
	check_all(seed);
	return true;
}

static void birth_comes_before_acts_and_the_end_after_them(void **state)
{
	const char *given = getenv("NJ_SEED");
	uint32_t kept = 0;
	uint64_t first = given ? strtoull(given, NULL, 10) : clock_boot_ns() % 1000000;

	(void)state;
	printf("seeds %llu to %llu\n", (unsigned long long)first, (unsigned long long)first + (given ? 0 : SEEDS - 1));
	live_start(&live, NULL, 0);
	for (uint64_t seed = first; seed < first + (given ? 1 : SEEDS); seed++)
		kept += run_seed(seed);
	assert_true(kept > 0);
	assert_true(get_nprocs() == 1 || cpus_used() > 1);
	printf("%u held against the order\n", kept);
	live_stop(&live);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(birth_comes_before_acts_and_the_end_after_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
