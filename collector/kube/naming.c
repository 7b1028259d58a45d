/* One table under one lock; see naming.h. A turn costs nothing while nobody waits, or while neither the
 * store nor the questions have changed. An entry is 0.6 KiB. */
#include "collector/kube/naming.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/table.h"

#define RETRY_NS NS_PER_SEC /* between two looks when nothing has changed */

struct question_key {
	char cluster[128];
	char node[256];
	char boot_id[40];
	char container_id[65];
};

struct question {
	char pod_uid[API_UID_MAX];
	bool pending;
	uint64_t since_ns; /* of the first turn that saw it; 0: none has */
};

struct naming {
	struct naming_config config;
	pthread_mutex_t lock; /* all below */
	struct table *questions;
	uint32_t pending;
	bool fresh; /* questions since the last look */
	uint64_t seen_version, looked_ns, now_ns;
	struct metric *answered, *partly, *given_up, *waiting;
};

static void gone(void *ctx, const void *key, void *record)
{
	struct naming *n = (struct naming *)ctx;

	(void)key;
	if (((const struct question *)record)->pending)
		n->pending--;
}

struct naming *naming_new(const struct naming_config *config)
{
	static const char name[] = "nightjar_kube_containers_named_total";
	static const char help[] = "Containers that the Kubernetes API was asked for, by what came of it.";
	struct naming *n = calloc(1, sizeof(*n));
	const struct table_config questions = {.key_size = sizeof(struct question_key),
					       .record_size = sizeof(struct question),
					       .capacity = NAMING_MAX,
					       .gone = gone,
					       .ctx = n};

	if (!n)
		return NULL;
	n->config = *config;
	(void)pthread_mutex_init(&n->lock, NULL);
	n->questions = table_new(&questions);
	if (!n->questions) {
		naming_free(n);
		return NULL;
	}
	n->answered = metrics_counter(config->metrics, name, "result=\"whole\"", help);
	n->partly = metrics_counter(config->metrics, name, "result=\"partly\"", help);
	n->given_up = metrics_counter(config->metrics, name, "result=\"unknown\"", help);
	n->waiting = metrics_gauge(config->metrics, "nightjar_kube_containers_waiting", NULL,
				   "Containers whose names the Kubernetes API has not told yet.");
	return n;
}

void naming_free(struct naming *n)
{
	if (!n)
		return;
	table_free(n->questions);
	(void)pthread_mutex_destroy(&n->lock);
	free(n);
}

/* False: it does not fit, so it is none of ours. */
static bool copy(const char *text, char *ret, size_t size)
{
	size_t len = strlen(text);

	if (len >= size)
		return false;
	memcpy(ret, text, len);
	return true;
}

void naming_ask(struct naming *n, const struct naming_node *node, const char *container_id, const char *pod_uid)
{
	struct question_key key = {.cluster = ""};
	struct question *q;
	char uid[API_UID_MAX] = "";
	bool is_new;

	if (!copy(node->cluster, key.cluster, sizeof(key.cluster)) || !copy(node->node, key.node, sizeof(key.node)) ||
	    !copy(node->boot_id, key.boot_id, sizeof(key.boot_id)) ||
	    !copy(container_id, key.container_id, sizeof(key.container_id)) || !copy(pod_uid, uid, sizeof(uid)))
		return;
	(void)pthread_mutex_lock(&n->lock);
	q = table_put(n->questions, &key, &is_new);
	if (is_new || !q->pending) {
		/* Asked for again, so the answer is gone where it was needed. */
		*q = (struct question){.pending = true};
		memcpy(q->pod_uid, uid, sizeof(q->pod_uid));
		n->pending++;
		n->fresh = true;
	}
	(void)pthread_mutex_unlock(&n->lock);
}

static bool ask_again(void *ctx, const void *key, void *record)
{
	struct naming *n = (struct naming *)ctx;
	struct question *q = (struct question *)record;

	(void)key;
	if (!q->pending) {
		q->pending = true;
		q->since_ns = 0;
		n->pending++;
	}
	return true;
}

void naming_again(struct naming *n)
{
	(void)pthread_mutex_lock(&n->lock);
	table_each(n->questions, ask_again, n);
	n->fresh = true;
	(void)pthread_mutex_unlock(&n->lock);
}

/* ---- answers -------------------------------------------------------------------------------------- */

struct labels {
	Nightjar__V1__Label messages[API_LABELS_MAX];
	Nightjar__V1__Label *pointers[API_LABELS_MAX];
};

static void fill_labels(const struct apistore_pod *pod, struct labels *labels, Nightjar__V1__ContainerMetadata *m)
{
	const char *at = pod->labels;

	for (uint32_t i = 0; i < pod->label_count && i < API_LABELS_MAX; i++) {
		nightjar__v1__label__init(&labels->messages[i]);
		labels->messages[i].key = (char *)(uintptr_t)at;
		at += strlen(at) + 1;
		labels->messages[i].value = (char *)(uintptr_t)at;
		at += strlen(at) + 1;
		labels->pointers[i] = &labels->messages[i];
		m->n_labels++;
	}
	m->labels = labels->pointers;
}

static int tell(struct naming *n, const struct question_key *key, struct apistore_pod *pod)
{
	const struct naming_node node = {.cluster = key->cluster, .node = key->node, .boot_id = key->boot_id};
	Nightjar__V1__ContainerMetadata m = NIGHTJAR__V1__CONTAINER_METADATA__INIT;
	struct labels labels;

	m.container_id = (char *)(uintptr_t)key->container_id;
	m.pod_uid = pod->uid;
	m.name = pod->container;
	m.image = pod->image;
	m.pod = pod->name;
	m.namespace_ = pod->namespace;
	m.workload_kind = pod->workload_kind;
	m.workload = pod->workload;
	m.service_account = pod->service_account;
	m.node = pod->node;
	fill_labels(pod, &labels, &m);
	return n->config.tell(n->config.ctx, &node, &m);
}

static void settle(struct naming *n, struct question *q)
{
	q->pending = false;
	n->pending--;
}

static bool look(void *ctx, const void *key, void *record)
{
	struct naming *n = (struct naming *)ctx;
	const struct question_key *k = (const struct question_key *)key;
	struct question *q = (struct question *)record;
	struct apistore_pod pod;
	uint64_t age_ns;
	int r;

	if (!q->pending)
		return true;
	if (!q->since_ns)
		q->since_ns = n->now_ns;
	age_ns = n->now_ns - q->since_ns;
	r = apistore_find_container(n->config.store, k->container_id, q->pod_uid, &pod);
	if (r == 0 || (r == -EAGAIN && age_ns >= NAMING_GRACE_NS)) {
		if (tell(n, k, &pod) < 0)
			return true;
		metric_add(r == 0 ? n->answered : n->partly, 1);
		settle(n, q);
	} else if (age_ns >= NAMING_WINDOW_NS) {
		metric_add(n->given_up, 1);
		(void)table_remove(n->questions, key);
	}
	return true;
}

void naming_turn(struct naming *n, uint64_t now_ns)
{
	uint64_t version = apistore_version(n->config.store);

	(void)pthread_mutex_lock(&n->lock);
	if (n->pending > 0 && (n->fresh || version != n->seen_version || now_ns - n->looked_ns >= RETRY_NS)) {
		n->fresh = false;
		n->seen_version = version;
		n->looked_ns = n->now_ns = now_ns;
		table_each(n->questions, look, n);
	}
	metric_set(n->waiting, n->pending);
	(void)pthread_mutex_unlock(&n->lock);
}
