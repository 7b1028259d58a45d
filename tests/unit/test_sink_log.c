/* The log sink through the registry: paths that fail, a full disk, what a line looks like. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collector/sink/registry.h"
#include "common/proto_json.h"
#include "tests/unit/sink_sample.h"

#define PATH_MAX_HERE 64

static void temporary(char *path)
{
	int fd;

	strcpy(path, "/tmp/nj-log-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	(void)close(fd);
}

static void content(const char *path, char *text, size_t size)
{
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, size - 1, f);
	text[n] = '\0';
	(void)fclose(f);
}

static int publish(struct sink *sink, const Nightjar__V1__Alert *a)
{
	_cleanup_buf_ struct buf json = {0};
	struct sink_alert alert = {.alert = a};

	assert_int_equal(proto_json_write(&json, &a->base), 0);
	alert.json = buf_text(&json);
	alert.json_len = (uint32_t)json.len;
	return sink->type->publish(sink, &alert);
}

static void a_path_that_cannot_be_opened_is_told(void **state)
{
	struct sink_options o = sink_sample_options();
	struct sink **sinks = NULL;
	struct err e = {0};

	(void)state;
	o.log.format = sample_text("json");
	o.log.path = sample_text("/nonexistent/alerts.log");
	assert_int_equal(registry_open(&o, NULL, NULL, &sinks, &e), -ENOENT);
	assert_string_equal(e.text, "sink 'log': cannot open '/nonexistent/alerts.log' for alerts: "
				    "No such file or directory");
	assert_null(sinks);
}

static void what_cannot_be_written_is_counted(void **state)
{
	struct sink_options o = sink_sample_options();
	struct sink_stats stats;
	struct sink **sinks = NULL;
	struct alert_sample s;
	struct err e = {0};

	(void)state;
	alert_sample_fill(&s);
	o.log.format = sample_text("people");
	o.log.path = sample_text("/dev/full");
	assert_int_equal(registry_open(&o, NULL, NULL, &sinks, &e), 0);
	assert_int_equal(publish(sinks[0], &s.alert), -ENOSPC);
	sinks[0]->type->stats(sinks[0], &stats);
	assert_int_equal(stats.failed, 1);
	assert_int_equal(stats.delivered, 0);
	registry_free(sinks);
}

/* A named pipe that is open at the other end and not read. */
struct pipe_rig {
	struct sink_options options;
	struct sink **sinks;
	struct alert_sample sample;
	char path[PATH_MAX_HERE];
	int reader;
};

static void open_unread_pipe(struct pipe_rig *rig, bool wait)
{
	struct err e = {0};

	*rig = (struct pipe_rig){.options = sink_sample_options()};
	alert_sample_fill(&rig->sample);
	temporary(rig->path);
	assert_int_equal(unlink(rig->path), 0);
	assert_int_equal(mkfifo(rig->path, 0600), 0);
	rig->reader = open(rig->path, O_RDONLY | O_NONBLOCK);
	assert_true(rig->reader >= 0);
	assert_int_equal(fcntl(rig->reader, F_SETPIPE_SZ, 16384), 16384);
	rig->options.log.format = sample_text("json");
	rig->options.log.path = rig->path;
	rig->options.log.wait = wait;
	if (registry_open(&rig->options, NULL, NULL, &rig->sinks, &e) < 0)
		fail_msg("%s", e.text);
}

static void close_pipe(struct pipe_rig *rig)
{
	registry_free(rig->sinks);
	(void)close(rig->reader);
	(void)unlink(rig->path);
}

static int fill_pipe(struct pipe_rig *rig)
{
	int taken = 0;

	while (publish(rig->sinks[0], &rig->sample.alert) == 0)
		assert_true(++taken < 100);
	return taken;
}

