/* What packets carry outwards, seen on their way out of a socket: DNS questions, whatever call sent them
 * (write(2) and io_uring too), and the first bytes of outgoing connections. A program on the root of the
 * v2 hierarchy, which runs for every packet that a socket of this machine sends, so what nobody wants
 * ends after two tests.
 *
 * Who sends: UDP leaves in the sender's context. TCP may leave in any, so the owner is the one that is
 * kept with the socket; a connection that was accepted has none here and asks no questions. It may
 * interrupt other programs, so records are built in the ring. */
#include "bpf/emit.bpf.h"

#define DNS_PORT   53
#define DNS_HEAD   12
#define DNS_LEAST  (DNS_HEAD + 5) /* the shortest question */
#define DNS_ANSWER 0x80		  /* in the third byte */
#define ETH_P_IP   0x0800
#define ETH_P_IPV6 0x86dd
#define PASS	   1

struct packet {
	struct nj_endpoint socket;
	__u32 at;  /* where the payload begins */
	__u32 len; /* of the payload */
	bool tcp;
};

/* Addresses and the next header. Extension headers are nothing that a resolver sends. */
static __always_inline bool read_ip(struct __sk_buff *skb, struct packet *p)
{
	__u8 head[40] = {0};
	__u8 protocol;

	if (skb->protocol == __builtin_bswap16(ETH_P_IP)) {
		if (bpf_skb_load_bytes(skb, 0, head, 20))
			return false;
		p->at = (head[0] & 15) * 4;
		protocol = head[9];
		p->socket.family = AF_INET;
		__builtin_memcpy(p->socket.local_ip, head + 12, 4);
		__builtin_memcpy(p->socket.remote_ip, head + 16, 4);
	} else {
		if (skb->protocol != __builtin_bswap16(ETH_P_IPV6) || bpf_skb_load_bytes(skb, 0, head, 40))
			return false;
		p->at = 40;
		protocol = head[6];
		p->socket.family = AF_INET6;
		__builtin_memcpy(p->socket.local_ip, head + 8, 16);
		__builtin_memcpy(p->socket.remote_ip, head + 24, 16);
	}
	p->tcp = protocol == IPPROTO_TCP;
	p->socket.kind = p->tcp ? NJ_EP_TCP : NJ_EP_UDP;
	p->socket.protocol = protocol;
	return p->tcp || protocol == IPPROTO_UDP;
}

static __always_inline bool read_packet(struct __sk_buff *skb, struct packet *p)
{
	__u8 head[14] = {0};

	__builtin_memset(p, 0, sizeof(*p));
	if (!read_ip(skb, p) || bpf_skb_load_bytes(skb, p->at, head, p->tcp ? 14 : 8))
		return false;
	p->socket.local_port = (__u16)(head[0] << 8 | head[1]);
	p->socket.remote_port = (__u16)(head[2] << 8 | head[3]);
	p->socket.mode = NJ_EP_READ | NJ_EP_WRITE;
	p->socket.fd = -1;
	p->socket.id = bpf_get_socket_cookie(skb);
	p->at += p->tcp ? (head[12] >> 4) * 4 : 8;
	if (skb->len <= p->at)
		return false;
	p->len = skb->len - p->at;
	return true;
}

/* Does a question begin there? */
static __always_inline bool is_question(struct __sk_buff *skb, __u32 at, __u32 len)
{
	__u8 head[DNS_HEAD];

	if (len < DNS_LEAST || bpf_skb_load_bytes(skb, at, head, sizeof(head)))
		return false;
	return !(head[2] & DNS_ANSWER) && (head[4] || head[5]);
}

/* Over TCP two bytes of length come first; a sender may have let them go alone. */
static __always_inline bool find_question(struct __sk_buff *skb, struct packet *p)
{
	if (p->tcp && is_question(skb, p->at + 2, p->len - 2)) {
		p->at += 2;
		p->len -= 2;
		return p->len >= DNS_LEAST;
	}
	return is_question(skb, p->at, p->len);
}

struct packet_small {
	struct nj_packet packet;
	__u8 data[NJ_PACKET_SMALL];
};

struct packet_large {
	struct nj_packet packet;
	__u8 data[NJ_PACKET_LARGE];
};

/* One test of the record, right where it was reserved: before 6.2 the verifier forgets between two that
 * it is there. */
