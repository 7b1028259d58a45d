/* A cgroup directory's inode number is the kernel's id of it, in v2 and in v1's hierarchies. A v1
 * hierarchy's number is in /proc/self/cgroup. The scan keeps at most SCAN_DEPTH levels. */
#include "node-agent/containers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/table.h"
#include "node-agent/cgroup_id.h"
#include "node-agent/procfs.h"

#define SCAN_DEPTH 12
#define PATH_SIZE  1024
#define ID_LEN	   64
/* Containers that are remembered as asked for: more than a node has at a time. */
#define IDENTITIES_MAX 1024

struct key {
	uint64_t id;
	uint64_t hierarchy;
};

struct entry {
	struct container *container;
};

/* The runtime's answer, shared by the cgroups of a container. */
struct known {
	uint32_t refs;
	struct container_def *told; /* one block */
};

/* By container_id. */
struct identity {
	struct known *known; /* NULL: not answered, or nothing runs there any more */
	bool asked;
};

struct containers {
	struct table *table;
	struct table *identities;
	struct container *host; /* for what has no name at all */
	struct container *all;	/* that have a container_id */
	uint32_t unasked;
	const char *proc;
	uint32_t v1_hierarchy; /* of the memory controller; 0: not mounted as v1 */
	bool use_v1;
};

/* ---- what the runtime has told ---- */

static struct known *known_ref(struct known *known)
{
	known->refs++;
	return known;
}

static void known_unref(struct known *known)
{
	if (!known || --known->refs > 0)
		return;
	free(known->told);
	free(known);
}

/* Cgroup and id are the container's own, and the pod's uid when the runtime has none. */
static void attach(struct container *container, struct known *known)
{
	struct container_def *def = &container->def;
	struct container_def full = *known->told;

	full.container_id = def->container_id;
	full.cgroup = def->cgroup;
	if (!full.pod_uid[0])
		full.pod_uid = def->pod_uid;
	*def = full;
	known_unref(container->known);
	container->known = known_ref(known);
}

/* Leaves what the path tells. */
static void detach(struct container *container)
{
	const struct cgroup_id *id = (const void *)container->text;
	const char *path = container->text + sizeof(*id);

	known_unref(container->known);
	container->known = NULL;
	container->def = (struct container_def){
		.container_id = id->container_id,
		.pod_uid = id->pod_uid,
		.name = "",
		.image = "",
		.pod = "",
		.namespace = "",
		.cgroup = path,
		.image_id = "",
		.workload = path + strlen(path) + 1,
	};
}

static void identity_gone(void *ctx, const void *key, void *record)
{
	struct containers *c = ctx;
	struct identity *identity = record;

	(void)key;
	known_unref(identity->known);
	c->unasked -= !identity->asked;
}

static struct identity *identity_of(struct containers *c, const char *container_id)
{
	bool is_new;
	struct identity *identity = table_put(c->identities, container_id, &is_new);

	c->unasked += is_new;
	return identity;
}

/* Nothing runs in it any more: its identity forgets as well, and would be asked for again. */
static void release(struct container *container)
{
	struct known *known = container->known;
	struct identity *identity;

	if (!known)
		return;
	identity = container->home ? table_peek(container->home->identities, container->def.container_id) : NULL;
	if (identity && identity->known == known && known->refs == 2)
		(void)table_remove(container->home->identities, container->def.container_id);
	detach(container);
}

/* ---- containers ---- */

static void unlink_container(struct container *container)
{
	if (!container->link)
		return;
	*container->link = container->next;
	if (container->next)
		container->next->link = container->link;
}

static void free_unused(struct container *container)
{
	if (container->users > 0 || container->listed)
		return;
	unlink_container(container);
	free(container);
}

struct container *container_ref(struct container *container)
{
	container->users++;
	return container;
}

void container_unref(struct container *container)
{
	if (!container || --container->users > 0)
		return;
	release(container);
	free_unused(container);
}

static void link_container(struct containers *c, struct container *container)
{
	container->home = c;
	container->next = c->all;
	container->link = &c->all;
	if (c->all)
		c->all->link = &container->next;
	c->all = container;
}

/* text: the id, the path, the workload. NULL without memory. */
static struct container *container_new(struct containers *c, const char *path)
{
	size_t path_size = strlen(path) + 1;
	struct cgroup_id id = {0};
	bool contained = cgroup_id_parse(path, &id);
	struct bytes workload = contained ? (struct bytes){0} : cgroup_id_workload(path);
	struct container *made = calloc(1, sizeof(*made) + sizeof(id) + path_size + workload.len + 1);

