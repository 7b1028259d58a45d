/* What a process and its executable are, as exec and fork tell it: held against what /proc, stat(2)
 * and the process itself say. */
#include "tests/bpf/live.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"

static struct live live;
static char folder[] = "/tmp/nj-image-XXXXXX";

static const struct seen *exec_of(pid_t pid)
{
	const struct seen *s = live_expect(&live, EVENT_KIND_EXEC, pid, NULL);

	return s;
}

/* The last exec of a child of the actor. */
static const struct seen *exec_below(pid_t pid)
{
	const struct seen *s, *last = NULL;
	size_t from = 0;

	while ((s = live_find(&live, EVENT_KIND_EXEC, 0, &from)) != NULL)
		if (s->process.ppid == (uint32_t)pid)
			last = s;
	assert_non_null(last);
	return last;
}

static uint32_t own_namespace(const char *name)
{
	char path[64];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	return stat(path, &st) == 0 ? (uint32_t)st.st_ino : 0;
}

static int run_below(const char *program)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		(void)execl(program, program, (char *)NULL);
		_exit(1);
	}
	return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : 1;
}

static int exec_a_link(void *arg)
{
	(void)arg;
	if (symlink("/bin/true", "nj-other-name") < 0 || setpgid(0, 0) < 0)
		return 1;
	(void)execl("./nj-other-name", "argument zero", (char *)NULL);
	return 1;
}

static void exec_tells_the_name_that_was_given_the_group_and_the_namespaces(void **state)
{
	pid_t pid = live_run(&live, exec_a_link, NULL);
	const struct seen *s = exec_of(pid);
	const struct namespaces *ns = &s->process.namespaces;
	struct stat st;

	(void)state;
	(void)unlink("nj-other-name");
	assert_string_equal(s->exe_raw, "./nj-other-name");
	assert_string_equal(s->comm, "nj-other-name");
	assert_int_equal(s->process.pgid, pid);
	assert_int_equal(s->process.vpgid, s->process.vpid);
	assert_int_equal(stat("/bin/true", &st), 0);
	assert_int_equal(s->process.exe_ctime_ns, (uint64_t)st.st_ctim.tv_sec * NS_PER_SEC + (uint64_t)st.st_ctim.tv_nsec);
	assert_int_equal(s->process.exe_mtime_ns, (uint64_t)st.st_mtim.tv_sec * NS_PER_SEC + (uint64_t)st.st_mtim.tv_nsec);
	assert_int_equal(s->process.exe_flags & (PROCESS_EXE_MEMFD | PROCESS_EXE_UPPER), 0);
	assert_int_equal(ns->mnt, own_namespace("mnt"));
	assert_int_equal(ns->pid, own_namespace("pid_for_children"));
	assert_int_equal(ns->net, own_namespace("net"));
	assert_int_equal(ns->user, own_namespace("user"));
	assert_int_equal(ns->uts, own_namespace("uts"));
	assert_int_equal(ns->ipc, own_namespace("ipc"));
	assert_int_equal(ns->cgroup, own_namespace("cgroup"));
	assert_int_equal(ns->time, own_namespace("time"));
}

static int exec_a_long_name(void *arg)
{
	char path[600] = "/bin/true";

	(void)arg;
	for (size_t i = 0; i < 500; i += 2)
		memcpy(path + i, "./", 3);
	memcpy(path, "/", 1);
	(void)strcat(path, "bin/true");
	(void)execl(path, "true", (char *)NULL);
	return 1;
}

static void a_name_that_does_not_fit_is_cut_and_marked(void **state)
{
	const struct seen *s = exec_of(live_run(&live, exec_a_long_name, NULL));

	(void)state;
	assert_int_equal(s->process.truncated, PROCESS_EXE_RAW_TRUNCATED);
	assert_int_equal(strlen(s->exe_raw), NJ_RAW_MAX - 1);
}

static int exec_a_script(void *arg)
{
	char path[] = "/tmp/nj-script-XXXXXX";
	int fd = mkstemp(path), r;

	(void)arg;
	if (fd < 0 || dprintf(fd, "#!/bin/sh\nexit 0\n") < 0 || fchmod(fd, 0755) < 0 || close(fd) < 0)
		return 1;
	r = run_below(path);
	(void)unlink(path);
	return r;
}

