/* Mounts and roots, as they are after the call. Everything happens in mount namespaces of this test. */
#include "tests/bpf/live.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MNT_DETACH 2

int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
int umount2(const char *target, int flags);

static struct live live;
static char top[] = "/tmp/nj-mount-XXXXXX";

static const char *in_top(const char *name)
{
	static char texts[8][512];
	static int next;
	char *text = texts[next++ % 8];

	(void)snprintf(text, sizeof(texts[0]), "%s/%s", top, name);
	return text;
}

/* Actors act in mount namespaces of their own, on a file system of their own. */
static int start(void **state)
{
	(void)state;
	memcpy(top, "/tmp/nj-mount-XXXXXX", sizeof(top));
	if (!mkdtemp(top))
		return -1;
	live_start(&live, NULL, 0);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	live_stop(&live);
	return rmdir(top);
}

#define DO(call)                                                                                   \
	do {                                                                                       \
		if ((call) < 0)                                                                    \
			return __LINE__ & 0xff;                                                    \
	} while (0)

static int enter(void)
{
	DO(unshare(CLONE_NEWNS));
	DO(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	DO(mount("tmpfs", top, "tmpfs", 0, NULL));
	DO(chdir(top));
	DO(mkdir("source", 0755));
	DO(mkdir("target", 0755));
	DO(symlink("target", "link"));
	return 0;
}

/* The actor's next event of that kind past those of enter(). */
static const struct seen *after_enter(pid_t pid, size_t *from)
{
	const struct seen *s = live_expect(&live, EVENT_KIND_MOUNT, pid, from);

	assert_string_equal(s->path, "/");
	assert_int_equal(s->detail.args[3], MS_REC | MS_PRIVATE);
	s = live_expect(&live, EVENT_KIND_MOUNT, pid, from);
	assert_string_equal(s->path, top);
	assert_string_equal(s->text, "tmpfs");
	assert_string_equal(s->raw_path2, "tmpfs");
	assert_string_equal(s->path2, "");
	return s;
}

static int mount_and_unmount(void *arg)
{
	(void)arg;
	DO(enter());
	DO(mkdir("source/dir", 0755));
	DO(mount("source/dir", "link", NULL, MS_BIND, NULL));
	DO(mount(NULL, "target", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL));
	DO(mount("link", "source", NULL, MS_MOVE, NULL));
	DO(mount("none", in_top("link"), "tmpfs", 0, "size=64k,mode=700"));
	DO(umount2("link/../source", MNT_DETACH));
	DO(umount2("target", 0));
	return 0;
}

static void mounts_are_told_by_where_they_are_and_what_of(void **state)
{
	pid_t pid = live_run(&live, mount_and_unmount, NULL);
	const struct seen *s;
	size_t from = 0, unmounts = 0;

	(void)state;
	(void)after_enter(pid, &from);
	s = live_expect(&live, EVENT_KIND_MOUNT, pid, &from);
	assert_string_equal(s->path, in_top("target"));
	assert_string_equal(s->raw_path, "link");
	assert_string_equal(s->path2, in_top("source/dir"));
	assert_string_equal(s->raw_path2, "source/dir");
	assert_string_equal(s->text, "tmpfs");
	assert_true(S_ISDIR(s->event.file.mode));
	assert_int_equal(s->event.marks, 0);
	s = live_expect(&live, EVENT_KIND_MOUNT, pid, &from);
	assert_string_equal(s->path, in_top("target"));
	assert_int_equal(s->detail.args[3], MS_BIND | MS_REMOUNT | MS_RDONLY);
	s = live_expect(&live, EVENT_KIND_MOUNT, pid, &from);
	assert_string_equal(s->path, in_top("source"));
	assert_string_equal(s->path2, in_top("target"));
	s = live_expect(&live, EVENT_KIND_MOUNT, pid, &from);
	assert_string_equal(s->path, in_top("target"));
	assert_string_equal((const char *)s->data, "size=64k,mode=700");
	assert_int_equal(s->event.file.mode, S_IFDIR | 0700);
	s = live_expect(&live, EVENT_KIND_UMOUNT, pid, &unmounts);
	assert_string_equal(s->path, in_top("source"));
	assert_int_equal(s->detail.args[1], MNT_DETACH);
	s = live_expect(&live, EVENT_KIND_UMOUNT, pid, &unmounts);
	assert_string_equal(s->path, in_top("target"));
	assert_null(live_find(&live, EVENT_KIND_UMOUNT, pid, &unmounts));
}

static int fail_to_mount(void *arg)
{
	char data[512];

	(void)arg;
	DO(enter());
	memset(data, 'x', sizeof(data));
	data[sizeof(data) - 1] = '\0';
	(void)mount("/dev/nj-nothing", "target", "ext4", 0, data);
	(void)mount("none", "missing", "tmpfs", 0, NULL);
	(void)mount("//server/share", "target", "cifs", 0, "username=u,password=secret");
	DO(setresuid(1000, 1000, 1000));
	(void)mount("source", "target", NULL, MS_BIND, NULL);
	(void)umount2("target", 0);
	return chroot("target") == 0;
}

static void failures_tell_what_was_meant_and_no_password(void **state)
{
	pid_t pid = live_run(&live, fail_to_mount, NULL);
	const struct seen *s;
	size_t from = 0;

	(void)state;
	(void)after_enter(pid, &from);
	s = live_expect(&live, EVENT_KIND_MOUNT, pid, &from);
	assert_true(s->event.result < 0);
	assert_string_equal(s->path, in_top("target"));
	assert_string_equal(s->path2, "/dev/nj-nothing");
	assert_string_equal(s->text, "ext4");
	assert_int_equal(s->detail.data.len, 256);
	assert_int_equal(s->event.marks, EVENT_MARK_DATA_CUT);
	s = live_expect(&live, EVENT_KIND_MOUNT, pid, &from);
	assert_int_equal(s->event.result, -ENOENT);
	assert_string_equal(s->path, in_top("missing"));
	s = live_expect(&live, EVENT_KIND_MOUNT, pid, &from);
	assert_string_equal(s->text, "cifs");
	assert_int_equal(s->detail.data.len, 0);
	s = live_expect(&live, EVENT_KIND_MOUNT, pid, &from);
	assert_int_equal(s->event.result, -EPERM);
	assert_string_equal(s->path2, in_top("source"));
	s = live_find(&live, EVENT_KIND_UMOUNT, pid, NULL);
	assert_int_equal(s->event.result, -EPERM);
	s = live_find(&live, EVENT_KIND_ROOT, pid, NULL);
	assert_int_equal(s->event.result, -EPERM);
	assert_string_equal(s->path, in_top("target"));
}

static int mount_in_steps(void *arg)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
	int fs, tree;

	(void)arg;
	DO(enter());
	DO(fs = (int)syscall(SYS_fsopen, "tmpfs", 0));
	DO(syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	DO(tree = (int)syscall(SYS_fsmount, fs, 0, MOUNT_ATTR_NOSUID));
	DO(syscall(SYS_move_mount, tree, "", AT_FDCWD, "link", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS));
	DO(syscall(SYS_mount_setattr, AT_FDCWD, "target", 0, &attr, sizeof(attr)));
	DO(syscall(SYS_open_tree, AT_FDCWD, "target", 0)); /* only one more way to open it */
	DO(tree = (int)syscall(SYS_open_tree, AT_FDCWD, "link", OPEN_TREE_CLONE));
	DO(syscall(SYS_move_mount, tree, "", AT_FDCWD, "source", MOVE_MOUNT_F_EMPTY_PATH));
	return 0;
}

static void the_steps_of_new_mounts_are_told_each(void **state)
{
	static const struct {
		const char *call, *path, *raw, *path2, *text;
	} rows[] = {
		{"fsopen", NULL, "", NULL, "tmpfs"},
		{"fsmount", NULL, "", NULL, "tmpfs"},
		{"move_mount", "target", "link", "target", "tmpfs"},
		{"mount_setattr", "target", "target", NULL, ""},
		{"open_tree", NULL, "", "target", ""},
		{"move_mount", "source", "source", "source", "tmpfs"},
	};
	struct actor a = live_actor(&live, mount_in_steps, NULL);
	const struct seen *s;
	size_t from = 0;

	(void)state;
	live_go(&a);
	assert_int_equal(live_finish(&live, &a), 0);
	(void)after_enter(a.pid, &from);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		s = live_expect(&live, EVENT_KIND_MOUNT, a.pid, &from);
		assert_string_equal(s->call, rows[i].call);
		assert_string_equal(s->path, rows[i].path ? in_top(rows[i].path) : "");
		assert_string_equal(s->raw_path, rows[i].raw);
		assert_string_equal(s->path2, rows[i].path2 ? in_top(rows[i].path2) : "");
		assert_string_equal(s->text, rows[i].text);
		assert_int_equal(s->event.marks, 0);
		if (strcmp(s->call, "mount_setattr") == 0)
			assert_int_equal(s->data[0], MOUNT_ATTR_RDONLY);
	}
	assert_null(live_find(&live, EVENT_KIND_MOUNT, a.pid, &from));
}

