/* Two tables of common/table.h: images by exec_id, and the present image of each pid, which only
 * serves to name the parent of a process that is read from /proc. */
#include "node-agent/proctable.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/table.h"
#include "node-agent/procimage.h"
#include "node-agent/procfs.h"

#define IMAGE_BYTES_DEFAULT (8UL << 20)
#define ARGS_IN_NEED	    64 /* bytes of arguments that are kept past the budget */

struct process {
	struct process_def def;
	struct image *image;
	struct container *container;
	struct creds creds; /* as of now: def's are those at exec */
	char comm[NJ_COMM_SIZE];
	bool dead;	    /* ended or replaced */
	bool ghost;	    /* dead, but its end has not been reported */
};

struct proctable {
	struct proctable_config config;
	uint64_t seed; /* of the boot */
	struct table *images;
	struct table *pids;
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
	return t->images && t->pids && t->dead ? take_ptr(t) : NULL;
}

void proctable_free(struct proctable *t)
{
	if (!t)
		return;
	table_free(t->images);
	table_free(t->pids);
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
	while (t->dead_count > PROCTABLE_GRACE) {
		uint64_t id = oldest_dead(t);

		(void)table_remove(t->images, &id);
	}
}

/* A dead record waits for its turn. When the ring is full its oldest entry has been evicted from
 * the table long since, so forgetting it loses nothing. */
static void bury(struct proctable *t, struct process *p)
{
	if (p->dead)
		return;
	p->dead = true;
	if (t->dead_count == t->config.capacity)
		(void)oldest_dead(t);
	t->dead[(t->dead_first + t->dead_count++) % t->config.capacity] = p->def.exec_id;
}

static struct process *find(struct proctable *t, const struct nj_task *task)
{
	uint64_t id = proctable_exec_id(t, task);

	return table_get(t->images, &id);
}

const struct process_def *proctable_find(struct proctable *t, const struct nj_task *task)
{
	struct process *p = find(t, task);

	return p ? &p->def : NULL;
}

static struct process *add(struct proctable *t, const struct nj_task *task)
{
	uint64_t id = proctable_exec_id(t, task);
	struct table_stats before, after;
	struct process *p;

	table_stats(t->images, &before);
	p = table_put(t->images, &id, NULL);
	table_stats(t->images, &after);
	t->evicted_live += after.evicted_kept - before.evicted_kept;
	*(uint64_t *)table_put(t->pids, &task->tgid, NULL) = id;
	return p;
}

/* Gives the record its image, which it takes over; NULL (no memory) leaves it with unknown texts. */
static void set_image(struct process *p, struct image *image)
{
	p->image = image;
	p->def.exe.path = "";
	p->def.cwd = "";
	p->def.exe_raw = "";
	if (!image)
		return;
	p->def.exe = image->exe;
	p->def.exe_flags = image->exe_flags;
	p->def.exe_ctime_ns = image->exe_ctime_ns;
	p->def.exe_mtime_ns = image->exe_mtime_ns;
	p->def.cwd = image->cwd;
	p->def.exe_raw = image->exe_raw;
	p->def.args = image->args;
	p->def.env = image->env;
	p->def.arg_count = image->arg_count;
	p->def.env_count = image->env_count;
	p->def.truncated = image->truncated;
}

