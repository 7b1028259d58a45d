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

struct key {
	uint64_t id;
	uint64_t hierarchy;
};

struct entry {
	struct container *container;
};

struct containers {
	struct table *table;
	struct container *host; /* for what has no name at all */
	const char *proc;
	uint32_t v1_hierarchy; /* of the memory controller; 0: not mounted as v1 */
	bool use_v1;
};

struct container *container_ref(struct container *container)
{
	container->refs++;
	return container;
}

void container_unref(struct container *container)
{
	if (container && --container->refs == 0)
		free(container);
}

/* NULL without memory. */
static struct container *container_new(const char *path)
{
	size_t path_size = strlen(path) + 1;
	struct cgroup_id id = {0};
	struct container *made = calloc(1, sizeof(*made) + path_size + sizeof(id));
	struct cgroup_id *kept;

	if (!made)
		return NULL;
	(void)cgroup_id_parse(path, &id);
	kept = (void *)made->text;
	*kept = id;
	memcpy(made->text + sizeof(id), path, path_size);
	made->refs = 1;
	made->def = (struct container_def){
		.container_id = kept->container_id,
		.pod_uid = kept->pod_uid,
		.name = "",
		.image = "",
		.pod = "",
		.namespace = "",
		.cgroup = made->text + sizeof(id),
		.image_id = "",
		.workload = "",
	};
	return made;
}

static void forget(void *ctx, const void *key, void *record)
{
	struct entry *entry = record;

	(void)ctx;
	(void)key;
	container_unref(entry->container);
}

static struct entry *put(struct containers *c, uint32_t hierarchy, uint64_t id, const char *path)
{
	struct key key = {id, hierarchy};
	struct container *made = container_new(path);
	struct entry *entry;

	if (!made)
		return NULL;
	entry = table_put(c->table, &key, NULL);
	container_unref(entry->container);
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

	if (!c)
		return NULL;
	c->proc = proc;
	c->host = container_new("");
	c->table = table_new(&config);
	if (!c->table || !c->host)
		return NULL;
	scan_all(c, root);
	return take_ptr(c);
}

void containers_free(struct containers *c)
{
	if (!c)
		return;
	table_free(c->table);
	container_unref(c->host);
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

	if (!entry)
		entry = look_up(c, hierarchy, id, pid);
	return container_ref(entry ? entry->container : c->host);
}
