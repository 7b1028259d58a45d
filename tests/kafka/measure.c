/* What delivering one alert costs and how long it takes, on a quiet machine: storing it, its JSON,
 * and the way from deliver_submit until a Kafka consumer has the record; in turns with it the way
 * of a bare librdkafka producer of the same settings, which is what Kafka itself takes. Prints
 * figures in the form of make bench.
 *
 * usage: tests/kafka/with-broker build/tests/kafka/measure [ALERTS] */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "collector/deliver.h"
#include "collector/sink/registry.h"
#include "collector/sink/sink_kafka_setup.h"
#include "common/clock.h"
#include "common/proto_json.h"
#include "tests/unit/sink_sample.h"

#define PUTS	 2000
#define JSONS	 50000
#define PAUSE_NS 20000000L
#define WAIT_MS	 10000
#define TOPIC	 "measure.alerts"

static void die(const char *what)
{
	(void)fprintf(stderr, "measure: %s\n", what);
	exit(1);
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void print_quantiles(const char *name, uint64_t *ns, size_t n)
{
	static const struct {
		const char *name;
		double at;
	} quantiles[] = {{"p50", 0.5}, {"p99", 0.99}, {"max", 1}};

	qsort(ns, n, sizeof(*ns), ascending);
	for (int i = 0; i < 3; i++)
		(void)printf("{\"bench\":\"delivery\",\"figure\":\"%s_%s_ms\",\"value\":%.3f,"
			     "\"unit\":\"ms\",\"n\":%zu,"
			     "\"note\":\"\"}\n",
			     name, quantiles[i].name,
			     (double)ns[(size_t)((double)(n - 1) * quantiles[i].at)] / 1e6, n);
}

/* Storing one, and bringing it to the disk. */
static void measure_store(struct store *store, struct alert_sample *sample)
{
	uint64_t *ns = calloc(PUTS, sizeof(*ns)), *sync_ns = calloc(PUTS, sizeof(*sync_ns));
	char id[32];
	struct err e = {0};

	sample->alert.id = id;
	for (int i = 0; i < PUTS; i++) {
		uint64_t begun;

		(void)snprintf(id, sizeof(id), "S%025d", i);
		begun = clock_monotonic_ns();
		if (store_put(store, &sample->alert, NULL, &e) != 1)
			die(e.text);
		ns[i] = clock_monotonic_ns() - begun;
		if (store_sync(store, &e) < 0)
			die(e.text);
		sync_ns[i] = clock_monotonic_ns() - begun - ns[i];
	}
	print_quantiles("store_put", ns, PUTS);
	print_quantiles("store_sync", sync_ns, PUTS);
	free(ns);
	free(sync_ns);
}

static void measure_json(const struct alert_sample *sample)
{
	_cleanup_buf_ struct buf out = {0};
	uint64_t begun = clock_monotonic_ns();

	for (int i = 0; i < JSONS; i++) {
		buf_clear(&out);
		if (proto_json_write(&out, &sample->alert.base) < 0)
			die("no JSON");
	}
	(void)printf("{\"bench\":\"delivery\",\"figure\":\"json_ns\",\"value\":%.0f,\"unit\":"
		     "\"ns\",\"n\":%d,"
		     "\"note\":\"%zu bytes\"}\n",
		     (double)(clock_monotonic_ns() - begun) / JSONS, JSONS, out.len);
}

static rd_kafka_t *consumer_of(const char *brokers)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *rk;
	char text[256];

	if (rd_kafka_conf_set(conf, "bootstrap.servers", brokers, text, sizeof(text)) !=
		    RD_KAFKA_CONF_OK ||
	    rd_kafka_conf_set(conf, "group.id", "measure", text, sizeof(text)) != RD_KAFKA_CONF_OK)
		die(text);
	rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof(text));
	if (!rk)
		die(text);
	for (int p = 0; p < 3; p++)
		rd_kafka_topic_partition_list_add(list, TOPIC, p)->offset =
			RD_KAFKA_OFFSET_BEGINNING;
	(void)rd_kafka_assign(rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	return rk;
}

static void await_record(rd_kafka_t *consumer)
{
	uint64_t end = clock_monotonic_ns() + WAIT_MS * NS_PER_MS;

	while (clock_monotonic_ns() < end) {
		rd_kafka_message_t *m = rd_kafka_consumer_poll(consumer, 100);
		bool record = m && !m->err;

		if (m)
			rd_kafka_message_destroy(m);
		if (record)
			return;
	}
	die("a record did not arrive");
}

