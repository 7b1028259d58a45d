/* The store's tables, for its two files alone: apistore.c has pods and owners, apistore_net.c what has a
 * name by its address. Every object's record begins with a struct api_record. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "collector/kube/apistore.h"
#include "common/buf.h"
#include "common/table.h"

struct uid_key {
	char text[API_UID_MAX];
};

struct api_record {
	uint32_t generation; /* of the list that it was in last */
	uint64_t gone_ns;    /* when it was deleted; 0: it is there */
};

/* Strings one after the other, each terminated, in one piece of memory. */
struct pod_record {
	struct api_record base;
	/* namespace, name, node, service account, owner's kind, name and uid, then per container id, name
	 * and image, then per label key and value. */
	char *text;
	struct api_ip ips[API_IPS_MAX];
	uint32_t ip_count, container_count, label_count;
};

struct owner_record {
	struct api_record base;
	char kind[API_KIND_MAX]; /* of its own controller; "" without one */
	char name[API_NAME_MAX];
};

struct service_record {
	struct api_record base;
	struct apistore_service name;
	struct api_ip ips[API_IPS_MAX];
	struct api_port *ports;
	uint32_t ip_count, port_count;
};

struct slice_record {
	struct api_record base;
	struct apistore_service service;
	struct api_ip *ips;
	struct api_port *ports;
	uint32_t ip_count, port_count;
};

struct node_record {
	struct api_record base;
	char name[API_NAME_MAX];
	struct api_ip ips[API_IPS_MAX];
	uint32_t ip_count;
};

struct container_key {
	uint8_t id[32];
};

struct address_key {
	struct api_ip ip;
	uint16_t port;
	uint8_t protocol;
	uint8_t zero[5];
	uint64_t service; /* endpoints: hash of its names; 0 for a ClusterIP */
};

struct apistore {
	pthread_mutex_t lock; /* all tables */
	atomic_uint_fast64_t version;
	struct table *objects[API_KINDS]; /* uid → its record; ReplicaSets and Jobs: struct owner_record */
	uint32_t generation[API_KINDS];
	struct table *containers;   /* container_key → uid of its pod */
	struct table *pod_ips;	    /* api_ip → uid */
	struct table *cluster_ips;  /* address_key → uid of the Service */
	struct table *endpoints;    /* address_key → uint32_t: how many slices have it */
	struct table *node_ips;	    /* api_ip → uid */
	struct buf scratch;	    /* the watching thread's */
	struct metric *counts[API_KINDS], *evicted[API_KINDS];
	uint64_t evicted_so_far[API_KINDS];
};

struct uid_key apistore_key(const char *uid);
/* The record of a uid, found or made, marked as being there. Lock held. */
void *apistore_record(struct apistore *s, enum api_kind kind, const char *uid);
/* An index from `key` to the uid; and its removal, unless it is another's by now. Lock held. */
void apistore_point(struct table *index, const void *key, const char *uid);
void apistore_unpoint(struct table *index, const void *key, const void *uid);
/* After every change, lock held. */
void apistore_noted(struct apistore *s, enum api_kind kind);
/* For tables' gone. ctx: the store. */
void apistore_service_gone(void *ctx, const void *key, void *record);
void apistore_slice_gone(void *ctx, const void *key, void *record);
void apistore_node_gone(void *ctx, const void *key, void *record);
