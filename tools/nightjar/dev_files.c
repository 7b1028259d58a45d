/* The files of one `nightjar dev`: certificates and the two configurations, below one private directory
 * of /tmp (or $TMPDIR). What a configuration sets is also taken out of the environment of the child
 * that reads it, where it would win. */
#include "tools/nightjar/dev.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/proto_json.h"
#include "common/tls.h"

#define CLUSTER	  "local"
#define NAMESPACE "nightjar"
#define DAY_S	  86400
#define DIR_PREFIX "nightjar-dev-"

/* ---- certificates --------------------------------------------------------------------------- */

/* The host's name as far as a certificate can carry it. */
static void node_name(char *ret, size_t size)
{
	char host[64] = "";

	(void)gethostname(host, sizeof(host) - 1);
	if (!*host || host[strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")] ||
	    *host == '.')
		(void)snprintf(host, sizeof(host), "localhost");
	(void)snprintf(ret, size, "%s", host);
}

/* HOST of HOST:PORT, without the brackets of an IPv6 address. */
static void host_of(const char *address, char *ret, size_t size)
{
	const char *colon = strrchr(address, ':');
	size_t len = colon ? (size_t)(colon - address) : strlen(address);

	if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
		address++;
		len -= 2;
	}
	(void)snprintf(ret, size, "%.*s", (int)len, address);
}

static int issue_all(const struct dev_files *f, const char *grpc, struct err *e)
{
	char host[256];
	const char *const hosts[] = {"localhost", "127.0.0.1", "::1", host, NULL};
	const struct {
		const char *name;
		enum tls_role role;
	} holders[] = {
		{"collector", TLS_ROLE_COLLECTOR},
		{"agent", TLS_ROLE_AGENT},
		{"reader", TLS_ROLE_READER},
		{"operator", TLS_ROLE_OPERATOR},
	};
	int r = 0;

	host_of(grpc, host, sizeof(host));
	for (size_t i = 0; i < sizeof(holders) / sizeof(*holders) && r >= 0; i++) {
		struct tls_request request = {
			.name = holders[i].name,
			.identity = {.role = holders[i].role, .namespace = NAMESPACE},
			.not_before_s = -300,
			.not_after_s = 7 * DAY_S,
		};

		if (request.identity.role == TLS_ROLE_COLLECTOR)
			request.hosts = hosts;
		if (request.identity.role == TLS_ROLE_AGENT)
			(void)snprintf(request.identity.node, sizeof(request.identity.node), "%s", f->node);
		r = tls_make_cert(f->certs, &request, e);
	}
	return r;
}

static bool exists(const char *dir, const char *file)
{
	char path[PATH_MAX + 32];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, file);
	return access(path, F_OK) == 0;
}

static int make_certs(const struct dev_files *f, const char *grpc, struct err *e)
{
	if (!exists(f->certs, "ca.pem")) {
		int r = tls_make_ca(f->certs, CLUSTER, 3650, e);

		if (r < 0)
			return r;
	}
	return exists(f->certs, "ca-key.pem") ? issue_all(f, grpc, e) : 0;
}

/* Node and cluster are what the agent's certificate says, whoever made it. */
static int read_names(struct dev_files *f, struct err *e)
{
	char path[PATH_MAX + 32];
	struct tls_identity id;
	int r;

	(void)snprintf(path, sizeof(path), "%s/agent.pem", f->certs);
	r = tls_identify_file(path, &id, e);
	if (r == -ENOENT)
		return err_set(e, r, "there is no '%s', and without ca-key.pem beside it none can be made", path);
	if (r < 0)
		return r;
	(void)snprintf(f->node, sizeof(f->node), "%s", id.node);
	(void)snprintf(f->cluster, sizeof(f->cluster), "%s", id.cluster);
	return 0;
}

/* ---- the directory -------------------------------------------------------------------------- */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	(void)remove(path);
	return 0;
}

