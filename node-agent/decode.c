/* One function per record type, chosen from a table; each takes the fixed part, then the variable
 * parts in the order of abi.h through a cursor that refuses to pass the end. */
#include "node-agent/decode.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

#include "bpf/calls.h"
#include "node-agent/event_class.h"

enum { TCP_STATE_ESTABLISHED = 1, TCP_STATE_SYN_SENT = 2, TCP_STATE_CLOSE = 7, TCP_STATE_LISTEN = 10 };

struct cursor {
	struct bytes rest;
	bool bad;
};

static const uint8_t *take(struct cursor *c, size_t len)
{
	const uint8_t *at = c->rest.data;

	if (c->bad || len > c->rest.len) {
		c->bad = true;
		return NULL;
	}
	c->rest.data += len;
	c->rest.len -= len;
	return at;
}

/* Copies the fixed part, which may stand unaligned. */
static bool take_fixed(struct cursor *c, void *ret_fixed, size_t size)
{
	const uint8_t *at = take(c, size);

	if (at)
		memcpy(ret_fixed, at, size);
	return at != NULL;
}

static struct bytes take_area(struct cursor *c, size_t len)
{
	const uint8_t *at = take(c, len);

	return bytes_of(at, at ? len : 0);
}

/* A text with its NUL, which must be its only one; "" for length 0. */
static const char *take_text(struct cursor *c, size_t len)
{
	const uint8_t *at = take(c, len);

	if (!at || len == 0)
		return "";
	if (memchr(at, 0, len) != at + len - 1) {
		c->bad = true;
		return "";
	}
	return (const char *)at;
}

uint64_t decode_device(uint64_t kernel_device)
{
	return makedev((unsigned int)(kernel_device >> 20), (unsigned int)(kernel_device & 0xfffff));
}

/* ::ffff:a.b.c.d is IPv4 that happens to pass through an IPv6 socket. */
static void unmap_ipv4(struct endpoint *ep)
{
	static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
	static const uint8_t none[16];
	bool local_any = memcmp(ep->local_ip, none, 16) == 0;

	if (ep->family != AF_INET6 || memcmp(ep->remote_ip, prefix, 12) != 0)
		return;
	if (!local_any && memcmp(ep->local_ip, prefix, 12) != 0)
		return;
	ep->family = AF_INET;
	memmove(ep->remote_ip, ep->remote_ip + 12, 4);
	memset(ep->remote_ip + 4, 0, 12);
	memmove(ep->local_ip, ep->local_ip + 12, 4);
	memset(ep->local_ip + 4, 0, 12);
}

static bool turn_endpoint(const struct nj_endpoint *from, struct endpoint *ret_endpoint)
{
	struct endpoint ep = {
		.kind = from->kind,
		.mode = from->mode & (ENDPOINT_READ | ENDPOINT_WRITE),
		.fd = from->fd,
		.family = from->family,
		.state = from->state,
		.local_port = from->local_port,
		.remote_port = from->remote_port,
		.readers = from->readers,
		.writers = from->writers,
		.protocol = from->protocol,
		.id = from->id,
		.id2 = from->id2,
	};
	bool by_device = from->kind == NJ_EP_FIFO || from->kind == NJ_EP_PTY_MASTER ||
			 from->kind == NJ_EP_PTY_SLAVE;

	if (from->kind >= ENDPOINT_KIND_MAX)
		return false;
	if (by_device)
		ep.id2 = decode_device(from->id2);
	memcpy(ep.local_ip, from->local_ip, 16);
	memcpy(ep.remote_ip, from->remote_ip, 16);
	unmap_ipv4(&ep);
	*ret_endpoint = ep;
	return true;
}

static void add_endpoint(struct cursor *c, struct decoded *d, const struct nj_endpoint *from)
{
	if (d->endpoint_count >= EVENT_ENDPOINTS_MAX ||
	    !turn_endpoint(from, &d->endpoints[d->endpoint_count])) {
		c->bad = true;
		return;
	}
	d->endpoint_count++;
}

