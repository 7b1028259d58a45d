/* From the collector's words to bits: see policy.h. A few hundred entries, some hundred times a
 * day. */
#include "node-agent/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/arena.h"

#define DEFAULT_CLASSES                                                                            \
	(NJ_BIT(FILE) | NJ_BIT(DESCRIPTOR) | NJ_BIT(SOCKET) | NJ_BIT(PRIVILEGE) | NJ_BIT(MOUNT) |  \
	 NJ_BIT(EXEC_FAILED) | NJ_BIT(NAMESPACE) | NJ_BIT(ACCESS) | NJ_BIT(KERNEL) |               \
	 NJ_BIT(IO_URING))

void policy_default(const char *const *names, struct uplink_policy *ret_policy)
{
	*ret_policy = (struct uplink_policy){
		.classes = DEFAULT_CLASSES,
		.open_names = names,
		.repeat_window_ns = UPLINK_REPEAT_WINDOW_NS,
	};
	while (names && names[ret_policy->open_name_count])
		ret_policy->open_name_count++;
}

static const char *const *copy_texts(struct arena *memory, const struct opt_list *list)
{
	const char **texts = arena_zalloc(memory, (list->count + 1) * sizeof(*texts));

	for (size_t i = 0; texts && i < list->count; i++) {
		texts[i] = arena_strdup(memory, list->items[i]);
		if (!texts[i])
			return NULL;
	}
	return texts;
}

static const uint16_t *copy_ports(struct arena *memory, const struct opt_list *list)
{
	uint16_t *ports = arena_zalloc(memory, (list->count + 1) * sizeof(*ports));

	for (size_t i = 0; ports && i < list->count; i++)
		ports[i] = capture_port(list->items[i]);
	return ports;
}

static uint32_t asked_classes(const struct capture_options *asked, uint32_t usual, bool alone)
{
	uint32_t classes = capture_options_classes(asked);

	if (!alone)
		return classes | usual;
	return classes ? classes : (uint32_t)POLICY_ALL;
}

int policy_asked(const struct capture_options *asked, bool alone, struct uplink_policy **ret_policy)
{
	_cleanup_(uplink_policy_freep) struct uplink_policy *policy = calloc(1, sizeof(*policy));
	struct arena *memory;

	if (!policy)
		return -ENOMEM;
	memory = arena_new(0);
	if (!memory)
		return -ENOMEM;
	policy_default(copy_texts(memory, &asked->open_names), policy);
	policy->memory = memory;
	policy->classes = asked_classes(asked, policy->classes, alone);
	policy->each = capture_options_each(asked);
	policy->open_writes = asked->open_writes;
	policy->open_all = asked->open_all;
	policy->first_bytes = asked->first_bytes;
	policy->repeat_window_ns = asked->repeat_window_ns;
	policy->open_prefixes = copy_texts(memory, &asked->open_prefixes);
	policy->open_prefix_count = asked->open_prefixes.count;
	policy->ports = copy_ports(memory, &asked->ports);
	policy->port_count = asked->ports.count;
	if (!policy->open_names || !policy->open_prefixes || !policy->ports)
		return -ENOMEM;
	*ret_policy = take_ptr(policy);
	return 0;
}

static uint64_t with_fixed(uint64_t classes)
{
	return (classes & POLICY_ALL) | POLICY_FIXED;
}

/* The policy asks for first bytes by a word of its own. */
static uint64_t base_classes(const struct uplink_policy *policy)
{
	return with_fixed(policy->classes | (policy->first_bytes ? NJ_BIT(PAYLOAD) : 0));
}

uint64_t policy_classes(const struct uplink_policy *policy)
{
	uint64_t classes = base_classes(policy);

	for (size_t i = 0; i < policy->workload_count; i++)
		classes |= with_fixed(policy->workloads[i].classes);
	return classes;
}

const uint64_t policy_act_classes[NJ_ACT_MAX] = {
#define ACT(name, program, classes) [NJ_ACT_##name] = (classes),
	NJ_ACTS(ACT)
#undef ACT
};

static void want_number(uint8_t acts[static NJ_CALLS_MAX], uint32_t nr, uint8_t act)
{
	if (nr < NJ_CALLS_MAX)
		acts[nr] = act;
}

