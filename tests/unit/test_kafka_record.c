/* Keys and headers of records, as the contract names them. */
#include "tests/unit/unit.h"

#include "collector/sink/kafka_record.h"
#include "tests/unit/alert_sample.h"

static struct kafka_record record;

static const char *key_of(const Nightjar__V1__Alert *a)
{
	kafka_record_fill(a, &record);
	return record.key;
}

static const char *header(const char *name)
{
	for (int i = 0; i < KAFKA_RECORD_HEADERS; i++)
		if (strcmp(record.headers[i].name, name) == 0)
			return record.headers[i].value;
	fail_msg("no header '%s'", name);
	return NULL;
}

static void an_empty_alert_has_a_key_and_every_header(void **state)
{
	Nightjar__V1__Alert a = NIGHTJAR__V1__ALERT__INIT;

	(void)state;
	assert_string_equal(key_of(&a), "/_host/");
	assert_string_equal(header("ce_time"), "1970-01-01T00:00:00Z");
	assert_string_equal(header("nightjar-rule"), "");
}

static void texts_that_are_too_long_are_cut(void **state)
{
	struct alert_sample s;
	static char longer[2 * KAFKA_RECORD_KEY_MAX];

	(void)state;
	alert_sample_fill(&s);
	memset(longer, 'x', sizeof(longer) - 1);
	s.alert.workload = s.alert.rule = longer;
	assert_int_equal(strlen(key_of(&s.alert)), KAFKA_RECORD_KEY_MAX - 1);
	assert_int_equal(strlen(header("nightjar-rule")), KAFKA_RECORD_HEADER_MAX - 1);
}

static void the_key_is_the_workload_or_what_stands_for_it(void **state)
{
	struct alert_sample s;

	(void)state;
	alert_sample_fill(&s);
	assert_string_equal(key_of(&s.alert), "prod/shop/web");
	s.alert.workload = sample_text("");
	assert_string_equal(key_of(&s.alert), "prod/shop/web-5d9c-x2x");
	s.alert.namespace_ = sample_text("");
	assert_string_equal(key_of(&s.alert), "prod/_host/node-1");
	s.alert.kind = sample_text("health");
	assert_string_equal(key_of(&s.alert), "prod/_health/node-1");
	s.alert.kind = sample_text("campaign");
	assert_string_equal(key_of(&s.alert), "prod/_campaign/" ALERT_SAMPLE_ID);
}

static void the_headers_are_those_of_the_contract(void **state)
{
	struct alert_sample s;

	(void)state;
	alert_sample_fill(&s);
	s.alert.revision = 3;
	(void)key_of(&s.alert);
	assert_string_equal(header("content-type"), "application/json");
	assert_string_equal(header("ce_specversion"), "1.0");
	assert_string_equal(header("ce_id"), ALERT_SAMPLE_ID ".3");
	assert_string_equal(header("ce_type"), "nightjar.v1.Alert");
	assert_string_equal(header("ce_source"), "/nightjar/prod/node-1");
	assert_string_equal(header("ce_time"), "2025-11-24T20:43:16.123456789Z");
	assert_string_equal(header("nightjar-severity"), "critical");
	assert_string_equal(header("nightjar-rule"), "reverse_shell");
	assert_string_equal(header("nightjar-revision"), "3");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_alert_has_a_key_and_every_header),
		cmocka_unit_test(texts_that_are_too_long_are_cut),
		cmocka_unit_test(the_key_is_the_workload_or_what_stands_for_it),
		cmocka_unit_test(the_headers_are_those_of_the_contract),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