static void turn_file(const struct nj_file *from, struct file_info *ret_file)
{
	ret_file->inode = from->inode;
	ret_file->device = decode_device(from->device);
	ret_file->generation = from->generation;
	ret_file->mode = from->mode;
	ret_file->uid = from->uid;
	ret_file->nlink = from->nlink;
}

static struct creds turn_creds(const struct nj_creds *from)
{
	return (struct creds){
		.uid = from->uid,
		.gid = from->gid,
		.euid = from->euid,
		.egid = from->egid,
		.suid = from->suid,
		.sgid = from->sgid,
		.cap_effective = from->cap_effective,
		.cap_permitted = from->cap_permitted,
		.cap_inheritable = from->cap_inheritable,
	};
}

static struct namespaces turn_namespaces(const struct nj_namespaces *from)
{
	return (struct namespaces){from->mnt, from->pid, from->net,    from->user,
				   from->uts, from->ipc, from->cgroup, from->time};
}

/* Terminated within the record by whoever wrote it; in any case here. */
static void turn_comm(const char from[static NJ_COMM_SIZE], char *ret_comm)
{
	memcpy(ret_comm, from, NJ_COMM_SIZE - 1);
	ret_comm[NJ_COMM_SIZE - 1] = '\0';
}

static void decode_fork(struct cursor *c, struct decoded *d)
{
	struct nj_fork fork;

	if (!take_fixed(c, &fork, sizeof(fork)))
		return;
	d->kind = EVENT_KIND_FORK;
	d->child = fork.child;
	d->session = fork.session;
	d->tty = (uint32_t)decode_device(fork.tty);
	d->pgid = fork.pgid;
	d->vpid = fork.vpid;
	d->vpgid = fork.vpgid;
	d->namespaces = turn_namespaces(&fork.namespaces);
	turn_comm(fork.comm, d->comm);
}

static void turn_exec(const struct nj_exec *exec, struct decoded *d)
{
	d->kind = EVENT_KIND_EXEC;
	d->parent = exec->parent;
	d->creds = turn_creds(&exec->creds);
	d->loginuid = exec->loginuid;
	d->session = exec->session;
	d->tty = (uint32_t)decode_device(exec->tty);
	d->truncated = exec->flags;
	d->exe_flags = exec->exe_flags;
	d->exe_ctime_ns = exec->exe_ctime_ns;
	d->exe_mtime_ns = exec->exe_mtime_ns;
	d->pgid = exec->pgid;
	d->vpid = exec->vpid;
	d->vpgid = exec->vpgid;
	d->namespaces = turn_namespaces(&exec->namespaces);
	turn_comm(exec->comm, d->comm);
	turn_file(&exec->exe, &d->file);
}

static void decode_exec(struct cursor *c, struct decoded *d)
{
	struct nj_exec exec;

	if (!take_fixed(c, &exec, sizeof(exec)))
		return;
	turn_exec(&exec, d);
	for (uint16_t i = 0; i < exec.endpoints && !c->bad; i++) {
		struct nj_endpoint ep;

		if (take_fixed(c, &ep, sizeof(ep)))
			add_endpoint(c, d, &ep);
	}
	d->file.path = take_text(c, exec.exe_len);
	d->cwd = take_text(c, exec.cwd_len);
	d->exe_raw = take_text(c, exec.raw_len);
	d->args = take_area(c, exec.args_len);
	d->env = take_area(c, exec.env_len);
}

static void decode_exit(struct cursor *c, struct decoded *d)
{
	struct nj_exit ended;

	if (!take_fixed(c, &ended, sizeof(ended)))
		return;
	d->kind = EVENT_KIND_EXIT;
	d->result = ended.code;
}

static enum event_kind tcp_kind(uint8_t state)
{
	switch (state) {
	case TCP_STATE_SYN_SENT:
		return EVENT_KIND_CONNECT;
	case TCP_STATE_ESTABLISHED:
		return EVENT_KIND_ESTABLISHED;
	case TCP_STATE_CLOSE:
		return EVENT_KIND_CLOSE;
	case TCP_STATE_LISTEN:
		return EVENT_KIND_LISTEN;
	default:
		return 0;
	}
}

