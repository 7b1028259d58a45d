/* The helpers of the kernel side, run by BPF_PROG_TEST_RUN: nothing is attached. */
#include "tests/unit/unit.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpf/abi.h"

#include <nightjar.skel.h>

#define PATH_CUT      (1 << 16)
#define ENDPOINTS_CUT (1 << 16)

static struct nightjar_bpf *skel;

static int run(const struct bpf_program *program)
{
	LIBBPF_OPTS(bpf_test_run_opts, options);

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(program), &options), 0);
	return (int)options.retval;
}

static void the_kernel_says_who_we_are(void **state)
{
	(void)state;
	skel->bss->settings.own_tgid = 0;
	(void)run(skel->progs.selftest_own);
	assert_true(skel->bss->settings.own_tgid != 0);
}

static void a_path_has_the_length_that_getcwd_gives(void **state)
{
	char cwd[1024];

	(void)state;
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(run(skel->progs.selftest_path), 2);
	assert_int_equal(chdir("/usr/share"), 0);
	assert_int_equal(run(skel->progs.selftest_path), sizeof("/usr/share"));
	/* Across a mount. */
	assert_int_equal(chdir("/proc/self/fd"), 0);
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	assert_int_equal(run(skel->progs.selftest_path), strlen(cwd) + 1);
	assert_int_equal(chdir("/"), 0);
}

/* A path of 80 components is past the walk's 64 steps. */
static void a_path_that_is_too_deep_is_marked(void **state)
{
	char top[] = "/tmp/nj-deep-XXXXXX", clean[64];

	(void)state;
	assert_non_null(mkdtemp(top));
	assert_int_equal(chdir(top), 0);
	for (int i = 0; i < 80; i++) {
		assert_int_equal(mkdir("d", 0700), 0);
		assert_int_equal(chdir("d"), 0);
	}
	assert_true(run(skel->progs.selftest_path) & PATH_CUT);
	assert_int_equal(chdir("/"), 0);
	(void)snprintf(clean, sizeof(clean), "rm -r %s", top);
	assert_int_equal(system(clean), 0);
}

static void endpoints_are_counted_and_too_many_are_marked(void **state)
{
	int before = run(skel->progs.selftest_endpoints);
	int pairs[12][2];

	(void)state;
	assert_true(before >= 0 && before < 10);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[0]), 0);
	assert_int_equal(run(skel->progs.selftest_endpoints), before + 2);
	for (int i = 1; i < 12; i++)
		assert_int_equal(pipe(pairs[i]), 0);
	assert_int_equal(run(skel->progs.selftest_endpoints), NJ_ENDPOINTS_MAX | ENDPOINTS_CUT);
	for (int i = 0; i < 12; i++) {
		(void)close(pairs[i][0]);
		(void)close(pairs[i][1]);
	}
	assert_int_equal(run(skel->progs.selftest_endpoints), before);
}

static int load(void **state)
{
	struct bpf_program *program;
	int r;

	(void)state;
	skel = nightjar_bpf__open();
	if (!skel)
		return -1;
	bpf_object__for_each_program(program, skel->obj)
		(void)bpf_program__set_autoload(program, strncmp(bpf_program__name(program), "selftest_", 9) == 0);
	r = nightjar_bpf__load(skel);
	if (r == -EPERM) {
		printf("SKIP may not load BPF programs\n");
		exit(77);
	}
	return r;
}

static int unload(void **state)
{
	(void)state;
	nightjar_bpf__destroy(skel);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_kernel_says_who_we_are),
		cmocka_unit_test(a_path_has_the_length_that_getcwd_gives),
		cmocka_unit_test(a_path_that_is_too_deep_is_marked),
		cmocka_unit_test(endpoints_are_counted_and_too_many_are_marked),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
