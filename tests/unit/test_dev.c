/* nightjar dev with scripts in the place of the two programs: a copy of the built command stands beside
 * them in a directory of the test's own. What dies ends the run with the reason, a signal drains both
 * in order, nothing stays behind. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collector/options.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/tls.h"
#include "node-agent/options.h"
#include "tests/unit/program.h"
#include "tools/nightjar/dev.h"
#include "tools/nightjar/run_file.h"
#include "tests/await.h"

/* A program that is ready at once and ends at SIGTERM. NAME, ready words. */
#define FAKE                                                                                       \
	"#!/bin/sh\n"                                                                              \
	"dir=$(dirname \"$0\")\n"                                                                  \
	"echo $$ > $dir/%s.pid\n"                                                                  \
	"for a; do [ ! -f \"$a\" ] || cp \"$a\" $dir/%s.yaml; done\n"                              \
	"trap 'echo %s >> '$dir/order'; kill $!; exit 0' TERM\n"                                    \
	"echo 'nightjar-%s: info: one of many' >&2\n"                                              \
	"tail --pid=$$ -f /dev/null > /dev/null 2>&1 &\n"                                             \
	"echo 'nightjar-%s: ready %s' >&2\n"                                                       \
	"wait\n"

struct fixture {
	char dir[64];
	pid_t pid; /* of dev */
	int said_fd;
	struct buf said; /* by dev so far */
	int status;
};

static void write_script(const struct fixture *f, const char *name, const char *text)
{
	char path[128];
	FILE *out;

	(void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	out = fopen(path, "we");
	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fchmod(fileno(out), 0755), 0);
	assert_int_equal(fclose(out), 0);
}

static void write_fake(const struct fixture *f, const char *name, const char *ready)
{
	char text[1024], program[64];

	(void)snprintf(text, sizeof(text), FAKE, name, name, name, name, name, ready);
	(void)snprintf(program, sizeof(program), "nightjar-%s", name);
	write_script(f, program, text);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char command[PATH_MAX + 128], program[PATH_MAX];

	if (!f)
		return -1;
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/nightjar-test-XXXXXX");
	if (!mkdtemp(f->dir) || setenv("TMPDIR", f->dir, 1) < 0)
		return -1;
	f->said_fd = -1;
	program_path("nightjar", program);
	(void)snprintf(command, sizeof(command), "cp '%s' %s/nightjar", program, f->dir);
	if (program_shell(command, &f->said) != 0)
		return -1;
	write_fake(f, "collector", "grpc=0.0.0.0:9 http=127.0.0.1:8");
	write_fake(f, "agent", "collector=127.0.0.1:9 node=x process=full file=degraded:no_such_hook tcp=missing");
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char command[128];
	int r;

	if (f->pid > 0 && kill(f->pid, SIGKILL) == 0)
		(void)waitpid(f->pid, NULL, 0);
	closep(&f->said_fd);
	(void)snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	r = program_shell(command, &f->said);
	buf_done(&f->said);
	(void)unsetenv("TMPDIR");
	free(f);
	return r;
}

static void skip_unless_root(void)
{
	if (geteuid() != 0) {
		print_message("SKIP nightjar dev refuses to run without root\n");
		skip();
	}
}

/* More arguments than dev and --run-dir: at most two. */
static void start_dev(struct fixture *f, const char *flag, const char *value)
{
	char program[128], run_dir[128];
	int fds[2];

	skip_unless_root();
	(void)snprintf(program, sizeof(program), "%s/nightjar", f->dir);
	(void)snprintf(run_dir, sizeof(run_dir), "%s/run", f->dir);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	f->pid = fork();
	if (f->pid == 0) {
		(void)dup2(fds[1], STDERR_FILENO);
		(void)execl(program, program, "dev", "--run-dir", run_dir, flag, value, NULL);
		_exit(127);
	}
	assert_true(f->pid > 0);
	assert_int_equal(close(fds[1]), 0);
	f->said_fd = fds[0];
	buf_clear(&f->said);
}

/* Until dev has said the text, or has closed its stderr. */
static bool await_text(struct fixture *f, const char *text)
{
	char chunk[1024];

	while (!text || !strstr(buf_text(&f->said), text)) {
		struct pollfd p = {.fd = f->said_fd, .events = POLLIN};
		ssize_t n;

		assert_int_equal(poll(&p, 1, 20000), 1);
		n = read(f->said_fd, chunk, sizeof(chunk));
		if (n <= 0)
			return false;
		buf_add(&f->said, chunk, (size_t)n);
	}
	return true;
}

