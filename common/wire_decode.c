/* Bytes to events, on the collector; see wire.h.
 *
 * A batch is taken in three steps, so that a bad one changes nothing: its structure is checked, then
 * every id and bound in it, and only then are its definitions added to the epoch. protobuf-c unpacks
 * into the caller's arena; definitions are copied into the epoch's own. */
#include <errno.h>
#include <limits.h>
#include <xxhash.h>

#include "common/table.h"
#include "common/wire.h"
#include "common/wire_check.h"
#include "common/wire_container.h"
#include "nightjar/v1/agent.pb-c.h"

#define EPOCH_ARENA_MAX (16UL << 20)
#define IP_MAX		16

/* A definition completes this many earlier ones: the cgroups below one container. The others wait for
 * the next epoch. */
#define COMPLETED_MAX 16

typedef Nightjar__V1__Batch Batch;

struct digest {
	uint64_t low, high;
};

struct wire_decoder {
	uint32_t max_definitions;
	uint32_t epoch;
	bool is_open; /* an epoch has been opened and its definitions are whole */
	struct arena *arena;
	/* By id; index 0 is what id 0 stands for. */
	const char **strings;
	struct container_def **containers;
	struct process_def **processes;
	uint32_t *earlier; /* by container: the one before of the same container_id; 0 none */
	struct table *by_container; /* struct digest of a container_id → the last one's uint32_t id */
	uint32_t string_count;
	uint32_t container_count;
	uint32_t process_count;
};

static const struct container_def no_container = {
	.container_id = "", .pod_uid = "", .name = "", .image = "", .pod = "", .namespace = "", .cgroup = "",
	.image_id = "", .workload = ""};

static struct digest digest_of_text(const char *text)
{
	XXH128_hash_t hash = XXH3_128bits(text, strlen(text));

	return (struct digest){.low = hash.low64, .high = hash.high64};
}

struct wire_decoder *wire_decoder_new(uint32_t max_definitions)
{
	_cleanup_(wire_decoder_freep) struct wire_decoder *dec = calloc(1, sizeof(*dec));
	size_t slots = (size_t)max_definitions + 1;
	const struct table_config by_container = {
		.key_size = sizeof(struct digest), .record_size = sizeof(uint32_t), .capacity = max_definitions};

	if (!dec)
		return NULL;
	dec->max_definitions = max_definitions;
	dec->arena = arena_new(EPOCH_ARENA_MAX);
	dec->strings = calloc(slots, sizeof(*dec->strings));
	dec->containers = calloc(slots, sizeof(*dec->containers));
	dec->processes = calloc(slots, sizeof(*dec->processes));
	dec->earlier = calloc(slots, sizeof(*dec->earlier));
	dec->by_container = table_new(&by_container);
	if (!dec->arena || !dec->strings || !dec->containers || !dec->processes || !dec->earlier ||
	    !dec->by_container)
		return NULL;
	dec->strings[0] = "";
	return take_ptr(dec);
}

void wire_decoder_free(struct wire_decoder *dec)
{
	if (!dec)
		return;
	arena_free(dec->arena);
	free(dec->strings);
	free(dec->containers);
	free(dec->processes);
	free(dec->earlier);
	table_free(dec->by_container);
	free(dec);
}

/* ---- the head ---- */

static void read_head_field(const struct wire_field *field, struct wire_batch_head *head, struct bytes *node)
{
	switch (field->number) {
	case 1:
		head->seq = field->value;
		break;
	case 2:
		head->epoch = (uint32_t)field->value;
		break;
	case 3:
		head->opens_epoch = field->value != 0;
		break;
	case 4:
		head->first_event = field->value;
		break;
	case 5:
		head->wall_offset_ns = (int64_t)(field->value >> 1 ^ -(field->value & 1));
		break;
	case 11:
		head->policy_generation = (uint32_t)field->value;
		break;
	case 12:
		*node = field->data;
		break;
	default:
		break;
	}
}

