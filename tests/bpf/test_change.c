/* Changes of the file tree: what a call really worked on, whatever it was given. */
#include "tests/bpf/live.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

static struct live live;
static char top[] = "/tmp/nj-change-XXXXXX";

/* TOP/NAME, in one of a few buffers. */
static const char *in_top(const char *name)
{
	static char texts[8][4096];
	static int next;
	char *text = texts[next++ % 8];

	(void)snprintf(text, sizeof(texts[0]), "%s/%s", top, name);
	return text;
}

/* A fresh directory to act in, and a capture. */
static int start(void **state)
{
	(void)state;
	memcpy(top, "/tmp/nj-change-XXXXXX", sizeof(top));
	if (!mkdtemp(top) || chdir(top) < 0)
		return -1;
	live_start(&live, NULL, 0);
	return 0;
}

static int stop(void **state)
{
	char command[64];

	(void)state;
	live_stop(&live);
	(void)snprintf(command, sizeof(command), "rm -rf %s", top);
	return chdir("/") < 0 || system(command) != 0 ? -1 : 0;
}

struct expected {
	enum event_kind kind;
	const char *call;
	const char *path; /* below the top */
	const char *path2;
	uint32_t marks;
};

/* The changes of the actor, in order, and nothing else of those kinds. */
static void check(pid_t pid, const struct expected *expected, size_t count)
{
	size_t at = 0;

	for (size_t i = 0; i < live.count; i++) {
		const struct seen *s = &live.seen[i];

		if (s->process.pid != (uint32_t)pid || s->event.kind < EVENT_KIND_UNLINK ||
		    s->event.kind > EVENT_KIND_MKNOD)
			continue;
		if (at == count)
			fail_msg("one more: %s %s", s->call, s->path);
		if (s->event.kind != expected[at].kind || strcmp(s->call, expected[at].call) != 0 ||
		    strcmp(s->path, in_top(expected[at].path)) != 0 || s->event.marks != expected[at].marks)
			fail_msg("%zu: %s %s %s (%s) marks %u, not %s %s", at, event_kind_name(s->event.kind), s->call,
				 s->path, s->raw_path, s->event.marks, expected[at].call, expected[at].path);
		if (expected[at].path2)
			assert_string_equal(s->path2, in_top(expected[at].path2));
		else
			assert_string_equal(s->path2, "");
		at++;
	}
	assert_int_equal(at, count);
}
#define CHECK(pid, rows) check(pid, rows, sizeof(rows) / sizeof((rows)[0]))

/* Result 0 or the line that failed. */
#define DO(call)                                                                                   \
	do {                                                                                       \
		if ((call) < 0)                                                                    \
			return __LINE__ & 0xff;                                                    \
	} while (0)

static int touch(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY, 0644);

	return fd < 0 ? -1 : close(fd);
}

static int change_names(void *arg)
{
	int at = open(".", O_PATH);

	(void)arg;
	DO(syscall(SYS_mkdir, "a", 0755));
	DO(syscall(SYS_mkdirat, at, "a/b/", 0755));
	DO(syscall(SYS_mknod, "a/fifo", S_IFIFO | 0600, 0));
	DO(syscall(SYS_mknodat, at, "a/b/socket", S_IFSOCK | 0600, 0));
	DO(touch("f"));
	DO(syscall(SYS_rename, "f", "a/g"));
	DO(syscall(SYS_renameat, at, "a/g", at, "a/h"));
	DO(syscall(SYS_renameat2, at, "a/h", at, "a/fifo", 2 /* RENAME_EXCHANGE */));
	DO(syscall(SYS_link, "a/fifo", "hard"));
	DO(syscall(SYS_linkat, at, "hard", at, "a/hard", 0));
	DO(syscall(SYS_symlink, "a/hard", "soft"));
	DO(syscall(SYS_symlinkat, "../nothing", at, "a/soft"));
	DO(syscall(SYS_unlink, "a/soft"));
	DO(syscall(SYS_unlinkat, at, "a/b/socket", 0));
	DO(syscall(SYS_rmdir, "a/b"));
	DO(syscall(SYS_mkdir, "a/b", 0755));
	DO(syscall(SYS_unlinkat, at, "a/b", AT_REMOVEDIR));
	return 0;
}

static void names_made_moved_and_removed_are_told_by_every_call(void **state)
{
	static const struct expected rows[] = {
		{EVENT_KIND_MKDIR, "mkdir", "a", NULL, 0},
		{EVENT_KIND_MKDIR, "mkdirat", "a/b", NULL, 0},
		{EVENT_KIND_MKNOD, "mknod", "a/fifo", NULL, 0},
		{EVENT_KIND_MKNOD, "mknodat", "a/b/socket", NULL, 0},
		{EVENT_KIND_RENAME, "rename", "f", "a/g", 0},
		{EVENT_KIND_RENAME, "renameat", "a/g", "a/h", 0},
		{EVENT_KIND_RENAME, "renameat2", "a/h", "a/fifo", 0},
		{EVENT_KIND_LINK, "link", "hard", "a/fifo", 0},
		{EVENT_KIND_LINK, "linkat", "a/hard", "hard", 0},
		{EVENT_KIND_LINK, "symlink", "soft", "a/hard", 0},
		{EVENT_KIND_LINK, "symlinkat", "a/soft", "nothing", 0},
		{EVENT_KIND_UNLINK, "unlink", "a/soft", NULL, 0},
		{EVENT_KIND_UNLINK, "unlinkat", "a/b/socket", NULL, 0},
		{EVENT_KIND_UNLINK, "rmdir", "a/b", NULL, 0},
		{EVENT_KIND_MKDIR, "mkdir", "a/b", NULL, 0},
		{EVENT_KIND_UNLINK, "unlinkat", "a/b", NULL, 0},
	};

	(void)state;
	CHECK(live_run(&live, change_names, NULL), rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(names_made_moved_and_removed_are_told_by_every_call, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
