/* Events to bytes, on the agent; see wire.h.
 *
 * Assumes that a struct process_def never changes once its exec_id has been seen. Strings and
 * containers are known by a seeded 128-bit hash of their content, so that a node's workload cannot
 * choose names that collide. Working sizes: 40 to 90 bytes an event, 300 a process, about 50 bytes
 * of memory for each definition of the epoch. Each message is written without checks into room that
 * was reckoned and reserved before; see pb.h. */
#include <assert.h>
#include <errno.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <xxhash.h>

#include "common/clock.h"
#include "common/pb.h"
#include "common/table.h"
#include "common/utf8.h"
#include "common/wire.h"
#include "common/wire_container.h"

/* Field numbers of proto/nightjar/v1: tests compare every one with what protobuf-c reads. */
enum { MESSAGE_BATCH = 2 };
enum {
	BATCH_SEQ = 1,
	BATCH_EPOCH = 2,
	BATCH_OPENS_EPOCH = 3,
	BATCH_FIRST_EVENT = 4,
	BATCH_WALL_OFFSET = 5,
	BATCH_STRINGS = 6,
	BATCH_CONTAINERS = 7,
	BATCH_PROCESSES = 8,
	BATCH_EVENTS = 9,
	BATCH_LOSSES = 10,
	BATCH_GENERATION = 11,
	BATCH_NODE = 12,
};

/* What an event adds of a sort at most: its six strings. */
#define BATCH_USUAL (64UL << 10) /* bytes whose memory is kept for the next one */
#define DEFINITIONS_PER_EVENT 6U
#define DEFINITION_MAX	      (512UL << 10)
#define FILE_MAX	      (PB_HEAD_MAX + 7 * PB_FIELD_MAX) /* and its path */
#define NAMESPACES_MAX	      (PB_HEAD_MAX + 8 * PB_FIELD_MAX)
#define PROCESS_FIXED_MAX     (35 * PB_FIELD_MAX + FILE_MAX + NAMESPACES_MAX)
#define ENDPOINT_MAX	      (PB_HEAD_MAX + 14 * PB_FIELD_MAX + 2 * 16)
#define EVENT_FIXED_MAX	      (PB_HEAD_MAX + 24 * PB_FIELD_MAX + FILE_MAX)
#define DETAIL_FIXED_MAX                                                                           \
	(7 * PB_FIELD_MAX + PB_HEAD_MAX + EVENT_CALL_ARGS_MAX * PB_VARINT_MAX + NAMESPACES_MAX)

struct digest {
	uint64_t low, high;
};

struct wire_encoder {
	struct table *processes;  /* exec_id → uint32_t id */
	struct table *strings;	  /* struct digest → uint32_t id */
	struct table *containers; /* struct digest → uint32_t id */
	uint32_t process_count;
	uint32_t string_count;
	uint32_t container_count;
	uint32_t max_definitions;
	uint64_t seed;
	uint32_t epoch;
	bool opens_epoch;  /* the present batch does */
	bool epoch_wanted; /* the next batch shall */
	size_t epoch_bytes;
	uint64_t first_event;
	uint32_t event_count;
	struct buf definitions;
	struct buf body;
	struct buf container; /* the one that is looked up */
	struct buf mended; /* a text whose bytes were not UTF-8 */
};

static struct table *new_table(size_t key_size, uint32_t capacity)
{
	const struct table_config config = {
		.key_size = key_size, .record_size = sizeof(uint32_t), .capacity = capacity};

	return table_new(&config);
}

struct wire_encoder *wire_encoder_new(uint32_t max_definitions)
{
	_cleanup_(wire_encoder_freep) struct wire_encoder *enc = calloc(1, sizeof(*enc));

	assert(max_definitions >= 2 * DEFINITIONS_PER_EVENT);
	if (!enc)
		return NULL;
	enc->max_definitions = max_definitions;
	enc->epoch_wanted = true;
	if (getrandom(&enc->seed, sizeof(enc->seed), GRND_NONBLOCK) != sizeof(enc->seed))
		enc->seed = clock_monotonic_ns(); /* early at boot: better than none */
	enc->processes = new_table(sizeof(uint64_t), max_definitions);
	enc->strings = new_table(sizeof(struct digest), max_definitions);
	enc->containers = new_table(sizeof(struct digest), max_definitions);
	if (!enc->processes || !enc->strings || !enc->containers)
		return NULL;
	return take_ptr(enc);
}

