/* Small bounded reads of /proc/PID/… . Nothing here is on a hot path. */
#include "node-agent/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/clock.h"

#define SMALL_FILE 4096

static int open_of(const char *proc, uint32_t pid, const char *name)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%u/%s", proc, pid, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Reads at most size bytes. Returns how many, or negative errno. */
static ssize_t read_of(const char *proc, uint32_t pid, const char *name, char *ret_data, size_t size)
{
	_cleanup_(closep) int fd = open_of(proc, pid, name);
	size_t len = 0;

	if (fd < 0)
		return -errno;
	while (len < size) {
		ssize_t n = read(fd, ret_data + len, size - len);

		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

/* The same as a terminated text. */
static int text_of(const char *proc, uint32_t pid, const char *name, char *ret_text, size_t size)
{
	ssize_t len = read_of(proc, pid, name, ret_text, size - 1);

	if (len < 0)
		return (int)len;
	ret_text[len] = '\0';
	return 0;
}

static void link_of(const char *proc, uint32_t pid, const char *name, char *ret_path, size_t size)
{
	char path[256];
	ssize_t len;

	(void)snprintf(path, sizeof(path), "%s/%u/%s", proc, pid, name);
	len = readlink(path, ret_path, size - 1);
	ret_path[len > 0 ? len : 0] = '\0';
}

/* PID (COMM) STATE PPID PGRP SESSION TTY … STARTTIME; COMM may hold anything, so the last ')'. */
static int parse_stat(const char *text, struct procfs_image *image)
{
	const char *open = strchr(text, '('), *close = strrchr(text, ')');
	unsigned long long start;
	unsigned int ppid, pgid, session, tty;

	if (!open || !close || close < open)
		return -EBADMSG;
	(void)snprintf(image->comm, sizeof(image->comm), "%.*s", (int)(close - open - 1), open + 1);
	if (sscanf(close + 1,
		   " %*c %u %u %u %u %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
		   &ppid, &pgid, &session, &tty, &start) != 5)
		return -EBADMSG;
	image->ppid = ppid;
	image->pgid = pgid;
	image->session = session;
	image->tty = tty;
	image->start_ticks = start;
	return 0;
}

static uint64_t hex_line(const char *status, const char *name)
{
	const char *at = strstr(status, name);

	return at ? strtoull(at + strlen(name), NULL, 16) : 0;
}

/* The last number of a line: a process has one in each pid namespace, its own comes last. */
static uint32_t last_number(const char *status, const char *name)
{
	const char *at = strstr(status, name), *end;
	uint32_t number = 0;

	if (!at)
		return 0;
	at += strlen(name);
	end = at + strcspn(at, "\n");
	while (at < end) {
		char *next;

		number = (uint32_t)strtoul(at, &next, 10);
		at = next > at ? next : end;
		at += strspn(at, "\t ");
	}
	return number;
}

static void parse_status(const char *status, struct creds *creds)
{
	const char *uid = strstr(status, "\nUid:"), *gid = strstr(status, "\nGid:");

	if (uid)
		(void)sscanf(uid, "\nUid: %u %u %u", &creds->uid, &creds->euid, &creds->suid);
	if (gid)
		(void)sscanf(gid, "\nGid: %u %u %u", &creds->gid, &creds->egid, &creds->sgid);
	creds->cap_effective = hex_line(status, "\nCapEff:");
	creds->cap_permitted = hex_line(status, "\nCapPrm:");
	creds->cap_inheritable = hex_line(status, "\nCapInh:");
}

static uint32_t namespace_of(const char *proc, uint32_t pid, const char *name)
{
	char text[64];
	const char *at;

	link_of(proc, pid, name, text, sizeof(text));
	at = strchr(text, '[');
	return at ? (uint32_t)strtoul(at + 1, NULL, 10) : 0;
}

static void read_namespaces(const char *proc, uint32_t pid, struct namespaces *ret_ns)
{
	*ret_ns = (struct namespaces){
		.mnt = namespace_of(proc, pid, "ns/mnt"),
		.pid = namespace_of(proc, pid, "ns/pid_for_children"),
		.net = namespace_of(proc, pid, "ns/net"),
		.user = namespace_of(proc, pid, "ns/user"),
		.uts = namespace_of(proc, pid, "ns/uts"),
		.ipc = namespace_of(proc, pid, "ns/ipc"),
		.cgroup = namespace_of(proc, pid, "ns/cgroup"),
		.time = namespace_of(proc, pid, "ns/time"),
	};
}

static uint64_t ns_of(struct timespec time)
{
	return (uint64_t)time.tv_sec * NS_PER_SEC + (uint64_t)time.tv_nsec;
}

/* The exe link also opens when its path is gone. */
static void read_exe(const char *proc, uint32_t pid, struct procfs_image *image)
{
	char path[256];
	struct stat st;

	link_of(proc, pid, "exe", image->exe_path, sizeof(image->exe_path));
	(void)snprintf(path, sizeof(path), "%s/%u/exe", proc, pid);
	if (stat(path, &st) < 0)
		return;
	image->exe.inode = st.st_ino;
	image->exe.device = st.st_dev;
	image->exe.mode = st.st_mode;
	image->exe.uid = st.st_uid;
	image->exe.nlink = (uint32_t)st.st_nlink;
	image->exe_ctime_ns = ns_of(st.st_ctim);
	image->exe_mtime_ns = ns_of(st.st_mtim);
	if (st.st_nlink == 0 && strncmp(image->exe_path, "/memfd:", 7) == 0)
		image->exe_flags |= PROCESS_EXE_MEMFD;
}

static void read_areas(const char *proc, uint32_t pid, struct procfs_image *image)
{
	ssize_t args = read_of(proc, pid, "cmdline", image->args, sizeof(image->args));
	ssize_t env = read_of(proc, pid, "environ", image->env, sizeof(image->env));

	image->args_len = args > 0 ? (size_t)args : 0;
	image->env_len = env > 0 ? (size_t)env : 0;
	if (image->args_len == sizeof(image->args))
		image->truncated |= PROCESS_ARGS_TRUNCATED;
	if (image->env_len == sizeof(image->env))
		image->truncated |= PROCESS_ENV_TRUNCATED;
}

int procfs_read_image(const char *proc, uint32_t pid, struct procfs_image *ret_image)
{
	char text[SMALL_FILE];
	int r;

	memset(ret_image, 0, sizeof(*ret_image));
	r = text_of(proc, pid, "stat", text, sizeof(text));
	if (r == 0)
		r = parse_stat(text, ret_image);
	if (r < 0)
		return r;
	if (text_of(proc, pid, "status", text, sizeof(text)) == 0) {
		parse_status(text, &ret_image->creds);
		ret_image->vpid = last_number(text, "\nNStgid:");
		ret_image->vpgid = last_number(text, "\nNSpgid:");
	}
	read_namespaces(proc, pid, &ret_image->namespaces);
	ret_image->loginuid = LOGINUID_NONE;
	if (text_of(proc, pid, "loginuid", text, sizeof(text)) == 0)
		ret_image->loginuid = (uint32_t)strtoul(text, NULL, 10);
	read_exe(proc, pid, ret_image);
	link_of(proc, pid, "cwd", ret_image->cwd, sizeof(ret_image->cwd));
	read_areas(proc, pid, ret_image);
	return 0;
}

int procfs_read_areas(const char *proc, uint32_t pid, struct procfs_image *ret_image)
{
	char text[SMALL_FILE];
	int r = text_of(proc, pid, "stat", text, sizeof(text));

	if (r == 0)
		r = parse_stat(text, ret_image);
	if (r < 0)
		return r;
	ret_image->truncated = 0;
	read_areas(proc, pid, ret_image);
	return 0;
}

uint64_t procfs_ticks(uint64_t ns)
{
	return ns / (NS_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK));
}

uint32_t procfs_v1_hierarchy(const char *proc, const char *controller)
{
	_cleanup_(fclosep) FILE *file = NULL;
	char path[256], line[256], name[128];
	unsigned int hierarchy;

	(void)snprintf(path, sizeof(path), "%s/cgroups", proc);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "%127s %u", name, &hierarchy) == 2 && strcmp(name, controller) == 0)
			return hierarchy;
	return 0;
}

int procfs_cgroup(const char *proc, uint32_t pid, uint32_t hierarchy, char *ret_path, size_t size)
{
	char text[SMALL_FILE * 2];
	char *line, *rest = NULL;
	int r = text_of(proc, pid, "cgroup", text, sizeof(text));

	if (r < 0)
		return r;
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *end, *path;

		if (strtoul(line, &end, 10) != hierarchy || *end != ':')
			continue;
		path = strchr(end + 1, ':');
		if (!path || strlen(path + 1) >= size)
			return -EBADMSG;
		memcpy(ret_path, path + 1, strlen(path + 1) + 1);
		return 0;
	}
	return -ENOENT;
}
