/* The parts of the filter that ask maps for text: see filter.bpf.h. */
#include "bpf/filter.bpf.h"

int filter_name(__u64 address, __u32 len)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	char first = 0;

	if (!s || len == 0 || len >= NJ_NAME_MAX)
		return 0;
	bpf_probe_read_kernel(&first, 1, (void *)address);
	if (should_drop_name(len, first))
		return 0;
	__builtin_memset(&s->name, 0, sizeof(s->name));
	if (bpf_probe_read_kernel(s->name.text, bounded(len, NJ_NAME_MAX - 1), (void *)address))
		return 0;
	return bpf_map_lookup_elem(&open_names, &s->name) != NULL;
}

int filter_raw_name(__u32 len)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);
	__u32 name_len, i;

	if (!s || len < 2 || len > NJ_RAW_MAX)
		return 0;
	s->mark = 0;
	for (i = 0; i < NJ_RAW_MAX; i++) {
		if (i >= len)
			break;
		if (s->raw[i] == '/')
			s->mark = i + 1;
	}
	i = s->mark & (NJ_RAW_MAX - 1);
	name_len = len - 1 - i;
	if (should_drop_name(name_len, s->raw[i]))
		return 0;
	__builtin_memset(&s->name, 0, sizeof(s->name));
	bpf_probe_read_kernel(s->name.text, bounded(name_len, NJ_NAME_MAX - 1), s->raw + i);
	return bpf_map_lookup_elem(&open_names, &s->name) != NULL;
}

/* As it is, which the verifier does not believe. */
static __always_inline __u32 key_length(__u32 len)
{
	return (__u32)bounded(len - 1, NJ_PREFIX_MAX - 1) + 1;
}

/* In the place of the NUL comes a '/': "/etc" is wanted below "/etc/", "/etcetera" is not. */
static __always_inline bool below_wanted(struct scratch *s, __u32 len)
{
	s->prefix.text[bounded(len - 1, NJ_PREFIX_MAX - 1)] = '/';
	s->prefix.bits = len * 8;
	return bpf_map_lookup_elem(&open_prefixes, &s->prefix) != NULL;
}

/* A path longer than a key is looked up by its beginning, which is all that a wanted one can match. */
int filter_path(__u32 start, __u32 len)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);

	if (!s || len < 2 || !filter_has_paths())
		return 0;
	if (len > NJ_PREFIX_MAX)
		len = NJ_PREFIX_MAX;
	if (bpf_probe_read_kernel(s->prefix.text, key_length(len), s->path + bounded(start, NJ_PATH_MAX - 1)))
		return 0;
	return below_wanted(s, len);
}

int filter_raw(__u32 len)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);

	if (!s || len < 2 || len > NJ_RAW_MAX || !filter_has_paths())
		return 0;
	if (bpf_probe_read_kernel(s->prefix.text, key_length(len), s->raw))
		return 0;
	return below_wanted(s, len);
}
