/* librdkafka's configuration from ours, and the topic; see sink_kafka_setup.h. */
#include "collector/sink/sink_kafka_setup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"

#define SLICE_MS	 200  /* how long anything here waits before it looks whether to stop */
#define RETRY_SLICES	 3    /* between two attempts */
#define REQUEST_MS	 5000 /* for one answer of a broker */
#define METADATA_MS	 1000 /* the same where nothing can interrupt the wait */
#define BUFFER_KB_MAX	 2097151

/* ---- configuration ---- */

/* The first two are the delivery promise; the rest is latency, and a quick return after a broker
 * was away. message.timeout.ms 0: an alert is retried until it is delivered. */
static const struct {
	const char *name;
	const char *value;
} fixed[] = {
	{"enable.idempotence", "true"},
	{"acks", "all"},
	{"message.timeout.ms", "0"},
	{"linger.ms", "0"},
	{"socket.nagle.disable", "true"},
	{"socket.keepalive.enable", "true"},
	{"reconnect.backoff.ms", "100"},
	{"reconnect.backoff.max.ms", "2000"},
	{"partitioner", "murmur2_random"}, /* as Java's producers do it */
	{"client.id", "nightjar-collector"},
	{"log.connection.close", "false"},
};

static int set(rd_kafka_conf_t *conf, const char *name, const char *value, struct err *e)
{
	char text[256];

	if (rd_kafka_conf_set(conf, name, value, text, sizeof(text)) == RD_KAFKA_CONF_OK)
		return 0;
	return err_set(e, -EINVAL, "kafka: %s", text);
}

static int set_file(rd_kafka_conf_t *conf, const char *name, const char *option, const char *path, struct err *e)
{
	_cleanup_(closep) int fd = -1;

	if (!*path)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, -errno, "cannot read %s '%s': %s", option, path, strerror(errno));
	return set(conf, name, path, e);
}

static int check(const struct sink_kafka_options *o, struct err *e)
{
	bool files = *o->ca || *o->cert || *o->key;

	if (files && !o->tls)
		return err_set(e, -EINVAL, "kafka.ca, kafka.cert or kafka.key is set but kafka.tls is off; set "
					   "kafka.tls: true");
	if (!*o->cert != !*o->key)
		return err_set(e, -EINVAL, "kafka.cert and kafka.key belong together; only one is set");
	if (*o->sasl_mechanism && (!*o->username || !*o->password))
		return err_set(e, -EINVAL, "kafka.sasl_mechanism is set but kafka.username or kafka.password is not");
	if (*o->username && !*o->sasl_mechanism)
		return err_set(e, -EINVAL, "kafka.username is set but kafka.sasl_mechanism is not; set it to "
					   "SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN");
	if (strcmp(o->sasl_mechanism, "PLAIN") == 0 && !o->tls)
		log_warning("kafka.sasl_mechanism is PLAIN and kafka.tls is off: the password crosses the network "
			    "in the clear");
	return 0;
}

static int set_security(rd_kafka_conf_t *conf, const struct sink_kafka_options *o, struct err *e)
{
	static const char *const protocols[2][2] = {{"plaintext", "ssl"}, {"sasl_plaintext", "sasl_ssl"}};
	int r = set(conf, "security.protocol", protocols[*o->sasl_mechanism != '\0'][o->tls], e);

	if (r == 0)
		r = set_file(conf, "ssl.ca.location", "kafka.ca", o->ca, e);
	if (r == 0)
		r = set_file(conf, "ssl.certificate.location", "kafka.cert", o->cert, e);
	if (r == 0)
		r = set_file(conf, "ssl.key.location", "kafka.key", o->key, e);
	if (r == 0 && *o->key_password)
		r = set(conf, "ssl.key.password", o->key_password, e);
	if (r < 0 || !*o->sasl_mechanism)
		return r;
	r = set(conf, "sasl.mechanism", o->sasl_mechanism, e);
	if (r == 0)
		r = set(conf, "sasl.username", o->username, e);
	return r < 0 ? r : set(conf, "sasl.password", o->password, e);
}

static int set_all(rd_kafka_conf_t *conf, const struct sink_kafka_options *o, struct err *e)
{
	uint64_t buffer_kb = o->buffer_bytes >> 10;
	char text[32];
	int r = set(conf, "bootstrap.servers", o->brokers, e);

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]) && r == 0; i++)
		r = set(conf, fixed[i].name, fixed[i].value, e);
	(void)snprintf(text, sizeof(text), "%llu",
		       (unsigned long long)(buffer_kb < BUFFER_KB_MAX ? buffer_kb : BUFFER_KB_MAX));
	if (r == 0)
		r = set(conf, "queue.buffering.max.kbytes", text, e);
	return r < 0 ? r : set_security(conf, o, e);
}

int sink_kafka_setup_conf(const struct sink_kafka_options *options, rd_kafka_conf_t **ret_conf, struct err *e)
{
	rd_kafka_conf_t *conf;
	int r = check(options, e);

	if (r < 0)
		return r;
	conf = rd_kafka_conf_new();
	r = set_all(conf, options, e);
	if (r < 0) {
		rd_kafka_conf_destroy(conf);
		return r;
	}
	*ret_conf = conf;
	return 0;
}

/* ---- the topic ---- */

