/* Credentials as they are after the call, and what a process does about its own rights. */
#include "tests/bpf/live.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/bpf/compat.h"

static struct live live;

static int become_others(void *arg)
{
	gid_t groups[] = {7, 8};

	(void)arg;
	if (setgroups(2, groups) < 0 || setresgid(11, 12, 13) < 0 || setreuid(21, 0) < 0 || setresuid(21, 22, 23) < 0)
		return 1;
	return setuid(0) == 0 || errno != EPERM;
}

static void each_call_tells_its_arguments_and_all_ids_afterwards(void **state)
{
	pid_t pid = live_run(&live, become_others, NULL);
	size_t from = 0;
	const struct seen *groups = live_expect(&live, EVENT_KIND_CRED, pid, &from);
	const struct seen *gids = live_expect(&live, EVENT_KIND_CRED, pid, &from);
	const struct seen *reuid = live_expect(&live, EVENT_KIND_CRED, pid, &from);
	const struct seen *uids = live_expect(&live, EVENT_KIND_CRED, pid, &from);
	const struct seen *failed = live_expect(&live, EVENT_KIND_CRED, pid, &from);

	(void)state;
	assert_string_equal(groups->call, "setgroups");
	assert_int_equal(groups->detail.arg_count, 2);
	assert_int_equal(groups->detail.args[0], 2);
	assert_int_equal(groups->detail.args[1], 0); /* an address */
	assert_string_equal(gids->call, "setresgid");
	assert_int_equal(gids->event.creds.gid, 11);
	assert_int_equal(gids->event.creds.egid, 12);
	assert_int_equal(gids->event.creds.sgid, 13);
	assert_int_equal(reuid->detail.arg_count, 2);
	assert_int_equal(uids->detail.args[2], 23);
	assert_int_equal(uids->event.creds.uid, 21);
	assert_int_equal(uids->event.creds.euid, 22);
	assert_int_equal(uids->event.creds.suid, 23);
	assert_int_equal(uids->event.creds.cap_effective, 0);
	assert_string_equal(failed->call, "setuid");
	assert_int_equal(failed->event.result, -EPERM);
	assert_int_equal(failed->event.creds.euid, 22);
}

static int inherit_a_capability(void *arg)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[2] = {{.effective = 1 << CAP_CHOWN | 1 << CAP_KILL,
						  .permitted = 1 << CAP_CHOWN | 1 << CAP_KILL,
						  .inheritable = 1 << CAP_CHOWN}};

	(void)arg;
	if (syscall(SYS_capset, &head, caps) < 0)
		return 1;
	caps[0].permitted |= 1 << CAP_SETUID;
	return syscall(SYS_capset, &head, caps) == 0 || errno != EPERM ||
	       prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0) < 0;
}

static void capabilities_are_told_and_those_that_outlive_an_exec(void **state)
{
	pid_t pid = live_run(&live, inherit_a_capability, NULL);
	size_t from = 0, prctl_from = 0;
	const struct seen *set = live_expect(&live, EVENT_KIND_CRED, pid, &from);
	const struct seen *failed = live_expect(&live, EVENT_KIND_CRED, pid, &from);
	const struct seen *raised = live_expect(&live, EVENT_KIND_PRCTL, pid, &prctl_from);

	(void)state;
	assert_string_equal(set->call, "capset");
	assert_int_equal(set->event.creds.cap_effective, 1 << CAP_CHOWN | 1 << CAP_KILL);
	assert_int_equal(set->event.creds.cap_inheritable, 1 << CAP_CHOWN);
	assert_int_equal(set->detail.args[0], 0);
	assert_int_equal(failed->event.result, -EPERM);
	assert_int_equal(raised->detail.args[0], PR_CAP_AMBIENT);
	assert_int_equal(raised->detail.args[1], PR_CAP_AMBIENT_RAISE);
	assert_int_equal(raised->detail.args[2], CAP_CHOWN);
}

static int change_oneself(void *arg)
{
	(void)arg;
	/* What only asks, or is of no interest. */
	if (prctl(PR_GET_DUMPABLE) < 0 || prctl(PR_SET_PDEATHSIG, 0) < 0 ||
	    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0) < 0)
		return 1;
	if (prctl(PR_SET_NAME, "a name of more than fifteen") < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_DUMPABLE, 0) < 0)
		return 2;
	return prctl(PR_SET_NAME, (char *)8) == 0 || errno != EFAULT;
}

