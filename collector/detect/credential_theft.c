/* credential_theft: somebody opens a file that holds credentials and has no business with it.
 *
 * Business is a matter of the program (a root-owned file in a system directory, by its resolved
 * path; for a script, the script), of its ancestors (package managers), or of being what a
 * container is there to run. How severe it is follows from the secret and the lineage: worst below
 * a reverse shell, less for root's scheduled copies, least for an attempt that the kernel refused.
 *
 * One alert per session, program and secret; repeats are revisions, each time the count has
 * doubled. Per shard 1024 of these are remembered, the least recently used goes. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/detect/detectors.h"
#include "collector/detect/interpreter.h"
#include "collector/detect/secret.h"
#include "collector/entity/entities.h"
#include "collector/verdict.h"

#define FINDINGS      1024U
#define ANCESTORS_MAX 16
#define PATH_LEN      1024

struct finding_key {
	uint64_t exe; /* inode of the program */
	uint32_t node;
	uint32_t session;
	uint64_t secret;
};

struct finding {
	char id[VERDICT_ID_SIZE];
	uint32_t count;
	uint32_t next_report;
	uint32_t revision;
	uint64_t last_ns;
};

struct credential_theft {
	struct table *findings;
};

/* The open as it was judged. */
struct act {
	const struct secret *secret;
	const char *path;
	bool refused;
};

static int init(void *state)
{
	struct credential_theft *ct = state;

	ct->findings = table_new(&(struct table_config){
		.key_size = sizeof(struct finding_key),
		.record_size = sizeof(struct finding),
		.capacity = FINDINGS,
	});
	return ct->findings ? 0 : -ENOMEM;
}

static void done(void *state)
{
	table_free(((struct credential_theft *)state)->findings);
}

/* What was opened; of a refused open only the argument is known, perhaps relative. */
static const char *path_of(const struct event *event, char text[PATH_LEN])
{
	if (event->file.path[0])
		return event->file.path;
	if (event->raw_path[0] == '/' || !event->process->cwd[0])
		return event->raw_path;
	(void)snprintf(text, PATH_LEN, "%s/%s", event->process->cwd, event->raw_path);
	return text;
}

static bool is_reading(const struct event *event)
{
	if ((event->flags & O_ACCMODE) == O_WRONLY || (event->flags & O_PATH))
		return false;
	return event->result >= 0 || event->result == -EACCES || event->result == -EPERM;
}

