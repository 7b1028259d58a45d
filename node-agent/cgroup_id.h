/* Which container a cgroup path names, and on the host which service or session. Pure. Known shapes only: runtimes, CI systems and people put
 * long hexadecimal names into cgroups of their own, and those are the host's. */
#pragma once

#include <stdbool.h>

#include "common/bytes.h"

struct cgroup_id {
	char container_id[65]; /* 64 hex digits */
	char pod_uid[37];      /* "" outside Kubernetes */
};

/* path: below the hierarchy's root, as in /proc/PID/cgroup. False for the host's, *ret_id then
 * untouched. */
bool cgroup_id_parse(const char *path, struct cgroup_id *ret_id);

/* What a path that is no container's stands for: its innermost systemd unit (a service, a login session's
 * scope), else its innermost slice, else the path itself. Points into path. */
struct bytes cgroup_id_workload(const char *path);
