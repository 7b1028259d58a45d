/* See node.h. */
#include "tests/containers/node.h"

#define READY_MS 60000

static bool is_resolved(const struct container_def *def)
{
	return def->pod[0] && def->namespace[0] && def->name[0] && (def->image[0] || strcmp(def->name, "POD") == 0);
}

static void copy(char *out, size_t size, const char *text)
{
	(void)snprintf(out, size, "%s", text);
}

static void note_details(struct told *t, const struct container_def *def)
{
	copy(t->pod, sizeof(t->pod), def->pod);
	copy(t->pod_uid, sizeof(t->pod_uid), def->pod_uid);
	copy(t->namespace, sizeof(t->namespace), def->namespace);
	copy(t->name, sizeof(t->name), def->name);
	copy(t->image, sizeof(t->image), def->image);
	copy(t->image_id, sizeof(t->image_id), def->image_id);
	t->privileged = def->privileged;
	t->cap_bounding = def->cap_bounding;
	t->start_ns = def->start_ns ? def->start_ns : t->start_ns;
	for (uint16_t i = 0; i < def->label_count; i++)
		if (strcmp(def->labels[i].key, "app") == 0)
			copy(t->app, sizeof(t->app), def->labels[i].value);
	for (uint16_t i = 0; i < def->mount_count; i++)
		if (strcmp(def->mounts[i].destination, "/host/etc") == 0)
			t->host_etc = def->mounts[i].readonly && strcmp(def->mounts[i].source, "/etc") == 0;
}

static struct told *note_container(struct node *n, const struct container_def *def)
{
	struct told *t;
	bool is_new;

	if (strlen(def->container_id) != 64)
		return NULL;
	t = table_put(n->told, def->container_id, &is_new);
	if (is_new)
		t->first_ns = clock_monotonic_ns();
	if (!is_resolved(def))
		return t;
	if (t->resolved_ns == 0)
		t->resolved_ns = clock_monotonic_ns();
	note_details(t, def);
	return t;
}

static void note_process(struct node *n, const struct process_def *p)
{
	struct image *image = table_put(n->images, &p->exec_id, NULL);
	struct told *t = note_container(n, p->container);

	image->pid = p->pid;
	copy(image->exe, sizeof(image->exe), p->exe.path);
	copy(image->container_id, sizeof(image->container_id), p->container->container_id);
	if (t)
		t->events++;
}

/* Listener's thread, lock held. */
static void on_batch(void *ctx, const struct wire_batch *batch)
{
	struct node *n = ctx;

	for (uint32_t i = 0; i < batch->container_count; i++)
		(void)note_container(n, batch->containers[i]);
	for (uint32_t i = 0; i < batch->event_count; i++) {
		const struct event *event = &batch->events[i];

		note_process(n, event->process);
		if (event->child)
			note_process(n, event->child);
		if (event->kind == EVENT_KIND_EXIT)
			((struct image *)table_get(n->images, &event->process->exec_id))->ended = true;
	}
	for (uint32_t i = 0; i < batch->loss_count; i++) {
		const struct loss *loss = &batch->losses[i];

		printf("lost: %llu of %s, reason %d\n", (unsigned long long)loss->count, loss->class, loss->reason);
		if (loss->reason != LOSS_REASON_RING || strcmp(loss->class, "process") == 0)
			n->lost += loss->count;
	}
}

void node_init(struct node *n)
{
	struct table_config told = {.key_size = 64, .record_size = sizeof(struct told), .capacity = 4096};
	struct table_config images = {
		.key_size = sizeof(uint64_t), .record_size = sizeof(struct image), .capacity = 65536};

	*n = (struct node){.agent = PRODUCT_NONE};
	n->told = table_new(&told);
	n->images = table_new(&images);
	assert_true(n->told && n->images);
	n->fake = fake_new();
	n->fake->batch = on_batch;
	n->fake->batch_ctx = n;
	fake_start(n->fake, "127.0.0.1:0");
}

void node_done(struct node *n)
{
	product_done(&n->agent);
	fake_free(n->fake);
	table_free(n->told);
	table_free(n->images);
}