static uint64_t wanted_bits(const uint8_t acts[static 64], const uint8_t compat[static 64])
{
	uint64_t bits = 0;

	for (int i = 0; i < 64; i++)
		bits |= (uint64_t)(acts[i] || compat[i]) << i;
	return bits;
}

void policy_calls(uint64_t classes, struct nj_settings *settings)
{
	uint8_t acts[NJ_CALLS_MAX] = {0}, compat[NJ_CALLS_MAX] = {0};

#define WANT(name, x86_64, i386, arm64, arm, act)                                                  \
	if (policy_act_classes[NJ_ACT_##act] & classes) {                                                 \
		want_number(acts, NJ_NATIVE(x86_64, arm64), NJ_ACT_##act);                         \
		want_number(compat, NJ_COMPAT(i386, arm), NJ_ACT_##act);                           \
	}
	NJ_CALLS(WANT)
#undef WANT
	for (uint32_t word = 0; word < NJ_CALLS_MAX / 64; word++)
		settings->any_calls[word] = wanted_bits(acts + 64 * word, compat + 64 * word);
	memcpy(settings->acts, acts, sizeof(acts));
	memcpy(settings->compat_acts, compat, sizeof(compat));
}

static uint32_t want_flags(const struct uplink_policy *policy)
{
	return (policy->open_all ? NJ_WANT_OPEN_ALL : 0) |
	       (policy->open_writes ? NJ_WANT_OPEN_WRITES : 0) |
	       (policy->open_prefix_count ? NJ_WANT_PREFIXES : 0) |
	       (policy->port_count ? NJ_WANT_PORTS : 0) |
	       (policy->workload_count ? NJ_WANT_WORKLOADS : 0);
}

void policy_settings(const struct uplink_policy *policy, struct nj_settings *settings)
{
	uint64_t mask[NJ_NAME_MAX] = {0};

	for (size_t i = 0; i < policy->open_name_count; i++) {
		const char *name = policy->open_names[i];

		mask[strlen(name) % NJ_NAME_MAX] |= 1ULL << ((unsigned char)name[0] & 63);
	}
	memcpy(settings->name_mask, mask, sizeof(mask));
	settings->classes = base_classes(policy);
	settings->each = policy->each;
	settings->window_ns = policy->repeat_window_ns;
	settings->flags = want_flags(policy);
	settings->generation = policy->generation;
}

int policy_name(const char *name, struct nj_name *ret_name)
{
	struct nj_name key = {0};
	size_t len = strlen(name);

	if (len == 0 || len >= NJ_NAME_MAX || strchr(name, '/'))
		return -EINVAL;
	memcpy(key.text, name, len);
	*ret_name = key;
	return 0;
}

int policy_prefix(const char *path, struct nj_prefix *ret_prefix)
{
	struct nj_prefix key = {0};
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	if (path[0] != '/' || len >= NJ_PREFIX_MAX)
		return -EINVAL;
	memcpy(key.text, path, len);
	if (len > 1)
		key.text[len++] = '/';
	key.bits = (uint32_t)len * 8;
	*ret_prefix = key;
	return 0;
}

void policy_ports(const struct uplink_policy *policy, uint64_t ret_words[static POLICY_PORT_WORDS])
{
	memset(ret_words, 0, POLICY_PORT_WORDS * sizeof(ret_words[0]));
	for (size_t i = 0; i < policy->port_count; i++)
		ret_words[policy->ports[i] / 64] |= 1ULL << (policy->ports[i] % 64);
}

/* Length of the named cgroup's path when the other is it or below it; 0: neither. */
static size_t covers(const char *named, const char *cgroup)
{
	size_t len = strlen(named);

	while (len > 1 && named[len - 1] == '/')
		len--;
	if (strncmp(named, cgroup, len) != 0)
		return 0;
	return len == 1 || cgroup[len] == '\0' || cgroup[len] == '/' ? len : 0;
}

bool policy_workload(const struct uplink_policy *policy, const char *cgroup,
		     struct nj_workload *ret_workload)
{
	const struct uplink_workload *nearest = NULL;
	size_t best = 0;

	for (size_t i = 0; i < policy->workload_count; i++) {
		size_t len = covers(policy->workloads[i].cgroup, cgroup);

		if (len > best) {
			best = len;
			nearest = &policy->workloads[i];
		}
	}
	if (!nearest)
		return false;
	*ret_workload = (struct nj_workload){.classes = with_fixed(nearest->classes),
					     .exact = nearest->each};
	return true;
}
