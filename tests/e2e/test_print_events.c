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
	unsigned int lines = 0, execs = 0;
	char *save = NULL;

	(void)state;
	if (harness_skip_reason()[0]) {
		printf("SKIP %s\n", harness_skip_reason());
		skip();
	}
	product_start(&agent, argv, NULL, NULL);
	assert_true(product_says(&agent, "capture is live", PRODUCT_READY_MS));
	start_marked_program();
	assert_true(product_says(&agent, MARK, PRODUCT_SAY_MS));
	assert_true(product_says(&agent, "\n", PRODUCT_SAY_MS));
	assert_int_equal(product_stop(&agent), 0);
	buf_add_byte(&agent.text, '\0');
	for (char *line = strtok_r((char *)agent.text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		json_t *event;

		if (strncmp(line, "nightjar-agent: ", 16) == 0)
			continue;
		event = json_loads(line, 0, NULL);
		if (!event)
			fail_msg("not JSON: %s", line);
		lines++;
		execs += is_the_exec(event);
		json_decref(event);
	}
	product_done(&agent);
	assert_true(lines > 1);
	assert_int_equal(execs, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_are_printed_one_json_object_a_line),
	};

	return cmocka_run_group_tests_name("print_events", tests, NULL, NULL);
}
