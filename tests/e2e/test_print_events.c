/* nightjar-agent --print-events: what this host does, as lines of JSON, without a collector. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "tests/e2e/harness.h"
#include "tests/e2e/product.h"

#define MARK "nightjar-print-events-mark"

static void start_marked_program(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		execl("/bin/true", "true", MARK, "two words", NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* A file under a name that is marked gets another one. */
static void rename_marked_file(char to[64])
{
	char from[] = "/tmp/" MARK "-XXXXXX";
	int fd = mkstemp(from);

	assert_true(fd >= 0);
	(void)close(fd);
	(void)snprintf(to, 64, "%s-b", from);
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(unlink(to), 0);
}

static bool says(const json_t *object, const char *name, const char *text)
{
	const char *value = json_string_value(json_object_get(object, name));

	return value && strcmp(value, text) == 0;
}

static bool is_the_rename(const json_t *event, const char *to)
{
	return says(event, "event", "rename") && says(event, "path2", to) &&
	       says(event, "raw_path2", to) && json_string_value(json_object_get(event, "call")) &&
	       json_object_get(json_object_get(event, "file"), "inode");
}

static bool is_the_exec(const json_t *event)
{
	const json_t *process = json_object_get(event, "process");
	const json_t *args = json_object_get(process, "args");
	const char *kind = json_string_value(json_object_get(event, "event"));

	return kind && strcmp(kind, "exec") == 0 && json_array_size(args) == 3 &&
	       strcmp(json_string_value(json_array_get(args, 0)), "true") == 0 &&
	       strcmp(json_string_value(json_array_get(args, 1)), MARK) == 0 &&
	       strcmp(json_string_value(json_array_get(args, 2)), "two words") == 0;
}

static void events_are_printed_one_json_object_a_line(void **state)
{
	static const char *const argv[] = {"nightjar-agent", "--print-events", NULL};
	struct product agent = PRODUCT_NONE;
	unsigned int lines = 0, execs = 0, renames = 0;
	char to[64];
	char *save = NULL;

	(void)state;
	if (harness_skip_reason()[0]) {
		printf("SKIP %s\n", harness_skip_reason());
		skip();
	}
	product_start(&agent, argv, NULL, NULL);
	assert_true(product_says(&agent, "capture is live", PRODUCT_READY_MS));
	rename_marked_file(to);
	start_marked_program();
	assert_true(product_says(&agent, "\"" MARK "\"", PRODUCT_SAY_MS));
	assert_true(product_says(&agent, "\n", PRODUCT_SAY_MS));
	assert_int_equal(product_stop(&agent), 0);
	buf_add_byte(&agent.text, '\0');
	for (char *line = strtok_r((char *)agent.text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		json_t *event;

		if (strncmp(line, "nightjar-agent: ", 16) == 0)
			continue;
		event = json_loads(line, 0, NULL);
		if (!event)
			fail_msg("not JSON: …%s", line + (strlen(line) > 600 ? strlen(line) - 600 : 0));
		lines++;
		execs += is_the_exec(event);
		renames += is_the_rename(event, to);
		json_decref(event);
	}
	product_done(&agent);
	assert_true(lines > 1);
	assert_int_equal(execs, 1);
	assert_int_equal(renames, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_are_printed_one_json_object_a_line),
	};

	return cmocka_run_group_tests_name("print_events", tests, NULL, NULL);
}