void wire_encoder_free(struct wire_encoder *enc)
{
	if (!enc)
		return;
	table_free(enc->processes);
	table_free(enc->strings);
	table_free(enc->containers);
	buf_done(&enc->definitions);
	buf_done(&enc->body);
	buf_done(&enc->container);
	buf_done(&enc->mended);
	free(enc);
}

void wire_encoder_new_epoch(struct wire_encoder *enc)
{
	enc->epoch_wanted = true;
}

bool wire_encoder_epoch_full(const struct wire_encoder *enc)
{
	uint32_t room = enc->max_definitions - DEFINITIONS_PER_EVENT;

	return enc->epoch_bytes >= WIRE_EPOCH_BYTES || enc->process_count > room ||
	       enc->string_count > room || enc->container_count > room;
}

static void open_epoch(struct wire_encoder *enc)
{
	table_clear(enc->processes);
	table_clear(enc->strings);
	table_clear(enc->containers);
	enc->process_count = enc->string_count = enc->container_count = 0;
	enc->epoch_bytes = 0;
	enc->epoch++;
	enc->opens_epoch = true;
	enc->epoch_wanted = false;
}

void wire_encode_begin(struct wire_encoder *enc)
{
	/* Ids whose definitions did not fit into memory were never sent. */
	bool lost = buf_error(&enc->definitions) < 0 || buf_error(&enc->body) < 0;

	enc->opens_epoch = false;
	if (enc->epoch_wanted || lost)
		open_epoch(enc);
	buf_clear_to(&enc->definitions, BATCH_USUAL);
	buf_clear_to(&enc->body, BATCH_USUAL);
	enc->event_count = 0;
	enc->first_event = 0;
}

/* Gives back what of the reserved room was not used. */
static void finish(struct buf *b, const uint8_t *end)
{
	assert(end <= b->data + b->len);
	buf_truncate(b, (size_t)(end - b->data));
}

/* ---- definitions ---- */

/* The text as protobuf may carry it; valid until the next call. */
static struct bytes as_utf8(struct wire_encoder *enc, const char *text)
{
	struct bytes raw = bytes_of_text(text);

	if (utf8_valid_prefix(raw) == raw.len)
		return raw;
	buf_clear(&enc->mended);
	utf8_add(&enc->mended, raw);
	if (buf_error(&enc->mended) < 0)
		enc->body.error = buf_error(&enc->mended); /* seen by whoever ends the event */
	return buf_bytes(&enc->mended);
}

static struct digest digest_of(const struct wire_encoder *enc, const void *data, size_t len)
{
	XXH128_hash_t hash = XXH3_128bits_withSeed(data, len, enc->seed);

	return (struct digest){.low = hash.low64, .high = hash.high64};
}

static uint32_t string_id(struct wire_encoder *enc, const char *text)
{
	struct bytes raw = bytes_of_text(text);
	struct digest key;
	uint8_t *p, *mark;
	uint32_t *id;
	bool is_new;

	if (raw.len == 0)
		return 0;
	key = digest_of(enc, raw.data, raw.len);
	id = table_put(enc->strings, &key, &is_new);
	if (!is_new)
		return *id;
	*id = ++enc->string_count;
	raw = as_utf8(enc, text);
	p = buf_extend(&enc->definitions, raw.len + 2 * PB_HEAD_MAX + PB_FIELD_MAX);
	if (!p)
		return *id;
	p = pb_open(p, BATCH_STRINGS, &mark);
	p = pb_uint(p, 1, *id);
	p = pb_bytes(p, 2, raw);
	finish(&enc->definitions, pb_close(p, mark));
	return *id;
}

