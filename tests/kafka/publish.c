/* Drives the product's own way from an alert to Kafka (store, alert thread, sinks) without an
 * agent, and makes the certificates for the broker. Used by tests/kafka/run.
 *
 *   publish certs DIR           ca, broker, client, agent, expired; DIR/foreign: a client of
 * another CA publish send KEY=VALUE...   submits alerts, waits for the brokers, prints "unconfirmed
 * N" publish get STORE ID        the stored alert as JSON
 *
 * Keys of send: store (file), first, count, interval_ms, stop_ms, node, and the options kafka.* of
 * the collector. Exit 0: all confirmed; 3: not all; 1: it could not start. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/deliver.h"
#include "collector/sink/registry.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/proto_json.h"
#include "common/tls.h"
#include "tests/unit/alert_sample.h"

static int fail(const struct err *e)
{
	(void)fprintf(stderr, "publish: %s\n", e->text);
	return 1;
}

/* ---- certificates ---- */

static int make_cert(const char *dir, const char *name, enum tls_role role, int64_t not_after_s,
		     struct err *e)
{
	static const char *const hosts[] = {"localhost", "127.0.0.1", NULL};
	struct tls_request request = {
		.name = name,
		.identity = {.role = role, .cluster = "test", .namespace = "nightjar"},
		.hosts = role == TLS_ROLE_COLLECTOR ? hosts : NULL,
		.not_before_s = -7200,
		.not_after_s = not_after_s,
	};

	if (role == TLS_ROLE_AGENT)
		(void)snprintf(request.identity.node, sizeof(request.identity.node), "node-1");
	return tls_make_cert(dir, &request, e);
}

static int make_certs(const char *dir)
{
	char foreign[512];
	struct err e = {0};
	int r = tls_make_ca(dir, "test", 1, &e);

	(void)snprintf(foreign, sizeof(foreign), "%s/foreign", dir);
	if (r == 0)
		r = make_cert(dir, "broker", TLS_ROLE_COLLECTOR, 3600, &e);
	if (r == 0)
		r = make_cert(dir, "client", TLS_ROLE_READER, 3600, &e);
	if (r == 0)
		r = make_cert(dir, "agent", TLS_ROLE_AGENT, 3600, &e);
	if (r == 0)
		r = make_cert(dir, "expired", TLS_ROLE_READER, -3600, &e);
	if (r == 0)
		r = tls_make_ca(foreign, "test", 1, &e);
	if (r == 0)
		r = make_cert(foreign, "client", TLS_ROLE_READER, 3600, &e);
	return r < 0 ? fail(&e) : 0;
}

/* ---- sending ---- */

struct settings {
	struct sink_options sinks;
	char *store, *node;
	uint64_t first, count, interval_ms, stop_ms;
};

static void set_defaults(struct settings *s)
{
	static char empty[] = "", none[] = "none", never[] = "never", prefix[] = "nightjar.",
		    memory[] = ":memory:", node[] = "node-1";

	*s = (struct settings){.store = memory, .node = node, .count = 1, .stop_ms = 10000};
	s->sinks.log = (struct sink_log_options){
		.format = none, .path = empty, .color = never, .alerts = empty};
	s->sinks.kafka = (struct sink_kafka_options){
		.brokers = empty,
		.topic_prefix = prefix,
		.partitions = 3,
		.buffer_bytes = 1 << 20,
		.ca = empty,
		.cert = empty,
		.key = empty,
		.key_password = empty,
		.sasl_mechanism = empty,
		.username = empty,
		.password = empty,
	};
}

static int set(struct settings *s, const char *key, char *value)
{
	struct sink_kafka_options *k = &s->sinks.kafka;
	const struct {
		const char *key;
		char **text;
		uint64_t *number;
	} rows[] = {
		{"store", &s->store, NULL},
		{"node", &s->node, NULL},
		{"first", NULL, &s->first},
		{"count", NULL, &s->count},
		{"interval_ms", NULL, &s->interval_ms},
		{"stop_ms", NULL, &s->stop_ms},
		{"kafka.brokers", &k->brokers, NULL},
		{"kafka.topic_prefix", &k->topic_prefix, NULL},
		{"kafka.partitions", NULL, &k->partitions},
		{"kafka.ca", &k->ca, NULL},
		{"kafka.cert", &k->cert, NULL},
		{"kafka.key", &k->key, NULL},
		{"kafka.sasl_mechanism", &k->sasl_mechanism, NULL},
		{"kafka.username", &k->username, NULL},
		{"kafka.password", &k->password, NULL},
	};

	if (strcmp(key, "kafka.tls") == 0) {
		k->tls = strcmp(value, "true") == 0;
		return 0;
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(rows[i].key, key) != 0)
			continue;
		if (rows[i].text)
			*rows[i].text = value;
		else
			*rows[i].number = strtoull(value, NULL, 10);
		return 0;
	}
	return -EINVAL;
}

