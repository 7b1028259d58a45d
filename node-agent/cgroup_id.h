/* Which container a cgroup path names. Pure. Known shapes only: runtimes, CI systems and people put
 * long hexadecimal names into cgroups of their own, and those are the host's. */
#pragma once

#include <stdbool.h>

struct cgroup_id {
	char container_id[65]; /* 64 hex digits */
	char pod_uid[37];      /* "" outside Kubernetes */
};

/* path: below the hierarchy's root, as in /proc/PID/cgroup. False for the host's, *ret_id then
 * untouched. */
bool cgroup_id_parse(const char *path, struct cgroup_id *ret_id);
