/* protobuf-c unpacks into the caller's arena, whose limit bounds what an answer can take; the JSON that
 * verbose answers carry goes through jansson, which allocates some five times its size for a moment. See
 * cri_read.h. */
#include "node-agent/cri_read.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "common/utf8.h"
#include "common/wire_check.h"
#include "cri/runtime/v1/runtime.pb-c.h"

#define INFO_MAX (512UL << 10) /* JSON beyond this is not looked at */

/* By number, without CAP_. */
static const char *const capabilities[] = {
	"CHOWN",	   "DAC_OVERRIDE",   "DAC_READ_SEARCH", "FOWNER",	   "FSETID",
	"KILL",		   "SETGID",	     "SETUID",		"SETPCAP",	   "LINUX_IMMUTABLE",
	"NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN",	"NET_RAW",	   "IPC_LOCK",
	"IPC_OWNER",	   "SYS_MODULE",     "SYS_RAWIO",	"SYS_CHROOT",	   "SYS_PTRACE",
	"SYS_PACCT",	   "SYS_ADMIN",	     "SYS_BOOT",	"SYS_NICE",	   "SYS_RESOURCE",
	"SYS_TIME",	   "SYS_TTY_CONFIG", "MKNOD",		"LEASE",	   "AUDIT_WRITE",
	"AUDIT_CONTROL",   "SETFCAP",	     "MAC_OVERRIDE",	"MAC_ADMIN",	   "SYSLOG",
	"WAKE_ALARM",	   "BLOCK_SUSPEND",  "AUDIT_READ",	"PERFMON",	   "BPF",
	"CHECKPOINT_RESTORE",
};

struct cri_facts cri_facts_none(void)
{
	return (struct cri_facts){
		.def = {.container_id = "", .pod_uid = "", .name = "", .image = "", .pod = "", .namespace = "",
			.cgroup = "", .image_id = "", .workload = ""},
		.sandbox_id = "",
	};
}

/* ---- unpacking ---- */

static void *unpack_alloc(void *arena, size_t size)
{
	return arena_alloc(arena, size);
}

static void unpack_free(void *arena, void *memory)
{
	(void)arena;
	(void)memory;
}

static int unpack(const ProtobufCMessageDescriptor *type, struct bytes message, struct arena *arena,
		  void **ret_message)
{
	ProtobufCAllocator allocator = {unpack_alloc, unpack_free, arena};

	if (wire_check(type, message) < 0)
		return -EBADMSG;
	*ret_message = protobuf_c_message_unpack(type, &allocator, message.len, message.data);
	return *ret_message ? 0 : -ENOMEM;
}

/* ---- texts ---- */

/* The text when it fits; else its beginning, or "" when the container has no room left. */
static const char *take_text(struct arena *arena, const char *text, struct cri_facts *facts)
{
	size_t len = strlen(text);
	const char *copy;

	if (len > CRI_TEXT_MAX) {
		facts->cut = true;
		len = utf8_valid_prefix(bytes_of(text, CRI_TEXT_MAX));
	}
	if (facts->bytes + len > CRI_BYTES_MAX) {
		facts->cut = true;
		len = 0;
	}
	if (len == 0)
		return "";
	facts->bytes += len;
	copy = arena_strndup(arena, text, len);
	return copy ? copy : "";
}

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* What the other fields say already. */
static bool is_repeated(const char *label)
{
	return starts_with(label, "io.kubernetes.");
}

static int take_labels(Runtime__V1__Pair *const *pairs, size_t count, struct arena *arena,
		       struct cri_facts *facts)
{
	struct container_label *labels = arena_zalloc(arena, CRI_LABELS_MAX * sizeof(*labels));
	uint16_t taken = 0;

	if (!labels)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct container_label *label = &labels[taken];

		if (is_repeated(pairs[i]->key))
			continue;
		if (taken == CRI_LABELS_MAX) {
			facts->cut = true;
			break;
		}
		label->key = take_text(arena, pairs[i]->key, facts);
		label->value = take_text(arena, pairs[i]->value, facts);
		taken += label->key[0] != '\0';
	}
	facts->def.labels = labels;
	facts->def.label_count = taken;
	return 0;
}

