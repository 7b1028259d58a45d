/* See runtime.h. What it starts it ends by pid: containerd itself, and every process whose command line
 * or cgroup says that it belongs to this folder. */
#include "tests/containers/runtime.h"

#include "tests/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/pb.h"
#include "common/wire_check.h"
#include "tests/await.h"

#define SERVICE	 "/runtime.v1.RuntimeService/"
#define CALL_MS	 60000
#define READY_MS 60000
#define SKIP	 77

/* ---- the node ---- */

/* Shims have their sockets in /run/containerd, wherever containerd keeps its own. */
void runtime_isolate(void)
{
	(void)mkdir("/run/containerd", 0711);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/run/containerd", "tmpfs", 0, NULL) < 0) {
		printf("SKIP no permission to mount: %s\n", strerror(errno));
		exit(SKIP);
	}
}

static void write_config(const struct runtime *rt)
{
	char path[96];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/config.toml", rt->dir);
	f = fopen(path, "we");
	assert_non_null(f);
	(void)fprintf(f,
		      "version = 2\nroot = \"%s/root\"\nstate = \"%s/state\"\n"
		      "[grpc]\naddress = \"%s\"\n[ttrpc]\naddress = \"%s.ttrpc\"\n[debug]\nlevel = \"warn\"\n"
		      "[plugins.\"io.containerd.internal.v1.opt\"]\npath = \"%s/opt\"\n"
		      "[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"" PAUSE_IMAGE "\"\n"
		      "restrict_oom_score_adj = true\ndisable_apparmor = true\n"
		      "disable_tcp_service = true\nstream_server_port = \"0\"\n"
		      "[plugins.\"io.containerd.grpc.v1.cri\".cni]\nbin_dir = \"%s/cni\"\nconf_dir = \"%s/cni\"\n"
		      "[plugins.\"io.containerd.grpc.v1.cri\".containerd]\ndefault_runtime_name = \"runc\"\n"
		      "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\n"
		      "runtime_type = \"io.containerd.runc.v2\"\n"
		      "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\n"
		      "SystemdCgroup = false\nRoot = \"%s/runc\"\n",
		      rt->dir, rt->dir, rt->socket, rt->socket, rt->dir, rt->dir, rt->dir, rt->dir);
	assert_int_equal(fclose(f), 0);
}

void runtime_init(struct runtime *rt)
{
	*rt = (struct runtime){.dir = "/tmp/nj-containers-XXXXXX"};
	assert_non_null(mkdtemp(rt->dir));
	(void)snprintf(rt->socket, sizeof(rt->socket), "%s/cri.sock", rt->dir);
	(void)snprintf(rt->cgroups, sizeof(rt->cgroups), "/nightjar-%d", getpid());
	write_config(rt);
}

static void run_shell(const char *command)
{
	if (system(command) != 0)
		fail_msg("'%s' failed", command);
}

static void import(const struct runtime *rt, const char *image)
{
	char command[512];

	(void)snprintf(command, sizeof(command),
		       "tests/containers/image %s %s/image.tar && ctr -a %s -n k8s.io images import %s/image.tar "
		       "> /dev/null && rm %s/image.tar",
		       image, rt->dir, rt->socket, rt->dir, rt->dir);
	run_shell(command);
}

static pid_t spawn(const struct runtime *rt)
{
	char config[96], log[96];
	pid_t pid;
	int fd;

	(void)snprintf(config, sizeof(config), "%s/config.toml", rt->dir);
	(void)snprintf(log, sizeof(log), "%s/log", rt->dir);
	pid = fork();
	if (pid != 0)
		return pid;
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
		_exit(126);
	execlp("containerd", "containerd", "-c", config, (char *)NULL);
	_exit(127);
}

static bool answers(const struct runtime *rt)
{
	_cleanup_(rpc_client_freep) struct rpc_client *client = NULL;
	struct bytes reply = {0};
	struct err e;

	if (access(rt->socket, F_OK) < 0 || rpc_client_new_local(rt->socket, 1 << 20, &client, &e) < 0 ||
	    rpc_client_call(client, SERVICE "ListPodSandbox", bytes_of("", 0), 1000, &reply, NULL, &e) < 0)
		return false;
	free((void *)(uintptr_t)reply.data);
	return true;
}

void runtime_start(struct runtime *rt)
{
	bool ended = false;
	char images[96];

	(void)snprintf(images, sizeof(images), "%s/root", rt->dir);
	bool first = access(images, F_OK) < 0;

	rt->pid = spawn(rt);
	assert_true(rt->pid > 0);
	if (!AWAIT(answers(rt) || (ended = waitpid(rt->pid, NULL, WNOHANG) != 0), READY_MS * NS_PER_MS) || ended) {
		char command[128];

		(void)snprintf(command, sizeof(command), "tail -5 %s/log", rt->dir);
		(void)!system(command);
		fail_msg("containerd does not come up");
	}
	if (!first)
		return;
	import(rt, PAUSE_IMAGE);
	import(rt, APP_IMAGE);
}