/* The body of an AgentMessage that is one batch and nothing else that we know. */
static int find_batch(struct bytes message, struct bytes *ret_batch)
{
	struct wire_field field;
	uint32_t bodies = 0;
	bool is_batch = false;

	if (message.len > WIRE_MESSAGE_MAX ||
	    wire_check(&nightjar__v1__agent_message__descriptor, message) < 0)
		return -EBADMSG;
	while (wire_next_field(&message, &field) > 0) {
		if (field.number > 3)
			continue;
		bodies++;
		is_batch = field.number == 2;
		*ret_batch = field.data;
	}
	if (bodies > 1)
		return -EBADMSG; /* protobuf would merge them: no honest peer asks for it */
	return is_batch ? 0 : -ENOMSG;
}

int wire_peek_batch(struct bytes message, struct arena *arena, struct wire_batch_head *ret_head)
{
	struct wire_batch_head head = {0};
	struct bytes batch = {0}, node = {0};
	struct wire_field field;
	int r = find_batch(message, &batch);

	if (r < 0)
		return r;
	while (wire_next_field(&batch, &field) > 0)
		read_head_field(&field, &head, &node);
	head.node = arena_strndup(arena, (const char *)node.data, node.len);
	if (!head.node)
		return -ENOMEM;
	*ret_head = head;
	return 0;
}

/* ---- step two: ids and bounds ---- */

static void *unpack_alloc(void *arena, size_t size)
{
	return arena_alloc(arena, size);
}

static void unpack_free(void *arena, void *memory)
{
	(void)arena;
	(void)memory;
}

/* Ids as they will be once the batch is taken. */
struct limits {
	uint32_t strings, containers, processes;
};

static bool strings_fit(const Batch *batch, struct limits *limits, uint32_t max)
{
	for (size_t i = 0; i < batch->n_strings; i++)
		if (batch->strings[i]->id != ++limits->strings || limits->strings > max)
			return false;
	return true;
}

static bool containers_fit(const Batch *batch, struct limits *limits, uint32_t max)
{
	for (size_t i = 0; i < batch->n_containers; i++)
		if (batch->containers[i]->id != ++limits->containers || limits->containers > max ||
		    !wire_container_fits(batch->containers[i]))
			return false;
	return true;
}

static bool processes_fit(const Batch *batch, struct limits *limits, uint32_t max)
{
	for (size_t i = 0; i < batch->n_processes; i++) {
		const Nightjar__V1__ProcessDef *def = batch->processes[i];

		if (def->id != limits->processes + 1 || def->id > max || def->exec_id == 0)
			return false;
		if (def->image_of >= def->id || def->container > limits->containers)
			return false;
		if (def->n_args > EVENT_ARGS_MAX || def->n_env > EVENT_ENV_MAX)
			return false;
		limits->processes++;
	}
	return true;
}

static bool ip_fits(const ProtobufCBinaryData *ip)
{
	return ip->len == 0 || ip->len == 4 || ip->len == IP_MAX;
}

static bool endpoint_fits(const Nightjar__V1__Endpoint *ep)
{
	return ep->mode <= (ENDPOINT_READ | ENDPOINT_WRITE) && ep->fd >= -1 && ep->fd <= SHRT_MAX &&
	       ep->family <= UCHAR_MAX && ep->state <= UCHAR_MAX && ep->local_port <= USHRT_MAX &&
	       ep->remote_port <= USHRT_MAX && ep->readers <= USHRT_MAX && ep->writers <= USHRT_MAX &&
	       ep->protocol <= USHRT_MAX &&
	       ip_fits(&ep->local_ip) && ip_fits(&ep->remote_ip);
}

static enum event_kind known_kind(int kind)
{
	return kind > 0 && kind < EVENT_KIND_MAX ? (enum event_kind)kind : 0;
}

