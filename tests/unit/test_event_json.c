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
	assert_null(json_object_get(json_object_get(parsed, "process"), "namespaces"));
	assert_null(json_object_get(json_object_get(parsed, "process"), "exe_flags"));
	assert_null(json_object_get(parsed, "call"));
	assert_null(json_object_get(parsed, "args"));
	assert_null(json_object_get(parsed, "data"));
	assert_null(json_object_get(parsed, "target"));
	assert_null(json_object_get(parsed, "marks"));
	assert_null(json_object_get(parsed, "namespaces"));
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

static void the_detail_has_names_that_people_know(void **state)
{
	const struct event event = sample_event(EVENT_KIND_RENAME, 1);
	json_t *parsed = written(&event), *target, *args, *namespaces;

	(void)state;
	assert_string_equal(text(parsed, "call"), "renameat2");
	assert_string_equal(text(json_object_get(parsed, "file"), "path"), "/etc/shadow");
	assert_string_equal(text(parsed, "raw_path"), "../etc/shadow");
	assert_string_equal(text(parsed, "path2"), "/etc/shadow.new");
	assert_string_equal(text(parsed, "raw_path2"), "shadow.new");
	assert_string_equal(text(parsed, "text"), "overlay");
	args = json_object_get(parsed, "args");
	assert_int_equal(json_array_size(args), 6);
	assert_string_equal(json_string_value(json_array_get(args, 0)), "18446744073709551615");
	assert_string_equal(json_string_value(json_array_get(args, 5)), "0");
	target = json_object_get(parsed, "target");
	assert_string_equal(text(target, "exec_id"), "0000000000000005");
	assert_int_equal(json_integer_value(json_object_get(target, "pid")), 0);
	assert_null(json_object_get(target, "comm"));
	namespaces = json_object_get(parsed, "namespaces");
	assert_int_equal(json_integer_value(json_object_get(namespaces, "mnt")), 4026531841);
	assert_int_equal(json_integer_value(json_object_get(namespaces, "time")), 8);
	json_decref(parsed);
}

static void a_target_says_what_it_runs(void **state)
{
	struct event event = sample_event(EVENT_KIND_PTRACE, 1);
	struct event_detail detail = sample_detail;
	json_t *parsed, *target;

	(void)state;
	detail.target = &sample_shell;
	event.detail = &detail;
	parsed = written(&event);
	target = json_object_get(parsed, "target");
	assert_string_equal(text(target, "comm"), "bash");
	assert_string_equal(text(json_object_get(target, "exe"), "path"), "/usr/bin/bash");
	json_decref(parsed);
}

static void data_is_base64_and_text_too_where_it_is_one(void **state)
{
	struct event event = sample_event(EVENT_KIND_FIRST_BYTES, 1);
	struct event_detail detail = sample_detail;
	json_t *parsed = written(&event);

	(void)state;
	assert_string_equal(text(parsed, "data"), "YQBi/w==");
	assert_null(json_object_get(parsed, "data_text"));
	json_decref(parsed);
	detail.data = bytes_of("sh\0-c\0", 6);
	event.detail = &detail;
	parsed = written(&event);
	assert_string_equal(text(parsed, "data"), "c2gALWMA");
	assert_int_equal(json_string_length(json_object_get(parsed, "data_text")), 6);
	json_decref(parsed);
	detail.data = bytes_of("\033[2J", 4); /* a terminal would obey */
	parsed = written(&event);
	assert_null(json_object_get(parsed, "data_text"));
	json_decref(parsed);
}

static void a_file_that_was_not_seen_is_not_called_deleted(void **state)
{
	struct event event = sample_event(EVENT_KIND_UNLINK, 1);
	json_t *parsed;

	(void)state;
	event.file.nlink = 0;
	parsed = written(&event);
	assert_non_null(json_object_get(json_object_get(parsed, "file"), "nlink"));
	json_decref(parsed);
	event.file = (struct file_info){.path = "/tmp/x"};
	parsed = written(&event);
	assert_string_equal(text(json_object_get(parsed, "file"), "path"), "/tmp/x");
	assert_null(json_object_get(json_object_get(parsed, "file"), "nlink"));
	json_decref(parsed);
}

static void marks_and_flags_are_words(void **state)
{
	struct event event = sample_event(EVENT_KIND_OPEN, 1);
	json_t *parsed, *list;

	(void)state;
	event.marks = 0xffffffff;
	parsed = written(&event);
	list = json_object_get(parsed, "marks");
	assert_int_equal(json_array_size(list), 8);
	assert_string_equal(json_string_value(json_array_get(list, 0)), "path_cut");
	assert_string_equal(json_string_value(json_array_get(list, 7)), "unreadable");
	list = json_object_get(json_object_get(parsed, "process"), "exe_flags");
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(json_string_value(json_array_get(list, 0)), "writable");
	assert_string_equal(json_string_value(json_array_get(list, 1)), "memfd");
	json_decref(parsed);
}

static void repeats_say_how_many_and_since_when(void **state)
{
	struct event event = sample_event(EVENT_KIND_OPEN, 1);
	json_t *parsed;

	(void)state;
	event.repeats = 41;
	event.first_ns = 2000000000;
	parsed = written(&event);
	assert_string_equal(text(parsed, "repeats"), "41");
	assert_string_equal(text(parsed, "first_time"), "1970-01-01T00:00:03Z");
	assert_string_equal(text(parsed, "first_ns"), "2000000000");
	json_decref(parsed);
	event.repeats = 0;
	parsed = written(&event);
	assert_null(json_object_get(parsed, "repeats"));
	assert_null(json_object_get(parsed, "first_time"));
	json_decref(parsed);
}

static void a_process_has_its_whole_identity(void **state)
{
	const struct event event = sample_event(EVENT_KIND_EXEC, 1);
	json_t *parsed = written(&event), *process = json_object_get(parsed, "process");

	(void)state;
	assert_string_equal(text(process, "comm"), "bash");
	assert_string_equal(text(process, "exe_raw"), "./bash");
	assert_string_equal(text(process, "exe_ctime"), "2023-11-14T22:13:20.000000001Z");
	assert_int_equal(json_integer_value(json_object_get(process, "vpid")), 42);
	assert_int_equal(json_integer_value(json_object_get(process, "pgid")), 4100);
	assert_int_equal(json_integer_value(json_object_get(process, "suid")), 37);
	assert_string_equal(text(process, "cap_inheritable"), "00000000000007ff");
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(process, "namespaces"), "pid")),
		2);
	json_decref(parsed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_that_are_no_text_still_make_json),
		cmocka_unit_test(an_event_with_nothing_set_has_no_empty_fields),
		cmocka_unit_test(every_kind_names_itself_and_its_process),
		cmocka_unit_test(addresses_and_times_are_as_people_write_them),
		cmocka_unit_test(the_detail_has_names_that_people_know),
		cmocka_unit_test(a_target_says_what_it_runs),
		cmocka_unit_test(data_is_base64_and_text_too_where_it_is_one),
		cmocka_unit_test(a_file_that_was_not_seen_is_not_called_deleted),
		cmocka_unit_test(marks_and_flags_are_words),
		cmocka_unit_test(repeats_say_how_many_and_since_when),
		cmocka_unit_test(a_process_has_its_whole_identity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
