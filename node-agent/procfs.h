/* What /proc tells of a process: used for what is older than the agent and for what it missed. Every
 * function takes the folder, so that a test can make one. Reads are bounded by the caller's arrays;
 * a process that ended meanwhile is -ESRCH or -ENOENT. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/event.h"

#define PROCFS_PATH_SIZE 1024
#define PROCFS_AREA_SIZE 2048 /* as the kernel programs keep of arguments and of the environment */

struct procfs_image {
	uint32_t ppid;
	uint32_t session;
	uint32_t tty;
	uint32_t pgid;
	uint32_t vpid; /* 0 where the kernel does not say */
	uint32_t vpgid;
	struct namespaces namespaces;
	uint64_t start_ticks; /* since boot */
	struct creds creds;
	uint32_t loginuid;
	char comm[64];
	char exe_path[PROCFS_PATH_SIZE]; /* "" for kernel threads */
	struct file_info exe;		 /* without its path */
	uint32_t exe_flags;		 /* PROCESS_EXE_MEMFD; the others are not known */
	uint64_t exe_ctime_ns;
	uint64_t exe_mtime_ns;
	char cwd[PROCFS_PATH_SIZE];
	char args[PROCFS_AREA_SIZE];
	size_t args_len;
	char env[PROCFS_AREA_SIZE];
	size_t env_len;
	uint32_t truncated; /* PROCESS_*_TRUNCATED */
};

int procfs_read_image(const char *proc, uint32_t pid, struct procfs_image *ret_image) must_check;
/* Only start_ticks, args, env and what of them was truncated; the rest of *ret_image is left as it was. A
 * tenth of the cost: the agent's start reads every process while the rings fill. */
int procfs_read_areas(const char *proc, uint32_t pid, struct procfs_image *ret_image) must_check;

/* Clock ticks of a boot-clock time, as start_ticks counts. */
uint64_t procfs_ticks(uint64_t ns);

/* The number of a v1 controller's hierarchy; 0: none. */
uint32_t procfs_v1_hierarchy(const char *proc, const char *controller);
/* The path of a process's cgroup; hierarchy 0 is v2. */
int procfs_cgroup(const char *proc, uint32_t pid, uint32_t hierarchy, char *ret_path, size_t size) must_check;
