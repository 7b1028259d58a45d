/* Composition: which part is given which, and in which order they come and go.
 *
 *   listen → sessions → intake → journal          metrics, health, reflection, fleet, http beside
 *                          └→ workers → deliver → store, sinks (and Alerts.Watch) */
#include "collector/collector.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/api/alerts.h"
#include "collector/api/fleet.h"
#include "collector/api/health.h"
#include "collector/api/http.h"
#include "collector/api/reflection.h"
#include "collector/deliver.h"
#include "collector/ingest/enroll.h"
#include "collector/ingest/session.h"
#include "collector/kube/kube.h"
#include "collector/policy_compile.h"
#include "collector/sink/registry.h"
#include "collector/worker.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/ready.h"
#include "common/tls13.h"

#define STOP_MS		  1000 /* that streams have to end by themselves */
#define FLUSH_TICKS	  10

struct collector {
	const struct options *o;
	struct detect_options detect;
	struct metrics *metrics;
	struct tls_files files;
	struct store *store;
	struct alerts *alerts;
	struct sink **sinks;
	struct deliver *deliver;
	struct recorder *recorder;
	struct nodes *nodes;
	struct journal *journal;
	struct workers *workers;
	struct policy *policy;
	struct intake *intake;
	struct sessions *sessions;
	struct health *health;
	struct reflection *reflection;
	struct fleet *fleet;
	struct http *http;
	struct listen *listen;
	struct kube *kube; /* NULL: there is no Kubernetes API */
	struct enroll *enroll;
	const struct listen_method *methods[7];
	uint16_t grpc_port;
	unsigned int ticks;
	atomic_bool ready;
	bool drained;
};

/* ---- what parts ask of others ------------------------------------------------------------------ */

static void on_alert(void *ctx, struct alert *alert)
{
	deliver_submit(((struct collector *)ctx)->deliver, alert);
}

static void on_room_again(void *ctx)
{
	struct collector *c = (struct collector *)ctx;

	if (c->intake)
		intake_retry(c->intake);
}

static void on_need_epoch(void *ctx, struct node *node)
{
	struct collector *c = (struct collector *)ctx;

	if (atomic_load(&c->ready)) /* in a replay there is nobody to ask */
		intake_need_epoch(c->intake, node);
}

/* A detection thread. */
static void on_unnamed(void *ctx, const struct node_ref *node, const struct container_def *container)
{
	const struct naming_node where = {.cluster = node->cluster, .node = node->node, .boot_id = node->boot_id};

	kube_ask(((struct collector *)ctx)->kube, &where, container->container_id, container->pod_uid);
}

/* The thread that watches the cluster. */
static int on_named(void *ctx, const struct naming_node *where, const Nightjar__V1__ContainerMetadata *metadata)
{
	const struct node_ref node = {.cluster = where->cluster, .node = where->node, .boot_id = where->boot_id};
	Nightjar__V1__AgentMessage message = NIGHTJAR__V1__AGENT_MESSAGE__INIT;
	_cleanup_buf_ struct buf out = {0};
	uint8_t *room;

	message.body_case = NIGHTJAR__V1__AGENT_MESSAGE__BODY_METADATA;
	message.metadata = (Nightjar__V1__ContainerMetadata *)(uintptr_t)metadata;
	room = buf_extend(&out, nightjar__v1__agent_message__get_packed_size(&message));
	if (!room)
		return buf_error(&out);
	(void)nightjar__v1__agent_message__pack(&message, room);
	return intake_metadata(((struct collector *)ctx)->intake, &node, buf_bytes(&out), clock_wall_ns());
}

static void on_synced(void *ctx, uint64_t position)
{
	intake_synced(((struct collector *)ctx)->intake, position);
}

static void on_rotated(void *ctx)
{
	struct collector *c = (struct collector *)ctx;

	intake_rotated(c->intake);
	if (c->kube)
		kube_again(c->kube);
}

static bool is_ready(void *ctx)
{
	return atomic_load(&((struct collector *)ctx)->ready);
}

/* ---- building, in this order ------------------------------------------------------------------- */

static int build_files(struct collector *c, struct err *e)
{
	const struct options *o = c->o;
	int r = tls13_check(e);

	if (r < 0)
		return r;
	r = tls_load(o->tls_ca, o->tls_cert, o->tls_key, clock_wall_ns(), &c->files, e);
	if (r < 0)
		return r;
	if (mkdir(o->data_dir, 0750) < 0 && errno != EEXIST)
		return err_set(e, -errno, "cannot make data.dir '%s': %s", o->data_dir, strerror(errno));
	return 0;
}