/* A container is known by what it would be on the wire. */
static uint32_t container_id(struct wire_encoder *enc, const struct container_def *c)
{
	struct digest key;
	uint32_t *id;
	uint8_t *p, *mark;
	bool is_new;

	buf_clear(&enc->container);
	p = buf_extend(&enc->container, wire_container_bound(c));
	if (!p) {
		enc->body.error = buf_error(&enc->container);
		return 0;
	}
	buf_clear(&enc->mended);
	finish(&enc->container, wire_container_put(p, c, &enc->mended));
	if (buf_error(&enc->mended) < 0)
		enc->body.error = buf_error(&enc->mended); /* seen by whoever ends the event */
	if (enc->container.len == 0)
		return 0;
	key = digest_of(enc, enc->container.data, enc->container.len);
	id = table_put(enc->containers, &key, &is_new);
	if (!is_new)
		return *id;
	*id = ++enc->container_count;
	p = buf_extend(&enc->definitions, PB_HEAD_MAX + PB_FIELD_MAX + enc->container.len);
	if (!p)
		return *id;
	p = pb_open(p, BATCH_CONTAINERS, &mark);
	p = pb_uint(p, 1, *id);
	memcpy(p, enc->container.data, enc->container.len);
	finish(&enc->definitions, pb_close(p + enc->container.len, mark));
	return *id;
}

static uint8_t *put_file(uint8_t *p, uint32_t field, struct bytes path, const struct file_info *file)
{
	uint8_t *mark, *start = p;

	p = pb_open(p, field, &mark);
	p = pb_bytes(p, 1, path);
	p = pb_uint(p, 2, file->inode);
	p = pb_uint(p, 3, file->device);
	p = pb_uint(p, 4, file->generation);
	p = pb_uint(p, 5, file->mode);
	p = pb_uint(p, 6, file->uid);
	p = pb_uint(p, 7, file->nlink);
	return p == mark + 1 ? start : pb_close(p, mark);
}

static uint8_t *put_namespaces(uint8_t *p, uint32_t field, const struct namespaces *ns)
{
	uint8_t *mark, *start = p;

	p = pb_open(p, field, &mark);
	p = pb_uint(p, 1, ns->mnt);
	p = pb_uint(p, 2, ns->pid);
	p = pb_uint(p, 3, ns->net);
	p = pb_uint(p, 4, ns->user);
	p = pb_uint(p, 5, ns->uts);
	p = pb_uint(p, 6, ns->ipc);
	p = pb_uint(p, 7, ns->cgroup);
	p = pb_uint(p, 8, ns->time);
	return p == mark + 1 ? start : pb_close(p, mark);
}

static bool same_text(const char *a, const char *b)
{
	return a == b || strcmp(a, b) == 0;
}

static bool same_texts(const struct bytes *a, uint16_t a_count, const struct bytes *b, uint16_t b_count)
{
	if (a_count != b_count)
		return false;
	if (a == b)
		return true;
	for (uint16_t i = 0; i < a_count; i++)
		if (!bytes_equal(a[i], b[i]))
			return false;
	return true;
}

static bool same_file(const struct file_info *a, const struct file_info *b)
{
	return a->inode == b->inode && a->device == b->device && a->generation == b->generation &&
	       a->mode == b->mode && a->uid == b->uid && a->nlink == b->nlink &&
	       same_text(a->path, b->path);
}

static bool same_creds(const struct creds *a, const struct creds *b)
{
	return a->uid == b->uid && a->gid == b->gid && a->euid == b->euid && a->egid == b->egid &&
	       a->suid == b->suid && a->sgid == b->sgid && a->cap_effective == b->cap_effective &&
	       a->cap_permitted == b->cap_permitted && a->cap_inheritable == b->cap_inheritable;
}

static bool same_namespaces(const struct namespaces *a, const struct namespaces *b)
{
	return a->mnt == b->mnt && a->pid == b->pid && a->net == b->net && a->user == b->user &&
	       a->uts == b->uts && a->ipc == b->ipc && a->cgroup == b->cgroup && a->time == b->time;
}

