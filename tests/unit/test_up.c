/* tools/up where it cannot work: one sentence and exit status 2 before anything is changed. tools/step
 * keeps the status of what it runs. */
#include "tests/unit/unit.h"

#include <stdlib.h>

#include "tests/unit/program.h"

static struct buf output;

/* tools/up on a system that calls itself so; it never gets as far as make. */
static int up_on(const char *os_release)
{
	char command[512];

	(void)snprintf(command, sizeof(command),
		       "f=$(mktemp) && printf '%s' > $f && NIGHTJAR_OS_RELEASE=$f PATH=$PATH tools/up 2>&1 </dev/null; "
		       "r=$?; rm -f $f; exit $r",
		       os_release);
	return program_shell(command, &output);
}

static void a_system_that_is_not_supported_is_refused(void **state)
{
	static const char *const systems[] = {
		"ID=fedora\nVERSION_ID=40\n",
		"ID=debian\nVERSION_ID=11\n",
		"ID=ubuntu\nVERSION_ID=22.04\n",
		"",
	};

	(void)state;
	if (geteuid() != 0) {
		print_message("SKIP tools/up asks for root first\n");
		skip();
	}
	for (size_t i = 0; i < sizeof(systems) / sizeof(*systems); i++) {
		assert_int_equal(up_on(systems[i]), 2);
		assert_string_equal(buf_text(&output), "tools/up: this system is not supported: Debian 12 or newer or "
						       "Ubuntu 24.04 is needed\n");
	}
}

static void without_root_it_says_so(void **state)
{
	int r;

	(void)state;
	r = program_shell("setpriv --reuid=65534 --clear-groups sh tools/up 2>&1 </dev/null", &output);
	if (r == 126 || r == 127 || strstr(buf_text(&output), "ermission denied")) {
		print_message("SKIP the tree cannot be read by another user here\n");
		skip();
	}
	assert_int_equal(r, 2);
	assert_string_equal(buf_text(&output),
			    "tools/up: run it as root: it installs packages and loads BPF programs\n");
}

static void a_step_says_what_failed_and_keeps_its_status(void **state)
{
	(void)state;
	assert_int_equal(program_shell("tools/step build sh -c 'exit 7' 2>&1", &output), 7);
	assert_non_null(strstr(buf_text(&output), "== build\n== build: failed after "));
	assert_int_equal(program_shell("tools/step build true 2>&1", &output), 0);
	assert_non_null(strstr(buf_text(&output), "== build: "));
}

static int tear_down(void **state)
{
	(void)state;
	buf_done(&output);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_system_that_is_not_supported_is_refused),
		cmocka_unit_test(without_root_it_says_so),
		cmocka_unit_test(a_step_says_what_failed_and_keeps_its_status),
	};

	return cmocka_run_group_tests(tests, NULL, tear_down);
}