static bool detail_fits(const Nightjar__V1__Event *event, const struct limits *limits)
{
	return event->target <= limits->processes && event->path2 <= limits->strings &&
	       event->raw_path2 <= limits->strings && event->call <= limits->strings &&
	       event->text <= limits->strings && event->n_args <= EVENT_CALL_ARGS_MAX &&
	       event->data.len <= EVENT_DATA_MAX;
}

static bool event_fits(const Nightjar__V1__Event *event, const struct limits *limits)
{
	enum event_kind kind = known_kind((int)event->kind);

	if (event->process == 0 || event->process > limits->processes || event->child > limits->processes)
		return false;
	if (event->path > limits->strings || event->raw_path > limits->strings)
		return false;
	if (!detail_fits(event, limits))
		return false;
	if (kind == EVENT_KIND_FORK && event->child == 0)
		return false;
	if (event->n_endpoints < event_kind_endpoints(kind) || event->n_endpoints > EVENT_ENDPOINTS_MAX)
		return false;
	for (size_t i = 0; i < event->n_endpoints; i++)
		if (!endpoint_fits(event->endpoints[i]))
			return false;
	return true;
}

static int check_batch(const struct wire_decoder *dec, const Batch *batch)
{
	struct limits limits = {dec->string_count, dec->container_count, dec->process_count};

	if (batch->opens_epoch)
		limits = (struct limits){0};
	else if (!dec->is_open || batch->epoch != dec->epoch)
		return -ESTALE;
	if (!strings_fit(batch, &limits, dec->max_definitions) ||
	    !containers_fit(batch, &limits, dec->max_definitions) ||
	    !processes_fit(batch, &limits, dec->max_definitions))
		return -EBADMSG;
	for (size_t i = 0; i < batch->n_events; i++)
		if (!event_fits(batch->events[i], &limits))
			return -EBADMSG;
	return 0;
}

/* ---- step three: definitions ---- */

static const char *copy_text(struct arena *arena, const char *text)
{
	return text[0] ? arena_strdup(arena, text) : "";
}

static int copy_file(struct arena *arena, const Nightjar__V1__File *file, struct file_info *ret_file)
{
	*ret_file = (struct file_info){.path = ""};
	if (!file)
		return 0;
	*ret_file = (struct file_info){
		.path = copy_text(arena, file->path),
		.inode = file->inode,
		.device = file->device,
		.generation = file->generation,
		.mode = file->mode,
		.uid = file->uid,
		.nlink = file->nlink,
	};
	return ret_file->path ? 0 : -ENOMEM;
}

static int copy_texts(struct arena *arena, const ProtobufCBinaryData *texts, size_t count,
		      const struct bytes **ret_texts)
{
	struct bytes *copies;

	*ret_texts = NULL;
	if (count == 0)
		return 0;
	copies = arena_alloc(arena, count * sizeof(*copies));
	if (!copies)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		/* Terminated all the same: a spare byte is cheaper than a bug in a reader. */
		char *copy = arena_strndup(arena, (const char *)texts[i].data, texts[i].len);

		if (!copy)
			return -ENOMEM;
		copies[i] = bytes_of(copy, texts[i].len);
	}
	*ret_texts = copies;
	return 0;
}

/* Gives what is known now to the earlier definitions of the same container, whose processes point to
 * them. Each keeps its cgroup: a container may have several. */
static void complete_earlier(struct wire_decoder *dec, uint32_t id)
{
	const struct container_def *now = dec->containers[id];
	struct digest key;
	uint32_t *last;

	if (!now->container_id[0])
		return;
	key = digest_of_text(now->container_id);
	last = table_put(dec->by_container, &key, NULL);
	dec->earlier[id] = *last;
	*last = id;
	for (uint32_t i = 0; i < COMPLETED_MAX && dec->earlier[id]; i++) {
		struct container_def *then = dec->containers[id = dec->earlier[id]];
		const char *cgroup = then->cgroup;

		*then = *now;
		then->cgroup = cgroup;
	}
}

