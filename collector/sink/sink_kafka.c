/* The Kafka sink; see sink_kafka.h.
 *
 * Delivery reports, and what librdkafka tells about brokers, come from poll on the alert thread. A
 * record that librdkafka gives back (an authorisation that was taken away, a producer that broke)
 * is held and produced again; only one that no broker can ever take (too large) is given up. */
#include "collector/sink/sink_kafka.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/sink/kafka_record.h"
#include "collector/sink/sink_kafka_setup.h"
#include "collector/sink/window.h"
#include "common/bytes.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"

#define HELD_RETRY_NS  (1 * NS_PER_SEC)
#define REPLACE_NS     (5 * NS_PER_SEC)
#define PURGE_MS       2000
#define DRAIN_SLICE_MS 20
#define WINDOW	       16384 /* alerts on their way; with kafka.buffer the bound of what a crash repeats \
			      */

/* A record that came back. */
struct held {
	struct held *next;
	uint64_t ticket;
	rd_kafka_headers_t *headers;
	size_t key_len;
	size_t value_len;
	uint8_t data[]; /* key, then value */
};

struct sink_kafka {
	struct sink base;
	const struct sink_kafka_options *options;
	char name[256]; /* of the topic */
	rd_kafka_t *rk;
	struct sink_kafka_topic topic;
	struct window *window;
	struct held *held; /* oldest first */
	struct held **held_end;
	uint64_t held_count;
	uint64_t held_retry_ns;
	uint64_t replace_ns; /* not before: a producer that breaks at once must not spin */
	uint64_t delivered, failed, in_flight;
	bool broken; /* librdkafka calls it fatal: a new producer is needed */
	bool down;   /* no broker answers */
};

struct record {
	struct bytes key, value;
	uint64_t ticket;
	rd_kafka_headers_t *headers; /* taken only when it is queued */
};

/* ---- producing ---- */

static void give_up(struct sink_kafka *s, uint64_t ticket, struct bytes key, const char *why)
{
	s->failed++;
	window_settle(s->window, ticket);
	log_limited(LOG_LEVEL_ERROR, "kafka cannot take an alert of %.*s: %s", (int)key.len,
		    (const char *)key.data, why);
}

static int produce(struct sink_kafka *s, const struct record *r)
{
	rd_kafka_resp_err_t code;

	code = rd_kafka_producev(s->rk, RD_KAFKA_V_TOPIC(s->name),
				 RD_KAFKA_V_KEY((void *)(uintptr_t)r->key.data, r->key.len),
				 RD_KAFKA_V_VALUE((void *)(uintptr_t)r->value.data, r->value.len),
				 RD_KAFKA_V_HEADERS(r->headers),
				 RD_KAFKA_V_OPAQUE((void *)(uintptr_t)r->ticket),
				 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
	switch (code) {
	case RD_KAFKA_RESP_ERR_NO_ERROR:
		s->in_flight++;
		return 0;
	case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
		give_up(s, r->ticket, r->key, "it is larger than a message may be");
		return -EMSGSIZE;
	case RD_KAFKA_RESP_ERR__FATAL:
		s->broken = true;
		return -EAGAIN;
	default:
		if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL)
			log_limited(LOG_LEVEL_WARNING, "kafka does not take alerts, they wait: %s",
				    rd_kafka_err2str(code));
		return -EAGAIN;
	}
}

static int publish(struct sink *sink, const struct sink_alert *alert)
{
	struct sink_kafka *s = (struct sink_kafka *)sink;
	struct kafka_record fields;
	struct record record;
	int r;

	/* What came back goes first, so that a workload's alerts keep their order. */
	if (s->held || s->broken || window_is_full(s->window) || !atomic_load(&s->topic.ready))
		return -EAGAIN;
	kafka_record_fill(alert->alert, &fields);
	record.headers = rd_kafka_headers_new(KAFKA_RECORD_HEADERS);
	for (int i = 0; i < KAFKA_RECORD_HEADERS; i++)
		(void)rd_kafka_header_add(record.headers, fields.headers[i].name, -1,
					  fields.headers[i].value, -1);
	record.key = bytes_of_text(fields.key);
	record.value = bytes_of(alert->json, alert->json_len);
	record.ticket = window_add(s->window, alert->row);
	r = produce(s, &record);
	if (r == -EAGAIN)
		window_take_back(s->window);
	if (r < 0)
		rd_kafka_headers_destroy(record.headers);
	return r;
}

