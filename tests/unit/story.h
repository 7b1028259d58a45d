/* Stories for the detectors: a test says who starts whom and what they do, in order, and then asks
 * what was reported. Times and numbers are made up here, always the same way.
 *
 *   struct actor *shell = story_start(&s, init, "/usr/bin/bash", ARGS("-bash"), FDS());
 *   struct actor *child = story_fork(&s, shell);
 *   story_exec(&s, child, "/usr/bin/sh", ARGS("sh", "-i"), FDS(tcp(0, &peer), tcp(1, &peer)));
 *   story_tell(&s, 64);
 *   assert_int_equal(s.alert_count, 1);
 */
#pragma once

#include "tests/unit/unit.h"

#include <arpa/inet.h>

#include "collector/detect/detect.h"
#include "collector/stage1.h"
#include "collector/stage2.h"

#define STORY_EVENTS  8192
#define STORY_ALERTS  256
#define STORY_STEP_NS 1000000ULL /* between two events: 1 ms */
#define STORY_WALL    1700000000000000000LL

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define FDS(...)  ((const struct endpoint[]){__VA_ARGS__ __VA_OPT__(, ){.kind = ENDPOINT_KIND_MAX}})
#define unused_fn __attribute__((unused))

struct actor {
	struct process_def def;
	uint32_t images;
};

struct story {
	struct arena *arena;
	struct metrics *metrics;
	struct stage1 *stage1;
	struct stage1_out out;
	struct detect_options options;
	struct event events[STORY_EVENTS];
	uint32_t event_count;
	uint32_t told;
	uint64_t now_ns;
	uint32_t next_pid;
	struct alert *alerts[STORY_ALERTS];
	uint32_t alert_count;
	struct observation *observations;
	uint32_t observation_count;
	const char *node;
	const struct container_def *container; /* of the next story_start */
	uint32_t exe_uid;		       /* of the next exec: who owns the file */
};

static void story_on_alert(void *ctx, struct alert *alert)
{
	struct story *s = ctx;

	assert_true(s->alert_count < STORY_ALERTS);
	s->alerts[s->alert_count++] = alert;
}

static void story_on_observation(void *ctx, const struct observation *observation)
{
	struct story *s = ctx;

	s->observations =
		realloc(s->observations, (s->observation_count + 1) * sizeof(*observation));
	assert_non_null(s->observations);
	s->observations[s->observation_count++] = *observation;
}

static const struct container_def story_host = {
	.container_id = "", .pod_uid = "", .name = "", .image = "", .pod = "", .namespace = "",
	.cgroup = "/user.slice/session-1.scope", .image_id = "", .workload = ""};

unused_fn static struct story *story_new(void)
{
	struct story *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->arena = arena_new(0);
	s->metrics = metrics_new();
	detect_options_default(&s->options);
	s->out = (struct stage1_out){
		.alert = story_on_alert, .observe = story_on_observation, .ctx = s};
	s->stage1 = stage1_new(&s->options, &s->out, s->metrics);
	assert_non_null(s->stage1);
	s->now_ns = 1000 * STORY_STEP_NS;
	s->next_pid = 100;
	s->node = "node-1";
	s->container = &story_host;
	return s;
}

unused_fn static void story_forget_alerts(struct story *s)
{
	for (uint32_t i = 0; i < s->alert_count; i++)
		alert_free(s->alerts[i]);
	s->alert_count = 0;
}

unused_fn static void story_free(struct story *s)
{
	if (!s)
		return;
	story_forget_alerts(s);
	free(s->observations);
	stage1_free(s->stage1);
	metrics_free(s->metrics);
	arena_free(s->arena);
	free(s);
}

DEFINE_CLEANUP(struct story *, story_free)

/* ---- endpoints ---- */

struct peer {
	uint64_t cookie;
	const char *ip; /* remote */
	uint16_t port;
	const char *local_ip;
	uint16_t local_port;
};

unused_fn static struct endpoint tcp(int fd, const struct peer *p)
{
	struct endpoint e = {.kind = ENDPOINT_KIND_TCP,
			     .mode = 3,
			     .fd = (int16_t)fd,
			     .state = 1,
			     .family = strchr(p->ip, ':') ? AF_INET6 : AF_INET,
			     .id = p->cookie,
			     .id2 = 1,
			     .remote_port = p->port,
			     .local_port = p->local_port ? p->local_port : 40001};

	assert_int_equal(inet_pton(e.family, p->ip, e.remote_ip), 1);
	assert_int_equal(inet_pton(e.family,
				   p->local_ip		 ? p->local_ip
				   : e.family == AF_INET ? "10.0.0.5"
							 : "fd00::5",
				   e.local_ip),
			 1);
	return e;
}

unused_fn static struct endpoint udp(int fd, const struct peer *p)
{
	struct endpoint e = tcp(fd, p);

	e.kind = ENDPOINT_KIND_UDP;
	e.state = 0;
	return e;
}