/* What is of the file and not of the process that runs it. */
static bool same_program(const struct process_def *a, const struct process_def *b)
{
	return same_file(&a->exe, &b->exe) && same_text(a->exe_raw, b->exe_raw) &&
	       a->exe_flags == b->exe_flags && a->exe_ctime_ns == b->exe_ctime_ns &&
	       a->exe_mtime_ns == b->exe_mtime_ns &&
	       same_texts(a->args, a->arg_count, b->args, b->arg_count) &&
	       same_texts(a->env, a->env_count, b->env, b->env_count);
}

/* True when all that image_of stands for is equal: most children, for the time before their exec. */
static bool same_image(const struct process_def *a, const struct process_def *b)
{
	return same_program(a, b) && same_text(a->cwd, b->cwd) && same_text(a->comm, b->comm) &&
	       same_creds(&a->creds, &b->creds) && a->loginuid == b->loginuid &&
	       a->session == b->session && a->tty == b->tty && a->pgid == b->pgid &&
	       a->vpgid == b->vpgid && a->truncated == b->truncated &&
	       same_namespaces(&a->namespaces, &b->namespaces) && a->container == b->container;
}

static uint8_t *put_creds(uint8_t *p, uint32_t field, const struct creds *creds)
{
	p = pb_uint(p, field, creds->uid);
	p = pb_uint(p, field + 1, creds->gid);
	p = pb_uint(p, field + 2, creds->euid);
	return pb_uint(p, field + 3, creds->egid);
}

/* Fields 9 to 25 of ProcessDef. */
static uint8_t *put_image(struct wire_encoder *enc, uint8_t *p, const struct process_def *def,
			  uint32_t container)
{
	p = put_file(p, 9, as_utf8(enc, def->exe.path), &def->exe);
	for (uint16_t i = 0; i < def->arg_count; i++)
		p = pb_element(p, 10, def->args[i]);
	p = pb_bytes(p, 11, as_utf8(enc, def->cwd));
	for (uint16_t i = 0; i < def->env_count; i++)
		p = pb_element(p, 12, def->env[i]);
	p = put_creds(p, 13, &def->creds);
	p = pb_uint(p, 17, def->loginuid);
	p = pb_uint(p, 18, def->session);
	p = pb_uint(p, 19, def->tty);
	p = pb_uint(p, 20, def->creds.cap_effective);
	p = pb_uint(p, 21, def->creds.cap_permitted);
	p = pb_uint(p, 22, container);
	p = pb_uint(p, 23, def->truncated);
	p = pb_bytes(p, 24, as_utf8(enc, def->comm));
	return pb_uint(p, 25, def->pgid);
}

/* Fields 27 to 35 of ProcessDef. */
static uint8_t *put_image_rest(struct wire_encoder *enc, uint8_t *p, const struct process_def *def)
{
	p = pb_uint(p, 27, def->vpgid);
	p = pb_uint(p, 28, def->creds.cap_inheritable);
	p = pb_uint(p, 29, def->exe_flags);
	p = pb_uint(p, 30, def->exe_ctime_ns);
	p = pb_uint(p, 31, def->exe_mtime_ns);
	p = pb_bytes(p, 32, as_utf8(enc, def->exe_raw));
	p = put_namespaces(p, 33, &def->namespaces);
	p = pb_uint(p, 34, def->creds.suid);
	return pb_uint(p, 35, def->creds.sgid);
}

static size_t process_bound(const struct process_def *def)
{
	size_t bound = PROCESS_FIXED_MAX + 3 * (strlen(def->exe.path) + strlen(def->cwd) +
						strlen(def->comm) + strlen(def->exe_raw));

	for (uint16_t i = 0; i < def->arg_count; i++)
		bound += PB_HEAD_MAX + def->args[i].len;
	for (uint16_t i = 0; i < def->env_count; i++)
		bound += PB_HEAD_MAX + def->env[i].len;
	return bound;
}