static void a_new_name_is_told_and_what_gives_up_or_hides(void **state)
{
	pid_t pid = live_run(&live, change_oneself, NULL);
	size_t from = 0;
	const struct seen *name = live_expect(&live, EVENT_KIND_PRCTL, pid, &from);
	const struct seen *no_new = live_expect(&live, EVENT_KIND_PRCTL, pid, &from);
	const struct seen *dumpable = live_expect(&live, EVENT_KIND_PRCTL, pid, &from);
	const struct seen *failed = live_expect(&live, EVENT_KIND_PRCTL, pid, &from);

	(void)state;
	assert_int_equal(name->detail.args[0], PR_SET_NAME);
	assert_string_equal(name->text, "a name of more ");
	assert_int_equal(name->detail.args[1], 0);
	assert_int_equal(name->event.marks, 0); /* this is its name, nothing is missing */
	assert_int_equal(no_new->detail.args[0], PR_SET_NO_NEW_PRIVS);
	assert_int_equal(no_new->detail.args[1], 1);
	assert_int_equal(dumpable->detail.args[0], PR_SET_DUMPABLE);
	assert_int_equal(failed->event.result, -EFAULT);
	assert_int_equal(failed->event.marks, EVENT_MARK_UNREADABLE);
	assert_null(live_find(&live, EVENT_KIND_PRCTL, pid, &from));
}

/* What only asks is not told. */
static int confine_oneself(void *arg)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {1, &allow};
	uint32_t action = SECCOMP_RET_ALLOW;

	(void)arg;
	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0xffff, &program) == 0 || errno != EINVAL)
		return 1;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_LOG, &program) < 0 ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0;
}

static void both_ways_to_confine_oneself_are_told_alike(void **state)
{
	pid_t pid = live_run(&live, confine_oneself, NULL);
	size_t from = 0;
	const struct seen *refused = live_expect(&live, EVENT_KIND_PRCTL, pid, &from);
	const struct seen *filter = live_expect(&live, EVENT_KIND_PRCTL, pid, &from);
	const struct seen *older = live_expect(&live, EVENT_KIND_PRCTL, pid, &from);

	(void)state;
	assert_int_equal(live_count(&live, EVENT_KIND_PRCTL, pid), 3);
	assert_int_equal(refused->event.result, -EINVAL);
	assert_string_equal(filter->call, "seccomp");
	assert_int_equal(filter->detail.args[0], PR_SET_SECCOMP);
	assert_int_equal(filter->detail.args[1], SECCOMP_MODE_FILTER);
	assert_int_equal(filter->detail.args[3], SECCOMP_FILTER_FLAG_LOG);
	assert_string_equal(older->call, "prctl");
	assert_int_equal(older->detail.args[0], PR_SET_SECCOMP);
	assert_int_equal(older->detail.args[1], SECCOMP_MODE_FILTER);
}

#ifdef __x86_64__
/* setuid of i386 takes 16 bits, setuid32 all. */
static int become_another_by_32_bit_call(void *arg)
{
	(void)arg;
	return compat_call(213, 70000, 0, 0) < 0;
}

static void a_32_bit_call_is_marked(void **state)
{
	pid_t pid = live_run(&live, become_another_by_32_bit_call, NULL);
	size_t from = 0;
	const struct seen *s = live_expect(&live, EVENT_KIND_CRED, pid, &from);

	(void)state;
	assert_string_equal(s->call, "setuid32");
	assert_int_equal(s->event.marks, EVENT_MARK_COMPAT);
	assert_int_equal(s->event.creds.euid, 70000);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		LIVE_TEST(each_call_tells_its_arguments_and_all_ids_afterwards),
		LIVE_TEST(capabilities_are_told_and_those_that_outlive_an_exec),
		LIVE_TEST(a_new_name_is_told_and_what_gives_up_or_hides),
		LIVE_TEST(both_ways_to_confine_oneself_are_told_alike),
#ifdef __x86_64__
		LIVE_TEST(a_32_bit_call_is_marked),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
