/* Two tables of common/table.h: images by exec_id, and the present image of each pid, which only
 * serves to name the parent of a process that is read from /proc. */
#include "node-agent/proctable.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/arena.h"
#include "common/table.h"
#include "node-agent/procimage.h"
#include "node-agent/procfs.h"

#define IMAGE_BYTES_DEFAULT (8UL << 20)
#define ARGS_IN_NEED	    64 /* bytes of arguments that are kept past the budget */

struct process {
	uint64_t parent_exec_id;
	uint64_t start_ns;
	uint64_t exec_ns;
	struct image *image; /* NULL: no memory for it */
	struct container *container;
	struct creds creds; /* at exec, or at the fork */
	struct creds *now;  /* those of today; NULL: the same */
	struct namespaces namespaces;
	uint32_t pid;
	uint32_t ppid;
	uint32_t loginuid;
	uint32_t session;
	uint32_t tty;
	uint32_t pgid;
	uint32_t vpid;
	uint32_t vpgid;
	char comm[NJ_COMM_SIZE];
	const struct process_def *def; /* made in that turn, and gone since unless it is this one */
	uint64_t turn : 62;
	uint64_t dead : 1;  /* ended or replaced */
	uint64_t ghost : 1; /* dead, but its end has not been reported */
};

struct proctable {
	struct proctable_config config;
	uint64_t seed; /* of the boot */
	struct table *images;
	struct table *pids;
	struct arena *defs;	  /* of this turn */
	struct process_def spare; /* without texts, when there is no memory for another */
	uint64_t turn;		  /* counts from 1 */
	size_t image_bytes;
	uint64_t evicted_live;
	/* exec_ids of dead records, oldest first; a ring as large as the table. */
	uint64_t *dead;
	uint32_t dead_first;
	uint32_t dead_count;
};

static bool keep_live(void *ctx, const void *record)
{
	(void)ctx;
	return !((const struct process *)record)->dead;
}

static void release(void *ctx, const void *key, void *record)
{
	struct proctable *t = ctx;
	struct process *p = record;

	(void)key;
	t->image_bytes -= procimage_unref(p->image);
	free(p->now);
	container_unref(p->container);
}

struct proctable *proctable_new(const struct proctable_config *config)
{
	_cleanup_(proctable_freep) struct proctable *t = calloc(1, sizeof(*t));
	struct table_config images = {
		.key_size = sizeof(uint64_t),
		.record_size = sizeof(struct process),
		.capacity = config->capacity,
		.keep = keep_live,
		.gone = release,
		.ctx = t,
	};
	struct table_config pids = {
		.key_size = sizeof(uint32_t), .record_size = sizeof(uint64_t), .capacity = config->capacity};

	if (!t)
		return NULL;
	t->config = *config;
	if (t->config.image_bytes == 0)
		t->config.image_bytes = IMAGE_BYTES_DEFAULT;
	t->seed = XXH3_64bits(config->boot_id, strlen(config->boot_id));
	t->images = table_new(&images);
	t->pids = table_new(&pids);
	t->dead = calloc(config->capacity, sizeof(*t->dead));
	t->defs = arena_new(0);
	t->turn = 1;
	return t->images && t->pids && t->dead && t->defs ? take_ptr(t) : NULL;
}

void proctable_free(struct proctable *t)
{
	if (!t)
		return;
	table_free(t->images);
	table_free(t->pids);
	arena_free(t->defs);
	free(t->dead);
	free(t);
}

uint64_t proctable_exec_id(const struct proctable *t, const struct nj_task *task)
{
	uint64_t id = XXH3_64bits_withSeed(task, sizeof(*task), t->seed);

	return id ? id : 1;
}

static uint64_t oldest_dead(struct proctable *t)
{
	uint64_t id = t->dead[t->dead_first];

	t->dead_first = (t->dead_first + 1) % t->config.capacity;
	t->dead_count--;
	return id;
}

void proctable_turn(struct proctable *t)
{
	t->turn++;
	arena_reset(t->defs);
	while (t->dead_count > PROCTABLE_GRACE) {
		uint64_t id = oldest_dead(t);

		(void)table_remove(t->images, &id);
	}
}

/* A dead record waits for its turn. When the ring is full its oldest entry has been evicted from
 * the table long since, so forgetting it loses nothing. */
static void bury(struct proctable *t, struct process *p, uint64_t exec_id)
{
	if (p->dead)
		return;
	p->dead = true;
	if (t->dead_count == t->config.capacity)
		(void)oldest_dead(t);
	t->dead[(t->dead_first + t->dead_count++) % t->config.capacity] = exec_id;
}

/* Room for a definition and its spans. */
static struct process_def *new_def(struct proctable *t, const struct image *image, struct bytes **ret_spans)
{
	size_t count = image ? (size_t)image->arg_count + image->env_count : 0;
	struct process_def *def = arena_alloc(t->defs, sizeof(*def) + count * sizeof(struct bytes));