static int add_container(struct wire_decoder *dec, const Nightjar__V1__ContainerDef *def)
{
	struct container_def *c = arena_alloc(dec->arena, sizeof(*c));

	if (!c || wire_container_copy(dec->arena, def, c) < 0)
		return -ENOMEM;
	dec->containers[++dec->container_count] = c;
	complete_earlier(dec, dec->container_count);
	return 0;
}

static struct namespaces read_namespaces(const Nightjar__V1__Namespaces *in)
{
	if (!in)
		return (struct namespaces){0};
	return (struct namespaces){
		.mnt = in->mnt,
		.pid = in->pid,
		.net = in->net,
		.user = in->user,
		.uts = in->uts,
		.ipc = in->ipc,
		.cgroup = in->cgroup,
		.time = in->time,
	};
}

static int copy_image(struct wire_decoder *dec, const Nightjar__V1__ProcessDef *def, struct process_def *p)
{
	if (copy_file(dec->arena, def->exe, &p->exe) < 0 ||
	    copy_texts(dec->arena, def->args, def->n_args, &p->args) < 0 ||
	    copy_texts(dec->arena, def->env, def->n_env, &p->env) < 0)
		return -ENOMEM;
	p->arg_count = (uint16_t)def->n_args;
	p->env_count = (uint16_t)def->n_env;
	p->cwd = copy_text(dec->arena, def->cwd);
	p->creds = (struct creds){.uid = def->uid,
				  .gid = def->gid,
				  .euid = def->euid,
				  .egid = def->egid,
				  .suid = def->suid,
				  .sgid = def->sgid,
				  .cap_effective = def->cap_effective,
				  .cap_permitted = def->cap_permitted,
				  .cap_inheritable = def->cap_inheritable};
	p->loginuid = def->loginuid;
	p->session = def->session;
	p->tty = def->tty;
	p->truncated = def->truncated;
	p->container = def->container ? dec->containers[def->container] : &no_container;
	p->comm = copy_text(dec->arena, def->comm);
	p->exe_raw = copy_text(dec->arena, def->exe_raw);
	p->pgid = def->pgid;
	p->vpgid = def->vpgid;
	p->exe_flags = def->exe_flags;
	p->exe_ctime_ns = def->exe_ctime_ns;
	p->exe_mtime_ns = def->exe_mtime_ns;
	p->namespaces = read_namespaces(def->namespaces);
	return p->cwd && p->comm && p->exe_raw ? 0 : -ENOMEM;
}

static int add_process(struct wire_decoder *dec, const Nightjar__V1__ProcessDef *def)
{
	struct process_def *p = arena_zalloc(dec->arena, sizeof(*p));

	if (!p)
		return -ENOMEM;
	if (def->image_of)
		*p = *dec->processes[def->image_of];
	else if (copy_image(dec, def, p) < 0)
		return -ENOMEM;
	p->exec_id = def->exec_id;
	p->parent_exec_id = def->parent_exec_id;
	p->pid = def->pid;
	p->ppid = def->ppid;
	p->start_ns = def->start_ns;
	p->exec_ns = def->exec_ns;
	p->vpid = def->vpid;
	dec->processes[++dec->process_count] = p;
	return 0;
}

static int add_string(struct wire_decoder *dec, const Nightjar__V1__StringDef *def)
{
	const char *text = copy_text(dec->arena, def->value);

	if (!text)
		return -ENOMEM;
	dec->strings[++dec->string_count] = text;
	return 0;
}

static int add_definitions(struct wire_decoder *dec, const Batch *batch)
{
	for (size_t i = 0; i < batch->n_strings; i++)
		if (add_string(dec, batch->strings[i]) < 0)
			return -ENOMEM;
	for (size_t i = 0; i < batch->n_containers; i++)
		if (add_container(dec, batch->containers[i]) < 0)
			return -ENOMEM;
	for (size_t i = 0; i < batch->n_processes; i++)
		if (add_process(dec, batch->processes[i]) < 0)
			return -ENOMEM;
	return 0;
}

