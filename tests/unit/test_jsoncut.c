/* The cutter of JSON streams: text cut at every byte gives the same objects, what is too large is passed
 * over, what is no JSON of this shape or never ends is refused. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>

#include "collector/kube/jsoncut.h"

#define FOUND_MAX 8

struct found {
	uint32_t count;
	enum jsoncut_place places[FOUND_MAX];
	char texts[FOUND_MAX][64];
	int answer; /* that visit gives */
};

static int visit(void *ctx, enum jsoncut_place place, struct bytes object)
{
	struct found *f = (struct found *)ctx;

	assert_true(f->count < FOUND_MAX && object.len < sizeof(f->texts[0]));
	f->places[f->count] = place;
	memcpy(f->texts[f->count], object.data, object.len);
	f->texts[f->count++][object.len] = '\0';
	return f->answer;
}

static int feed(struct jsoncut *c, const char *text, size_t cut)
{
	struct bytes first = bytes_of(text, cut), second = bytes_of(text + cut, strlen(text) - cut);
	int r;

	jsoncut_restart(c);
	r = jsoncut_feed(c, first);
	return r < 0 ? r : jsoncut_feed(c, second);
}

static void what_is_no_json_of_this_shape_is_refused(void **state)
{
	static const char *const bad[] = {"x", "{}x", "}", "[]", "[{}]", "\"a\"", "{}}", "<html>", "null"};
	struct found f = {0};
	struct jsoncut c = {.mode = JSONCUT_STREAM, .max = 64, .visit = visit, .ctx = &f};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		f.count = 0;
		assert_int_equal(feed(&c, bad[i], 0), -EBADMSG);
	}
	c.mode = JSONCUT_LIST;
	assert_int_equal(feed(&c, "{}{}", 0), -EBADMSG);
	jsoncut_done(&c);
}

static void nothing_is_nothing(void **state)
{
	struct found f = {0};
	struct jsoncut c = {.mode = JSONCUT_STREAM, .max = 64, .visit = visit, .ctx = &f};

	(void)state;
	assert_int_equal(feed(&c, "", 0), 0);
	assert_int_equal(feed(&c, " \n\r\t", 0), 0);
	assert_true(jsoncut_is_whole(&c));
	c.mode = JSONCUT_LIST;
	jsoncut_restart(&c);
	assert_false(jsoncut_is_whole(&c));
	assert_int_equal(f.count, 0);
	jsoncut_done(&c);
}

static void a_stream_cut_anywhere_gives_its_objects(void **state)
{
	static const char text[] = "{\"a\":{\"b\":[1,{}]}}\n{\"s\":\"}{][\\\"\\\\\"}\n\n{}";
	struct found f;
	struct jsoncut c = {.mode = JSONCUT_STREAM, .max = 64, .visit = visit, .ctx = &f};

	(void)state;
	for (size_t cut = 0; cut < sizeof(text); cut++) {
		f = (struct found){0};
		assert_int_equal(feed(&c, text, cut), 0);
		assert_int_equal(f.count, 3);
		assert_string_equal(f.texts[0], "{\"a\":{\"b\":[1,{}]}}");
		assert_string_equal(f.texts[1], "{\"s\":\"}{][\\\"\\\\\"}");
		assert_string_equal(f.texts[2], "{}");
		assert_int_equal(f.places[0], JSONCUT_OBJECT);
		assert_true(jsoncut_is_whole(&c));
	}
	jsoncut_done(&c);
}

static void a_list_cut_anywhere_gives_its_metadata_and_items(void **state)
{
	static const char text[] =
		"{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[{\"a\":[{}]}, {\"b\":{}}]}\n";
	struct found f;
	struct jsoncut c = {.mode = JSONCUT_LIST, .max = 64, .visit = visit, .ctx = &f};

	(void)state;
	for (size_t cut = 0; cut < sizeof(text); cut++) {
		f = (struct found){0};
		assert_int_equal(feed(&c, text, cut), 0);
		assert_int_equal(f.count, 3);
		assert_int_equal(f.places[0], JSONCUT_MEMBER);
		assert_string_equal(f.texts[0], "{\"resourceVersion\":\"7\"}");
		assert_int_equal(f.places[1], JSONCUT_ITEM);
		assert_string_equal(f.texts[1], "{\"a\":[{}]}");
		assert_string_equal(f.texts[2], "{\"b\":{}}");
		assert_true(jsoncut_is_whole(&c));
	}
	jsoncut_done(&c);
}

static void a_list_that_is_cut_off_is_not_whole(void **state)
{
	static const char text[] = "{\"items\":[{}],\"metadata\":{}}";
	struct found f = {0};
	struct jsoncut c = {.mode = JSONCUT_LIST, .max = 64, .visit = visit, .ctx = &f};

	(void)state;
	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		f.count = 0;
		jsoncut_restart(&c);
		assert_int_equal(jsoncut_feed(&c, bytes_of(text, len)), 0);
		assert_false(jsoncut_is_whole(&c));
	}
	jsoncut_done(&c);
}

static void an_object_that_is_too_large_is_passed_over_and_counted(void **state)
{
	struct found f = {0};
	struct jsoncut c = {.mode = JSONCUT_STREAM, .max = 8, .visit = visit, .ctx = &f};

	(void)state;
	assert_int_equal(feed(&c, "{\"a\":1}{\"large\":\"very\"}{\"b\":2}", 12), 0);
	assert_int_equal(c.too_large, 1);
	assert_int_equal(f.count, 2);
	assert_string_equal(f.texts[1], "{\"b\":2}");
	jsoncut_done(&c);
}

static void an_object_that_never_ends_is_refused(void **state)
{
	struct found f = {0};
	struct jsoncut c = {.mode = JSONCUT_STREAM, .max = 8, .visit = visit, .ctx = &f};
	char text[64];
	int r = 0;
	size_t fed = 0;

	(void)state;
	memset(text, ' ', sizeof(text));
	jsoncut_restart(&c);
	assert_int_equal(jsoncut_feed(&c, bytes_of_text("{\"")), 0);
	for (; r == 0 && fed < 1 << 20; fed += sizeof(text))
		r = jsoncut_feed(&c, bytes_of(text, sizeof(text)));
	assert_int_equal(r, -EMSGSIZE);
	assert_true(fed <= (size_t)8 * JSONCUT_ENDLESS + sizeof(text));
	assert_true(c.object.cap <= 4096);
	jsoncut_done(&c);
}

static void what_visit_refuses_ends_the_feed(void **state)
{
	struct found f = {.answer = -EPERM};
	struct jsoncut c = {.mode = JSONCUT_STREAM, .max = 64, .visit = visit, .ctx = &f};

	(void)state;
	assert_int_equal(feed(&c, "{}{}", 0), -EPERM);
	assert_int_equal(f.count, 1);
	jsoncut_done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_json_of_this_shape_is_refused),
		cmocka_unit_test(nothing_is_nothing),
		cmocka_unit_test(a_stream_cut_anywhere_gives_its_objects),
		cmocka_unit_test(a_list_cut_anywhere_gives_its_metadata_and_items),
		cmocka_unit_test(a_list_that_is_cut_off_is_not_whole),
		cmocka_unit_test(an_object_that_is_too_large_is_passed_over_and_counted),
		cmocka_unit_test(an_object_that_never_ends_is_refused),
		cmocka_unit_test(what_visit_refuses_ends_the_feed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
