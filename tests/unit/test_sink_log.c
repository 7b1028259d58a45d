/* The log sink through the registry: paths that fail, a full disk, what a line looks like. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
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
	assert_int_equal(publish(sinks[0], &s.alert), 0);
	assert_int_equal(publish(sinks[0], &s.alert), 0);
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
		cmocka_unit_test(nothing_asked_for_opens_no_sink),
		cmocka_unit_test(an_alert_is_there_as_soon_as_it_is_published),
		cmocka_unit_test(a_log_is_continued_after_a_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
