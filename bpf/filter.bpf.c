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

/* A path longer than a key is looked up by its beginning, which is all that a wanted one can match. */
int filter_path(__u64 address, __u32 len)
{
	struct scratch *s = emit_scratch(SCRATCH_HOOK);

	if (!s || len < 2 || !filter_has_paths())
		return 0;
	if (len > NJ_PREFIX_MAX)
		len = NJ_PREFIX_MAX;
	if (bpf_probe_read_kernel(s->prefix.text, len, (void *)address))
		return 0;
	/* In the place of the NUL: "/etc" is wanted below "/etc/", "/etcetera" is not. */
	s->prefix.text[bounded(len - 1, NJ_PREFIX_MAX - 1)] = '/';
	s->prefix.bits = len * 8;
	return bpf_map_lookup_elem(&open_prefixes, &s->prefix) != NULL;
}
