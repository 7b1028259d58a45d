/* The address of a running dev; see run_file.h. */
#include "tools/nightjar/run_file.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"

static void path_of(const char *dir, const char *name, char *ret)
{
	(void)snprintf(ret, PATH_MAX, "%s/%s", dir, name);
}

int run_file_write(const char *dir, const struct run_file *file, struct err *e)
{
	json_auto_t *object =
		json_pack("{s:i, s:s, s:s, s:s}", "pid", (int)file->pid, "grpc", file->grpc, "http", file->http,
			  "certs", file->certs);
	char path[PATH_MAX], fresh[PATH_MAX];

	path_of(dir, "dev.json", path);
	path_of(dir, ".dev.json.new", fresh);
	if (!object)
		return err_set(e, -EINVAL, "cannot write '%s': a path in it is not text", path);
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return err_set(e, -errno, "cannot make '%s': %s", dir, strerror(errno));
	if (json_dump_file(object, fresh, JSON_INDENT(2)) < 0 || rename(fresh, path) < 0)
		return err_set(e, -EIO, "cannot write '%s': %s", path, strerror(errno));
	return 0;
}

int run_file_read(const char *dir, struct run_file *ret_file)
{
	json_auto_t *object = NULL;
	const char *grpc, *http, *certs;
	char path[PATH_MAX];
	int pid;

	path_of(dir, "dev.json", path);
	object = json_load_file(path, 0, NULL);
	if (!object || json_unpack(object, "{s:i, s:s, s:s, s:s}", "pid", &pid, "grpc", &grpc, "http", &http,
				   "certs", &certs) < 0)
		return -ENOENT;
	if (pid <= 0 || (kill(pid, 0) < 0 && errno == ESRCH))
		return -ENOENT;
	ret_file->pid = pid;
	(void)snprintf(ret_file->grpc, sizeof(ret_file->grpc), "%s", grpc);
	(void)snprintf(ret_file->http, sizeof(ret_file->http), "%s", http);
	(void)snprintf(ret_file->certs, sizeof(ret_file->certs), "%s", certs);
	return 0;
}

void run_file_remove(const char *dir)
{
	struct run_file file;
	char path[PATH_MAX];

	if (run_file_read(dir, &file) < 0 || file.pid != getpid())
		return;
	path_of(dir, "dev.json", path);
	(void)unlink(path);
	(void)rmdir(dir); /* stays when somebody else uses it */
}