static const char *propagation_name(Runtime__V1__MountPropagation propagation)
{
	switch (propagation) {
	case RUNTIME__V1__MOUNT_PROPAGATION__PROPAGATION_PRIVATE:
		return "private";
	case RUNTIME__V1__MOUNT_PROPAGATION__PROPAGATION_HOST_TO_CONTAINER:
		return "slave";
	case RUNTIME__V1__MOUNT_PROPAGATION__PROPAGATION_BIDIRECTIONAL:
		return "shared";
	default:
		return "";
	}
}

static int take_mounts(const Runtime__V1__ContainerStatus *status, struct arena *arena, struct cri_facts *facts)
{
	struct container_mount *mounts = arena_zalloc(arena, CRI_MOUNTS_MAX * sizeof(*mounts));
	uint16_t taken = 0;

	if (!mounts)
		return -ENOMEM;
	if (status->n_mounts > CRI_MOUNTS_MAX)
		facts->cut = true;
	for (size_t i = 0; i < status->n_mounts && i < CRI_MOUNTS_MAX; i++) {
		const Runtime__V1__Mount *mount = status->mounts[i];

		mounts[taken++] = (struct container_mount){
			.source = take_text(arena, mount->host_path, facts),
			.destination = take_text(arena, mount->container_path, facts),
			.propagation = propagation_name(mount->propagation),
			.readonly = mount->readonly,
		};
	}
	facts->def.mounts = mounts;
	facts->def.mount_count = taken;
	return 0;
}

/* An image is better named as its user did than by a digest that image_id has as well. */
static const char *image_name(const Runtime__V1__ImageSpec *image)
{
	bool bare = starts_with(image->image, "sha256:") || !strpbrk(image->image, "/:.");

	return bare && image->user_specified_image[0] ? image->user_specified_image : image->image;
}

/* ---- the verbose part ---- */

static uint64_t capability_bit(const char *name)
{
	if (!starts_with(name, "CAP_"))
		return 0;
	for (size_t i = 0; i < sizeof(capabilities) / sizeof(capabilities[0]); i++)
		if (strcmp(name + 4, capabilities[i]) == 0)
			return 1ULL << i;
	return 0;
}

/* The value at the end of a path of names, or NULL. jansson's getters take NULL. */
static json_t *dig(json_t *value, const char *const *names)
{
	for (; *names; names++)
		value = json_object_get(value, *names);
	return value;
}

#define DIG(value, ...) dig(value, (const char *const[]){__VA_ARGS__, NULL})

static uint64_t read_bounding(json_t *info)
{
	json_t *names = DIG(info, "runtimeSpec", "process", "capabilities", "bounding");
	uint64_t bits = 0;

	for (size_t i = 0; i < json_array_size(names); i++) {
		const char *name = json_string_value(json_array_get(names, i));

		bits |= name ? capability_bit(name) : 0;
	}
	return bits;
}

/* containerd says it in the container's configuration, CRI-O beside it. */
static bool read_privileged(json_t *info)
{
	return json_is_true(json_object_get(info, "privileged")) ||
	       json_is_true(DIG(info, "config", "linux", "security_context", "privileged"));
}

static void take_info(json_t *info, struct cri_facts *facts)
{
	facts->def.privileged = read_privileged(info);
	facts->def.cap_bounding = read_bounding(info);
}

/* Without it a container is still known by name; NULL when it is absent, too large or not JSON. */
static json_t *parse_info(Runtime__V1__Pair *const *pairs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(pairs[i]->key, "info") == 0 && strlen(pairs[i]->value) <= INFO_MAX)
			return json_loads(pairs[i]->value, 0, NULL);
	return NULL;
}

/* ---- answers ---- */

int cri_read_container(struct bytes reply, struct arena *arena, struct cri_facts *facts)
{
	Runtime__V1__ContainerStatusResponse *in;
	const Runtime__V1__ContainerStatus *status;
	json_t *info;
	int r = unpack(&runtime__v1__container_status_response__descriptor, reply, arena, (void **)&in);

	if (r < 0)
		return r;
	status = in->status;
	if (!status || !status->metadata)
		return -EBADMSG;
	facts->def.name = take_text(arena, status->metadata->name, facts);
	if (status->image)
		facts->def.image = take_text(arena, image_name(status->image), facts);
	facts->def.image_id = take_text(arena, status->image_ref, facts);
	facts->started_wall_ns = status->started_at > 0 ? (uint64_t)status->started_at : 0;
	info = parse_info(in->info, in->n_info);
	take_info(info, facts);
	json_decref(info);
	return take_mounts(status, arena, facts);
}