static struct alert *alert_number(const char *node, size_t n)
{
	struct alert *a = alert_new();

	if (!a)
		die("no memory");
	a->msg.id = arena_printf(a->arena, "K%025zu", n);
	a->msg.rule = sample_text("reverse_shell");
	a->msg.node = sample_text(node);
	a->msg.output = arena_printf(a->arena, "%900s", "as large as alerts are");
	return a;
}

static rd_kafka_t *bare_producer(const struct sink_kafka_options *options)
{
	rd_kafka_conf_t *conf;
	struct err e = {0};
	rd_kafka_t *rk;
	char text[256];

	if (sink_kafka_setup_conf(options, &conf, &e) < 0)
		die(e.text);
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
	if (!rk)
		die(text);
	return rk;
}

static void produce_bare(rd_kafka_t *rk)
{
	static char value[1200]; /* about what an alert is as JSON */

	(void)rd_kafka_poll(rk, 0);
	if (rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(TOPIC), RD_KAFKA_V_KEY("/_host/a", 8),
			      RD_KAFKA_V_VALUE(value, sizeof(value)),
			      RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
			      RD_KAFKA_V_END) != RD_KAFKA_RESP_ERR_NO_ERROR)
		die("the bare producer takes nothing");
}

static void measure_kafka(struct deliver *d, const struct sink_kafka_options *options,
			  size_t alerts)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	rd_kafka_t *consumer = consumer_of(options->brokers), *bare = bare_producer(options);
	uint64_t *ns[2] = {calloc(alerts, sizeof(**ns)), calloc(alerts, sizeof(**ns))};

	/* The first ones also wait for the topic and for connections. */
	deliver_submit(d, alert_number("a", 2 * alerts));
	await_record(consumer);
	produce_bare(bare);
	await_record(consumer);
	for (size_t i = 0; i < 2 * alerts; i++) {
		struct alert *a = i % 2 ? NULL : alert_number("a", i);
		uint64_t begun;

		(void)nanosleep(&pause, NULL); /* one at a time, on connections that rest: nothing to wait for */
		begun = clock_monotonic_ns();
		if (a)
			deliver_submit(d, a);
		else
			produce_bare(bare);
		await_record(consumer);
		ns[i % 2][i / 2] = clock_monotonic_ns() - begun;
	}
	print_quantiles("submit_to_consumer", ns[0], alerts);
	print_quantiles("bare_producer_to_consumer", ns[1], alerts);
	free(ns[0]);
	free(ns[1]);
	rd_kafka_destroy(bare);
	(void)rd_kafka_consumer_close(consumer);
	rd_kafka_destroy(consumer);
}

static void remove_store(const char *dir, const char *path)
{
	char file[96];

	(void)unlink(path);
	(void)snprintf(file, sizeof(file), "%s-wal", path);
	(void)unlink(file);
	(void)snprintf(file, sizeof(file), "%s-shm", path);
	(void)unlink(file);
	(void)rmdir(dir);
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/nj-measure-XXXXXX", path[64];
	struct sink_options options = sink_sample_options();
	struct metrics *metrics = metrics_new();
	struct deliver_config config = {.queue_capacity = 256, .metrics = metrics};
	struct deliver *d = NULL;
	struct alert_sample sample;
	struct err e = {0};

	if (argc < 2 || !mkdtemp(dir))
		die("usage: measure [ALERTS] BROKERS");
	(void)snprintf(path, sizeof(path), "%s/alerts.db", dir);
	options.kafka.brokers = argv[argc - 1];
	options.kafka.topic_prefix = sample_text("measure.");
	alert_sample_fill(&sample);
	if (store_open(path, &config.store, &e) < 0)
		die(e.text);
	measure_store(config.store, &sample);
	measure_json(&sample);
	if (registry_open(&options, metrics, NULL, &config.sinks, &e) < 0 ||
	    deliver_new(&config, &d, &e) < 0)
		die(e.text);
	measure_kafka(d, &options.kafka, argc > 2 ? strtoul(argv[1], NULL, 10) : 300);
	if (deliver_stop(d, WAIT_MS) != 0)
		die("not everything was confirmed");
	deliver_free(d);
	registry_free(config.sinks);
	store_close(config.store);
	metrics_free(metrics);
	remove_store(dir, path);
	return 0;
}
