/* Reading a policy; see uplink_policy.h. A few kilobytes, some hundred times a day at most. */
#include "node-agent/uplink_policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/arena.h"
#include "common/capture_class.h"

static bool is_absolute(const char *path)
{
	return path[0] == '/';
}

static bool is_component(const char *name)
{
	return name[0] && !strchr(name, '/');
}

struct texts {
	const char *what; /* for people */
	size_t count_max, bytes_max;
	bool (*fits)(const char *text);
};

static const struct texts names_rule = {"file name", UPLINK_NAMES_MAX, UPLINK_NAME_BYTES,
					is_component};
static const struct texts prefixes_rule = {"path prefix", UPLINK_PREFIXES_MAX, UPLINK_PREFIX_BYTES,
					   is_absolute};
static const struct texts cgroups_rule = {"cgroup", UPLINK_WORKLOADS_MAX, UPLINK_CGROUP_BYTES,
					  is_absolute};

static int check_count(const char *what, size_t count, size_t max, struct err *e)
{
	if (count > max)
		return err_set(e, -E2BIG, "it names %zu times a %s, more than %zu", count, what,
			       max);
	return 0;
}

static int copy_text(struct arena *memory, const char *text, const struct texts *rule,
		     const char **ret_text, struct err *e)
{
	size_t len = strlen(text);
	char *copy;

	if (len > rule->bytes_max || !rule->fits(text))
		return err_set(e, -EINVAL, "\"%.80s\" is no %s of 1 to %zu bytes", text, rule->what,
			       rule->bytes_max);
	copy = arena_strndup(memory, text, len);
	if (!copy)
		return err_set(e, -ENOMEM, "no memory");
	*ret_text = copy;
	return 0;
}

static int copy_texts(struct arena *memory, char *const *texts, size_t count,
		      const struct texts *rule, const char *const **ret_texts, struct err *e)
{
	const char **copies;
	int r = check_count(rule->what, count, rule->count_max, e);

	if (r < 0)
		return r;
	copies = arena_zalloc(memory, (count + 1) * sizeof(*copies));
	if (!copies)
		return err_set(e, -ENOMEM, "no memory");
	for (size_t i = 0; r == 0 && i < count; i++)
		r = copy_text(memory, texts[i], rule, &copies[i], e);
	*ret_texts = copies;
	return r;
}

static uint32_t class_bits(char *const *names, size_t count)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < count; i++) {
		int class = capture_class_find(names[i]);

		bits |= class >= 0 ? 1U << class : 0;
	}
	return bits;
}

static int read_ports(const Nightjar__V1__Policy *in, struct uplink_policy *policy, struct err *e)
{
	uint16_t *ports;
	int r = check_count("port", in->n_ports, UPLINK_PORTS_MAX, e);

	if (r < 0)
		return r;
	ports = arena_zalloc(policy->memory, (in->n_ports + 1) * sizeof(*ports));
	if (!ports)
		return err_set(e, -ENOMEM, "no memory");
	for (size_t i = 0; i < in->n_ports; i++) {
		if (in->ports[i] == 0 || in->ports[i] > UINT16_MAX)
			return err_set(e, -EINVAL, "%u is no port", in->ports[i]);
		ports[i] = (uint16_t)in->ports[i];
	}
	policy->ports = ports;
	policy->port_count = in->n_ports;
	return 0;
}

static int read_workloads(const Nightjar__V1__Policy *in, struct uplink_policy *policy,
			  struct err *e)
{
	struct uplink_workload *workloads;
	int r = check_count(cgroups_rule.what, in->n_workloads, cgroups_rule.count_max, e);

	if (r < 0)
		return r;
	workloads = arena_zalloc(policy->memory, (in->n_workloads + 1) * sizeof(*workloads));
	if (!workloads)
		return err_set(e, -ENOMEM, "no memory");
	for (size_t i = 0; r == 0 && i < in->n_workloads; i++) {
		const Nightjar__V1__WorkloadPolicy *from = in->workloads[i];

		workloads[i].classes = class_bits(from->classes, from->n_classes);
		workloads[i].each = from->each;
		r = copy_text(policy->memory, from->cgroup, &cgroups_rule, &workloads[i].cgroup, e);
	}
	policy->workloads = workloads;
	policy->workload_count = in->n_workloads;
	return r;
}

/* A collector that is wrong about the window shall not make the kernel forget at once or never. */
static uint64_t window(uint64_t ns)
{
	if (ns == 0)
		return UPLINK_REPEAT_WINDOW_NS;
	if (ns < UPLINK_REPEAT_WINDOW_MIN_NS)
		return UPLINK_REPEAT_WINDOW_MIN_NS;
	return ns < UPLINK_REPEAT_WINDOW_MAX_NS ? ns : UPLINK_REPEAT_WINDOW_MAX_NS;
}

static int read_lists(const Nightjar__V1__Policy *in, struct uplink_policy *policy, struct err *e)
{
	int r = copy_texts(policy->memory, in->open_names, in->n_open_names, &names_rule,
			   &policy->open_names, e);

	if (r == 0)
		r = copy_texts(policy->memory, in->open_prefixes, in->n_open_prefixes,
			       &prefixes_rule, &policy->open_prefixes, e);
	if (r == 0)
		r = read_ports(in, policy, e);
	return r == 0 ? read_workloads(in, policy, e) : r;
}

int uplink_policy_read(const Nightjar__V1__Policy *in, struct uplink_policy **ret_policy,
		       struct err *e)
{
	_cleanup_(uplink_policy_freep) struct uplink_policy *policy = calloc(1, sizeof(*policy));
	int r;

	if (!policy)
		return err_set(e, -ENOMEM, "no memory");
	*policy = (struct uplink_policy){
		.generation = in->generation,
		.classes = class_bits(in->classes, in->n_classes),
		.each = class_bits(in->each, in->n_each),
		.open_writes = in->open_writes,
		.open_all = in->open_all,
		.first_bytes = in->first_bytes,
		.open_name_count = in->n_open_names,
		.open_prefix_count = in->n_open_prefixes,
		.repeat_window_ns = window(in->repeat_window_ns),
		.memory = arena_new(0),
	};
	if (!policy->memory)
		return err_set(e, -ENOMEM, "no memory");
	r = read_lists(in, policy, e);
	if (r < 0)
		return r;
	*ret_policy = take_ptr(policy);
	return 0;
}

void uplink_policy_free(struct uplink_policy *policy)
{
	if (!policy)
		return;
	arena_free(policy->memory);
	free(policy);
}
