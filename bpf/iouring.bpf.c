/* io_uring: acts without a system call of their own. A request is read where it is submitted (its path
 * stands in kernel memory, its addresses in the submitter's), and told where it completes, as the system
 * call that it stands for, with what became of it. Whoever submits is the actor: the polling
 * thread of SQPOLL and the workers are threads of its process too.
 *
 * A request that asks for no completion is told when it is submitted, without a result. Requests that
 * complete many times (multishot) are told each time: all but the last completion name their ring and the
 * number that the process gave them, not the request. Streams are told by their ends, as ever. */
#include "bpf/iouring.bpf.h"
#include "bpf/novelty.bpf.h"
#include "bpf/socket.bpf.h"
#include "bpf/walk.bpf.h"

/* Requests under way, of the sorts that are told. Past that many one is counted as lost. */
#define REQUESTS_MAX 2048

struct request {
	struct nj_owner owner;
	__u64 arg[6];  /* as the system call would have them */
	__u64 path;    /* user addresses */
	__u64 path2;
	__u32 slot; /* of a direct descriptor, from 1; 0 none */
	__u16 opcode;
	__u16 raw_len;
	__u16 raw2_len;
	__u16 pad[3];
	char raw[NJ_RAW_MAX]; /* path or struct sockaddr */
	char raw2[NJ_RAW_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, REQUESTS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct request);
} uring_requests SEC(".maps");

/* What a completion that names no request says of it. Of two requests under way with one number the later. */
struct name {
	__u64 ring;
	__u64 user_data;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, REQUESTS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct name);
	__type(value, __u64); /* key of uring_requests */
} uring_names SEC(".maps");

const volatile bool completes_by_cqe = false;

/* What a request stands for. */
static const struct {
	__u8 kind;
	__u8 class;
	__u16 call;
} ops[URING_OPS] = {
	[URING_OPENAT] = {NJ_KIND_OPEN, NJ_CLASS_FILE, NJ_NATIVE(257, 56)},
	[URING_OPENAT2] = {NJ_KIND_OPEN, NJ_CLASS_FILE, 437},
	[URING_RENAMEAT] = {NJ_KIND_RENAME, NJ_CLASS_CHANGE, NJ_NATIVE(316, 276)},
	[URING_UNLINKAT] = {NJ_KIND_UNLINK, NJ_CLASS_CHANGE, NJ_NATIVE(263, 35)},
	[URING_MKDIRAT] = {NJ_KIND_MKDIR, NJ_CLASS_CHANGE, NJ_NATIVE(258, 34)},
	[URING_SYMLINKAT] = {NJ_KIND_LINK, NJ_CLASS_CHANGE, NJ_NATIVE(266, 36)},
	[URING_LINKAT] = {NJ_KIND_LINK, NJ_CLASS_CHANGE, NJ_NATIVE(265, 37)},
	[URING_SOCKET] = {NJ_KIND_SOCKET, NJ_CLASS_SOCKET, NJ_NATIVE(41, 198)},
	[URING_CONNECT] = {NJ_KIND_CONNECT, NJ_CLASS_SOCKET, NJ_NATIVE(42, 203)},
	[URING_ACCEPT] = {NJ_KIND_ACCEPT, NJ_CLASS_SOCKET, NJ_NATIVE(288, 242)},
	[URING_BIND] = {NJ_KIND_BIND, NJ_CLASS_SOCKET, NJ_NATIVE(49, 200)},
	[URING_LISTEN] = {NJ_KIND_LISTEN, NJ_CLASS_SOCKET, NJ_NATIVE(50, 201)},
	[URING_SENDMSG] = {NJ_KIND_SEND, NJ_CLASS_MESSAGE, NJ_NATIVE(46, 211)},
	[URING_RECVMSG] = {NJ_KIND_RECEIVE, NJ_CLASS_MESSAGE, NJ_NATIVE(47, 212)},
	[URING_SEND] = {NJ_KIND_SEND, NJ_CLASS_MESSAGE, NJ_NATIVE(44, 206)},
	[URING_RECV] = {NJ_KIND_RECEIVE, NJ_CLASS_MESSAGE, NJ_NATIVE(45, 207)},
	[URING_SEND_ZC] = {NJ_KIND_SEND, NJ_CLASS_MESSAGE, NJ_NATIVE(44, 206)},
	[URING_SENDMSG_ZC] = {NJ_KIND_SEND, NJ_CLASS_MESSAGE, NJ_NATIVE(46, 211)},
	[URING_SPLICE] = {NJ_KIND_SPLICE, NJ_CLASS_SPLICE, NJ_NATIVE(275, 76)},
	[URING_TEE] = {NJ_KIND_SPLICE, NJ_CLASS_SPLICE, NJ_NATIVE(276, 77)},
};