/* ---- records that come back ---- */

static void held_free(struct held *h)
{
	if (h->headers)
		rd_kafka_headers_destroy(h->headers);
	free(h);
}

static uint64_t ticket_of(const rd_kafka_message_t *m)
{
	return (uint64_t)(uintptr_t)m->_private;
}

static void hold(struct sink_kafka *s, rd_kafka_message_t *m)
{
	struct held *h = malloc(sizeof(*h) + m->key_len + m->len);

	if (!h) {
		give_up(s, ticket_of(m), bytes_of(m->key, m->key_len), "out of memory");
		return;
	}
	*h = (struct held){.ticket = ticket_of(m), .key_len = m->key_len, .value_len = m->len};
	memcpy(h->data, m->key, m->key_len);
	memcpy(h->data + m->key_len, m->payload, m->len);
	(void)rd_kafka_message_detach_headers(m, &h->headers);
	if (!s->held)
		s->held_retry_ns = clock_monotonic_ns() + HELD_RETRY_NS;
	*s->held_end = h;
	s->held_end = &h->next;
	s->held_count++;
}

static void drop_first_held(struct sink_kafka *s)
{
	struct held *h = s->held;

	s->held = h->next;
	if (!s->held)
		s->held_end = &s->held;
	s->held_count--;
	held_free(h);
}

static void produce_held(struct sink_kafka *s)
{
	if (!s->held || s->broken || clock_monotonic_ns() < s->held_retry_ns)
		return;
	while (s->held) {
		struct held *h = s->held;
		const struct record record = {
			.key = bytes_of(h->data, h->key_len),
			.value = bytes_of(h->data + h->key_len, h->value_len),
			.ticket = h->ticket,
			.headers = h->headers,
		};
		int r = produce(s, &record);

		if (r == -EAGAIN)
			break;
		if (r == 0)
			h->headers = NULL;
		drop_first_held(s);
	}
	s->held_retry_ns = clock_monotonic_ns() + HELD_RETRY_NS;
}

/* ---- what librdkafka tells; alert thread ---- */

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	struct sink_kafka *s = opaque;

	(void)rk;
	s->in_flight--;
	if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
		s->delivered++;
		window_settle(s->window, ticket_of(m));
		if (s->down)
			log_info("kafka answers again");
		s->down = false;
		return;
	}
	if (m->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
		give_up(s, ticket_of(m), bytes_of(m->key, m->key_len), rd_kafka_err2str(m->err));
		return;
	}
	log_limited(LOG_LEVEL_WARNING, "kafka gave an alert back, it is sent again: %s",
		    rd_kafka_err2str(m->err));
	hold(s, (rd_kafka_message_t *)(uintptr_t)m);
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
	struct sink_kafka *s = opaque;

	(void)rk;
	/* In TLS 1.3 a broker refuses a client's certificate after the handshake: a broken
	 * connection. */
	if (strstr(reason, "SSL routines"))
		code = RD_KAFKA_RESP_ERR__SSL;
	switch (code) {
	case RD_KAFKA_RESP_ERR__FATAL:
		s->broken = true;
		log_warning("the kafka producer broke and is made anew: %s", reason);
		break;
	case RD_KAFKA_RESP_ERR__AUTHENTICATION:
		log_limited(LOG_LEVEL_ERROR,
			    "kafka refuses the login; check kafka.username, kafka.password and "
			    "kafka.sasl_mechanism: %s",
			    reason);
		break;
	case RD_KAFKA_RESP_ERR__SSL:
		log_limited(LOG_LEVEL_ERROR,
			    "TLS with kafka fails; check kafka.ca, kafka.cert and kafka.key: %s",
			    reason);
		break;
	case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
		if (!s->down)
			log_warning("no kafka broker answers (kafka.brokers: %s); alerts wait and "
				    "are sent when one "
				    "does",
				    s->options->brokers);
		s->down = true;
		break;
	default:
		log_limited(LOG_LEVEL_WARNING, "kafka: %s", reason);
	}
}

/* Its own threads' lines say the same as on_error in words of its own; kept for --log-level debug.
 */
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	(void)rk;
	(void)level;
	log_debug("kafka %s: %s", facility, text);
}

/* ---- life ---- */

