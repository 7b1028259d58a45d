/* Options: every way to get a setting wrong and the sentence that it earns, then who wins, then
 * that everything printed comes from the rows that are parsed. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/optable.h"

struct settings {
	char *name;
	char *listen;
	bool tls;
	char *password;
	struct opt_list brokers;
	uint64_t linger_ns;
	uint64_t batch_bytes;
	uint64_t workers;
	char *level;
};

#define ROW(k, t, f, d) .key = (k), .type = (t), .offset = offsetof(struct settings, f), .fallback = (d)

static const struct opt rows[] = {
	{ROW("name", OPT_TEXT, name, "here"), .help = "name of this node in alerts"},
	{ROW("grpc.listen", OPT_TEXT, listen, "0.0.0.0:7443"), .help = "address that agents connect to"},
	{ROW("grpc.tls", OPT_BOOL, tls, "true"), .help = "whether agents must show a certificate"},
	{ROW("kafka.brokers", OPT_LIST, brokers, ""), .reloadable = true,
	 .help = "brokers as HOST:PORT; empty switches Kafka off"},
	{ROW("kafka.password", OPT_TEXT, password, ""), .secret = true, .help = "password for SASL"},
	{ROW("kafka.linger", OPT_DURATION, linger_ns, "5ms"), .max = NS_PER_SEC,
	 .help = "how long a record may wait for others so that they travel together, which costs as "
		 "much latency as it says"},
	{ROW("kafka.batch_size", OPT_SIZE, batch_bytes, "64KiB"), .min = 1024, .max = 1 << 20,
	 .help = "most bytes of one request"},
	{ROW("workers", OPT_COUNT, workers, "2"), .min = 1, .max = 64, .help = "threads that detect"},
	{ROW("log.level", OPT_CHOICE, level, "info"), .choices = "error|warning|info|debug",
	 .help = "least severe line that is written"},
};

static const struct optable table = {
	.program = "nightjar-test",
	.summary = "A program that exists to be configured wrongly in every way that people have found so far",
	.usage = "  --probe         say what this kernel allows\n",
	.opts = rows,
	.count = sizeof(rows) / sizeof(*rows),
};

struct fixture {
	char dir[64];
	char file[128];
	struct settings settings;
	struct err e;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/nightjar-optable-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	(void)snprintf(f->file, sizeof(f->file), "%s/a.yaml", f->dir);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	optable_done(&table, &f->settings);
	(void)unlink(f->file);
	(void)rmdir(f->dir);
	free(f);
	return 0;
}

static void write_file(const struct fixture *f, const void *data, size_t len)
{
	FILE *out = fopen(f->file, "we");

	assert_non_null(out);
	assert_int_equal(fwrite(data, 1, len, out), len);
	assert_int_equal(fclose(out), 0);
}

static int load_args(struct fixture *f, int argc, const char **argv, char ***ret_rest)
{
	return optable_load(&table, &f->settings, argc, (char **)argv, NULL, ret_rest, &f->e);
}

static int load_text(struct fixture *f, const char *yaml)
{
	const char *argv[] = {"x", "--config", f->file, NULL};

	write_file(f, yaml, strlen(yaml));
	return load_args(f, 3, argv, NULL);
}

/* The file is refused with this sentence behind its name. */
static void refused(struct fixture *f, const char *yaml, const char *sentence)
{
	static const struct settings zero;

	assert_int_equal(load_text(f, yaml), -EINVAL);
	assert_memory_equal(f->e.text, f->file, strlen(f->file));
	assert_string_equal(f->e.text + strlen(f->file), sentence);
	assert_memory_equal(&f->settings, &zero, sizeof(zero));
}

/* ---- the file ------------------------------------------------------------------------------- */

static void an_unknown_key_names_its_place_and_the_key_that_was_meant(void **state)
{
	refused(*state, "kafka:\n  brokres: a:1\n",
		":2:3: unknown key 'kafka.brokres', did you mean 'kafka.brokers'?");
	refused(*state, "kafak:\n  brokers: a:1\n", ":1:1: unknown key 'kafak', did you mean 'kafka'?");
	refused(*state, "brokers: [a]\n", ":1:1: unknown key 'brokers', did you mean 'kafka.brokers'?");
	refused(*state, "log:\n  linger: 1s\n",
		":2:3: unknown key 'log.linger', did you mean 'kafka.linger'?");
	refused(*state, "kafka.linger: 1s\n",
		":1:1: found a dot in a key, allowed: the section's name, and the key below it");
}