unused_fn static struct endpoint pipe_r(int fd, uint64_t id)
{
	return (struct endpoint){.kind = ENDPOINT_KIND_PIPE,
				 .mode = 1,
				 .fd = (int16_t)fd,
				 .id = id,
				 .readers = 1,
				 .writers = 1};
}

unused_fn static struct endpoint pipe_w(int fd, uint64_t id)
{
	return (struct endpoint){.kind = ENDPOINT_KIND_PIPE,
				 .mode = 2,
				 .fd = (int16_t)fd,
				 .id = id,
				 .readers = 1,
				 .writers = 1};
}

unused_fn static struct endpoint fifo(int fd, uint64_t id, uint8_t mode)
{
	return (struct endpoint){
		.kind = ENDPOINT_KIND_FIFO, .mode = mode, .fd = (int16_t)fd, .id = id, .id2 = 8};
}

unused_fn static struct endpoint pty_m(int fd, uint64_t index)
{
	return (struct endpoint){.kind = ENDPOINT_KIND_PTY_MASTER,
				 .mode = 3,
				 .fd = (int16_t)fd,
				 .id = index,
				 .id2 = 24};
}

unused_fn static struct endpoint pty_s(int fd, uint64_t index)
{
	return (struct endpoint){.kind = ENDPOINT_KIND_PTY_SLAVE,
				 .mode = 3,
				 .fd = (int16_t)fd,
				 .id = index,
				 .id2 = 24};
}

unused_fn static struct endpoint unix_s(int fd, uint64_t own, uint64_t peer)
{
	return (struct endpoint){.kind = ENDPOINT_KIND_UNIX,
				 .mode = 3,
				 .fd = (int16_t)fd,
				 .family = AF_UNIX,
				 .id = own,
				 .id2 = peer};
}

/* Something that carries no conversation takes the number. */
unused_fn static struct endpoint file_at(int fd)
{
	return (struct endpoint){.kind = ENDPOINT_KIND_NONE, .fd = (int16_t)fd};
}

/* ---- acts ---- */

static struct event *story_add(struct story *s, enum event_kind kind, struct actor *a)
{
	struct process_def *def = arena_alloc(s->arena, sizeof(*def));
	struct event *e = &s->events[s->event_count++];

	assert_true(s->event_count <= STORY_EVENTS);
	assert_non_null(def);
	*def = a->def;
	*e = (struct event){.kind = kind,
			    .process = def,
			    .tid = def->pid,
			    .old_fd = -1,
			    .raw_path = "",
			    .file = {.path = ""},
			    .time_ns = s->now_ns};
	s->now_ns += STORY_STEP_NS;
	return e;
}

static void story_endpoints(struct story *s, struct event *e, const struct endpoint *list)
{
	struct endpoint *copy;

	while (list[e->endpoint_count].kind != ENDPOINT_KIND_MAX)
		e->endpoint_count++;
	copy = arena_alloc(s->arena, sizeof(*copy) * (e->endpoint_count + 1U));
	assert_non_null(copy);
	memcpy(copy, list, sizeof(*copy) * e->endpoint_count);
	e->endpoints = copy;
}

static void story_image(struct story *s, struct actor *a, const char *exe, const char *const *args)
{
	struct bytes *list;
	uint16_t n = 0;

	while (args[n])
		n++;
	list = arena_alloc(s->arena, sizeof(*list) * (n + 1U));
	assert_non_null(list);
	for (uint16_t i = 0; i < n; i++)
		list[i] = bytes_of_text(args[i]);
	a->def.args = list;
	a->def.arg_count = n;
	a->def.exe = (struct file_info){.path = exe,
					.inode = 1,
					.device = 2,
					.mode = 0100755,
					.uid = s->exe_uid,
					.nlink = 1};
	for (const char *c = exe; *c; c++)
		a->def.exe.inode = a->def.exe.inode * 31 + (uint64_t)*c;
	a->def.exec_id = (uint64_t)a->def.pid << 16 | ++a->images;
	a->def.exec_ns = s->now_ns;
	s->now_ns += STORY_STEP_NS;
}

static struct actor *story_actor(struct story *s)
{
	struct actor *a = arena_zalloc(s->arena, sizeof(*a));

	assert_non_null(a);
	a->def.pid = s->next_pid++;
	a->def.start_ns = s->now_ns;
	a->def.cwd = "/";
	a->def.comm = "";
	a->def.exe_raw = "";
	a->def.loginuid = LOGINUID_NONE;
	a->def.container = s->container;
	s->now_ns += STORY_STEP_NS;
	return a;
}

/* Runs when the story begins (an exec event that the agent made up), as a session leader. */
unused_fn static struct actor *story_start(struct story *s, struct actor *parent, const char *exe,
					   const char *const *args, const struct endpoint *fds)
{
	struct actor *a = story_actor(s);

	a->def.session = a->def.pid;
	a->def.ppid = parent ? parent->def.pid : 1;
	a->def.parent_exec_id = parent ? parent->def.exec_id : 0;
	story_image(s, a, exe, args);
	story_endpoints(s, story_add(s, EVENT_KIND_EXEC, a), fds);
	return a;
}