static void await_exit(struct fixture *f, int status)
{
	(void)await_text(f, NULL);
	assert_int_equal(waitpid(f->pid, &f->status, 0), f->pid);
	f->pid = 0;
	if (!WIFEXITED(f->status) || WEXITSTATUS(f->status) != status)
		fail_msg("status %x instead of exit %d: %s", (unsigned int)f->status, status, buf_text(&f->said));
}

static void said(struct fixture *f, const char *text)
{
	if (!strstr(buf_text(&f->said), text))
		fail_msg("'%s' is not in: %s", text, buf_text(&f->said));
}

static char *content(const struct fixture *f, const char *file)
{
	char path[128], *text = calloc(1, 8192);
	FILE *in;

	(void)snprintf(path, sizeof(path), "%s/%s", f->dir, file);
	in = fopen(path, "re");
	if (in) {
		(void)!fread(text, 1, 8191, in);
		(void)fclose(in);
	}
	return text;
}

/* The program that this configuration is for knows every key in it. */
static void understood(const struct fixture *f, const char *file, const struct optable *table, size_t size)
{
	void *settings = calloc(1, size);
	char path[128], *argv[] = {(char *)"x", NULL};
	struct err e;

	assert_non_null(settings);
	(void)snprintf(path, sizeof(path), "%s/%s", f->dir, file);
	if (optable_load(table, settings, 1, argv, path, NULL, &e) != OPT_RUN)
		fail_msg("%s", e.text);
	optable_done(table, settings);
	free(settings);
}

static void nothing_is_left(const struct fixture *f)
{
	struct buf out = {0};
	char command[160];

	(void)snprintf(command, sizeof(command), "ls -d %s/nightjar-dev-* %s/run 2>/dev/null", f->dir, f->dir);
	assert_int_not_equal(program_shell(command, &out), 0);
	assert_string_equal(buf_text(&out), "");
	buf_done(&out);
}

/* ---- what goes wrong ------------------------------------------------------------------------ */

static void without_root_it_says_so(void **state)
{
	struct fixture *f = *state;
	char command[PATH_MAX];
	int r;

	skip_unless_root();
	(void)snprintf(command, sizeof(command), "chmod 755 %s; setpriv --reuid=65534 --clear-groups %s/nightjar dev 2>&1",
		       f->dir, f->dir);
	r = program_shell(command, &f->said);
	if (r == 126 || r == 127) {
		print_message("SKIP setpriv cannot run the command here\n");
		skip();
	}
	assert_int_equal(r, 2);
	assert_string_equal(buf_text(&f->said), "nightjar dev: run it as root: the agent loads BPF programs\n");
}

static void a_missing_program_is_named(void **state)
{
	struct fixture *f = *state;
	char path[128], sentence[256];

	(void)snprintf(path, sizeof(path), "%s/nightjar-collector", f->dir);
	assert_int_equal(unlink(path), 0);
	start_dev(f, NULL, NULL);
	await_exit(f, 1);
	(void)snprintf(sentence, sizeof(sentence), "nightjar dev: cannot run '%s': No such file or directory", path);
	said(f, sentence);
	nothing_is_left(f);
}

static void a_collector_that_dies_at_once_ends_it_with_its_reason(void **state)
{
	struct fixture *f = *state;

	write_script(f, "nightjar-collector",
		     "#!/bin/sh\necho 'nightjar-collector: error: cannot listen on x: in use' >&2\nexit 1\n");
	start_dev(f, NULL, NULL);
	await_exit(f, 1);
	said(f, "error: cannot listen on x: in use\n");
	said(f, "nightjar dev: nightjar-collector ended with exit status 1\n");
	assert_null(strstr(buf_text(&f->said), "nightjar: ready"));
	nothing_is_left(f);
}

static void an_agent_that_dies_ends_it_and_the_collector_is_drained(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *order = NULL, *pid = NULL;

	start_dev(f, NULL, NULL);
	assert_true(await_text(f, "nightjar: ready "));
	pid = content(f, "agent.pid");
	assert_int_equal(kill((pid_t)strtol(pid, NULL, 10), SIGKILL), 0);
	await_exit(f, 1);
	said(f, "nightjar dev: nightjar-agent was ended by signal 9 (Killed)");
	order = content(f, "order");
	assert_string_equal(order, "collector\n");
	nothing_is_left(f);
}

static void a_collector_that_names_no_address_is_refused(void **state)
{
	struct fixture *f = *state;

	write_fake(f, "collector", "http=127.0.0.1:8");
	start_dev(f, NULL, NULL);
	await_exit(f, 1);
	said(f, "nightjar dev: nightjar-collector is ready but names no gRPC address\n");
}