static void an_unknown_key_far_from_all_points_to_help(void **state)
{
	refused(*state, "zookeeper: a\n", ":1:1: unknown key 'zookeeper', --help lists the known ones");
}

static void a_value_of_the_wrong_type_says_what_is_allowed(void **state)
{
	refused(*state, "workers: many\n",
		":1:10: key 'workers': found 'many', allowed: a whole number, 1 to 64");
	refused(*state, "grpc:\n  tls: maybe\n",
		":2:8: key 'grpc.tls': found 'maybe', allowed: true or false");
	refused(*state, "log:\n  level: loud\n",
		":2:10: key 'log.level': found 'loud', allowed: one of error, warning, info, debug");
	refused(*state, "kafka:\n  linger: 5\n",
		":2:11: key 'kafka.linger': found '5', allowed: a duration such as 200us, 5ms, 30s, 10m, "
		"24h or 7d, 0s to 1s");
	refused(*state, "kafka:\n  batch_size: 64kb\n",
		":2:15: key 'kafka.batch_size': found '64kb', allowed: a size such as 65536, 64KiB or "
		"4MiB, 1KiB to 1MiB");
}

static void numbers_are_decimal_whole_and_fit(void **state)
{
	static const char *const wrong[] = {"-1", "+1", "0x10", "1.5", "1e3", "18446744073709551617", "1 2"};
	char yaml[64];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		(void)snprintf(yaml, sizeof(yaml), "workers: \"%s\"\n", wrong[i]);
		assert_int_equal(load_text(*state, yaml), -EINVAL);
	}
	assert_int_equal(load_text(*state, "kafka: {batch_size: 99999999999999999GiB}\n"), -EINVAL);
}

static void a_value_out_of_bounds_names_them(void **state)
{
	refused(*state, "workers: 0\n", ":1:10: key 'workers': found '0', allowed: a whole number, 1 to 64");
	refused(*state, "workers: 65\n", ":1:10: key 'workers': found '65', allowed: a whole number, 1 to 64");
	refused(*state, "kafka: {linger: 1001ms}\n",
		":1:17: key 'kafka.linger': found '1001ms', allowed: a duration such as 200us, 5ms, 30s, "
		"10m, 24h or 7d, 0s to 1s");
}

static void a_key_without_a_value_is_refused_where_one_is_needed(void **state)
{
	refused(*state, "workers:\n", ":1:9: key 'workers': found nothing, allowed: a whole number, 1 to 64");
	refused(*state, "workers: ~\n", ":1:10: key 'workers': found nothing, allowed: a whole number, 1 to 64");
}

static void a_repeated_key_or_section_names_both_lines(void **state)
{
	refused(*state, "workers: 1\n\nworkers: 2\n",
		":3:1: key 'workers': found a second time, allowed: once (first at line 1)");
	refused(*state, "log:\n  level: info\nlog:\n",
		":3:1: key 'log': found a second time, allowed: once (first at line 1)");
	refused(*state, "kafka: {linger: 1s, linger: 1s}\n",
		":1:21: key 'kafka.linger': found a second time, allowed: once (first at line 1)");
}

static void values_and_sections_are_not_mixed_up(void **state)
{
	refused(*state, "kafka: a\n",
		":1:8: key 'kafka': found a single value, allowed: a section with keys such as 'brokers'");
	refused(*state, "kafka: [a]\n",
		":1:8: key 'kafka': found a list, allowed: a section with keys such as 'brokers'");
	refused(*state, "name: {a: b}\n", ":1:7: key 'name': found keys below it, allowed: text");
	refused(*state, "name: [a]\n", ":1:7: key 'name': found a list, allowed: text");
	refused(*state, "kafka:\n  brokers:\n    - [a]\n",
		":3:7: key 'kafka.brokers': found a list, allowed: text as an item");
	refused(*state, "kafka:\n  brokers: [a, '']\n",
		":2:16: key 'kafka.brokers': found an empty item, allowed: a list");
}

