/* Events as JSON lines: valid JSON whatever the bytes, and the names that scripts rely on. */
#include "tests/unit/wire_sample.h"

#include <jansson.h>

#include "common/event_json.h"

static json_t *written(const struct event *event)
{
	_cleanup_buf_ struct buf line = {0};
	json_t *parsed;

	assert_int_equal(event_json_write(event, 1000000000, &line), 0);
	assert_int_equal(line.data[line.len - 1], '\n');
	assert_null(memchr(line.data, '\n', line.len - 1));
	parsed = json_loadb((const char *)line.data, line.len, JSON_ALLOW_NUL, NULL);
	assert_non_null(parsed);
	return parsed;
}

static const char *text(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

static void bytes_that_are_no_text_still_make_json(void **state)
{
	struct event event = sample_event(EVENT_KIND_OPEN, 1);
	json_t *parsed, *args;

	(void)state;
	event.raw_path = "\xff\"\\\n";
	parsed = written(&event);
	assert_string_equal(text(parsed, "raw_path"), "\xef\xbf\xbd\"\\\n");
	args = json_object_get(json_object_get(parsed, "process"), "args");
	assert_int_equal(json_array_size(args), 3);
	assert_int_equal(json_string_length(json_array_get(args, 1)), 0);
	json_decref(parsed);
}

static void an_event_with_nothing_set_has_no_empty_fields(void **state)
{
	const struct event event = {
		.kind = EVENT_KIND_EXIT, .process = &sample_bare, .file = {.path = ""}, .raw_path = ""};
	json_t *parsed = written(&event);

	(void)state;
	assert_null(json_object_get(parsed, "endpoints"));
	assert_null(json_object_get(parsed, "raw_path"));
	assert_null(json_object_get(json_object_get(parsed, "process"), "exe"));
	json_decref(parsed);
}

static void every_kind_names_itself_and_its_process(void **state)
{
	struct process_def child = sample_child();

	(void)state;
	for (int kind = 1; kind < EVENT_KIND_MAX; kind++) {
		struct event event = sample_event((enum event_kind)kind, 7);
		json_t *parsed;

		event.child = kind == EVENT_KIND_FORK ? &child : NULL;
		parsed = written(&event);
		assert_string_equal(text(parsed, "event"), event_kind_name((enum event_kind)kind));
		assert_string_equal(text(parsed, "seq"), "7");
		assert_string_equal(text(json_object_get(parsed, "process"), "exec_id"), "fedcba9876543210");
		json_decref(parsed);
	}
}

static void addresses_and_times_are_as_people_write_them(void **state)
{
	struct event event = sample_event(EVENT_KIND_CONNECT, 1);
	json_t *parsed, *endpoint;

	(void)state;
	event.time_ns = 500000000;
	parsed = written(&event);
	assert_string_equal(text(parsed, "time"), "1970-01-01T00:00:01.500Z");
	endpoint = json_array_get(json_object_get(parsed, "endpoints"), ENDPOINT_KIND_TCP);
	assert_string_equal(text(endpoint, "kind"), "tcp");
	assert_string_equal(text(endpoint, "remote_ip"), "192.0.2.1");
	assert_int_equal(json_integer_value(json_object_get(endpoint, "remote_port")), 443);
	endpoint = json_array_get(json_object_get(parsed, "endpoints"), ENDPOINT_KIND_UDP);
	assert_string_equal(text(endpoint, "remote_ip"), "2001:db8::1");
	json_decref(parsed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_that_are_no_text_still_make_json),
		cmocka_unit_test(an_event_with_nothing_set_has_no_empty_fields),
		cmocka_unit_test(every_kind_names_itself_and_its_process),
		cmocka_unit_test(addresses_and_times_are_as_people_write_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