/* The file in that slot of a ring's table of registered ones. */
static __always_inline struct file *registered_file(struct io_ring_ctx *ctx, __u32 slot)
{
	unsigned long file = 0;

	if (bpf_core_field_exists(ctx->file_table.data)) {
		struct io_rsrc_node **nodes = BPF_CORE_READ(ctx, file_table.data.nodes), *node = NULL;

		if (slot >= BPF_CORE_READ(ctx, file_table.data.nr))
			return NULL;
		bpf_probe_read_kernel(&node, sizeof(node), nodes + slot);
		file = BPF_CORE_READ(node, file_ptr);
	} else {
		struct io_ring_ctx___6_12 *old = (void *)ctx;
		struct io_fixed_file___6_12 *files = BPF_CORE_READ(old, file_table.files);

		if (slot >= BPF_CORE_READ(old, nr_user_files))
			return NULL;
		bpf_probe_read_kernel(&file, sizeof(file), files + slot);
	}
	return (struct file *)(file & ~7UL);
}

/* What a request works on: set while it runs, before that to be looked up. */
static __always_inline struct file *request_file(const struct io_kiocb *req)
{
	struct file *file = BPF_CORE_READ(req, file);
	int fd = BPF_CORE_READ(req, cqe.fd);

	if (file)
		return file;
	if (BPF_CORE_READ(req, flags) & REQ_F_FIXED_FILE)
		return registered_file(BPF_CORE_READ(req, ctx), (__u32)fd);
	return fdinfo_current_file(fd);
}

/* The path of a struct filename: as the kernel has it, and where it was given. */
static __always_inline __u16 read_name(struct filename *name, char *raw, __u64 *ret_address)
{
	long len = bpf_probe_read_kernel_str(raw, NJ_RAW_MAX, BPF_CORE_READ(name, name));

	*ret_address = (__u64)BPF_CORE_READ(name, uptr);
	return len > 0 && len <= NJ_RAW_MAX ? (__u16)len : 0;
}

static __always_inline void read_open(struct request *r, const struct io_open *op)
{
	r->arg[0] = (__u64)(__s64)BPF_CORE_READ(op, dfd);
	r->arg[2] = BPF_CORE_READ(op, how.flags);
	r->arg[3] = BPF_CORE_READ(op, how.mode);
	r->slot = BPF_CORE_READ(op, file_slot);
	r->raw_len = read_name(BPF_CORE_READ(op, filename), r->raw, &r->path);
}

/* struct io_rename and struct io_link have the same fields. */
#define READ_TWO(r, op)                                                                            \
	({                                                                                         \
		(r)->arg[0] = (__u64)(__s64)BPF_CORE_READ(op, old_dfd);                            \
		(r)->arg[2] = (__u64)(__s64)BPF_CORE_READ(op, new_dfd);                            \
		(r)->arg[4] = (__u64)(__u32)BPF_CORE_READ(op, flags);                              \
		(r)->raw_len = read_name(BPF_CORE_READ(op, oldpath), (r)->raw, &(r)->path);        \
		(r)->raw2_len = read_name(BPF_CORE_READ(op, newpath), (r)->raw2, &(r)->path2);     \
	})

static __always_inline void read_address(struct request *r, __u64 address, __u32 len)
{
	if (!address || len < sizeof(__u16))
		return;
	if (len > NJ_ADDRESS_MAX)
		len = NJ_ADDRESS_MAX;
	if (bpf_probe_read_user(r->raw, bounded(len, 2 * NJ_ADDRESS_MAX - 1), (void *)address) == 0)
		r->raw_len = (__u16)len;
}