/* Counts lines, each of which must be whole. */
static int read_lines(struct pipe_rig *rig, struct buf *text)
{
	char chunk[4096];
	int lines = 0;

	for (ssize_t n; (n = read(rig->reader, chunk, sizeof(chunk))) > 0;) {
		buf_add(text, chunk, (size_t)n);
		rig->sinks[0]->type->poll(rig->sinks[0]);
	}
	for (const char *line = buf_text(text); *line; lines++) {
		const char *end = strchr(line, '\n');

		assert_non_null(end);
		assert_memory_equal(line, "{\"schema\":\"1\"", 13);
		assert_int_equal(end[-1], '}');
		line = end + 1;
	}
	return lines;
}

static void a_pipe_that_nobody_reads_is_full_and_blocks_nobody(void **state)
{
	_cleanup_buf_ struct buf text = {0};
	struct sink_stats stats;
	struct pipe_rig rig;
	int taken;

	(void)state;
	open_unread_pipe(&rig, false);
	taken = fill_pipe(&rig);
	assert_int_equal(publish(rig.sinks[0], &rig.sample.alert), -EAGAIN);
	assert_int_equal(rig.sinks[0]->type->drain(rig.sinks[0], 10), 1);
	rig.sinks[0]->type->stats(rig.sinks[0], &stats);
	assert_int_equal(stats.queued, 1);
	assert_int_equal(stats.delivered, taken - 1);
	assert_int_equal(read_lines(&rig, &text), taken);
	assert_int_equal(publish(rig.sinks[0], &rig.sample.alert), 0);
	assert_int_equal(rig.sinks[0]->type->drain(rig.sinks[0], 1000), 0);
	rig.sinks[0]->type->stats(rig.sinks[0], &stats);
	assert_int_equal(stats.queued, 0);
	assert_int_equal(stats.delivered, taken + 1);
	assert_int_equal(stats.failed, 0);
	close_pipe(&rig);
}

static void a_reader_that_goes_away_is_an_error_and_kills_nobody(void **state)
{
	struct sink_stats stats;
	struct pipe_rig rig;

	(void)state;
	(void)signal(SIGPIPE, SIG_IGN); /* as the collector does */
	open_unread_pipe(&rig, false);
	(void)fill_pipe(&rig);
	(void)close(rig.reader);
	rig.reader = -1;
	rig.sinks[0]->type->poll(rig.sinks[0]);
	assert_int_equal(publish(rig.sinks[0], &rig.sample.alert), -EPIPE);
	rig.sinks[0]->type->stats(rig.sinks[0], &stats);
	assert_int_equal(stats.queued, 0);
	assert_int_equal(stats.failed, 2);
	close_pipe(&rig);
}

static void *read_slowly(void *arg)
{
	struct pipe_rig *rig = arg;
	static char text[1 << 20];
	size_t len = 0;
	struct pollfd fd = {.fd = rig->reader, .events = POLLIN};

	while (poll(&fd, 1, 5000) == 1 && !(fd.revents & POLLHUP)) {
		ssize_t n = read(rig->reader, text + len, 1000);

		len += n > 0 ? (size_t)n : 0;
	}
	return NULL;
}

static void a_replay_waits_for_its_reader(void **state)
{
	struct pipe_rig rig;
	pthread_t reader;

	(void)state;
	open_unread_pipe(&rig, true);
	assert_int_equal(pthread_create(&reader, NULL, read_slowly, &rig), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(publish(rig.sinks[0], &rig.sample.alert), 0);
	registry_free(rig.sinks);
	rig.sinks = NULL;
	(void)pthread_join(reader, NULL);
	close_pipe(&rig);
}

/* stdout is a terminal on which nobody reads: a child fills it, then must still answer. */
static int fill_terminal(int terminal)
{
	struct sink_options o = sink_sample_options();
	struct sink **sinks = NULL;
	struct alert_sample s;
	struct err e = {0};
	int taken = 0;

	alert_sample_fill(&s);
	o.log.format = sample_text("people");
	if (dup2(terminal, STDOUT_FILENO) < 0 || registry_open(&o, NULL, NULL, &sinks, &e) < 0)
		return 1;
	while (publish(sinks[0], &s.alert) == 0)
		if (++taken == 10000)
			return 2;
	if (publish(sinks[0], &s.alert) != -EAGAIN || fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK)
		return 3;
	registry_free(sinks);
	return 0;
}

static void a_terminal_that_nobody_reads_blocks_nobody(void **state)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), terminal, status;
	pid_t child;

	(void)state;
	assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(terminal >= 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		(void)alarm(20); /* blocked for ever otherwise */
		_exit(fill_terminal(terminal));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	(void)close(terminal);
	(void)close(master);
}

