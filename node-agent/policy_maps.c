/* See policy_maps.h. */
#include "node-agent/policy_maps.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t present = 1;

static int add_names(int fd, const struct uplink_policy *policy, struct err *e)
{
	for (size_t i = 0; i < policy->open_name_count; i++) {
		struct nj_name key;

		if (policy_name(policy->open_names[i], &key) < 0)
			return err_set(e, -EINVAL, "file name \"%s\" is not of 1 to %d bytes",
				       policy->open_names[i], NJ_NAME_MAX - 1);
		if (bpf_map_update_elem(fd, &key, &present, BPF_ANY) < 0)
			return err_set(e, -errno, "cannot watch the name \"%s\" (at most %d at a time): %s",
				       policy->open_names[i], NJ_OPEN_NAMES_MAX, strerror(errno));
	}
	return 0;
}

static int add_prefixes(int fd, const struct uplink_policy *policy, struct err *e)
{
	for (size_t i = 0; i < policy->open_prefix_count; i++) {
		struct nj_prefix key;

		if (policy_prefix(policy->open_prefixes[i], &key) < 0)
			return err_set(e, -EINVAL, "\"%s\" is no absolute path of at most %d bytes",
				       policy->open_prefixes[i], NJ_PREFIX_MAX - 1);
		if (bpf_map_update_elem(fd, &key, &present, BPF_ANY) < 0)
			return err_set(e, -errno, "cannot watch below \"%s\" (at most %d at a time): %s",
				       policy->open_prefixes[i], NJ_PREFIXES_MAX, strerror(errno));
	}
	return 0;
}

/* Writes the words, together with those that are there when they are to stay. */
static int set_ports(int fd, const struct uplink_policy *policy, bool keep)
{
	uint64_t words[POLICY_PORT_WORDS];

	policy_ports(policy, words);
	for (uint32_t i = 0; i < POLICY_PORT_WORDS; i++) {
		uint64_t now = 0;

		if (bpf_map_lookup_elem(fd, &i, &now) < 0)
			return -errno;
		words[i] |= keep ? now : 0;
		if (words[i] != now && bpf_map_update_elem(fd, &i, &words[i], BPF_ANY) < 0)
			return -errno;
	}
	return 0;
}

int policy_maps_add(const struct policy_maps *maps, const struct uplink_policy *policy, struct err *e)
{
	int r = add_names(maps->open_names, policy, e);

	if (r == 0)
		r = add_prefixes(maps->open_prefixes, policy, e);
	if (r < 0)
		return r;
	r = set_ports(maps->ports, policy, true);
	return r < 0 ? err_set(e, r, "cannot set the ports: %s", strerror(-r)) : 0;
}

typedef bool (*wanted_fn)(const struct uplink_policy *policy, const void *key);

static bool name_wanted(const struct uplink_policy *policy, const void *key)
{
	for (size_t i = 0; i < policy->open_name_count; i++) {
		struct nj_name name;

		if (policy_name(policy->open_names[i], &name) == 0 && memcmp(&name, key, sizeof(name)) == 0)
			return true;
	}
	return false;
}

static bool prefix_wanted(const struct uplink_policy *policy, const void *key)
{
	for (size_t i = 0; i < policy->open_prefix_count; i++) {
		struct nj_prefix prefix;

		if (policy_prefix(policy->open_prefixes[i], &prefix) == 0 && memcmp(&prefix, key, sizeof(prefix)) == 0)
			return true;
	}
	return false;
}

/* All keys before any is removed: a map that changes under its own iteration begins anew. */
static uint32_t list_keys(int fd, void *ret_keys, size_t key_size, uint32_t max)
{
	uint8_t *keys = ret_keys;
	uint32_t count = 0;

	while (count < max &&
	       bpf_map_get_next_key(fd, count ? keys + (count - 1) * key_size : NULL, keys + count * key_size) == 0)
		count++;
	return count;
}

static int trim(int fd, const struct uplink_policy *policy, size_t key_size, uint32_t max, wanted_fn wanted)
{
	_cleanup_(freep) uint8_t *keys = calloc(max, key_size);
	uint32_t count = keys ? list_keys(fd, keys, key_size, max) : 0;

	for (uint32_t i = 0; i < count; i++)
		if (!wanted(policy, keys + i * key_size) && bpf_map_delete_elem(fd, keys + i * key_size) < 0 &&
		    errno != ENOENT)
			return -errno;
	return keys ? 0 : -ENOMEM;
}

static bool is_stale(int fd, const void *key, uint32_t epoch)
{
	struct nj_workload workload;

	return bpf_map_lookup_elem(fd, key, &workload) == 0 && workload.epoch != epoch;
}

/* Cgroups of which the policy says something have been written again. */
static int trim_workloads(int fd, uint32_t epoch)
{
	_cleanup_(freep) struct nj_cgroup_key *keys = calloc(NJ_WORKLOADS_MAX, sizeof(*keys));
	uint32_t count = keys ? list_keys(fd, keys, sizeof(*keys), NJ_WORKLOADS_MAX) : 0;

	for (uint32_t i = 0; i < count; i++)
		if (is_stale(fd, &keys[i], epoch) && bpf_map_delete_elem(fd, &keys[i]) < 0 && errno != ENOENT)
			return -errno;
	return keys ? 0 : -ENOMEM;
}

int policy_maps_trim(const struct policy_maps *maps, const struct uplink_policy *policy, uint32_t epoch)
{
	int r = trim(maps->open_names, policy, sizeof(struct nj_name), 2 * NJ_OPEN_NAMES_MAX, name_wanted);

	if (r == 0)
		r = trim(maps->open_prefixes, policy, sizeof(struct nj_prefix), 2 * NJ_PREFIXES_MAX, prefix_wanted);
	if (r == 0)
		r = trim_workloads(maps->workloads, epoch);
	return r < 0 ? r : set_ports(maps->ports, policy, false);
}

int policy_maps_cgroup(const struct policy_maps *maps, const struct uplink_policy *policy, uint32_t epoch,
		       const struct nj_cgroup_key *key, const char *path)
{
	struct nj_workload workload;

	if (!path)
		return bpf_map_delete_elem(maps->workloads, key) < 0 && errno != ENOENT ? -errno : 0;
	if (!policy_workload(policy, path, &workload))
		return 0;
	workload.epoch = epoch;
	return bpf_map_update_elem(maps->workloads, key, &workload, BPF_ANY) < 0 ? -errno : 0;
}
