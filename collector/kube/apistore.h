/* What the Kubernetes API has said, found by what events carry: pods by container id, by uid and by
 * address; workloads through the chain of owners; Services by ClusterIP; nodes by address.
 *
 * Every table is capped (`pods` and multiples of it); the record that was used longest ago gives way, counted.
 * A pod that is deleted stays for APISTORE_LINGER_NS: its last events may come after it. A pod takes 0.5 to
 * 2 KiB. Filled by the thread that watches, asked by any: one lock, held for microseconds. */
#pragma once

#include "collector/kube/apiobject.h"
#include "common/cleanup.h"
#include "common/metrics.h"

#define APISTORE_LINGER_NS 600000000000ULL
#define APISTORE_TEXT_MAX  4096 /* a pod's labels: key, value, key, value … each terminated */

struct apistore;

struct apistore *apistore_new(uint32_t pods, struct metrics *metrics); /* NULL without memory */
void apistore_free(struct apistore *s);				       /* NULL allowed */

/* ---- the watching thread ---- */

void apistore_put_pod(struct apistore *s, const struct api_pod *pod);
/* A ReplicaSet or a Job: only who owns it. */
void apistore_put_owner(struct apistore *s, enum api_kind kind, const struct api_meta *meta);
void apistore_put_service(struct apistore *s, const struct api_service *service);
void apistore_put_slice(struct apistore *s, const struct api_slice *slice);
void apistore_put_node(struct apistore *s, const struct api_node *node);
/* For a pod: the uid that its cgroup carries. */
void apistore_delete(struct apistore *s, enum api_kind kind, const char *uid, uint64_t now_ns);
/* Around a list of everything of a kind: what was not put in between is deleted. */
void apistore_begin_list(struct apistore *s, enum api_kind kind);
void apistore_end_list(struct apistore *s, enum api_kind kind, uint64_t now_ns);
/* Forgets pods that have been gone for long enough. Now and then. */
void apistore_sweep(struct apistore *s, uint64_t now_ns);

/* ---- any thread ---- */

/* Goes up with every change that can name a container. */
uint64_t apistore_version(const struct apistore *s);

struct apistore_pod {
	char namespace[API_NAMESPACE_MAX];
	char name[API_NAME_MAX];
	char uid[API_UID_MAX];
	char node[API_NAME_MAX];
	char service_account[API_NAME_MAX];
	char workload_kind[API_KIND_MAX]; /* Deployment, CronJob, DaemonSet …; Pod: nobody owns it */
	char workload[API_NAME_MAX];
	char container[API_NAMESPACE_MAX];     /* "": the API has not named it yet */
	char image[512];
	char labels[APISTORE_TEXT_MAX]; /* label_count pairs */
	uint32_t label_count;
};

/* By container id, else by the pod's uid (either may be ""). 0; -ENOENT: no such pod (yet); -EAGAIN:
 * the pod, but something is still missing: the owner of its owner, or the container's name. */
int apistore_find_container(struct apistore *s, const char *container_id, const char *pod_uid,
			    struct apistore_pod *ret_pod) must_check;
/* The pod with a network of its own that has the address. 0 or -ENOENT. */
int apistore_find_address(struct apistore *s, const struct api_ip *ip, struct apistore_pod *ret_pod) must_check;
/* The name of the node that has the address. 0 or -ENOENT. */
int apistore_find_node(struct apistore *s, const struct api_ip *ip, char ret_name[API_NAME_MAX]) must_check;

struct apistore_service {
	char namespace[API_NAMESPACE_MAX];
	char name[API_NAME_MAX];
};
/* The Service behind a ClusterIP. 0 or -ENOENT. */
int apistore_find_service(struct apistore *s, const struct api_ip *ip, const struct api_port *port,
			  struct apistore_service *ret_service) must_check;
/* Whether the address and port are one of those that the Service hands connections to. */
bool apistore_is_endpoint(struct apistore *s, const struct apistore_service *service, const struct api_ip *ip,
			  const struct api_port *port);

DEFINE_CLEANUP(struct apistore *, apistore_free)
