/* Capabilities through the system call itself; see privilege.h. Measured on 6.18: attaching loaded
 * programs and changing maps goes on working with none at all, older kernels ask for CAP_BPF. */
#include "node-agent/privilege.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const unsigned int wanted[] = {CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH};

static uint64_t wanted_mask(void)
{
	uint64_t mask = 0;

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		mask |= 1ULL << wanted[i];
	return mask;
}

/* Without CAP_SETPCAP the set stays as it is, and then it cannot be used either: nothing is executed
 * with new privileges. */
static void shrink_bounding_set(uint64_t keep)
{
	for (unsigned int cap = 0; cap <= 63; cap++)
		if (!(keep & 1ULL << cap))
			(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
}

int privilege_drop(struct err *e)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[2] = {0};
	uint64_t keep = wanted_mask();

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(e, -errno, "cannot forbid new privileges: %s", strerror(errno));
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	shrink_bounding_set(keep);
	if (syscall(SYS_capget, &head, caps) < 0)
		return err_set(e, -errno, "cannot read our capabilities: %s", strerror(errno));
	for (int i = 0; i < 2; i++) {
		uint32_t mask = (uint32_t)(keep >> (32 * i));

		caps[i].permitted &= mask;
		caps[i].effective = caps[i].permitted;
		caps[i].inheritable = 0;
	}
	if (syscall(SYS_capset, &head, caps) < 0)
		return err_set(e, -errno, "cannot drop capabilities: %s", strerror(errno));
	return 0;
}
