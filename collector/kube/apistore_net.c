/* Services, their endpoints, and nodes: what has a name by its address; see apistore.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "collector/kube/apistore_private.h"

#define COPY(to, from) (void)snprintf(to, sizeof(to), "%s", from)

static struct address_key address_of(const struct api_ip *ip, const struct api_port *port, uint64_t service)
{
	return (struct address_key){.ip = *ip, .port = port->number, .protocol = port->protocol, .service = service};
}

/* Never 0. */
static uint64_t hash_of(const struct apistore_service *service)
{
	uint64_t hash = XXH3_64bits(service->namespace, strlen(service->namespace));

	hash = XXH3_64bits_withSeed(service->name, strlen(service->name), hash);
	return hash ? hash : 1;
}

/* NULL for none, and without memory: then there are none. */
static void *duplicate(const void *data, size_t size, uint32_t *count)
{
	void *copy = *count ? malloc(size * *count) : NULL;

	if (copy)
		memcpy(copy, data, size * *count);
	else
		*count = 0;
	return copy;
}

/* ---- Services ------------------------------------------------------------------------------------- */

static void empty_service(struct apistore *s, const void *uid, struct service_record *r)
{
	for (uint32_t i = 0; i < r->ip_count * r->port_count; i++) {
		struct address_key key = address_of(&r->ips[i / r->port_count], &r->ports[i % r->port_count], 0);

		apistore_unpoint(s->cluster_ips, &key, uid);
	}
	r->ip_count = r->port_count = 0;
	free(take_ptr(r->ports));
}

void apistore_service_gone(void *ctx, const void *key, void *record)
{
	empty_service((struct apistore *)ctx, key, (struct service_record *)record);
}

void apistore_put_service(struct apistore *s, const struct api_service *service)
{
	struct uid_key uid = apistore_key(service->meta.uid);
	struct service_record *r;

	(void)pthread_mutex_lock(&s->lock);
	r = apistore_record(s, API_SERVICES, service->meta.uid);
	empty_service(s, &uid, r);
	COPY(r->name.namespace, service->meta.namespace);
	COPY(r->name.name, service->meta.name);
	memcpy(r->ips, service->ips, sizeof(r->ips));
	r->ip_count = service->ip_count;
	r->port_count = service->port_count;
	r->ports = duplicate(service->ports, sizeof(*r->ports), &r->port_count);
	for (uint32_t i = 0; i < r->ip_count * r->port_count; i++) {
		struct address_key key = address_of(&r->ips[i / r->port_count], &r->ports[i % r->port_count], 0);

		apistore_point(s->cluster_ips, &key, service->meta.uid);
	}
	apistore_noted(s, API_SERVICES);
	(void)pthread_mutex_unlock(&s->lock);
}

int apistore_find_service(struct apistore *s, const struct api_ip *ip, const struct api_port *port,
			  struct apistore_service *ret_service)
{
	struct address_key key = address_of(ip, port, 0);
	const struct service_record *r = NULL;
	const struct uid_key *uid;

	(void)pthread_mutex_lock(&s->lock);
	uid = table_get(s->cluster_ips, &key);
	if (uid)
		r = table_get(s->objects[API_SERVICES], uid);
	if (r)
		*ret_service = r->name;
	(void)pthread_mutex_unlock(&s->lock);
	return r ? 0 : -ENOENT;
}

/* ---- endpoints: the same address may stand in two slices while they are rearranged ---------------- */

static void count_endpoints(struct apistore *s, const struct slice_record *r, int change)
{
	uint64_t service = hash_of(&r->service);

	for (uint32_t i = 0; i < r->ip_count * r->port_count; i++) {
		struct address_key key =
			address_of(&r->ips[i / r->port_count], &r->ports[i % r->port_count], service);
		uint32_t *count = change > 0 ? table_put(s->endpoints, &key, NULL) : table_peek(s->endpoints, &key);

		if (!count)
			continue; /* evicted */
		*count += (uint32_t)change;
		if (*count == 0)
			(void)table_remove(s->endpoints, &key);
	}
}

static void empty_slice(struct apistore *s, struct slice_record *r)
{
	count_endpoints(s, r, -1);
	r->ip_count = r->port_count = 0;
	free(take_ptr(r->ips));
	free(take_ptr(r->ports));
}

void apistore_slice_gone(void *ctx, const void *key, void *record)
{
	(void)key;
	empty_slice((struct apistore *)ctx, (struct slice_record *)record);
}

void apistore_put_slice(struct apistore *s, const struct api_slice *slice)
{
	struct slice_record *r;

	(void)pthread_mutex_lock(&s->lock);
	r = apistore_record(s, API_SLICES, slice->meta.uid);
	empty_slice(s, r);
	COPY(r->service.namespace, slice->meta.namespace);
	COPY(r->service.name, slice->service);
	r->ip_count = slice->service[0] ? slice->ip_count : 0;
	r->port_count = slice->port_count;
	r->ips = duplicate(slice->ips, sizeof(*r->ips), &r->ip_count);
	r->ports = duplicate(slice->ports, sizeof(*r->ports), &r->port_count);
	count_endpoints(s, r, 1);
	apistore_noted(s, API_SLICES);
	(void)pthread_mutex_unlock(&s->lock);
}

bool apistore_is_endpoint(struct apistore *s, const struct apistore_service *service, const struct api_ip *ip,
			  const struct api_port *port)
{
	struct address_key key = address_of(ip, port, hash_of(service));
	bool found;

	(void)pthread_mutex_lock(&s->lock);
	found = table_get(s->endpoints, &key) != NULL;
	(void)pthread_mutex_unlock(&s->lock);
	return found;
}

/* ---- nodes ---------------------------------------------------------------------------------------- */

static void empty_node(struct apistore *s, const void *uid, struct node_record *r)
{
	for (uint32_t i = 0; i < r->ip_count; i++)
		apistore_unpoint(s->node_ips, &r->ips[i], uid);
	r->ip_count = 0;
}

void apistore_node_gone(void *ctx, const void *key, void *record)
{
	empty_node((struct apistore *)ctx, key, (struct node_record *)record);
}

void apistore_put_node(struct apistore *s, const struct api_node *node)
{
	struct uid_key uid = apistore_key(node->meta.uid);
	struct node_record *r;

	(void)pthread_mutex_lock(&s->lock);
	r = apistore_record(s, API_NODES, node->meta.uid);
	empty_node(s, &uid, r);
	COPY(r->name, node->meta.name);
	memcpy(r->ips, node->ips, sizeof(r->ips));
	r->ip_count = node->ip_count;
	for (uint32_t i = 0; i < r->ip_count; i++)
		apistore_point(s->node_ips, &r->ips[i], node->meta.uid);
	apistore_noted(s, API_NODES);
	(void)pthread_mutex_unlock(&s->lock);
}

int apistore_find_node(struct apistore *s, const struct api_ip *ip, char ret_name[API_NAME_MAX])
{
	const struct node_record *r = NULL;
	const struct uid_key *uid;

	(void)pthread_mutex_lock(&s->lock);
	uid = table_get(s->node_ips, ip);
	if (uid)
		r = table_get(s->objects[API_NODES], uid);
	if (r)
		memcpy(ret_name, r->name, API_NAME_MAX);
	(void)pthread_mutex_unlock(&s->lock);
	return r ? 0 : -ENOENT;
}
