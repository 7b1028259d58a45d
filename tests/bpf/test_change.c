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
	const char *call; /* NULL: made by a function of the C library, which may use one or another */
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
		if (s->event.kind != expected[at].kind ||
		    (expected[at].call && strcmp(s->call, expected[at].call) != 0) ||
		    strcmp(s->path, in_top(expected[at].path)) != 0 || s->event.marks != expected[at].marks)
			fail_msg("%zu: %s %s %s (%s) marks %u, not %s", at, event_kind_name(s->event.kind), s->call,
				 s->path, s->raw_path, s->event.marks, expected[at].path);
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
	DO(syscall(SYS_mkdirat, at, "a/", 0755));
	DO(syscall(SYS_mkdirat, at, "a/b", 0755));
	DO(syscall(SYS_mknodat, at, "a/fifo", S_IFIFO | 0600, 0));
	DO(touch("a/g"));
	DO(syscall(SYS_renameat, at, "a/g", at, "a/h"));
	DO(syscall(SYS_renameat2, at, "a/h", at, "a/fifo", 2 /* RENAME_EXCHANGE */));
	DO(syscall(SYS_linkat, at, "a/fifo", at, "hard", 0));
	DO(syscall(SYS_symlinkat, "hard", at, "soft"));
	DO(syscall(SYS_symlinkat, "../nothing", at, "a/soft"));
	DO(syscall(SYS_linkat, at, "soft", at, "a/firm", AT_SYMLINK_FOLLOW));
	DO(syscall(SYS_unlinkat, at, "a/soft", 0));
	DO(syscall(SYS_unlinkat, at, "a/b", AT_REMOVEDIR));
	return 0;
}

static void names_made_moved_and_removed_are_told(void **state)
{
	static const struct expected rows[] = {
		{EVENT_KIND_MKDIR, "mkdirat", "a", NULL, 0},
		{EVENT_KIND_MKDIR, "mkdirat", "a/b", NULL, 0},
		{EVENT_KIND_MKNOD, "mknodat", "a/fifo", NULL, 0},
		{EVENT_KIND_RENAME, "renameat", "a/g", "a/h", 0},
		{EVENT_KIND_RENAME, "renameat2", "a/h", "a/fifo", 0},
		{EVENT_KIND_LINK, "linkat", "hard", "a/fifo", 0},
		{EVENT_KIND_LINK, "symlinkat", "soft", "hard", 0},
		{EVENT_KIND_LINK, "symlinkat", "a/soft", "nothing", 0},
		{EVENT_KIND_LINK, "linkat", "a/firm", "hard", 0},
		{EVENT_KIND_UNLINK, "unlinkat", "a/soft", NULL, 0},
		{EVENT_KIND_UNLINK, "unlinkat", "a/b", NULL, 0},
	};
	pid_t pid = live_run(&live, change_names, NULL);
	const struct seen *s = live_find(&live, EVENT_KIND_MKNOD, pid, NULL);
	struct stat st;

	(void)state;
	CHECK(pid, rows);
	assert_int_equal(s->event.file.mode, S_IFIFO | 0600);
	assert_int_equal(stat("a/fifo", &st), 0);
	assert_true(S_ISREG(st.st_mode));
	s = live_find(&live, EVENT_KIND_LINK, pid, NULL);
	assert_int_equal(s->event.file.inode, st.st_ino);
	assert_int_equal(s->event.file.nlink, 2);
	s = live_find(&live, EVENT_KIND_UNLINK, pid, NULL);
	assert_int_equal(s->event.file.inode, 0);
}

#ifdef SYS_rename
static int change_names_by_old_calls(void *arg)
{
	(void)arg;
	DO(syscall(SYS_mkdir, "a", 0755));
	DO(syscall(SYS_mknod, "a/socket", S_IFSOCK | 0600, 0));
	DO(touch("f"));
	DO(syscall(SYS_rename, "f", "a/g"));
	DO(syscall(SYS_link, "a/g", "hard"));
	DO(syscall(SYS_symlink, "a/g", "soft"));
	DO(syscall(SYS_chmod, "soft", 0600));
	DO(syscall(SYS_chown, "soft", 12, 34));
	DO(syscall(SYS_lchown, "soft", 56, 78));
	DO(syscall(SYS_utime, "soft", NULL));
	DO(syscall(SYS_utimes, "a/g", NULL));
	DO(syscall(SYS_futimesat, AT_FDCWD, "soft", NULL));
	DO(syscall(SYS_unlink, "a/socket"));
	DO(syscall(SYS_unlink, "a/g"));
	DO(syscall(SYS_rmdir, "a"));
	return 0;
}

