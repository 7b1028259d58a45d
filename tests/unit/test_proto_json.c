/* Messages to JSON: hostile text, limits, and the same content as a JSON parser reads it. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <float.h>
#include <jansson.h>
#include <math.h>

#include "common/proto_json.h"
#include "nightjar/v1/agent.pb-c.h"
#include "nightjar/v1/query.pb-c.h"
#include "tests/unit/alert_sample.h"

/* What a strict parser makes of the message; the caller decrefs. */
static json_t *parsed(const ProtobufCMessage *m)
{
	_cleanup_buf_ struct buf out = {0};
	json_error_t error;
	json_t *root;

	assert_int_equal(proto_json_write(&out, m), 0);
	root = json_loadb((const char *)out.data, out.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	if (!root)
		fail_msg("%s in %s", error.text, buf_text(&out));
	return root;
}

static const char *text_at(json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	if (!text)
		fail_msg("no text '%s'", name);
	return text;
}

static void a_message_nested_too_deep_is_refused_and_leaves_nothing(void **state)
{
	Nightjar__V1__AlertProcess chain[PROTO_JSON_DEPTH_MAX + 1];
	_cleanup_buf_ struct buf out = {0};

	(void)state;
	for (int i = 0; i <= PROTO_JSON_DEPTH_MAX; i++) {
		nightjar__v1__alert_process__init(&chain[i]);
		chain[i].parent = i < PROTO_JSON_DEPTH_MAX ? &chain[i + 1] : NULL;
	}
	buf_add_text(&out, "kept");
	assert_int_equal(proto_json_write(&out, &chain[0].base), -ELOOP);
	assert_string_equal(buf_text(&out), "kept");
	assert_int_equal(proto_json_write(&out, &chain[1].base), 0);
}

static void a_buffer_without_room_is_an_error_and_leaves_nothing(void **state)
{
	struct alert_sample s;
	size_t whole;
	_cleanup_buf_ struct buf out = {0};

	(void)state;
	alert_sample_fill(&s);
	assert_int_equal(proto_json_write(&out, &s.alert.base), 0);
	whole = out.len;
	for (size_t max = 1; max < whole; max += 7) {
		_cleanup_buf_ struct buf small = buf_with_max(max);

		assert_int_equal(proto_json_write(&small, &s.alert.base), -EMSGSIZE);
		assert_int_equal(small.len, 0);
	}
}

static void every_byte_in_a_text_gives_valid_json(void **state)
{
	Nightjar__V1__GetAlertRequest m = NIGHTJAR__V1__GET_ALERT_REQUEST__INIT;
	char text[4] = "a?b";

	(void)state;
	m.id = text;
	for (int c = 1; c < 256; c++) {
		char expected[8];
		json_t *root;

		text[1] = (char)c;
		(void)snprintf(expected, sizeof(expected), c < 0x80 ? "a%cb" : "a\xef\xbf\xbd" "b", c);
		root = parsed(&m.base);
		assert_string_equal(text_at(root, "id"), expected);
		json_decref(root);
	}
}

static void a_zero_byte_in_a_string_is_escaped(void **state)
{
	_cleanup_buf_ struct buf out = {0};

	(void)state;
	proto_json_string(&out, bytes_of("a\0\x1f\"\\\n", 6));
	assert_string_equal(buf_text(&out), "\"a\\u0000\\u001f\\\"\\\\\\n\"");
}

static void times_outside_the_calendar_are_null(void **state)
{
	static const int64_t bad[][2] = {{-62135596801, 0}, {253402300800, 0}, {INT64_MIN, 0}, {INT64_MAX, 0},
					 {0, -1}, {0, 1000000000}};
	_cleanup_buf_ struct buf out = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		Nightjar__V1__Node m = NIGHTJAR__V1__NODE__INIT;
		Google__Protobuf__Timestamp t = GOOGLE__PROTOBUF__TIMESTAMP__INIT;

		t.seconds = bad[i][0];
		t.nanos = (int32_t)bad[i][1];
		m.last_seen = &t;
		buf_clear(&out);
		assert_int_equal(proto_json_write(&out, &m.base), 0);
		assert_string_equal(buf_text(&out), "{\"last_seen\":null}");
	}
}