static __always_inline void read_message(struct request *r, const struct io_sr_msg *op)
{
	__u64 header = (__u64)BPF_CORE_READ(op, umsg);
	struct {
		__u64 name;
		__u32 name_len;
	} begin = {0};

	r->path = header;
	if (r->opcode == URING_RECVMSG || bpf_probe_read_user(&begin, sizeof(begin), (void *)header))
		return;
	read_address(r, begin.name, begin.name_len);
}

static __always_inline void read_socket(struct request *r, const struct io_socket *op)
{
	r->arg[0] = (__u64)(__s64)BPF_CORE_READ(op, domain);
	r->arg[1] = (__u64)(__u32)BPF_CORE_READ(op, type);
	r->arg[2] = (__u64)(__u32)BPF_CORE_READ(op, protocol);
	r->slot = BPF_CORE_READ(op, file_slot);
}

static __always_inline void read_paths(struct request *r, const struct io_kiocb *req)
{
	switch (r->opcode) {
	case URING_UNLINKAT: {
		const struct io_unlink *op = (void *)req;

		r->arg[0] = (__u64)(__s64)BPF_CORE_READ(op, dfd);
		r->arg[2] = (__u64)(__u32)BPF_CORE_READ(op, flags);
		r->raw_len = read_name(BPF_CORE_READ(op, filename), r->raw, &r->path);
		break;
	}
	case URING_MKDIRAT: {
		const struct io_mkdir *op = (void *)req;

		r->arg[0] = (__u64)(__s64)BPF_CORE_READ(op, dfd);
		r->arg[2] = BPF_CORE_READ(op, mode);
		r->raw_len = read_name(BPF_CORE_READ(op, filename), r->raw, &r->path);
		break;
	}
	case URING_RENAMEAT: {
		const struct io_rename *op = (void *)req;

		READ_TWO(r, op);
		break;
	}
	default: {
		const struct io_link *op = (void *)req;

		READ_TWO(r, op);
	}
	}
}

static __always_inline void read_request(struct request *r, const struct io_kiocb *req)
{
	switch (r->opcode) {
	case URING_OPENAT:
	case URING_OPENAT2:
		read_open(r, (void *)req);
		break;
	case URING_CONNECT: {
		const struct io_connect *op = (void *)req;

		read_address(r, (__u64)BPF_CORE_READ(op, addr), (__u32)BPF_CORE_READ(op, addr_len));
		break;
	}
	case URING_SENDMSG:
	case URING_SENDMSG_ZC:
	case URING_RECVMSG:
		read_message(r, (void *)req);
		break;
	case URING_SOCKET:
		read_socket(r, (void *)req);
		break;
	case URING_ACCEPT: {
		const struct io_accept *op = (void *)req;

		r->slot = BPF_CORE_READ(op, file_slot);
		break;
	}
	case URING_SPLICE:
	case URING_TEE: {
		const struct io_splice *op = (void *)req;

		r->arg[0] = (__u64)(__s64)BPF_CORE_READ(op, splice_fd_in);
		break;
	}
	case URING_RENAMEAT:
	case URING_UNLINKAT:
	case URING_MKDIRAT:
	case URING_SYMLINKAT:
	case URING_LINKAT:
		read_paths(r, req);
		break;
	}
}

/* The record of a request, as the call that it stands for. */
static __always_inline struct nj_act *begin(struct scratch *s, const struct request *r, __s64 result)
{
	__u32 op = (__u32)bounded(r->opcode, URING_OPS - 1);
	struct call call = {.nr = ops[op].call, .result = result};
	struct nj_act *act = act_begin(s, &call, ops[op].kind);

	act->marks = NJ_MARK_IO_URING;
	__builtin_memcpy(act->arg, r->arg, sizeof(act->arg));
	act->arg_count = 5;
	return act;
}

/* Out, in the name of whoever submitted. */
static __always_inline int end(struct scratch *s, struct nj_act *act, const struct request *r)
{
	__u32 class = (__u32)bounded(ops[bounded(r->opcode, URING_OPS - 1)].class, 31), pos = s->pos;

	if (pos > SCRATCH_VAR)
		return 0;
	emit_head_owner(&act->head, NJ_ACT, (__u16)(sizeof(*act) + pos), &r->owner);
	act->head.window = s->window;
	s->window = 0;
	emit_record(act, sizeof(*act) + pos, class, EMIT_NOW);
	return 0;
}