static int build_delivery(struct collector *c, struct err *e)
{
	_cleanup_(freep) char *path = NULL;
	struct deliver_config config = {.metrics = c->metrics,
					.queue_capacity = c->o->queue_alerts,
					.limits = {.max_bytes = c->o->store_max_bytes,
						   .max_age_ns = c->o->store_max_age_ns}};
	int r;

	if (asprintf(&path, "%s/alerts.db", c->o->data_dir) < 0)
		return err_set(e, -ENOMEM, "no memory");
	r = store_open(path, &c->store, e);
	if (r < 0)
		return r;
	c->alerts = alerts_new(c->store, c->metrics);
	if (!c->alerts)
		return err_set(e, -ENOMEM, "no memory");
	r = registry_open(&c->o->sinks, c->metrics, alerts_sink(c->alerts), &c->sinks, e);
	if (r < 0)
		return r;
	config.store = c->store;
	config.sinks = c->sinks;
	return deliver_new(&config, &c->deliver, e);
}

static struct apiclient_config api_of(const struct options *o)
{
	return (struct apiclient_config){.server = o->kubernetes_server,
					 .token_file = o->kubernetes_token_file,
					 .ca_file = o->kubernetes_ca_file};
}

/* Before detection, which asks it; the watch begins when there is a stream to put the answers into. */
static int build_kube(struct collector *c, struct err *e)
{
	const struct kube_config config = {.api = api_of(c->o),
					   .pods = (uint32_t)c->o->kubernetes_pods,
					   .metrics = c->metrics,
					   .tell = on_named,
					   .ctx = c};

	return collector_options_kubernetes(c->o) ? kube_new(&config, &c->kube, e) : 0;
}

static int start_kube(struct collector *c, struct err *e)
{
	return c->kube ? kube_start(c->kube, e) : 0;
}

static int build_detection(struct collector *c, struct err *e)
{
	const struct options *o = c->o;
	struct workers_config config = {
		.stage1_threads = (unsigned int)o->stage1_threads,
		.stage2_threads = (unsigned int)o->stage2_threads,
		.queue_batches = o->queue_batches,
		.shard_nodes = (uint32_t)(o->nodes_max / 16 + 16), /* shards fill unevenly */
		.metrics = c->metrics,
		.alert = on_alert,
		.room_again = on_room_again,
		.need_epoch = on_need_epoch,
		.unnamed = c->kube ? on_unnamed : NULL,
		.ctx = c,
	};
	int r = 0;

	if (o->record_file[0])
		r = recorder_new(o->record_file, o->record_cap, c->metrics, &c->recorder, e);
	if (r < 0)
		return r;
	collector_options_detect(o, &c->detect);
	config.detect = &c->detect;
	config.recorder = c->recorder;
	return workers_new(&config, &c->workers, e);
}

/* What agents are told to capture. */
static int make_policy(const struct options *o, struct policy **ret_policy, struct err *e)
{
	_cleanup_(policy_freep) struct policy *p = NULL;
	_cleanup_(freep) char *path = NULL;
	int r = policy_compile(&o->capture, detect_registry(), &p, e);

	if (r < 0)
		return r;
	if (asprintf(&path, "%s/policy", o->data_dir) < 0)
		return err_set(e, -ENOMEM, "no memory");
	r = policy_number(p, path, e);
	if (r == 0)
		*ret_policy = take_ptr(p);
	return r;
}

static int build_policy(struct collector *c, struct err *e)
{
	return make_policy(c->o, &c->policy, e);
}

static int build_journal(struct collector *c, struct err *e)
{
	_cleanup_(freep) char *path = NULL;
	struct journal_config config = {.segment_bytes = c->o->journal_segment,
					.cap_bytes = c->o->journal_cap,
					.buffer_bytes = c->o->journal_buffer,
					.metrics = c->metrics,
					.synced = on_synced,
					.rotated = on_rotated,
					.ctx = c};

	if (asprintf(&path, "%s/journal", c->o->data_dir) < 0)
		return err_set(e, -ENOMEM, "no memory");
	config.dir = path;
	return journal_open(&config, &c->journal, e);
}