static void certificates_that_cannot_be_made_are_told(void **state)
{
	struct fixture *f = *state;

	start_dev(f, "--certs", "/proc/nowhere");
	await_exit(f, 1);
	said(f, "nightjar dev: cannot make '/proc/nowhere': ");
}

/* ---- what goes right ------------------------------------------------------------------------ */

static void a_signal_stops_the_agent_then_the_collector(void **state)
{
	static const int signals[] = {SIGTERM, SIGINT};
	struct fixture *f = *state;

	for (size_t i = 0; i < 2; i++) {
		_cleanup_(freep) char *order = NULL;

		start_dev(f, NULL, NULL);
		assert_true(await_text(f, "nightjar: ready grpc=0.0.0.0:9 http=127.0.0.1:8 certs=/tmp/"));
		said(f, ": process, file (degraded: no such hook), tcp (missing)\n");
		assert_int_equal(kill(f->pid, signals[i]), 0);
		await_exit(f, 0);
		order = content(f, "order");
		assert_string_equal(order + (i ? strlen("agent\ncollector\n") : 0), "agent\ncollector\n");
		nothing_is_left(f);
		closep(&f->said_fd);
		f->said_fd = -1;
	}
}

static void the_duration_ends_it_as_a_signal_does(void **state)
{
	struct fixture *f = *state;

	start_dev(f, "--duration", "1");
	await_exit(f, 0);
	said(f, "nightjar: ready ");
	nothing_is_left(f);
}

static void killed_itself_it_takes_its_programs_along(void **state)
{
	static const char *const names[] = {"agent", "collector"};
	struct fixture *f = *state;
	int pidfds[2];

	start_dev(f, NULL, NULL);
	assert_true(await_text(f, "nightjar: ready "));
	for (size_t i = 0; i < 2; i++) {
		char file[32];
		_cleanup_(freep) char *pid = NULL;

		(void)snprintf(file, sizeof(file), "%s.pid", names[i]);
		pid = content(f, file);
		pidfds[i] = pidfd_open((pid_t)strtol(pid, NULL, 10), 0);
		assert_true(pidfds[i] >= 0);
	}
	assert_int_equal(kill(f->pid, SIGKILL), 0);
	assert_int_equal(waitpid(f->pid, &f->status, 0), f->pid);
	f->pid = 0;
	for (size_t i = 0; i < 2; i++) {
		struct pollfd p = {.fd = pidfds[i], .events = POLLIN};

		assert_int_equal(poll(&p, 1, 20000), 1);
		closep(&pidfds[i]);
	}
}

static void its_address_is_known_while_it_runs(void **state)
{
	struct fixture *f = *state;
	struct run_file file;
	char dir[128], path[PATH_MAX + 32];

	start_dev(f, NULL, NULL);
	/* The file is written right after the ready line. */
	assert_true(await_text(f, "nightjar: ready "));
	assert_int_equal(kill(f->pid, SIGSTOP), 0);
	assert_int_equal(kill(f->pid, SIGCONT), 0);
	(void)snprintf(dir, sizeof(dir), "%s/run", f->dir);
	assert_true(AWAIT(run_file_read(dir, &file) == 0, 5 * NS_PER_SEC));
	assert_string_equal(file.grpc, "0.0.0.0:9");
	assert_int_equal(file.pid, f->pid);
	(void)snprintf(path, sizeof(path), "%s/reader-key.pem", file.certs);
	assert_int_equal(access(path, R_OK), 0);
	assert_int_equal(kill(f->pid, SIGTERM), 0);
	await_exit(f, 0);
}

/* How many directories of devs there are. */
static int count_dirs(const struct fixture *f)
{
	_cleanup_buf_ struct buf out = {0};
	char command[128];

	(void)snprintf(command, sizeof(command), "ls -d %s/nightjar-dev-* | wc -l", f->dir);
	assert_int_equal(program_shell(command, &out), 0);
	return atoi(buf_text(&out));
}