static __always_inline void add_raw(struct scratch *s, __u32 type, const char *raw, __u32 len)
{
	if (len == 0 || len > NJ_RAW_MAX)
		return;
	__builtin_memcpy(s->raw, raw, NJ_RAW_MAX);
	act_add_raw(type, len);
}

static __noinline int tell_open(struct scratch *s, const struct request *r, struct file *file, __s64 result)
{
	struct nj_act *act = begin(s, r, result);

	if (file) {
		act_add_file(NJ_PART_PATH, file);
		if (fdinfo_endpoint((__u64)file, (int)(r->slot ? -1 : result), ENDPOINT_SLOT, SCRATCH_HOOK) != NJ_EP_NONE)
			act_add_endpoint(ENDPOINT_SLOT);
	} else if (r->path) {
		walk_argument(r->path, (int)r->arg[0], WALK_FOLLOW);
		walk_add_path(NJ_PART_PATH);
	}
	add_raw(s, NJ_PART_RAW, r->raw, r->raw_len);
	return end(s, act, r);
}

/* A name, where it is made, removed or moved. */
static __always_inline void add_name(struct nj_act *act, __u64 address, int directory, __u32 type)
{
	if (!address)
		return;
	walk_mark(act, walk_argument(address, directory, WALK_PARENT), WALK_PARENT);
	walk_add_path(type);
	if (type == NJ_PART_PATH && act->kind != NJ_KIND_UNLINK)
		walk_add_inode();
}

/* Of a link the new name comes first, and a symbolic one leads to a text. */
static __noinline int tell_change(struct scratch *s, const struct request *r, __s64 result)
{
	struct nj_act *act = begin(s, r, result);
	bool link = act->kind == NJ_KIND_LINK;

	if (r->opcode == URING_RENAMEAT || link)
		add_name(act, r->path2, (int)r->arg[2], link ? NJ_PART_PATH : NJ_PART_PATH2);
	if (r->opcode != URING_SYMLINKAT)
		add_name(act, r->path, (int)r->arg[0], link ? NJ_PART_PATH2 : NJ_PART_PATH);
	add_raw(s, link ? NJ_PART_RAW2 : NJ_PART_RAW, r->raw, r->raw_len);
	add_raw(s, link ? NJ_PART_RAW : NJ_PART_RAW2, r->raw2, r->raw2_len);
	return end(s, act, r);
}

static __always_inline bool is_message(__u8 kind)
{
	return kind == NJ_KIND_SEND || kind == NJ_KIND_RECEIVE;
}

static __always_inline bool is_repeat(struct scratch *s, const struct request *r, __u16 kind, __s64 result)
{
	const struct nj_endpoint *ep = &s->endpoints[ENDPOINT_SLOT];
	struct nj_key *key = novelty_key(s, NJ_CLASS_MESSAGE, kind);

	novelty_add_endpoint(key, ep);
	if (ep->family == AF_INET || ep->family == AF_INET6)
		key->inode = 0;
	key->flags = 1ULL << 32 | ep->protocol;
	key->raw_hash = r->raw_len ? novelty_hash_raw(r->raw_len) : 0;
	key->result = result < 0 ? (__s32)result : 0;
	return novelty_repeat();
}

/* What its state tells already: see net.bpf.c. */
static __always_inline bool is_told(const struct sock *sk, __u8 endpoint, __u8 kind, __s64 result)
{
	return endpoint == NJ_EP_TCP && ((kind == NJ_KIND_CONNECT && socket_had_state(sk, result)) ||
					 (kind == NJ_KIND_LISTEN && result >= 0));
}

/* Puts the record of what was done to the socket in slot 0 together. */
static __noinline int emit_socket(struct scratch *s, const struct request *r, struct sock *sk, __s64 result)
{
	struct nj_act *act = begin(s, r, result);
	bool message = is_message((__u8)act->kind);

	if (message)
		act->arg[1] = 1;
	if (sk)
		act_add_endpoint(ENDPOINT_SLOT);
	if (sk && result >= 0 && act->kind != NJ_KIND_SOCKET)
		socket_add_names((__u64)sk, act->kind == NJ_KIND_CONNECT || message ? SOCKET_PEER : SOCKET_OWN);
	add_raw(s, NJ_PART_ADDRESS, r->raw, r->raw_len);
	return end(s, act, r);
}