static void nesting_too_deep_is_refused(void **state)
{
	struct fixture *f = *state;
	static char deep[4096];

	memset(deep, '[', sizeof(deep) - 1);
	refused(f, deep, ":1:1: found no keys, allowed: lines of 'key: value'");
	refused(f, "kafka:\n  brokers:\n    a: {b: {c: d}}\n",
		":3:5: key 'kafka.brokers': found keys below it, allowed: a list");
}

static void what_is_not_a_mapping_is_refused(void **state)
{
	refused(*state, "hello\n", ":1:1: found no keys, allowed: lines of 'key: value'");
	refused(*state, "- a\n", ":1:1: found no keys, allowed: lines of 'key: value'");
	refused(*state, "? [a]\n: b\n", ":1:3: found a list or a mapping, allowed: a key");
	refused(*state, "\"na\\0me\": b\n", ":1:1: found a zero byte, allowed: a key");
	refused(*state, "name: a\n---\nname: b\n", ":2:1: found a second document, allowed: one");
	refused(*state, "name: &x a\ngrpc: {listen: *x}\n",
		":2:16: key 'grpc.listen': found an alias, allowed: text");
}

static void tabs_are_named(void **state)
{
	refused(*state, "kafka:\n\tlinger: 1s\n", ":2:1: found a tab, allowed: spaces before a key");
	refused(*state, "kafka:\n  \tlinger: 1s\n  x: y\n", ":2:3: found a tab, allowed: spaces before a key");
}

static void broken_yaml_is_refused_where_it_breaks(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load_text(f, "name: \"half"), -EINVAL);
	assert_non_null(strstr(f->e.text, "a.yaml:1:12: not valid YAML: "));
	assert_int_equal(load_text(f, "kafka: {linger: 1s\n"), -EINVAL);
	assert_non_null(strstr(f->e.text, "not valid YAML: "));
	write_file(f, "name: a\nname\0: b\n", 17);
	assert_int_equal(optable_load(&table, &f->settings, 0, NULL, f->file, NULL, &f->e), -EINVAL);
	assert_non_null(strstr(f->e.text, "a.yaml:2:5: not valid YAML: control characters"));
	write_file(f, "name: \xff\xfe\n", 9);
	assert_int_equal(optable_load(&table, &f->settings, 0, NULL, f->file, NULL, &f->e), -EINVAL);
	assert_non_null(strstr(f->e.text, "a.yaml:1:7: not valid YAML: "));
}

static void control_characters_and_endless_values_are_refused(void **state)
{
	struct fixture *f = *state;
	static char yaml[8192] = "name: ";

	refused(f, "name: \"a\\nb\"\n",
		":1:7: key 'name': found the control character 0x0a, allowed: printable text");
	memset(yaml + 6, 'a', 5000);
	refused(f, yaml, ":1:7: key 'name': found a value of 5000 bytes, allowed: at most 4096");
	memset(yaml, 'k', 500);
	memcpy(yaml + 500, ":\n", 3);
	refused(f, yaml, ":1:1: found a key that is too long to be one");
}

static void a_file_that_cannot_be_read_says_why(void **state)
{
	struct fixture *f = *state;
	const char *argv[] = {"x", "--config", f->dir, NULL};

	assert_int_equal(load_args(f, 3, argv, NULL), -EINVAL);
	assert_non_null(strstr(f->e.text, "cannot read the configuration '/tmp/nightjar-optable-"));
	assert_non_null(strstr(f->e.text, "Is a directory"));
	argv[2] = f->file;
	assert_int_equal(load_args(f, 3, argv, NULL), -EINVAL);
	assert_non_null(strstr(f->e.text, "No such file or directory"));
}

static void a_file_too_large_is_not_parsed(void **state)
{
	struct fixture *f = *state;
	size_t size = (1 << 20) + 1;
	char *text = malloc(size);

	assert_non_null(text);
	memset(text, '#', size);
	write_file(f, text, size);
	free(text);
	assert_int_equal(optable_load(&table, &f->settings, 0, NULL, f->file, NULL, &f->e), -EINVAL);
	assert_non_null(strstr(f->e.text, "found more than 1048576 bytes"));
}

