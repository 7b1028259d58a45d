/* The tables of the real programs: their defaults are good values, --help fits a terminal, the sample
 * file reads back as the defaults, no two rows share a key, a flag or a variable. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "collector/options.h"
#include "common/optable.h"
#include "node-agent/options.h"

static const struct {
	const struct optable *table;
	size_t settings_size;
} tables[] = {
	{&agent_options, sizeof(struct agent_settings)},
	{&collector_options, sizeof(struct options)},
};
#define TABLE_COUNT (sizeof(tables) / sizeof(*tables))

/* The settings as printed after loading this file, NULL: none. */
static void load(size_t i, const char *file, struct buf *ret_printed)
{
	void *settings = calloc(1, tables[i].settings_size);
	char *argv[] = {(char *)"x", NULL};
	struct err e;

	assert_non_null(settings);
	if (optable_load(tables[i].table, settings, 1, argv, file, NULL, &e) != OPT_RUN)
		fail_msg("%s: %s", tables[i].table->program, e.text);
	optable_print(tables[i].table, settings, ret_printed);
	optable_done(tables[i].table, settings);
	free(settings);
}

static void no_name_is_taken_twice(void **state)
{
	char one[OPTABLE_NAME_MAX], other[OPTABLE_NAME_MAX];

	(void)state;
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		const struct optable *t = tables[i].table;

		for (size_t a = 0; a < t->count; a++) {
			optable_flag_name(&t->opts[a], one);
			assert_int_not_equal(strcmp(one, "--config"), 0);
			for (size_t b = 0; b < a; b++) {
				optable_flag_name(&t->opts[b], other);
				assert_string_not_equal(one, other);
			}
		}
	}
}

static void every_row_has_its_place_in_the_settings(void **state)
{
	(void)state;
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		const struct optable *t = tables[i].table;

		for (size_t a = 0; a < t->count; a++) {
			assert_true(t->opts[a].offset < tables[i].settings_size);
			assert_true(strlen(t->opts[a].help) > 0);
			assert_int_not_equal(t->opts[a].help[strlen(t->opts[a].help) - 1], '.');
			for (size_t b = 0; b < a; b++)
				assert_int_not_equal(t->opts[a].offset, t->opts[b].offset);
		}
	}
}

static void help_fits_a_terminal(void **state)
{
	_cleanup_buf_ struct buf help = {0};

	(void)state;
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		const char *text, *end;

		buf_clear(&help);
		optable_help(tables[i].table, &help);
		for (text = buf_text(&help); *text; text = end + 1) {
			end = strchr(text, '\n');
			assert_non_null(end);
			if (end - text > 80)
				fail_msg("%s: %.*s", tables[i].table->program, (int)(end - text), text);
		}
	}
}

static void the_sample_file_reads_back_as_the_defaults(void **state)
{
	(void)state;
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		_cleanup_buf_ struct buf sample = {0}, defaults = {0}, read_back = {0};
		char path[] = "/tmp/nightjar-sample-XXXXXX";
		int fd = mkstemp(path);

		assert_true(fd >= 0);
		optable_sample(tables[i].table, &sample);
		assert_int_equal(write(fd, sample.data, sample.len), (ssize_t)sample.len);
		assert_int_equal(close(fd), 0);
		load(i, NULL, &defaults);
		load(i, path, &read_back);
		assert_int_equal(unlink(path), 0);
		assert_string_equal(buf_text(&defaults), buf_text(&read_back));
	}
}

static void the_reference_pages_are_those_of_the_tables(void **state)
{
	static const char *const pages[] = {"docs/options-agent.md", "docs/options-collector.md"};

	(void)state;
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		_cleanup_(fclosep) FILE *page = fopen(pages[i], "re");
		_cleanup_buf_ struct buf expected = {0};
		char found[65536];
		size_t len;

		assert_non_null(page);
		optable_reference(tables[i].table, &expected);
		len = fread(found, 1, sizeof(found), page);
		if (len != expected.len || memcmp(found, expected.data, len) != 0)
			fail_msg("%s is not what the table says: run make docs", pages[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_reference_pages_are_those_of_the_tables),
		cmocka_unit_test(no_name_is_taken_twice),
		cmocka_unit_test(every_row_has_its_place_in_the_settings),
		cmocka_unit_test(help_fits_a_terminal),
		cmocka_unit_test(the_sample_file_reads_back_as_the_defaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