static void decode_tcp(struct cursor *c, struct decoded *d)
{
	struct nj_tcp tcp;

	if (!take_fixed(c, &tcp, sizeof(tcp)))
		return;
	d->kind = tcp_kind(tcp.new_state);
	d->result = -(int64_t)tcp.error;
	add_endpoint(c, d, &tcp.socket);
}

/* The structs among the parts. */
static void take_struct(struct cursor *c, struct decoded *d, const struct nj_part *part)
{
	union {
		struct nj_file file;
		struct nj_endpoint endpoint;
		struct nj_creds creds;
		struct nj_namespaces namespaces;
	} u;
	static const uint16_t sizes[NJ_PART_MAX] = {
		[NJ_PART_FILE] = sizeof(u.file),
		[NJ_PART_ENDPOINT] = sizeof(u.endpoint),
		[NJ_PART_TARGET] = sizeof(d->target),
		[NJ_PART_CREDS] = sizeof(u.creds),
		[NJ_PART_NAMESPACES] = sizeof(u.namespaces),
	};

	if (part->type >= NJ_PART_MAX || sizes[part->type] != part->len) {
		c->bad = true;
		return;
	}
	if (part->type == NJ_PART_TARGET)
		(void)take_fixed(c, &d->target, sizeof(d->target));
	else if (!take_fixed(c, &u, part->len))
		return;
	if (part->type == NJ_PART_FILE)
		turn_file(&u.file, &d->file);
	else if (part->type == NJ_PART_ENDPOINT)
		add_endpoint(c, d, &u.endpoint);
	else if (part->type == NJ_PART_CREDS)
		d->creds = turn_creds(&u.creds);
	else if (part->type == NJ_PART_NAMESPACES)
		d->detail.namespaces = turn_namespaces(&u.namespaces);
}

static void take_part(struct cursor *c, struct decoded *d)
{
	struct nj_part part;

	if (!take_fixed(c, &part, sizeof(part)))
		return;
	switch (part.type) {
	case NJ_PART_PATH:
		d->file.path = take_text(c, part.len);
		break;
	case NJ_PART_RAW:
		d->raw_path = take_text(c, part.len);
		break;
	case NJ_PART_PATH2:
		d->detail.path2 = take_text(c, part.len);
		break;
	case NJ_PART_RAW2:
		d->detail.raw_path2 = take_text(c, part.len);
		break;
	case NJ_PART_TEXT:
		d->detail.text = take_text(c, part.len);
		break;
	case NJ_PART_DATA:
		d->detail.data = take_area(c, part.len);
		break;
	case NJ_PART_ADDRESS:
		d->address = take_area(c, part.len);
		break;
	case NJ_PART_NAME:
		(void)sockaddr_text(take_area(c, part.len), d->name_text[0]);
		d->detail.text = d->name_text[0];
		break;
	case NJ_PART_NAME2:
		(void)sockaddr_text(take_area(c, part.len), d->name_text[1]);
		d->detail.path2 = d->name_text[1];
		break;
	default:
		take_struct(c, d, &part);
	}
}

/* The address that a call was given says who was meant: it is the peer of a message, and of a
 * socket that did not get what it asked for. Otherwise the socket knows better. */
static void apply_address(struct decoded *d)
{
	struct endpoint *ep = &d->endpoints[0];
	bool is_local = d->kind == EVENT_KIND_BIND;
	bool is_message = d->kind == EVENT_KIND_SEND || d->kind == EVENT_KIND_RECEIVE;
	struct sockaddr_ip ip;

	if (sockaddr_text(d->address, d->given_text))
		d->raw_path = d->given_text;
	else if (d->detail.data.len == 0)
		d->detail.data = d->address;
	if (d->endpoint_count == 0 || !sockaddr_ip(d->address, &ip))
		return;
	if (!is_message && d->result >= 0)
		return;
	ep->family = ip.family;
	memcpy(is_local ? ep->local_ip : ep->remote_ip, ip.ip, 16);
	*(is_local ? &ep->local_port : &ep->remote_port) = ip.port;
	unmap_ipv4(ep);
}