void runtime_stop(struct runtime *rt)
{
	if (rt->pid <= 0)
		return;
	(void)kill(rt->pid, SIGTERM);
	(void)waitpid(rt->pid, NULL, 0);
	rt->pid = 0;
}

static bool file_has(const char *path, const char *text)
{
	char content[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, content, sizeof(content));

	closep(&fd);
	return n > 0 && memmem(content, (size_t)n, text, strlen(text)) != NULL;
}

/* A shim of ours carries our socket in its arguments; a container's process our cgroup. */
static bool is_ours(const struct runtime *rt, int pid)
{
	char path[64], cgroups[48];

	(void)snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	if (file_has(path, rt->socket))
		return true;
	(void)snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	(void)snprintf(cgroups, sizeof(cgroups), "%s/", rt->cgroups);
	return file_has(path, cgroups);
}

/* How many there were. */
static int kill_ours(const struct runtime *rt)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int count = 0;

	assert_non_null(proc);
	while ((entry = readdir(proc)) != NULL) {
		int pid = atoi(entry->d_name);

		if (pid <= 0 || pid == getpid() || !is_ours(rt, pid))
			continue;
		(void)kill(pid, SIGKILL);
		count++;
	}
	(void)closedir(proc);
	return count;
}

static int remove_folder(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (flag == FTW_DP)
		(void)rmdir(path);
	return 0;
}

static void remove_cgroups(const struct runtime *rt)
{
	static const char root[] = "/sys/fs/cgroup";
	DIR *hierarchies = opendir(root);
	struct dirent *entry;
	char path[512];

	(void)snprintf(path, sizeof(path), "%s%s", root, rt->cgroups);
	(void)nftw(path, remove_folder, 16, FTW_DEPTH | FTW_PHYS);
	while (hierarchies && (entry = readdir(hierarchies)) != NULL) {
		(void)snprintf(path, sizeof(path), "%s/%s%s", root, entry->d_name, rt->cgroups);
		(void)nftw(path, remove_folder, 16, FTW_DEPTH | FTW_PHYS);
	}
	if (hierarchies)
		(void)closedir(hierarchies);
}

static int remove_any(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	(void)remove(path);
	return 0;
}

void runtime_done(struct runtime *rt)
{
	char command[160];

	runtime_stop(rt);
	(void)AWAIT(kill_ours(rt) == 0, 5 * NS_PER_SEC);
	remove_cgroups(rt);
	/* The mount namespace is ours: whatever is mounted below goes. */
	(void)snprintf(command, sizeof(command),
		       "awk '$5 ~ \"^%s/\" { print $5 }' /proc/self/mountinfo | sort -r | xargs -r umount -l", rt->dir);
	run_shell(command);
	(void)nftw(rt->dir, remove_any, 16, FTW_DEPTH | FTW_PHYS);
	(void)umount2("/run/containerd", MNT_DETACH);
	(void)rmdir("/run/containerd"); /* stays when it is somebody else's */
}

/* ---- pods ---- */

void kubelet_init(struct kubelet *k, const struct runtime *rt)
{
	struct err e = {0};

	k->rt = rt;
	if (rpc_client_new_local(rt->socket, 1 << 20, &k->client, &e) < 0)
		fail_msg("%s", e.text);
}

void kubelet_done(struct kubelet *k)
{
	rpc_client_free(k->client);
	k->client = NULL;
}

static uint8_t *put_text(uint8_t *p, uint32_t field, const char *text)
{
	return pb_bytes(p, field, bytes_of_text(text));
}

/* ret_id: the answer's first field; NULL: it has none. 0 or negative with the sentence. */
static int try_call(struct kubelet *k, const char *method, const uint8_t *request, const uint8_t *end,
		    char *ret_id, struct err *e)
{
	struct bytes reply = {0}, left;
	struct wire_field field = {0};
	int r = rpc_client_call(k->client, method, bytes_of(request, (size_t)(end - request)), CALL_MS, &reply,
				NULL, e);

	if (r < 0)
		return r;
	left = reply;
	if (ret_id) {
		assert_int_equal(wire_next_field(&left, &field), 1);
		assert_int_equal(field.data.len, 64);
		(void)snprintf(ret_id, 65, "%.64s", (const char *)field.data.data);
	}
	free((void *)(uintptr_t)reply.data);
	return 0;
}

static void call(struct kubelet *k, const char *method, const uint8_t *request, const uint8_t *end,
		 char *ret_id)
{
	struct err e = {0};

	if (try_call(k, method, request, end, ret_id, &e) < 0)
		fail_msg("%s: %s", method, e.text);
}