static void a_script_is_the_name_and_its_interpreter_the_executable(void **state)
{
	const struct seen *s = exec_below(live_run(&live, exec_a_script, NULL));
	char shell[256];

	(void)state;
	assert_non_null(realpath("/bin/sh", shell));
	assert_memory_equal(s->exe_raw, "/tmp/nj-script-", 15);
	assert_memory_equal(s->comm, "nj-script-", 10);
	assert_string_equal(s->exe, shell);
}

static int exec_a_memfd(void *arg)
{
	int from = open("/bin/true", O_RDONLY | O_CLOEXEC), fd = memfd_create("nj-fileless", MFD_CLOEXEC);
	char *const argv[] = {(char *)"true", NULL}, *const env[] = {NULL};
	char block[4096];
	ssize_t n;

	(void)arg;
	while ((n = read(from, block, sizeof(block))) > 0)
		if (write(fd, block, (size_t)n) != n)
			return 1;
	(void)fexecve(fd, argv, env);
	return 2;
}

static void an_executable_in_a_memfd_is_marked(void **state)
{
	const struct seen *s = exec_of(live_run(&live, exec_a_memfd, NULL));

	(void)state;
	assert_int_equal(s->process.exe_flags & PROCESS_EXE_MEMFD, PROCESS_EXE_MEMFD);
	assert_int_equal(s->process.exe.nlink, 0);
	assert_memory_equal(s->exe_raw, "/dev/fd/", 8);
	assert_non_null(strstr(s->exe, "memfd:nj-fileless"));
}

static int copy_true(const char *path)
{
	int from = open("/bin/true", O_RDONLY | O_CLOEXEC), to = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
	char block[4096];
	ssize_t n;

	while ((n = read(from, block, sizeof(block))) > 0)
		if (write(to, block, (size_t)n) != n)
			return -1;
	return from < 0 || to < 0 || close(from) < 0 || close(to) < 0 ? -1 : 0;
}

