/* The Kafka sink against librdkafka's own mock brokers: options that cannot work, brokers that are
 * down, refuse, or come late. A real broker is in tests/kafka/. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>

#include "collector/sink/registry.h"
#include "common/clock.h"
#include "tests/await.h"
#include "tests/unit/sink_sample.h"

#define TIMEOUT_MS 20000
#define PRODUCE	   0 /* ApiKey */

struct rig {
	rd_kafka_t *host; /* what the mock cluster lives in */
	rd_kafka_mock_cluster_t *cluster;
	struct sink_options options;
	struct sink **sinks;
	struct alert_sample sample;
	uint64_t row; /* of the latest alert */
};

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	char text[128];

	rig->host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof(text));
	assert_non_null(rig->host);
	rig->cluster = rd_kafka_mock_cluster_new(rig->host, 1);
	assert_non_null(rig->cluster);
	assert_int_equal(rd_kafka_mock_topic_create(rig->cluster, "nightjar.alerts", 3, 1), 0);
	rig->options = sink_sample_options();
	rig->options.kafka.brokers = sample_text(rd_kafka_mock_cluster_bootstraps(rig->cluster));
	alert_sample_fill(&rig->sample);
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	registry_free(rig->sinks);
	rd_kafka_mock_cluster_destroy(rig->cluster);
	rd_kafka_destroy(rig->host);
	free(rig);
	return 0;
}

static void open_sinks(struct rig *rig)
{
	struct err e = {0};

	if (registry_open(&rig->options, NULL, NULL, &rig->sinks, &e) < 0)
		fail_msg("%s", e.text);
	assert_string_equal(rig->sinks[0]->type->name, "kafka");
}

static int publish(struct rig *rig)
{
	struct sink_alert a = {
		.alert = &rig->sample.alert, .json = "{}", .json_len = 2, .row = rig->row + 1};
	int r = rig->sinks[0]->type->publish(rig->sinks[0], &a);

	rig->row += r == 0;
	return r;
}

static struct sink_stats stats(const struct rig *rig)
{
	struct sink_stats s;

	rig->sinks[0]->type->stats(rig->sinks[0], &s);
	return s;
}

/* As the alert thread does: ask again while the sink is full. */
static void publish_patiently(struct rig *rig)
{
	int r = -EAGAIN;

	(void)AWAIT((rig->sinks[0]->type->poll(rig->sinks[0]), r = publish(rig), r != -EAGAIN), TIMEOUT_MS * NS_PER_MS);
	assert_int_equal(r, 0);
}

static void refused(struct rig *rig, int code, const char *sentence)
{
	struct err e = {0};

	assert_int_equal(registry_open(&rig->options, NULL, NULL, &rig->sinks, &e), code);
	if (!strstr(e.text, sentence))
		fail_msg("'%s' does not say '%s'", e.text, sentence);
	assert_null(rig->sinks);
}

static void options_that_cannot_work_are_named(void **state)
{
	struct rig *rig = *state;
	struct sink_kafka_options *o = &rig->options.kafka;
	char *none = o->ca;

	o->ca = sample_text("/etc/hostname");
	refused(rig, -EINVAL, "kafka.tls is off");
	o->tls = true;
	o->ca = sample_text("/nonexistent/ca.pem");
	refused(rig, -ENOENT,
		"cannot read kafka.ca '/nonexistent/ca.pem': No such file or directory");
	o->ca = none;
	o->cert = sample_text("/etc/hostname");
	refused(rig, -EINVAL, "kafka.cert and kafka.key belong together");
	o->cert = none;
	o->tls = false;
	o->username = sample_text("alice");
	refused(rig, -EINVAL, "kafka.sasl_mechanism is not");
	o->sasl_mechanism = sample_text("SCRAM-SHA-512");
	refused(rig, -EINVAL, "kafka.password is not");
	o->password = sample_text("open sesame");
	o->sasl_mechanism = sample_text("ROT13");
	refused(rig, -EINVAL, "ROT13");
}

static void a_certificate_that_is_none_is_refused_without_its_content(void **state)
{
	struct rig *rig = *state;

	rig->options.kafka.tls = true;
	rig->options.kafka.cert = sample_text("/etc/passwd");
	rig->options.kafka.key = sample_text("/etc/passwd");
	refused(rig, -EINVAL, "ssl.certificate.location");
}