/* parent: a process that the batch's epoch has defined and whose image this one may share, or NULL. */
static uint32_t process_id(struct wire_encoder *enc, const struct process_def *def,
			   const struct process_def *parent, uint32_t parent_id)
{
	bool is_new, shares;
	uint32_t *id = table_put(enc->processes, &def->exec_id, &is_new);
	uint32_t container;
	uint8_t *p, *mark;

	if (!is_new)
		return *id;
	*id = ++enc->process_count;
	shares = parent && same_image(def, parent);
	container = shares ? 0 : container_id(enc, def->container);
	p = buf_extend(&enc->definitions, shares ? PROCESS_FIXED_MAX : process_bound(def));
	if (!p)
		return *id;
	p = pb_open(p, BATCH_PROCESSES, &mark);
	p = pb_uint(p, 1, *id);
	p = pb_fixed64(p, 2, def->exec_id);
	p = pb_fixed64(p, 3, def->parent_exec_id);
	p = pb_uint(p, 4, def->pid);
	p = pb_uint(p, 5, def->ppid);
	p = pb_uint(p, 6, def->start_ns);
	p = pb_uint(p, 7, def->exec_ns);
	p = shares ? pb_uint(p, 8, parent_id) : put_image(enc, p, def, container);
	p = pb_uint(p, 26, def->vpid);
	p = shares ? p : put_image_rest(enc, p, def);
	finish(&enc->definitions, pb_close(p, mark));
	return *id;
}

/* ---- events ---- */

static bool is_zero(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i])
			return false;
	return true;
}

static struct bytes address(uint8_t family, const uint8_t *ip)
{
	size_t len = family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;

	return bytes_of(ip, is_zero(ip, len) ? 0 : len);
}

static uint8_t *put_endpoint(uint8_t *p, const struct endpoint *ep)
{
	uint8_t *mark;

	p = pb_open(p, 7, &mark);
	p = pb_uint(p, 1, ep->kind);
	p = pb_uint(p, 2, ep->mode);
	p = pb_sint(p, 3, ep->fd);
	p = pb_uint(p, 4, ep->family);
	p = pb_uint(p, 5, ep->state);
	p = pb_uint(p, 6, ep->id);
	p = pb_uint(p, 7, ep->id2);
	p = pb_bytes(p, 8, address(ep->family, ep->local_ip));
	p = pb_uint(p, 9, ep->local_port);
	p = pb_bytes(p, 10, address(ep->family, ep->remote_ip));
	p = pb_uint(p, 11, ep->remote_port);
	p = pb_uint(p, 12, ep->readers);
	p = pb_uint(p, 13, ep->writers);
	p = pb_uint(p, 14, ep->protocol);
	return pb_close(p, mark);
}

struct event_ids {
	uint32_t process, child, path, raw_path;
	uint32_t target, path2, raw_path2, call, text; /* of the detail */
};

/* Fields 19 to 26 of Event. */
static uint8_t *put_detail(uint8_t *p, const struct event_detail *detail,
			   const struct event_ids *ids)
{
	uint8_t *mark;

	p = pb_uint(p, 19, ids->target);
	p = pb_uint(p, 20, ids->path2);
	p = pb_uint(p, 21, ids->raw_path2);
	p = pb_uint(p, 22, ids->call);
	if (detail->arg_count > 0) {
		p = pb_open(p, 23, &mark);
		for (uint8_t i = 0; i < detail->arg_count; i++)
			p = pb_varint(p, detail->args[i]);
		p = pb_close(p, mark);
	}
	p = pb_uint(p, 24, ids->text);
	p = pb_bytes(p, 25, detail->data);
	return put_namespaces(p, 26, &detail->namespaces);
}

