/* Starts, kills and watches the two programs; see pair.h. What they write is short (some hundred lines
 * a test), so a file is read again from its beginning whenever it has grown. */
#include "tests/e2e/pair.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/ready.h"
#include "common/tls.h"

#define CLUSTER	   "faults"
#define NODE	   "n1"
#define WORDS_MAX  40
#define AWAIT_MS   20000
#define ADDRESS_MAX 64

struct program {
	const char *name;
	pid_t pid; /* 0: does not run */
	int pidfd;
	unsigned int starts;
	char stderr_path[96]; /* of the newest start */
};

struct pair {
	struct program programs[PAIR_PROGRAMS];
	int watch; /* inotify on the directory */
	char dir[64];
	char certs[80];
	char alerts_path[96];
	char record_path[96];
	char grpc[ADDRESS_MAX];
	char http[ADDRESS_MAX];
};

static int make_certs(const struct pair *p, struct err *e)
{
	static const char *const hosts[] = {"127.0.0.1", NULL};
	static const struct {
		const char *name;
		enum tls_role role;
	} holders[] = {
		{"collector", TLS_ROLE_COLLECTOR}, {"agent", TLS_ROLE_AGENT}, {"reader", TLS_ROLE_READER}};
	int r = tls_make_ca(p->certs, CLUSTER, 1, e);

	for (size_t i = 0; i < sizeof(holders) / sizeof(*holders) && r >= 0; i++) {
		struct tls_request request = {
			.name = holders[i].name,
			.identity = {.role = holders[i].role, .cluster = CLUSTER, .namespace = "test"},
			.not_before_s = -300,
			.not_after_s = 3600,
		};

		if (holders[i].role == TLS_ROLE_COLLECTOR)
			request.hosts = hosts;
		if (holders[i].role == TLS_ROLE_AGENT)
			snprintf(request.identity.node, sizeof(request.identity.node), NODE);
		r = tls_make_cert(p->certs, &request, e);
	}
	return r;
}

int pair_new(struct pair **ret_pair, struct err *e)
{
	_cleanup_(pair_freep) struct pair *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->watch = -1;
	p->programs[PAIR_COLLECTOR] = (struct program){.name = "nightjar-collector", .pidfd = -1};
	p->programs[PAIR_AGENT] = (struct program){.name = "nightjar-agent", .pidfd = -1};
	snprintf(p->grpc, sizeof(p->grpc), "127.0.0.1:0");
	snprintf(p->http, sizeof(p->http), "127.0.0.1:0");
	snprintf(p->dir, sizeof(p->dir), "/tmp/nightjar-pair-XXXXXX");
	if (!mkdtemp(p->dir))
		return err_set(e, -errno, "cannot make '%s': %s", p->dir, strerror(errno));
	snprintf(p->certs, sizeof(p->certs), "%s/certs", p->dir);
	snprintf(p->alerts_path, sizeof(p->alerts_path), "%s/alerts", p->dir);
	p->watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (p->watch < 0 || inotify_add_watch(p->watch, p->dir, IN_MODIFY | IN_CREATE) < 0)
		return err_set(e, -errno, "cannot watch '%s': %s", p->dir, strerror(errno));
	r = make_certs(p, e);
	if (r < 0)
		return r;
	*ret_pair = take_ptr(p);
	return 0;
}

const char *pair_dir(const struct pair *p)
{
	return p->dir;
}

void pair_free(struct pair *p)
{
	char command[96];

	if (!p)
		return;
	pair_kill(p, PAIR_AGENT);
	pair_kill(p, PAIR_COLLECTOR);
	if (p->dir[0] && !getenv("NJ_KEEP")) {
		snprintf(command, sizeof(command), "rm -rf %s", p->dir);
		(void)!system(command);
	}
	closep(&p->watch);
	free(p);
}

/* ---- start ---- */

static void program_path(const char *name, char *ret_path)
{
	const char *build = getenv("NJ_BUILD");

	snprintf(ret_path, PATH_MAX, "%s/bin/%s", build ? build : "build", name);
}

static void name_stderr(const struct pair *p, const struct program *program, unsigned int start,
			char *ret_path, size_t size)
{
	snprintf(ret_path, size, "%s/%s-%u.stderr", p->dir, program->name, start);
}