static void a_file_cut_at_every_byte_is_read_or_refused_with_a_sentence(void **state)
{
	static const char yaml[] = "# x\nname: \"a\"\nkafka:\n  brokers: [a:1, 'b:2']\n  linger: 10ms\nworkers: 3\n";
	struct fixture *f = *state;

	for (size_t len = 0; len < sizeof(yaml); len++) {
		int r;

		write_file(f, yaml, len);
		f->e.text[0] = '\0';
		r = optable_load(&table, &f->settings, 0, NULL, f->file, NULL, &f->e);
		assert_true(r == OPT_RUN || (r == -EINVAL && f->e.text[0] != '\0'));
		optable_done(&table, &f->settings);
	}
}

static void an_empty_file_leaves_the_defaults(void **state)
{
	static const char *const empty[] = {"", "# only this\n", "---\n", "{}\n", "kafka:\nlog: ~\n"};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(empty) / sizeof(*empty); i++) {
		assert_int_equal(load_text(f, empty[i]), OPT_RUN);
		assert_string_equal(f->settings.name, "here");
		assert_int_equal(f->settings.workers, 2);
		assert_int_equal(f->settings.brokers.count, 0);
		optable_done(&table, &f->settings);
	}
}

static void every_type_is_read_from_the_file(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load_text(f, "name: n 1\ngrpc: {tls: OFF}\nworkers: 64\nlog:\n  level: debug\nkafka:\n"
				      "  brokers:\n    - a:1\n    - b,c\n  linger: 250us\n  batch_size: 2KiB\n"),
			 OPT_RUN);
	assert_string_equal(f->settings.name, "n 1");
	assert_false(f->settings.tls);
	assert_int_equal(f->settings.workers, 64);
	assert_string_equal(f->settings.level, "debug");
	assert_int_equal(f->settings.brokers.count, 2);
	assert_string_equal(f->settings.brokers.items[1], "b,c");
	assert_int_equal(f->settings.linger_ns, 250000);
	assert_int_equal(f->settings.batch_bytes, 2048);
}

/* ---- flags ---------------------------------------------------------------------------------- */

static void wrong_flags_are_refused_by_name(void **state)
{
	static const struct {
		const char *args[2];
		const char *sentence;
	} cases[] = {
		{{"--workers"}, "flag --workers: found no value, allowed: --workers VALUE or --workers=VALUE"},
		{{"--workers", "--grpc-tls"},
		 "flag --workers: found no value, allowed: --workers VALUE or --workers=VALUE"},
		{{"--config"}, "flag --config: found no value, allowed: --config VALUE or --config=VALUE"},
		{{"--workers=0"}, "flag --workers: found '0', allowed: a whole number, 1 to 64"},
		{{"--grpc-tls=2"}, "flag --grpc-tls: found '2', allowed: true or false"},
		{{"--wrokers", "3"}, "unknown flag '--wrokers', did you mean '--workers'?"},
		{{"--chek-config"}, "unknown flag '--chek-config', did you mean '--check-config'?"},
		{{"--zzzzzz=secret"}, "unknown flag '--zzzzzz', --help lists the known ones"},
		{{"-q"}, "unknown flag '-q', --help lists the known ones"},
		{{"stray"}, "unexpected argument 'stray', --help shows the usage"},
		{{"--", "--workers"}, "unknown flag '--workers', did you mean '--workers'?"},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *argv[] = {"x", cases[i].args[0], cases[i].args[1], NULL};

		assert_int_equal(load_args(f, cases[i].args[1] ? 3 : 2, argv, NULL), -EINVAL);
		assert_string_equal(f->e.text, cases[i].sentence);
	}
}

static void flags_the_table_does_not_know_are_left_in_order(void **state)
{
	const char *argv[] = {"x", "--probe", "--workers", "7", "file", "--", "--name=b", NULL};
	_cleanup_(freep) char **rest = NULL;
	struct fixture *f = *state;

	assert_int_equal(load_args(f, 7, argv, &rest), OPT_RUN);
	assert_int_equal(f->settings.workers, 7);
	assert_string_equal(f->settings.name, "here");
	assert_string_equal(rest[0], "--probe");
	assert_string_equal(rest[1], "file");
	assert_string_equal(rest[2], "--name=b");
	assert_null(rest[3]);
	assert_int_equal(optable_refuse(&table, "--prob", &f->e), -EINVAL);
}

