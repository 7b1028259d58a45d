/* Lineage, images and marks; see process.h. */
#include "collector/entity/process.h"

#include "collector/entity/entities.h"

#define GENERATIONS_MAX 16

struct pid_key {
	uint32_t node;
	uint32_t pid;
};

static struct process_key key_of(uint32_t node, const struct process_def *def)
{
	return (struct process_key){.start_ns = def->start_ns, .node = node, .pid = def->pid};
}

bool process_keep_live(void *ctx, const void *record)
{
	const struct process *p = record;

	(void)ctx;
	return p->marks & (PROCESS_RELAY | PROCESS_PENDING | PROCESS_REPORTED);
}

bool process_keep_exited(void *ctx, const void *record)
{
	const struct process *p = record;

	(void)ctx;
	return p->marks & (PROCESS_FORKED | PROCESS_REPORTED);
}

void process_gone(void *ctx, const void *key, void *record)
{
	struct process *p = record;

	(void)key;
	descriptor_drop_all(ctx, p);
	image_unref(p->image);
	p->image = NULL;
}

struct process *process_find(const struct entities *en, const struct process_key *key)
{
	struct process *p = key->pid ? table_peek(en->live, key) : NULL;

	return p || !key->pid ? p : table_peek(en->exited, key);
}

struct process *process_by_pid(const struct entities *en, uint32_t node, uint32_t pid)
{
	struct pid_key number = {.node = node, .pid = pid};
	const uint64_t *start = pid ? table_peek(en->pids, &number) : NULL;

	if (!start)
		return NULL;
	return process_find(en,
			    &(struct process_key){.start_ns = *start, .node = node, .pid = pid});
}

struct process *process_parent(const struct entities *en, const struct process *p)
{
	return process_find(en, &p->parent);
}

struct process *process_get(struct entities *en, uint32_t node, const struct process_def *def)
{
	struct process_key key = key_of(node, def);
	struct process *p = table_get(en->live, &key);

	return p ? p : table_get(en->exited, &key);
}

static struct process *add(struct entities *en, uint32_t node, const struct process_def *def)
{
	struct process_key key = key_of(node, def);
	struct process *p = table_put(en->live, &key, NULL);
	uint64_t *start = table_put(en->pids, &(struct pid_key){node, def->pid}, NULL);

	p->key = key;
	*start = def->start_ns;
	return p;
}

static void take_identity(struct process *p, const struct process_def *def)
{
	p->exec_id = def->exec_id;
	p->uid = def->creds.uid;
	p->euid = def->creds.euid;
	p->session = def->session;
}

static void take_image(struct entities *en, struct process *p, const struct process_def *def)
{
	struct workload *w = workload_seen(en, p->key.node, def->container);

	image_unref(p->image);
	p->image = image_new(def);
	p->container = w->id;
	workload_note_entry(w, p);
}

/* A process that was running before its first event: its parent by number, if that one is older. */
static void seed(struct entities *en, struct process *p, const struct process_def *def)
{
	struct process *parent = process_by_pid(en, p->key.node, def->ppid);

	take_identity(p, def);
	p->marks |= PROCESS_OWN_IMAGE;
	if (parent && parent->key.start_ns <= p->key.start_ns) {
		p->parent = parent->key;
		parent->marks |= PROCESS_FORKED;
		p->marks |= parent->marks & (PROCESS_ACCEPTED | PROCESS_CRED);
		if (parent->euid != def->creds.euid)
			p->marks |= PROCESS_CRED;
	}
	take_image(en, p, def);
}

struct process *process_seen(struct entities *en, uint32_t node, const struct process_def *def)
{
	struct process *p = process_get(en, node, def);

	if (!p) {
		p = add(en, node, def);
		seed(en, p, def);
	} else if (p->exec_id != def->exec_id && !(p->marks & PROCESS_EXITED)) {
		take_identity(p, def);
		take_image(en, p, def);
	}
	return p;
}

void process_fork(struct entities *en, struct process *parent, const struct process_def *child)
{
	struct process *p;

	/* A child that was seen before its fork (records of two CPUs) keeps what it did since. */
	if (process_get(en, parent->key.node, child))
		return;
	p = add(en, parent->key.node, child);
	take_identity(p, child);
	p->parent = parent->key;
	p->image = image_ref(parent->image);
	p->container = parent->container;
	p->marks = parent->marks & PROCESS_INHERITED;
	p->party_count = parent->party_count;
	memcpy(p->parties, parent->parties, sizeof(p->parties));
	if (!p->session)
		p->session = parent->session;
	parent->marks |= PROCESS_FORKED;
	descriptor_copy_all(en, parent, p);
}

/* What exec lists is what is open below 64: everything else goes, unless the list was cut. */
void process_exec(struct entities *en, struct process *p, const struct event *event)
{
	const struct process_def *def = event->process;

	if (p->marks & PROCESS_EXITED)
		return;
	if (p->euid != def->creds.euid)
		p->marks |= PROCESS_CRED;
	take_identity(p, def);
	take_image(en, p, def);
	p->marks |= PROCESS_OWN_IMAGE;
	p->marks &= ~(PROCESS_PENDING | PROCESS_RELAY);
	if (!(def->truncated & PROCESS_ENDPOINTS_TRUNCATED))
		descriptor_drop_all(en, p);
	for (uint16_t i = 0; i < event->endpoint_count; i++)
		descriptor_add(en, p, &event->endpoints[i]);
}

void process_exit(struct entities *en, struct process *p)
{
	struct process_key key = p->key;
	struct process *old;

	if (p->marks & PROCESS_EXITED)
		return;
	descriptor_drop_all(en, p);
	old = table_put(en->exited, &key, NULL);
	memcpy(old, p, offsetof(struct process, fds));
	old->marks |= PROCESS_EXITED;
	p->image = NULL;
	(void)table_remove(en->live, &key);
}

bool process_is_ancestor(const struct entities *en, const struct process *p,
			 const struct process *q)
{
	for (int i = 0; q && i < GENERATIONS_MAX; i++) {
		q = process_parent(en, q);
		if (q == p)
			return q != NULL;
	}
	return false;
}

bool process_same_side(const struct entities *en, const struct process *p, const struct process *q)
{
	const struct workload *w = workload_find(en, p->container);
	const struct workload *v = workload_find(en, q->container);

	if ((w && !w->host) || (v && !v->host))
		return p->container == q->container;
	if (p->session && p->session == q->session)
		return true;
	return w && w->system_service && p->container == q->container;
}