static int change_root(void *arg)
{
	(void)arg;
	DO(enter());
	DO(mkdir("target/inner", 0755));
	DO(mkdir("target/old", 0755));
	DO(chroot("link/inner"));
	DO(chroot("../../.."));
	return 0;
}

static void a_new_root_is_told_from_the_root_of_all_mounts(void **state)
{
	pid_t pid = live_run(&live, change_root, NULL);
	const struct seen *s;
	size_t from = 0;

	(void)state;
	s = live_expect(&live, EVENT_KIND_ROOT, pid, &from);
	assert_string_equal(s->call, "chroot");
	assert_string_equal(s->path, in_top("target/inner"));
	assert_string_equal(s->raw_path, "link/inner");
	assert_true(S_ISDIR(s->event.file.mode));
	/* Out of it again: the working directory was never inside. */
	s = live_expect(&live, EVENT_KIND_ROOT, pid, &from);
	assert_string_equal(s->path, "/");
	assert_string_equal(s->raw_path, "../../..");
}

static int pivot(void *arg)
{
	(void)arg;
	DO(enter());
	DO(mkdir("target/old", 0755));
	DO(mount("target", "target", NULL, MS_BIND, NULL));
	if (syscall(SYS_pivot_root, "source", "source") == 0)
		return 1;
	if (syscall(SYS_pivot_root, "target", "target/old") < 0)
		return errno == EINVAL ? 99 : 2; /* on a kernel whose root is its initial file system */
	DO(chdir("/"));
	return umount2("/old", MNT_DETACH) < 0;
}