static void become(const struct program *program, char *const *argv)
{
	int err_fd = open(program->stderr_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (err_fd < 0 || null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(null_fd, 1) < 0 ||
	    dup2(err_fd, 2) < 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
		_exit(126);
	execv(argv[0], argv);
	_exit(127);
}

static int start(struct pair *p, enum pair_program which, char *const *options, struct err *e)
{
	struct program *program = &p->programs[which];
	char path[PATH_MAX], *argv[WORDS_MAX] = {path};

	for (int n = 0; options[n] && n < WORDS_MAX - 2; n++)
		argv[n + 1] = options[n];
	program_path(program->name, path);
	name_stderr(p, program, program->starts++, program->stderr_path, sizeof(program->stderr_path));
	program->pid = fork();
	if (program->pid == 0)
		become(program, argv);
	program->pidfd = program->pid > 0 ? pidfd_open(program->pid, 0) : -1;
	return program->pidfd < 0 ? err_set(e, -errno, "cannot start %s", program->name) : 0;
}

/* Builds "--KEY=VALUE" words; what it holds lives as long as the struct. */
struct words {
	char text[WORDS_MAX][160];
	char *list[WORDS_MAX];
	int count;
};

static __attribute__((format(printf, 2, 3))) void add(struct words *w, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(w->text[w->count], sizeof(w->text[0]), fmt, args);
	va_end(args);
	w->list[w->count] = w->text[w->count];
	w->count++;
}

static void add_tls(struct words *w, const struct pair *p, const char *name)
{
	add(w, "--tls-ca=%s/ca.pem", p->certs);
	add(w, "--tls-cert=%s/%s.pem", p->certs, name);
	add(w, "--tls-key=%s/%s-key.pem", p->certs, name);
}

static char *read_text(const char *path)
{
	_cleanup_(fclosep) FILE *f = fopen(path, "re");
	char *text = calloc(1, 1UL << 20);

	if (!text)
		abort();
	if (f)
		(void)!fread(text, 1, (1UL << 20) - 1, f);
	return text;
}

static void note_addresses(struct pair *p)
{
	_cleanup_(freep) char *text = read_text(p->programs[PAIR_COLLECTOR].stderr_path);
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		const char *words = ready_words(line);

		if (words && ready_value(words, "grpc", p->grpc, sizeof(p->grpc)))
			(void)ready_value(words, "http", p->http, sizeof(p->http));
	}
}

int pair_start_collector(struct pair *p, struct err *e)
{
	struct words w = {0};
	int r;

	snprintf(p->record_path, sizeof(p->record_path), "%s/record-%u.njr", p->dir,
		 p->programs[PAIR_COLLECTOR].starts);
	add(&w, "--cluster=" CLUSTER);
	add(&w, "--grpc-listen=%s", p->grpc);
	add(&w, "--http-listen=%s", p->http);
	add_tls(&w, p, "collector");
	add(&w, "--data-dir=%s/data", p->dir);
	add(&w, "--log-alerts-file=%s", p->alerts_path);
	add(&w, "--record-file=%s", p->record_path);
	r = start(p, PAIR_COLLECTOR, w.list, e);
	if (r < 0)
		return r;
	if (!pair_await(p, PAIR_COLLECTOR, ": ready "))
		return err_set(e, -ETIMEDOUT, "the collector did not become ready");
	note_addresses(p);
	return 0;
}

int pair_start_agent(struct pair *p, const char *const *words, struct err *e)
{
	struct words w = {0};

	add(&w, "--node-name=" NODE);
	add(&w, "--node-cluster=" CLUSTER);
	add(&w, "--collector-address=%s", p->grpc);
	add_tls(&w, p, "agent");
	add(&w, "--uplink-backoff-max=200ms");
	for (; words && *words; words++)
		add(&w, "%s", *words);
	return start(p, PAIR_AGENT, w.list, e);
}

/* ---- waiting ---- */

static int remaining_ms(uint64_t deadline_ns)
{
	uint64_t now = clock_monotonic_ns();

	return now >= deadline_ns ? 0 : (int)((deadline_ns - now) / NS_PER_MS) + 1;
}

/* Something was written below the directory, or the time is over. */
static void await_change(const struct pair *p, uint64_t deadline_ns)
{
	struct pollfd changed = {.fd = p->watch, .events = POLLIN};
	char events[4096];

	if (poll(&changed, 1, remaining_ms(deadline_ns)) > 0)
		(void)!read(p->watch, events, sizeof(events));
}

static bool has_said(const struct program *program, const char *text)
{
	_cleanup_(freep) char *said = read_text(program->stderr_path);

	return strstr(said, text) != NULL;
}

bool pair_await(struct pair *p, enum pair_program which, const char *text)
{
	uint64_t deadline = clock_monotonic_ns() + AWAIT_MS * NS_PER_MS;

	while (!has_said(&p->programs[which], text)) {
		if (remaining_ms(deadline) == 0) {
			_cleanup_(freep) char *said = read_text(p->programs[which].stderr_path);

			fprintf(stderr, "%s never said '%s', but:\n%s\n", p->programs[which].name, text, said);
			return false;
		}
		await_change(p, deadline);
	}
	return true;
}

/* ---- end ---- */

static int reap(struct program *program)
{
	int status = 0;

	(void)waitpid(program->pid, &status, 0);
	closep(&program->pidfd);
	program->pidfd = -1;
	program->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void pair_kill(struct pair *p, enum pair_program which)
{
	struct program *program = &p->programs[which];

	if (program->pid <= 0)
		return;
	(void)kill(program->pid, SIGKILL);
	(void)reap(program);
}

int pair_stop(struct pair *p, enum pair_program which)
{
	struct program *program = &p->programs[which];
	struct pollfd ended = {.fd = program->pidfd, .events = POLLIN};

	(void)kill(program->pid, SIGTERM);
	if (poll(&ended, 1, HARNESS_STOP_MS) > 0)
		return reap(program);
	pair_kill(p, which);
	return -ETIMEDOUT;
}

int pair_signal(struct pair *p, enum pair_program which, int signal)
{
	return kill(p->programs[which].pid, signal) < 0 ? -errno : 0;
}

/* ---- what is reported ---- */

typedef bool (*alert_fn)(void *ctx, json_t *alert);

/* All that are written, until one is wanted: a new reference to it, or NULL. */
static json_t *each_alert(const struct pair *p, alert_fn wants, void *ctx)
{
	_cleanup_(freep) char *text = read_text(p->alerts_path);

	for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
		json_t *alert = json_loadb(line, (size_t)(end - line), 0, NULL);

		if (wants(ctx, alert))
			return alert;
		json_decref(alert);
	}
	return NULL;
}

static bool is_of_rule(void *rule, json_t *alert)
{
	const char *its_rule = json_string_value(json_object_get(alert, "rule"));

	return its_rule && strcmp(its_rule, rule) == 0;
}

struct counting {
	const char *rule;
	const struct run *run;
	size_t count;
};

static bool count_alert(void *ctx, json_t *alert)
{
	struct counting *c = ctx;

	c->count += is_of_rule((void *)(uintptr_t)c->rule, alert) && (!c->run || run_owns_alert(c->run, alert));
	return false;
}

size_t pair_count_alerts(struct pair *p, const struct run *run, const char *rule)
{
	struct counting c = {rule, run, 0};

	(void)each_alert(p, count_alert, &c);
	return c.count;
}

json_t *pair_alert(struct pair *p, const char *rule)
{
	return each_alert(p, is_of_rule, (void *)(uintptr_t)rule);
}

/* Each thread's /proc line: time on a CPU, time in wait for one, turns. */
uint64_t pair_cpu_wait_ns(const struct pair *p, enum pair_program which)
{
	char path[64];
	uint64_t sum = 0;
	glob_t threads;

	snprintf(path, sizeof(path), "/proc/%d/task/*/schedstat", (int)p->programs[which].pid);
	if (glob(path, 0, NULL, &threads) != 0)
		return 0;
	for (size_t i = 0; i < threads.gl_pathc; i++) {
		_cleanup_(freep) char *text = read_text(threads.gl_pathv[i]);
		unsigned long long waited = 0;

		(void)sscanf(text, "%*u %llu", &waited);
		sum += waited;
	}
	globfree(&threads);
	return sum;
}

bool pair_await_alert(struct pair *p, const struct run *run, const char *rule)
{
	uint64_t deadline = clock_monotonic_ns() + AWAIT_MS * NS_PER_MS;

	while (pair_count_alerts(p, run, rule) == 0) {
		if (remaining_ms(deadline) == 0)
			return false;
		await_change(p, deadline);
	}
	return true;
}

int pair_metric(const struct pair *p, const char *name, uint64_t *ret_value)
{
	char host[ADDRESS_MAX];
	const char *colon = strrchr(p->http, ':');

	snprintf(host, sizeof(host), "%.*s", (int)(colon - p->http), p->http);
	return harness_metric(host, (uint16_t)strtoul(colon + 1, NULL, 10), name, ret_value);
}

bool pair_sanitizer_spoke(const struct pair *p)
{
	char path[96];
	bool spoke = false;

	for (int i = 0; i < PAIR_PROGRAMS; i++)
		for (unsigned int n = 0; n < p->programs[i].starts; n++) {
			name_stderr(p, &p->programs[i], n, path, sizeof(path));
			spoke |= harness_sanitizer_spoke(path);
		}
	return spoke;
}

const char *pair_recording(const struct pair *p)
{
	return p->record_path;
}

json_t *pair_node(const struct pair *p)
{
	char path[PATH_MAX], command[PATH_MAX + 512];
	json_t *node = NULL;
	FILE *in;

	program_path("nightjar", path);
	snprintf(command, sizeof(command),
		 "%s nodes --output json --server %s --ca %s/ca.pem --cert %s/reader.pem --key %s/reader-key.pem", path,
		 p->grpc, p->certs, p->certs, p->certs);
	in = popen(command, "re");
	if (in) {
		node = json_loadf(in, JSON_DISABLE_EOF_CHECK, NULL);
		(void)pclose(in);
	}
	return node;
}