unused_fn static struct actor *story_fork(struct story *s, struct actor *parent)
{
	struct actor *a = story_actor(s);
	struct process_def *child = arena_alloc(s->arena, sizeof(*child));
	uint32_t pid = a->def.pid;
	uint64_t start = a->def.start_ns;

	assert_non_null(child);
	a->def = parent->def;
	a->def.pid = pid;
	a->def.start_ns = start;
	a->def.ppid = parent->def.pid;
	a->def.parent_exec_id = parent->def.exec_id;
	a->def.exec_id = (uint64_t)pid << 16;
	*child = a->def;
	story_add(s, EVENT_KIND_FORK, parent)->child = child;
	return a;
}

unused_fn static void story_exec(struct story *s, struct actor *a, const char *exe,
				 const char *const *args, const struct endpoint *fds)
{
	story_image(s, a, exe, args);
	story_endpoints(s, story_add(s, EVENT_KIND_EXEC, a), fds);
}

/* Fork and exec in one. */
unused_fn static struct actor *story_spawn(struct story *s, struct actor *parent, const char *exe,
					   const char *const *args, const struct endpoint *fds)
{
	struct actor *a = story_fork(s, parent);

	story_exec(s, a, exe, args, fds);
	return a;
}

unused_fn static void story_act(struct story *s, enum event_kind kind, struct actor *a,
				const struct endpoint *fds)
{
	story_endpoints(s, story_add(s, kind, a), fds);
}

/* The attempt has no local port yet. */
unused_fn static void story_connect(struct story *s, struct actor *a, const struct peer *p)
{
	struct endpoint e = tcp(-1, p);

	e.local_port = 0;
	memset(e.local_ip, 0, sizeof(e.local_ip));
	e.state = 2;
	story_act(s, EVENT_KIND_CONNECT, a, FDS(e));
}

unused_fn static void story_established(struct story *s, struct actor *a, const struct peer *p)
{
	story_act(s, EVENT_KIND_ESTABLISHED, a, FDS(tcp(-1, p)));
}

unused_fn static void story_connected(struct story *s, struct actor *a, const struct peer *p)
{
	story_connect(s, a, p);
	story_established(s, a, p);
}

unused_fn static void story_close(struct story *s, struct actor *a, const struct peer *p,
				  int result)
{
	struct endpoint e = tcp(-1, p);

	e.state = 7;
	story_act(s, EVENT_KIND_CLOSE, a, FDS(e));
	s->events[s->event_count - 1].result = result;
}

unused_fn static void story_open(struct story *s, struct actor *a, const char *path, int64_t result)
{
	struct event *e = story_add(s, EVENT_KIND_OPEN, a);

	e->file = (struct file_info){.path = result >= 0 ? path : "", .mode = 0100600, .nlink = 1};
	e->raw_path = path;
	e->result = result;
}

unused_fn static void story_exit(struct story *s, struct actor *a)
{
	(void)story_add(s, EVENT_KIND_EXIT, a);
}

/* Changes of credentials: the actor is that user from now on. */
unused_fn static void story_becomes(struct story *s, struct actor *a, uint32_t uid)
{
	struct event *e;

	a->def.creds.uid = a->def.creds.euid = uid;
	e = story_add(s, EVENT_KIND_CRED, a);
	e->creds = a->def.creds;
}

unused_fn static void story_wait(struct story *s, uint64_t ns)
{
	s->now_ns += ns;
}

/* ---- telling ---- */

/* Numbers the events that were not told yet, in their present order, and feeds them. */
unused_fn static void story_tell(struct story *s, uint32_t batch_size)
{
	uint32_t shard = stage1_shard("test", s->node);

	while (s->told < s->event_count) {
		uint32_t n = s->event_count - s->told;
		struct wire_batch batch = {.head = {.wall_offset_ns = STORY_WALL, .node = s->node}};
		struct stage1_batch in = {
			.node = {"test", s->node, "boot-1"}, .received_ns = 1, .batch = &batch};

		n = n < batch_size ? n : batch_size;
		for (uint32_t i = s->told; i < s->told + n; i++)
			s->events[i].seq = i + 1;
		batch.events = &s->events[s->told];
		batch.event_count = n;
		stage1_feed(s->stage1, shard, &in);
		s->told += n;
	}
}

unused_fn static uint32_t story_count(const struct story *s, const char *rule)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->alert_count; i++)
		n += strcmp(s->alerts[i]->msg.rule, rule) == 0;
	return n;
}

unused_fn static bool story_has_evidence(const struct alert *a, const char *key, const char *part)
{
	for (size_t i = 0; i < a->msg.n_evidence; i++)
		if (strcmp(a->msg.evidence[i]->key, key) == 0 &&
		    strstr(a->msg.evidence[i]->value, part))
			return true;
	return false;
}