_Static_assert((int)NJ_KIND_MAX == (int)EVENT_KIND_MAX && (int)NJ_KIND_PRCTL == (int)EVENT_KIND_PRCTL, "abi");
_Static_assert(NJ_MARK_UNREADABLE == EVENT_MARK_UNREADABLE && NJ_MARK_RACED == EVENT_MARK_RACED, "abi");
_Static_assert(NJ_EXE_MEMFD == PROCESS_EXE_MEMFD && NJ_RAW_TRUNCATED == PROCESS_EXE_RAW_TRUNCATED, "abi");

static void decode_act(struct cursor *c, struct decoded *d)
{
	struct nj_act act;

	if (!take_fixed(c, &act, sizeof(act)))
		return;
	if (act.kind == 0 || act.kind >= EVENT_KIND_MAX || act.arg_count > EVENT_CALL_ARGS_MAX) {
		c->bad = true;
		return;
	}
	d->kind = act.kind;
	d->result = act.result;
	d->marks = act.marks;
	d->detail.call = decode_call_name(act.call, act.marks & NJ_MARK_COMPAT);
	d->detail.arg_count = act.arg_count;
	memcpy(d->detail.args, act.arg, sizeof(act.arg));
	/* As openat2 has them. */
	if (act.kind == NJ_KIND_OPEN)
		d->flags = (uint32_t)act.arg[2];
	if (act.kind == NJ_KIND_DUP)
		d->old_fd = (int32_t)act.arg[0];
	while (c->rest.len > 0 && !c->bad)
		take_part(c, d);
	if (!c->bad && d->address.len > 0)
		apply_address(d);
}

/* A question that cannot be read is told all the same: somebody sent it. */
static void decode_packet(struct cursor *c, struct decoded *d)
{
	struct nj_packet packet;
	uint16_t type;

	if (!take_fixed(c, &packet, sizeof(packet)))
		return;
	if ((packet.kind != NJ_KIND_DNS && packet.kind != NJ_KIND_FIRST_BYTES) || c->rest.len > NJ_PACKET_LARGE) {
		c->bad = true;
		return;
	}
	d->kind = packet.kind;
	add_endpoint(c, d, &packet.socket);
	d->detail.data = take_area(c, packet.data_len);
	(void)take_area(c, c->rest.len);
	if (d->kind != EVENT_KIND_DNS || dns_question(d->detail.data, d->dns_text, &type) < 0)
		return;
	d->detail.text = d->dns_text;
	d->detail.args[0] = type;
	d->detail.arg_count = 1;
}

static void decode_cgroup(struct cursor *c, struct decoded *d)
{
	struct nj_cgroup cgroup;

	if (!take_fixed(c, &cgroup, sizeof(cgroup)))
		return;
	d->kind = EVENT_KIND_CGROUP;
	d->cgroup_id = cgroup.id;
	d->cgroup_hierarchy = cgroup.hierarchy;
	d->cgroup_removed = cgroup.removed;
	d->detail.text = cgroup.removed ? "rmdir" : "mkdir";
	d->file.path = take_text(c, cgroup.path_len);
}

static const struct {
	void (*decode)(struct cursor *c, struct decoded *d);
	uint32_t class;
} record_types[NJ_TYPE_MAX] = {
	[NJ_FORK] = {decode_fork, NJ_CLASS_PROCESS},
	[NJ_EXEC] = {decode_exec, NJ_CLASS_PROCESS},
	[NJ_EXIT] = {decode_exit, NJ_CLASS_PROCESS},
	[NJ_TCP] = {decode_tcp, NJ_CLASS_TCP},
	[NJ_ACT] = {decode_act, NJ_CLASS_PROCESS},
	[NJ_PACKET] = {decode_packet, NJ_CLASS_DNS},
	[NJ_CGROUP] = {decode_cgroup, NJ_CLASS_CGROUP},
};