static void open_epoch(struct wire_decoder *dec, uint32_t epoch)
{
	arena_reset(dec->arena);
	table_clear(dec->by_container);
	dec->string_count = dec->container_count = dec->process_count = 0;
	dec->epoch = epoch;
	dec->is_open = true;
}

/* ---- events ---- */

static void read_ip(const ProtobufCBinaryData *ip, uint8_t *ret_ip)
{
	if (ip->len > 0)
		memcpy(ret_ip, ip->data, ip->len);
}

static void read_endpoint(const Nightjar__V1__Endpoint *in, struct endpoint *out)
{
	int kind = (int)in->kind;

	*out = (struct endpoint){
		.kind = kind > 0 && kind < ENDPOINT_KIND_MAX ? (uint8_t)kind : ENDPOINT_KIND_NONE,
		.mode = (uint8_t)in->mode,
		.fd = (int16_t)in->fd,
		.family = (uint8_t)in->family,
		.state = (uint8_t)in->state,
		.local_port = (uint16_t)in->local_port,
		.remote_port = (uint16_t)in->remote_port,
		.readers = (uint16_t)in->readers,
		.writers = (uint16_t)in->writers,
		.protocol = (uint16_t)in->protocol,
		.id = in->id,
		.id2 = in->id2,
	};
	read_ip(&in->local_ip, out->local_ip);
	read_ip(&in->remote_ip, out->remote_ip);
}

static int read_endpoints(const Nightjar__V1__Event *in, struct arena *arena, struct event *out)
{
	struct endpoint *endpoints;

	if (in->n_endpoints == 0)
		return 0;
	endpoints = arena_alloc(arena, in->n_endpoints * sizeof(*endpoints));
	if (!endpoints)
		return -ENOMEM;
	for (size_t i = 0; i < in->n_endpoints; i++)
		read_endpoint(in->endpoints[i], &endpoints[i]);
	out->endpoints = endpoints;
	out->endpoint_count = (uint16_t)in->n_endpoints;
	return 0;
}

static bool has_detail(const Nightjar__V1__Event *in)
{
	return in->target || in->path2 || in->raw_path2 || in->call || in->text || in->n_args ||
	       in->data.len || in->namespaces;
}

/* The bytes of data are the unpacked message's, which lives in the same arena. */
static int read_detail(const struct wire_decoder *dec, const Nightjar__V1__Event *in,
		       struct arena *arena, struct event *out)
{
	struct event_detail *detail;

	if (!has_detail(in))
		return 0;
	detail = arena_alloc(arena, sizeof(*detail));
	if (!detail)
		return -ENOMEM;
	*detail = (struct event_detail){
		.call = dec->strings[in->call],
		.path2 = dec->strings[in->path2],
		.raw_path2 = dec->strings[in->raw_path2],
		.text = dec->strings[in->text],
		.data = bytes_of(in->data.data, in->data.len),
		.target = in->target ? dec->processes[in->target] : NULL,
		.arg_count = (uint8_t)in->n_args,
		.namespaces = read_namespaces(in->namespaces),
	};
	for (size_t i = 0; i < in->n_args; i++)
		detail->args[i] = in->args[i];
	out->detail = detail;
	return 0;
}

