/* Pods and their owners, and the life of all tables; see apistore.h. */
#include "collector/kube/apistore.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/kube/apistore_private.h"

static const struct {
	const char *label;
	size_t record_size;
	uint32_t per_pod_percent; /* of the cap of pods, that a kind may have */
} kinds[API_KINDS] = {
	[API_PODS] = {"kind=\"pods\"", sizeof(struct pod_record), 100},
	[API_REPLICASETS] = {"kind=\"replicasets\"", sizeof(struct owner_record), 200},
	[API_JOBS] = {"kind=\"jobs\"", sizeof(struct owner_record), 100},
	[API_SERVICES] = {"kind=\"services\"", sizeof(struct service_record), 100},
	[API_SLICES] = {"kind=\"endpointslices\"", sizeof(struct slice_record), 200},
	[API_NODES] = {"kind=\"nodes\"", sizeof(struct node_record), 100},
};

/* ---- keys and indexes; lock held ------------------------------------------------------------------ */

struct uid_key apistore_key(const char *uid)
{
	struct uid_key key = {0};

	(void)snprintf(key.text, sizeof(key.text), "%s", uid);
	return key;
}

void *apistore_record(struct apistore *s, enum api_kind kind, const char *uid)
{
	struct uid_key key = apistore_key(uid);
	struct api_record *record = table_put(s->objects[kind], &key, NULL);

	record->generation = s->generation[kind];
	record->gone_ns = 0;
	return record;
}

void apistore_point(struct table *index, const void *key, const char *uid)
{
	struct uid_key *to = table_put(index, key, NULL);

	*to = apistore_key(uid);
}

void apistore_unpoint(struct table *index, const void *key, const void *uid)
{
	const struct uid_key *to = table_peek(index, key);

	if (to && memcmp(to, uid, sizeof(*to)) == 0)
		(void)table_remove(index, key);
}

static const char *next(const char *text)
{
	return text + strlen(text) + 1;
}

