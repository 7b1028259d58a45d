/* Reading the few fields that matter; see apiobject.h. Fields that are absent, or of another type than
 * the API gives them, are read as absent. */
#include "collector/kube/apiobject.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define LABEL_KEY_MAX 318 /* prefix/name */
#define IMAGE_MAX     1024
#define CONTAINER_ID_LEN 64

static const char *text_of(const json_t *object, const char *key, size_t max)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text && strlen(text) < max ? text : "";
}

static bool is_true(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

/* ---- addresses and ports ------------------------------------------------------------------------- */

struct api_ip apiobject_ip(bool v6, const uint8_t *bytes)
{
	struct api_ip ip = {.bytes = {[10] = 0xff, [11] = 0xff}};

	if (v6)
		memcpy(ip.bytes, bytes, 16);
	else
		memcpy(ip.bytes + 12, bytes, 4);
	return ip;
}

bool apiobject_parse_ip(const char *text, struct api_ip *ret_ip)
{
	uint8_t bytes[16];
	bool v6 = strchr(text, ':') != NULL;

	if (inet_pton(v6 ? AF_INET6 : AF_INET, text, bytes) != 1)
		return false;
	*ret_ip = apiobject_ip(v6, bytes);
	return true;
}

static void add_ip(const char *text, struct api_ip *ips, uint32_t *count, uint32_t max)
{
	if (text && *count < max && apiobject_parse_ip(text, &ips[*count]))
		(*count)++;
}

static uint8_t protocol_of(const json_t *port)
{
	const char *name = text_of(port, "protocol", 16);

	if (strcmp(name, "UDP") == 0)
		return IPPROTO_UDP;
	return strcmp(name, "SCTP") == 0 ? IPPROTO_SCTP : IPPROTO_TCP;
}

static uint32_t read_ports(const json_t *list, struct api_port *ports)
{
	uint32_t count = 0;
	const json_t *port;
	size_t i;

	json_array_foreach(list, i, port)
	{
		json_int_t number = json_integer_value(json_object_get(port, "port"));

		if (number > 0 && number < 65536 && count < API_PORTS_MAX)
			ports[count++] =
				(struct api_port){.number = (uint16_t)number, .protocol = protocol_of(port)};
	}
	return count;
}

/* ---- what all objects have ------------------------------------------------------------------------ */

static void read_owner(const json_t *metadata, struct api_owner *owner)
{
	const json_t *list = json_object_get(metadata, "ownerReferences"), *one;
	size_t i;

	*owner = (struct api_owner){.kind = "", .name = "", .uid = ""};
	json_array_foreach(list, i, one)
	{
		if (!is_true(one, "controller"))
			continue;
		owner->kind = text_of(one, "kind", API_KIND_MAX);
		owner->name = text_of(one, "name", API_NAME_MAX);
		owner->uid = text_of(one, "uid", API_UID_MAX);
		return;
	}
}

int apiobject_meta(const json_t *object, struct api_meta *ret_meta)
{
	const json_t *metadata = json_object_get(object, "metadata");
	struct api_meta meta = {.uid = text_of(metadata, "uid", API_UID_MAX),
				.namespace = text_of(metadata, "namespace", API_NAMESPACE_MAX),
				.name = text_of(metadata, "name", API_NAME_MAX)};

	if (!meta.uid[0] || !meta.name[0])
		return -EBADMSG;
	read_owner(metadata, &meta.owner);
	*ret_meta = meta;
	return 0;
}

/* ---- pods ------------------------------------------------------------------------------------------ */

/* "containerd://ID"; "" for anything else. */
static const char *bare_id(const json_t *status)
{
	const char *id = text_of(status, "containerID", 128), *at = strstr(id, "://");

	if (!at || strlen(at + 3) != CONTAINER_ID_LEN || at[3 + strspn(at + 3, "0123456789abcdef")])
		return "";
	return at + 3;
}

/* The image as the pod asks for it: what the runtime made of it may be a bare digest. */
static const char *image_of(const json_t *spec, const char *list, const char *name)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(spec, list), i, one)
	{
		if (strcmp(text_of(one, "name", API_NAMESPACE_MAX), name) == 0)
			return text_of(one, "image", IMAGE_MAX);
	}
	return "";
}

static void add_container(struct api_pod *pod, const char *id, const char *name, const char *image)
{
	if (id[0] && pod->container_count < API_CONTAINERS_MAX)
		pod->containers[pod->container_count++] =
			(struct api_container){.id = id, .name = name, .image = image};
}

/* Also the one that ran before a restart: its events may still be on their way. */
static void read_containers(const json_t *object, const char *statuses, const char *specs, struct api_pod *pod)
{
	const json_t *spec = json_object_get(object, "spec");
	const json_t *list = json_object_get(json_object_get(object, "status"), statuses), *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		const json_t *last = json_object_get(one, "lastState");
		const char *name = text_of(one, "name", API_NAMESPACE_MAX);
		const char *image = image_of(spec, specs, name);

		if (!image[0])
			image = text_of(one, "image", IMAGE_MAX);
		add_container(pod, bare_id(one), name, image);
		add_container(pod, bare_id(json_object_get(last, "terminated")), name, image);
	}
}

