/* The commands as people type them: found by their words, refused with a sentence, and help, list and
 * completion all come from the same rows. Runs the built program for what main does. */
#include "tests/unit/unit.h"

#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/program.h"
#include "tools/nightjar/command.h"
#include "tools/nightjar/connect.h"
#include "tools/nightjar/run_file.h"

static struct buf output;

/* Runs nightjar with these words; its exit status, and what it said in output. */
static int nightjar(const char *words)
{
	return program_run("nightjar", words, &output);
}

static void said(const char *text)
{
	if (!strstr(buf_text(&output), text))
		fail_msg("'%s' is not in: %s", text, buf_text(&output));
}

static void bad_usage_is_status_2_and_a_sentence(void **state)
{
	static const struct {
		const char *words, *sentence;
	} cases[] = {
		{"", "Usage: nightjar COMMAND"},
		{"bogus", "nightjar: unknown command 'bogus'; nightjar --help lists them\n"},
		{"alerts bogus", "nightjar alerts: unknown command 'bogus'; nightjar alerts --help lists them\n"},
		{"dev stray", "nightjar dev: unexpected argument 'stray'; usage: nightjar dev\n"},
		{"dev --jsn", "nightjar dev: unknown flag '--jsn', did you mean '--json'?\n"},
		{"dev --duration soon", "nightjar dev: flag --duration: found 'soon', allowed: a whole number\n"},
		{"dev --check-config", "nightjar dev: unknown flag '--check-config'"},
		{"alerts get", "nightjar alerts get: an argument is missing; usage: nightjar alerts get ID\n"},
		{"alerts get a b", "unexpected argument 'b'"},
		{"alerts list --output xml", "found 'xml', allowed: one of table, json\n"},
		{"alerts list --limit 0", "found '0', allowed: a whole number, 1 to 1000000\n"},
		{"certs issue", "an argument is missing; usage: nightjar certs issue NAME\n"},
		{"certs issue x --role collector", "--hosts is missing: the names and addresses by which"},
		{"certs issue x --role king", "allowed: one of agent, collector, reader, operator, upstream\n"},
		{"replay", "an argument is missing"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(nightjar(cases[i].words), 2);
		said(cases[i].sentence);
	}
}

static void a_collector_that_is_not_there_is_status_1_and_a_sentence(void **state)
{
	(void)state;
	assert_int_equal(nightjar("alerts list --run-dir /nowhere"), 1);
	said("nightjar alerts list: no nightjar dev runs on this host and '/etc/nightjar/ca.pem' is not there: "
	     "name a collector with --server, --ca, --cert and --key\n");
	assert_int_equal(nightjar("nodes --server 127.0.0.1:1 --ca /nowhere/ca.pem"), 1);
	said("nightjar nodes: cannot read the CA '/nowhere/ca.pem': No such file or directory\n");
}

static void help_and_version_are_status_0(void **state)
{
	(void)state;
	assert_int_equal(nightjar("--version"), 0);
	said("nightjar 0.");
	assert_int_equal(nightjar("alerts"), 0);
	said("  alerts watch ");
	assert_null(strstr(buf_text(&output), "  dev "));
	assert_int_equal(nightjar("dev --nonsense --help"), 0);
	said("Usage: nightjar dev [FLAG VALUE]...\n");
}

static void every_command_has_help_that_fits_and_a_line_in_the_list(void **state)
{
	_cleanup_buf_ struct buf list = {0}, help = {0};

	(void)state;
	command_help("", &list);
	for (const struct command *const *c = command_all(); *c; c++) {
		char line[128];
		const char *end;

		(void)snprintf(line, sizeof(line), "\n  %-16s  %s\n", (*c)->words, (*c)->table->summary);
		assert_non_null(strstr(buf_text(&list), line));
		assert_true((*c)->table->command);
		buf_clear(&help);
		optable_help((*c)->table, &help);
		for (const char *text = buf_text(&help); *text; text = end + 1) {
			end = strchr(text, '\n');
			assert_non_null(end);
			assert_true(end - text <= 80);
		}
	}
}

static void defaults_of_every_command_are_good_values(void **state)
{
	char *argv[] = {(char *)"x", NULL};

	(void)state;
	for (const struct command *const *c = command_all(); *c; c++) {
		void *settings = calloc(1, (*c)->settings_size + 1);
		struct err e = {0};

		assert_non_null(settings);
		if (optable_load((*c)->table, settings, 1, argv, NULL, NULL, &e) != OPT_RUN)
			fail_msg("%s: %s", (*c)->words, e.text);
		optable_done((*c)->table, settings);
		free(settings);
	}
}

static void the_completion_file_is_what_the_table_gives(void **state)
{
	_cleanup_buf_ struct buf made = {0};
	char file[16384] = "";
	FILE *in = fopen("tools/nightjar/completion.bash", "re");

	(void)state;
	assert_non_null(in);
	assert_true(fread(file, 1, sizeof(file) - 1, in) > 0);
	assert_int_equal(fclose(in), 0);
	command_completion(&made);
	assert_string_equal(buf_text(&made), file);
}

static void bash_completes_words_and_flags(void **state)
{
	static const char script[] =
		"bash -c '. tools/nightjar/completion.bash; "
		"try() { COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _nightjar; echo \"${COMPREPLY[*]}\"; }; "
		"try nightjar ale; try nightjar alerts g; try nightjar alerts list --lim; try nightjar dev --js'";

	(void)state;
	assert_int_equal(program_shell(script, &output), 0);
	assert_string_equal(buf_text(&output), "alerts\nget\n--limit\n--json\n");
}

/* ---- where a command connects to ------------------------------------------------------------ */

static struct connect_settings defaults(char *run_dir)
{
	static char empty[] = "";

	return (struct connect_settings){empty, empty, empty, empty, empty, run_dir, 1};
}

static void without_a_dev_the_target_is_the_usual_one(void **state)
{
	static char dir[] = "/nowhere";
	struct connect_settings s = defaults(dir);
	struct connect_target t;

	(void)state;
	connect_resolve(&s, &t);
	assert_string_equal(t.server, "127.0.0.1:7443");
	assert_string_equal(t.key, "/etc/nightjar/reader-key.pem");
}

static void a_running_dev_is_the_target_and_a_dead_one_is_not(void **state)
{
	char dir[] = "/tmp/nightjar-run-XXXXXX", given[] = "h:1", own[] = "/x/ca.pem", none[] = "";
	struct run_file file = {.pid = getpid(), .grpc = "127.0.0.1:5", .http = "127.0.0.1:6", .certs = "/c"};
	struct connect_settings s;
	struct connect_target t;
	struct err e;

	(void)state;
	assert_non_null(mkdtemp(dir));
	s = defaults(dir);
	assert_int_equal(run_file_write(dir, &file, &e), 0);
	connect_resolve(&s, &t);
	assert_string_equal(t.server, "127.0.0.1:5");
	assert_string_equal(t.ca, "/c/ca.pem");
	s.ca = own;
	connect_resolve(&s, &t);
	assert_string_equal(t.ca, "/x/ca.pem");
	assert_string_equal(t.cert, "/x/reader.pem");
	s.server = given;
	connect_resolve(&s, &t);
	assert_string_equal(t.server, "h:1");
	assert_string_equal(t.key, "/x/reader-key.pem");
	s.ca = none;
	connect_resolve(&s, &t);
	assert_string_equal(t.cert, "/etc/nightjar/reader.pem");
	file.pid = INT_MAX;
	assert_int_equal(run_file_write(dir, &file, &e), 0);
	assert_true(run_file_read(dir, &file) < 0);
	file.pid = getpid();
	assert_int_equal(run_file_write(dir, &file, &e), 0);
	run_file_remove(dir);
	assert_int_equal(access(dir, F_OK), -1);
	assert_true(run_file_write("/nowhere/at/all", &file, &e) < 0);
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
		cmocka_unit_test(bad_usage_is_status_2_and_a_sentence),
		cmocka_unit_test(a_collector_that_is_not_there_is_status_1_and_a_sentence),
		cmocka_unit_test(help_and_version_are_status_0),
		cmocka_unit_test(every_command_has_help_that_fits_and_a_line_in_the_list),
		cmocka_unit_test(defaults_of_every_command_are_good_values),
		cmocka_unit_test(the_completion_file_is_what_the_table_gives),
		cmocka_unit_test(bash_completes_words_and_flags),
		cmocka_unit_test(without_a_dev_the_target_is_the_usual_one),
		cmocka_unit_test(a_running_dev_is_the_target_and_a_dead_one_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, tear_down);
}
