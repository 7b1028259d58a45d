/* Runs one scenario as the leader of a session in the root cgroup, and cleans up behind it. */
#include "tests/e2e/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The shell that runs the tests may sit in a path that looks like a container's: leave it in every
 * hierarchy. What refuses is left as it is. */
static void enter_root_cgroup(void)
{
	_cleanup_(fclosep) FILE *mounts = fopen("/proc/mounts", "re");
	char line[1024], dir[512], type[64], path[640];

	while (mounts && fgets(line, sizeof(line), mounts)) {
		int fd;

		if (sscanf(line, "%*s %511s %63s", dir, type) != 2 ||
		    strncmp(type, "cgroup", 6) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		(void)!write(fd, "0", 1);
		(void)close(fd);
	}
}

static void set_environment(const struct run *r)
{
	const char *build = getenv("NJ_BUILD");
	char top[PATH_MAX], build_dir[PATH_MAX], value[PATH_MAX + 32];

	if (!getcwd(top, sizeof(top)) || clearenv() != 0)
		_exit(126);
	(void)setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	(void)setenv("HOME", r->dir, 1);
	(void)setenv("LC_ALL", "C", 1);
	(void)setenv("NJ_DIR", r->dir, 1);
	snprintf(value, sizeof(value), "%s/tests", top);
	(void)setenv("NJ_TESTS", value, 1);
	if (!realpath(build ? build : "build", build_dir))
		_exit(126);
	snprintf(value, sizeof(value), "%s/tests/scenario", build_dir);
	(void)setenv("NJ_BIN", value, 1);
	snprintf(value, sizeof(value), "%u", r->port);
	(void)setenv("NJ_PORT", value, 1);
}

static void exec_scenario(const struct run *r, const char *const *argv)
{
	char program[2 * PATH_MAX];
	int in = open("/dev/null", O_RDONLY | O_CLOEXEC), out;

	enter_root_cgroup();
	set_environment(r);
	snprintf(program, sizeof(program), "%s/%s",
		 getenv(strchr(argv[0], '/') ? "NJ_TESTS" : "NJ_BIN"), argv[0]);
	if (setsid() < 0 || chdir(r->dir) < 0)
		_exit(126);
	out = open("output", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (in < 0 || out < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(126);
	execv(program, (char *const *)argv);
	_exit(127);
}

int run_start(const char *const *argv, uint16_t port, struct run *ret_run)
{
	struct run r = {
		.leader = -1, .port = port, .dir = "/tmp/nightjar-run-XXXXXX", .status = -1};

	/* What a scenario leaves behind becomes a child of this process, and run_done ends it. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || !mkdtemp(r.dir) || chmod(r.dir, 0755) < 0)
		return -errno;
	r.leader = fork();
	if (r.leader < 0)
		return -errno;
	if (r.leader == 0)
		exec_scenario(&r, argv);
	*ret_run = r;
	return 0;
}

int run_wait(struct run *r, int timeout_ms)
{
	_cleanup_(closep) int pidfd = pidfd_open(r->leader, 0);
	struct pollfd ended = {.fd = pidfd, .events = POLLIN};

	if (pidfd < 0)
		return -errno;
	if (poll(&ended, 1, timeout_ms) <= 0)
		return -ETIMEDOUT;
	if (waitpid(r->leader, &r->status, 0) < 0)
		return -errno;
	return WIFEXITED(r->status) && WEXITSTATUS(r->status) == 0 ? 0 : -ECHILD;
}

/* One child that is not keep; 0 when there is none. */
static pid_t left_behind(pid_t keep)
{
	_cleanup_(fclosep) FILE *f = NULL;
	char path[64];
	int pid;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	f = fopen(path, "re");
	while (f && fscanf(f, "%d", &pid) == 1)
		if (pid != keep)
			return pid;
	return 0;
}

void run_done(struct run *r, pid_t keep)
{
	char command[96];
	pid_t pid;

	/* Killing a parent may bring up further orphans: until none is left. */
	while ((pid = left_behind(keep)) > 0) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
	}
	if (r->dir[0] && !getenv("NJ_KEEP")) {
		snprintf(command, sizeof(command), "rm -rf %s", r->dir);
		(void)!system(command);
	}
	*r = (struct run){.leader = -1, .status = -1};
}

char *run_output(const struct run *r)
{
	_cleanup_(fclosep) FILE *f = NULL;
	char path[96], *text = calloc(1, 65536);

	if (!text)
		abort();
	snprintf(path, sizeof(path), "%s/output", r->dir);
	f = fopen(path, "re");
	if (f)
		(void)!fread(text, 1, 65535, f);
	return text;
}

static bool is_pid(const json_t *process, pid_t pid)
{
	return json_integer_value(json_object_get(process, "pid")) == pid;
}

bool run_owns_alert(const struct run *r, const json_t *alert)
{
	const json_t *process = json_object_get(alert, "process"), *ancestor;
	const json_t *remote = json_object_get(alert, "remote");
	const char *cwd = json_string_value(json_object_get(process, "cwd"));
	size_t i;

	if (r->port && json_integer_value(json_object_get(remote, "port")) == r->port)
		return true;
	if (cwd && strncmp(cwd, r->dir, strlen(r->dir)) == 0)
		return true;
	if (is_pid(process, r->leader) || is_pid(json_object_get(process, "parent"), r->leader))
		return true;
	json_array_foreach(json_object_get(process, "ancestors"), i,
			   ancestor) if (is_pid(ancestor, r->leader)) return true;
	return false;
}