static void a_topic_name_that_is_too_long_is_refused(void **state)
{
	struct rig *rig = *state;
	char longer[300];

	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	rig->options.kafka.topic_prefix = longer;
	refused(rig, -EINVAL, "kafka.topic_prefix");
}

static void without_a_broker_it_starts_and_alerts_wait(void **state)
{
	struct rig *rig = *state;

	rig->options.kafka.brokers = sample_text("127.0.0.1:1");
	open_sinks(rig);
	assert_int_equal(publish(rig), -EAGAIN);
	assert_int_equal(rig->sinks[0]->type->drain(rig->sinks[0], 10), 0);
	assert_int_equal(publish(rig), -EAGAIN);
	assert_int_equal(stats(rig).failed, 0);
}

static void a_broker_that_comes_late_gets_everything(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(rd_kafka_mock_broker_set_down(rig->cluster, 1), 0);
	open_sinks(rig);
	assert_int_equal(publish(rig), -EAGAIN);
	assert_int_equal(rd_kafka_mock_broker_set_up(rig->cluster, 1), 0);
	for (int i = 0; i < 10; i++)
		publish_patiently(rig);
	assert_int_equal(rig->sinks[0]->type->drain(rig->sinks[0], TIMEOUT_MS), 0);
	assert_int_equal(stats(rig).delivered, 10);
	assert_int_equal(stats(rig).confirmed, 10);
}

static void an_alert_that_is_refused_for_now_is_sent_again(void **state)
{
	struct rig *rig = *state;

	open_sinks(rig);
	rd_kafka_mock_push_request_errors(rig->cluster, PRODUCE, 2,
					  RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
					  RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
	publish_patiently(rig);
	assert_int_equal(rig->sinks[0]->type->drain(rig->sinks[0], TIMEOUT_MS), 0);
	assert_int_equal(stats(rig).delivered, 1);
	assert_int_equal(stats(rig).failed, 0);
	assert_int_equal(stats(rig).confirmed, 1);
}

static void an_alert_that_no_broker_takes_is_given_up_and_counted(void **state)
{
	struct rig *rig = *state;

	open_sinks(rig);
	rd_kafka_mock_push_request_errors(rig->cluster, PRODUCE, 1,
					  RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
	publish_patiently(rig);
	assert_int_equal(rig->sinks[0]->type->drain(rig->sinks[0], TIMEOUT_MS), 0);
	assert_int_equal(stats(rig).failed, 1);
	assert_int_equal(stats(rig).confirmed, 1);
	publish_patiently(rig);
	assert_int_equal(rig->sinks[0]->type->drain(rig->sinks[0], TIMEOUT_MS), 0);
	assert_int_equal(stats(rig).delivered, 1);
}

static void what_is_not_confirmed_in_time_is_counted_by_drain(void **state)
{
	struct rig *rig = *state;

	open_sinks(rig);
	publish_patiently(rig);
	assert_int_equal(rig->sinks[0]->type->drain(rig->sinks[0], TIMEOUT_MS), 0);
	assert_int_equal(rd_kafka_mock_broker_set_down(rig->cluster, 1), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(publish(rig), 0);
	assert_int_equal(rig->sinks[0]->type->drain(rig->sinks[0], 50), 3);
	assert_int_equal(stats(rig).queued, 3);
	assert_int_equal(stats(rig).confirmed, 1); /* the rest is sent again after a restart */
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
#ifdef __SANITIZE_THREAD__
	(void)puts("SKIP test_sink_kafka: librdkafka starts C11 threads, which ThreadSanitizer "
		   "does not know");
	return 0;
#endif
	const struct CMUnitTest tests[] = {
		test(options_that_cannot_work_are_named),
		test(a_certificate_that_is_none_is_refused_without_its_content),
		test(a_topic_name_that_is_too_long_is_refused),
		test(without_a_broker_it_starts_and_alerts_wait),
		test(a_broker_that_comes_late_gets_everything),
		test(an_alert_that_is_refused_for_now_is_sent_again),
		test(an_alert_that_no_broker_takes_is_given_up_and_counted),
		test(what_is_not_confirmed_in_time_is_counted_by_drain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