static void list_flags_add_up_and_replace_what_is_weaker(void **state)
{
	struct fixture *f = *state;
	const char *argv[] = {"x",   "--kafka-brokers", "a:1, b:2", "--config", f->file, "--kafka-brokers=c:3",
			      NULL};

	write_file(f, "kafka: {brokers: [z]}\n", 22);
	assert_int_equal(load_args(f, 6, argv, NULL), OPT_RUN);
	assert_int_equal(f->settings.brokers.count, 3);
	assert_string_equal(f->settings.brokers.items[0], "a:1");
	assert_string_equal(f->settings.brokers.items[1], "b:2");
	assert_string_equal(f->settings.brokers.items[2], "c:3");
}

static void help_and_version_win_over_errors(void **state)
{
	const char *help[] = {"x", "--nonsense", "--config", "/nowhere", "--help", NULL};
	const char *version[] = {"x", "--workers", "--version", NULL};

	assert_int_equal(load_args(*state, 5, help, NULL), OPT_HELP);
	optable_done(&table, &((struct fixture *)*state)->settings);
	assert_int_equal(load_args(*state, 3, version, NULL), OPT_VERSION);
}

static void check_and_print_still_read_everything(void **state)
{
	const char *check[] = {"x", "--check-config", "--workers=0", NULL};
	const char *print[] = {"x", "--print-config", "--workers=9", NULL};

	assert_int_equal(load_args(*state, 3, check, NULL), -EINVAL);
	assert_int_equal(load_args(*state, 3, print, NULL), OPT_PRINT_CONFIG);
	assert_int_equal(((struct fixture *)*state)->settings.workers, 9);
}

static void a_command_has_no_file(void **state)
{
	static const struct opt own[] = {{ROW("config", OPT_PATH, name, ""), .help = "somebody else's file"}};
	static const struct optable command = {
		.program = "nightjar test FILE", .summary = "Test", .opts = own, .count = 1, .command = true};
	const char *argv[] = {"x", "--config", "/nowhere", "file", NULL};
	const char *check[] = {"x", "--check-config", NULL};
	_cleanup_(freep) char **rest = NULL;
	_cleanup_buf_ struct buf help = {0};
	struct fixture *f = *state;

	assert_int_equal(optable_load(&command, &f->settings, 4, (char **)argv, NULL, &rest, &f->e), OPT_RUN);
	assert_string_equal(f->settings.name, "/nowhere");
	assert_string_equal(rest[0], "file");
	optable_done(&command, &f->settings);
	assert_int_equal(optable_load(&command, &f->settings, 2, (char **)check, NULL, NULL, &f->e), -EINVAL);
	optable_help(&command, &help);
	assert_memory_equal(buf_text(&help), "Usage: nightjar test FILE [FLAG VALUE]...\n", 42);
	assert_null(strstr(buf_text(&help), "--print-config"));
}

/* ---- environment and authority -------------------------------------------------------------- */

static void garbage_in_the_environment_names_the_variable(void **state)
{
	const char *argv[] = {"x", NULL};
	struct fixture *f = *state;

	assert_int_equal(setenv("NIGHTJAR_KAFKA_BATCH_SIZE", "\x1b[31m", 1), 0);
	assert_int_equal(load_args(f, 1, argv, NULL), -EINVAL);
	assert_string_equal(f->e.text, "environment NIGHTJAR_KAFKA_BATCH_SIZE: found the control character "
				       "0x1b, allowed: printable text");
	assert_int_equal(setenv("NIGHTJAR_KAFKA_BATCH_SIZE", "tcp://10.0.0.1:443", 1), 0);
	assert_int_equal(load_args(f, 1, argv, NULL), -EINVAL);
	assert_non_null(strstr(f->e.text, "NIGHTJAR_KAFKA_BATCH_SIZE: found 'tcp://10.0.0.1:443'"));
	assert_int_equal(unsetenv("NIGHTJAR_KAFKA_BATCH_SIZE"), 0);
}

static void variables_that_are_no_key_are_somebody_elses(void **state)
{
	const char *argv[] = {"x", NULL};

	assert_int_equal(setenv("NIGHTJAR_COLLECTOR_SERVICE_HOST", "10.0.0.1", 1), 0);
	assert_int_equal(load_args(*state, 1, argv, NULL), OPT_RUN);
	assert_int_equal(unsetenv("NIGHTJAR_COLLECTOR_SERVICE_HOST"), 0);
}