static void nothing_asked_for_opens_no_sink(void **state)
{
	struct sink_options o = sink_sample_options();
	struct sink **sinks = NULL;
	struct err e = {0};

	(void)state;
	assert_int_equal(registry_open(&o, NULL, NULL, &sinks, &e), 0);
	assert_null(sinks[0]);
	registry_free(sinks);
	registry_free(NULL);
}

static void an_alert_is_there_as_soon_as_it_is_published(void **state)
{
	struct sink_options o = sink_sample_options();
	char people[PATH_MAX_HERE], json[PATH_MAX_HERE], text[8192];
	struct sink **sinks = NULL;
	struct sink_stats stats;
	struct alert_sample s;
	struct err e = {0};

	(void)state;
	alert_sample_fill(&s);
	temporary(people);
	temporary(json);
	o.log.format = sample_text("people");
	o.log.path = people;
	o.log.alerts = json;
	assert_int_equal(registry_open(&o, NULL, NULL, &sinks, &e), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(publish(sinks[0], &s.alert), 0);
		assert_int_equal(publish(sinks[1], &s.alert), 0);
	}
	content(people, text, sizeof(text));
	assert_non_null(strstr(text, "CRITICAL reverse_shell  bash takes its commands"));
	content(json, text, sizeof(text));
	assert_memory_equal(text, "{\"schema\":\"1\"", 13);
	assert_memory_equal(strchr(text, '\n'), "\n{\"schema\":\"1\"", 14);
	assert_int_equal(text[strlen(text) - 1], '\n');
	sinks[0]->type->stats(sinks[0], &stats);
	assert_int_equal(stats.delivered, 2);
	registry_free(sinks);
	(void)unlink(people);
	(void)unlink(json);
}

static void a_log_is_continued_after_a_restart(void **state)
{
	struct sink_options o = sink_sample_options();
	char path[PATH_MAX_HERE], text[8192];
	struct alert_sample s;
	struct err e = {0};
	int lines = 0;

	(void)state;
	alert_sample_fill(&s);
	temporary(path);
	o.log.format = sample_text("json");
	o.log.path = path;
	for (int i = 0; i < 2; i++) {
		struct sink **sinks = NULL;

		assert_int_equal(registry_open(&o, NULL, NULL, &sinks, &e), 0);
		assert_int_equal(publish(sinks[0], &s.alert), 0);
		registry_free(sinks);
	}
	content(path, text, sizeof(text));
	for (char *c = text; *c; c++)
		lines += *c == '\n';
	assert_int_equal(lines, 2);
	(void)unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_that_cannot_be_opened_is_told),
		cmocka_unit_test(what_cannot_be_written_is_counted),
		cmocka_unit_test(a_pipe_that_nobody_reads_is_full_and_blocks_nobody),
		cmocka_unit_test(a_reader_that_goes_away_is_an_error_and_kills_nobody),
		cmocka_unit_test(a_replay_waits_for_its_reader),
		cmocka_unit_test(a_terminal_that_nobody_reads_blocks_nobody),
		cmocka_unit_test(nothing_asked_for_opens_no_sink),
		cmocka_unit_test(an_alert_is_there_as_soon_as_it_is_published),
		cmocka_unit_test(a_log_is_continued_after_a_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
