/* Command lines as people and attackers write them: does the image read its commands from its
 * input? */
#include "tests/unit/unit.h"

#include <stdio.h>

#include "collector/detect/interpreter.h"

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_ARGS	  ((const char *const[]){NULL})

static struct image *image_inode(const char *exe, const char *const *args, uint64_t inode)
{
	struct bytes list[8];
	struct process_def def = {.exe = {.path = exe, .inode = inode, .device = inode ? 3 : 0},
				  .cwd = "/",
				  .comm = "",
				  .exe_raw = ""};
	struct image *image;

	while (args[def.arg_count]) {
		list[def.arg_count] = bytes_of_text(args[def.arg_count]);
		def.arg_count++;
	}
	def.args = list;
	image = image_new(&def);
	assert_non_null(image);
	return image;
}

static bool reads(const char *exe, const char *const *args)
{
	struct interpreter_files files = {0};
	struct image *image = image_inode(exe, args, 0);
	bool answer = interpreter_reads_stdin(&files, image);

	image_unref(image);
	return answer;
}

struct row {
	const char *exe;
	const char *const *args;
};

static void assert_all(const struct row *rows, size_t count, bool wanted)
{
	for (size_t i = 0; i < count; i++)
		if (reads(rows[i].exe, rows[i].args) != wanted)
			fail_msg("row %zu, %s", i, rows[i].exe);
}

static void nothing_reads_nothing(void **state)
{
	struct interpreter_files files = {0};

	(void)state;
	assert_false(interpreter_reads_stdin(&files, NULL));
	assert_false(interpreter_is(NULL));
	assert_false(interpreter_is_shell(NULL));
	assert_null(interpreter_script(NULL));
	assert_null(interpreter_applet(NULL));
}

static void programs_that_are_no_interpreter_are_none(void **state)
{
	const struct row rows[] = {
		{"/usr/bin/cat", ARGS("cat")},	       {"/usr/bin/shred", ARGS("sh")},
		{"/usr/bin/pythonic", ARGS("x")},      {"", NO_ARGS},
		{"/usr/bin/ssh", ARGS("ssh", "-s")},   {"/usr/bin/bash/", ARGS("bash")},
		{"/usr/bin/busybox", ARGS("cat")},     {"/usr/bin/busybox", ARGS("busybox", "nc")},
		{"/usr/bin/busybox", NO_ARGS},	       {"/usr/bin/3", ARGS("3")},
		{"/usr/bin/busybox", ARGS("busybox")},
	};

	(void)state;
	assert_all(rows, sizeof(rows) / sizeof(rows[0]), false);
}

static void a_program_or_a_script_is_read_instead(void **state)
{
	const struct row rows[] = {
		{"/bin/sh", ARGS("sh", "-c", "id")},
		{"/bin/bash", ARGS("bash", "-lic", "id")},
		{"/bin/bash", ARGS("bash", "job.sh", "-s")},
		{"/bin/bash", ARGS("bash", "-o", "pipefail", "job.sh")},
		{"/bin/bash", ARGS("bash", "-O", "extglob", "job.sh")},
		{"/bin/bash", ARGS("bash", "--rcfile", "rc", "job.sh")},
		{"/bin/bash", ARGS("bash", "--", "job.sh")},
		{"/usr/bin/python3.11", ARGS("python3", "-m", "http.server")},
		{"/usr/bin/python3.11", ARGS("python3", "-W", "ignore", "x.py")},
		{"/usr/bin/python3.11", ARGS("python3", "-uc", "pass")},
		{"/usr/bin/perl", ARGS("perl", "-e", "1")},
		{"/usr/bin/perl", ARGS("perl", "-I/lib", "x.pl")},
		{"/usr/bin/node", ARGS("node", "--eval=1")},
		{"/usr/bin/node", ARGS("node", "--require", "x", "y.js")},
		{"/usr/bin/php8.2", ARGS("php", "-r", "1;")},
		{"/usr/bin/pwsh", ARGS("pwsh", "-command", "ls")},
		{"/bin/busybox", ARGS("busybox", "sh", "-c", "id")},
		{"/bin/busybox", ARGS("sh", "/etc/rc")},
	};

	(void)state;
	assert_all(rows, sizeof(rows) / sizeof(rows[0]), false);
}

static void without_one_the_input_is_read(void **state)
{
	const struct row rows[] = {
		{"/bin/sh", NO_ARGS},
		{"/bin/sh", ARGS("")},
		{"/bin/sh", ARGS("[kworker/0:1]")},
		{"/bin/bash", ARGS("-bash")},
		{"/bin/bash", ARGS("bash", "-i")},
		{"/bin/bash", ARGS("bash", "--norc", "--noprofile", "-i")},
		{"/bin/bash", ARGS("bash", "-s", "job", "arguments")},
		{"/bin/bash", ARGS("bash", "-eo", "pipefail")},
		{"/bin/bash", ARGS("bash", "+o", "history")},
		{"/bin/bash", ARGS("bash", "--rcfile", "/dev/null")},
		{"/bin/dash", ARGS("sh", "-")},
		{"/bin/dash", ARGS("sh", "/dev/stdin")},
		{"/bin/dash", ARGS("sh", "--", "/proc/self/fd/0")},
		{"/usr/bin/python3.11", ARGS("python3", "-iu")},
		{"/usr/bin/python3.11", ARGS("python3", "-W", "ignore")},
		{"/usr/bin/perl", ARGS("perl", "-")},
		{"/usr/bin/lua5.4", ARGS("lua")},
		{"/usr/bin/php8.2", ARGS("php")},
		{"/usr/bin/tclsh8.6", ARGS("tclsh")},
		{"/usr/bin/zsh-5.9", ARGS("zsh")},
		{"/bin/busybox", ARGS("busybox", "sh", "-i")},
		{"/bin/busybox", ARGS("-ash")},
		{"/bin/busybox", ARGS("busybox", "busybox", "sh")},
	};

	(void)state;
	assert_all(rows, sizeof(rows) / sizeof(rows[0]), true);
}