static void remove_tree(const char *dir)
{
	(void)nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* A lock ends with its holder, however that ended, and another process id space cannot fool it. */
static int mark(struct dev_files *f)
{
	char path[96], pid[16];
	_cleanup_(closep) int fd = -1;
	int len = snprintf(pid, sizeof(pid), "%d\n", getpid());

	(void)snprintf(path, sizeof(path), "%s/pid", f->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || write(fd, pid, (size_t)len) != len)
		return -errno;
	f->pid_fd = take_fd(&fd);
	return 0;
}

/* Something is written in it, so that one whose dev is just about to lock it is left alone. */
static bool is_left_behind(const char *dir)
{
	_cleanup_(closep) int fd = -1;
	char path[PATH_MAX + 8];
	struct stat st;

	if (lstat(dir, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid())
		return false;
	(void)snprintf(path, sizeof(path), "%s/pid", dir);
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 &&
	       flock(fd, LOCK_EX | LOCK_NB) == 0;
}

static void remove_left_behind(const char *tmp)
{
	char pattern[PATH_MAX];
	glob_t found = {0};

	(void)snprintf(pattern, sizeof(pattern), "%s/" DIR_PREFIX "??????", tmp);
	if (glob(pattern, GLOB_NOSORT, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc; i++)
			if (is_left_behind(found.gl_pathv[i]))
				remove_tree(found.gl_pathv[i]);
	globfree(&found);
}

static int make_dir(struct dev_files *f, struct err *e)
{
	const char *tmp = getenv("TMPDIR");
	int r;

	if (!tmp || !*tmp || strlen(tmp) + sizeof("/" DIR_PREFIX "XXXXXX") > sizeof(f->dir))
		tmp = "/tmp";
	remove_left_behind(tmp);
	(void)snprintf(f->dir, sizeof(f->dir), "%s/" DIR_PREFIX "XXXXXX", tmp);
	if (!mkdtemp(f->dir)) {
		r = err_set(e, -errno, "cannot make '%s': %s", f->dir, strerror(errno));
		f->dir[0] = '\0';
		return r;
	}
	r = mark(f);
	return r < 0 ? err_set(e, r, "cannot write '%s/pid': %s", f->dir, strerror(-r)) : 0;
}

int dev_files_make(const struct dev_settings *s, struct dev_files *ret_files, struct err *e)
{
	struct dev_files *f = ret_files;
	int r;

	*f = (struct dev_files){0};
	r = make_dir(f, e);
	if (r < 0)
		return r;
	(void)snprintf(f->collector, sizeof(f->collector), "%s/collector.yaml", f->dir);
	(void)snprintf(f->agent, sizeof(f->agent), "%s/agent.yaml", f->dir);
	node_name(f->node, sizeof(f->node));
	if (!*s->certs)
		(void)snprintf(f->certs, sizeof(f->certs), "%s/certs", f->dir);
	else if (mkdir(s->certs, 0700) < 0 && errno != EEXIST)
		return err_set(e, -errno, "cannot make '%s': %s", s->certs, strerror(errno));
	else if (!realpath(s->certs, f->certs))
		return err_set(e, -errno, "cannot use '%s': %s", s->certs, strerror(errno));
	r = make_certs(f, s->grpc, e);
	return r < 0 ? r : read_names(f, e);
}

void dev_files_remove(struct dev_files *f)
{
	if (f->dir[0])
		remove_tree(f->dir);
	f->dir[0] = '\0';
	if (f->pid_fd > 0)
		closep(&f->pid_fd);
	f->pid_fd = 0;
}

/* ---- configurations ------------------------------------------------------------------------- */

/* A file while it is written: keys without a section first, then section by section. */
struct writer {
	struct buf text;
	char section[32];
};

static void unset_environment(const char *key)
{
	const struct opt o = {.key = key};
	char name[OPTABLE_NAME_MAX];

	optable_env_name(&o, name);
	(void)unsetenv(name);
}

/* The value is quoted as JSON does it, which YAML includes. */
static void add(struct writer *w, const char *key, const char *value)
{
	const char *dot = strchr(key, '.');
	size_t len = dot ? (size_t)(dot - key) : 0;

	if (len && (strlen(w->section) != len || strncmp(w->section, key, len) != 0)) {
		(void)snprintf(w->section, sizeof(w->section), "%.*s", (int)len, key);
		buf_printf(&w->text, "%s:\n", w->section);
	}
	buf_printf(&w->text, "%s%s: ", len ? "  " : "", dot ? dot + 1 : key);
	proto_json_string(&w->text, bytes_of_text(value));
	buf_add_byte(&w->text, '\n');
	unset_environment(key);
}

static void add_below(struct writer *w, const char *key, const char *dir, const char *file)
{
	char path[PATH_MAX + 64];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, file);
	add(w, key, path);
}

static int write_out(struct writer *w, const char *path, struct err *e)
{
	_cleanup_(fclosep) FILE *out = fopen(path, "we");
	int r = buf_error(&w->text);

	if (r >= 0 && (!out || fwrite(w->text.data, 1, w->text.len, out) != w->text.len || fflush(out) != 0))
		r = -EIO;
	buf_done(&w->text);
	return r < 0 ? err_set(e, r, "cannot write '%s': %s", path, strerror(errno)) : 0;
}

int dev_files_write_collector(const struct dev_files *f, const struct dev_settings *s, struct err *e)
{
	struct writer w = {0};

	add(&w, "cluster", f->cluster);
	add(&w, "drain", "5s"); /* dev waits a little longer */
	add(&w, "grpc.listen", s->grpc);
	add(&w, "http.listen", s->http);
	add_below(&w, "tls.ca", f->certs, "ca.pem");
	add_below(&w, "tls.cert", f->certs, "collector.pem");
	add_below(&w, "tls.key", f->certs, "collector-key.pem");
	add_below(&w, "data.dir", f->dir, "data");
	add(&w, "log.format", s->json ? "json" : "people");
	if (*s->alerts)
		add(&w, "log.alerts_file", s->alerts);
	if (*s->record)
		add(&w, "record.file", s->record);
	if (*s->kafka)
		add(&w, "kafka.brokers", s->kafka);
	return write_out(&w, f->collector, e);
}

int dev_files_write_agent(const struct dev_files *f, const char *target, struct err *e)
{
	struct writer w = {0};

	add(&w, "node.name", f->node);
	add(&w, "node.cluster", f->cluster);
	add(&w, "collector.address", target);
	add_below(&w, "tls.ca", f->certs, "ca.pem");
	add_below(&w, "tls.cert", f->certs, "agent.pem");
	add_below(&w, "tls.key", f->certs, "agent-key.pem");
	return write_out(&w, f->agent, e);
}