static void pivot_root_is_told_with_both_arguments(void **state)
{
	struct actor a = live_actor(&live, pivot, NULL);
	const struct seen *s;
	size_t from = 0;
	int status;

	(void)state;
	live_go(&a);
	status = live_finish(&live, &a);
	s = live_expect(&live, EVENT_KIND_ROOT, a.pid, &from);
	assert_int_equal(s->event.result, -EINVAL);
	assert_string_equal(s->path, in_top("source"));
	if (status == 99)
		skip();
	assert_int_equal(status, 0);
	s = live_expect(&live, EVENT_KIND_ROOT, a.pid, &from);
	assert_string_equal(s->call, "pivot_root");
	assert_int_equal(s->event.result, 0);
	assert_string_equal(s->path, "/");
	assert_string_equal(s->raw_path, "target");
	assert_string_equal(s->raw_path2, "target/old");
	s = live_find(&live, EVENT_KIND_UMOUNT, a.pid, NULL);
	assert_string_equal(s->path, "/old");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(mounts_are_told_by_where_they_are_and_what_of, start, stop),
		cmocka_unit_test_setup_teardown(failures_tell_what_was_meant_and_no_password, start, stop),
		cmocka_unit_test_setup_teardown(the_steps_of_new_mounts_are_told_each, start, stop),
		cmocka_unit_test_setup_teardown(a_new_root_is_told_from_the_root_of_all_mounts, start, stop),
		cmocka_unit_test_setup_teardown(pivot_root_is_told_with_both_arguments, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