static void a_file_that_was_seen_under_its_name_is_known_by_another(void **state)
{
	struct interpreter_files files = {0};
	struct image *hidden = image_inode("/tmp/.x", ARGS(".x", "-i"), 500);
	struct image *bash = image_inode("/bin/bash", ARGS("bash", "-c", "id"), 500);
	struct image *other = image_inode("/tmp/.y", ARGS(".y"), 501);

	(void)state;
	assert_false(interpreter_reads_stdin(&files, hidden));
	assert_false(interpreter_reads_stdin(&files, bash));
	assert_true(interpreter_reads_stdin(&files, hidden));
	assert_false(interpreter_reads_stdin(&files, other));
	image_unref(hidden);
	image_unref(bash);
	image_unref(other);
}

static void the_oldest_file_makes_room_and_is_counted(void **state)
{
	struct interpreter_files files = {0};
	struct image *hidden = image_inode("/tmp/.x", ARGS(".x"), 1);

	(void)state;
	for (uint64_t inode = 1; inode <= INTERPRETER_FILES; inode++) {
		struct image *bash = image_inode("/bin/bash", ARGS("bash"), inode);

		for (int again = 0; again < 2; again++)
			assert_true(interpreter_reads_stdin(&files, bash));
		image_unref(bash);
	}
	assert_int_equal(files.evicted, 0);
	assert_true(interpreter_reads_stdin(&files, hidden));
	for (uint64_t inode = 1001; inode <= 1003; inode++) {
		struct image *bash = image_inode("/bin/bash", ARGS("bash"), inode);

		assert_true(interpreter_reads_stdin(&files, bash));
		image_unref(bash);
	}
	assert_int_equal(files.evicted, 3);
	assert_false(interpreter_reads_stdin(&files, hidden));
	image_unref(hidden);
}

static void a_script_is_the_first_argument_that_is_no_option(void **state)
{
	static const struct {
		const char *exe;
		const char *args[6];
		const char *script;
	} rows[] = {
		{"/bin/sh", {"sh", "/e.sh", "x"}, "/e.sh"},
		{"/bin/bash", {"bash", "-e", "-o", "pipefail", "/e.sh"}, "/e.sh"},
		{"/usr/bin/python3.11", {"python3", "/usr/bin/aws"}, "/usr/bin/aws"},
		{"/bin/sh", {"sh", "-c", "/e.sh"}, NULL},
		{"/bin/sh", {"sh", "-s", "x"}, NULL},
		{"/bin/sh", {"sh"}, NULL},
		{"/bin/cat", {"cat", "/e.sh"}, NULL},
		{"/bin/busybox", {"sh", "/e.sh"}, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct image *image = image_inode(rows[i].exe, rows[i].args, 0);
		const char *script = interpreter_script(image);

		if (rows[i].script)
			assert_string_equal(script, rows[i].script);
		else
			assert_null(script);
		image_unref(image);
	}
}

static void shells_are_told_from_other_interpreters(void **state)
{
	static const char *const shells[] = {"/bin/sh",	  "/bin/bash",	  "/usr/bin/zsh-5.9",
					     "/bin/tcsh", "/bin/busybox", "/usr/bin/fish"};
	static const char *const others[] = {
		"/usr/bin/python3.11", "/usr/bin/perl",	  "/bin/cat",
		"/usr/bin/node",       "/usr/bin/expect", "/usr/bin/php8.2"};

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		struct image *shell = image_inode(shells[i], ARGS("x"), 0);
		struct image *other = image_inode(others[i], ARGS("x"), 0);

		assert_true(interpreter_is_shell(shell));
		assert_false(interpreter_is_shell(other));
		image_unref(shell);
		image_unref(other);
	}
}

static void an_applet_is_what_busybox_was_called(void **state)
{
	static const struct {
		const char *exe;
		const char *args[4];
		const char *applet;
	} rows[] = {
		{"/bin/busybox", {"login"}, "login"},
		{"/bin/busybox", {"/bin/login", "-f"}, "login"},
		{"/bin/busybox", {"-sh"}, "sh"},
		{"/bin/busybox", {"busybox", "cat", "x"}, "cat"},
		{"/bin/busybox", {"busybox"}, NULL},
		{"/bin/bash", {"busybox", "sh"}, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct image *image = image_inode(rows[i].exe, rows[i].args, 0);
		const char *applet = interpreter_applet(image);

		if (rows[i].applet)
			assert_string_equal(applet, rows[i].applet);
		else
			assert_null(applet);
		image_unref(image);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_reads_nothing),
		cmocka_unit_test(programs_that_are_no_interpreter_are_none),
		cmocka_unit_test(a_program_or_a_script_is_read_instead),
		cmocka_unit_test(without_one_the_input_is_read),
		cmocka_unit_test(a_file_that_was_seen_under_its_name_is_known_by_another),
		cmocka_unit_test(the_oldest_file_makes_room_and_is_counted),
		cmocka_unit_test(a_script_is_the_first_argument_that_is_no_option),
		cmocka_unit_test(shells_are_told_from_other_interpreters),
		cmocka_unit_test(an_applet_is_what_busybox_was_called),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
