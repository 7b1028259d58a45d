/* One leader in a session of its own goes from cgroup to cgroup and starts what is to sleep there;
 * see crowd.h. Sizes: a sleeping program takes 200 KiB of the machine, 5 000 of them a GiB. */
#include "tests/bench/crowd.h"

#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "tests/bench/bench.h"

static const char *root(void)
{
	return access("/sys/fs/cgroup/unified/cgroup.procs", F_OK) == 0 ? "/sys/fs/cgroup/unified"
									: "/sys/fs/cgroup";
}

/* The folders of a pod and its container, the path of which comes back. */
static void pod_path(unsigned int pod, bool make, char ret_path[256])
{
	int len = snprintf(ret_path, 256, "%s/nightjar-bench", root());

	if (make)
		(void)mkdir(ret_path, 0755);
	len += snprintf(ret_path + len, 256 - (size_t)len, "/kubepods");
	if (make)
		(void)mkdir(ret_path, 0755);
	len += snprintf(ret_path + len, 256 - (size_t)len, "/pod%08x-3f0a-4d2b-9c57-0d6f0d4c2a11",
			pod);
	if (make)
		(void)mkdir(ret_path, 0755);
	(void)snprintf(ret_path + len, 256 - (size_t)len, "/%064x", pod + 0xb000);
	if (make)
		(void)mkdir(ret_path, 0755);
}

static bool enter(const char *cgroup)
{
	_cleanup_(fclosep) FILE *f = NULL;
	char path[300];

	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	f = fopen(path, "we");
	return f && fprintf(f, "0\n") > 0 && fflush(f) == 0;
}

/* sleep adds its arguments up, so they may say as much as those of a usual program: 100 bytes. */
static pid_t start_sleeper(unsigned int number)
{
	char text[100];
	pid_t pid;

	(void)snprintf(text, sizeof(text), "0.%090u", number);
	pid = vfork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)execlp("sleep", "sleep", "100000", text, (char *)NULL);
		_exit(127);
	}
	return pid;
}

/* Ends everybody, and removes the folders from the inside out. */
static void clear_up(unsigned int pods)
{
	char path[256];

	while (wait(NULL) > 0)
		;
	(void)!enter(root());
	for (unsigned int pod = 0; pod < pods; pod++) {
		pod_path(pod, false, path);
		(void)rmdir(path);
		(void)rmdir(dirname(path));
	}
	(void)rmdir(dirname(path));
	(void)rmdir(dirname(path));
}

/* False when somebody could not be started. */
static bool gather(unsigned int pods, unsigned int each, pid_t *pids)
{
	char path[256];

	for (unsigned int i = 0; i < pods * each; i++) {
		if (i % each == 0) {
			pod_path(i / each, true, path);
			if (!enter(path))
				return false;
		}
		pids[i] = start_sleeper(i);
		if (pids[i] < 0)
			return false;
	}
	return enter(root());
}

_Noreturn static void lead(unsigned int pods, unsigned int each, int ready)
{
	pid_t *pids = calloc((size_t)pods * each, sizeof(*pids));
	sigset_t term;
	int signal;

	(void)setsid();
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	(void)sigemptyset(&term);
	(void)sigaddset(&term, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &term, NULL);
	if (pids && gather(pods, each, pids) && write(ready, "r", 1) == 1)
		(void)sigwait(&term, &signal);
	for (unsigned int i = 0; pids && i < pods * each; i++)
		if (pids[i] > 0)
			(void)kill(pids[i], SIGKILL);
	clear_up(pods);
	_exit(0);
}

pid_t crowd_start(unsigned int pods, unsigned int each)
{
	int ready[2];
	char byte;
	pid_t pid;

	if (pipe(ready) < 0)
		bench_die("no pipe for a crowd");
	pid = fork();
	if (pid == 0)
		lead(pods, each, ready[1]);
	(void)close(ready[1]);
	if (pid < 0 || read(ready[0], &byte, 1) != 1) {
		bench_stop(pid);
		bench_die("cannot start %u processes in %u cgroups of %s", pods * each, pods,
			  root());
	}
	(void)close(ready[0]);
	return pid;
}