/* An accepted TCP socket gets its owner: see net.bpf.c. */
static __always_inline void note_owner(const struct request *r, const struct nj_endpoint *ep, __s64 result)
{
	__u64 cookie = ep->id;

	if (r->opcode == URING_ACCEPT && ep->kind == NJ_EP_TCP && result >= 0)
		bpf_map_update_elem(&accepted, &cookie, &r->owner, BPF_ANY);
}

static __noinline int tell_socket(struct scratch *s, const struct request *r, struct file *file, __s64 result)
{
	__u8 kind = ops[bounded(r->opcode, URING_OPS - 1)].kind;
	bool is_new = kind == NJ_KIND_SOCKET || kind == NJ_KIND_ACCEPT;
	const struct nj_endpoint *ep = &s->endpoints[ENDPOINT_SLOT];
	struct socket *socket = socket_of(file);
	struct sock *sk = socket ? BPF_CORE_READ(socket, sk) : NULL;

	if (socket_came_to_nothing(result))
		return 0;
	if (!sk)
		return kind == NJ_KIND_SOCKET ? emit_socket(s, r, NULL, result) : 0;
	fdinfo_endpoint((__u64)file, is_new && !r->slot ? (int)result : -1, ENDPOINT_SLOT, SCRATCH_HOOK);
	if (is_told(sk, ep->kind, kind, result))
		return 0;
	note_owner(r, ep, result);
	__builtin_memcpy(s->raw, r->raw, NJ_RAW_MAX);
	if (is_message(kind) && is_repeat(s, r, kind, result))
		return 0;
	return emit_socket(s, r, sk, result);
}

/* From the descriptor in the request to what it works on. */
static __noinline int tell_splice(struct scratch *s, const struct request *r, struct file *to, __s64 result)
{
	struct file *from = fdinfo_current_file((int)r->arg[0]);
	struct nj_act *act;

	if (!from || !to || result == 0 || socket_came_to_nothing(result))
		return 0;
	fdinfo_endpoint((__u64)from, (int)r->arg[0], 0, SCRATCH_HOOK);
	fdinfo_endpoint((__u64)to, -1, 1, SCRATCH_HOOK);
	if (s->endpoints[0].kind == NJ_EP_NONE && s->endpoints[1].kind == NJ_EP_NONE)
		return 0;
	act = begin(s, r, result);
	act_add_endpoint(0);
	act_add_endpoint(1);
	return end(s, act, r);
}

/* req: NULL while it is not known what became of it. Only in its own process can a request's descriptors
 * and addresses be looked up. */
static __always_inline int tell(struct scratch *s, const struct request *r, const struct io_kiocb *req, __s64 result)
{
	bool own = bpf_get_current_task_btf()->tgid == (int)r->owner.task.tgid;
	__u8 class = ops[bounded(r->opcode, URING_OPS - 1)].class;
	__u8 kind = ops[bounded(r->opcode, URING_OPS - 1)].kind;
	bool is_new = kind == NJ_KIND_SOCKET || kind == NJ_KIND_ACCEPT || kind == NJ_KIND_OPEN;
	struct file *file = NULL;

	s->window = 0;
	if (!req || !own)
		file = NULL;
	else if (!is_new || (kind == NJ_KIND_ACCEPT && result < 0))
		file = request_file(req);
	else if (result >= 0)
		file = r->slot ? registered_file(BPF_CORE_READ(req, ctx), r->slot == URING_SLOT_ANY ? (__u32)result : r->slot - 1)
			       : fdinfo_current_file(result);
	switch (class) {
	case NJ_CLASS_FILE:
		return tell_open(s, r, file, result);
	case NJ_CLASS_CHANGE:
		return tell_change(s, r, result);
	case NJ_CLASS_SPLICE:
		return tell_splice(s, r, file, result);
	}
	return tell_socket(s, r, file, result);
}

/* Messages of streams are not told, and that is known before. */
static __always_inline bool is_wanted(const struct io_kiocb *req, __u8 opcode)
{
	struct socket *socket;

	if (opcode >= URING_OPS || ops[opcode].kind == 0)
		return false;
	if (!is_message(ops[opcode].kind))
		return true;
	socket = socket_of(request_file(req));
	return socket && BPF_CORE_READ(socket, type) != SOCK_STREAM;
}

