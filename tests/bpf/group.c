/* See group.h. */
#include "tests/bpf/group.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *group_root(void)
{
	return access("/sys/fs/cgroup/unified", F_OK) == 0 ? "/sys/fs/cgroup/unified" : "/sys/fs/cgroup";
}

int group_make(const char *name, struct group *ret_group)
{
	(void)snprintf(ret_group->folder, sizeof(ret_group->folder), "%s/nj%d-%s", group_root(), (int)getpid(), name);
	ret_group->path = ret_group->folder + strlen(group_root());
	return mkdir(ret_group->folder, 0755);
}

void group_remove(const struct group *group)
{
	(void)rmdir(group->folder);
}

int group_enter(const char *folder)
{
	char procs[512], pid[16];
	int len = snprintf(pid, sizeof(pid), "%d", (int)getpid()), fd;
	ssize_t written;

	(void)snprintf(procs, sizeof(procs), "%s/cgroup.procs", folder);
	fd = open(procs, O_WRONLY | O_CLOEXEC);
	written = fd < 0 ? -1 : write(fd, pid, (size_t)len);
	if (fd >= 0)
		(void)close(fd);
	return written == len ? 0 : -1;
}