#define SEND(type, skb, p, owner, len_, kind_, class)                                              \
	({                                                                                         \
		void *ring = emit_ring(class);                                                     \
		/* One at least and no more than there is room for: a power of two. */             \
		__u32 data_len = (__u32)bounded((len_)-1, sizeof(((type *)0)->data) - 1) + 1;      \
		__u64 now = bpf_ktime_get_boot_ns();                                               \
		type *record;                                                                      \
                                                                                                   \
		emit_seen(class);                                                                  \
		record = ring ? bpf_ringbuf_reserve(ring, sizeof(*record), 0) : NULL;              \
		if (!record) {                                                                     \
			emit_lost(class);                                                          \
			return;                                                                    \
		}                                                                                  \
		__builtin_memset(record, 0, sizeof(*record));                                      \
		record->packet.head.time = now;                                                    \
		emit_head_owner(&record->packet.head, NJ_PACKET, sizeof(*record), (owner));        \
		record->packet.kind = (kind_);                                                     \
		record->packet.socket = (p)->socket;                                               \
		if (bpf_skb_load_bytes(skb, (p)->at, record->data, data_len) == 0)                 \
			record->packet.data_len = (__u16)data_len;                                 \
		emit_submit(record, class, EMIT_NOW);                                              \
	})

static __always_inline void tell(struct __sk_buff *skb, const struct packet *p, const struct nj_owner *owner,
				 __u16 kind, __u32 max)
{
	__u32 class = kind == NJ_KIND_DNS ? NJ_CLASS_DNS : NJ_CLASS_PAYLOAD;
	__u32 len = p->len < max ? p->len : max;

	if (len <= NJ_PACKET_SMALL)
		SEND(struct packet_small, skb, p, owner, len, kind, class);
	else
		SEND(struct packet_large, skb, p, owner, len, kind, class);
}

/* Who sends, when this packet may matter at all: nearly every one ends here, before it is looked at. Of
 * UDP the port may stand only in the packet. NULL: it does not, or nobody is known. */
static __always_inline struct nj_owner *find_owner(struct bpf_sock *sk, bool payload, struct nj_owner *sender)
{
	__u16 port = __builtin_bswap16(sk->dst_port);
	struct nj_owner *kept;

	if (sk->protocol == IPPROTO_UDP) {
		if (port != DNS_PORT && port != 0)
			return NULL;
		__builtin_memset(sender, 0, sizeof(*sender));
		task_owner(sender);
		return sender;
	}
	if (sk->protocol != IPPROTO_TCP || (port != DNS_PORT && !payload))
		return NULL;
	kept = bpf_sk_storage_get(&owners, sk, NULL, 0);
	return kept && (port == DNS_PORT || kept->unsent) ? kept : NULL;
}

/* As filter_classes, but of whoever sends: the current task may be any. */
static __always_inline __u64 classes_of(const struct nj_owner *owner)
{
	struct nj_cgroup_key key = {.cgroup = owner->cgroup, .hierarchy = owner->hierarchy};
	const struct nj_workload *workload = NULL;

	if (settings.flags & NJ_WANT_WORKLOADS)
		workload = bpf_map_lookup_elem(&workloads, &key);
	return workload ? workload->classes : settings.classes;
}

/* Before it is known who sends: some workload may want what the rest does not. */
static __always_inline bool may_be_wanted(__u32 class)
{
	return settings.flags & NJ_WANT_WORKLOADS || !should_drop_class(class);
}

SEC("cgroup_skb/egress")
int egress(struct __sk_buff *skb)
{
	bool payload = may_be_wanted(NJ_CLASS_PAYLOAD), dns = may_be_wanted(NJ_CLASS_DNS);
	struct bpf_sock *sk = skb->sk;
	struct nj_owner sender, *owner;
	struct packet p;
	__u64 classes;

	if ((!payload && !dns) || !sk)
		return PASS;
	sk = bpf_sk_fullsock(sk);
	owner = sk ? find_owner(sk, payload, &sender) : NULL;
	if (!owner || should_drop_task(owner->task.tgid) || !read_packet(skb, &p))
		return PASS;
	classes = classes_of(owner);
	p.socket.id2 = owner->netns;
	if (p.tcp && owner->unsent && classes & (1ULL << NJ_CLASS_PAYLOAD)) {
		owner->unsent = 0;
		tell(skb, &p, owner, NJ_KIND_FIRST_BYTES, NJ_FIRST_BYTES);
	}
	if (classes & (1ULL << NJ_CLASS_DNS) && p.socket.remote_port == DNS_PORT && find_question(skb, &p))
		tell(skb, &p, owner, NJ_KIND_DNS, NJ_PACKET_LARGE);
	return PASS;
}