static __always_inline void count_lost(__u8 opcode)
{
	__u32 class = (__u32)bounded(ops[bounded(opcode, URING_OPS - 1)].class, 31);

	emit_seen(class);
	emit_lost(class);
}

static __always_inline bool may_repeat(__u8 opcode)
{
	return opcode == URING_ACCEPT || opcode == URING_RECV || opcode == URING_RECVMSG;
}

static __always_inline struct name name_of(const struct io_kiocb *req)
{
	return (struct name){(__u64)BPF_CORE_READ(req, ctx), BPF_CORE_READ(req, cqe.user_data)};
}

SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(uring_submit, struct io_kiocb *req)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	__u8 opcode = req->opcode;
	__u64 key = (__u64)req;
	struct request *r;

	if (!s || !is_wanted(req, opcode))
		return 0;
	if (should_drop_task((__u32)bpf_get_current_task_btf()->tgid))
		return 0;
	r = (struct request *)s->var;
	__builtin_memset(r, 0, sizeof(*r));
	r->opcode = opcode;
	task_owner(&r->owner);
	read_request(r, req);
	if (bpf_map_update_elem(&uring_requests, &key, r, BPF_ANY)) {
		count_lost(opcode);
		return 0;
	}
	if (may_repeat(opcode)) {
		struct name name = name_of(req);

		bpf_map_update_elem(&uring_names, &name, &key, BPF_ANY);
	}
	if (!(BPF_CORE_READ(req, flags) & REQ_F_CQE_SKIP))
		return 0;
	r = bpf_map_lookup_elem(&uring_requests, &key);
	if (r)
		tell(s, r, NULL, 0);
	bpf_map_delete_elem(&uring_requests, &key);
	return 0;
}

struct completion {
	__u64 request; /* key of uring_requests; 0: none that is told */
	__s64 result;
	bool last;
};

/* One of several of a request. */
static __always_inline struct completion one_of_many(unsigned long long *ctx)
{
	struct name name = {.ring = ctx[0]};
	struct completion c = {0};
	struct uring_cqe cqe = {0};
	__u64 *key;

	if (completes_by_cqe) {
		bpf_probe_read_kernel(&cqe, sizeof(cqe), (void *)ctx[2]);
	} else {
		cqe.user_data = ctx[2];
		cqe.res = (__s32)ctx[3];
	}
	name.user_data = cqe.user_data;
	c.result = cqe.res;
	key = bpf_map_lookup_elem(&uring_names, &name);
	c.request = key ? *key : 0;
	return c;
}

static __always_inline void forget(const struct io_kiocb *req, __u64 request, __u8 opcode)
{
	struct name name;
	__u64 *key;

	bpf_map_delete_elem(&uring_requests, &request);
	if (!may_repeat(opcode))
		return;
	name = name_of(req);
	key = bpf_map_lookup_elem(&uring_names, &name);
	if (key && *key == request)
		bpf_map_delete_elem(&uring_names, &name);
}

SEC("tp_btf/io_uring_complete")
int uring_complete(unsigned long long *ctx)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	struct completion c = {.request = ctx[1], .last = true};
	const struct io_kiocb *req;
	struct request *r;
	__u8 opcode;

	if (!c.request)
		c = one_of_many(ctx);
	req = (void *)c.request;
	if (c.last)
		c.result = BPF_CORE_READ(req, cqe.res);
	r = s ? bpf_map_lookup_elem(&uring_requests, &c.request) : NULL;
	if (!r)
		return 0;
	opcode = (__u8)r->opcode;
	tell(s, r, req, c.result);
	if (c.last)
		forget(req, c.request, opcode);
	return 0;
}

static __always_inline int io_uring_act(struct scratch *s, const struct call *call)
{
	struct nj_act *act;
	__u32 params[3] = {0};

	act = act_begin(s, call, NJ_KIND_IO_URING);
	act->arg[0] = call->arg[0];
	/* struct io_uring_params: entries of both queues, flags. */
	bpf_probe_read_user(params, sizeof(params), (void *)call->arg[1]);
	act->arg[1] = params[2];
	act->arg_count = 2;
	act_emit(s, act, NJ_CLASS_IO_URING, EMIT_NOW);
	return 0;
}

CALL_PROGRAM(io_uring)
