/* See live.h. */
#include "tests/bpf/live.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "node-agent/event_class.h"

int live_deadline_ms(void)
{
	const char *patience = getenv("NJ_PATIENCE");

	return 10000 * (patience ? atoi(patience) : 1);
}

static bool told[EVENT_KIND_MAX];

/* For tests/kernel/matrix.py: which kinds of events the tests awaited, and who provided them. */
static bool telling(void)
{
	return getenv("NJ_FIRED") != NULL;
}

static void tell_coverage(const struct live *l)
{
	const struct capture_coverage *rows;
	uint32_t count = capture_coverages(l->capture, &rows);

	memset(told, 0, sizeof(told));
	for (uint32_t i = 0; telling() && i < count; i++)
		printf("NJ covers %s %s\n", rows[i].class, rows[i].provider);
}

/* Once a kind and capture. */
static const struct seen *found(const struct seen *s)
{
	if (!telling() || told[s->event.kind])
		return s;
	told[s->event.kind] = true;
	printf("NJ fired %s %s\n", event_class_name(event_class(&s->event)), event_kind_name(s->event.kind));
	return s;
}

static void start_with(struct live *l, struct capture_config config, const char *const *open_names, uint64_t classes)
{
	static const char *const names[] = {"nj-wanted", NULL};
	static const char *const env[] = {"NJ_CHOSEN", NULL};
	struct err e = {0};
	int r;

	policy_default(open_names ? open_names : names, &l->policies[0]);
	l->policies[0].classes = (uint32_t)classes;
	l->policies[0].each = (uint32_t)POLICY_ALL;
	l->policy = 0;
	config.boot_id = "test";
	config.env_names = env;
	config.policy = &l->policies[0];
	if (!config.provider)
		config.provider = config.refused ? "sys_exit" : getenv("NJ_PROVIDER");
	r = capture_new(&config, &l->capture, &e);
	if (r == -EPERM) {
		printf("SKIP %s\n", e.text);
		exit(LIVE_SKIP);
	}
	if (r < 0)
		fail_msg("%s", e.text);
	l->seen = calloc(LIVE_SEEN_MAX, sizeof(*l->seen));
	assert_non_null(l->seen);
	tell_coverage(l);
	l->count = 0;
	l->tree_size = 0;
	l->last_seq = 0;
	l->gap = false;
	memset(l->others, 0, sizeof(l->others));
}

static void start(struct live *l, struct capture_config config)
{
	start_with(l, config, NULL, POLICY_ALL);
}

void live_start_provider(struct live *l, const char *provider, uint64_t classes)
{
	start_with(l, (struct capture_config){.provider = provider, .cpu_period_ns = 200 * NS_PER_MS, .cpu_percent = 10,
					      .cpu_host = true}, NULL, classes);
}

void live_start(struct live *l, const char *const *open_names, uint64_t ring_bytes)
{
	start_with(l, (struct capture_config){.ring_bytes = ring_bytes}, open_names, POLICY_ALL);
}

void live_start_refusing(struct live *l, const char *program)
{
	start(l, (struct capture_config){.refused = program});
}

void live_start_sampling(struct live *l, bool host)
{
	start(l, (struct capture_config){.cpu_period_ns = 200 * NS_PER_MS, .cpu_percent = 10, .cpu_host = host});
}

void live_stop(struct live *l)
{
	capture_free(l->capture);
	free(l->seen);
	l->capture = NULL;
	l->seen = NULL;
}

void live_need(const struct live *l, const char *class)
{
	const struct capture_coverage *rows;
	uint32_t count = capture_coverages(l->capture, &rows);

	for (uint32_t i = 0; i < count; i++)
		if (strcmp(rows[i].class, class) == 0 && strcmp(rows[i].state, "full") != 0) {
			printf("SKIP %s\n", rows[i].reason);
			exit(LIVE_SKIP);
		}
}

int live_begin(void **state)
{
	live_start(*state, NULL, 0);
	return 0;
}

int live_end(void **state)
{
	live_stop(*state);
	return 0;
}

struct uplink_policy *live_next(struct live *l)
{
	struct uplink_policy *next = &l->policies[l->policy ^ 1];

