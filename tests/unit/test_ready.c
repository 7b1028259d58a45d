/* The ready line: what is none, and what is said is read again. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <unistd.h>

#include "common/ready.h"

static void other_lines_are_not_taken_for_it(void **state)
{
	static const char *const others[] = {
		"",
		": ready x=1",
		"nightjar-agent: error: cannot read 'a: ready b'",
		"nightjar-agent: ready",
		"nightjar-agent: almost ready x=1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		assert_null(ready_words(others[i]));
}

static void values_are_found_whole_or_not_at_all(void **state)
{
	const char *words = ready_words("p: ready grpc=h:1 xgrpc=no http= last=2\n");
	char value[8] = "same";

	(void)state;
	assert_non_null(words);
	assert_false(ready_value(words, "rpc", value, sizeof(value)));
	assert_false(ready_value(words, "grpc=h", value, sizeof(value)));
	assert_false(ready_value(words, "grpc", value, 3));
	assert_string_equal(value, "same");
	assert_true(ready_value(words, "grpc", value, sizeof(value)));
	assert_string_equal(value, "h:1");
	assert_true(ready_value(words, "http", value, sizeof(value)));
	assert_string_equal(value, "");
	assert_true(ready_value(words, "last", value, sizeof(value)));
	assert_string_equal(value, "2");
}

static void what_is_said_is_one_line_that_is_read_again(void **state)
{
	char longer[4096], line[1024] = "", value[16];
	int fds[2], old = dup(STDERR_FILENO);
	ssize_t n;

	(void)state;
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
	ready_say("nightjar-agent", "node=%s", "n1");
	n = read(fds[0], line, sizeof(line) - 1);
	ready_say("nightjar-agent", "node=%s", longer);
	assert_true(read(fds[0], longer, sizeof(longer)) == 2047);
	assert_true(dup2(old, STDERR_FILENO) >= 0);
	assert_int_equal(close(old) | close(fds[0]) | close(fds[1]), 0);
	assert_true(n > 0);
	assert_string_equal(line, "nightjar-agent: ready node=n1\n");
	assert_true(ready_value(ready_words(line), "node", value, sizeof(value)));
	assert_string_equal(value, "n1");
	assert_int_equal(longer[2046], '\n');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(other_lines_are_not_taken_for_it),
		cmocka_unit_test(values_are_found_whole_or_not_at_all),
		cmocka_unit_test(what_is_said_is_one_line_that_is_read_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