static int open_producer(struct sink_kafka *s, struct err *e)
{
	rd_kafka_conf_t *conf;
	char text[256];
	int r = sink_kafka_setup_conf(s->options, &conf, e);

	if (r < 0)
		return r;
	rd_kafka_conf_set_opaque(conf, s);
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rd_kafka_conf_set_error_cb(conf, on_error);
	rd_kafka_conf_set_log_cb(conf, on_log);
	s->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
	if (s->rk)
		return 0;
	rd_kafka_conf_destroy(conf);
	return err_set(e, -EINVAL, "cannot start the kafka producer: %s", text);
}

/* Everything that the broken producer still has comes back through on_delivery and is held. */
static void replace_producer(struct sink_kafka *s)
{
	rd_kafka_t *old = s->rk;
	struct err e = {0};

	if (clock_monotonic_ns() < s->replace_ns)
		return;
	s->replace_ns = clock_monotonic_ns() + REPLACE_NS;
	(void)rd_kafka_purge(old, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	(void)rd_kafka_flush(old, PURGE_MS);
	if (s->in_flight > 0)
		return; /* the rest comes back later */
	if (open_producer(s, &e) < 0) {
		s->rk = old;
		log_limited(LOG_LEVEL_ERROR, "%s", e.text);
		return;
	}
	rd_kafka_destroy(old);
	s->broken = false;
	s->held_retry_ns = 0;
}

static void poll_sink(struct sink *sink)
{
	struct sink_kafka *s = (struct sink_kafka *)sink;

	(void)rd_kafka_poll(s->rk, 0);
	if (s->broken && atomic_load(&s->topic.ready))
		replace_producer(s);
	produce_held(s);
}

static int drain(struct sink *sink, int timeout_ms)
{
	struct sink_kafka *s = (struct sink_kafka *)sink;
	uint64_t end = clock_monotonic_ns() + (uint64_t)timeout_ms * NS_PER_MS;

	do {
		poll_sink(sink);
		if (s->in_flight + s->held_count == 0)
			break;
		(void)rd_kafka_poll(s->rk, DRAIN_SLICE_MS);
	} while (clock_monotonic_ns() < end);
	return (int)(s->in_flight + s->held_count);
}

static void stats(const struct sink *sink, struct sink_stats *ret_stats)
{
	const struct sink_kafka *s = (const struct sink_kafka *)sink;

	*ret_stats = (struct sink_stats){
		.delivered = s->delivered,
		.failed = s->failed,
		.queued = s->in_flight + s->held_count,
		.confirmed = window_settled_row(s->window),
	};
}

static void free_sink(struct sink *sink)
{
	struct sink_kafka *s = (struct sink_kafka *)sink;

	if (!s)
		return;
	sink_kafka_setup_topic_stop(&s->topic);
	if (s->rk)
		rd_kafka_destroy(s->rk);
	while (s->held)
		drop_first_held(s);
	window_free(s->window);
	free(s);
}

DEFINE_CLEANUP(struct sink *, free_sink)

static int open_sink(const struct sink_options *options, struct metrics *metrics,
		     struct sink **ret_sink, struct err *e)
{
	_cleanup_(free_sinkp) struct sink *sink = NULL;
	struct sink_kafka *s;
	int r;

	(void)metrics;
	if (!*options->kafka.brokers)
		return 0;
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	sink = &s->base;
	s->base.type = &sink_kafka_type;
	s->options = &options->kafka;
	s->held_end = &s->held;
	s->window = window_new(WINDOW);
	if (!s->window)
		return err_set(e, -ENOMEM, "out of memory");
	if ((size_t)snprintf(s->name, sizeof(s->name), "%salerts", options->kafka.topic_prefix) >=
	    sizeof(s->name))
		return err_set(e, -EINVAL,
			       "kafka.topic_prefix is longer than a topic's name may be");
	r = open_producer(s, e);
	if (r < 0)
		return r;
	s->topic = (struct sink_kafka_topic){
		.rk = s->rk,
		.name = s->name,
		.partitions = (int)options->kafka.partitions,
		.replication = (int)options->kafka.replication,
	};
	r = sink_kafka_setup_topic_start(&s->topic, e);
	if (r < 0)
		return r;
	*ret_sink = take_ptr(sink);
	return 1;
}

const struct sink_type sink_kafka_type = {
	.name = "kafka",
	.help = "alerts as records of a Kafka topic, confirmed by the brokers",
	.durable = true,
	.open = open_sink,
	.publish = publish,
	.poll = poll_sink,
	.drain = drain,
	.stats = stats,
	.free = free_sink,
};