static void calls_without_a_directory_tell_the_same(void **state)
{
	static const struct expected rows[] = {
		{EVENT_KIND_MKDIR, "mkdir", "a", NULL, 0},	 {EVENT_KIND_MKNOD, "mknod", "a/socket", NULL, 0},
		{EVENT_KIND_RENAME, "rename", "f", "a/g", 0},	 {EVENT_KIND_LINK, "link", "hard", "a/g", 0},
		{EVENT_KIND_LINK, "symlink", "soft", "a/g", 0},	 {EVENT_KIND_CHMOD, "chmod", "a/g", NULL, 0},
		{EVENT_KIND_CHOWN, "chown", "a/g", NULL, 0},	 {EVENT_KIND_CHOWN, "lchown", "soft", NULL, 0},
		{EVENT_KIND_UTIME, "utime", "a/g", NULL, 0},	 {EVENT_KIND_UTIME, "utimes", "a/g", NULL, 0},
		{EVENT_KIND_UTIME, "futimesat", "a/g", NULL, 0}, {EVENT_KIND_UNLINK, "unlink", "a/socket", NULL, 0},
		{EVENT_KIND_UNLINK, "unlink", "a/g", NULL, 0},	 {EVENT_KIND_UNLINK, "rmdir", "a", NULL, 0},
	};

	(void)state;
	CHECK(live_run(&live, change_names_by_old_calls, NULL), rows);
}
#endif

