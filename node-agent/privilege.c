/* Capabilities by libcap, system calls by libseccomp; see privilege.h. Measured on 6.18: attaching loaded
 * programs and changing maps goes on working with no capability at all, older kernels ask for CAP_BPF.
 *
 * The filter lists what is refused, not what is allowed: libraries below us take new calls with every
 * release, and a refused one would be an agent that falls silent. */
#include "node-agent/privilege.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>

#include "common/cleanup.h"

/* LeakSanitizer traces us, from a process of its own, when we end. */
#ifdef __SANITIZE_ADDRESS__
#define FILTERS_CALLS false
#else
#define FILTERS_CALLS true
#endif

static const cap_value_t wanted[] = {CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH};
#define WANTED (sizeof(wanted) / sizeof(wanted[0]))

static const int refused[] = {
	SCMP_SYS(execve),	    SCMP_SYS(execveat),		SCMP_SYS(fork),
	SCMP_SYS(vfork),	    SCMP_SYS(ptrace),		SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev), SCMP_SYS(pidfd_getfd),	SCMP_SYS(kcmp),
	SCMP_SYS(mount),	    SCMP_SYS(umount2),		SCMP_SYS(move_mount),
	SCMP_SYS(open_tree),	    SCMP_SYS(fsopen),		SCMP_SYS(fsmount),
	SCMP_SYS(mount_setattr),    SCMP_SYS(pivot_root),	SCMP_SYS(chroot),
	SCMP_SYS(setns),	    SCMP_SYS(unshare),		SCMP_SYS(init_module),
	SCMP_SYS(finit_module),	    SCMP_SYS(delete_module),	SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load),  SCMP_SYS(keyctl),		SCMP_SYS(add_key),
	SCMP_SYS(request_key),	    SCMP_SYS(userfaultfd),	SCMP_SYS(io_uring_setup),
	SCMP_SYS(memfd_create),	    SCMP_SYS(open_by_handle_at), SCMP_SYS(mknodat),
	SCMP_SYS(reboot),	    SCMP_SYS(swapon),		SCMP_SYS(swapoff),
	SCMP_SYS(settimeofday),	    SCMP_SYS(clock_settime),	SCMP_SYS(setuid),
	SCMP_SYS(setresuid),	    SCMP_SYS(setreuid),
};

static void cap_freep(cap_t *caps)
{
	if (*caps)
		(void)cap_free(*caps);
}

static void filter_freep(scmp_filter_ctx *filter)
{
	if (*filter)
		seccomp_release(*filter);
}

static bool is_wanted(cap_value_t cap)
{
	for (size_t i = 0; i < WANTED; i++)
		if (wanted[i] == cap)
			return true;
	return false;
}

/* Without CAP_SETPCAP the set stays as it is, and then it cannot be used either: nothing is executed
 * with new privileges. */
static void shrink_bounding_set(void)
{
	for (cap_value_t cap = 0; cap < cap_max_bits(); cap++)
		if (!is_wanted(cap))
			(void)cap_drop_bound(cap);
}

/* Of the wanted ones those that we have. */
static int drop_capabilities(void)
{
	_cleanup_(cap_freep) cap_t now = cap_get_proc();
	_cleanup_(cap_freep) cap_t kept = cap_init();

	if (!now || !kept)
		return -ENOMEM;
	(void)cap_reset_ambient();
	shrink_bounding_set();
	for (size_t i = 0; i < WANTED; i++) {
		cap_flag_value_t have = CAP_CLEAR;

		if (cap_get_flag(now, wanted[i], CAP_PERMITTED, &have) < 0 || have != CAP_SET)
			continue;
		if (cap_set_flag(kept, CAP_PERMITTED, 1, &wanted[i], CAP_SET) < 0 ||
		    cap_set_flag(kept, CAP_EFFECTIVE, 1, &wanted[i], CAP_SET) < 0)
			return -errno;
	}
	return cap_set_proc(kept) < 0 ? -errno : 0;
}

/* A thread is a clone of which we can see that it is one; clone3 hides its flags behind a pointer, and
 * the C library falls back when the kernel does not have it. */
static int refuse_processes(scmp_filter_ctx filter)
{
	int r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);

	return r < 0 ? r : seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
					    SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
}

static int filter_calls(void)
{
	_cleanup_(filter_freep) scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int r = filter ? refuse_processes(filter) : -ENOMEM;

	for (size_t i = 0; r == 0 && i < sizeof(refused) / sizeof(refused[0]); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
	return r < 0 ? r : seccomp_load(filter);
}

int privilege_drop(struct err *e)
{
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(e, -errno, "cannot forbid new privileges: %s", strerror(errno));
	r = drop_capabilities();
	if (r < 0)
		return err_set(e, r, "cannot drop capabilities: %s", strerror(-r));
	r = FILTERS_CALLS ? filter_calls() : 0;
	if (r < 0)
		return err_set(e, r, "cannot refuse ourselves system calls: %s", strerror(-r));
	return 0;
}