void node_start_agent(struct node *n, const char *socket)
{
	const char *dir = n->fake->dir;
	char path[96];
	const char *const argv[] = {"nightjar-agent", "--config", path, NULL};
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/agent.yaml", dir);
	f = fopen(path, "we");
	assert_non_null(f);
	(void)fprintf(f,
		      "collector:\n  address: \"%s\"\ntls:\n  ca: %s/ca.pem\n  cert: %s/agent.pem\n"
		      "  key: %s/agent-key.pem\ncontainer:\n  cri_socket: \"%s\"\n",
		      n->fake->target, dir, dir, dir, socket);
	assert_int_equal(fclose(f), 0);
	product_done(&n->agent);
	n->agent = (struct product)PRODUCT_NONE;
	product_start(&n->agent, argv, NULL, NULL);
	if (!product_says(&n->agent, "nightjar-agent: ready", READY_MS))
		fail_msg("the agent does not start: %s", buf_text(&n->agent.text));
}

void node_stop_agent(struct node *n)
{
	assert_int_equal(product_stop(&n->agent), 0);
}

uint64_t node_agent_rss_kb(const struct node *n)
{
	char path[64], line[256];
	uint64_t kb = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", n->agent.pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (kb == 0 && fgets(line, sizeof(line), f))
		(void)sscanf(line, "VmRSS: %lu", &kb);
	(void)fclose(f);
	return kb;
}

bool node_told(struct node *n, const char *container_id, struct told *ret_told)
{
	const struct told *t;

	(void)pthread_mutex_lock(&n->fake->lock);
	t = table_peek(n->told, container_id);
	if (t)
		*ret_told = *t;
	(void)pthread_mutex_unlock(&n->fake->lock);
	return t != NULL;
}

/* Lock held: until something comes or the time is over. False then. */
static bool wait_change(struct node *n, uint64_t until_ns)
{
	const struct timespec until = clock_timespec(until_ns);

	return pthread_cond_timedwait(&n->fake->changed, &n->fake->lock, &until) == 0;
}

static bool await_told(struct node *n, const char *container_id, bool resolved, int timeout_ms)
{
	uint64_t until = clock_wall_ns() + (uint64_t)timeout_ms * NS_PER_MS;
	bool in_time = true, there;

	(void)pthread_mutex_lock(&n->fake->lock);
	for (;;) {
		const struct told *t = table_peek(n->told, container_id);

		there = t && (!resolved || t->resolved_ns);
		if (there || !in_time)
			break;
		in_time = wait_change(n, until);
	}
	(void)pthread_mutex_unlock(&n->fake->lock);
	return there;
}

bool node_hears_of(struct node *n, const char *container_id, int timeout_ms)
{
	return await_told(n, container_id, false, timeout_ms);
}

bool node_resolves(struct node *n, const char *container_id, int timeout_ms)
{
	return await_told(n, container_id, true, timeout_ms);
}

struct search {
	uint32_t pid;
	const char *exe;
	uint64_t exec_id;
	struct image found;
};

/* The newest one. */
static bool match(void *ctx, const void *key, void *record)
{
	struct search *s = ctx;
	const struct image *image = record;

	if (image->pid == s->pid && !image->ended && strcmp(image->exe, s->exe) == 0) {
		memcpy(&s->exec_id, key, sizeof(s->exec_id));
		s->found = *image;
	}
	return true;
}

bool node_process(struct node *n, uint32_t pid, const char *exe, uint64_t *ret_exec_id, struct image *ret_image,
		  int timeout_ms)
{
	uint64_t until = clock_wall_ns() + (uint64_t)timeout_ms * NS_PER_MS;
	struct search s = {.pid = pid, .exe = exe};
	bool in_time = true;

	(void)pthread_mutex_lock(&n->fake->lock);
	for (;;) {
		table_each(n->images, match, &s);
		if (s.exec_id || !in_time)
			break;
		in_time = wait_change(n, until);
	}
	(void)pthread_mutex_unlock(&n->fake->lock);
	*ret_exec_id = s.exec_id;
	*ret_image = s.found;
	return s.exec_id != 0;
}

void node_forget_processes(struct node *n)
{
	(void)pthread_mutex_lock(&n->fake->lock);
	table_clear(n->images);
	(void)pthread_mutex_unlock(&n->fake->lock);
}