	*ret_spans = (struct bytes *)(def + 1);
	return def;
}

static const struct process_def *define(struct proctable *t, uint64_t exec_id, struct process *p)
{
	struct bytes *spans;
	struct process_def *made, *def;

	if (p->turn == t->turn)
		return p->def;
	made = new_def(t, p->image, &spans);
	def = made ? made : &t->spare;
	*def = (struct process_def){
		.exec_id = exec_id,
		.parent_exec_id = p->parent_exec_id,
		.pid = p->pid,
		.ppid = p->ppid,
		.start_ns = p->start_ns,
		.exec_ns = p->exec_ns,
		.exe.path = "",
		.cwd = "",
		.exe_raw = "",
		.creds = p->creds,
		.loginuid = p->loginuid,
		.session = p->session,
		.tty = p->tty,
		.container = &p->container->def,
		.comm = p->comm,
		.pgid = p->pgid,
		.vpid = p->vpid,
		.vpgid = p->vpgid,
		.namespaces = p->namespaces,
	};
	if (!made)
		return def;
	if (p->image)
		procimage_define(p->image, spans, def);
	p->def = def;
	p->turn = t->turn;
	return def;
}

const struct process_def *proctable_find(struct proctable *t, const struct nj_task *task)
{
	uint64_t id = proctable_exec_id(t, task);
	struct process *p = table_get(t->images, &id);

	return p ? define(t, id, p) : NULL;
}

static struct process *add(struct proctable *t, const struct nj_task *task, uint64_t id)
{
	struct table_stats before, after;
	struct process *p;

	table_stats(t->images, &before);
	p = table_put(t->images, &id, NULL);
	table_stats(t->images, &after);
	t->evicted_live += after.evicted_kept - before.evicted_kept;
	*(uint64_t *)table_put(t->pids, &task->tgid, NULL) = id;
	return p;
}

/* What a fork's record says of the child as an exec's says of its image. */
static void set_identity(struct process *p, const struct decoded *d)
{
	memcpy(p->comm, d->comm, sizeof(p->comm));
	p->session = d->session;
	p->tty = d->tty;
	p->pgid = d->pgid;
	p->vpid = d->vpid;
	p->vpgid = d->vpgid;
	p->namespaces = d->namespaces;
}

static struct image *make_image(struct proctable *t, const struct decoded *d)
{
	bool in_need = t->image_bytes >= t->config.image_bytes;
	struct image *image = procimage_new(d, in_need ? NULL : t->config.env_names,
					in_need ? ARGS_IN_NEED : SIZE_MAX);

	if (image)
		t->image_bytes += image->size;
	return image;
}

/* The record of a child; NULL parent: nothing is known of who forked it. */
static void set_child(struct process *p, const struct process *parent)
{
	if (!parent)
		return;
	p->exec_ns = parent->exec_ns;
	p->loginuid = parent->loginuid;
	p->creds = parent->now ? *parent->now : parent->creds;
	p->image = parent->image ? procimage_ref(parent->image) : NULL;
}

const struct process_def *proctable_fork(struct proctable *t, const struct decoded *d,
					 const struct process_def *parent)
{
	uint64_t id = proctable_exec_id(t, &d->child);
	struct process *p = table_get(t->images, &id);

	if (p)
		return define(t, id, p);
	p = add(t, &d->child, id);
	set_child(p, table_peek(t->images, &parent->exec_id)); /* after add, which may have evicted it */
	set_identity(p, d);
	p->container = containers_get(t->config.containers, d->head.hierarchy, d->head.cgroup, d->child.tgid);
	p->parent_exec_id = proctable_exec_id(t, &d->head.task);
	p->pid = d->child.tgid;
	p->ppid = d->head.task.tgid;
	p->start_ns = d->child.start_ns;
	return define(t, id, p);
}

/* The forking image stays the parent of every later image; without a record of the fork it is
 * whoever the kernel names now. */
static uint64_t parent_of(struct proctable *t, const struct decoded *d, const struct process *before)
{
	if (before)
		return before->parent_exec_id;
	return d->parent.tgid ? proctable_exec_id(t, &d->parent) : 0;
}

/* Buries the image that this one replaces. */
static uint64_t replace(struct proctable *t, const struct decoded *d)
{
	struct nj_task earlier = d->head.task;
	struct process *before;
	uint64_t parent, id;

	earlier.exec_count--;
	id = proctable_exec_id(t, &earlier);
	before = table_get(t->images, &id);
	parent = parent_of(t, d, before);
	if (before)
		bury(t, before, id);
	return parent;
}

/* The record of a new image, or the one that is known already. */
static struct process *take_exec(struct proctable *t, const struct decoded *d, uint64_t id)
{
	struct process *p = table_get(t->images, &id);
	uint64_t parent;