static uint8_t *put_event(uint8_t *p, const struct event *event, const struct event_ids *ids)
{
	uint8_t *mark;

	p = pb_open(p, BATCH_EVENTS, &mark);
	p = pb_uint(p, 1, event->kind);
	p = pb_uint(p, 2, event->time_ns);
	p = pb_uint(p, 3, ids->process);
	p = pb_uint(p, 4, event->tid);
	p = pb_uint(p, 5, ids->child);
	p = pb_sint(p, 6, event->result);
	for (uint16_t i = 0; i < event->endpoint_count; i++)
		p = put_endpoint(p, &event->endpoints[i]);
	p = pb_uint(p, 8, ids->path);
	p = pb_uint(p, 9, ids->raw_path);
	p = put_file(p, 10, (struct bytes){0}, &event->file);
	p = pb_uint(p, 11, event->flags);
	p = pb_sint(p, 12, event->old_fd);
	p = put_creds(p, 13, &event->creds);
	p = pb_uint(p, 17, event->creds.cap_effective);
	p = pb_uint(p, 18, event->creds.cap_permitted);
	if (event->detail)
		p = put_detail(p, event->detail, ids);
	p = pb_uint(p, 27, event->marks);
	p = pb_uint(p, 28, event->repeats);
	p = pb_uint(p, 29, event->first_ns);
	p = pb_uint(p, 30, event->creds.cap_inheritable);
	p = pb_uint(p, 31, event->creds.suid);
	p = pb_uint(p, 32, event->creds.sgid);
	return pb_close(p, mark);
}

/* What the decoder would refuse must not leave the node: it would take its whole batch along. */
static bool acceptable(const struct wire_encoder *enc, const struct event *event)
{
	if (event->kind <= 0 || event->kind >= EVENT_KIND_MAX || !event->process)
		return false;
	if (enc->event_count > 0 && event->seq != enc->first_event + enc->event_count)
		return false;
	if ((event->kind == EVENT_KIND_FORK) != (event->child != NULL))
		return false;
	if (event->detail && (event->detail->arg_count > EVENT_CALL_ARGS_MAX ||
			      event->detail->data.len > EVENT_DATA_MAX))
		return false;
	return event->endpoint_count >= event_kind_endpoints(event->kind) &&
	       event->endpoint_count <= EVENT_ENDPOINTS_MAX;
}

/* One that is defined already was looked at then. */
static bool definable(const struct wire_encoder *enc, const struct process_def *def)
{
	if (!def || table_peek(enc->processes, &def->exec_id))
		return true;
	return def->arg_count <= EVENT_ARGS_MAX && def->env_count <= EVENT_ENV_MAX &&
	       process_bound(def) <= DEFINITION_MAX && wire_container_definable(def->container);
}

int wire_encode_container(struct wire_encoder *enc, const struct container_def *container)
{
	size_t defined_before = enc->definitions.len;

	if (!wire_container_definable(container))
		return -E2BIG;
	if (wire_encoder_epoch_full(enc))
		return -ENOSPC;
	(void)container_id(enc, container);
	if (buf_error(&enc->definitions) < 0 || buf_error(&enc->body) < 0)
		return -ENOMEM;
	enc->epoch_bytes += enc->definitions.len - defined_before;
	return 0;
}

/* The definitions of an event, before it. */
static void define(struct wire_encoder *enc, const struct event *event, struct event_ids *ret_ids)
{
	const struct event_detail *detail = event->detail;
	struct event_ids ids = {.process = process_id(enc, event->process, NULL, 0)};

	if (event->child)
		ids.child = process_id(enc, event->child, event->process, ids.process);
	ids.path = string_id(enc, event->file.path);
	/* Most are asked for as what they are: comparing costs a tenth of hashing. */
	ids.raw_path = same_text(event->raw_path, event->file.path)
			       ? ids.path
			       : string_id(enc, event->raw_path);
	if (detail) {
		ids.target = detail->target ? process_id(enc, detail->target, NULL, 0) : 0;
		ids.path2 = string_id(enc, detail->path2);
		ids.raw_path2 = string_id(enc, detail->raw_path2);
		ids.call = string_id(enc, detail->call);
		ids.text = string_id(enc, detail->text);
	}
	*ret_ids = ids;
}

static size_t event_bound(const struct event *event)
{
	size_t detail = event->detail ? DETAIL_FIXED_MAX + event->detail->data.len : 0;

	return EVENT_FIXED_MAX + event->endpoint_count * ENDPOINT_MAX + detail;
}