static int build_ingest(struct collector *c, struct err *e)
{
	struct intake_config intake = {
		.metrics = c->metrics, .room = workers_room, .submit = workers_submit, .ctx = c->workers};
	struct session_config session = {.cluster = c->o->cluster, .metrics = c->metrics};
	_cleanup_buf_ struct buf greeting = {0};
	int r = build_journal(c, e);

	if (r < 0)
		return r;
	c->nodes = nodes_new((uint32_t)c->o->nodes_max, c->metrics);
	if (!c->nodes || policy_pack_message(c->policy, &greeting) < 0)
		return err_set(e, -ENOMEM, "no memory");
	intake.wanted = policy_classes(c->policy);
	intake.nodes = c->nodes;
	intake.journal = c->journal;
	r = intake_new(&intake, &c->intake, e);
	if (r < 0)
		return r;
	session.intake = c->intake;
	session.greeting = buf_bytes(&greeting);
	c->sessions = sessions_new(&session);
	if (!c->sessions)
		return err_set(e, -ENOMEM, "no memory");
	r = journal_replay(c->journal, intake_replay, c->intake, e);
	return r < 0 ? r : journal_start(c->journal, e);
}

static int build_services(struct collector *c, struct err *e)
{
	static const char *const services[] = {"nightjar.v1.Ingest", "nightjar.v1.Alerts",
					       "nightjar.v1.Fleet", NULL};
	const struct http_config http = {
		.address = c->o->http_listen, .metrics = c->metrics, .ready = is_ready, .ctx = c};
	int r = reflection_new(&c->reflection, e);

	if (r < 0)
		return r;
	c->health = health_new(services);
	c->fleet = fleet_new(c->nodes, c->metrics);
	if (!c->health || !c->fleet)
		return err_set(e, -ENOMEM, "no memory");
	return c->o->http_listen[0] ? http_new(&http, &c->http, e) : 0;
}

static int build_enrolment(struct collector *c, struct err *e)
{
	const struct options *o = c->o;
	const struct enroll_config config = {.api = api_of(o),
					     .rules = {.audience = o->enroll_audience,
						       .namespace = o->enroll_namespace,
						       .service_account = o->enroll_service_account,
						       .cluster = o->cluster},
					     .ca = o->tls_ca,
					     .ca_key = o->enroll_ca_key,
					     .valid_ns = o->enroll_valid_ns,
					     .metrics = c->metrics};

	return o->enroll_listen[0] ? enroll_new(&config, &c->enroll, e) : 0;
}

static int build_listener(struct collector *c, struct err *e)
{
	const struct listen_config config = {.address = c->o->grpc_listen,
					     .enroll_address = c->o->enroll_listen,
					     .files = &c->files,
					     .threads = (unsigned int)c->o->grpc_threads,
					     .connections = (unsigned int)c->o->grpc_connections,
					     .methods = c->methods,
					     .metrics = c->metrics};
	int r;

	c->methods[0] = sessions_methods(c->sessions);
	c->methods[1] = alerts_methods(c->alerts);
	c->methods[2] = fleet_methods(c->fleet);
	c->methods[3] = health_methods(c->health);
	c->methods[4] = reflection_methods(c->reflection);
	if (c->enroll)
		c->methods[5] = enroll_methods(c->enroll);
	atomic_store(&c->ready, true); /* agents come the moment the listener is there */
	r = listen_new(&config, &c->listen, e);
	if (r < 0)
		return r;
	c->grpc_port = listen_port(c->listen);
	health_set(c->health, true);
	return 0;
}

int collector_new(const struct options *o, struct collector **ret_collector, struct err *e)
{
	static int (*const steps[])(struct collector * c, struct err * e) = {
		build_files,  build_delivery, build_kube,     build_detection, build_policy,
		build_ingest, start_kube,     build_services, build_enrolment, build_listener,
	};
	struct collector *c = calloc(1, sizeof(*c));
	size_t i;
	int r = 0;

	if (c)
		c->metrics = metrics_new();
	if (!c || !c->metrics) {
		free(c);
		return err_set(e, -ENOMEM, "no memory");
	}
	c->o = o;
	for (i = 0; r == 0 && i < sizeof(steps) / sizeof(steps[0]); i++)
		r = steps[i](c, e);
	if (r < 0) {
		(void)collector_drain(c);
		collector_free(c);
		return r;
	}
	*ret_collector = c;
	return 0;
}

/* ---- running ------------------------------------------------------------------------------------ */

