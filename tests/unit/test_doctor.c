/* nightjar doctor: every fail line that can be provoked is provoked, with the sentence that says what to
 * do. The built command runs, in a mount namespace or without capabilities where that is the fault. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/tls.h"
#include "tests/unit/program.h"

static struct {
	char dir[64]; /* a CA, expired.pem, reader.pem */
	struct buf said;
} f = {.dir = "/tmp/nightjar-test-XXXXXX"};

static void issue(const char *name, int64_t not_after_s)
{
	const struct tls_request request = {.name = name,
					    .identity = {.role = TLS_ROLE_READER, .namespace = "nightjar"},
					    .not_before_s = -7200,
					    .not_after_s = not_after_s};
	struct err e = {0};

	if (tls_make_cert(f.dir, &request, &e) < 0)
		fail_msg("%s", e.text);
}

static int set_up(void **state)
{
	struct err e = {0};

	(void)state;
	assert_non_null(mkdtemp(f.dir));
	assert_int_equal(tls_make_ca(f.dir, "test", 1, &e), 0);
	issue("reader", 3600);
	issue("expired", -3600);
	return 0;
}

static int tear_down(void **state)
{
	char command[96];
	int r;

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", f.dir);
	r = program_shell(command, &f.said);
	buf_done(&f.said);
	return r;
}

/* Runs it behind a prefix of shell words; status 1, and one line has all of the three texts. */
static void fails(const char *prefix, const char *flags, const char *check, const char *sentence)
{
	char path[PATH_MAX], command[PATH_MAX + 512], *save = NULL;

	program_path("nightjar", path);
	(void)snprintf(command, sizeof(command), "%s '%s' doctor --run-dir /nowhere %s 2>&1", prefix, path, flags);
	if (program_shell(command, &f.said) != 1)
		fail_msg("not status 1: %s", buf_text(&f.said));
	for (char *line = strtok_r((char *)(uintptr_t)buf_text(&f.said), "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		if (strncmp(line, "fail", 4) == 0 && strstr(line, check) && strstr(line, sentence))
			return;
	fail_msg("no line 'fail %s … %s'", check, sentence);
}

static void skip_without_root(void)
{
	if (geteuid() == 0)
		return;
	printf("SKIP mounting and dropping capabilities need root\n");
	skip();
}

static void a_kernel_without_btf_fails(void **state)
{
	(void)state;
	skip_without_root();
	if (program_shell("unshare -m mount -t tmpfs none /sys/kernel/btf 2>&1", &f.said) != 0) {
		printf("SKIP nothing can be mounted over /sys/kernel/btf here\n");
		skip();
	}
	fails("unshare -m sh -c 'mount -t tmpfs none /sys/kernel/btf && exec \"$@\"' sh", "", "btf",
	      "/sys/kernel/btf/vmlinux: No such file or directory; a kernel built with CONFIG_DEBUG_INFO_BTF");
}

static void missing_capabilities_fail(void **state)
{
	(void)state;
	skip_without_root();
	fails("setpriv --bounding-set=-all --inh-caps=-all --ambient-caps=-all", "", "capabilities",
	      "CAP_BPF is missing; run the agent as root");
	fails("setpriv --bounding-set=-all,+bpf --inh-caps=-all --ambient-caps=-all", "", "capabilities",
	      "CAP_PERFMON is missing");
}

static void a_broker_that_does_not_answer_fails(void **state)
{
	(void)state;
	fails("", "--kafka 127.0.0.1:1", "kafka",
	      "127.0.0.1:1: Connection refused; is the broker up, is the port right?");
	fails("", "--kafka nothing", "kafka", "nothing");
}

static void an_expired_certificate_fails(void **state)
{
	char flags[256];

	(void)state;
	(void)snprintf(flags, sizeof(flags), "--ca %s/ca.pem --cert %s/expired.pem --key %s/expired-key.pem", f.dir,
		       f.dir, f.dir);
	fails("", flags, "certificates", "expired");
}

static void a_collector_that_does_not_answer_fails(void **state)
{
	char flags[256];

	(void)state;
	(void)snprintf(flags, sizeof(flags), "--ca %s/ca.pem --server 127.0.0.1:1", f.dir);
	fails("", flags, "collector", "127.0.0.1:1");
}

static void a_command_alone_fails(void **state)
{
	char path[PATH_MAX], command[PATH_MAX + 128];

	(void)state;
	program_path("nightjar", path);
	(void)snprintf(command, sizeof(command), "cp '%s' %s/nightjar && %s/nightjar doctor --run-dir /nowhere", path,
		       f.dir, f.dir);
	assert_int_equal(program_shell(command, &f.said), 1);
	assert_non_null(strstr(buf_text(&f.said), "nightjar-agent': No such file or directory; build or install it"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kernel_without_btf_fails),
		cmocka_unit_test(missing_capabilities_fail),
		cmocka_unit_test(a_broker_that_does_not_answer_fails),
		cmocka_unit_test(an_expired_certificate_fails),
		cmocka_unit_test(a_collector_that_does_not_answer_fails),
		cmocka_unit_test(a_command_alone_fails),
	};

	return cmocka_run_group_tests_name("doctor", tests, set_up, tear_down);
}