/* containerd may fail to stop what has just ended by itself, and a kubelet tries again. */
static void call_until_done(struct kubelet *k, const char *method, const uint8_t *request, const uint8_t *end)
{
	struct err e = {0};

	if (!AWAIT(try_call(k, method, request, end, NULL, &e) >= 0, CALL_MS * NS_PER_MS))
		fail_msg("%s: %s", method, e.text);
}

static uint8_t *put_label(uint8_t *p, uint32_t field, const char *key, const char *value)
{
	uint8_t *mark;

	p = pb_open(p, field, &mark);
	return pb_close(put_text(put_text(p, 1, key), 2, value), mark);
}

#define NETWORK_OF_NODE 2
#define PID_OF_CONTAINER 1

static uint8_t *put_namespaces(uint8_t *p, uint32_t field)
{
	uint8_t *mark;

	p = pb_open(p, field, &mark);
	return pb_close(pb_uint(pb_uint(p, 1, NETWORK_OF_NODE), 2, PID_OF_CONTAINER), mark);
}

static uint8_t *put_sandbox_config(uint8_t *p, uint32_t field, const struct kubelet *k, const struct pod *pod)
{
	uint8_t *config, *part, *security;
	char parent[96];

	(void)snprintf(parent, sizeof(parent), "%s/pod%s", k->rt->cgroups, pod->uid);
	p = pb_open(p, field, &config);
	p = pb_open(p, 1, &part);
	p = put_text(put_text(put_text(p, 1, pod->name), 2, pod->uid), 3, "shop");
	p = pb_close(p, part);
	p = put_label(p, 6, "app", pod->name);
	p = put_label(p, 6, "tier", "test");
	p = put_label(p, 6, "io.kubernetes.pod.name", pod->name);
	p = pb_open(p, 8, &part);
	p = put_text(p, 1, parent);
	p = pb_open(p, 2, &security);
	p = put_namespaces(p, 1);
	p = pb_uint(p, 6, pod->privileged);
	p = pb_close(p, security);
	p = pb_close(p, part);
	return pb_close(p, config);
}

void kubelet_run_pod(struct kubelet *k, const char *name, bool privileged, struct pod *ret_pod)
{
	static unsigned int number;
	uint8_t request[1024], *end;

	*ret_pod = (struct pod){.privileged = privileged};
	(void)snprintf(ret_pod->name, sizeof(ret_pod->name), "%s", name);
	(void)snprintf(ret_pod->uid, sizeof(ret_pod->uid), "%08x-0000-4000-8000-%012x", (unsigned int)getpid(), number++);
	end = put_sandbox_config(request, 1, k, ret_pod);
	call(k, SERVICE "RunPodSandbox", request, end, ret_pod->id);
}

static uint8_t *put_container_config(uint8_t *p, const struct pod *pod, const char *name, const char *command)
{
	uint8_t *config, *part, *security, *inner;

	p = pb_open(p, 2, &config);
	p = pb_open(p, 1, &part);
	p = pb_close(put_text(p, 1, name), part);
	p = pb_open(p, 2, &part);
	p = pb_close(put_text(p, 1, APP_IMAGE), part);
	p = put_text(put_text(put_text(p, 3, "/bin/sh"), 3, "-c"), 3, command);
	p = pb_open(p, 7, &part);
	p = put_text(put_text(p, 1, "/host/etc"), 2, "/etc");
	p = pb_close(pb_uint(p, 3, true), part);
	p = pb_open(p, 15, &part);
	p = pb_open(p, 2, &security);
	p = pb_open(p, 1, &inner);
	p = pb_close(put_text(p, 1, "NET_ADMIN"), inner);
	p = pb_uint(p, 2, pod->privileged);
	p = put_namespaces(p, 3);
	p = pb_close(p, security);
	p = pb_close(p, part);
	return pb_close(p, config);
}

void kubelet_start(struct kubelet *k, const struct pod *pod, const char *name, const char *command, char ret_id[65])
{
	uint8_t request[2048], *end = request;

	end = put_text(end, 1, pod->id);
	end = put_container_config(end, pod, name, command);
	end = put_sandbox_config(end, 3, k, pod);
	call(k, SERVICE "CreateContainer", request, end, ret_id);
	call(k, SERVICE "StartContainer", request, put_text(request, 1, ret_id), NULL);
}

void kubelet_remove_pod(struct kubelet *k, const struct pod *pod)
{
	uint8_t request[128];
	const uint8_t *end = put_text(request, 1, pod->id);

	call_until_done(k, SERVICE "StopPodSandbox", request, end);
	call_until_done(k, SERVICE "RemovePodSandbox", request, end);
}
