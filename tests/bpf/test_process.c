/* Fork, exec and exit as the kernel tells them. */
#include "tests/bpf/live.h"

#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static struct live live;

static int exec_true(void *arg)
{
	(void)arg;
	if (chdir("/usr/share") < 0 || setenv("NJ_CHOSEN", "yes", 1) < 0 || setenv("NJ_OTHER", "no", 1) < 0)
		return 1;
	execl("/bin/sh", "sh", "-c", "exit 0", "two words", (char *)NULL);
	return 1;
}

static void exec_carries_arguments_directory_file_and_chosen_environment(void **state)
{
	pid_t pid = live_run(&live, exec_true, NULL);
	const struct seen *s = live_expect(&live, EVENT_KIND_EXEC, pid, NULL);
	struct stat st;
	char real[256];

	(void)state;
	assert_non_null(realpath("/bin/sh", real));
	assert_int_equal(stat("/bin/sh", &st), 0);
	assert_string_equal(s->exe, real);
	assert_string_equal(s->args, "sh -c exit 0 two words");
	assert_int_equal(s->process.arg_count, 4);
	assert_string_equal(s->cwd, "/usr/share");
	assert_string_equal(s->env, "NJ_CHOSEN=yes");
	assert_int_equal(s->process.exe.inode, st.st_ino);
	assert_int_equal(s->process.exe.device, st.st_dev);
	assert_int_equal(s->process.exe.mode, st.st_mode);
	assert_int_equal(s->process.exe.nlink, st.st_nlink);
	assert_int_equal(s->process.truncated, 0);
	assert_int_equal(s->process.creds.uid, getuid());
	assert_int_equal(s->process.session, getsid(0));
	assert_int_equal(s->process.ppid, getpid());
	assert_true(s->process.creds.cap_effective != 0);
}

static int exec_with_long_environment(void *arg)
{
	static char longest[3000] = "NJ_LONGEST=";
	char *const env[] = {(char *)"NJ_CHOSEN=first", longest, (char *)"NJ_LATER=gone", NULL};

	(void)arg;
	memset(longest + strlen(longest), 'x', sizeof(longest) - strlen(longest) - 1);
	(void)execle("/bin/true", "true", (char *)NULL, env);
	return 1;
}

static void an_environment_that_does_not_fit_is_cut_and_marked(void **state)
{
	pid_t pid = live_run(&live, exec_with_long_environment, NULL);
	const struct seen *s = live_expect(&live, EVENT_KIND_EXEC, pid, NULL);

	(void)state;
	assert_int_equal(s->process.truncated, PROCESS_ENV_TRUNCATED);
	assert_string_equal(s->env, "NJ_CHOSEN=first");
	assert_string_equal(s->args, "true");
}

/* Deeper than the walk goes: the end of the path is what says most. */
static int exec_far_below(void *arg)
{
	char path[] = "/tmp/nj-deep-XXXXXX";

	(void)arg;
	if (!mkdtemp(path) || chdir(path) < 0)
		return 1;
	for (int i = 0; i < 80; i++)
		if (mkdir("d", 0755) < 0 || chdir("d") < 0)
			return 2;
	if (fork() == 0) {
		(void)execl("/bin/true", "true", (char *)NULL);
		_exit(3);
	}
	(void)wait(NULL);
	for (int i = 0; i < 80; i++)
		if (chdir("..") < 0 || rmdir("d") < 0)
			return 4;
	return rmdir(path) < 0;
}

static void a_directory_that_is_too_deep_is_cut_on_the_left_and_marked(void **state)
{
	pid_t pid = live_run(&live, exec_far_below, NULL);
	const struct seen *s = NULL;
	size_t from = 0;

	(void)state;
	while (!s && (s = live_expect(&live, EVENT_KIND_EXEC, 0, &from)) != NULL)
		if (s->process.ppid != (uint32_t)pid)
			s = NULL;
	assert_int_equal(s->process.truncated, PROCESS_CWD_TRUNCATED);
	assert_string_equal(s->cwd + strlen(s->cwd) - 4, "/d/d");
}

static int exec_long(void *arg)
{
	static char longest[8000];

	(void)arg;
	memset(longest, 'x', sizeof(longest) - 1);
	execl("/bin/true", "true", longest, (char *)NULL);
	return 1;
}