static void destroy_topic(rd_kafka_NewTopic_t **topic)
{
	if (*topic)
		rd_kafka_NewTopic_destroy(*topic);
}

/* Waits for the one event of a request, in slices. NULL when told to stop. */
static rd_kafka_event_t *await_answer(struct sink_kafka_topic *t, rd_kafka_queue_t *queue)
{
	rd_kafka_event_t *event = NULL;

	while (!event && !atomic_load(&t->stop))
		event = rd_kafka_queue_poll(queue, SLICE_MS);
	return event;
}

/* 0: it is there now, whoever made it; negative with the sentence. */
static int read_answer(const struct sink_kafka_topic *t, rd_kafka_event_t *event, struct err *e)
{
	const rd_kafka_CreateTopics_result_t *result = rd_kafka_event_CreateTopics_result(event);
	const rd_kafka_topic_result_t *const *topics;
	rd_kafka_resp_err_t code;
	size_t count = 0;

	if (rd_kafka_event_error(event))
		return err_set(e, -EIO, "%s", rd_kafka_event_error_string(event));
	topics = result ? rd_kafka_CreateTopics_result_topics(result, &count) : NULL;
	if (count != 1)
		return err_set(e, -EIO, "the answer is not about it");
	code = rd_kafka_topic_result_error(topics[0]);
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
		log_info("made the kafka topic '%s' with %d partitions", t->name, t->partitions);
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
		return 0;
	return err_set(e, -EIO, "%s", rd_kafka_topic_result_error_string(topics[0]) ?: rd_kafka_err2str(code));
}

static int create(struct sink_kafka_topic *t, struct err *e)
{
	_cleanup_(destroy_topic) rd_kafka_NewTopic_t *topic = NULL;
	rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(t->rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(t->rk);
	rd_kafka_event_t *event;
	char text[256];
	int r;

	(void)rd_kafka_AdminOptions_set_request_timeout(options, REQUEST_MS, text, sizeof(text));
	topic = rd_kafka_NewTopic_new(t->name, t->partitions, t->replication ? t->replication : -1, text,
				      sizeof(text));
	if (topic) {
		rd_kafka_CreateTopics(t->rk, &topic, 1, options, queue);
		event = await_answer(t, queue);
		r = event ? read_answer(t, event, e) : -ECANCELED;
		if (event)
			rd_kafka_event_destroy(event);
	} else {
		r = err_set(e, -EINVAL, "%s", text);
	}
	rd_kafka_queue_destroy(queue);
	rd_kafka_AdminOptions_destroy(options);
	return r;
}

/* The number of partitions; 0 when the topic is not there, negative when nobody answers. Asks for
 * all topics, because asking for one by name would make it. */
static int count_partitions(struct sink_kafka_topic *t, struct err *e)
{
	const struct rd_kafka_metadata *all;
	rd_kafka_resp_err_t code = rd_kafka_metadata(t->rk, 1, NULL, &all, METADATA_MS);
	int count = 0;

	if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
		return err_set(e, -EIO, "%s", rd_kafka_err2str(code));
	for (int i = 0; i < all->topic_cnt; i++)
		if (strcmp(all->topics[i].topic, t->name) == 0)
			count = all->topics[i].partition_cnt;
	rd_kafka_metadata_destroy(all);
	return count;
}

/* 0: it may be produced to. It is made only when it is not there: often we may not make topics. */
static int make_ready(struct sink_kafka_topic *t, struct err *e)
{
	int count = count_partitions(t, e);

	if (count == 0)
		return create(t, e);
	if (count > 0 && count != t->partitions)
		log_warning("the kafka topic '%s' has %d partitions and kafka.partitions is %d: the topic stays as it "
			    "is; set kafka.partitions to %d",
			    t->name, count, t->partitions, count);
	return count < 0 ? count : 0;
}

/* Once for each reason: it is tried again every second, and may be for hours. */
static void say_reason(const struct sink_kafka_topic *t, const struct err *e, struct err *said)
{
	if (!*e->text || strcmp(e->text, said->text) == 0)
		return;
	log_warning("cannot make the kafka topic '%s' yet: %s; alerts wait", t->name, e->text);
	*said = *e;
}

static void *topic_thread(void *arg)
{
	struct sink_kafka_topic *t = arg;
	struct err said = {0};

	while (!atomic_load(&t->stop)) {
		struct timespec slice = {.tv_nsec = SLICE_MS * 1000000L};
		struct err e = {0};
		int r = make_ready(t, &e);

		if (r == 0) {
			atomic_store(&t->ready, true);
			return NULL;
		}
		say_reason(t, &e, &said);
		for (int i = 0; i < RETRY_SLICES && !atomic_load(&t->stop); i++)
			(void)nanosleep(&slice, NULL);
	}
	return NULL;
}

int sink_kafka_setup_topic_start(struct sink_kafka_topic *t, struct err *e)
{
	int r = -pthread_create(&t->thread, NULL, topic_thread, t);

	if (r < 0)
		return err_set(e, r, "cannot start a thread: %s", strerror(-r));
	t->running = true;
	return 0;
}

void sink_kafka_setup_topic_stop(struct sink_kafka_topic *t)
{
	if (!t->running)
		return;
	atomic_store(&t->stop, true);
	(void)pthread_join(t->thread, NULL);
	t->running = false;
}