/* "HOST" of HOST:PORT as it was configured, with the port that it really is. */
static void format_address(const char *configured, uint16_t port, char *ret_text, size_t size)
{
	const char *colon = strrchr(configured, ':');

	(void)snprintf(ret_text, size, "%.*s:%u", colon ? (int)(colon - configured) : 0, configured, port);
}

void collector_say_ready(const struct collector *c)
{
	char grpc[280], http[280], enroll[296] = "";

	format_address(c->o->grpc_listen, c->grpc_port, grpc, sizeof(grpc));
	if (c->http)
		format_address(c->o->http_listen, http_port(c->http), http, sizeof(http));
	else
		(void)snprintf(http, sizeof(http), "none");
	if (c->enroll) {
		(void)snprintf(enroll, sizeof(enroll), " enroll=");
		format_address(c->o->enroll_listen, listen_enroll_port(c->listen), enroll + strlen(enroll),
			       sizeof(enroll) - strlen(enroll));
	}
	ready_say("nightjar-collector", "grpc=%s http=%s%s", grpc, http, enroll);
}

void collector_tick(struct collector *c, uint64_t wall_ns)
{
	workers_tick(c->workers, wall_ns);
	intake_tick(c->intake);
	if (c->recorder && ++c->ticks % FLUSH_TICKS == 0)
		recorder_flush(c->recorder);
}

/* New streams first, then those that have begun: see sessions_greet. */
static int spread_policy(struct collector *c, struct policy *fresh, struct err *e)
{
	_cleanup_buf_ struct buf message = {0};

	if (policy_pack_message(fresh, &message) < 0 ||
	    sessions_greet(c->sessions, buf_bytes(&message)) < 0)
		return err_set(e, -ENOMEM, "no memory");
	intake_set_policy(c->intake, buf_bytes(&message), policy_classes(fresh), clock_wall_ns());
	return 0;
}

static int reload_policy(struct collector *c, const struct options *o, struct err *e)
{
	_cleanup_(policy_freep) struct policy *fresh = NULL;
	struct policy *old = c->policy;
	int r = make_policy(o, &fresh, e);

	if (r < 0 || policy_generation(fresh) == policy_generation(old))
		return r;
	r = spread_policy(c, fresh, e);
	if (r < 0)
		return r;
	log_info("policy %u follows policy %u", policy_generation(fresh), policy_generation(old));
	c->policy = take_ptr(fresh);
	policy_free(old);
	return 0;
}

static int reload_files(struct collector *c, const struct options *o, struct err *e)
{
	struct tls_files files = {0};
	int r = tls_load(o->tls_ca, o->tls_cert, o->tls_key, clock_wall_ns(), &files, e);

	if (r < 0)
		return r;
	r = listen_reload(c->listen, &files, e);
	tls_files_done(&files);
	return r;
}

int collector_reload(struct collector *c, const struct options *o, struct err *e)
{
	int r = capture_options_check(&o->capture, e);

	if (r == 0)
		r = reload_files(c, o, e);
	return r < 0 ? r : reload_policy(c, o, e);
}

int collector_drain(struct collector *c)
{
	int left = 0;

	atomic_store(&c->ready, false);
	if (c->health)
		health_set(c->health, false);
	if (c->listen)
		listen_stop(c->listen, STOP_MS);
	if (c->kube)
		kube_stop(c->kube);
	if (c->journal)
		journal_stop(c->journal);
	if (c->workers)
		workers_stop(c->workers);
	if (c->deliver)
		left = deliver_stop(c->deliver, (int)(c->o->drain_ns / NS_PER_MS));
	c->drained = true;
	return left;
}

void collector_free(struct collector *c)
{
	if (!c)
		return;
	if (!c->drained)
		(void)collector_drain(c);
	listen_free(c->listen);
	enroll_free(c->enroll);
	http_free(c->http);
	fleet_free(c->fleet);
	reflection_free(c->reflection);
	health_free(c->health);
	sessions_free(c->sessions);
	workers_free(c->workers);
	kube_free(c->kube);
	intake_free(c->intake);
	journal_close(c->journal);
	nodes_free(c->nodes);
	policy_free(c->policy);
	recorder_free(c->recorder);
	deliver_free(c->deliver);
	registry_free(c->sinks);
	alerts_free(c->alerts);
	store_close(c->store);
	tls_files_done(&c->files);
	metrics_free(c->metrics);
	free(c);
}
