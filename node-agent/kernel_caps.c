/* Asks for each need in the order in which a person would have to mend it: types, permission. */
#include "node-agent/kernel_caps.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/cleanup.h"

#define BTF_PATH      "/sys/kernel/btf/vmlinux"
#define LOCKDOWN_PATH "/sys/kernel/security/lockdown"
#define OLDEST_MAJOR  5
#define OLDEST_MINOR  15

/* Before 5.11 maps were charged to this limit. Where it may not be raised, loading mostly works all
 * the same, so a refusal is no failure. */
static void raise_memlock(void)
{
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};

	(void)setrlimit(RLIMIT_MEMLOCK, &unlimited);
}

static void read_lockdown(char ret_text[static 64])
{
	_cleanup_(fclosep) FILE *file = fopen(LOCKDOWN_PATH, "re");

	if (!file || !fgets(ret_text, 64, file))
		ret_text[0] = '\0';
}

void kernel_caps_obstacle(const char *release, const char *lockdown, char ret_obstacle[static 160])
{
	int major = 0, minor = 0;

	ret_obstacle[0] = '\0';
	if (sscanf(release, "%d.%d", &major, &minor) == 2 &&
	    (major < OLDEST_MAJOR || (major == OLDEST_MAJOR && minor < OLDEST_MINOR)))
		(void)snprintf(ret_obstacle, 160, "kernel %.40s is older than %d.%d", release, OLDEST_MAJOR,
			       OLDEST_MINOR);
	else if (strstr(lockdown, "[confidentiality]"))
		(void)snprintf(ret_obstacle, 160,
			       "the kernel is locked down, and BPF may not read its memory: boot it with "
			       "lockdown=integrity or without");
}

int kernel_caps_read(const char *btf_path, struct kernel_caps *ret_caps, struct err *e)
{
	const char *path = btf_path ? btf_path : BTF_PATH;
	struct kernel_caps caps = {0};
	char lockdown[64];
	struct utsname name;
	int r;

	if (uname(&name) == 0)
		(void)snprintf(caps.release, sizeof(caps.release), "%s", name.release);
	read_lockdown(lockdown);
	kernel_caps_obstacle(caps.release, lockdown, caps.obstacle);
	if (access(path, R_OK) < 0)
		return err_set(e, -ENOTSUP,
			       "kernel %s has no type information at %s: run a kernel of at least 5.15 that is "
			       "built with CONFIG_DEBUG_INFO_BTF=y (Debian 12, Ubuntu 22.04 and later are)",
			       caps.release, path);
	caps.btf = true;
	raise_memlock();
	r = libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_RAW_TRACEPOINT, NULL);
	if (r == -EPERM || (r == 0 && geteuid() != 0))
		return err_set(e, -EPERM,
			       "may not load BPF programs: run as root, or give CAP_BPF, CAP_PERFMON and "
			       "CAP_SYS_PTRACE to the agent");
	caps.tracing = r == 1;
	if (!caps.tracing)
		return err_set(e, -EPERM,
			       "kernel %s refuses BPF tracing programs: check the agent's capabilities "
			       "(CAP_BPF, CAP_PERFMON), kernel lockdown and seccomp filters",
			       caps.release);
	*ret_caps = caps;
	return 0;
}