static int read_event(const struct wire_decoder *dec, const Nightjar__V1__Event *in, struct arena *arena,
		      struct event *out)
{
	*out = (struct event){
		.seq = out->seq,
		.time_ns = in->time_ns,
		.kind = known_kind((int)in->kind),
		.tid = in->tid,
		.process = dec->processes[in->process],
		.child = in->child ? dec->processes[in->child] : NULL,
		.result = in->result,
		.flags = in->flags,
		.old_fd = in->old_fd,
		.raw_path = dec->strings[in->raw_path],
		.creds = {.uid = in->uid,
			  .gid = in->gid,
			  .euid = in->euid,
			  .egid = in->egid,
			  .suid = in->suid,
			  .sgid = in->sgid,
			  .cap_effective = in->cap_effective,
			  .cap_permitted = in->cap_permitted,
			  .cap_inheritable = in->cap_inheritable},
		.marks = in->marks,
		.repeats = in->repeats,
		.first_ns = in->first_ns,
	};
	if (copy_file(arena, in->file, &out->file) < 0)
		return -ENOMEM;
	out->file.path = dec->strings[in->path];
	if (read_detail(dec, in, arena, out) < 0)
		return -ENOMEM;
	return read_endpoints(in, arena, out);
}

static int read_events(const struct wire_decoder *dec, const Batch *batch, struct arena *arena,
		       struct wire_batch *out)
{
	out->events = arena_alloc(arena, batch->n_events * sizeof(*out->events));
	if (!out->events)
		return -ENOMEM;
	for (size_t i = 0; i < batch->n_events; i++) {
		out->events[i].seq = batch->first_event + i;
		if (read_event(dec, batch->events[i], arena, &out->events[i]) < 0)
			return -ENOMEM;
	}
	out->event_count = (uint32_t)batch->n_events;
	return 0;
}

static int read_losses(const Batch *batch, struct arena *arena, struct wire_batch *out)
{
	out->losses = arena_alloc(arena, batch->n_losses * sizeof(*out->losses));
	if (!out->losses)
		return -ENOMEM;
	for (size_t i = 0; i < batch->n_losses; i++) {
		const Nightjar__V1__Loss *loss = batch->losses[i];
		int reason = (int)loss->reason;

		out->losses[i] = (struct loss){
			.reason = reason > 0 && reason < LOSS_REASON_MAX ? (enum loss_reason)reason : 0,
			.class = loss->class_,
			.count = loss->count,
		};
	}
	out->loss_count = (uint32_t)batch->n_losses;
	return 0;
}

static void read_head(const Batch *batch, struct wire_batch_head *ret_head)
{
	*ret_head = (struct wire_batch_head){
		.seq = batch->seq,
		.epoch = batch->epoch,
		.opens_epoch = batch->opens_epoch,
		.first_event = batch->first_event,
		.wall_offset_ns = batch->wall_offset_ns,
		.policy_generation = batch->policy_generation,
		.node = batch->node,
	};
}

/* A failure here is one of memory; the epoch is given up then, so that the next batch of it is
 * -ESTALE and the agent opens it again. */
static int take_batch(struct wire_decoder *dec, const Batch *batch, struct arena *arena,
		      struct wire_batch *ret_batch)
{
	struct wire_batch out = {0};
	uint32_t first_container;

	if (batch->opens_epoch)
		open_epoch(dec, batch->epoch);
	first_container = dec->container_count + 1;
	if (add_definitions(dec, batch) < 0 || read_events(dec, batch, arena, &out) < 0 ||
	    read_losses(batch, arena, &out) < 0) {
		dec->is_open = false;
		return -ENOMEM;
	}
	out.containers = (const struct container_def *const *)&dec->containers[first_container];
	out.container_count = (uint32_t)batch->n_containers;
	read_head(batch, &out.head);
	*ret_batch = out;
	return 0;
}

int wire_decode_batch(struct wire_decoder *dec, struct bytes message, struct arena *arena,
		      struct wire_batch *ret_batch)
{
	ProtobufCAllocator allocator = {unpack_alloc, unpack_free, arena};
	struct bytes body = {0};
	Batch *batch;
	int r = find_batch(message, &body);

	if (r < 0)
		return r;
	/* The structure is known to be whole, so only memory can be missing. */
	batch = nightjar__v1__batch__unpack(&allocator, body.len, body.data);
	if (!batch)
		return -ENOMEM;
	r = check_batch(dec, batch);
	if (r < 0)
		return r;
	return take_batch(dec, batch, arena, ret_batch);
}
