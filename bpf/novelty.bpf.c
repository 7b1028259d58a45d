/* A direct-mapped table of recent acts for each CPU: see novelty.bpf.h. Direct-mapped because it was
 * measured to cost less than an LRU hash (throughput .87 against .85 of bare on open and close), and
 * per CPU because nobody has to be kept out then: these programs do not interrupt each other.
 *
 * A window is never lost: its count is in its slot until it is in the ring. When the ring has no room,
 * the slot stays as it is, and the act that wanted it is reported without a window. */
#include "bpf/novelty.bpf.h"

#define KEY_WORDS     (sizeof(struct nj_key) / sizeof(__u64))
#define HASH_MULTIPLE 0x9e3779b97f4a7c15ULL

/* What may be summed up, by kind. Never: exec, writes, changes of the file tree, credentials,
 * namespaces, connects. */
#define SUMMED(kind) (1ULL << NJ_KIND_##kind)
#define SUMMED_KINDS                                                                               \
	(SUMMED(OPEN) | SUMMED(SOCKET) | SUMMED(SEND) | SUMMED(RECEIVE) | SUMMED(DNS) |            \
	 SUMMED(PTRACE) | SUMMED(PROCESS_VM) | SUMMED(BPF) | SUMMED(PERF) | SUMMED(KEYCTL) |       \
	 SUMMED(MEMORY_EXEC) | SUMMED(SIGNAL) | SUMMED(SPLICE))

static __always_inline __u64 mix(__u64 hash, __u64 word)
{
	hash = (hash ^ word) * HASH_MULTIPLE;
	return hash ^ hash >> 32;
}

/* Eight bytes at a time; what is behind the text in the last ones does not count. */
__u64 novelty_hash_raw(__u32 len)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	__u64 hash = novelty_seed ^ len;
	__u32 i;

	if (!s || len > NJ_RAW_MAX)
		return 0;
	for (i = 0; i < NJ_RAW_MAX / 8; i++) {
		__u64 word = ((__u64 *)s->raw)[i];
		__u32 left = len - i * 8;

		if (i * 8 >= len)
			break;
		if (left < 8)
			word &= (1ULL << (left * 8)) - 1;
		hash = mix(hash, word);
	}
	return hash;
}

__u64 novelty_hash_user(__u64 user_address)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	long len;

	if (!s)
		return 0;
	len = bpf_probe_read_user_str(s->raw, NJ_RAW_MAX, (void *)user_address);
	return len <= 0 || len > NJ_RAW_MAX ? 0 : novelty_hash_raw((__u32)len);
}

/* Words in pairs, so that the multiplications do not wait for each other. */
static __always_inline __u64 key_hash(const struct nj_key *key)
{
	const __u64 *words = (const __u64 *)key;
	__u64 seed = novelty_seed, hash = 0;
	__u32 i;

#pragma unroll
	for (i = 0; i < KEY_WORDS; i += 2)
		hash += ((words[i] ^ seed) + HASH_MULTIPLE * (i + 1)) *
			((words[i + 1] ^ seed) + HASH_MULTIPLE * (i + 2));
	return hash;
}

_Static_assert(KEY_WORDS % 2 == 0, "words of a key are hashed in pairs");

static __always_inline bool same_key(const struct nj_key *a, const struct nj_key *b)
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b;
	__u64 differ = 0;
	__u32 i;

#pragma unroll
	for (i = 0; i < KEY_WORDS; i++)
		differ |= x[i] ^ y[i];
	return differ == 0;
}

static __always_inline bool may_repeat(const struct nj_key *key)
{
	if (key->result < 0 || key->kind >= NJ_KIND_MAX || !(SUMMED_KINDS & (1ULL << key->kind)))
		return false;
	if (settings.each & (1ULL << key->class))
		return false;
	if (key->kind == NJ_KIND_OPEN && filter_writes((__u32)key->flags))
		return false;
	return !filter_exact();
}

/* Acts of before a new policy are news to it. */
static __always_inline bool is_open(const struct nj_window *window, __u64 now)
{
	return window->epoch == settings.epoch && now - window->opened_ns < settings.window_ns;
}

static __always_inline void count(struct nj_window *window, __u32 class, __u64 now)
{
	struct nj_counts *row = emit_counts();

	if (window->count == 0)
		window->first_ns = now;
	window->last_ns = now;
	((volatile struct nj_window *)window)->count++;
	/* Once, into a register: what is read twice may differ to the verifier. */
	class = (__u32)bounded(class, 31);
	if (row && class < NJ_CLASS_MAX)
		__sync_fetch_and_add(&row->suppressed[class], 1);
}

/* False when the count could not be told, and so must stay. */
static __always_inline bool tell(const struct nj_window *window, __u64 now)
{
	void *ring = emit_ring(window->key.class);
	struct nj_repeat *repeat;

	if (window->id == 0 || window->count == 0)
		return true;
	repeat = ring ? bpf_ringbuf_reserve(ring, sizeof(*repeat), 0) : NULL;
	if (!repeat)
		return false;
	__builtin_memset(repeat, 0, sizeof(*repeat));
	repeat->head.time = now;
	emit_head_init(&repeat->head, NJ_REPEAT, sizeof(*repeat));
	repeat->head.task = window->key.task;
	repeat->head.window = window->id;
	repeat->first_ns = window->first_ns;
	repeat->count = window->count;
	repeat->key = window->key;
	repeat->last_ns = window->last_ns;
	bpf_ringbuf_submit(repeat, emit_flags(ring, window->key.class, EMIT_LATER));
	return true;
}

/* A slot's serial numbers never come again, so neither do ids. */
static __always_inline __u64 begin(struct nj_window *window, const struct nj_key *key, __u32 slot, __u64 now)
{
	volatile struct nj_window *slot_of = window;
	__u64 id = ((window->id >> 16) + 1) << 16 | slot;

	slot_of->id = 0;
	window->opened_ns = now;
	window->first_ns = window->last_ns = 0;
	window->count = 0;
	window->epoch = settings.epoch;
	window->unwanted = 0;
	window->key = *key;
	slot_of->id = id;
	return id;
}

int novelty_repeat(void)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	struct nj_window *window;
	__u32 slot;
	__u64 now;

	if (!s)
		return 0;
	s->window = 0;
	if (!may_repeat(&s->key))
		return 0;
	slot = bpf_get_smp_processor_id() * windows_per_cpu + ((key_hash(&s->key) >> 32) & (windows_per_cpu - 1));
	window = bpf_map_lookup_elem(&windows, &slot);
	if (!window)
		return 0;
	now = bpf_ktime_get_boot_ns();
	if (is_open(window, now) && same_key(&window->key, &s->key)) {
		if (!window->unwanted)
			count(window, s->key.class, now);
		return 1;
	}
	if (tell(window, now))
		s->window = begin(window, &s->key, slot, now);
	return 0;
}

int novelty_unwanted(void)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	struct nj_window *window;
	__u32 slot;

	if (!s || !s->window)
		return 0;
	slot = s->window & 0xffff;
	window = bpf_map_lookup_elem(&windows, &slot);
	if (window && window->id == s->window)
		window->unwanted = 1;
	s->window = 0;
	return 0;
}
