/* Tables: what does not fit is cut where it may be, what may not be cut never is. */
#include "tests/unit/unit.h"

#include "tools/nightjar/columns.h"

static const struct column with_below[] = {{"A", 0}, {"TEXT", COLUMN_BELOW}, {"B", 0}};

static void a_long_column_goes_below_when_not_all_fits(void **state)
{
	const char *cells[] = {"a", "one two three", "b", "aa", "x", "bb"};
	_cleanup_buf_ struct buf out = {0};

	(void)state;
	columns_write(&out, with_below, 3, cells, 2, 21);
	assert_string_equal(buf_text(&out), "A   TEXT           B\na   one two three  b\naa  x              bb\n");
	buf_clear(&out);
	columns_write(&out, with_below, 3, cells, 2, 12);
	assert_string_equal(buf_text(&out), "A   B\na   b\n    one two…\naa  bb\n    x\n");
	buf_clear(&out);
	columns_write(&out, with_below, 2, cells + 1, 0, 5); /* the last column */
	assert_string_equal(buf_text(&out), "A\n");
}

static const struct column two[] = {{"ID", 0}, {"TEXT", 6}};

static void nothing_to_show_is_a_heading(void **state)
{
	_cleanup_buf_ struct buf out = {0};

	(void)state;
	columns_write(&out, two, 0, NULL, 0, 80);
	assert_int_equal(out.len, 0);
	columns_write(&out, two, 2, NULL, 0, 80);
	assert_string_equal(buf_text(&out), "ID  TEXT\n");
}

static void columns_are_as_wide_as_their_longest_cell(void **state)
{
	const char *cells[] = {"1", "short", "12345", "a longer text"};
	_cleanup_buf_ struct buf out = {0};

	(void)state;
	columns_write(&out, two, 2, cells, 2, 0);
	assert_string_equal(buf_text(&out), "ID     TEXT\n1      short\n12345  a longer text\n");
}

static void only_what_may_be_cut_is_cut(void **state)
{
	const char *cells[] = {"12345", "a longer text"};
	_cleanup_buf_ struct buf out = {0};

	(void)state;
	columns_write(&out, two, 2, cells, 1, 15);
	assert_string_equal(buf_text(&out), "ID     TEXT\n12345  a longe…\n");
	buf_clear(&out);
	columns_write(&out, two, 2, cells, 1, 3);
	assert_string_equal(buf_text(&out), "ID     TEXT\n12345  a lon…\n");
}

static void the_widest_gives_first(void **state)
{
	static const struct column both[] = {{"A", 2}, {"B", 2}};
	const char *cells[] = {"aaaa", "bbbbbbbb"};
	_cleanup_buf_ struct buf out = {0};

	(void)state;
	columns_write(&out, both, 2, cells, 1, 10);
	assert_string_equal(buf_text(&out), "A     B\naaaa  bbb…\n");
}

static void cells_cannot_move_the_cursor(void **state)
{
	const char *cells[] = {"\x1b[2J", "a\nb"};
	_cleanup_buf_ struct buf out = {0};

	(void)state;
	columns_write(&out, two, 2, cells, 1, 0);
	assert_null(strchr(buf_text(&out), '\x1b'));
	assert_non_null(strstr(buf_text(&out), "a\xef\xbf\xbd" "b\n"));
}

static void characters_count_not_bytes(void **state)
{
	const char *cells[] = {"\xc3\xa9\xc3\xa9\xc3\xa9", "x", "abc", "y"};
	_cleanup_buf_ struct buf out = {0};

	(void)state;
	columns_write(&out, two, 2, cells, 2, 0);
	assert_string_equal(buf_text(&out), "ID   TEXT\n\xc3\xa9\xc3\xa9\xc3\xa9  x\nabc  y\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_long_column_goes_below_when_not_all_fits),
		cmocka_unit_test(nothing_to_show_is_a_heading),
		cmocka_unit_test(columns_are_as_wide_as_their_longest_cell),
		cmocka_unit_test(only_what_may_be_cut_is_cut),
		cmocka_unit_test(the_widest_gives_first),
		cmocka_unit_test(cells_cannot_move_the_cursor),
		cmocka_unit_test(characters_count_not_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