static void read_labels(const json_t *metadata, struct api_pod *pod)
{
	const char *key;
	json_t *value;

	json_object_foreach(json_object_get(metadata, "labels"), key, value)
	{
		const char *text = json_string_value(value);

		if (text && strlen(key) < LABEL_KEY_MAX && strlen(text) < API_NAMESPACE_MAX &&
		    pod->label_count < API_LABELS_MAX)
			pod->labels[pod->label_count++] = (struct api_label){.key = key, .value = text};
	}
}

/* A pod that has ended still has its address, which is another's by now. */
static void read_pod_ips(const json_t *status, struct api_pod *pod)
{
	const char *phase = text_of(status, "phase", 16);
	const json_t *one;
	size_t i;

	if (strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0)
		return;
	json_array_foreach(json_object_get(status, "podIPs"), i, one)
	{
		add_ip(json_string_value(json_object_get(one, "ip")), pod->ips, &pod->ip_count, API_IPS_MAX);
	}
}

/* A static pod's cgroup carries the hash of its file, which its mirror in the API has as an annotation. */
static const char *cgroup_uid(const json_t *metadata, const char *uid)
{
	const json_t *annotations = json_object_get(metadata, "annotations");
	const char *hash = text_of(annotations, "kubernetes.io/config.mirror", API_UID_MAX);

	return hash[0] ? hash : uid;
}

int apiobject_pod(const json_t *object, struct api_pod *ret_pod)
{
	const json_t *metadata = json_object_get(object, "metadata");
	const json_t *spec = json_object_get(object, "spec");
	struct api_pod *pod = ret_pod;
	struct api_meta meta;

	if (apiobject_meta(object, &meta) < 0 || !meta.namespace[0])
		return -EBADMSG;
	memset(pod, 0, sizeof(*pod));
	pod->meta = meta;
	pod->cgroup_uid = cgroup_uid(metadata, meta.uid);
	pod->node = text_of(spec, "nodeName", API_NAME_MAX);
	pod->service_account = text_of(spec, "serviceAccountName", API_NAME_MAX);
	pod->host_network = is_true(spec, "hostNetwork");
	read_pod_ips(json_object_get(object, "status"), pod);
	read_containers(object, "containerStatuses", "containers", pod);
	read_containers(object, "initContainerStatuses", "initContainers", pod);
	read_containers(object, "ephemeralContainerStatuses", "ephemeralContainers", pod);
	read_labels(metadata, pod);
	return 0;
}

/* ---- the rest -------------------------------------------------------------------------------------- */

int apiobject_service(const json_t *object, struct api_service *ret_service)
{
	const json_t *spec = json_object_get(object, "spec"), *one;
	struct api_service service = {0};
	size_t i;

	if (apiobject_meta(object, &service.meta) < 0 || !service.meta.namespace[0])
		return -EBADMSG;
	json_array_foreach(json_object_get(spec, "clusterIPs"), i, one)
	{
		add_ip(json_string_value(one), service.ips, &service.ip_count, API_IPS_MAX);
	}
	service.port_count = read_ports(json_object_get(spec, "ports"), service.ports);
	*ret_service = service;
	return 0;
}

int apiobject_slice(const json_t *object, struct api_slice *ret_slice)
{
	const json_t *labels = json_object_get(json_object_get(object, "metadata"), "labels");
	const json_t *endpoint, *address;
	struct api_slice *slice = ret_slice;
	struct api_meta meta;
	size_t i, j;

	if (apiobject_meta(object, &meta) < 0 || !meta.namespace[0])
		return -EBADMSG;
	memset(slice, 0, sizeof(*slice));
	slice->meta = meta;
	slice->service = text_of(labels, "kubernetes.io/service-name", API_NAME_MAX);
	json_array_foreach(json_object_get(object, "endpoints"), i, endpoint)
	{
		json_array_foreach(json_object_get(endpoint, "addresses"), j, address)
		{
			add_ip(json_string_value(address), slice->ips, &slice->ip_count, API_ADDRESSES_MAX);
		}
	}
	slice->port_count = read_ports(json_object_get(object, "ports"), slice->ports);
	return 0;
}

int apiobject_node(const json_t *object, struct api_node *ret_node)
{
	const json_t *status = json_object_get(object, "status"), *one;
	struct api_node node = {0};
	size_t i;

	if (apiobject_meta(object, &node.meta) < 0)
		return -EBADMSG;
	json_array_foreach(json_object_get(status, "addresses"), i, one)
	{
		add_ip(json_string_value(json_object_get(one, "address")), node.ips, &node.ip_count, API_IPS_MAX);
	}
	*ret_node = node;
	return 0;
}