	if (p)
		return p;
	parent = replace(t, d);
	p = add(t, &d->head.task, id);
	p->parent_exec_id = parent;
	p->pid = d->head.task.tgid;
	p->ppid = d->parent.tgid;
	p->start_ns = d->head.task.start_ns;
	p->exec_ns = d->head.time;
	p->creds = d->creds;
	p->loginuid = d->loginuid;
	set_identity(p, d);
	p->image = make_image(t, d);
	p->container = containers_get(t->config.containers, d->head.hierarchy, d->head.cgroup, d->head.task.tgid);
	return p;
}

const struct process_def *proctable_exec(struct proctable *t, const struct decoded *d)
{
	uint64_t id = proctable_exec_id(t, &d->head.task);

	return define(t, id, take_exec(t, d, id));
}

bool proctable_exit(struct proctable *t, const struct nj_task *task)
{
	uint64_t id = proctable_exec_id(t, task);
	struct process *p = table_get(t->images, &id);

	if (!p || (p->dead && !p->ghost))
		return false;
	p->ghost = false;
	bury(t, p, id);
	(void)table_remove(t->pids, &task->tgid);
	return true;
}

/* Few processes ever change theirs. Without memory for it the children seem to start with the old ones. */
void proctable_set_creds(struct proctable *t, const struct nj_task *task, const struct creds *creds)
{
	uint64_t id = proctable_exec_id(t, task);
	struct process *p = table_get(t->images, &id);

	if (p && !p->now)
		p->now = malloc(sizeof(*p->now));
	if (p && p->now)
		*p->now = *creds;
}

/* A record as the kernel would have written it, from what /proc says now. */
static void decoded_from_procfs(const struct procfs_image *image, const struct nj_head *head, struct decoded *ret_d)
{
	*ret_d = (struct decoded){
		.head = *head,
		.kind = EVENT_KIND_EXEC,
		.parent.tgid = image->ppid,
		.file = image->exe,
		.creds = image->creds,
		.cwd = image->cwd,
		.args = bytes_of(image->args, image->args_len),
		.env = bytes_of(image->env, image->env_len),
		.loginuid = image->loginuid,
		.session = image->session,
		.tty = image->tty,
		.truncated = image->truncated,
		.exe_raw = "",
		.exe_flags = image->exe_flags,
		.exe_ctime_ns = image->exe_ctime_ns,
		.exe_mtime_ns = image->exe_mtime_ns,
		.pgid = image->pgid,
		.vpid = image->vpid,
		.vpgid = image->vpgid,
		.namespaces = image->namespaces,
	};
	(void)snprintf(ret_d->comm, sizeof(ret_d->comm), "%.*s", NJ_COMM_SIZE - 1, image->comm);
	ret_d->file.path = image->exe_path;
	ret_d->head.time = 0;
}

static const struct process_def *add_from_procfs(struct proctable *t, const struct nj_head *head)
{
	uint64_t id = proctable_exec_id(t, &head->task);
	struct procfs_image image;
	const uint64_t *parent;
	struct decoded d;
	struct process *p;
	uint64_t parent_id;

	if (procfs_read_image(t->config.proc, head->task.tgid, &image) < 0 ||
	    image.start_ticks != procfs_ticks(head->task.start_ns))
		return NULL;
	decoded_from_procfs(&image, head, &d);
	parent = table_peek(t->pids, &image.ppid);
	parent_id = parent ? *parent : 0;
	p = take_exec(t, &d, id);
	p->parent_exec_id = parent_id;
	return define(t, id, p);
}

/* It is gone, and nothing says that its end is still to come: nothing may keep it for ever. */
static const struct process_def *add_ghost(struct proctable *t, const struct nj_head *head)
{
	struct decoded bare = {.head = *head, .cwd = "", .exe_raw = "", .file.path = "",
			       .loginuid = LOGINUID_NONE};
	uint64_t id = proctable_exec_id(t, &head->task);
	struct process *ghost;

	bare.head.time = 0;
	ghost = take_exec(t, &bare, id);
	ghost->ghost = true;
	bury(t, ghost, id);
	return define(t, id, ghost);
}

const struct process_def *proctable_of(struct proctable *t, const struct nj_head *head, bool *ret_unknown)
{
	const struct process_def *known = proctable_find(t, &head->task);

	if (!known)
		known = add_from_procfs(t, head);
	if (known)
		return known;
	*ret_unknown = true;
	return add_ghost(t, head);
}

const struct process_def *proctable_target(struct proctable *t, const struct nj_owner *target)
{
	struct nj_head head = {.task = target->task, .cgroup = target->cgroup, .hierarchy = target->hierarchy};
	bool unknown;

	return proctable_of(t, &head, &unknown);
}

void proctable_stats(const struct proctable *t, struct proctable_stats *ret_stats)
{
	struct table_stats stats;

	table_stats(t->images, &stats);
	*ret_stats = (struct proctable_stats){
		.count = stats.count, .evicted_live = t->evicted_live, .image_bytes = t->image_bytes};
}
