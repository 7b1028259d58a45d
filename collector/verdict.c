/* Filling of the Alert message; see verdict.h. */
#include "collector/verdict.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>
#include <xxhash.h>

#include "collector/entity/entities.h"
#include "common/clock.h"

#define ANCESTORS_MAX 12
#define EVIDENCE_MAX  16
#define FIELDS_MAX    16

static char *keep(struct alert *a, const char *text)
{
	char *copy = text && text[0] ? arena_strdup(a->arena, text) : NULL;

	return copy ? copy : (char *)protobuf_c_empty_string;
}

static char *vprint(struct alert *a, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));

static char *vprint(struct alert *a, const char *fmt, va_list ap)
{
	char text[1024];

	(void)vsnprintf(text, sizeof(text), fmt, ap);
	return keep(a, text);
}

/* Crockford's alphabet: 48 bits of milliseconds, then 80 bits of hash, five bits a letter. */
void verdict_id(const char *rule, const struct verdict_event *event, char ret_id[VERDICT_ID_SIZE])
{
	static const char letters[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	uint64_t ms = event->wall_ns / NS_PER_MS;
	char text[768];
	int len = snprintf(text, sizeof(text), "%s\n%s\n%s\n%s\n%llu\n%llx", rule, event->cluster,
			   event->node, event->boot_id, (unsigned long long)event->seq,
			   (unsigned long long)event->exec_id);
	XXH128_hash_t hash =
		XXH3_128bits(text, len < (int)sizeof(text) ? (size_t)len : sizeof(text) - 1);
	unsigned __int128 bits = (unsigned __int128)(hash.high64 & 0xffff) << 64 | hash.low64;

	for (int i = 9; i >= 0; i--, ms >>= 5)
		ret_id[i] = letters[ms & 31];
	for (int i = 25; i >= 10; i--, bits >>= 5)
		ret_id[i] = letters[(unsigned int)bits & 31];
	ret_id[26] = '\0';
}

static Google__Protobuf__Timestamp *timestamp(struct alert *a, uint64_t wall_ns)
{
	Google__Protobuf__Timestamp *t = arena_alloc(a->arena, sizeof(*t));

	if (!t)
		return NULL;
	google__protobuf__timestamp__init(t);
	t->seconds = (int64_t)(wall_ns / NS_PER_SEC);
	t->nanos = (int32_t)(wall_ns % NS_PER_SEC);
	return t;
}

static size_t count(const char *const *list)
{
	size_t n = 0;

	while (list[n])
		n++;
	return n;
}

/* The rows' strings are constants: the message points to them. */
static void attack(struct alert *a, const struct detector *detector)
{
	Nightjar__V1__Attack *at = arena_alloc(a->arena, sizeof(*at));

	if (!at)
		return;
	nightjar__v1__attack__init(at);
	at->n_tactics = count(detector->tactics);
	at->tactics = (char **)detector->tactics;
	at->n_techniques = count(detector->techniques);
	at->techniques = (char **)detector->techniques;
	a->msg.attack = at;
}

void verdict_techniques(struct alert *a, const char *const *techniques)
{
	if (!a->msg.attack)
		return;
	a->msg.attack->n_techniques = count(techniques);
	a->msg.attack->techniques = (char **)techniques;
}

struct alert *verdict_new(const struct detector *detector, const struct verdict_event *event)
{
	struct alert *a = alert_new();
	char id[VERDICT_ID_SIZE];

	if (!a)
		return NULL;
	verdict_id(detector->name, event, id);
	a->msg.schema = keep(a, "1");
	a->msg.id = keep(a, id);
	a->msg.op = keep(a, "create");
	a->msg.time = timestamp(a, event->wall_ns);
	a->msg.kind = keep(a, detector->kind ? detector->kind : "chain");
	a->msg.rule = keep(a, detector->name);
	a->msg.title = keep(a, detector->title);
	a->msg.cluster = keep(a, event->cluster);
	a->msg.node = keep(a, event->node);
	a->msg.count = 1;
	verdict_grade(a, detector->severity, detector->score);
	attack(a, detector);
	a->msg.timing = arena_alloc(a->arena, sizeof(*a->msg.timing));
	if (!a->msg.timing)
		return a;
	nightjar__v1__timing__init(a->msg.timing);
	a->msg.timing->event_ns = (int64_t)event->wall_ns;
	a->msg.timing->received_ns = (int64_t)event->received_ns;
	return a;
}

void verdict_grade(struct alert *a, const char *severity, double score)
{
	a->msg.severity = keep(a, severity);
	a->msg.score = score;
}

void verdict_revise(struct alert *a, const char *id, uint32_t revision, uint32_t seen)
{
	a->msg.id = keep(a, id);
	a->msg.revision = revision;
	a->msg.op = keep(a, "update");
	a->msg.count = seen;
}

void verdict_close(struct alert *a)
{
	a->msg.op = keep(a, "close");
}

void verdict_remote(struct alert *a, const char *ip, uint32_t port)
{
	Nightjar__V1__Remote *remote = arena_alloc(a->arena, sizeof(*remote));

	if (!remote)
		return;
	nightjar__v1__remote__init(remote);
	remote->ip = keep(a, ip);
	remote->port = port;
	a->msg.remote = remote;
}

void verdict_place(struct alert *a, const char *namespace, const char *workload, const char *pod)
{
	a->msg.namespace_ = keep(a, namespace);
	a->msg.workload = keep(a, workload);
	a->msg.pod = keep(a, pod);
}

void verdict_output(struct alert *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	a->msg.output = vprint(a, fmt, ap);
	va_end(ap);
}

void verdict_evidence(struct alert *a, const char *key, const char *fmt, ...)
{
	Nightjar__V1__Alert__EvidenceEntry *entry = arena_alloc(a->arena, sizeof(*entry));
	va_list ap;

	if (!a->msg.evidence)
		a->msg.evidence = arena_alloc(a->arena, EVIDENCE_MAX * sizeof(entry));
	if (!entry || !a->msg.evidence || a->msg.n_evidence == EVIDENCE_MAX)
		return;
	nightjar__v1__alert__evidence_entry__init(entry);
	entry->key = keep(a, key);
	va_start(ap, fmt);
	entry->value = vprint(a, fmt, ap);
	va_end(ap);
	a->msg.evidence[a->msg.n_evidence++] = entry;
}

void verdict_field(struct alert *a, const char *key, const char *fmt, ...)
{
	Nightjar__V1__Alert__FieldsEntry *entry = arena_alloc(a->arena, sizeof(*entry));
	va_list ap;

	if (!a->msg.fields)
		a->msg.fields = arena_alloc(a->arena, FIELDS_MAX * sizeof(entry));
	if (!entry || !a->msg.fields || a->msg.n_fields == FIELDS_MAX)
		return;
	nightjar__v1__alert__fields_entry__init(entry);
	entry->key = keep(a, key);
	va_start(ap, fmt);
	entry->value = vprint(a, fmt, ap);
	va_end(ap);
	a->msg.fields[a->msg.n_fields++] = entry;
}

static bool step_before(const Google__Protobuf__Timestamp *x, const Google__Protobuf__Timestamp *y)
{
	if (!x || !y)
		return false;
	return x->seconds != y->seconds ? x->seconds < y->seconds : x->nanos < y->nanos;
}

static char *exec_id_text(struct alert *a, uint64_t exec_id)
{
	char *text =
		exec_id ? arena_printf(a->arena, "%016llx", (unsigned long long)exec_id) : NULL;

	return text ? text : (char *)protobuf_c_empty_string;
}

void verdict_step(struct alert *a, uint64_t wall_ns, const char *event, uint64_t exec_id,
		  const char *fmt, ...)
{
	Nightjar__V1__Step *step = arena_alloc(a->arena, sizeof(*step));
	va_list ap;
	size_t at;

	if (!a->msg.steps)
		a->msg.steps = arena_alloc(a->arena, VERDICT_STEPS_MAX * sizeof(step));
	if (!step || !a->msg.steps || a->msg.n_steps == VERDICT_STEPS_MAX)
		return;
	nightjar__v1__step__init(step);
	step->time = wall_ns ? timestamp(a, wall_ns) : NULL;
	step->event = keep(a, event);
	step->exec_id = exec_id_text(a, exec_id);
	va_start(ap, fmt);
	step->summary = vprint(a, fmt, ap);
	va_end(ap);
	for (at = a->msg.n_steps; at > 0 && step_before(step->time, a->msg.steps[at - 1]->time);
	     at--)
		a->msg.steps[at] = a->msg.steps[at - 1];
	a->msg.steps[at] = step;
	a->msg.n_steps++;
}

/* What follows such a word in an argument is not for other eyes. */
static char *redacted(struct alert *a, const char *arg)
{
	static const char *const words[] = {
		"password=", "passwd=",	 "token=",	    "secret=", "apikey=",
		"api-key=",  "api_key=", "authorization: ", NULL};

	for (const char *const *word = words; *word; word++) {
		const char *found = strcasestr(arg, *word);
		char *text;

		if (!found)
			continue;
		text = arena_printf(a->arena, "%.*s***", (int)(found + strlen(*word) - arg), arg);
		return text ? text : (char *)protobuf_c_empty_string;
	}
	return keep(a, arg);
}

static void take_args(struct alert *a, Nightjar__V1__AlertProcess *out, const struct image *image)
{
	const char *arg = NULL;

	if (!image || !image->arg_count)
		return;
	out->args = arena_alloc(a->arena, image->arg_count * sizeof(*out->args));
	while (out->args && out->n_args < image->arg_count && (arg = image_arg(image, arg)))
		out->args[out->n_args++] = redacted(a, arg);
}

static Nightjar__V1__AlertProcess *process_message(struct alert *a, const struct process *p,
						   int64_t wall_offset_ns)
{
	Nightjar__V1__AlertProcess *out = arena_alloc(a->arena, sizeof(*out));

	if (!out)
		return NULL;
	nightjar__v1__alert_process__init(out);
	out->exec_id = exec_id_text(a, p->exec_id);
	out->pid = p->key.pid;
	out->exe = keep(a, image_exe(p->image));
	out->cwd = keep(a, image_cwd(p->image));
	out->uid = p->uid;
	out->start_time = timestamp(a, (uint64_t)((int64_t)p->key.start_ns + wall_offset_ns));
	take_args(a, out, p->image);
	return out;
}

static void ancestry(struct alert *a, const struct detect_context *ctx, const struct process *p)
{
	Nightjar__V1__AlertProcess *out = process_message(a, p, ctx->node->wall_offset_ns);
	const struct process *up = process_parent(ctx->entities, p);

	a->msg.process = out;
	if (!out || !up)
		return;
	out->parent = process_message(a, up, ctx->node->wall_offset_ns);
	out->ancestors = arena_alloc(a->arena, ANCESTORS_MAX * sizeof(*out->ancestors));
	while (out->ancestors && out->n_ancestors < ANCESTORS_MAX &&
	       (up = process_parent(ctx->entities, up))) {
		Nightjar__V1__AlertProcess *next =
			process_message(a, up, ctx->node->wall_offset_ns);

		if (!next)
			return;
		out->ancestors[out->n_ancestors++] = next;
	}
}

static void take_labels(struct alert *a, const struct workload *w)
{
	const char *at = w->labels;

	a->msg.n_labels = 0;
	a->msg.labels = w->label_count ? arena_alloc(a->arena, w->label_count * sizeof(*a->msg.labels)) : NULL;
	for (uint32_t i = 0; a->msg.labels && i < w->label_count; i++) {
		Nightjar__V1__Alert__LabelsEntry *entry = arena_alloc(a->arena, sizeof(*entry));

		if (!entry)
			return;
		nightjar__v1__alert__labels_entry__init(entry);
		entry->key = keep(a, at);
		at += strlen(at) + 1;
		entry->value = keep(a, at);
		at += strlen(at) + 1;
		a->msg.labels[a->msg.n_labels++] = entry;
	}
}

void verdict_workload(struct alert *a, const struct workload *w)
{
	Nightjar__V1__Container *container;

	verdict_place(a, w->namespace, w->workload, w->pod);
	a->msg.workload_kind = keep(a, w->workload_kind);
	a->msg.service_account = keep(a, w->service_account);
	take_labels(a, w);
	if (w->host)
		return;
	container = arena_alloc(a->arena, sizeof(*container));
	if (!container)
		return;
	nightjar__v1__container__init(container);
	container->id = keep(a, w->container_id);
	container->name = keep(a, w->name);
	container->image = keep(a, w->image);
	a->msg.container = container;
}

struct alert *verdict_of(const struct detector *detector, const struct detect_context *ctx,
			 const struct process *p)
{
	struct verdict_event event = {
		.cluster = ctx->node->cluster,
		.node = ctx->node->node,
		.boot_id = ctx->node->boot_id,
		.seq = ctx->event->seq,
		.wall_ns = ctx->wall_ns,
		.received_ns = ctx->received_ns,
		.exec_id = p->exec_id,
	};
	struct alert *a = verdict_new(detector, &event);
	const struct workload *w;

	if (!a)
		return NULL;
	ancestry(a, ctx, p);
	w = workload_find(ctx->entities, p->container);
	if (w)
		verdict_workload(a, w);
	return a;
}
