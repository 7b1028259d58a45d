/* Connections. TCP changes state in whatever context a packet arrives, so a socket's owner is kept
 * with the socket: written where the caller is known (SYN_SENT, LISTEN, accept), read everywhere
 * else. States in which nothing happens for anybody (closing handshakes) are not reported. */
#include "bpf/descriptor.bpf.h"
#include "bpf/fdinfo.bpf.h"

/* socketcall(2) */
#define CALL_CONNECT	3
#define CALL_ACCEPT	5
#define CALL_SOCKETPAIR 8
#define CALL_ACCEPT4	18

/* The states in which something happens for somebody. */
static __always_inline bool named_state(int new_state)
{
	return new_state == TCP_SYN_SENT || new_state == TCP_LISTEN || new_state == TCP_CLOSE ||
	       new_state == TCP_ESTABLISHED;
}

/* Where the caller is the owner: notes it. Elsewhere finds it. False: nobody owns the socket yet. */
static __always_inline bool socket_owner(struct sock *sk, int new_state, __u64 cookie, struct nj_owner *ret_owner)
{
	struct nj_owner *kept;

	if (new_state == TCP_SYN_SENT || new_state == TCP_LISTEN) {
		task_owner(ret_owner);
		kept = bpf_sk_storage_get(&owners, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
		if (kept)
			*kept = *ret_owner;
		return true;
	}
	kept = bpf_sk_storage_get(&owners, sk, NULL, 0);
	if (!kept)
		kept = bpf_map_lookup_elem(&accepted, &cookie);
	if (!kept)
		return false;
	*ret_owner = *kept;
	if (new_state == TCP_CLOSE)
		bpf_map_delete_elem(&accepted, &cookie);
	return true;
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

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(tcp_state, struct sock *sk, int old_state, int new_state)
{
	struct nj_owner owner = {0};
	struct nj_tcp *tcp;
	__u64 cookie;

	if (sk->sk_protocol != IPPROTO_TCP || !named_state(new_state))
		return 0;
	cookie = bpf_get_socket_cookie(sk);
	/* A connection that comes in has its name now and its owner at accept. */
	if (new_state == TCP_ESTABLISHED && old_state != TCP_SYN_SENT)
		return 0;
	if (!socket_owner(sk, new_state, cookie, &owner)) {
		count_ownerless(sk, old_state, new_state);
		return 0;
	}
	if (should_drop_task(owner.task.tgid))
		return 0;
	tcp = emit_reserve(struct nj_tcp, NJ_CLASS_TCP);
	if (!tcp)
		return 0;
	emit_head_owner(&tcp->head, NJ_TCP, sizeof(*tcp), &owner);
	tcp->old_state = (__u8)old_state;
	tcp->new_state = (__u8)new_state;
	tcp->owner_known = 1;
	tcp->error = new_state == TCP_CLOSE ? sk->sk_err : 0;
	tcp->socket.kind = NJ_EP_TCP;
	tcp->socket.mode = NJ_EP_READ | NJ_EP_WRITE;
	tcp->socket.fd = -1;
	fdinfo_inet(sk, &tcp->socket);
	tcp->socket.state = (__u8)new_state;
	emit_submit(tcp, NJ_CLASS_TCP, new_state == TCP_ESTABLISHED ? EMIT_NOW : EMIT_LATER);
	return 0;
}

static __always_inline void emit_socket_call(__u8 type, __s64 result, const struct nj_endpoint *ep)
{
	struct nj_socket_call *call = emit_reserve(struct nj_socket_call, NJ_CLASS_SOCKET);

	if (!call)
		return;
	emit_head(&call->head, type, sizeof(*call));
	call->result = result;
	call->socket = *ep;
	emit_submit(call, NJ_CLASS_SOCKET, EMIT_NOW);
}

static __noinline int accept_returned(__s64 result)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	struct file *file = fdinfo_current_file(result);
	struct nj_owner owner = {0};
	struct nj_endpoint *ep;
	int kind;

	if (!s || !file)
		return 0;
	kind = fdinfo_endpoint((__u64)file, (int)result, ENDPOINT_SLOT, SCRATCH_HOOK);
	if (kind != NJ_EP_TCP && kind != NJ_EP_UNIX)
		return 0;
	ep = &s->endpoints[ENDPOINT_SLOT];
	if (kind == NJ_EP_TCP) {
		__u64 cookie = ep->id;

		task_owner(&owner);
		bpf_map_update_elem(&accepted, &cookie, &owner, BPF_ANY);
	}
	emit_socket_call(NJ_ACCEPT, result, ep);
	return 0;
}

/* TCP is reported by its state; of the rest only UDP names an outside party. */
static __noinline int connect_returned(__s64 result, __u32 fd)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	struct file *file = fdinfo_current_file(fd);
	struct nj_endpoint *ep;

	if (!s || !file)
		return 0;
	if (fdinfo_endpoint((__u64)file, (int)fd, ENDPOINT_SLOT, SCRATCH_HOOK) != NJ_EP_UDP)
		return 0;
	ep = &s->endpoints[ENDPOINT_SLOT];
	/* A connect to AF_UNSPEC dissolves the association. */
	if (result == 0 && ep->remote_port == 0)
		return 0;
	emit_socket_call(NJ_UDP_CONNECT, result, ep);
	return 0;
}

static __always_inline int on_socketcall(const struct call *call)
{
	__u32 arg[4] = {0};

	bpf_probe_read_user(arg, sizeof(arg), (void *)call->arg[1]);
	switch (call->arg[0]) {
	case CALL_CONNECT:
		return connect_returned(call->result, arg[0]);
	case CALL_ACCEPT:
	case CALL_ACCEPT4:
		return accept_returned(call->result);
	case CALL_SOCKETPAIR:
		return call->result < 0 ? 0 : descriptor_pair_made(arg[3]);
	}
	return 0;
}

static __always_inline int socket_act(const struct call *call)
{
	switch (call->act) {
	case NJ_ACT_ACCEPT:
		return accept_returned(call->result);
	case NJ_ACT_CONNECT:
		return connect_returned(call->result, (__u32)call->arg[0]);
	case NJ_ACT_SOCKETCALL:
		return on_socketcall(call);
	}
	return 0;
}

CALL_PROGRAM(socket)