void decode_init(struct decoded *d, const struct nj_head *head)
{
	memset(d, 0, offsetof(struct decoded, given_text));
	d->head = *head;
	d->file.path = "";
	d->cwd = "";
	d->exe_raw = "";
	d->raw_path = "";
	d->old_fd = -1;
	d->detail = (struct event_detail){.call = "", .path2 = "", .raw_path2 = "", .text = ""};
}

void decode_cpu_use(const struct nj_owner *process, uint64_t time_ns, uint64_t used_ns, uint64_t over_ns,
		    struct decoded *ret_decoded)
{
	struct nj_head head = {
		.tid = process->tid,
		.time = time_ns,
		.task = process->task,
		.cgroup = process->cgroup,
		.hierarchy = process->hierarchy,
	};

	decode_init(ret_decoded, &head);
	ret_decoded->kind = EVENT_KIND_CPU;
	ret_decoded->detail.args[0] = used_ns;
	ret_decoded->detail.args[1] = over_ns;
	ret_decoded->detail.arg_count = 2;
}

int decode_record(struct bytes record, struct decoded *ret_decoded)
{
	struct cursor c = {.rest = record};
	struct nj_head head;

	if (record.len < sizeof(head))
		return -EBADMSG;
	memcpy(&head, record.data, sizeof(head));
	if (head.size != record.len || head.type >= NJ_TYPE_MAX || !record_types[head.type].decode)
		return -EBADMSG;
	decode_init(ret_decoded, &head);
	record_types[head.type].decode(&c, ret_decoded);
	return c.bad || c.rest.len != 0 ? -EBADMSG : 0;
}

uint16_t decode_split(struct bytes area, struct bytes *ret_pieces, uint16_t max, bool *ret_more)
{
	uint16_t count = 0;

	while (area.len > 0 && count < max) {
		const uint8_t *end = memchr(area.data, 0, area.len);
		size_t len = end ? (size_t)(end - area.data) : area.len;

		ret_pieces[count++] = bytes_of(area.data, len);
		area.data += end ? len + 1 : len;
		area.len -= end ? len + 1 : len;
	}
	if (ret_more)
		*ret_more = area.len > 0;
	return count;
}

enum nj_class decode_class_of(struct bytes record)
{
	struct nj_packet packet;
	struct nj_act act;

	if (record.len < sizeof(act.head))
		return NJ_CLASS_PROCESS;
	memcpy(&act.head, record.data, sizeof(act.head));
	if (act.head.type == NJ_PACKET && record.len >= sizeof(packet)) {
		memcpy(&packet, record.data, sizeof(packet));
		return event_class_of(packet.kind, NULL, 0);
	}
	if (act.head.type == NJ_ACT && record.len >= sizeof(act)) {
		memcpy(&act, record.data, sizeof(act));
		return event_class_of(act.kind, NULL, 0);
	}
	return act.head.type < NJ_TYPE_MAX ? record_types[act.head.type].class : NJ_CLASS_PROCESS;
}

/* A call that an architecture lacks gets a place of its own behind the numbers, since no two entries of a
 * table may have the same. */
#define PLACE(number) ((number) == NJ_NO ? NJ_CALLS_MAX + __COUNTER__ : (number))

const char *decode_call_name(uint16_t nr, bool compat)
{
#define NATIVE(name, x86_64, i386, arm64, arm, act) [PLACE(NJ_NATIVE(x86_64, arm64))] = #name,
#define COMPAT(name, x86_64, i386, arm64, arm, act) [PLACE(NJ_COMPAT(i386, arm))] = #name,
	static const char *const native_names[2 * NJ_CALLS_MAX] = {NJ_CALLS(NATIVE)};
	static const char *const compat_names[2 * NJ_CALLS_MAX] = {NJ_CALLS(COMPAT)};
	const char *name = nr < NJ_CALLS_MAX ? (compat ? compat_names : native_names)[nr] : NULL;

	return name ? name : "";
}