static int change_attributes(void *arg)
{
	const struct timespec now[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
	int at = open(".", O_PATH), fd;

	(void)arg;
	DO(touch("f"));
	DO(symlinkat("f", AT_FDCWD, "l"));
	DO(fd = open("f", O_RDWR));
	DO(syscall(SYS_fchmodat, at, "l", 0604));
	DO(syscall(SYS_fchmod, fd, 0640));
	DO(syscall(SYS_fchownat, at, "l", 57, 78, AT_SYMLINK_NOFOLLOW));
	DO(syscall(SYS_fchownat, at, "l", 13, -1, 0));
	DO(syscall(SYS_fchownat, fd, "", 14, -1, AT_EMPTY_PATH));
	DO(syscall(SYS_fchown, fd, 15, -1));
	DO(syscall(SYS_utimensat, at, "l", now, AT_SYMLINK_NOFOLLOW));
	DO(syscall(SYS_utimensat, at, "l", now, 0));
	DO(syscall(SYS_utimensat, fd, NULL, now, 0));
	DO(syscall(SYS_truncate, "l", 1234));
	DO(syscall(SYS_ftruncate, fd, 5));
	return 0;
}

static void attributes_are_told_of_the_file_that_has_them_now(void **state)
{
	static const struct expected rows[] = {
		{EVENT_KIND_LINK, "symlinkat", "l", "f", 0},	  {EVENT_KIND_CHMOD, "fchmodat", "f", NULL, 0},
		{EVENT_KIND_CHMOD, "fchmod", "f", NULL, 0},	  {EVENT_KIND_CHOWN, "fchownat", "l", NULL, 0},
		{EVENT_KIND_CHOWN, "fchownat", "f", NULL, 0},	  {EVENT_KIND_CHOWN, "fchownat", "f", NULL, 0},
		{EVENT_KIND_CHOWN, "fchown", "f", NULL, 0},	  {EVENT_KIND_UTIME, "utimensat", "l", NULL, 0},
		{EVENT_KIND_UTIME, "utimensat", "f", NULL, 0},	  {EVENT_KIND_UTIME, "utimensat", "f", NULL, 0},
		{EVENT_KIND_TRUNCATE, "truncate", "f", NULL, 0}, {EVENT_KIND_TRUNCATE, "ftruncate", "f", NULL, 0},
	};
	pid_t pid = live_run(&live, change_attributes, NULL);
	const struct seen *s = live_find(&live, EVENT_KIND_CHMOD, pid, NULL);
	struct stat st;

	(void)state;
	CHECK(pid, rows);
	assert_int_equal(stat("f", &st), 0);
	assert_int_equal(s->event.file.inode, st.st_ino);
	assert_int_equal(s->event.file.device, st.st_dev);
	assert_int_equal(s->event.file.mode, S_IFREG | 0604);
	assert_int_equal(s->detail.arg_count, 3);
	assert_int_equal(s->detail.args[1], 0);
	assert_int_equal(s->detail.args[2], 0604);
	assert_string_equal(s->raw_path, "l");
	s = live_find(&live, EVENT_KIND_CHOWN, pid, NULL);
	assert_int_equal(lstat("l", &st), 0);
	assert_int_equal(s->event.file.inode, st.st_ino);
	assert_int_equal(s->event.file.uid, 57);
	assert_int_equal(s->detail.args[3], 78);
	s = live_find(&live, EVENT_KIND_TRUNCATE, pid, NULL);
	assert_int_equal(s->detail.args[1], 1234);
}

static int chmod_newest(void *arg)
{
	(void)arg;
	DO(touch("f"));
	DO(symlink("f", "l"));
	if (syscall(SYS_fchmodat2, AT_FDCWD, "f", 0600, 0) < 0)
		return errno == ENOSYS ? 99 : 1;
	(void)syscall(SYS_fchmodat2, AT_FDCWD, "l", 0600, AT_SYMLINK_NOFOLLOW); /* links have no mode */
	return 0;
}

static void the_newest_chmod_is_told_where_the_kernel_has_it(void **state)
{
	static const struct expected rows[] = {
		{EVENT_KIND_LINK, NULL, "l", "f", 0},
		{EVENT_KIND_CHMOD, "fchmodat2", "f", NULL, 0},
		{EVENT_KIND_CHMOD, "fchmodat2", "l", NULL, 0},
	};
	struct actor a = live_actor(&live, chmod_newest, NULL);

	(void)state;
	live_go(&a);
	if (live_finish(&live, &a) == 99)
		skip();
	CHECK(a.pid, rows);
}

/* Every way leads to real/f. */
static const char *const ways[] = {
	"f",
	"./././f",
	".//../real///f",
	"../real/f",
	"../link/f",
	"../link/../real/f",
	"../chain/f",
	"../file",
	"../absolute/f",
	"/proc/self/cwd/f",
	"/proc/thread-self/cwd/../link/f",
	"/proc/self/task/../cwd/f",
};

static int chmod_every_way(void *arg)
{
	char path[512];
	int at;

	(void)arg;
	DO(mkdir("real", 0755));
	DO(touch("real/f"));
	DO(symlink("real", "link"));
	DO(symlink("./link/.", "chain"));
	DO(symlink("chain/f", "file"));
	DO(symlink(in_top("chain"), "absolute"));
	DO(at = open("link", O_PATH));
	DO(chdir("link"));
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		DO(chmod(ways[i], 0600));
	(void)snprintf(path, sizeof(path), "/proc/self/root%s", in_top("link/f"));
	DO(chmod(path, 0601));
	(void)snprintf(path, sizeof(path), "/proc/%d/root/../%s", getppid(), in_top("link/f"));
	DO(chmod(path, 0602));
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/f", at);
	DO(chmod(path, 0603));
	(void)snprintf(path, sizeof(path), "/dev/fd/%d/f", at);
	DO(chmod(path, 0604));
	DO(syscall(SYS_fchmodat, at, "f", 0605));
	DO(syscall(SYS_fchmodat, 1000000, in_top("file"), 0606));
	return 0;
}

static void no_way_to_a_file_hides_it(void **state)
{
	pid_t pid = live_run(&live, chmod_every_way, NULL);
	const struct seen *s;
	size_t from = 0, count = 0;
	struct stat st;

	(void)state;
	assert_int_equal(stat("real/f", &st), 0);
	while ((s = live_find(&live, EVENT_KIND_CHMOD, pid, &from))) {
		if (strcmp(s->path, in_top("real/f")) != 0 || s->event.marks != 0)
			fail_msg("%s is told as %s, marks %u", s->raw_path, s->path, s->event.marks);
		assert_int_equal(s->event.file.inode, st.st_ino);
		count++;
	}
	assert_int_equal(count, sizeof(ways) / sizeof(ways[0]) + 6);
}

static int names_of_every_length(void *arg)
{
	char name[256];

	(void)arg;
	for (int len = 1; len <= 255; len++) {
		memset(name, 'a' + len % 26, sizeof(name));
		name[0] = (char)(len % 0x30 + 0x80);
		name[len / 2] = len % 2 ? '\n' : '\x01';
		name[len] = '\0';
		DO(mkdir(name, 0700));
		DO(chdir(name));
		DO(chdir(".."));
		DO(chmod(name, 0710));
		DO(rmdir(name));
	}
	return 0;
}

static void names_of_every_length_and_any_bytes_are_followed(void **state)
{
	pid_t pid = live_run(&live, names_of_every_length, NULL);
	const struct seen *s;
	size_t from = 0, count = 0;

	(void)state;
	while ((s = live_find(&live, EVENT_KIND_CHMOD, pid, &from))) {
		assert_int_equal(s->event.marks, 0);
		assert_int_equal(s->event.file.mode, S_IFDIR | 0710);
		assert_string_equal(strrchr(s->path, '/') + 1, s->raw_path);
		count++;
	}
	assert_int_equal(count, 255);
}

static int enter_own_mounts(void)
{
	if (unshare(CLONE_NEWNS) < 0)
		return -1;
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

static int change_through_mounts(void *arg)
{
	(void)arg;
	DO(enter_own_mounts());
	DO(mkdir("source", 0755));
	DO(mkdir("source/below", 0755));
	DO(touch("source/f"));
	DO(touch("source/below/f"));
	DO(mkdir("target", 0755));
	DO(mount("source", "target", NULL, MS_BIND, NULL));
	DO(chmod("target/f", 0600));
	DO(mount("tmpfs", "target/below", "tmpfs", 0, NULL));
	DO(touch("target/below/new"));
	DO(chmod("target/below/new", 0600));
	DO(chmod("target/below/../f", 0601));
	DO(mount(NULL, "target", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL));
	if (chmod("target/f", 0604) == 0 || errno != EROFS)
		return 1;
	DO(chdir("target"));
	DO(chroot("."));
	DO(chmod("/below/../f", 0602) < 0 && errno != EROFS ? -1 : 0);
	return chmod("/below/../../../f", 0603) == 0;
}

static void mounts_are_crossed_as_the_process_crosses_them(void **state)
{
	static const char *const paths[] = {"target/f", "target/below/new", "target/f", "target/f"};
	pid_t pid = live_run(&live, change_through_mounts, NULL);
	const struct seen *s = NULL;
	size_t from = 0;
	struct stat st;

	(void)state;
	assert_int_equal(stat("source/f", &st), 0);
	for (size_t i = 0; i < 4; i++) {
		s = live_expect(&live, EVENT_KIND_CHMOD, pid, &from);
		assert_string_equal(s->path, in_top(paths[i]));
		assert_int_equal(s->event.marks, 0);
		assert_int_equal(s->event.file.inode == st.st_ino, i != 1);
	}
	assert_int_equal(s->event.result, -EROFS);
	/* In the new root. */
	for (int i = 0; i < 2; i++) {
		s = live_expect(&live, EVENT_KIND_CHMOD, pid, &from);
		assert_string_equal(s->path, "/f");
		assert_int_equal(s->event.file.inode, st.st_ino);
	}
}

static int change_an_overlay(void *arg)
{
	char options[512];

	(void)arg;
	DO(enter_own_mounts());
	DO(mkdir("lower", 0755));
	DO(mkdir("lower/dir", 0755));
	DO(touch("lower/dir/f"));
	DO(symlink("dir", "lower/low"));
	DO(mkdir("upper", 0755));
	DO(mkdir("work", 0755));
	DO(mkdir("merged", 0755));
	(void)snprintf(options, sizeof(options), "lowerdir=lower,upperdir=upper,workdir=work");
	if (mount("overlay", "merged", "overlay", 0, options) < 0)
		return 99;
	DO(symlink("low/f", "merged/up"));
	DO(chmod("merged/dir/f", 0600));
	DO(chmod("merged/low/f", 0601));
	DO(chmod("merged/up", 0602));
	DO(unlink("merged/low/f"));
	return 0;
}

static void links_in_both_layers_of_an_overlay_are_followed(void **state)
{
	static const char *const raw[] = {"merged/dir/f", "merged/low/f", "merged/up"};
	struct actor a = live_actor(&live, change_an_overlay, NULL);
	const struct seen *s;
	size_t from = 0;

	(void)state;
	live_go(&a);
	if (live_finish(&live, &a) == 99)
		skip();
	for (size_t i = 0; i < 3; i++) {
		s = live_find(&live, EVENT_KIND_CHMOD, a.pid, &from);
		assert_non_null(s);
		assert_string_equal(s->raw_path, raw[i]);
		assert_string_equal(s->path, in_top("merged/dir/f"));
		assert_int_equal(s->event.marks, 0);
	}
	s = live_find(&live, EVENT_KIND_UNLINK, a.pid, NULL);
	assert_string_equal(s->path, in_top("merged/dir/f"));
}

static int fail_every_way(void *arg)
{
	(void)arg;
	DO(mkdir("closed", 0700));
	DO(touch("closed/f"));
	DO(symlink("closed", "to-closed"));
	DO(symlink("loop", "loop"));
	DO(symlink("closed/nothing", "dangling"));
	DO(setresgid(1000, 1000, 1000));
	DO(setresuid(1000, 1000, 1000));
	(void)unlink("missing/f");
	(void)unlink("missing");
	(void)chmod("dangling", 0777);
	(void)rename("to-closed/f", "stolen");
	(void)chmod("loop", 0777);
	(void)truncate("to-closed", 0);
	(void)syscall(SYS_unlinkat, 999, "f", 0);
	(void)syscall(SYS_fchmod, -1, 0777);
	(void)syscall(SYS_unlinkat, AT_FDCWD, (void *)8, 0);
	(void)unlink("");
	return 0;
}

static void failures_tell_what_was_meant(void **state)
{
	static const struct {
		enum event_kind kind;
		const char *path;
		int error;
		uint32_t marks;
	} rows[] = {
		{EVENT_KIND_UNLINK, "missing/f", -ENOENT, 0},
		{EVENT_KIND_UNLINK, "missing", -ENOENT, 0},
		{EVENT_KIND_CHMOD, "closed/nothing", -EACCES, 0},
		{EVENT_KIND_RENAME, "closed/f", -EACCES, 0},
		{EVENT_KIND_CHMOD, "loop", -ELOOP, EVENT_MARK_UNRESOLVED},
		{EVENT_KIND_TRUNCATE, "closed", -EISDIR, 0},
		{EVENT_KIND_UNLINK, NULL, -EBADF, 0},
		{EVENT_KIND_CHMOD, NULL, -EBADF, 0},
		{EVENT_KIND_UNLINK, NULL, -EFAULT, EVENT_MARK_UNREADABLE},
		{EVENT_KIND_UNLINK, NULL, -ENOENT, 0},
	};
	pid_t pid;
	size_t at = 0;

	(void)state;
	assert_int_equal(chmod(".", 0755), 0);
	pid = live_run(&live, fail_every_way, NULL);
	for (size_t i = 0; i < live.count; i++) {
		const struct seen *s = &live.seen[i];

		if (s->process.pid != (uint32_t)pid || s->event.result >= 0 || s->event.kind < EVENT_KIND_UNLINK ||
		    s->event.kind > EVENT_KIND_MKNOD)
			continue;
		assert_true(at < sizeof(rows) / sizeof(rows[0]));
		if (s->event.kind != rows[at].kind || s->event.result != rows[at].error ||
		    strcmp(s->path, rows[at].path ? in_top(rows[at].path) : "") != 0 || s->event.marks != rows[at].marks)
			fail_msg("%zu: %s %s (%s) %d marks %u", at, s->call, s->path, s->raw_path, (int)s->event.result,
				 s->event.marks);
		at++;
	}
	assert_int_equal(at, sizeof(rows) / sizeof(rows[0]));
}

/* LEVELS directories of LENGTH bytes each, and a file at the bottom. */
struct depth {
	int levels, length;
};

static int change_deep_below(void *arg)
{
	const struct depth *depth = arg;
	char name[256], path[4096] = "";

	memset(name, 'd', sizeof(name));
	name[depth->length] = '\0';
	for (int i = 0; i < depth->levels; i++) {
		(void)snprintf(path + strlen(path), sizeof(path) - strlen(path), "%s/", name);
		DO(mkdir(path, 0755));
	}
	(void)snprintf(path + strlen(path), sizeof(path) - strlen(path), "last");
	DO(touch(path));
	return chmod(path, 0600) < 0;
}

static void long_arguments_are_followed_to_their_end_and_cuts_are_marked(void **state)
{
	struct depth long_argument = {4, 100}, long_path = {10, 200}, deep = {100, 2};
	const struct seen *s;
	pid_t pid;

	(void)state;
	pid = live_run(&live, change_deep_below, &long_argument);
	s = live_find(&live, EVENT_KIND_CHMOD, pid, NULL);
	assert_int_equal(s->event.marks, EVENT_MARK_RAW_CUT);
	assert_int_equal(strlen(s->raw_path), 255);
	assert_int_equal(strlen(s->path), strlen(top) + 4 * 101 + 5);
	assert_string_equal(s->path + strlen(s->path) - 5, "/last");
	assert_int_equal(s->event.file.mode, S_IFREG | 0600);
	pid = live_run(&live, change_deep_below, &long_path);
	s = live_find(&live, EVENT_KIND_CHMOD, pid, NULL);
	assert_int_equal(s->event.marks, EVENT_MARK_RAW_CUT | EVENT_MARK_PATH_CUT);
	assert_string_equal(s->path + strlen(s->path) - 5, "/last");
	pid = live_run(&live, change_deep_below, &deep);
	s = live_find(&live, EVENT_KIND_CHMOD, pid, NULL);
	assert_int_equal(s->event.marks, EVENT_MARK_RAW_CUT | EVENT_MARK_PATH_CUT);
	assert_int_equal(s->event.file.mode, S_IFREG | 0600);
}

/* A link's text of that length is not kept in memory: the walk ends there. */
static int change_through_a_long_link(void *arg)
{
	char text[1024] = "";

	(void)arg;
	DO(mkdir("real", 0755));
	DO(touch("real/f"));
	while (strlen(text) < 900)
		strcat(text, "./");
	strcat(text, "real");
	DO(symlink(text, "long"));
	return chmod("long/f", 0600) < 0;
}

static void a_link_that_cannot_be_read_is_named_and_marked(void **state)
{
	pid_t pid = live_run(&live, change_through_a_long_link, NULL);
	const struct seen *s = live_find(&live, EVENT_KIND_CHMOD, pid, NULL);

	(void)state;
	assert_string_equal(s->path, in_top("long/f"));
	assert_int_equal(s->event.marks, EVENT_MARK_UNRESOLVED);
	assert_int_equal(s->event.file.inode, 0);
	s = live_find(&live, EVENT_KIND_LINK, pid, NULL);
	assert_string_equal(s->path, in_top("long"));
	assert_true(s->event.marks & EVENT_MARK_RAW_CUT);
}

static int change_what_has_no_name(void *arg)
{
	char path[64];
	int fd, temporary;

	(void)arg;
	DO(fd = open("f", O_CREAT | O_RDWR, 0644));
	DO(unlink("f"));
	DO(fchmod(fd, 0600));
	DO(fd = memfd_create("nj-memory", 0));
	DO(ftruncate(fd, 100));
	DO(temporary = open(".", O_TMPFILE | O_RDWR, 0600));
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", temporary);
	DO(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
	DO(linkat(temporary, "", AT_FDCWD, "again", AT_EMPTY_PATH));
	return 0;
}

static void files_without_a_name_are_told_by_their_inode(void **state)
{
	pid_t pid = live_run(&live, change_what_has_no_name, NULL);
	const struct seen *s = live_find(&live, EVENT_KIND_CHMOD, pid, NULL);
	size_t from = 0;
	struct stat st;

	(void)state;
	assert_string_equal(s->path, in_top("f"));
	assert_int_equal(s->event.file.nlink, 0);
	assert_int_equal(s->event.file.mode, S_IFREG | 0600);
	s = live_find(&live, EVENT_KIND_TRUNCATE, pid, NULL);
	assert_non_null(strstr(s->path, "memfd:nj-memory"));
	assert_int_equal(stat("named", &st), 0);
	for (int i = 0; i < 2; i++) {
		s = live_find(&live, EVENT_KIND_LINK, pid, &from);
		assert_string_equal(s->path, in_top(i ? "again" : "named"));
		assert_int_equal(s->event.file.inode, st.st_ino);
		assert_int_equal(s->event.marks, 0);
		assert_true(s->path2[0] == '/');
	}
}

#ifdef __x86_64__
static long call32(long nr, long a, long b)
{
	long result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(nr), "b"(a), "c"(b), "d"(0) : "memory", "r8", "r9", "r10", "r11");
	return (int)result;
}

/* A 32-bit call takes addresses below 4 GiB. */
static int change_in_32_bit(void *arg)
{
	char *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	(void)arg;
	if (low == MAP_FAILED)
		return 1;
	DO(touch("f"));
	DO(symlink("f", "l"));
	strcpy(low, "l");
	if (call32(15, (long)low, 0600) < 0) /* chmod */
		return 2;
	if (call32(198, (long)low, 7) < 0) /* lchown32 */
		return 3;
	return call32(10, (long)low, 0) < 0; /* unlink */
}

static void changes_through_int_0x80_are_seen_like_any_other(void **state)
{
	static const struct expected rows[] = {
		{EVENT_KIND_LINK, NULL, "l", "f", 0},
		{EVENT_KIND_CHMOD, "chmod", "f", NULL, EVENT_MARK_COMPAT},
		{EVENT_KIND_CHOWN, "lchown32", "l", NULL, EVENT_MARK_COMPAT},
		{EVENT_KIND_UNLINK, "unlink", "l", NULL, EVENT_MARK_COMPAT},
	};

	(void)state;
	CHECK(live_run(&live, change_in_32_bit, NULL), rows);
}
#endif

/* On a file system in memory, whose short links are in memory too whatever the machine's disk is. */
static int start_in_memory(void **state)
{
	if (start(state) < 0)
		return -1;
	return mount("tmpfs", top, "tmpfs", 0, "mode=755") < 0 || chdir(top) < 0 ? -1 : 0;
}

static int stop_in_memory(void **state)
{
	if (chdir("/") < 0 || umount2(top, MNT_DETACH) < 0)
		return -1;
	return stop(state);
}

static int own_mounts(void **state)
{
	(void)state;
	return enter_own_mounts();
}

#define IN_MEMORY(test) cmocka_unit_test_setup_teardown(test, start_in_memory, stop_in_memory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(names_made_moved_and_removed_are_told, start, stop),
		IN_MEMORY(names_made_moved_and_removed_are_told),
#ifdef SYS_rename
		IN_MEMORY(calls_without_a_directory_tell_the_same),
#endif
		cmocka_unit_test_setup_teardown(attributes_are_told_of_the_file_that_has_them_now, start, stop),
		IN_MEMORY(the_newest_chmod_is_told_where_the_kernel_has_it),
		IN_MEMORY(no_way_to_a_file_hides_it),
		IN_MEMORY(names_of_every_length_and_any_bytes_are_followed),
		IN_MEMORY(mounts_are_crossed_as_the_process_crosses_them),
		IN_MEMORY(links_in_both_layers_of_an_overlay_are_followed),
		IN_MEMORY(failures_tell_what_was_meant),
		IN_MEMORY(long_arguments_are_followed_to_their_end_and_cuts_are_marked),
		IN_MEMORY(a_link_that_cannot_be_read_is_named_and_marked),
		IN_MEMORY(files_without_a_name_are_told_by_their_inode),
#ifdef __x86_64__
		IN_MEMORY(changes_through_int_0x80_are_seen_like_any_other),
#endif
	};

	return cmocka_run_group_tests(tests, own_mounts, NULL);
}