static int read_settings(struct settings *s, char **words, struct err *e)
{
	set_defaults(s);
	for (; *words; words++) {
		char *equals = strchr(*words, '=');

		if (!equals)
			return err_set(e, -EINVAL, "'%s' is not KEY=VALUE", *words);
		*equals = '\0';
		if (set(s, *words, equals + 1) < 0)
			return err_set(e, -EINVAL, "no key '%s'", *words);
	}
	return 0;
}

static void *arena_take(void *arena, size_t size)
{
	return arena_alloc(arena, size);
}

static void arena_leave(void *arena, void *pointer)
{
	(void)arena;
	(void)pointer;
}

/* A whole alert in an arena of its own: packed and unpacked again. */
static struct alert *alert_of(const Nightjar__V1__Alert *sample)
{
	struct alert *a = alert_new();
	size_t len = nightjar__v1__alert__get_packed_size(sample);
	uint8_t *packed = a ? arena_alloc(a->arena, len) : NULL;
	ProtobufCAllocator allocator = {.alloc = arena_take, .free = arena_leave};
	Nightjar__V1__Alert *copy;

	if (!packed)
		abort();
	(void)nightjar__v1__alert__pack(sample, packed);
	allocator.allocator_data = a->arena;
	copy = nightjar__v1__alert__unpack(&allocator, len, packed);
	if (!copy)
		abort();
	a->msg = *copy;
	return a;
}

static void submit_all(struct deliver *d, const struct settings *s)
{
	const struct timespec pause = clock_timespec(s->interval_ms * NS_PER_MS);
	struct alert_sample sample;

	alert_sample_fill(&sample);
	sample.alert.node = s->node;
	for (uint64_t i = s->first; i < s->first + s->count; i++) {
		char id[32];

		(void)snprintf(id, sizeof(id), "%026llu", (unsigned long long)i);
		sample.alert.id = id;
		deliver_submit(d, alert_of(&sample.alert));
		if (s->interval_ms) /* the pace that was asked for */
			(void)nanosleep(&pause, NULL);
	}
}

static int send_alerts(char **words)
{
	struct settings s;
	struct metrics *metrics = metrics_new();
	struct deliver_config config = {.queue_capacity = 256, .metrics = metrics};
	struct sink **sinks = NULL;
	struct deliver *d = NULL;
	struct err e = {0};
	int unconfirmed;

	if (read_settings(&s, words, &e) < 0 || store_open(s.store, &config.store, &e) < 0 ||
	    registry_open(&s.sinks, metrics, NULL, &sinks, &e) < 0)
		return fail(&e);
	config.sinks = sinks;
	if (deliver_new(&config, &d, &e) < 0)
		return fail(&e);
	submit_all(d, &s);
	unconfirmed = deliver_stop(d, (int)s.stop_ms);
	deliver_free(d);
	registry_free(sinks);
	store_close(config.store);
	metrics_free(metrics);
	(void)printf("unconfirmed %d\n", unconfirmed);
	return unconfirmed ? 3 : 0;
}

static int print_stored(const char *path, const char *id)
{
	_cleanup_(arena_freep) struct arena *arena = arena_new(0);
	_cleanup_buf_ struct buf json = {0};
	Nightjar__V1__Alert *alert;
	struct store *store = NULL;
	struct err e = {0};
	int r = store_open(path, &store, &e);

	if (r < 0)
		return fail(&e);
	r = store_get(store, id, arena, &alert);
	if (r == 0)
		r = proto_json_write(&json, &alert->base);
	store_close(store);
	if (r < 0)
		return 1;
	(void)puts(buf_text(&json));
	return 0;
}

int main(int argc, char **argv)
{
	log_init("publish", LOG_LEVEL_INFO);
	if (argc == 3 && strcmp(argv[1], "certs") == 0)
		return make_certs(argv[2]);
	if (argc == 4 && strcmp(argv[1], "get") == 0)
		return print_stored(argv[2], argv[3]);
	if (argc >= 2 && strcmp(argv[1], "send") == 0)
		return send_alerts(argv + 2);
	(void)fprintf(stderr, "usage: publish certs DIR | send KEY=VALUE... | get STORE ID\n");
	return 2;
}
