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

#define SEEDS	 24
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

static void move_somewhere(struct chance *c)
{
	cpu_set_t there;

	CPU_ZERO(&there);
	CPU_SET(draw(c, (uint32_t)get_nprocs()), &there);
	(void)sched_setaffinity(0, sizeof(there), &there);
}

static void act(struct chance *c)
{
	int fds[2];

	if (draw(c, 2))
		move_somewhere(c);
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
		(void)waitpid(pid, NULL, 0);
	}
	if (draw(c, 2)) {
		move_somewhere(c);
		execl("/bin/sh", "sh", "-c", ": < /dev/null | :", (char *)NULL);
	}
	return 0;
}

static int family(void *arg)
{
	struct chance c = *(struct chance *)arg;

	for (int i = 0; i < CHILDREN; i++) {
		pid_t pid;

		move_somewhere(&c);
		c.state += 0x9e3779b97f4a7c15ULL;
		pid = fork();
		if (pid == 0)
			_exit(child(&c, 2));
		if (draw(&c, 2))
			act(&c);
		(void)waitpid(pid, NULL, 0);
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

static void run_seed(uint64_t seed)
{
	static struct life lives[LIVE_SEEN_MAX];
	struct chance chances[FAMILIES];
	struct actor actors[FAMILIES];
	size_t count = 0, forks = 0, execs = 0;

	live_start(&live, NULL, 0);
	for (int i = 0; i < FAMILIES; i++) {
		chances[i].state = (seed * FAMILIES + (uint64_t)i + 1) * 0x9e3779b97f4a7c15ULL;
		actors[i] = live_actor(&live, family, &chances[i]);
	}
	for (int i = 0; i < FAMILIES; i++)
		live_go(&actors[i]);
	for (int i = 0; i < FAMILIES; i++)
		assert_int_equal(live_finish(&live, &actors[i]), 0);
	assert_true(live.count < LIVE_SEEN_MAX);
	for (size_t i = 0; i < live.count; i++) {
		check(&live.seen[i], lives, &count, seed);
		forks += live.seen[i].event.kind == EVENT_KIND_FORK;
		execs += live.seen[i].event.kind == EVENT_KIND_EXEC;
	}
	assert_true(forks >= FAMILIES * CHILDREN);
	assert_true(execs > 0);
	assert_false(live.gap);
	live_stop(&live);
}

static void birth_comes_before_acts_and_the_end_after_them(void **state)
{
	const char *given = getenv("NJ_SEED");
	uint64_t first = given ? strtoull(given, NULL, 10) : clock_boot_ns() % 1000000;

	(void)state;
	printf("seeds %llu to %llu\n", (unsigned long long)first, (unsigned long long)first + (given ? 0 : SEEDS - 1));
	for (uint64_t seed = first; seed < first + (given ? 1 : SEEDS); seed++)
		run_seed(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(birth_comes_before_acts_and_the_end_after_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
