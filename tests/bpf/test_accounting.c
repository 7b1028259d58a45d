/* Nothing is lost in silence: under floods of every class, each act that passed the kernel's filter came
 * here, was summed up and told as a repeat, or is counted as lost, by class and CPU. All by counts. */
#include "tests/bpf/live.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "node-agent/accounts.h"
#include "node-agent/event_class.h"

#define ROUNDS	 30000
#define ACTORS	 2
#define FORK_OFF 200 /* rounds between two forks */

static char dir[] = "/tmp/nj-accounts-XXXXXX";

struct flood {
	struct capture *capture;
	struct uplink_policy policy;
	struct actor actors[ACTORS];
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

/* Ways to open one file that are all different acts: more than a CPU has slots. */
static int open_in_way(int i)
{
	static const int flags[] = {O_CLOEXEC, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY, O_SYNC};
	char path[300];
	int how = O_RDONLY, len = snprintf(path, sizeof(path), "%s/", dir);

	for (int bit = 0; bit < 5; bit++)
		how |= i >> bit & 1 ? flags[bit] : 0;
	for (int dots = i / 32 % 90; dots > 0; dots--)
		len += snprintf(path + len, sizeof(path) - (size_t)len, "./");
	(void)snprintf(path + len, sizeof(path) - (size_t)len, "file");
	return open(path, how);
}

static void send_and_connect(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
	int datagram = socket(AF_INET, SOCK_DGRAM, 0), stream = socket(AF_INET, SOCK_STREAM, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	(void)!sendto(datagram, "x", 1, 0, (struct sockaddr *)&to, sizeof(to));
	to.sin_port = htons(1);
	(void)!connect(stream, (struct sockaddr *)&to, sizeof(to));
	(void)close(datagram);
	(void)close(stream);
}

static void fork_one(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	(void)waitpid(pid, NULL, 0);
}

/* A round is an open and, in turn, one of the rest; every round repeats something as well. */
static void round_of(int i)
{
	int fds[2];

	(void)close(open_in_way(i));
	(void)close(open("/dev/null", O_RDONLY));
	switch (i % 8) {
	case 0:
		send_and_connect();
		break;
	case 1:
		if (pipe(fds) == 0) {
			(void)close(fds[0]);
			(void)close(fds[1]);
		}
		break;
	case 2:
		(void)!chmod("file", 0600 | (i & 7));
		break;
	case 3:
		(void)kill(getppid(), SIGURG); /* which nobody minds */
		break;
	case 4:
		(void)prctl(PR_SET_NAME, "flood");
		(void)!setresuid((uid_t)-1, (uid_t)-1, (uid_t)-1);
		break;
	}
	if (i % FORK_OFF == 0)
		fork_one();
}

static int flood(void *arg)
{
	int rounds = *(int *)arg;

	for (int i = 0; i < rounds; i++)
		round_of(i);
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

/* Runs the flood on all CPUs at a time; read: while it runs, or only after it. */
static void run(struct flood *f, int rounds, bool read_meanwhile)
{
	static struct live none;
	uint64_t start = clock_monotonic_ns(), ns;
	int left = ACTORS;

	none.tree_size = 0;
	for (int i = 0; i < ACTORS; i++)
		f->actors[i] = live_actor(&none, flood, &rounds);
	for (int i = 0; i < ACTORS; i++)
		live_go(&f->actors[i]);
	while (left > 0) {
		int status;
		pid_t pid = waitpid(-1, &status, read_meanwhile ? WNOHANG : 0);

		if (pid > 0)
			assert_int_equal(status, 0);
		left -= pid > 0;
		if (read_meanwhile)
			(void)pump(f, 5);
	}
	ns = clock_monotonic_ns() - start;
	printf("%llu opens, %llu a second, for a reader that is %s\n", 2ULL * ACTORS * (unsigned int)rounds,
	       2ULL * ACTORS * (unsigned int)rounds * NS_PER_SEC / ns, read_meanwhile ? "there" : "away");
	assert_true(capture_stop(f->capture, on_event, f) >= 0);
	/* Process life and TCP go on, of other programs too: until a moment without any. */
	while (pump(f, 0) > 0)
		;
	take_losses(f);
}

/* Draws up the account at a moment in which nothing is under way. */
static void account(struct flood *f, struct capture_account rows[static NJ_CLASS_MAX])
{
	uint64_t deadline = clock_monotonic_ns() + LIVE_DEADLINE_MS * NS_PER_MS;
	bool moved = true;

	while (moved && clock_monotonic_ns() < deadline) {
		(void)pump(f, 0);
		moved = capture_account(f->capture, rows) < 0;
		for (int class = 0; class < NJ_CLASS_MAX && !moved; class++)
			moved = rows[class].moved;
	}
	assert_false(moved);
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

/* What was lost was told as lost, and on which CPU. */
static void check_losses(struct flood *f, const struct capture_account rows[static NJ_CLASS_MAX])
{
	uint64_t by_cpu[NJ_CLASS_MAX] = {0};
	struct nj_counts counts;

	for (int cpu = 0; capture_counts(f->capture, cpu, &counts) == 0; cpu++)
		for (int class = 0; class < NJ_CLASS_MAX; class++)
			by_cpu[class] += counts.lost[class];
	take_losses(f);
	for (int class = 0; class < NJ_CLASS_MAX; class++) {
		assert_true(by_cpu[class] >= rows[class].lost);
		assert_int_equal(by_cpu[class], f->reported[class]);
	}
}

static void check_classes(const struct capture_account rows[static NJ_CLASS_MAX], int rounds)
{
	static const enum nj_class flooded[] = {NJ_CLASS_FILE, NJ_CLASS_CHANGE, NJ_CLASS_DESCRIPTOR, NJ_CLASS_SOCKET,
						NJ_CLASS_MESSAGE, NJ_CLASS_TCP, NJ_CLASS_PRIVILEGE, NJ_CLASS_SIGNAL,
						NJ_CLASS_PROCESS};

	for (size_t i = 0; i < sizeof(flooded) / sizeof(flooded[0]); i++)
		if (rows[flooded[i]].seen == 0)
			fail_msg("nothing seen of class %s", rows[flooded[i]].class);
	assert_true(rows[NJ_CLASS_FILE].seen >= 2ULL * ACTORS * (unsigned int)rounds);
	assert_true(rows[NJ_CLASS_FILE].suppressed > 0);
}

static void every_act_is_shipped_summed_up_or_counted_as_lost(void **state)
{
	struct capture_account rows[NJ_CLASS_MAX];
	struct flood f;

	(void)state;
	begin(&f, 0);
	run(&f, ROUNDS, true);
	account(&f, rows);
	check_sums(&f, rows);
	check_losses(&f, rows);
	check_classes(rows, ROUNDS);
	assert_false(f.gap);
	/* Whatever the flood. */
	assert_int_equal(rows[NJ_CLASS_PROCESS].lost, 0);
	printf("file: %llu shipped, %llu summed up, %llu lost\n", (unsigned long long)rows[NJ_CLASS_FILE].shipped,
	       (unsigned long long)rows[NJ_CLASS_FILE].suppressed, (unsigned long long)rows[NJ_CLASS_FILE].lost);
	capture_free(f.capture);
}

/* Rings of the smallest size and nobody who reads: nearly all is lost, and all of that is counted. */
static void so_it_is_when_most_is_lost(void **state)
{
	struct capture_account rows[NJ_CLASS_MAX];
	struct flood f;

	(void)state;
	begin(&f, 1);
	run(&f, ROUNDS / 10, false);
	account(&f, rows);
	check_sums(&f, rows);
	check_losses(&f, rows);
	check_classes(rows, ROUNDS / 10);
	assert_true(rows[NJ_CLASS_FILE].lost > 0);
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

static int make_files(void **state)
{
	(void)state;
	if (!mkdtemp(dir) || chdir(dir) < 0)
		return -1;
	return close(creat("file", 0600));
}

static int remove_files(void **state)
{
	(void)state;
	(void)unlink("file");
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