static void arguments_that_do_not_fit_are_cut_and_marked(void **state)
{
	pid_t pid = live_run(&live, exec_long, NULL);
	const struct seen *s = live_expect(&live, EVENT_KIND_EXEC, pid, NULL);

	(void)state;
	assert_true(s->process.truncated & PROCESS_ARGS_TRUNCATED);
	assert_memory_equal(s->args, "true xxxx", 9);
	assert_true(strlen(s->args) > 2000 && strlen(s->args) < 8000);
}

static int fork_then_exec(void *arg)
{
	pid_t child = fork();
	int status;

	(void)arg;
	if (child == 0) {
		execl("/bin/sh", "sh", "-c", "exit 7", (char *)NULL);
		_exit(1);
	}
	return waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7 ? 0 : 1;
}

static void fork_comes_before_exec_before_exit_and_ids_join_them(void **state)
{
	pid_t pid = live_run(&live, fork_then_exec, NULL);
	const struct seen *fork = live_expect(&live, EVENT_KIND_FORK, pid, NULL);
	const struct seen *exec, *exit;

	(void)state;
	exec = live_expect(&live, EVENT_KIND_EXEC, (pid_t)fork->child_pid, NULL);
	exit = live_expect(&live, EVENT_KIND_EXIT, (pid_t)fork->child_pid, NULL);
	assert_true(fork->event.seq < exec->event.seq && exec->event.seq < exit->event.seq);
	assert_int_equal(fork->child_parent_exec_id, fork->process.exec_id);
	assert_int_equal(exec->process.parent_exec_id, fork->process.exec_id);
	assert_true(exec->process.exec_id != fork->child_exec_id);
	assert_int_equal(exit->process.exec_id, exec->process.exec_id);
	assert_int_equal(exit->event.result, 7 << 8);
	assert_false(live.gap);
}

static int die_by_signal(void *arg)
{
	(void)arg;
	(void)raise(SIGKILL);
	return 0;
}

static void a_death_by_signal_is_told_as_wait_tells_it(void **state)
{
	struct actor a = live_actor(&live, die_by_signal, NULL);

	(void)state;
	live_go(&a);
	assert_int_equal(live_finish(&live, &a), -1);
	assert_int_equal(live_find(&live, EVENT_KIND_EXIT, a.pid, NULL)->event.result, SIGKILL);
}

#define MASTER 40

struct ends {
	int in[2], out[2], pair[2];
	int master, slave;
};

static int exec_with_endpoints(void *arg)
{
	struct ends *e = arg;

	/* The master has a number past those that are looked at, when the capture holds many. */
	if (dup2(e->in[0], 0) < 0 || dup2(e->slave, 1) < 0 || dup2(e->pair[1], 2) < 0 || dup2(e->master, MASTER) < 0)
		return 1;
	execl("/bin/true", "true", (char *)NULL);
	return 1;
}

static void exec_carries_pipe_pty_and_socket_on_standard_descriptors(void **state)
{
	const struct endpoint *in, *out, *err;
	const struct seen *s;
	struct stat pipe_st, pair_st[2], pty_st;
	struct ends e;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(e.in), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, e.pair), 0);
	assert_int_equal(openpty(&e.master, &e.slave, NULL, NULL, NULL), 0);
	pid = live_run(&live, exec_with_endpoints, &e);
	s = live_expect(&live, EVENT_KIND_EXEC, pid, NULL);
	in = seen_endpoint(s, 0);
	out = seen_endpoint(s, 1);
	err = seen_endpoint(s, 2);
	assert_true(in && out && err);
	assert_int_equal(fstat(e.in[0], &pipe_st), 0);
	assert_int_equal(in->kind, ENDPOINT_KIND_PIPE);
	assert_int_equal(in->mode, ENDPOINT_READ);
	assert_int_equal(in->id, pipe_st.st_ino);
	assert_true(in->readers >= 1 && in->writers >= 1);
	assert_int_equal(fstat(e.slave, &pty_st), 0);
	assert_int_equal(out->kind, ENDPOINT_KIND_PTY_SLAVE);
	assert_int_equal(out->mode, ENDPOINT_READ | ENDPOINT_WRITE);
	assert_int_equal(out->id, minor(pty_st.st_rdev));
	assert_int_equal(out->id2, pty_st.st_dev);
	assert_int_equal(fstat(e.pair[0], &pair_st[0]), 0);
	assert_int_equal(fstat(e.pair[1], &pair_st[1]), 0);
	assert_int_equal(err->kind, ENDPOINT_KIND_UNIX);
	assert_int_equal(err->id, pair_st[1].st_ino);
	assert_int_equal(err->id2, pair_st[0].st_ino);
	/* The master is among the inherited ones and names the same terminal. */
	out = seen_endpoint(s, MASTER);
	assert_non_null(out);
	assert_int_equal(out->kind, ENDPOINT_KIND_PTY_MASTER);
	assert_int_equal(out->id, minor(pty_st.st_rdev));
	assert_int_equal(out->id2, pty_st.st_dev);
}

