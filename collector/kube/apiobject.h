/* Objects of the Kubernetes API as the collector needs them, taken from parsed JSON. Nothing is copied:
 * every string points into the json_t, is terminated, never NULL ("" when absent) and no longer than
 * what Kubernetes allows. Pure. Whatever lists are longer than here is cut, which loses a name and
 * nothing else. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

#define API_NAME_MAX	   254 /* of a DNS subdomain, terminator included */
#define API_NAMESPACE_MAX  64
#define API_KIND_MAX	   64
#define API_UID_MAX	   37
#define API_CONTAINERS_MAX 64
#define API_LABELS_MAX	   64
#define API_ADDRESSES_MAX  1000 /* endpoints of a slice: the API's own limit */
#define API_IPS_MAX	   4
#define API_PORTS_MAX	   100 /* of a slice: the API's own limit */

enum api_kind {
	API_PODS,
	API_REPLICASETS,
	API_JOBS,
	API_SERVICES,
	API_SLICES,
	API_NODES,
	API_KINDS
};

/* The controller among an object's owners. */
struct api_owner {
	const char *kind, *name, *uid; /* "" without one */
};

struct api_meta {
	const char *uid, *namespace, *name;
	struct api_owner owner;
};

/* An address as 16 bytes: IPv6, or IPv4 mapped into it. */
struct api_ip {
	uint8_t bytes[16];
};

struct api_container {
	const char *id; /* 64 hex digits, without the runtime's name */
	const char *name, *image;
};

struct api_label {
	const char *key, *value;
};

struct api_pod {
	struct api_meta meta;
	const char *cgroup_uid; /* as cgroup paths have it: the uid, for static pods a hash */
	const char *node, *service_account;
	bool host_network; /* its addresses are the node's */
	struct api_ip ips[API_IPS_MAX];
	struct api_container containers[API_CONTAINERS_MAX];
	struct api_label labels[API_LABELS_MAX];
	uint32_t ip_count, container_count, label_count;
};

struct api_port {
	uint16_t number;
	uint8_t protocol; /* IPPROTO_TCP, UDP or SCTP */
};

struct api_service {
	struct api_meta meta;
	struct api_ip ips[API_IPS_MAX]; /* ClusterIPs; none for a headless one */
	struct api_port ports[API_PORTS_MAX];
	uint32_t ip_count, port_count;
};

struct api_slice {
	struct api_meta meta;
	const char *service; /* "": of none */
	struct api_ip ips[API_ADDRESSES_MAX];
	struct api_port ports[API_PORTS_MAX];
	uint32_t ip_count, port_count;
};

struct api_node {
	struct api_meta meta;
	struct api_ip ips[API_IPS_MAX];
	uint32_t ip_count;
};

/* Each 0 or -EBADMSG: not such an object, or with a name that Kubernetes does not allow. */
int apiobject_meta(const json_t *object, struct api_meta *ret_meta) must_check;
int apiobject_pod(const json_t *object, struct api_pod *ret_pod) must_check;
int apiobject_service(const json_t *object, struct api_service *ret_service) must_check;
int apiobject_slice(const json_t *object, struct api_slice *ret_slice) must_check;
int apiobject_node(const json_t *object, struct api_node *ret_node) must_check;

/* "10.0.0.1", "fd00::1". False for anything else. */
bool apiobject_parse_ip(const char *text, struct api_ip *ret_ip);
/* Four or sixteen bytes, as events have them. */
struct api_ip apiobject_ip(bool v6, const uint8_t *bytes);