/* In a mount namespace of its own, on a tmpfs: nothing stays behind. */
static int make_overlay(void)
{
	return unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	       mount("nj", folder, "tmpfs", 0, NULL) < 0 || chdir(folder) < 0 || mkdir("lower", 0755) < 0 ||
	       mkdir("upper", 0755) < 0 || mkdir("work", 0755) < 0 || mkdir("all", 0755) < 0 ||
	       copy_true("lower/shipped") < 0 ||
	       mount("overlay", "all", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work") < 0;
}

static int exec_from_the_image(void *arg)
{
	(void)arg;
	return make_overlay() || run_below("all/shipped");
}

static int exec_what_was_added(void *arg)
{
	(void)arg;
	return make_overlay() || copy_true("all/added") < 0 || run_below("all/added");
}

static void what_came_with_the_image_and_what_was_added_differ(void **state)
{
	const struct seen *shipped = exec_below(live_run(&live, exec_from_the_image, NULL));
	const struct seen *added = exec_below(live_run(&live, exec_what_was_added, NULL));

	(void)state;
	assert_string_equal(shipped->exe_raw, "all/shipped");
	assert_int_equal(shipped->process.exe_flags & PROCESS_EXE_UPPER, 0);
	assert_string_equal(added->exe_raw, "all/added");
	assert_int_equal(added->process.exe_flags & PROCESS_EXE_UPPER, PROCESS_EXE_UPPER);
}

/* As nobody, of a file of its own or of root's. */
static int exec_as_nobody(void *arg)
{
	const char *path = arg;

	if (setresgid(65534, 65534, 65533) < 0 || setresuid(65534, 65534, 65533) < 0)
		return 1;
	(void)execl(path, path, (char *)NULL);
	return 1;
}

static void an_executable_that_its_user_can_write_is_marked_and_saved_ids_are_told(void **state)
{
	char path[] = "/tmp/nj-own-XXXXXX";
	int fd = mkstemp(path);
	const struct seen *s;

	(void)state;
	assert_true(fd >= 0 && close(fd) == 0 && copy_true(path) == 0);
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(chown(path, 65534, 65534), 0);
	s = exec_of(live_run(&live, exec_as_nobody, path));
	assert_int_equal(s->process.exe_flags, PROCESS_EXE_WRITABLE);
	s = exec_of(live_run(&live, exec_as_nobody, (void *)(uintptr_t)"/bin/true"));
	assert_int_equal(s->process.exe_flags, 0);
	/* An exec makes the effective ids the saved ones. */
	assert_int_equal(s->process.creds.suid, 65534);
	assert_int_equal(s->process.creds.sgid, 65534);
	assert_int_equal(unlink(path), 0);
}

static int fork_with_a_name_in_namespaces(void *arg)
{
	pid_t pid;

	(void)arg;
	if (prctl(PR_SET_NAME, "nj-renamed") < 0 || setsid() < 0 || unshare(CLONE_NEWUTS | CLONE_NEWPID) < 0)
		return 1;
	pid = fork();
	if (pid == 0)
		_exit(getpid() != 1);
	return waitpid(pid, NULL, 0) != pid;
}

static void a_fork_tells_what_changed_since_its_parents_exec(void **state)
{
	pid_t pid = live_run(&live, fork_with_a_name_in_namespaces, NULL);
	const struct seen *fork = live_expect(&live, EVENT_KIND_FORK, pid, NULL), *end;

	(void)state;
	end = live_expect(&live, EVENT_KIND_EXIT, (pid_t)fork->child_pid, NULL);
	assert_int_equal(end->process.exec_id, fork->child_exec_id);
	assert_string_equal(end->comm, "nj-renamed");
	assert_int_equal(end->process.session, pid);
	assert_int_equal(end->process.pgid, pid);
	assert_int_equal(end->process.vpid, 1);
	assert_int_equal(end->process.vpgid, 0); /* its leader is outside */
	assert_int_equal(end->process.namespaces.mnt, own_namespace("mnt"));
	assert_true(end->process.namespaces.uts != own_namespace("uts"));
	assert_true(end->process.namespaces.pid != own_namespace("pid"));
}

struct listed {
	pid_t pid;
	struct namespaces of_pid, of_init;
};

static void on_snapshot(void *ctx, const struct event *event)
{
	struct listed *l = ctx;

	if (event->process->pid == (uint32_t)l->pid)
		l->of_pid = event->process->namespaces;
	if (event->process->pid == 1)
		l->of_init = event->process->namespaces;
}

static int stay(void *arg)
{
	(void)arg;
	return 0;
}

/* The collector tells a host's namespaces by pid 1's; a machine whose kernel hides that process from its
 * iterators does not tell them. */
static void a_snapshot_tells_the_namespaces_of_what_runs(void **state)
{
	struct actor a = live_actor(&live, stay, NULL);
	struct listed l = {.pid = a.pid};
	struct stat st;

	(void)state;
	assert_true(capture_snapshot(live.capture, on_snapshot, &l) > 0);
	assert_int_equal(l.of_pid.mnt, own_namespace("mnt"));
	assert_int_equal(l.of_pid.user, own_namespace("user"));
	if (l.of_init.mnt && stat("/proc/1/ns/mnt", &st) == 0)
		assert_int_equal(l.of_init.mnt, st.st_ino);
	live_go(&a);
	assert_int_equal(live_finish(&live, &a), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LIVE_TEST(exec_tells_the_name_that_was_given_the_group_and_the_namespaces),
		LIVE_TEST(a_name_that_does_not_fit_is_cut_and_marked),
		LIVE_TEST(a_script_is_the_name_and_its_interpreter_the_executable),
		LIVE_TEST(an_executable_in_a_memfd_is_marked),
		LIVE_TEST(what_came_with_the_image_and_what_was_added_differ),
		LIVE_TEST(an_executable_that_its_user_can_write_is_marked_and_saved_ids_are_told),
		LIVE_TEST(a_fork_tells_what_changed_since_its_parents_exec),
		LIVE_TEST(a_snapshot_tells_the_namespaces_of_what_runs),
	};
	int failed;

	if (!mkdtemp(folder))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)rmdir(folder);
	return failed;
}
