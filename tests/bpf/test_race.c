/* Changes of the file tree whose argument another thread overwrites during the call: the kernel works on one
 * object, and what is told is another. */
#include "tests/bpf/live.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROUNDS 300

static struct live live;
static char top[] = "/tmp/nj-race-XXXXXX";

static int start(void **state)
{
	memcpy(top, "/tmp/nj-race-XXXXXX", sizeof(top));
	if (!mkdtemp(top) || chdir(top) < 0)
		return -1;
	return live_begin(state);
}

static int stop(void **state)
{
	char command[64];

	(void)live_end(state);
	(void)snprintf(command, sizeof(command), "rm -rf %s", top);
	return chdir("/") < 0 || system(command) != 0 ? -1 : 0;
}

/* The name that the calls are given: a or b. */
static char argument[] = "a";
static volatile char *const changing = argument;

static void *change_argument(void *over)
{
	while (!__atomic_load_n((bool *)over, __ATOMIC_RELAXED))
		*changing = *changing == 'a' ? 'b' : 'a';
	return NULL;
}

struct race {
	enum event_kind kind;
	void (*prepare)(void);
	int (*act)(const char *name);
	bool quiet; /* nobody changes the argument */
};

static void both_files(void)
{
	(void)close(open("a", O_CREAT | O_RDONLY, 0600));
	(void)close(open("b", O_CREAT | O_RDONLY, 0600));
}

static void no_a_and_a_file_b(void)
{
	(void)remove("a");
	(void)remove("b");
	(void)close(open("b", O_CREAT | O_RDONLY, 0600));
}

static void different_modes(void)
{
	both_files();
	(void)chmod("a", 0600);
	(void)chmod("b", 0644);
}

static int move_away(const char *name)
{
	return rename(name, "moved");
}

static int make_fifo(const char *name)
{
	return mkfifo(name, 0600);
}

static int make_link(const char *name)
{
	return symlink("anywhere", name);
}

static int make_private(const char *name)
{
	return chmod(name, 0600);
}

static int act_while_it_changes(void *arg)
{
	const struct race *race = arg;
	bool over = false;
	pthread_t other;

	if (!race->quiet && pthread_create(&other, NULL, change_argument, &over) != 0)
		return 1;
	for (int i = 0; i < ROUNDS; i++) {
		char before;

		race->prepare();
		before = *changing;
		/* The other one runs right now. */
		while (!race->quiet && *changing == before)
			continue;
		(void)race->act(argument);
	}
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	return 0;
}

static size_t marked_in(struct race *race)
{
	pid_t pid = live_run(&live, act_while_it_changes, race);
	size_t from = 0, count = 0;
	const struct seen *s;

	while ((s = live_find(&live, race->kind, pid, &from)) != NULL)
		count += s->event.result >= 0 && (s->event.marks & EVENT_MARK_RACED) != 0;
	live.count = 0;
	return count;
}

static const struct race races[] = {
	{EVENT_KIND_UNLINK, both_files, unlink, false},
	{EVENT_KIND_RENAME, both_files, move_away, false},
	{EVENT_KIND_MKNOD, no_a_and_a_file_b, make_fifo, false},
	{EVENT_KIND_LINK, no_a_and_a_file_b, make_link, false},
	{EVENT_KIND_CHMOD, different_modes, make_private, false},
};

#define RACES (sizeof(races) / sizeof(races[0]))

static void what_nobody_changes_is_not_marked(void **state)
{
	(void)state;
	for (size_t i = 0; i < RACES; i++) {
		struct race race = races[i];

		race.quiet = true;
		assert_int_equal(marked_in(&race), 0);
	}
}

static void an_object_that_is_not_what_the_call_made_it_is_marked(void **state)
{
	(void)state;
	for (size_t i = 0; i < RACES; i++) {
		struct race race = races[i];
		size_t marked = 0;

		for (int round = 0; round < 30 && marked == 0; round++)
			marked = marked_in(&race);
		if (marked == 0)
			fail_msg("no %s was marked", event_kind_name(race.kind));
	}
}

/* To its own name, to another name of the same file, and two names exchanged: nothing is amiss. */
static int move_in_place(void *arg)
{
	(void)arg;
	both_files();
	(void)unlink("b");
	return link("a", "b") < 0 || rename("a", "a") < 0 || rename("a", "b") < 0 || symlink("x", "c") < 0 ||
	       renameat2(AT_FDCWD, "a", AT_FDCWD, "c", RENAME_EXCHANGE) < 0;
}

static void a_move_that_leaves_its_old_name_is_not_marked(void **state)
{
	pid_t pid = live_run(&live, move_in_place, NULL);
	const struct seen *s;
	size_t from = 0;

	(void)state;
	assert_int_equal(live_count(&live, EVENT_KIND_RENAME, pid), 3);
	while ((s = live_find(&live, EVENT_KIND_RENAME, pid, &from)) != NULL)
		assert_int_equal(s->event.marks, 0);
}

#define RACE_TEST(test) cmocka_unit_test_prestate_setup_teardown(test, start, stop, &live)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RACE_TEST(what_nobody_changes_is_not_marked),
		RACE_TEST(a_move_that_leaves_its_old_name_is_not_marked),
		RACE_TEST(an_object_that_is_not_what_the_call_made_it_is_marked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