int wire_encode_event(struct wire_encoder *enc, const struct event *event)
{
	size_t defined_before = enc->definitions.len;
	struct event_ids ids;
	uint8_t *p;

	if (!acceptable(enc, event))
		return -EINVAL;
	if (!definable(enc, event->process) || !definable(enc, event->child) ||
	    (event->detail && !definable(enc, event->detail->target)))
		return -E2BIG;
	if (wire_encoder_epoch_full(enc) || enc->body.len >= WIRE_BATCH_BYTES)
		return -ENOSPC;
	define(enc, event, &ids);
	p = buf_extend(&enc->body, event_bound(event));
	if (!p || buf_error(&enc->definitions) < 0)
		return -ENOMEM;
	finish(&enc->body, put_event(p, event, &ids));
	enc->epoch_bytes += enc->definitions.len - defined_before;
	if (enc->event_count++ == 0)
		enc->first_event = event->seq;
	return 0;
}

void wire_encode_loss(struct wire_encoder *enc, const struct loss *loss)
{
	struct bytes class = as_utf8(enc, loss->class);
	uint8_t *p = buf_extend(&enc->body, class.len + 2 * PB_HEAD_MAX + 2 * PB_FIELD_MAX);
	uint8_t *mark;

	if (!p)
		return;
	p = pb_open(p, BATCH_LOSSES, &mark);
	p = pb_uint(p, 1, loss->reason);
	p = pb_bytes(p, 2, class);
	p = pb_uint(p, 3, loss->count);
	finish(&enc->body, pb_close(p, mark));
}

/* ---- batches ---- */

size_t wire_encoder_bytes(const struct wire_encoder *enc)
{
	return enc->definitions.len + enc->body.len;
}

int wire_encode_parts(const struct wire_encoder *enc, struct wire_parts *ret_parts)
{
	if (buf_error(&enc->definitions) < 0 || buf_error(&enc->body) < 0)
		return -ENOMEM;
	*ret_parts = (struct wire_parts){
		.definitions = buf_bytes(&enc->definitions),
		.body = buf_bytes(&enc->body),
		.epoch = enc->epoch,
		.opens_epoch = enc->opens_epoch,
		.first_event = enc->first_event,
		.event_count = enc->event_count,
	};
	return 0;
}

int wire_write_batch(const struct wire_batch_head *head, const struct bytes *parts, size_t part_count,
		     struct buf *out)
{
	struct bytes node = bytes_of_text(head->node);
	uint8_t fields[7 * PB_FIELD_MAX], *p = fields;
	size_t total, len;
	uint8_t *room;

	p = pb_uint(p, BATCH_SEQ, head->seq);
	p = pb_uint(p, BATCH_EPOCH, head->epoch);
	p = pb_uint(p, BATCH_OPENS_EPOCH, head->opens_epoch);
	p = pb_uint(p, BATCH_FIRST_EVENT, head->first_event);
	p = pb_sint(p, BATCH_WALL_OFFSET, head->wall_offset_ns);
	p = pb_uint(p, BATCH_GENERATION, head->policy_generation);
	len = (size_t)(p - fields);
	total = len + node.len;
	if (node.len > 0) {
		p = pb_varint(pb_tag(p, BATCH_NODE, PB_LENGTH), node.len);
		total += (size_t)(p - fields) - len;
	}
	for (size_t i = 0; i < part_count; i++)
		total += parts[i].len;
	room = buf_extend(out, PB_HEAD_MAX);
	if (!room)
		return buf_error(out);
	finish(out, pb_varint(pb_tag(room, MESSAGE_BATCH, PB_LENGTH), total));
	buf_add(out, fields, (size_t)(p - fields));
	buf_add(out, node.data, node.len);
	for (size_t i = 0; i < part_count; i++)
		buf_add(out, parts[i].data, parts[i].len);
	return buf_error(out);
}

int wire_encode_end(struct wire_encoder *enc, const struct wire_batch_head *head, struct buf *out)
{
	struct wire_batch_head full = *head;
	struct wire_parts parts = {0};
	int r = wire_encode_parts(enc, &parts);

	if (r < 0)
		return r;
	full.epoch = parts.epoch;
	full.opens_epoch = parts.opens_epoch;
	full.first_event = parts.first_event;
	return wire_write_batch(&full, (const struct bytes[]){parts.definitions, parts.body}, 2, out);
}