static const char *last_component(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The name under which an image is judged: its own or, for an interpreter, its script's; NULL when
 * that is in a place where anybody might have put it. */
static const char *trusted_name(const struct image *image)
{
	const char *script = interpreter_script(image);

	if (!image_trusted(image))
		return NULL;
	if (interpreter_applet(image))
		return interpreter_applet(image);
	if (!script)
		return image_name(image);
	if (strncmp(script, "/usr/", 5) == 0 && !strstr(script, ".."))
		return last_component(script);
	return NULL;
}

static bool has_business(const struct entities *en, const struct process *p,
			 const struct secret *secret)
{
	const char *name = trusted_name(p->image);

	if (name && secret_in(secret->readers, name))
		return true;
	if (name && secret->viewers && !p->party_count && secret_in(secret->viewers, name))
		return true;
	for (int i = 0; secret->lineages[0] && p && i < ANCESTORS_MAX; i++) {
		name = trusted_name(p->image);
		if (name && secret_in(secret->lineages, name))
			return true;
		p = process_parent(en, p);
	}
	return false;
}

/* The process that /proc/PID names: itself, or one that it started. Inside a container the number
 * is one of another namespace, and only "self" can be told. */
static bool is_own_environ(const struct detect_context *ctx, const struct process *p,
			   const char *path)
{
	const struct workload *w = workload_find(ctx->entities, p->container);
	const struct process *target;
	unsigned long pid;

	if (strncmp(ctx->event->raw_path, "/proc/self/", 11) == 0 ||
	    strncmp(ctx->event->raw_path, "/proc/thread-self/", 18) == 0)
		return true;
	pid = strncmp(path, "/proc/", 6) == 0 ? strtoul(path + 6, NULL, 10) : 0;
	if (!pid || pid > UINT32_MAX || (w && !w->host))
		return false;
	target = process_by_pid(ctx->entities, ctx->node->id, (uint32_t)pid);
	return pid == p->key.pid || (target && process_is_ancestor(ctx->entities, p, target));
}

/* What the container is there to run: its first program itself, or, started from that one, a
 * program of the application's own (outside the system's directories, or a script). Who was let in
 * later (kubectl exec) does not descend from it. */
static bool is_workload_itself(const struct detect_context *ctx, const struct process *p)
{
	const struct workload *w = workload_find(ctx->entities, p->container);
	struct process_key key;
	const struct process *entry;

	if (!w || w->host || !p->image)
		return false;
	if (p->image->inode == w->entry_inode && p->image->device == w->entry_device &&
	    !interpreter_is(p->image))
		return true;
	key = (struct process_key){
		.start_ns = w->entry_start_ns, .node = p->key.node, .pid = w->entry_pid};
	entry = process_find(ctx->entities, &key);
	if (!entry || (entry != p && !process_is_ancestor(ctx->entities, entry, p)))
		return false;
	return interpreter_is(p->image) ? interpreter_script(p->image) != NULL
					: !image_trusted(p->image);
}

/* A shell script that is the container's first program, and what that very shell starts: its
 * $(cat token). A shell that another program started, and what was let in later, is none of it. */
static bool is_entry_script(const struct detect_context *ctx, const struct process *p)
{
	const struct workload *w = workload_find(ctx->entities, p->container);

	if (!w || w->host || (p->marks & PROCESS_ACCEPTED))
		return false;
	for (int i = 0; p && i < ANCESTORS_MAX; i++) {
		if (i > 0 &&
		    (!interpreter_is_shell(p->image) || p->image->inode != w->entry_inode ||
		     p->image->exec_ns > w->entry_start_ns + WORKLOAD_START_NS))
			return false;
		if (p->key.pid == w->entry_pid && p->key.start_ns == w->entry_start_ns)
			return i > 0;
		p = process_parent(ctx->entities, p);
	}
	return false;
}

static bool is_theft(const struct detect_context *ctx, const struct process *p,
		     const struct act *act)
{
	const struct workload *w = workload_find(ctx->entities, p->container);

	if (strcmp(act->secret->name, "environ") == 0 && is_own_environ(ctx, p, act->path))
		return false;
	if (strcmp(act->secret->name, "service_account_token") == 0 &&
	    (is_workload_itself(ctx, p) || is_entry_script(ctx, p)))
		return false;
	if (has_business(ctx->entities, p, act->secret))
		return false;
	return baseline_ask(ctx->options->baseline, w ? w->workload : "", image_exe(p->image),
			    BASELINE_READS_SECRET) != BASELINE_USUAL;
}

/* Root's nightly copy: a copying program of the system that a service started, or cron, and nobody
 * over the network. Worth a look, since a thief may use cron. */
static bool is_backup(const struct detect_context *ctx, const struct process *p)
{
	static const char *const copiers[] = {
		"cp",	     "tar",   "bsdtar",	   "cpio",	"rsync",
		"restic",    "borg",  "bacula-fd", "duplicity", "rdiff-backup",
		"rsnapshot", "kopia", "zip",	   "7z",	NULL,
	};
	static const char *const schedulers[] = {"cron", "crond", "anacron", "atd", "fcron", NULL};
	const struct workload *w = workload_find(ctx->entities, p->container);
	const char *name = trusted_name(p->image);

	if (!name || !secret_in(copiers, name) || p->uid != 0 || (p->marks & PROCESS_ACCEPTED))
		return false;
	if (w && w->system_service)
		return true;
	for (int i = 0; p && i < ANCESTORS_MAX; i++) {
		name = trusted_name(p->image);
		if (name && secret_in(schedulers, name))
			return true;
		p = process_parent(ctx->entities, p);
	}
	return false;
}

/* By what was read, and by who: a lineage that takes its commands from outside is worst. */
static void grade(struct alert *a, const struct detect_context *ctx, const struct process *p,
		  const struct act *act)
{
	const struct secret *secret = act->secret;

	if (p->party_count)
		verdict_grade(a, act->refused ? "high" : "critical", act->refused ? 0.8 : 0.95);
	else if (act->refused)
		verdict_grade(a, "low", secret->score / 2);
	else if (is_backup(ctx, p))
		verdict_grade(a, "medium", secret->score * 0.75);
	else
		verdict_grade(a, secret->severity, secret->score);
}

static void report(struct finding *f, const struct detect_context *ctx, struct process *p,
		   const struct act *act)
{
	struct alert *a = verdict_of(&credential_theft_detector, ctx, p);

	if (!a)
		return;
	if (f->id[0])
		verdict_revise(a, f->id, ++f->revision, f->count);
	else
		(void)snprintf(f->id, sizeof(f->id), "%s", a->msg.id);
	f->next_report = f->count * 2;
	p->marks |= PROCESS_REPORTED;
	verdict_techniques(a, act->secret->techniques);
	grade(a, ctx, p, act);
	verdict_output(a, "%s (pid %u) on %s %s %s: %s", image_exe(p->image), p->key.pid,
		       ctx->node->node, act->refused ? "was refused" : "opened", act->secret->what,
		       act->path);
	verdict_evidence(a, "secret", "%s", act->secret->name);
	verdict_evidence(a, "path", "%s", act->path);
	if (p->image)
		verdict_step(a, (uint64_t)((int64_t)p->image->exec_ns + ctx->node->wall_offset_ns),
			     "exec", p->exec_id, "%s (%u) started", image_exe(p->image),
			     p->key.pid);
	verdict_step(a, ctx->wall_ns, "open", p->exec_id, "%s (%u) %s %s", image_name(p->image),
		     p->key.pid, act->refused ? "was refused" : "opened", act->path);
	ctx->out->alert(ctx->out->ctx, a);
}

/* One, or as many as a closed window has summed up. */
static uint32_t acts(const struct event *event)
{
	uint64_t n = event->repeats ? event->repeats : 1;

	return n < UINT16_MAX ? (uint32_t)n : UINT16_MAX;
}

static void note(struct credential_theft *ct, const struct detect_context *ctx,
		 const struct act *act)
{
	struct process *p = ctx->process;
	struct finding_key key = {
		.exe = p->image ? p->image->inode : 0,
		.node = p->key.node,
		.session = p->session ? p->session : p->key.pid,
		.secret = secret_index(act->secret) << 1 | act->refused,
	};
	struct finding *f = table_put(ct->findings, &key, NULL);

	if (f->id[0] && f->last_ns + ctx->options->repeat_window_ns < ctx->event->time_ns)
		*f = (struct finding){0};
	f->last_ns = ctx->event->time_ns;
	f->count += acts(ctx->event);
	if (!f->id[0] || f->count >= f->next_report)
		report(f, ctx, p, act);
}

static void handle(void *state, const struct detect_context *ctx)
{
	char text[PATH_LEN];
	struct act act = {0};

	if (!ctx->process || !is_reading(ctx->event))
		return;
	act.path = path_of(ctx->event, text);
	act.refused = ctx->event->result < 0;
	act.secret = secret_of(act.path);
	if (!act.secret && !act.refused)
		act.secret = secret_of(ctx->event->raw_path);
	if (act.secret && is_theft(ctx, ctx->process, &act))
		note(state, ctx, &act);
}

static void evicted(const void *state, struct evicted *counts)
{
	counts->of[EVICTED_FINDINGS] =
		evicted_of(((const struct credential_theft *)state)->findings);
}

static const char *const tactics[] = {"TA0006", NULL};
static const char *const techniques[] = {"T1003.007", "T1003.008", "T1528", "T1552.001",
					 "T1552.004", "T1552.007", NULL};

static const char *const classes[] = {"file", NULL};

const struct detector credential_theft_detector = {
	.name = "credential_theft",
	.title = "Credential access",
	.help = "A file that holds credentials is opened by a lineage that has no business with "
		"it.",
	.kinds = DETECT_KIND(EVENT_KIND_OPEN),
	.needs = {.classes = classes, .open_names = secret_open_names},
	.severity = "critical",
	.score = 0.8,
	.tactics = tactics,
	.techniques = techniques,
	.state_size = sizeof(struct credential_theft),
	.init = init,
	.handle = handle,
	.evicted = evicted,
	.done = done,
};
