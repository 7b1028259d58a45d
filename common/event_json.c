/* Events as JSON through jansson; see event_json.h. For people and tests: it allocates freely. */
#include "common/event_json.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/proto_json.h"
#include "common/utf8.h"

static void set_bytes(json_t *object, const char *name, struct bytes value)
{
	_cleanup_buf_ struct buf text = {0};

	if (value.len == 0)
		return;
	utf8_add(&text, value);
	(void)json_object_set_new(object, name, json_stringn((const char *)text.data, text.len));
}

static void set_text(json_t *object, const char *name, const char *value)
{
	set_bytes(object, name, bytes_of_text(value));
}

static void set_number(json_t *object, const char *name, int64_t value)
{
	(void)json_object_set_new(object, name, json_integer(value));
}

static void set_nonzero(json_t *object, const char *name, int64_t value)
{
	if (value != 0)
		set_number(object, name, value);
}

/* 64 bits do not fit into a JSON number that others read exactly. */
static void set_u64(json_t *object, const char *name, uint64_t value, bool hex)
{
	char text[32];

	if (value == 0)
		return;
	if (hex)
		(void)snprintf(text, sizeof(text), "%016" PRIx64, value);
	else
		(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	(void)json_object_set_new(object, name, json_string(text));
}

static void set_texts(json_t *object, const char *name, const struct bytes *texts, uint16_t count)
{
	json_t *list;

	if (count == 0)
		return;
	list = json_array();
	for (uint16_t i = 0; i < count; i++) {
		_cleanup_buf_ struct buf text = {0};

		utf8_add(&text, texts[i]);
		(void)json_array_append_new(list, json_stringn(text.len ? (const char *)text.data : "", text.len));
	}
	(void)json_object_set_new(object, name, list);
}

static void set_file(json_t *object, const char *name, const struct file_info *file)
{
	json_t *out = json_object();

	set_text(out, "path", file->path);
	set_u64(out, "inode", file->inode, false);
	set_u64(out, "device", file->device, false);
	set_nonzero(out, "generation", file->generation);
	set_nonzero(out, "mode", file->mode);
	set_nonzero(out, "uid", file->uid);
	if (file->inode) /* 0 links are a fact only where the file was seen */
		set_number(out, "nlink", file->nlink);
	if (json_object_size(out) > 0)
		(void)json_object_set(object, name, out);
	json_decref(out);
}

static void set_creds(json_t *object, const struct creds *creds)
{
	set_number(object, "uid", creds->uid);
	set_number(object, "gid", creds->gid);
	set_number(object, "euid", creds->euid);
	set_number(object, "egid", creds->egid);
	set_u64(object, "cap_effective", creds->cap_effective, true);
	set_number(object, "suid", creds->suid);
	set_number(object, "sgid", creds->sgid);
	set_u64(object, "cap_permitted", creds->cap_permitted, true);
	set_u64(object, "cap_inheritable", creds->cap_inheritable, true);
}

/* The words for the bits that are set. */
static void set_words(json_t *object, const char *name, uint32_t bits,
		      const char *(*word)(uint32_t bit))
{
	json_t *list = json_array();

	for (uint32_t bit = 1; bit != 0; bit <<= 1)
		if (bits & bit && word(bit))
			(void)json_array_append_new(list, json_string(word(bit)));
	if (json_array_size(list) > 0)
		(void)json_object_set(object, name, list);
	json_decref(list);
}

static void set_namespaces(json_t *object, const struct namespaces *ns)
{
	json_t *out = json_object();

	set_nonzero(out, "mnt", ns->mnt);
	set_nonzero(out, "pid", ns->pid);
	set_nonzero(out, "net", ns->net);
	set_nonzero(out, "user", ns->user);
	set_nonzero(out, "uts", ns->uts);
	set_nonzero(out, "ipc", ns->ipc);
	set_nonzero(out, "cgroup", ns->cgroup);
	set_nonzero(out, "time", ns->time);
	if (json_object_size(out) > 0)
		(void)json_object_set(object, "namespaces", out);
	json_decref(out);
}

static void set_time(json_t *object, const char *name, uint64_t wall_ns)
{
	_cleanup_buf_ struct buf text = {0};

	if (!proto_json_time(&text, (int64_t)(wall_ns / NS_PER_SEC),
			     (int32_t)(wall_ns % NS_PER_SEC)))
		return;
	set_bytes(object, name, buf_bytes(&text));
}

static json_t *labels_json(const struct container_def *c)
{
	json_t *out = json_object();

	for (uint16_t i = 0; i < c->label_count; i++)
		set_text(out, c->labels[i].key, c->labels[i].value);
	return out;
}

static json_t *mounts_json(const struct container_def *c)
{
	json_t *out = json_array();

	for (uint16_t i = 0; i < c->mount_count; i++) {
		json_t *mount = json_object();

		set_text(mount, "source", c->mounts[i].source);
		set_text(mount, "destination", c->mounts[i].destination);
		set_text(mount, "propagation", c->mounts[i].propagation);
		if (c->mounts[i].readonly)
			(void)json_object_set_new(mount, "readonly", json_true());
		(void)json_array_append_new(out, mount);
	}
	return out;
}

static json_t *container_json(const struct container_def *c)
{
	json_t *out = json_object();

	set_text(out, "container_id", c->container_id);
	set_text(out, "pod_uid", c->pod_uid);
	set_text(out, "name", c->name);
	set_text(out, "image", c->image);
	set_text(out, "pod", c->pod);
	set_text(out, "namespace", c->namespace);
	set_text(out, "cgroup", c->cgroup);
	set_text(out, "image_id", c->image_id);
	set_text(out, "workload", c->workload);
	if (c->label_count > 0)
		(void)json_object_set_new(out, "labels", labels_json(c));
	if (c->mount_count > 0)
		(void)json_object_set_new(out, "mounts", mounts_json(c));
	if (c->privileged)
		(void)json_object_set_new(out, "privileged", json_true());
	set_u64(out, "cap_bounding", c->cap_bounding, true);
	set_u64(out, "start_ns", c->start_ns, false);
	return out;
}

static void set_process_rest(json_t *out, const struct process_def *p)
{
	set_text(out, "comm", p->comm);
	set_text(out, "exe_raw", p->exe_raw);
	set_words(out, "exe_flags", p->exe_flags, process_exe_flag_name);
	if (p->exe_ctime_ns)
		set_time(out, "exe_ctime", p->exe_ctime_ns);
	if (p->exe_mtime_ns)
		set_time(out, "exe_mtime", p->exe_mtime_ns);
	set_nonzero(out, "pgid", p->pgid);
	set_nonzero(out, "vpid", p->vpid);
	set_nonzero(out, "vpgid", p->vpgid);
	set_namespaces(out, &p->namespaces);
}

static json_t *process_json(const struct process_def *p)
{
	json_t *out = json_object();

	set_u64(out, "exec_id", p->exec_id, true);
	set_u64(out, "parent_exec_id", p->parent_exec_id, true);
	set_number(out, "pid", p->pid);
	set_number(out, "ppid", p->ppid);
	set_u64(out, "start_ns", p->start_ns, false);
	set_u64(out, "exec_ns", p->exec_ns, false);
	set_file(out, "exe", &p->exe);
	set_texts(out, "args", p->args, p->arg_count);
	set_texts(out, "env", p->env, p->env_count);
	set_text(out, "cwd", p->cwd);
	set_creds(out, &p->creds);
	if (p->loginuid != LOGINUID_NONE)
		set_number(out, "loginuid", p->loginuid);
	set_nonzero(out, "session", p->session);
	set_nonzero(out, "tty", p->tty);
	set_nonzero(out, "truncated", p->truncated);
	set_process_rest(out, p);
	(void)json_object_set_new(out, "container", container_json(p->container));
	return out;
}

static void set_address(json_t *object, const char *ip_name, const char *port_name, uint8_t family,
			const uint8_t *ip, uint16_t port)
{
	char text[INET6_ADDRSTRLEN];

	if (family != AF_INET && family != AF_INET6)
		return;
	if (inet_ntop(family, ip, text, sizeof(text)))
		set_text(object, ip_name, text);
	set_nonzero(object, port_name, port);
}

static json_t *endpoint_json(const struct endpoint *ep)
{
	json_t *out = json_object();

	set_text(out, "kind", endpoint_kind_name((enum endpoint_kind)ep->kind));
	set_number(out, "fd", ep->fd);
	set_nonzero(out, "mode", ep->mode);
	set_nonzero(out, "family", ep->family);
	set_nonzero(out, "protocol", ep->protocol);
	set_nonzero(out, "state", ep->state);
	set_u64(out, "id", ep->id, false);
	set_u64(out, "id2", ep->id2, false);
	set_address(out, "local_ip", "local_port", ep->family, ep->local_ip, ep->local_port);
	set_address(out, "remote_ip", "remote_port", ep->family, ep->remote_ip, ep->remote_port);
	set_nonzero(out, "readers", ep->readers);
	set_nonzero(out, "writers", ep->writers);
	return out;
}

static void set_endpoints(json_t *object, const struct event *event)
{
	json_t *list;

	if (event->endpoint_count == 0)
		return;
	list = json_array();
	for (uint16_t i = 0; i < event->endpoint_count; i++)
		(void)json_array_append_new(list, endpoint_json(&event->endpoints[i]));
	(void)json_object_set_new(object, "endpoints", list);
}

/* Enough to find the process among the events. */
static json_t *target_json(const struct process_def *p)
{
	json_t *out = json_object();

	set_u64(out, "exec_id", p->exec_id, true);
	set_number(out, "pid", p->pid);
	set_text(out, "comm", p->comm);
	set_file(out, "exe", &p->exe);
	return out;
}

static void set_call_args(json_t *object, const struct event_detail *detail)
{
	json_t *list;

	if (detail->arg_count == 0)
		return;
	list = json_array();
	for (uint8_t i = 0; i < detail->arg_count; i++)
		(void)json_array_append_new(list, json_sprintf("%" PRIu64, detail->args[i]));
	(void)json_object_set_new(object, "args", list);
}

/* What people can read as it stands: NUL between arguments, the lines of a request. */
static bool is_readable(struct bytes data)
{
	for (size_t i = 0; i < data.len; i++)
		if (data.data[i] < 0x20 && !memchr("\0\t\r\n", data.data[i], 4))
			return false;
	return utf8_valid_prefix(data) == data.len;
}

static void set_data(json_t *object, struct bytes data)
{
	_cleanup_buf_ struct buf text = {0};

	if (data.len == 0)
		return;
	proto_json_base64(&text, data);
	set_bytes(object, "data", buf_bytes(&text));
	if (is_readable(data))
		set_bytes(object, "data_text", data);
}

static void set_detail(json_t *object, const struct event_detail *detail)
{
	set_text(object, "call", detail->call);
	set_call_args(object, detail);
	set_text(object, "path2", detail->path2);
	set_text(object, "raw_path2", detail->raw_path2);
	set_text(object, "text", detail->text);
	set_data(object, detail->data);
	if (detail->target)
		(void)json_object_set_new(object, "target", target_json(detail->target));
	set_namespaces(object, &detail->namespaces);
}

static void set_repeats(json_t *object, const struct event *event, int64_t wall_offset_ns)
{
	if (event->repeats == 0)
		return;
	set_u64(object, "repeats", event->repeats, false);
	set_time(object, "first_time", event->first_ns + (uint64_t)wall_offset_ns);
	set_u64(object, "first_ns", event->first_ns, false);
}

static json_t *event_json(const struct event *event, int64_t wall_offset_ns)
{
	json_t *out = json_object();

	set_text(out, "event", event_kind_name(event->kind));
	set_u64(out, "seq", event->seq, false);
	set_time(out, "time", event->time_ns + (uint64_t)wall_offset_ns);
	set_u64(out, "time_ns", event->time_ns, false);
	set_nonzero(out, "tid", event->tid);
	(void)json_object_set_new(out, "process", process_json(event->process));
	if (event->child)
		(void)json_object_set_new(out, "child", process_json(event->child));
	set_nonzero(out, "result", event->result);
	set_endpoints(out, event);
	if (event->kind != EVENT_KIND_EXEC) /* it is the new image's, and said with the process */
		set_file(out, "file", &event->file);
	set_text(out, "raw_path", event->raw_path);
	if (event->kind == EVENT_KIND_OPEN || event->flags)
		set_number(out, "flags", event->flags);
	if (event->kind == EVENT_KIND_DUP)
		set_number(out, "old_fd", event->old_fd);
	if (event->kind == EVENT_KIND_CRED)
		set_creds(out, &event->creds);
	set_detail(out, event_detail(event));
	set_words(out, "marks", event->marks, event_mark_name);
	set_repeats(out, event, wall_offset_ns);
	return out;
}

int event_json_write(const struct event *event, int64_t wall_offset_ns, struct buf *out)
{
	json_t *object = event_json(event, wall_offset_ns);
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

	json_decref(object);
	if (!text)
		return -ENOMEM;
	buf_add_text(out, text);
	buf_add_byte(out, '\n');
	free(text);
	return buf_error(out);
}
