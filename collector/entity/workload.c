/* Names of what runs; see workload.h. */
#include "collector/entity/workload.h"

#include <ctype.h>
#include <stdio.h>
#include <xxhash.h>

#include "collector/entity/entities.h"

static uint64_t id_of(uint32_t node, const struct container_def *def)
{
	const char *text = def->container_id[0] ? def->container_id : def->cgroup;
	uint64_t id = XXH3_64bits_withSeed(text, strlen(text),
					   (uint64_t)node << 1 | !def->container_id[0]);

	return id ? id : 1;
}

static void copy(char *out, size_t size, const char *text)
{
	(void)snprintf(out, size, "%s", text);
}

static bool all_of(const char *text, size_t len, int (*is)(int))
{
	for (size_t i = 0; i < len; i++)
		if (!is((unsigned char)text[i]))
			return false;
	return len > 0;
}

/* Cuts what controllers append: Deployment web-5d4f8c7b9-x2x7k → web, DaemonSet proxy-x2x7k →
 * proxy, StatefulSet db-0 → db. A guess until the API server is asked. */
static void workload_of_pod(struct workload *w)
{
	char *dash;

	copy(w->workload, sizeof(w->workload), w->pod);
	dash = strrchr(w->workload, '-');
	if (!dash || dash == w->workload)
		return;
	if (all_of(dash + 1, strlen(dash + 1), isdigit)) {
		*dash = '\0';
		return;
	}
	if (strlen(dash + 1) != 5 || !all_of(dash + 1, 5, isalnum))
		return;
	*dash = '\0';
	dash = strrchr(w->workload, '-');
	if (dash && strlen(dash + 1) >= 8 && strlen(dash + 1) <= 10 &&
	    all_of(dash + 1, strlen(dash + 1), isalnum))
		*dash = '\0';
}

static bool ends_with(const char *text, size_t len, const char *end)
{
	size_t n = strlen(end);

	return len > n && memcmp(text + len - n, end, n) == 0;
}

/* The innermost systemd unit or session of the path, else the path. */
static void workload_of_cgroup(struct workload *w, const char *cgroup)
{
	size_t len = strlen(cgroup);
	const char *end = cgroup + len;

	w->host = true;
	w->session = len <= 1 || strncmp(cgroup, "/user.slice/", 12) == 0 ||
		     ends_with(cgroup, len, ".scope");
	copy(w->workload, sizeof(w->workload), cgroup[0] ? cgroup : "/");
	while (end > cgroup) {
		const char *start = end;

		while (start > cgroup && start[-1] != '/')
			start--;
		if (ends_with(start, (size_t)(end - start), ".service") ||
		    ends_with(start, (size_t)(end - start), ".scope")) {
			(void)snprintf(w->workload, sizeof(w->workload), "%.*s", (int)(end - start),
				       start);
			w->system_service =
				strncmp(cgroup, "/system.slice/", 14) == 0 && end[-1] == 'e';
			return;
		}
		end = start > cgroup ? start - 1 : cgroup;
	}
}

static bool add_label(struct workload *w, size_t *used, const char *key, const char *value)
{
	size_t key_size = strlen(key) + 1, value_size = strlen(value) + 1;

	if (*used + key_size + value_size > sizeof(w->labels))
		return false;
	memcpy(w->labels + *used, key, key_size);
	memcpy(w->labels + *used + key_size, value, value_size);
	*used += key_size + value_size;
	w->label_count++;
	return true;
}

static void take_labels(struct workload *w, const struct container_def *def)
{
	size_t used = 0;

	for (uint16_t i = 0; w->label_count == i && i < def->label_count; i++)
		if (!add_label(w, &used, def->labels[i].key, def->labels[i].value))
			return;
}

static void fill(struct workload *w, const struct container_def *def)
{
	copy(w->container_id, sizeof(w->container_id), def->container_id);
	if (def->name[0])
		copy(w->name, sizeof(w->name), def->name);
	if (def->image[0])
		copy(w->image, sizeof(w->image), def->image);
	take_labels(w, def);
	if (w->named)
		return; /* the rest is the API's to say */
	copy(w->pod, sizeof(w->pod), def->pod);
	copy(w->namespace, sizeof(w->namespace), def->namespace);
	if (def->container_id[0])
		workload_of_pod(w);
	else
		workload_of_cgroup(w, def->cgroup);
	if (!def->container_id[0] && def->workload[0])
		copy(w->workload, sizeof(w->workload), def->workload);
}

/* Names come late: the runtime is asked after the first processes have started. */
static bool is_fuller(const struct container_def *def, const struct workload *w)
{
	return (def->pod[0] && !w->pod[0]) || (def->image[0] && !w->image[0]);
}

void workload_complete(struct entities *en, uint32_t node, const struct container_def *def)
{
	uint64_t id = id_of(node, def);
	struct workload *w = table_peek(en->workloads, &id);

	if (w && is_fuller(def, w))
		fill(w, def);
}

struct workload *workload_seen(struct entities *en, uint32_t node, const struct container_def *def)
{
	uint64_t id = id_of(node, def);
	bool is_new;
	struct workload *w = table_put(en->workloads, &id, &is_new);

	if (is_new || is_fuller(def, w))
		fill(w, def);
	w->id = id;
	return w;
}

struct workload *workload_find(const struct entities *en, uint64_t id)
{
	return table_peek(en->workloads, &id);
}

struct workload *workload_of_container(const struct entities *en, uint32_t node, const char *container_id)
{
	const struct container_def def = {.container_id = container_id, .cgroup = ""};

	return workload_find(en, id_of(node, &def));
}

void workload_name(struct workload *w, const Nightjar__V1__ContainerMetadata *m)
{
	size_t used = 0;

	w->named = true;
	copy(w->namespace, sizeof(w->namespace), m->namespace_);
	copy(w->pod, sizeof(w->pod), m->pod);
	copy(w->workload, sizeof(w->workload), m->workload);
	copy(w->workload_kind, sizeof(w->workload_kind), m->workload_kind);
	copy(w->service_account, sizeof(w->service_account), m->service_account);
	if (!w->name[0])
		copy(w->name, sizeof(w->name), m->name);
	if (!w->image[0])
		copy(w->image, sizeof(w->image), m->image);
	for (size_t i = 0; w->label_count == i && i < m->n_labels; i++)
		if (!add_label(w, &used, m->labels[i]->key, m->labels[i]->value))
			return;
}

void workload_note_entry(struct workload *w, const struct process *p)
{
	bool same = w->entry_pid == p->key.pid && w->entry_start_ns == p->key.start_ns;

	if (w->entry_pid && !same && w->entry_start_ns <= p->key.start_ns)
		return;
	w->entry_pid = p->key.pid;
	w->entry_start_ns = p->key.start_ns;
	w->entry_device = p->image ? p->image->device : 0;
	w->entry_inode = p->image ? p->image->inode : 0;
}

bool workload_is_original(const struct workload *w, const struct process *p)
{
	if (!p->image || !w->entry_pid || w->session)
		return false;
	if (p->image->inode == w->entry_inode && p->image->device == w->entry_device)
		return true;
	return p->image->exec_ns <= w->entry_start_ns + WORKLOAD_START_NS;
}