int cri_read_container_list(struct bytes reply, struct arena *arena, struct cri_facts *facts)
{
	Runtime__V1__ListContainersResponse *in;
	int r = unpack(&runtime__v1__list_containers_response__descriptor, reply, arena, (void **)&in);

	if (r < 0)
		return r;
	if (in->n_containers == 0)
		return -ENOENT;
	facts->sandbox_id = take_text(arena, in->containers[0]->pod_sandbox_id, facts);
	return 0;
}

int cri_read_sandbox_list(struct bytes reply, struct arena *arena, struct cri_facts *facts)
{
	Runtime__V1__ListPodSandboxResponse *in;
	const Runtime__V1__PodSandbox *pod;
	int r = unpack(&runtime__v1__list_pod_sandbox_response__descriptor, reply, arena, (void **)&in);

	if (r < 0)
		return r;
	if (in->n_items == 0)
		return -ENOENT;
	pod = in->items[0];
	if (!pod->metadata)
		return -EBADMSG;
	facts->def.pod = take_text(arena, pod->metadata->name, facts);
	facts->def.namespace = take_text(arena, pod->metadata->namespace_, facts);
	facts->def.pod_uid = take_text(arena, pod->metadata->uid, facts);
	return take_labels(pod->labels, pod->n_labels, arena, facts);
}

int cri_read_sandbox(struct bytes reply, struct arena *arena, struct cri_facts *facts)
{
	Runtime__V1__PodSandboxStatusResponse *in;
	const char *image;
	json_t *info;
	int r = unpack(&runtime__v1__pod_sandbox_status_response__descriptor, reply, arena, (void **)&in);

	if (r < 0)
		return r;
	if (!in->status)
		return -EBADMSG;
	facts->def.name = "POD"; /* as kubelet has always called it */
	if (in->status->created_at > 0)
		facts->started_wall_ns = (uint64_t)in->status->created_at;
	info = parse_info(in->info, in->n_info);
	image = json_string_value(json_object_get(info, "image"));
	if (image)
		facts->def.image = take_text(arena, image, facts);
	take_info(info, facts);
	json_decref(info);
	return 0;
}

int cri_read_version(struct bytes reply, struct arena *arena, char *ret_text, size_t size)
{
	Runtime__V1__VersionResponse *in;
	int r = unpack(&runtime__v1__version_response__descriptor, reply, arena, (void **)&in);

	if (r == 0)
		(void)snprintf(ret_text, size, "%s %s", in->runtime_name, in->runtime_version);
	return r;
}

/* ---- requests ---- */

static char *unconst(const char *text)
{
	return (char *)(uintptr_t)text; /* protobuf-c's structs are not const; packing changes nothing */
}

static void write_message(struct buf *out, const ProtobufCMessage *message)
{
	uint8_t *room = buf_extend(out, protobuf_c_message_get_packed_size(message));

	if (room)
		(void)protobuf_c_message_pack(message, room);
}

void cri_write_container_list(struct buf *out, const char *container_id)
{
	Runtime__V1__ListContainersRequest request = RUNTIME__V1__LIST_CONTAINERS_REQUEST__INIT;
	Runtime__V1__ContainerFilter filter = RUNTIME__V1__CONTAINER_FILTER__INIT;

	filter.id = unconst(container_id);
	request.filter = &filter;
	write_message(out, &request.base);
}

void cri_write_container(struct buf *out, const char *container_id)
{
	Runtime__V1__ContainerStatusRequest request = RUNTIME__V1__CONTAINER_STATUS_REQUEST__INIT;

	request.container_id = unconst(container_id);
	request.verbose = true;
	write_message(out, &request.base);
}

void cri_write_sandbox_list(struct buf *out, const char *sandbox_id)
{
	Runtime__V1__ListPodSandboxRequest request = RUNTIME__V1__LIST_POD_SANDBOX_REQUEST__INIT;
	Runtime__V1__PodSandboxFilter filter = RUNTIME__V1__POD_SANDBOX_FILTER__INIT;

	filter.id = unconst(sandbox_id);
	request.filter = &filter;
	write_message(out, &request.base);
}

void cri_write_sandbox(struct buf *out, const char *sandbox_id)
{
	Runtime__V1__PodSandboxStatusRequest request = RUNTIME__V1__POD_SANDBOX_STATUS_REQUEST__INIT;

	request.pod_sandbox_id = unconst(sandbox_id);
	request.verbose = true;
	write_message(out, &request.base);
}
