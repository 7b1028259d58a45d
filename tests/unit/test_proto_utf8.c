/* String fields made UTF-8, at every depth, and nothing else touched. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "common/proto_json.h"
#include "nightjar/v1/agent.pb-c.h"
#include "nightjar/v1/query.pb-c.h"
#include "tests/unit/alert_sample.h"

static void a_message_nested_too_deep_is_refused(void **state)
{
	Nightjar__V1__AlertProcess loop = NIGHTJAR__V1__ALERT_PROCESS__INIT;
	_cleanup_(arena_freep) struct arena *arena = arena_new(0);

	(void)state;
	loop.parent = &loop;
	assert_int_equal(proto_utf8_clean(&loop.base, arena), -ELOOP);
}

static void without_room_in_the_arena_it_fails(void **state)
{
	Nightjar__V1__GetAlertRequest m = NIGHTJAR__V1__GET_ALERT_REQUEST__INIT;
	_cleanup_(arena_freep) struct arena *arena = arena_new(2);

	(void)state;
	m.id = sample_text("\xff\xff\xff\xff");
	assert_int_equal(proto_utf8_clean(&m.base, arena), -ENOMEM);
}

static void bad_text_is_replaced_wherever_it_stands(void **state)
{
	struct alert_sample s;
	_cleanup_(arena_freep) struct arena *arena = arena_new(0);

	(void)state;
	alert_sample_fill(&s);
	s.args[1] = sample_text("\xfe");
	s.parent.cwd = sample_text("/a\xff");
	s.step_field.value = sample_text("cut \xe2\x82");
	assert_int_equal(proto_utf8_clean(&s.alert.base, arena), 0);
	assert_string_equal(s.args[0], "bash");
	assert_string_equal(s.args[1], "\xef\xbf\xbd");
	assert_string_equal(s.parent.cwd, "/a\xef\xbf\xbd");
	assert_string_equal(s.step_field.value, "cut \xef\xbf\xbd\xef\xbf\xbd");
}

static void good_text_stays_the_same_pointer(void **state)
{
	struct alert_sample s;
	char *output;
	_cleanup_(arena_freep) struct arena *arena = arena_new(0);

	(void)state;
	alert_sample_fill(&s);
	output = s.alert.output;
	assert_int_equal(proto_utf8_clean(&s.alert.base, arena), 0);
	assert_ptr_equal(s.alert.output, output);
	assert_int_equal(arena_used(arena), 0);
}

static void only_the_chosen_member_of_a_oneof_is_looked_at(void **state)
{
	Nightjar__V1__AgentMessage m = NIGHTJAR__V1__AGENT_MESSAGE__INIT;
	Nightjar__V1__Hello hello = NIGHTJAR__V1__HELLO__INIT;
	_cleanup_(arena_freep) struct arena *arena = arena_new(0);

	(void)state;
	hello.node = sample_text("n\xff");
	m.body_case = NIGHTJAR__V1__AGENT_MESSAGE__BODY_HELLO;
	m.hello = &hello;
	assert_int_equal(proto_utf8_clean(&m.base, arena), 0);
	assert_string_equal(hello.node, "n\xef\xbf\xbd");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_nested_too_deep_is_refused),
		cmocka_unit_test(without_room_in_the_arena_it_fails),
		cmocka_unit_test(bad_text_is_replaced_wherever_it_stands),
		cmocka_unit_test(good_text_stays_the_same_pointer),
		cmocka_unit_test(only_the_chosen_member_of_a_oneof_is_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