static void times_take_as_many_digits_as_they_need(void **state)
{
	static const struct {
		int64_t seconds;
		int32_t nanos;
		const char *text;
	} cases[] = {
		{0, 0, "1970-01-01T00:00:00Z"},
		{1, 500000000, "1970-01-01T00:00:01.500Z"},
		{1764016996, 123456000, "2025-11-24T20:43:16.123456Z"},
		{1764016996, 1, "2025-11-24T20:43:16.000000001Z"},
		{-1, 999999999, "1969-12-31T23:59:59.999999999Z"},
		{-62135596800, 0, "0001-01-01T00:00:00Z"},
		{253402300799, 0, "9999-12-31T23:59:59Z"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_buf_ struct buf out = {0};

		assert_true(proto_json_time(&out, cases[i].seconds, cases[i].nanos));
		assert_string_equal(buf_text(&out), cases[i].text);
	}
}

static void an_empty_message_is_an_empty_object(void **state)
{
	Nightjar__V1__Alert m = NIGHTJAR__V1__ALERT__INIT;
	_cleanup_buf_ struct buf out = {0};

	(void)state;
	assert_int_equal(proto_json_write(&out, &m.base), 0);
	assert_string_equal(buf_text(&out), "{}");
}

static void numbers_keep_their_value(void **state)
{
	static const double doubles[] = {0.1, 0.95, 1, -2.5, 1e300, DBL_MIN, DBL_MAX, 1.0 / 3, 4.9e-324};
	Nightjar__V1__Alert m = NIGHTJAR__V1__ALERT__INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(doubles) / sizeof(doubles[0]); i++) {
		json_t *root;

		m.score = doubles[i];
		root = parsed(&m.base);
		assert_true(json_number_value(json_object_get(root, "score")) == doubles[i]);
		json_decref(root);
	}
}

static void numbers_that_json_lacks_are_texts(void **state)
{
	static const struct {
		double value;
		const char *text;
	} cases[] = {{INFINITY, "Infinity"}, {-INFINITY, "-Infinity"}, {NAN, "NaN"}};
	Nightjar__V1__Alert m = NIGHTJAR__V1__ALERT__INIT;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		json_t *root;

		m.score = cases[i].value;
		root = parsed(&m.base);
		assert_string_equal(text_at(root, "score"), cases[i].text);
		json_decref(root);
	}
}

static void integers_of_64_bits_are_strings(void **state)
{
	Nightjar__V1__Timing m = NIGHTJAR__V1__TIMING__INIT;
	json_t *root;

	(void)state;
	m.event_ns = INT64_MIN;
	m.received_ns = INT64_MAX;
	root = parsed(&m.base);
	assert_string_equal(text_at(root, "event_ns"), "-9223372036854775808");
	assert_string_equal(text_at(root, "received_ns"), "9223372036854775807");
	assert_null(json_object_get(root, "detected_ns"));
	json_decref(root);
}

static void maps_with_numbers_are_objects(void **state)
{
	Nightjar__V1__StatsResponse m = NIGHTJAR__V1__STATS_RESPONSE__INIT;
	Nightjar__V1__StatsResponse__CountersEntry one = NIGHTJAR__V1__STATS_RESPONSE__COUNTERS_ENTRY__INIT;
	Nightjar__V1__StatsResponse__CountersEntry *entries[] = {&one};
	_cleanup_buf_ struct buf out = {0};

	(void)state;
	one.key = sample_text("events{class=\"tcp\"}");
	one.value = UINT64_MAX;
	m.n_counters = 1;
	m.counters = entries;
	assert_int_equal(proto_json_write(&out, &m.base), 0);
	assert_string_equal(buf_text(&out),
			    "{\"counters\":{\"events{class=\\\"tcp\\\"}\":\"18446744073709551615\"}}");
}