static void a_flag_wins_over_the_environment_and_that_over_files(void **state)
{
	struct fixture *f = *state;
	const char *argv[] = {"x", "--config", f->file, "--workers", "5", NULL};

	write_file(f, "workers: 3\nlog: {level: error}\nname: file\n", 42);
	assert_int_equal(setenv("NIGHTJAR_WORKERS", "4", 1), 0);
	assert_int_equal(setenv("NIGHTJAR_LOG_LEVEL", "debug", 1), 0);
	assert_int_equal(load_args(f, 5, argv, NULL), OPT_RUN);
	assert_int_equal(unsetenv("NIGHTJAR_WORKERS") | unsetenv("NIGHTJAR_LOG_LEVEL"), 0);
	assert_int_equal(f->settings.workers, 5);
	assert_string_equal(f->settings.level, "debug");
	assert_string_equal(f->settings.name, "file");
}

static void of_two_files_the_later_wins(void **state)
{
	struct fixture *f = *state;
	char second[160];
	const char *argv[] = {"x", "--config", f->file, "--config", second, NULL};
	FILE *out;

	(void)snprintf(second, sizeof(second), "%s/b.yaml", f->dir);
	write_file(f, "workers: 3\nname: a\n", 19);
	out = fopen(second, "we");
	assert_non_null(out);
	assert_true(fputs("workers: 8\n", out) >= 0);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(load_args(f, 5, argv, NULL), OPT_RUN);
	assert_int_equal(unlink(second), 0);
	assert_int_equal(f->settings.workers, 8);
	assert_string_equal(f->settings.name, "a");
}

/* ---- one value ------------------------------------------------------------------------------ */

static void a_refused_value_leaves_the_old_one(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(optable_set(&table, &f->settings, "kafka.brokers", "a,b", &f->e), 0);
	assert_int_equal(optable_set(&table, &f->settings, "kafka.brokers", "c,,d", &f->e), -EINVAL);
	assert_int_equal(f->settings.brokers.count, 2);
	assert_string_equal(f->settings.brokers.items[0], "a");
	assert_int_equal(optable_set(&table, &f->settings, "log.level", "error", &f->e), 0);
	assert_int_equal(optable_set(&table, &f->settings, "log.level", "err", &f->e), -EINVAL);
	assert_string_equal(f->settings.level, "error");
	assert_int_equal(optable_set(&table, &f->settings, "nothing.like.it", "1", &f->e), -EINVAL);
	assert_int_equal(optable_set(&table, &f->settings, "kafka.brokers", "a,", &f->e), -EINVAL);
}

/* ---- printing ------------------------------------------------------------------------------- */

static void secrets_are_shown_nowhere(void **state)
{
	static const char yaml[] = "kafka:\n  password: \"hunter2\\nhunter2\"\n";
	_cleanup_buf_ struct buf out = {0};
	struct fixture *f = *state;

	assert_int_equal(load_text(f, yaml), -EINVAL);
	assert_null(strstr(f->e.text, "hunter2"));
	assert_int_equal(load_text(f, "kafka: {password: [hunter2]}\n"), -EINVAL);
	assert_null(strstr(f->e.text, "hunter2"));
	assert_int_equal(load_text(f, "kafka: {password: hunter2}\n"), OPT_RUN);
	optable_print(&table, &f->settings, &out);
	assert_null(strstr(buf_text(&out), "hunter2"));
	assert_non_null(strstr(buf_text(&out), "  password: \"***\"\n"));
}

static void help_fits_a_terminal_and_has_every_flag(void **state)
{
	_cleanup_buf_ struct buf out = {0};
	const char *text, *end;

	(void)state;
	optable_help(&table, &out);
	text = buf_text(&out);
	assert_non_null(strstr(text, "  --kafka-batch-size SIZE\n"));
	assert_non_null(strstr(text, "  --grpc-tls[=BOOL]\n"));
	assert_non_null(strstr(text, "  --probe "));
	for (size_t i = 0; i < table.count; i++) {
		char first[24];

		(void)snprintf(first, sizeof(first), "%.20s", rows[i].help);
		assert_non_null(strstr(text, first));
	}
	for (; *text; text = end + 1) {
		end = strchr(text, '\n');
		assert_non_null(end);
		assert_true(end - text <= 80);
	}
}

