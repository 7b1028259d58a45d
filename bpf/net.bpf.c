/* Sockets: made, bound, listening, connected, accepted.
 *
 * TCP changes state in whatever context a packet arrives, so a socket's owner is kept with the socket:
 * written where the caller is known (SYN_SENT, LISTEN, accept), read everywhere else. States in which
 * nothing happens for anybody (closing handshakes) are not reported.
 *
 * Each act is told once. What has a TCP state (connect, listen) is told by that, with the addresses
 * that the kernel uses; by its call only when it failed before the state changed. All other sockets
 * are told by their calls: UNIX by path, VSOCK by cid and port. */
#include "bpf/novelty.bpf.h"
#include "bpf/socket.bpf.h"

/* The states in which something happens for somebody. */
static __always_inline bool named_state(int new_state)
{
	return new_state == TCP_SYN_SENT || new_state == TCP_LISTEN || new_state == TCP_CLOSE ||
	       new_state == TCP_ESTABLISHED;
}

/* A socket gets its cookie when it is first asked for. */
static __always_inline __u64 cookie_of(struct sock *sk)
{
	__u64 cookie = (__u64)sk->__sk_common.skc_cookie.counter;

	return cookie ?: bpf_get_socket_cookie(sk);
}

/* Where the caller is the owner: notes it. */
static __always_inline void note_owner(struct sock *sk, int new_state, struct nj_owner *ret_owner)
{
	struct nj_owner *kept;

	task_owner(ret_owner);
	ret_owner->netns = sk->__sk_common.skc_net.net->ns.inum;
	ret_owner->unsent = new_state == TCP_SYN_SENT && filter_class(NJ_CLASS_PAYLOAD);
	kept = bpf_sk_storage_get(&owners, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (kept)
		*kept = *ret_owner;
}

/* NULL: nobody owns the socket yet. *ret_accepted: its owner is in the hash of accepted sockets. */
static __always_inline struct nj_owner *find_owner(struct sock *sk, __u64 cookie, bool *ret_accepted)
{
	struct nj_owner *kept = bpf_sk_storage_get(&owners, sk, NULL, 0);

	*ret_accepted = !kept;
	return kept ?: bpf_map_lookup_elem(&accepted, &cookie);
}

/* A connection that was accepted, and so had an owner once: it still has its struct socket, or lost it
 * by close(2). One that nobody accepted never had any, and the kernel's own servers are nobody. */
static __always_inline void count_ownerless(const struct sock *sk, int old_state, int new_state)
{
	struct nj_counts *row;
	__u32 zero = 0;

	if (new_state != TCP_CLOSE || old_state == TCP_CLOSE || should_drop_class(NJ_CLASS_SOCKET))
		return;
	if (!sk->sk_socket && !(sk->__sk_common.skc_flags & 1UL << SOCK_DEAD))
		return;
	if (BPF_CORE_READ_BITFIELD(sk, sk_kern_sock))
		return;
	row = bpf_map_lookup_elem(&counts, &zero);
	if (row)
		__sync_fetch_and_add(&row->ownerless, 1);
}

static __always_inline void tell_state(struct sock *sk, int old_state, int new_state, const struct nj_owner *owner)
{
	struct nj_tcp *tcp = emit_reserve(struct nj_tcp, NJ_CLASS_TCP);

	if (!tcp)
		return;
	emit_head_owner(&tcp->head, NJ_TCP, sizeof(*tcp), owner);
	tcp->old_state = (__u8)old_state;
	tcp->new_state = (__u8)new_state;
	tcp->owner_known = 1;
	tcp->error = new_state == TCP_CLOSE ? sk->sk_err : 0;
	tcp->socket.kind = NJ_EP_TCP;
	tcp->socket.mode = NJ_EP_READ | NJ_EP_WRITE;
	tcp->socket.fd = -1;
	tcp->socket.protocol = IPPROTO_TCP;
	fdinfo_inet(sk, &tcp->socket);
	tcp->socket.state = (__u8)new_state;
	emit_submit(tcp, NJ_CLASS_TCP, new_state == TCP_ESTABLISHED ? EMIT_NOW : EMIT_LATER);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tcp_state, struct sock *sk, int old_state, int new_state)
{
	struct nj_owner own = {0}, *owner = &own;
	bool is_accepted = false;
	__u64 cookie;

	if (!named_state(new_state) || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	cookie = cookie_of(sk);
	/* A connection that comes in has its name now and its owner at accept. */
	if (new_state == TCP_ESTABLISHED && old_state != TCP_SYN_SENT)
		return 0;
	if (new_state == TCP_SYN_SENT || new_state == TCP_LISTEN)
		note_owner(sk, new_state, &own);
	else
		owner = find_owner(sk, cookie, &is_accepted);
	if (!owner) {
		count_ownerless(sk, old_state, new_state);
		return 0;
	}
	if (!should_drop_task(owner->task.tgid))
		tell_state(sk, old_state, new_state, owner);
	if (is_accepted && new_state == TCP_CLOSE)
		bpf_map_delete_elem(&accepted, &cookie);
	return 0;
}

/* The socket behind a descriptor is in slot 0 of the scratch's endpoints then. Without one there is
 * nothing to tell, unless another thread took it away in the meantime. */
static __noinline struct sock *look_at(struct scratch *s, __s64 fd, __s64 result)
{
	struct file *file = fdinfo_current_file(fd);
	struct socket *socket = socket_of(file);
	struct nj_endpoint *ep = &s->endpoints[ENDPOINT_SLOT];

	if (socket) {
		fdinfo_endpoint((__u64)file, (int)fd, ENDPOINT_SLOT, SCRATCH_HOOK);
		return kernel_read(socket, sk);
	}
	__builtin_memset(ep, 0, sizeof(*ep));
	ep->kind = result >= 0 ? NJ_EP_SOCKET_OTHER : NJ_EP_NONE;
	ep->fd = (__s16)fd;
	return NULL;
}

static __always_inline bool is_inet(__u16 family)
{
	return family == AF_INET || family == AF_INET6;
}

/* Whether another thread put something else in the descriptor's place: what stands there cannot have
 * the address that the call was given (in scratch.raw, address_len bytes). Another port alone may also
 * come from a program that translates addresses, so it counts only while others share the table. */
static __always_inline bool is_raced(const struct scratch *s, const struct nj_endpoint *ep, __u16 port,
			    __u32 address_len)
{
	__u16 family = *(__u16 *)s->raw;
	__u16 given = __builtin_bswap16(*(__u16 *)(s->raw + 2));

	if (ep->id == 0)
		return true;
	if (address_len == 0 || family == 0)
		return false;
	if (!is_inet(family))
		return family != ep->family;
	return !is_inet(ep->family) || (given != 0 && given != port && socket_table_is_shared());
}

/* Sends what was done to the socket in slot 0. address_len: of the address in scratch.raw. */
static __noinline int tell(struct scratch *s, struct nj_act *act, struct sock *sk, __u32 address_len)
{
	struct nj_endpoint *ep = &s->endpoints[ENDPOINT_SLOT];
	__u16 kind = act->kind;
	__u16 port = kind == NJ_KIND_BIND ? ep->local_port : ep->remote_port;

	if (act->result >= 0 && is_raced(s, ep, port, address_len))
		act->marks |= NJ_MARK_RACED;
	act_add_endpoint(ENDPOINT_SLOT);
	if (sk && act->result >= 0)
		socket_add_names((__u64)sk, kind == NJ_KIND_CONNECT ? SOCKET_PEER : SOCKET_OWN);
	if (address_len)
		act_add_raw(NJ_PART_ADDRESS, address_len);
	act_emit(s, act, NJ_CLASS_SOCKET,
		 kind == NJ_KIND_CONNECT || kind == NJ_KIND_ACCEPT ? EMIT_NOW : EMIT_LATER);
	return 0;
}

static __always_inline int made(struct scratch *s, const struct call *call)
{
	struct nj_key *key = novelty_key(s, NJ_CLASS_SOCKET, NJ_KIND_SOCKET);
	struct nj_act *act;

	key->family = (__u8)call->arg[0];
	key->flags = call->arg[1] << 32 | (__u32)call->arg[2];
	key->result = call->result < 0 ? (__s32)call->result : 0;
	if (novelty_repeat())
		return 0;
	act = act_begin(s, call, NJ_KIND_SOCKET);
	act_args(act, call, 3, 0);
	if (call->result >= 0) {
		look_at(s, call->result, call->result);
		act_add_endpoint(ENDPOINT_SLOT);
	}
	act_emit(s, act, NJ_CLASS_SOCKET, EMIT_LATER);
	return 0;
}

static __always_inline int bound(struct scratch *s, const struct call *call)
{
	struct sock *sk = look_at(s, (__s32)call->arg[0], call->result);
	struct nj_act *act;

	if (s->endpoints[ENDPOINT_SLOT].kind == NJ_EP_NONE)
		return 0;
	act = act_begin(s, call, NJ_KIND_BIND);
	act_args(act, call, 3, 2);
	return tell(s, act, sk, socket_read_address(s, call->arg[1], (__u32)call->arg[2]));
}

/* What has a state is told by it. */
static __always_inline int listened(struct scratch *s, const struct call *call)
{
	struct sock *sk = look_at(s, (__s32)call->arg[0], call->result);
	__u8 kind = s->endpoints[ENDPOINT_SLOT].kind;
	struct nj_act *act;

	if (kind == NJ_EP_NONE || (kind == NJ_EP_TCP && call->result >= 0))
		return 0;
	act = act_begin(s, call, NJ_KIND_LISTEN);
	act_args(act, call, 2, 0);
	return tell(s, act, sk, 0);
}

/* Nearly every connect: so before anything is looked up for a record. */
static __always_inline bool is_told_by_state(const struct call *call)
{
	struct socket *socket = socket_of(fdinfo_current_file((__s32)call->arg[0]));
	struct sock *sk = socket ? kernel_read(socket, sk) : NULL;
	__u16 protocol;

	if (!sk || !is_inet(kernel_read(sk, __sk_common.skc_family)))
		return false;
	protocol = kernel_read(sk, sk_protocol);
	return (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP) && socket_had_state(sk, call->result);
}

static __always_inline int connected(struct scratch *s, const struct call *call)
{
	struct nj_act *act;
	struct sock *sk;
	__u32 len;

	if (socket_came_to_nothing(call->result) || is_told_by_state(call))
		return 0;
	sk = look_at(s, (__s32)call->arg[0], call->result);
	if (s->endpoints[ENDPOINT_SLOT].kind == NJ_EP_NONE)
		return 0;
	len = socket_read_address(s, call->arg[1], (__u32)call->arg[2]);
	/* A connect to AF_UNSPEC dissolves the association. */
	if (call->result == 0 && len >= sizeof(__u16) && *(__u16 *)s->raw == 0)
		return 0;
	act = act_begin(s, call, NJ_KIND_CONNECT);
	act_args(act, call, 3, 2);
	return tell(s, act, sk, len);
}

/* Which socket took it, how many more wait there, and how many may. */
static __always_inline void add_queue(struct nj_act *act, __u64 fd)
{
	struct socket *listening = socket_of(fdinfo_current_file((__s32)fd));
	struct sock *sk = listening ? BPF_CORE_READ(listening, sk) : NULL;

	act->arg[0] = fd;
	act->arg_count = 4;
	if (!sk)
		return;
	act->arg[2] = BPF_CORE_READ(sk, sk_ack_backlog);
	act->arg[3] = BPF_CORE_READ(sk, sk_max_ack_backlog);
}

static __always_inline int accepted_one(struct scratch *s, const struct call *call)
{
	struct nj_owner owner = {0};
	struct nj_act *act;
	struct sock *sk;

	if (socket_came_to_nothing(call->result))
		return 0;
	sk = look_at(s, call->result < 0 ? (__s32)call->arg[0] : call->result, call->result);
	if (s->endpoints[ENDPOINT_SLOT].kind == NJ_EP_NONE)
		return 0;
	if (s->endpoints[ENDPOINT_SLOT].kind == NJ_EP_TCP && call->result >= 0) {
		__u64 cookie = s->endpoints[ENDPOINT_SLOT].id;

		task_owner(&owner);
		bpf_map_update_elem(&accepted, &cookie, &owner, BPF_ANY);
	}
	act = act_begin(s, call, NJ_KIND_ACCEPT);
	act->arg[1] = call->act == NJ_ACT_ACCEPT4 ? call->arg[3] : 0;
	add_queue(act, call->arg[0]);
	return tell(s, act, sk, 0);
}

static __always_inline int socket_act(struct scratch *s, const struct call *call)
{
	if (!filter_class(NJ_CLASS_SOCKET))
		return 0;
	switch (call->act) {
	case NJ_ACT_SOCKET:
		return made(s, call);
	case NJ_ACT_BIND:
		return bound(s, call);
	case NJ_ACT_LISTEN:
		return listened(s, call);
	case NJ_ACT_ACCEPT:
	case NJ_ACT_ACCEPT4:
		return accepted_one(s, call);
	case NJ_ACT_CONNECT:
		return connected(s, call);
	}
	return 0;
}

CALL_PROGRAM(socket)