/* What a fork's record says of the child as an exec's says of its image. */
static void set_identity(struct process *p, const struct decoded *d)
{
	memcpy(p->comm, d->comm, sizeof(p->comm));
	p->def.comm = p->comm;
	p->def.session = d->session;
	p->def.tty = d->tty;
	p->def.pgid = d->pgid;
	p->def.vpid = d->vpid;
	p->def.vpgid = d->vpgid;
	p->def.namespaces = d->namespaces;
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

static void set_container(struct proctable *t, struct process *p, const struct nj_head *head, uint32_t pid)
{
	p->container = containers_get(t->config.containers, head->hierarchy, head->cgroup, pid);
	p->def.container = &p->container->def;
}

const struct process_def *proctable_fork(struct proctable *t, const struct decoded *d,
					 const struct process_def *parent)
{
	struct process *p = find(t, &d->child);
	struct process *from;

	if (p)
		return &p->def;
	p = add(t, &d->child);
	from = table_peek(t->images, &parent->exec_id); /* after add, which may have evicted it */
	if (from) {
		p->def = from->def;
		p->creds = from->creds;
	}
	set_image(p, from && from->image ? procimage_ref(from->image) : NULL);
	set_identity(p, d);
	set_container(t, p, &d->head, d->child.tgid);
	p->def.exec_id = proctable_exec_id(t, &d->child);
	p->def.parent_exec_id = proctable_exec_id(t, &d->head.task);
	p->def.pid = d->child.tgid;
	p->def.ppid = d->head.task.tgid;
	p->def.start_ns = d->child.start_ns;
	p->def.creds = p->creds;
	return &p->def;
}

/* The forking image stays the parent of every later image; without a record of the fork it is
 * whoever the kernel names now. */
static uint64_t parent_of(struct proctable *t, const struct decoded *d, const struct process *before)
{
	if (before)
		return before->def.parent_exec_id;
	return d->parent.tgid ? proctable_exec_id(t, &d->parent) : 0;
}

/* Buries the image that this one replaces. */
static uint64_t replace(struct proctable *t, const struct decoded *d)
{
	struct nj_task earlier = d->head.task;
	struct process *before;
	uint64_t parent;

	earlier.exec_count--;
	before = find(t, &earlier);
	parent = parent_of(t, d, before);
	if (before)
		bury(t, before);
	return parent;
}

const struct process_def *proctable_exec(struct proctable *t, const struct decoded *d)
{
	struct process *p = find(t, &d->head.task);
	uint64_t parent;

	if (p)
		return &p->def;
	parent = replace(t, d);
	p = add(t, &d->head.task);
	p->def = (struct process_def){
		.exec_id = proctable_exec_id(t, &d->head.task),
		.parent_exec_id = parent,
		.pid = d->head.task.tgid,
		.ppid = d->parent.tgid,
		.start_ns = d->head.task.start_ns,
		.exec_ns = d->head.time,
		.creds = d->creds,
		.loginuid = d->loginuid,
	};
	p->creds = d->creds;
	set_identity(p, d);
	set_image(p, make_image(t, d));
	set_container(t, p, &d->head, d->head.task.tgid);
	return &p->def;
}

bool proctable_exit(struct proctable *t, const struct nj_task *task)
{
	struct process *p = find(t, task);

	if (!p || (p->dead && !p->ghost))
		return false;
	p->ghost = false;
	bury(t, p);
	(void)table_remove(t->pids, &task->tgid);
	return true;
}

void proctable_set_creds(struct proctable *t, const struct nj_task *task, const struct creds *creds)
{
	struct process *p = find(t, task);

	if (p)
		p->creds = *creds;
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
	(void)proctable_exec(t, &d);
	p = find(t, &head->task);
	p->def.parent_exec_id = parent_id;
	return &p->def;
}

const struct process_def *proctable_of(struct proctable *t, const struct nj_head *head, bool *ret_unknown)
{
	const struct process_def *known = proctable_find(t, &head->task);
	struct decoded bare = {.head = *head, .cwd = "", .exe_raw = "", .file.path = "",
			       .loginuid = LOGINUID_NONE};
	struct process *ghost;

	if (!known)
		known = add_from_procfs(t, head);
	if (known)
		return known;
	*ret_unknown = true;
	bare.head.time = 0;
	(void)proctable_exec(t, &bare);
	/* It is gone, and nothing says that its end is still to come: nothing may keep it for ever. */
	ghost = find(t, &head->task);
	ghost->ghost = true;
	bury(t, ghost);
	return &ghost->def;
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
