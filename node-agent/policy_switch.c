/* See policy_switch.h. Nothing here is atomic as a whole: what counts is the order. */
#include "node-agent/policy_switch.h"

#include <errno.h>
#include <string.h>

/* What a switch works on. */
struct change {
	struct probe *probe;
	struct containers *containers;
	const struct uplink_policy *before;
};

struct cgroup_setter {
	struct policy_maps maps;
	const struct uplink_policy *policy;
	uint32_t epoch;
	int failed;
};

static void set_cgroup(void *ctx, uint32_t hierarchy, uint64_t id, const char *path)
{
	struct cgroup_setter *setter = ctx;
	const struct nj_cgroup_key key = {.cgroup = id, .hierarchy = hierarchy};
	int r = policy_maps_cgroup(&setter->maps, setter->policy, setter->epoch, &key, path);

	setter->failed = r < 0 ? r : setter->failed;
}

/* What the new policy wants besides the old one; nothing of the old one goes yet. */
static int widen(struct change *c, const struct uplink_policy *policy, struct err *e)
{
	struct nj_settings *settings = probe_settings(c->probe);
	uint64_t both = policy_classes(policy) | (c->before ? policy_classes(c->before) : 0);
	struct cgroup_setter setter = {.policy = policy, .epoch = settings->epoch + 1};
	int r;

	probe_maps(c->probe, &setter.maps);
	r = policy_maps_add(&setter.maps, policy, e);
	if (r < 0)
		return r;
	containers_each(c->containers, set_cgroup, &setter);
	if (setter.failed < 0)
		return err_set(e, setter.failed, "cannot set the policy of a cgroup: %s", strerror(-setter.failed));
	r = probe_want(c->probe, both, e);
	if (r == 0)
		policy_calls(both, settings);
	return r;
}

/* Leaves in what only that policy does not want, out what it does not. */
static int narrow(struct change *c, const struct uplink_policy *policy, struct err *e)
{
	struct nj_settings *settings = probe_settings(c->probe);
	uint64_t classes = policy ? policy_classes(policy) : POLICY_FIXED;
	struct policy_maps maps;
	int r;

	policy_calls(classes, settings);
	r = probe_want(c->probe, classes, e);
	if (r < 0 || !policy)
		return r;
	probe_maps(c->probe, &maps);
	r = policy_maps_trim(&maps, policy, settings->epoch);
	return r < 0 ? err_set(e, r, "cannot take back the policy before: %s", strerror(-r)) : 0;
}

/* Each word after those that were stored before it. */
#define STORE(place, value) __atomic_store_n(&(place), (value), __ATOMIC_RELEASE)

/* Settings change word by word: each word on the way serves whoever wants an act before and after. */
static void switch_over(struct change *c, const struct uplink_policy *policy)
{
	struct nj_settings *settings = probe_settings(c->probe);
	struct nj_settings wanted = *settings;

	policy_settings(policy, &wanted);
	for (int i = 0; i < NJ_NAME_MAX; i++)
		STORE(settings->name_mask[i], settings->name_mask[i] | wanted.name_mask[i]);
	STORE(settings->flags, wanted.flags);
	STORE(settings->classes, wanted.classes);
	STORE(settings->each, wanted.each);
	STORE(settings->window_ns, wanted.window_ns);
	STORE(settings->generation, wanted.generation);
	STORE(settings->epoch, settings->epoch + 1);
	for (int i = 0; i < NJ_NAME_MAX; i++)
		STORE(settings->name_mask[i], wanted.name_mask[i]);
}

int policy_switch(struct probe *probe, struct containers *containers, const struct uplink_policy *before,
		  const struct uplink_policy *policy, struct err *e)
{
	struct change change = {probe, containers, before};
	struct err ignored = {0};
	int r = widen(&change, policy, e);

	if (r < 0) {
		(void)narrow(&change, before, &ignored);
		return r;
	}
	switch_over(&change, policy);
	/* What cannot be taken back is captured in excess, which nobody is hurt by. */
	(void)narrow(&change, policy, &ignored);
	return 0;
}

int policy_switch_cgroup(struct probe *probe, const struct uplink_policy *policy, const struct nj_cgroup_key *key,
			 const char *path)
{
	struct policy_maps maps;

	probe_maps(probe, &maps);
	return policy_maps_cgroup(&maps, policy, probe_settings(probe)->epoch, key, path);
}