static uint8_t hex_value(char c)
{
	return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* False: not 64 hex digits. */
static bool container_key(const char *id, struct container_key *ret_key)
{
	if (strlen(id) != 64 || id[strspn(id, "0123456789abcdef")])
		return false;
	for (size_t i = 0; i < sizeof(ret_key->id); i++)
		ret_key->id[i] = (uint8_t)(hex_value(id[2 * i]) << 4 | hex_value(id[2 * i + 1]));
	return true;
}

/* ---- pods ----------------------------------------------------------------------------------------- */

static const char *first_container(const struct pod_record *pod)
{
	const char *at = pod->text;

	for (int i = 0; i < 7; i++)
		at = next(at);
	return at;
}

/* Takes the pod out of the indexes and its text away; the record stays. */
static void empty_pod(struct apistore *s, const void *uid, struct pod_record *pod)
{
	const char *at = pod->text ? first_container(pod) : NULL;
	struct container_key key;

	for (uint32_t i = 0; at && i < pod->container_count; i++, at = next(next(next(at))))
		if (container_key(at, &key))
			apistore_unpoint(s->containers, &key, uid);
	for (uint32_t i = 0; i < pod->ip_count; i++)
		apistore_unpoint(s->pod_ips, &pod->ips[i], uid);
	pod->ip_count = pod->container_count = pod->label_count = 0;
	free(take_ptr(pod->text));
}

static void pod_gone(void *ctx, const void *key, void *record)
{
	empty_pod((struct apistore *)ctx, key, (struct pod_record *)record);
}

static void add_text(struct buf *out, const char *text)
{
	buf_add(out, text, strlen(text) + 1);
}

/* All of the pod's text in one piece. NULL without memory. */
static char *pack(struct buf *out, const struct api_pod *pod)
{
	char *copy = NULL;

	buf_clear(out);
	add_text(out, pod->meta.namespace);
	add_text(out, pod->meta.name);
	add_text(out, pod->node);
	add_text(out, pod->service_account);
	add_text(out, pod->meta.owner.kind);
	add_text(out, pod->meta.owner.name);
	add_text(out, pod->meta.owner.uid);
	for (uint32_t i = 0; i < pod->container_count; i++) {
		add_text(out, pod->containers[i].id);
		add_text(out, pod->containers[i].name);
		add_text(out, pod->containers[i].image);
	}
	for (uint32_t i = 0; i < pod->label_count; i++) {
		add_text(out, pod->labels[i].key);
		add_text(out, pod->labels[i].value);
	}
	if (buf_error(out) == 0)
		copy = malloc(out->len);
	if (copy)
		memcpy(copy, out->data, out->len);
	return copy;
}

static void index_pod(struct apistore *s, const struct api_pod *pod)
{
	struct container_key key;

	for (uint32_t i = 0; i < pod->container_count; i++)
		if (container_key(pod->containers[i].id, &key))
			apistore_point(s->containers, &key, pod->cgroup_uid);
	for (uint32_t i = 0; i < pod->ip_count && !pod->host_network; i++)
		apistore_point(s->pod_ips, &pod->ips[i], pod->cgroup_uid);
}

void apistore_noted(struct apistore *s, enum api_kind kind)
{
	struct table_stats stats;

	table_stats(s->objects[kind], &stats);
	metric_set(s->counts[kind], stats.count);
	metric_add(s->evicted[kind], stats.evicted - s->evicted_so_far[kind]);
	s->evicted_so_far[kind] = stats.evicted;
	if (kind == API_PODS || kind == API_REPLICASETS || kind == API_JOBS)
		atomic_fetch_add(&s->version, 1);
}

void apistore_put_pod(struct apistore *s, const struct api_pod *pod)
{
	struct uid_key key = apistore_key(pod->cgroup_uid);
	char *text = pack(&s->scratch, pod);
	struct pod_record *record;

	if (!text)
		return;
	(void)pthread_mutex_lock(&s->lock);
	record = apistore_record(s, API_PODS, pod->cgroup_uid);
	empty_pod(s, &key, record);
	record->text = text;
	record->container_count = pod->container_count;
	record->label_count = pod->label_count;
	record->ip_count = pod->host_network ? 0 : pod->ip_count;
	memcpy(record->ips, pod->ips, sizeof(record->ips));
	index_pod(s, pod);
	apistore_noted(s, API_PODS);
	(void)pthread_mutex_unlock(&s->lock);
}

void apistore_put_owner(struct apistore *s, enum api_kind kind, const struct api_meta *meta)
{
	struct owner_record *record;

	(void)pthread_mutex_lock(&s->lock);
	record = apistore_record(s, kind, meta->uid);
	(void)snprintf(record->kind, sizeof(record->kind), "%s", meta->owner.kind);
	(void)snprintf(record->name, sizeof(record->name), "%s", meta->owner.name);
	apistore_noted(s, kind);
	(void)pthread_mutex_unlock(&s->lock);
}

/* ---- lists and deletions -------------------------------------------------------------------------- */

struct sweep {
	struct apistore *s;
	enum api_kind kind;
	uint64_t now_ns;
};

/* Lock held. Pods, and whom they belong to, are remembered for a while. */
static void remove_object(struct apistore *s, enum api_kind kind, const void *key,
			  struct api_record *record, uint64_t now_ns)
{
	if (kind == API_SERVICES || kind == API_SLICES || kind == API_NODES)
		(void)table_remove(s->objects[kind], key);
	else if (!record->gone_ns)
		record->gone_ns = now_ns;
}

void apistore_delete(struct apistore *s, enum api_kind kind, const char *uid, uint64_t now_ns)
{
	struct uid_key key = apistore_key(uid);
	struct api_record *record;

	(void)pthread_mutex_lock(&s->lock);
	record = table_peek(s->objects[kind], &key);
	if (record)
		remove_object(s, kind, &key, record, now_ns);
	apistore_noted(s, kind);
	(void)pthread_mutex_unlock(&s->lock);
}

void apistore_begin_list(struct apistore *s, enum api_kind kind)
{
	(void)pthread_mutex_lock(&s->lock);
	s->generation[kind]++;
	(void)pthread_mutex_unlock(&s->lock);
}

static bool end_one(void *ctx, const void *key, void *record)
{
	struct sweep *sweep = (struct sweep *)ctx;
	struct api_record *base = (struct api_record *)record;

	if (base->generation != sweep->s->generation[sweep->kind])
		remove_object(sweep->s, sweep->kind, key, base, sweep->now_ns);
	return true;
}

void apistore_end_list(struct apistore *s, enum api_kind kind, uint64_t now_ns)
{
	struct sweep sweep = {.s = s, .kind = kind, .now_ns = now_ns};

	(void)pthread_mutex_lock(&s->lock);
	table_each(s->objects[kind], end_one, &sweep);
	apistore_noted(s, kind);
	(void)pthread_mutex_unlock(&s->lock);
}

static bool sweep_one(void *ctx, const void *key, void *record)
{
	struct sweep *sweep = (struct sweep *)ctx;
	const struct api_record *base = (const struct api_record *)record;

	if (base->gone_ns && base->gone_ns + APISTORE_LINGER_NS <= sweep->now_ns)
		(void)table_remove(sweep->s->objects[sweep->kind], key);
	return true;
}

void apistore_sweep(struct apistore *s, uint64_t now_ns)
{
	static const enum api_kind lingering[] = {API_PODS, API_REPLICASETS, API_JOBS};

	for (size_t i = 0; i < sizeof(lingering) / sizeof(lingering[0]); i++) {
		struct sweep sweep = {.s = s, .kind = lingering[i], .now_ns = now_ns};

		(void)pthread_mutex_lock(&s->lock);
		table_each(s->objects[lingering[i]], sweep_one, &sweep);
		apistore_noted(s, lingering[i]);
		(void)pthread_mutex_unlock(&s->lock);
	}
}

/* ---- questions ------------------------------------------------------------------------------------ */

uint64_t apistore_version(const struct apistore *s)
{
	return atomic_load(&s->version);
}

#define COPY(to, from) (void)snprintf(to, sizeof(to), "%s", from)

/* Pod, its owner, and the owner of that one where it is a ReplicaSet or a Job. False: the latter is
 * not known yet. */
static bool find_workload(const struct apistore *s, const char *kind, const char *name, const char *uid,
			  struct apistore_pod *out)
{
	bool replica = strcmp(kind, "ReplicaSet") == 0, job = strcmp(kind, "Job") == 0;
	struct uid_key key = apistore_key(uid);
	const struct owner_record *owner = NULL;

	if (replica || job)
		owner = table_peek(s->objects[replica ? API_REPLICASETS : API_JOBS], &key);
	if (owner && owner->kind[0]) {
		kind = owner->kind;
		name = owner->name;
	}
	COPY(out->workload_kind, kind);
	COPY(out->workload, name);
	return owner || (!replica && !job);
}

/* A pod of nobody's, or a static one, which its node owns: then the pod is the workload. A static pod's
 * name ends in the node's. */
static void own_workload(struct apistore_pod *out)
{
	size_t name = strlen(out->name), node = strlen(out->node);
	bool with_node = strcmp(out->workload_kind, "Node") == 0 && node > 0 && name > node + 1 &&
			 strcmp(out->name + name - node, out->node) == 0;

	COPY(out->workload_kind, "Pod");
	(void)snprintf(out->workload, sizeof(out->workload), "%.*s", (int)(with_node ? name - node - 1 : name),
		       out->name);
}

static void copy_labels(const char *at, uint32_t count, struct apistore_pod *out)
{
	size_t used = 0;

	for (uint32_t i = 0; i < count; i++) {
		const char *end = next(next(at));
		size_t len = (size_t)(end - at);

		if (used + len > sizeof(out->labels))
			return;
		memcpy(out->labels + used, at, len);
		used += len;
		out->label_count++;
		at = end;
	}
}

/* *at: the first container; left at the first label. False: no container of that id is named. */
static bool copy_container(const struct pod_record *pod, const char **at, const char *id, struct apistore_pod *out)
{
	bool found = false;

	for (uint32_t i = 0; i < pod->container_count; i++, *at = next(next(next(*at)))) {
		if (!id[0] || strcmp(*at, id) != 0)
			continue;
		COPY(out->container, next(*at));
		COPY(out->image, next(next(*at)));
		found = true;
	}
	return found;
}

/* Whether all is known that can be. */
static bool describe(const struct apistore *s, const struct uid_key *uid, const struct pod_record *pod,
		     const char *container_id, struct apistore_pod *out)
{
	const char *at = pod->text, *kind, *name;
	bool whole;

	memset(out, 0, sizeof(*out));
	COPY(out->uid, uid->text);
	COPY(out->namespace, at);
	COPY(out->name, at = next(at));
	COPY(out->node, at = next(at));
	COPY(out->service_account, at = next(at));
	kind = at = next(at);
	name = at = next(at);
	at = next(at);
	whole = find_workload(s, kind, name, at, out);
	if (!kind[0] || strcmp(kind, "Node") == 0)
		own_workload(out);
	at = next(at);
	whole = (copy_container(pod, &at, container_id, out) || !container_id[0]) && whole;
	copy_labels(at, pod->label_count, out);
	return whole;
}

/* Lock held. */
static int find_pod(struct apistore *s, const struct uid_key *uid, const char *container_id,
		    struct apistore_pod *ret_pod)
{
	const struct pod_record *pod = uid ? table_get(s->objects[API_PODS], uid) : NULL;

	if (!pod || !pod->text)
		return -ENOENT;
	return describe(s, uid, pod, container_id, ret_pod) ? 0 : -EAGAIN;
}

int apistore_find_container(struct apistore *s, const char *container_id, const char *pod_uid,
			    struct apistore_pod *ret_pod)
{
	struct uid_key by_uid = apistore_key(pod_uid);
	const struct uid_key *uid = NULL;
	struct container_key key;
	int r;

	(void)pthread_mutex_lock(&s->lock);
	if (container_key(container_id, &key))
		uid = table_get(s->containers, &key);
	if (!uid && pod_uid[0])
		uid = &by_uid;
	r = find_pod(s, uid, container_id, ret_pod);
	(void)pthread_mutex_unlock(&s->lock);
	return r;
}

int apistore_find_address(struct apistore *s, const struct api_ip *ip, struct apistore_pod *ret_pod)
{
	int r;

	(void)pthread_mutex_lock(&s->lock);
	r = find_pod(s, table_get(s->pod_ips, ip), "", ret_pod);
	(void)pthread_mutex_unlock(&s->lock);
	return r == -EAGAIN ? 0 : r;
}

/* ---- building ------------------------------------------------------------------------------------- */

static struct table *make_table(struct apistore *s, size_t key_size, size_t record_size, uint64_t capacity,
				void (*gone)(void *ctx, const void *key, void *record))
{
	const struct table_config config = {.key_size = key_size,
					    .record_size = record_size,
					    .capacity = capacity < UINT32_MAX ? (uint32_t)capacity : UINT32_MAX,
					    .gone = gone,
					    .ctx = s};

	return table_new(&config);
}

static int make_tables(struct apistore *s, uint64_t pods)
{
	static void (*const gone[API_KINDS])(void *ctx, const void *key, void *record) = {
		[API_PODS] = pod_gone,
		[API_SERVICES] = apistore_service_gone,
		[API_SLICES] = apistore_slice_gone,
		[API_NODES] = apistore_node_gone,
	};
	const size_t uid = sizeof(struct uid_key), ip = sizeof(struct api_ip), address = sizeof(struct address_key);

	s->containers = make_table(s, sizeof(struct container_key), uid, pods * 4, NULL);
	s->pod_ips = make_table(s, ip, uid, pods * 2, NULL);
	s->cluster_ips = make_table(s, address, uid, pods * 2, NULL);
	s->endpoints = make_table(s, address, sizeof(uint32_t), pods * 8, NULL);
	s->node_ips = make_table(s, ip, uid, pods * 2, NULL);
	if (!s->containers || !s->pod_ips || !s->cluster_ips || !s->endpoints || !s->node_ips)
		return -ENOMEM;
	for (size_t i = 0; i < API_KINDS; i++) {
		uint64_t capacity = pods * kinds[i].per_pod_percent / 100;

		s->objects[i] = make_table(s, uid, kinds[i].record_size, capacity ? capacity : 1, gone[i]);
		if (!s->objects[i])
			return -ENOMEM;
	}
	return 0;
}

struct apistore *apistore_new(uint32_t pods, struct metrics *metrics)
{
	_cleanup_(apistore_freep) struct apistore *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	(void)pthread_mutex_init(&s->lock, NULL);
	if (make_tables(s, pods) < 0)
		return NULL;
	for (size_t i = 0; i < API_KINDS; i++) {
		s->counts[i] = metrics_gauge(metrics, "nightjar_kube_objects", kinds[i].label,
					     "Objects of the Kubernetes API that are known.");
		s->evicted[i] = metrics_counter(metrics, "nightjar_kube_objects_evicted_total", kinds[i].label,
						"Objects of the Kubernetes API that made room for newer.");
	}
	return take_ptr(s);
}

void apistore_free(struct apistore *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < API_KINDS; i++)
		if (s->objects[i])
			table_free(s->objects[i]); /* its records leave the indexes */
	table_free(s->containers);
	table_free(s->pod_ips);
	table_free(s->cluster_ips);
	table_free(s->endpoints);
	table_free(s->node_ips);
	buf_done(&s->scratch);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}
