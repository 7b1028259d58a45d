/* What is sent and received one message at a time: on every socket but streams, whose conversations
 * are told by their ends. The other side is the address in the call, or the one that the socket is
 * connected to. Of a vector of messages the first is told, and how many there were (args[1]). */
#include "bpf/message.bpf.h"
#include "bpf/novelty.bpf.h"
#include "bpf/pass.bpf.h"
#include "bpf/socket.bpf.h"

/* One message of a call. */
struct message {
	__u16 kind; /* NJ_KIND_SEND or NJ_KIND_RECEIVE */
	__u64 address;
	__u32 address_len;
	__s64 result; /* bytes or -errno */
	__u32 count;
};

/* A socket that sends the same way again says nothing new, nor does the next socket: keys know the two
 * sides, not the socket. The address of the call is in scratch.raw. */
static __always_inline bool is_repeat(struct scratch *s, const struct message *m, __u32 address_len)
{
	struct nj_key *key = novelty_key(s, NJ_CLASS_MESSAGE, m->kind);
	const struct nj_endpoint *ep = &s->endpoints[ENDPOINT_SLOT];

	novelty_add_endpoint(key, ep);
	if (ep->family == AF_INET || ep->family == AF_INET6)
		key->inode = 0;
	key->flags = ep->protocol;
	key->raw_hash = address_len ? novelty_hash_raw(address_len) : 0;
	key->result = m->result < 0 ? (__s32)m->result : 0;
	return novelty_repeat();
}

static __always_inline bool is_port_wanted(const struct scratch *s, __u32 address_len)
{
	const struct nj_endpoint *ep = &s->endpoints[ENDPOINT_SLOT];
	__u16 remote = ep->remote_port;

	if (ep->family != AF_INET && ep->family != AF_INET6)
		return true;
	if (address_len >= 2 * sizeof(__u16))
		remote = __builtin_bswap16(*(__u16 *)(s->raw + 2));
	return filter_port(remote) || filter_port(ep->local_port);
}

static __noinline int tell(struct scratch *s, const struct call *call, const struct message *m)
{
	struct socket *socket;
	struct file *file;
	struct nj_act *act;
	__u32 len;

	if (!filter_class(NJ_CLASS_MESSAGE) || socket_came_to_nothing(m->result))
		return 0;
	file = fdinfo_current_file((__s32)call->arg[0]);
	socket = socket_of(file);
	if (!socket || kernel_read(socket, type) == SOCK_STREAM)
		return 0;
	fdinfo_endpoint((__u64)file, (int)call->arg[0], ENDPOINT_SLOT, SCRATCH_HOOK);
	if (s->endpoints[ENDPOINT_SLOT].kind == NJ_EP_NONE)
		return 0;
	len = socket_read_address(s, m->address, m->address_len);
	if (!is_port_wanted(s, len) || is_repeat(s, m, len))
		return 0;
	act = act_begin(s, call, m->kind);
	act->result = m->result;
	act->arg[0] = call->arg[0];
	act->arg[1] = m->count;
	act->arg_count = 2;
	act_add_endpoint(ENDPOINT_SLOT);
	socket_add_names((__u64)kernel_read(socket, sk), SOCKET_PEER);
	if (len)
		act_add_raw(NJ_PART_ADDRESS, len);
	act_emit(s, act, NJ_CLASS_MESSAGE, EMIT_LATER);
	return 0;
}

static __always_inline int sent_to(struct scratch *s, const struct call *call)
{
	struct message m = {NJ_KIND_SEND, call->arg[4], (__u32)call->arg[5], call->result, 1};

	return tell(s, call, &m);
}

/* The address's length stands in memory, as it is after the call. */
static __always_inline int received_from(struct scratch *s, const struct call *call)
{
	struct message m = {NJ_KIND_RECEIVE, call->arg[4], 0, call->result, 1};

	if (call->result >= 0 && m.address)
		bpf_probe_read_user(&m.address_len, sizeof(m.address_len), (void *)call->arg[5]);
	return tell(s, call, &m);
}

static __always_inline void look_for_descriptors(const struct call *call, const struct message_header *h)
{
	bool sent = call->act == NJ_ACT_SENDMSG || call->act == NJ_ACT_SENDMMSG;

	/* Only a sender's are there when the call fails. */
	if (!h->control || (sent ? socket_came_to_nothing(call->result) : call->result < 0))
		return;
	if (filter_class(NJ_CLASS_DESCRIPTOR))
		pass_tell(h->control, (__u32)h->control_len);
}

static __always_inline int with_header(struct scratch *s, const struct call *call, __u16 kind)
{
	struct message_header h = {0};
	struct message m = {kind, 0, 0, call->result, 1};

	if (message_read_header(call, call->arg[1], &h) == 0) {
		m.address = h.name;
		m.address_len = h.name_len;
		look_for_descriptors(call, &h);
	}
	return tell(s, call, &m);
}

static __always_inline int with_vector(struct scratch *s, const struct call *call, __u16 kind)
{
	struct message_header h = {0};
	struct message m = {kind, 0, 0, call->result, (__u32)call->result};

	if (call->result == 0)
		return 0;
	if (call->result < 0)
		m.count = 0;
	if (message_read_header(call, call->arg[1], &h) == 0) {
		m.address = h.name;
		m.address_len = h.name_len;
		m.result = call->result < 0 ? call->result : h.bytes;
		look_for_descriptors(call, &h);
	}
	return tell(s, call, &m);
}

static __always_inline int message_act(struct scratch *s, const struct call *call)
{
	switch (call->act) {
	case NJ_ACT_SENDTO:
		return sent_to(s, call);
	case NJ_ACT_RECVFROM:
		return received_from(s, call);
	case NJ_ACT_SENDMSG:
		return with_header(s, call, NJ_KIND_SEND);
	case NJ_ACT_RECVMSG:
		return with_header(s, call, NJ_KIND_RECEIVE);
	case NJ_ACT_SENDMMSG:
		return with_vector(s, call, NJ_KIND_SEND);
	case NJ_ACT_RECVMMSG:
		return with_vector(s, call, NJ_KIND_RECEIVE);
	}
	return 0;
}

CALL_PROGRAM(message)
