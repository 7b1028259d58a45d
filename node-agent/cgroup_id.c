/* Shapes, each seen on real nodes (ID is 64 hex digits, UID a pod's):
 *
 *   …/kubepods-burstable-podUID.slice/cri-containerd-ID.scope      systemd driver; crio-, docker-
 *   …/kubepods/burstable/podUID/ID                                 cgroupfs driver; crio-ID
 *   …/kubepods-burstable-podUID.slice:cri-containerd:ID            the two drivers mixed up
 *   /docker/ID   /system.slice/docker-ID.scope                     no Kubernetes
 *   /machine.slice/libpod-ID.scope[/container]   /libpod_parent/libpod-ID
 *   /k8s.io/ID   /default/ID   /moby/ID                            containerd's namespaces
 *
 * A container may make cgroups below its own, so every component is looked at, from the left: the
 * outermost container is the one that the node runs. */
#include "node-agent/cgroup_id.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#define ID_LEN	   64
#define UID_LEN	   36
#define UID_BARE   32 /* static pods: no dashes */

struct span {
	const char *text;
	size_t len;
};

static bool is_hex(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isdigit((unsigned char)text[i]) && (text[i] < 'a' || text[i] > 'f'))
			return false;
	return true;
}

static bool strip_prefix(struct span *s, const char *prefix)
{
	size_t len = strlen(prefix);

	if (s->len < len || memcmp(s->text, prefix, len) != 0)
		return false;
	s->text += len;
	s->len -= len;
	return true;
}

static bool strip_suffix(struct span *s, const char *suffix)
{
	size_t len = strlen(suffix);

	if (s->len < len || memcmp(s->text + s->len - len, suffix, len) != 0)
		return false;
	s->len -= len;
	return true;
}

static bool equals(struct span s, const char *text)
{
	return strip_prefix(&s, text) && s.len == 0;
}

static bool take_id(struct span s, struct cgroup_id *id)
{
	if (s.len != ID_LEN || !is_hex(s.text, ID_LEN))
		return false;
	memcpy(id->container_id, s.text, ID_LEN);
	id->container_id[ID_LEN] = '\0';
	return true;
}

/* RUNTIME-ID[.scope]: the name says who made it. */
static bool runtime_component(struct span s, struct cgroup_id *id)
{
	static const char *const runtimes[] = {"cri-containerd-", "crio-", "docker-", "libpod-payload-",
					       "libpod-", "nerdctl-"};

	(void)strip_suffix(&s, ".scope");
	for (size_t i = 0; i < sizeof(runtimes) / sizeof(runtimes[0]); i++) {
		struct span rest = s;

		if (strip_prefix(&rest, runtimes[i]) && take_id(rest, id))
			return true;
	}
	return false;
}

/* 8-4-4-4-12 hex digits, or 32 of them. */
static bool is_uid(const char *text, size_t len)
{
	if (len == UID_BARE)
		return is_hex(text, len);
	return len == UID_LEN && is_hex(text, 8) && text[8] == '-' && is_hex(text + 9, 4) && text[13] == '-' &&
	       is_hex(text + 14, 4) && text[18] == '-' && is_hex(text + 19, 4) && text[23] == '-' &&
	       is_hex(text + 24, 12);
}

/* "podUID", as a cgroupfs component or the end of a systemd slice, where dashes are underscores. */
static bool pod_component(struct span s, char ret_uid[static UID_LEN + 1])
{
	bool slice = strip_suffix(&s, ".slice");
	char uid[UID_LEN + 1] = "";

	if (slice && !(strip_prefix(&s, "kubepods-burstable-") || strip_prefix(&s, "kubepods-besteffort-") ||
		       strip_prefix(&s, "kubepods-")))
		return false;
	if (!strip_prefix(&s, "pod") || s.len > UID_LEN)
		return false;
	for (size_t i = 0; i < s.len; i++)
		uid[i] = slice && s.text[i] == '_' ? '-' : s.text[i];
	if (!is_uid(uid, s.len))
		return false;
	memcpy(ret_uid, uid, sizeof(uid));
	return true;
}

/* SLICE:cri-containerd:ID */
static bool mixed_component(struct span s, struct cgroup_id *id)
{
	const char *colon = memchr(s.text, ':', s.len);
	struct span slice = {s.text, colon ? (size_t)(colon - s.text) : 0};
	struct span rest = {colon, s.len - slice.len};

	if (!colon || !(strip_prefix(&rest, ":cri-containerd:") || strip_prefix(&rest, ":crio:")))
		return false;
	return pod_component(slice, id->pod_uid) && take_id(rest, id);
}

/* A parent below which a bare ID is a container's. */
static bool holds_bare_ids(struct span parent)
{
	static const char *const parents[] = {"docker", "k8s.io", "default", "moby", "actions_job"};

	for (size_t i = 0; i < sizeof(parents) / sizeof(parents[0]); i++)
		if (equals(parent, parents[i]))
			return true;
	return false;
}

bool cgroup_id_parse(const char *path, struct cgroup_id *ret_id)
{
	struct cgroup_id id = {0};
	struct span parent = {"", 0};
	bool found = false;

	while (*path && !found) {
		struct span s = {path, strcspn(path, "/")};

		found = runtime_component(s, &id) || mixed_component(s, &id) ||
			((id.pod_uid[0] || holds_bare_ids(parent)) && take_id(s, &id));
		if (!found && !pod_component(s, id.pod_uid) && s.len)
			id.pod_uid[0] = '\0';
		if (s.len)
			parent = s;
		path += s.len + (path[s.len] == '/');
	}
	if (!found)
		return false;
	*ret_id = id;
	return true;
}

/* ---- the host ---- */

/* Kinds of systemd units that processes run in. */
static bool is_unit(struct span s)
{
	static const char *const kinds[] = {".service", ".scope", ".socket", ".mount", ".swap"};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct span rest = s;

		if (strip_suffix(&rest, kinds[i]) && rest.len > 0)
			return true;
	}
	return false;
}

static bool is_slice(struct span s)
{
	return strip_suffix(&s, ".slice") && s.len > 0;
}

struct bytes cgroup_id_workload(const char *path)
{
	struct bytes unit = {0}, slice = {0};
	const char *at = path;

	while (*at) {
		struct span s = {at, strcspn(at, "/")};

		if (is_unit(s))
			unit = bytes_of(s.text, s.len);
		else if (is_slice(s))
			slice = bytes_of(s.text, s.len);
		at += s.len + (at[s.len] == '/');
	}
	if (unit.len > 0)
		return unit;
	return slice.len > 0 ? slice : bytes_of_text(path);
}