static void the_sample_file_reads_back_as_the_defaults(void **state)
{
	_cleanup_buf_ struct buf sample = {0}, from_sample = {0}, from_nothing = {0};
	const char *argv[] = {"x", NULL};
	struct fixture *f = *state;

	optable_sample(&table, &sample);
	assert_int_equal(load_text(f, buf_text(&sample)), OPT_RUN);
	optable_print(&table, &f->settings, &from_sample);
	optable_done(&table, &f->settings);
	assert_int_equal(load_args(f, 1, argv, NULL), OPT_RUN);
	optable_print(&table, &f->settings, &from_nothing);
	assert_string_equal(buf_text(&from_sample), buf_text(&from_nothing));
	for (size_t i = 0; i < table.count; i++) {
		const char *dot = strchr(rows[i].key, '.');

		assert_non_null(strstr(buf_text(&sample), dot ? dot + 1 : rows[i].key));
	}
}

static void what_is_printed_reads_back_the_same(void **state)
{
	_cleanup_buf_ struct buf once = {0}, again = {0};
	struct fixture *f = *state;

	assert_int_equal(load_text(f, "name: 'a \"b\" \\ # c'\nkafka: {brokers: ['yes', '- x', 1], linger: 0s}\n"),
			 OPT_RUN);
	optable_print(&table, &f->settings, &once);
	optable_done(&table, &f->settings);
	assert_int_equal(load_text(f, buf_text(&once)), OPT_RUN);
	assert_string_equal(f->settings.name, "a \"b\" \\ # c");
	optable_print(&table, &f->settings, &again);
	assert_string_equal(buf_text(&once), buf_text(&again));
}

static void the_reference_has_a_row_for_every_option(void **state)
{
	_cleanup_buf_ struct buf out = {0};

	(void)state;
	optable_reference(&table, &out);
	assert_non_null(strstr(buf_text(&out), "| `kafka.linger` | how long a record may wait"));
	assert_non_null(strstr(buf_text(&out), "`NIGHTJAR_KAFKA_BATCH_SIZE` | `--kafka-batch-size` | no |"));
	for (size_t i = 0; i < table.count; i++) {
		char cell[64];

		(void)snprintf(cell, sizeof(cell), "| `%s` |", rows[i].key);
		assert_non_null(strstr(buf_text(&out), cell));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_unknown_key_names_its_place_and_the_key_that_was_meant),
		TEST(an_unknown_key_far_from_all_points_to_help),
		TEST(a_value_of_the_wrong_type_says_what_is_allowed),
		TEST(numbers_are_decimal_whole_and_fit),
		TEST(a_value_out_of_bounds_names_them),
		TEST(a_key_without_a_value_is_refused_where_one_is_needed),
		TEST(a_repeated_key_or_section_names_both_lines),
		TEST(values_and_sections_are_not_mixed_up),
		TEST(nesting_too_deep_is_refused),
		TEST(what_is_not_a_mapping_is_refused),
		TEST(tabs_are_named),
		TEST(broken_yaml_is_refused_where_it_breaks),
		TEST(control_characters_and_endless_values_are_refused),
		TEST(a_file_that_cannot_be_read_says_why),
		TEST(a_file_too_large_is_not_parsed),
		TEST(a_file_cut_at_every_byte_is_read_or_refused_with_a_sentence),
		TEST(an_empty_file_leaves_the_defaults),
		TEST(every_type_is_read_from_the_file),
		TEST(wrong_flags_are_refused_by_name),
		TEST(flags_the_table_does_not_know_are_left_in_order),
		TEST(list_flags_add_up_and_replace_what_is_weaker),
		TEST(help_and_version_win_over_errors),
		TEST(check_and_print_still_read_everything),
		TEST(a_command_has_no_file),
		TEST(garbage_in_the_environment_names_the_variable),
		TEST(variables_that_are_no_key_are_somebody_elses),
		TEST(a_flag_wins_over_the_environment_and_that_over_files),
		TEST(of_two_files_the_later_wins),
		TEST(a_refused_value_leaves_the_old_one),
		TEST(secrets_are_shown_nowhere),
		TEST(help_fits_a_terminal_and_has_every_flag),
		TEST(the_sample_file_reads_back_as_the_defaults),
		TEST(what_is_printed_reads_back_the_same),
		TEST(the_reference_has_a_row_for_every_option),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