	if (!made)
		return NULL;
	memcpy(made->text, &id, sizeof(id));
	memcpy(made->text + sizeof(id), path, path_size);
	if (workload.len > 0)
		memcpy(made->text + sizeof(id) + path_size, workload.data, workload.len);
	detach(made);
	if (contained) {
		link_container(c, made);
		(void)identity_of(c, id.container_id);
	}
	return made;
}

/* The table lets go of it. */
static void unlist(struct container *container)
{
	if (!container)
		return;
	container->listed = false;
	free_unused(container);
}

static void forget(void *ctx, const void *key, void *record)
{
	struct entry *entry = record;

	(void)ctx;
	(void)key;
	unlist(entry->container);
}

static struct entry *put(struct containers *c, uint32_t hierarchy, uint64_t id, const char *path)
{
	struct key key = {id, hierarchy};
	struct container *made = container_new(c, path);
	struct entry *entry;

	if (!made)
		return NULL;
	made->listed = true;
	entry = table_put(c->table, &key, NULL);
	unlist(entry->container);
	entry->container = made;
	return entry;
}

/* Adds the directory behind dir_fd, whose path is in path[0..len), and all below. */
static void scan(struct containers *c, uint32_t hierarchy, int dir_fd, char *path, size_t len, int depth)
{
	struct stat st;
	struct dirent *found;
	DIR *dir;

	if (fstat(dir_fd, &st) == 0)
		(void)put(c, hierarchy, st.st_ino, len ? path : "/");
	dir = fdopendir(dir_fd);
	if (!dir) {
		(void)close(dir_fd);
		return;
	}
	while (depth > 0 && (found = readdir(dir)) != NULL) {
		size_t name_len = strlen(found->d_name);
		int fd;

		if (found->d_type != DT_DIR || found->d_name[0] == '.' || len + name_len + 2 > PATH_SIZE)
			continue;
		fd = openat(dirfd(dir), found->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			continue;
		path[len] = '/';
		memcpy(path + len + 1, found->d_name, name_len + 1);
		scan(c, hierarchy, fd, path, len + 1 + name_len, depth - 1);
		path[len] = '\0';
	}
	(void)closedir(dir);
}

static void scan_below(struct containers *c, uint32_t hierarchy, const char *root, const char *folder)
{
	char path[PATH_SIZE] = "";
	char at[PATH_SIZE];
	int fd;

	if (snprintf(at, sizeof(at), "%s%s", root, folder) >= (int)sizeof(at))
		return;
	fd = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		scan(c, hierarchy, fd, path, 0, SCAN_DEPTH);
}

static bool has_cgroup_procs(const char *root, const char *folder)
{
	char path[PATH_SIZE];

	(void)snprintf(path, sizeof(path), "%s%s/cgroup.procs", root, folder);
	return access(path, F_OK) == 0;
}

/* v2 alone, v1 with v2 beside it (hybrid), or v1 alone. */
static void scan_all(struct containers *c, const char *root)
{
	if (has_cgroup_procs(root, "")) {
		scan_below(c, 0, root, "");
		return;
	}
	if (has_cgroup_procs(root, "/unified"))
		scan_below(c, 0, root, "/unified");
	if (!has_cgroup_procs(root, "/memory"))
		return;
	c->v1_hierarchy = procfs_v1_hierarchy(c->proc, "memory");
	c->use_v1 = c->v1_hierarchy != 0;
	if (c->use_v1)
		scan_below(c, c->v1_hierarchy, root, "/memory");
}

struct containers *containers_new(const char *root, const char *proc, uint32_t max)
{
	_cleanup_(containers_freep) struct containers *c = calloc(1, sizeof(*c));
	struct table_config config = {
		.key_size = sizeof(struct key),
		.record_size = sizeof(struct entry),
		.capacity = max,
		.gone = forget,
	};
	struct table_config identities = {
		.key_size = ID_LEN,
		.record_size = sizeof(struct identity),
		.capacity = IDENTITIES_MAX,
		.gone = identity_gone,
		.ctx = c,
	};

	if (!c)
		return NULL;
	c->proc = proc;
	c->host = container_new(c, "");
	c->table = table_new(&config);
	c->identities = table_new(&identities);
	if (!c->table || !c->identities || !c->host)
		return NULL;
	c->host->listed = true;
	scan_all(c, root);
	return take_ptr(c);
}

void containers_free(struct containers *c)
{
	if (!c)
		return;
	table_free(c->table);
	if (c->host)
		unlist(c->host);
	while (c->all) { /* held by somebody who lives longer */
		struct container *container = c->all;

		unlink_container(container);
		container->home = NULL;
		container->link = NULL;
	}
	table_free(c->identities);
	free(c);
}

bool containers_use_v1(const struct containers *c)
{
	return c->use_v1;
}

void containers_made(struct containers *c, uint32_t hierarchy, uint64_t id, const char *path)
{
	if (hierarchy == 0 || hierarchy == c->v1_hierarchy)
		(void)put(c, hierarchy, id, path);
}

void containers_gone(struct containers *c, uint32_t hierarchy, uint64_t id)
{
	struct key key = {id, hierarchy};

	(void)table_remove(c->table, &key);
}

/* The path of the process's cgroup in that hierarchy, kept under the id. */
static struct entry *look_up(struct containers *c, uint32_t hierarchy, uint64_t id, uint32_t pid)
{
	char path[PATH_SIZE];

	if (procfs_cgroup(c->proc, pid, hierarchy, path, sizeof(path)) < 0)
		return NULL;
	return put(c, hierarchy, id, path);
}

struct container *containers_get(struct containers *c, uint32_t hierarchy, uint64_t id, uint32_t pid)
{
	struct key key = {id, hierarchy};
	struct entry *entry = table_get(c->table, &key);
	struct container *found;

	if (!entry)
		entry = look_up(c, hierarchy, id, pid);
	found = entry ? entry->container : c->host;
	if (found->users == 0 && found->home) {
		struct identity *identity = identity_of(c, found->def.container_id);

		if (identity->known)
			attach(found, identity->known);
	}
	return container_ref(found);
}

/* ---- questions and answers ---- */

uint32_t containers_unasked(const struct containers *c)
{
	return c->unasked;
}

struct asking {
	struct containers *containers;
	bool (*ask)(void *ctx, const char *container_id);
	void *ctx;
};

static bool ask_one(void *ctx, const void *key, void *record)
{
	struct asking *a = ctx;
	struct identity *identity = record;
	char id[ID_LEN + 1] = "";

	if (identity->asked)
		return true;
	memcpy(id, key, ID_LEN);
	if (!a->ask(a->ctx, id))
		return false;
	identity->asked = true;
	return --a->containers->unasked > 0;
}

void containers_ask(struct containers *c, bool (*ask)(void *ctx, const char *container_id), void *ctx)
{
	struct asking a = {c, ask, ctx};

	if (c->unasked > 0)
		table_each(c->identities, ask_one, &a);
}

/* Keeps the answer under its id; the one before goes when its last container has the new one. */
static struct known *remember(struct containers *c, struct container_def *told)
{
	struct known *known = calloc(1, sizeof(*known));
	struct identity *identity;

	if (!known) {
		free(told);
		return NULL;
	}
	known->told = told;
	identity = identity_of(c, told->container_id);
	c->unasked -= !identity->asked;
	identity->asked = true;
	known_unref(identity->known);
	identity->known = known_ref(known);
	return known;
}

const struct container_def *containers_resolve(struct containers *c, struct container_def *told)
{
	const struct container_def *seen = NULL;
	struct known *known;

	if (strlen(told->container_id) != ID_LEN) {
		free(told);
		return NULL;
	}
	known = remember(c, told);
	if (!known)
		return NULL;
	for (struct container *at = c->all; at; at = at->next) {
		if (at->users == 0 || strcmp(at->def.container_id, told->container_id) != 0)
			continue;
		attach(at, known);
		seen = &at->def;
	}
	return seen;
}

struct visitor {
	void (*visit)(void *ctx, uint32_t hierarchy, uint64_t id, const char *cgroup);
	void *ctx;
};

static bool visit_entry(void *ctx, const void *key, void *record)
{
	const struct visitor *v = ctx;
	const struct key *k = key;
	const struct entry *entry = record;

	if (entry->container)
		v->visit(v->ctx, (uint32_t)k->hierarchy, k->id, entry->container->def.cgroup);
	return true;
}

void containers_each(struct containers *c,
		     void (*visit)(void *ctx, uint32_t hierarchy, uint64_t id, const char *cgroup), void *ctx)
{
	struct visitor v = {visit, ctx};

	table_each(c->table, visit_entry, &v);
}