static void what_a_killed_dev_left_is_removed_and_nothing_else(void **state)
{
	struct fixture *f = *state;
	_cleanup_buf_ struct buf out = {0};
	char command[256];

	/* Without a mark and with an empty one: none of a dead dev's. */
	(void)snprintf(command, sizeof(command),
		       "cd %s && mkdir nightjar-dev-nomark nightjar-dev-empty1 && : > nightjar-dev-empty1/pid", f->dir);
	assert_int_equal(program_shell(command, &out), 0);
	start_dev(f, NULL, NULL);
	assert_true(await_text(f, "nightjar: ready "));
	assert_int_equal(count_dirs(f), 3);
	assert_int_equal(kill(f->pid, SIGKILL), 0);
	assert_int_equal(waitpid(f->pid, NULL, 0), f->pid);
	closep(&f->said_fd);
	f->said_fd = -1;
	assert_int_equal(count_dirs(f), 3);
	start_dev(f, NULL, NULL);
	assert_true(await_text(f, "nightjar: ready "));
	assert_int_equal(count_dirs(f), 3);
	assert_int_equal(kill(f->pid, SIGTERM), 0);
	await_exit(f, 0);
	assert_int_equal(count_dirs(f), 2);
}

static void certificates_of_a_given_directory_stay(void **state)
{
	struct fixture *f = *state;
	char dir[128], ca[160], cert[160], key[160];
	struct tls_files files = {0};
	struct err e;

	(void)snprintf(dir, sizeof(dir), "%s/mine", f->dir);
	for (int round = 0; round < 2; round++) {
		start_dev(f, "--certs", dir);
		assert_true(await_text(f, "nightjar: ready "));
		said(f, "/mine\n");
		assert_int_equal(kill(f->pid, SIGTERM), 0);
		await_exit(f, 0);
		closep(&f->said_fd);
		f->said_fd = -1;
	}
	(void)snprintf(ca, sizeof(ca), "%s/ca.pem", dir);
	(void)snprintf(cert, sizeof(cert), "%s/agent.pem", dir);
	(void)snprintf(key, sizeof(key), "%s/agent-key.pem", dir);
	assert_int_equal(tls_load(ca, cert, key, clock_wall_ns(), &files, &e), 0);
	tls_files_done(&files);
}

static void both_programs_understand_what_they_are_given(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *yaml = NULL;

	start_dev(f, NULL, NULL);
	assert_true(await_text(f, "nightjar: ready "));
	yaml = content(f, "agent.yaml");
	assert_non_null(strstr(yaml, "collector:\n  address: \"127.0.0.1:9\"\n"));
	understood(f, "agent.yaml", &agent_options, sizeof(struct agent_settings));
	understood(f, "collector.yaml", &collector_options, sizeof(struct options));
	assert_int_equal(kill(f->pid, SIGTERM), 0);
	await_exit(f, 0);
}

static void every_flag_of_dev_reaches_the_collector(void **state)
{
	struct fixture *f = *state;
	char empty[] = "", address[] = "127.0.0.1:0", alerts[] = "/a \"b\"", record[] = "/r.njr", kafka[] = "k:1,l:2";
	struct dev_settings s = {.json = true, .alerts = alerts, .record = record, .kafka = kafka, .grpc = address,
				 .http = address, .certs = empty, .config = empty, .run_dir = empty};
	struct options o = {0};
	struct dev_files files;
	char *argv[] = {(char *)"x", NULL};
	struct err e;

	(void)f;
	assert_int_equal(dev_files_make(&s, &files, &e), 0);
	assert_int_equal(dev_files_write_collector(&files, &s, &e), 0);
	if (optable_load(&collector_options, &o, 1, argv, files.collector, NULL, &e) != OPT_RUN)
		fail_msg("%s", e.text);
	assert_string_equal(o.sinks.log.alerts, alerts);
	assert_string_equal(o.sinks.log.format, "json");
	assert_string_equal(o.sinks.kafka.brokers, kafka);
	assert_string_equal(o.record_file, record);
	optable_done(&collector_options, &o);
	dev_files_remove(&files);
	assert_int_equal(access(files.collector, F_OK), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_root_it_says_so),
		TEST(a_missing_program_is_named),
		TEST(a_collector_that_dies_at_once_ends_it_with_its_reason),
		TEST(an_agent_that_dies_ends_it_and_the_collector_is_drained),
		TEST(a_collector_that_names_no_address_is_refused),
		TEST(certificates_that_cannot_be_made_are_told),
		TEST(a_signal_stops_the_agent_then_the_collector),
		TEST(the_duration_ends_it_as_a_signal_does),
		TEST(killed_itself_it_takes_its_programs_along),
		TEST(its_address_is_known_while_it_runs),
		TEST(what_a_killed_dev_left_is_removed_and_nothing_else),
		TEST(certificates_of_a_given_directory_stay),
		TEST(both_programs_understand_what_they_are_given),
		TEST(every_flag_of_dev_reaches_the_collector),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