static int exec_on_63(void *arg)
{
	int fds[2];

	(void)arg;
	if (pipe(fds) < 0 || dup2(fds[0], 63) < 0)
		return 1;
	execl("/bin/true", "true", (char *)NULL);
	return 1;
}

static void the_last_descriptor_looked_at_is_63(void **state)
{
	pid_t pid = live_run(&live, exec_on_63, NULL);
	const struct seen *s = live_expect(&live, EVENT_KIND_EXEC, pid, NULL);

	(void)state;
	assert_non_null(seen_endpoint(s, 63));
}

static int wait_for_go(void *arg)
{
	(void)arg;
	return 0;
}

struct snapshot {
	pid_t pid;
	uint64_t exec_id;
	uint16_t endpoints;
	uint32_t parents_first; /* violations */
	size_t count;
	uint64_t last_seq;
	bool own;
};

static void on_snapshot(void *ctx, const struct event *event)
{
	struct snapshot *s = ctx;

	if (event->kind != EVENT_KIND_EXEC)
		return;
	s->count++;
	s->own |= event->process->pid == (uint32_t)getpid();
	if (event->process->pid != (uint32_t)s->pid)
		return;
	s->exec_id = event->process->exec_id;
	s->endpoints = event->endpoint_count;
	s->parents_first += !s->own;
}

static void a_snapshot_tells_who_runs_with_parents_first_and_their_endpoints(void **state)
{
	struct actor a = live_actor(&live, wait_for_go, NULL);
	struct snapshot s = {.pid = a.pid};

	(void)state;
	assert_true(capture_snapshot(live.capture, on_snapshot, &s) > 1);
	assert_true(s.exec_id != 0);
	assert_true(s.endpoints >= 1); /* the pipe that holds it back */
	assert_true(s.own);
	assert_int_equal(s.parents_first, 0);
	live.gap = false;
	live_go(&a);
	assert_int_equal(live_finish(&live, &a), 0);
	assert_int_equal(live_find(&live, EVENT_KIND_EXIT, a.pid, NULL)->process.exec_id, s.exec_id);
}

static int exec_deleted(void *arg)
{
	char path[] = "/tmp/nj-exe-XXXXXX";
	int fd = mkstemp(path), source = open("/bin/true", O_RDONLY | O_CLOEXEC);
	char buffer[65536];
	ssize_t n;

	(void)arg;
	while ((n = read(source, buffer, sizeof(buffer))) > 0)
		if (write(fd, buffer, (size_t)n) != n)
			return 1;
	if (fchmod(fd, 0700) < 0 || close(fd) < 0)
		return 1;
	fd = open(path, O_PATH | O_CLOEXEC);
	(void)unlink(path);
	(void)fexecve(fd, (char *[]){(char *)"gone", NULL}, (char *[]){NULL});
	return 1;
}

static void a_deleted_executable_has_no_links(void **state)
{
	pid_t pid = live_run(&live, exec_deleted, NULL);
	const struct seen *s = live_expect(&live, EVENT_KIND_EXEC, pid, NULL);

	(void)state;
	assert_int_equal(s->process.exe.nlink, 0);
	assert_memory_equal(s->exe, "/tmp/nj-exe-", 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LIVE_TEST(exec_carries_arguments_directory_file_and_chosen_environment),
		LIVE_TEST(arguments_that_do_not_fit_are_cut_and_marked),
		LIVE_TEST(an_environment_that_does_not_fit_is_cut_and_marked),
		LIVE_TEST(a_directory_that_is_too_deep_is_cut_on_the_left_and_marked),
		LIVE_TEST(fork_comes_before_exec_before_exit_and_ids_join_them),
		LIVE_TEST(a_death_by_signal_is_told_as_wait_tells_it),
		LIVE_TEST(exec_carries_pipe_pty_and_socket_on_standard_descriptors),
		LIVE_TEST(the_last_descriptor_looked_at_is_63),
		LIVE_TEST(a_snapshot_tells_who_runs_with_parents_first_and_their_endpoints),
		LIVE_TEST(a_deleted_executable_has_no_links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