	*next = l->policies[l->policy];
	return next;
}

void live_switch(struct live *l)
{
	struct err e = {0};

	if (capture_set_policy(l->capture, &l->policies[l->policy ^ 1], &e) < 0)
		fail_msg("%s", e.text);
	l->policy ^= 1;
}

void live_policy(struct live *l, uint32_t generation, uint64_t classes, const char *const *open_names)
{
	struct uplink_policy *policy = live_next(l);

	policy_default(open_names ? open_names : policy->open_names, policy);
	policy->generation = generation;
	policy->classes = (uint32_t)classes;
	policy->each = (uint32_t)POLICY_ALL;
	live_switch(l);
}

static bool in_tree(const struct live *l, uint32_t pid)
{
	for (size_t i = 0; i < l->tree_size; i++)
		if ((uint32_t)l->tree[i] == pid)
			return true;
	return false;
}

static void join(const struct bytes *pieces, uint16_t count, char *ret_text, size_t size)
{
	size_t len = 0;

	ret_text[0] = '\0';
	for (uint16_t i = 0; i < count && len < size; i++)
		len += (size_t)snprintf(ret_text + len, size - len, "%s%.*s", i ? " " : "", (int)pieces[i].len,
					(const char *)pieces[i].data);
}

static void copy_detail(struct seen *s, const struct event_detail *detail)
{
	s->detail = *detail;
	s->event.detail = &s->detail;
	(void)snprintf(s->call, sizeof(s->call), "%s", detail->call);
	(void)snprintf(s->path2, sizeof(s->path2), "%s", detail->path2);
	(void)snprintf(s->raw_path2, sizeof(s->raw_path2), "%s", detail->raw_path2);
	(void)snprintf(s->text, sizeof(s->text), "%s", detail->text);
	assert_true(detail->data.len <= sizeof(s->data));
	if (detail->data.len)
		memcpy(s->data, detail->data.data, detail->data.len);
	s->detail.data.data = s->data;
	if (!detail->target)
		return;
	s->target = *detail->target;
	s->detail.target = &s->target;
}

static void copy(struct seen *s, const struct event *event)
{
	const struct process_def *p = event->process;

	s->event = *event;
	s->process = *p;
	memcpy(s->endpoints, event->endpoints, event->endpoint_count * sizeof(struct endpoint));
	s->event.endpoints = s->endpoints;
	s->event.process = &s->process;
	(void)snprintf(s->exe, sizeof(s->exe), "%s", p->exe.path);
	(void)snprintf(s->cwd, sizeof(s->cwd), "%s", p->cwd);
	(void)snprintf(s->cgroup, sizeof(s->cgroup), "%s", p->container->cgroup);
	(void)snprintf(s->container_id, sizeof(s->container_id), "%s", p->container->container_id);
	(void)snprintf(s->pod_uid, sizeof(s->pod_uid), "%s", p->container->pod_uid);
	join(p->args, p->arg_count, s->args, sizeof(s->args));
	join(p->env, p->env_count, s->env, sizeof(s->env));
	(void)snprintf(s->path, sizeof(s->path), "%s", event->file.path);
	(void)snprintf(s->raw_path, sizeof(s->raw_path), "%s", event->raw_path);
	(void)snprintf(s->comm, sizeof(s->comm), "%s", p->comm);
	(void)snprintf(s->exe_raw, sizeof(s->exe_raw), "%s", p->exe_raw);
	copy_detail(s, event_detail(event));
	if (!event->child)
		return;
	s->child_pid = event->child->pid;
	s->child_exec_id = event->child->exec_id;
	s->child_parent_exec_id = event->child->parent_exec_id;
}

static void on_event(void *ctx, const struct event *event)
{
	struct live *l = ctx;

	l->gap |= event->seq != l->last_seq + 1;
	l->last_seq = event->seq;
	if (!in_tree(l, event->process->pid)) {
		l->others[event->kind]++;
		return;
	}
	if (event->child && l->tree_size < sizeof(l->tree) / sizeof(l->tree[0]))
		l->tree[l->tree_size++] = (pid_t)event->child->pid;
	if (l->count < LIVE_SEEN_MAX)
		copy(&l->seen[l->count++], event);
}