static void bytes_enums_oneofs_and_booleans_follow_the_mapping(void **state)
{
	Nightjar__V1__AgentMessage m = NIGHTJAR__V1__AGENT_MESSAGE__INIT;
	Nightjar__V1__Batch batch = NIGHTJAR__V1__BATCH__INIT;
	Nightjar__V1__Event event = NIGHTJAR__V1__EVENT__INIT;
	Nightjar__V1__Endpoint endpoint = NIGHTJAR__V1__ENDPOINT__INIT;
	Nightjar__V1__Event *events[] = {&event};
	Nightjar__V1__Endpoint *endpoints[] = {&endpoint};
	uint8_t ip[4] = {192, 0, 2, 7};
	_cleanup_buf_ struct buf out = {0};

	(void)state;
	endpoint.fd = -1;
	endpoint.kind = (Nightjar__V1__EndpointKind)77;
	endpoint.remote_ip = (ProtobufCBinaryData){.len = 4, .data = ip};
	event.kind = NIGHTJAR__V1__EVENT_KIND__EVENT_CONNECT;
	event.n_endpoints = 1;
	event.endpoints = endpoints;
	batch.opens_epoch = 1;
	batch.n_events = 1;
	batch.events = events;
	m.body_case = NIGHTJAR__V1__AGENT_MESSAGE__BODY_BATCH;
	m.batch = &batch;
	assert_int_equal(proto_json_write(&out, &m.base), 0);
	assert_string_equal(buf_text(&out),
			    "{\"batch\":{\"opens_epoch\":true,\"events\":[{\"kind\":\"EVENT_CONNECT\",\"endpoints\":"
			    "[{\"kind\":77,\"fd\":-1,\"remote_ip\":\"wAACBw==\"}]}]}}");
}

static void a_whole_alert_reads_back_with_the_names_of_the_contract(void **state)
{
	struct alert_sample s;
	json_t *root, *process, *step;

	(void)state;
	alert_sample_fill(&s);
	root = parsed(&s.alert.base);
	assert_string_equal(text_at(root, "id"), ALERT_SAMPLE_ID);
	assert_string_equal(text_at(root, "time"), "2025-11-24T20:43:16.123456789Z");
	assert_string_equal(text_at(root, "namespace"), "shop");
	assert_string_equal(text_at(json_object_get(root, "timing"), "event_ns"), "1764016996123456789");
	assert_string_equal(text_at(json_object_get(root, "fields"), "proc.name"), "bash");
	assert_string_equal(text_at(json_object_get(root, "evidence"), "input"), "tcp 192.0.2.7:4444");
	process = json_object_get(root, "process");
	assert_string_equal(text_at(process, "start_time"), "2025-11-24T20:43:10Z");
	assert_string_equal(text_at(json_object_get(process, "parent"), "exe"), "/usr/sbin/nginx");
	assert_string_equal(json_string_value(json_array_get(json_object_get(process, "args"), 2)),
			    "echo \"quoted\" \\ tab\t caf\xc3\xa9");
	step = json_array_get(json_object_get(root, "steps"), 0);
	assert_string_equal(text_at(json_object_get(step, "fields"), "fd.name"), s.step_field.value);
	assert_null(json_object_get(root, "revision"));
	json_decref(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_nested_too_deep_is_refused_and_leaves_nothing),
		cmocka_unit_test(a_buffer_without_room_is_an_error_and_leaves_nothing),
		cmocka_unit_test(every_byte_in_a_text_gives_valid_json),
		cmocka_unit_test(a_zero_byte_in_a_string_is_escaped),
		cmocka_unit_test(times_outside_the_calendar_are_null),
		cmocka_unit_test(times_take_as_many_digits_as_they_need),
		cmocka_unit_test(an_empty_message_is_an_empty_object),
		cmocka_unit_test(numbers_keep_their_value),
		cmocka_unit_test(numbers_that_json_lacks_are_texts),
		cmocka_unit_test(integers_of_64_bits_are_strings),
		cmocka_unit_test(maps_with_numbers_are_objects),
		cmocka_unit_test(bytes_enums_oneofs_and_booleans_follow_the_mapping),
		cmocka_unit_test(a_whole_alert_reads_back_with_the_names_of_the_contract),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