void live_pump(struct live *l, int timeout_ms)
{
	struct pollfd p = {.fd = capture_fd(l->capture), .events = POLLIN};

	int most_ms = (int)(capture_wait_ns(l->capture, 0) / NS_PER_MS);

	(void)poll(&p, 1, timeout_ms < most_ms ? timeout_ms : most_ms);
	assert_true(capture_turn(l->capture, 4096, on_event, l) >= 0);
}

void live_drain(struct live *l)
{
	assert_true(capture_stop(l->capture, on_event, l) >= 0);
}

struct actor live_actor(struct live *l, live_act act, void *arg)
{
	struct actor a;
	int hold[2];
	char byte;

	assert_int_equal(pipe(hold), 0);
	fflush(stdout);
	a.pid = fork();
	assert_true(a.pid >= 0);
	if (a.pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)alarm(2 * LIVE_DEADLINE_MS / 1000);
		(void)close(hold[1]);
		(void)!read(hold[0], &byte, 1);
		(void)close(hold[0]);
		_exit(act(arg));
	}
	(void)close(hold[0]);
	a.go = hold[1];
	assert_true(l->tree_size < sizeof(l->tree) / sizeof(l->tree[0]));
	l->tree[l->tree_size++] = a.pid;
	return a;
}

void live_go(struct actor *a)
{
	/* A byte, not the end of file: later actors hold copies of the write end. */
	assert_int_equal(write(a->go, "g", 1), 1);
	(void)close(a->go);
	a->go = -1;
}

int live_finish(struct live *l, struct actor *a)
{
	int status = 0;

	(void)live_await(l, EVENT_KIND_EXIT, a->pid);
	assert_int_equal(waitpid(a->pid, &status, 0), a->pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

pid_t live_run(struct live *l, live_act act, void *arg)
{
	struct actor a = live_actor(l, act, arg);

	live_go(&a);
	assert_int_equal(live_finish(l, &a), 0);
	return a.pid;
}

const struct seen *live_find(const struct live *l, enum event_kind kind, pid_t pid, size_t *from)
{
	for (size_t i = from ? *from : 0; i < l->count; i++) {
		const struct seen *s = &l->seen[i];

		if (s->event.kind != kind || (pid && s->process.pid != (uint32_t)pid))
			continue;
		if (from)
			*from = i + 1;
		return found(s);
	}
	return NULL;
}

pid_t live_victim(void)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			(void)pause();
	return pid;
}

int live_end_victim(pid_t pid)
{
	return kill(pid, SIGKILL) < 0 || waitpid(pid, NULL, 0) != pid;
}

const struct seen *live_expect(const struct live *l, enum event_kind kind, pid_t pid, size_t *from)
{
	const struct seen *s = live_find(l, kind, pid, from);

	if (!s)
		fail_msg("no %s event of process %d", event_kind_name(kind), (int)pid);
	return s;
}

size_t live_count(const struct live *l, enum event_kind kind, pid_t pid)
{
	size_t from = 0, count = 0;

	while (live_find(l, kind, pid, &from))
		count++;
	return count;
}

void live_await_count(struct live *l, enum event_kind kind, pid_t pid, size_t least)
{
	uint64_t deadline = clock_monotonic_ns() + LIVE_DEADLINE_MS * NS_PER_MS;
	size_t count;

	while ((count = live_count(l, kind, pid)) < least) {
		if (clock_monotonic_ns() > deadline)
			fail_msg("%zu of %zu %s events of process %d within %d ms", count, least, event_kind_name(kind),
				 (int)pid, LIVE_DEADLINE_MS);
		live_pump(l, 100);
	}
}

const struct seen *live_await(struct live *l, enum event_kind kind, pid_t pid)
{
	live_await_count(l, kind, pid, 1);
	return live_find(l, kind, pid, NULL);
}

const struct endpoint *seen_endpoint(const struct seen *s, int fd)
{
	for (uint16_t i = 0; i < s->event.endpoint_count; i++)
		if (s->endpoints[i].fd == fd)
			return &s->endpoints[i];
	return NULL;
}
