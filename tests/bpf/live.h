/* For tests against the running kernel: a capture, actors (child processes that do something, since
 * the capture leaves its own process out), and what was seen of them.
 *
 * Nothing here sleeps: live_await pumps events until the wanted one is there or LIVE_DEADLINE_MS is
 * over. Needs root and permission to load BPF; without, live_start prints why and exits with 77. */
#pragma once

#include "tests/unit/unit.h"

#include <sys/types.h>

#include "bpf/abi.h"
#include "node-agent/capture.h"
#include "node-agent/policy.h"

#define LIVE_DEADLINE_MS live_deadline_ms()
#define LIVE_SEEN_MAX	 8192
#define LIVE_SKIP	 77

/* 10 seconds; as many times that as NJ_PATIENCE says on a machine that is emulated. */
int live_deadline_ms(void);

/* A copy of an event that outlives the turn. */
struct seen {
	struct event event; /* its pointers are into this struct, or NULL */
	struct endpoint endpoints[EVENT_ENDPOINTS_MAX];
	struct process_def process;
	uint32_t child_pid;
	uint64_t child_exec_id;
	uint64_t child_parent_exec_id;
	char exe[256], cwd[256], cgroup[512], container_id[65], pod_uid[37];
	char args[4096]; /* joined by spaces */
	char env[1024];
	char path[2048], raw_path[256];
	char comm[16], exe_raw[256];
	struct event_detail detail; /* of event; target is NULL or the one below */
	struct process_def target;
	char call[32], path2[2048], raw_path2[256], text[256];
	uint8_t data[NJ_DATA_MAX];
};

struct live {
	struct capture *capture;
	struct uplink_policy policies[2]; /* the one in force, and the one before or after */
	uint32_t policy;
	struct seen *seen;
	size_t count;
	uint64_t last_seq;
	bool gap;
	uint64_t others[EVENT_KIND_MAX]; /* events of everybody else, by kind */
	pid_t tree[256]; /* actors and their descendants: only their events are kept */
	size_t tree_size;
};

/* Starts a capture of every class that reports opens of the names (NULL: "nj-wanted") and each single act: nothing
 * is summed up. ring_bytes 0: default. */
void live_start(struct live *l, const char *const *open_names, uint64_t ring_bytes);
/* The same on a kernel that refuses one program. */
void live_start_refusing(struct live *l, const char *program);
/* The same, looking every 200 ms at who uses more than a tenth of a CPU. */
void live_start_sampling(struct live *l, bool host);
/* A capture of these classes (bits 1 << enum nj_class) by that hook provider, see node-agent/provider.h; it
 * looks at the CPUs' use as the one above. */
void live_start_provider(struct live *l, const char *provider, uint64_t classes);
void live_stop(struct live *l);
/* Skips the program on a kernel where that class is not covered in full. */
void live_need(const struct live *l, const char *class);

/* A test, in a table of cmocka's, with a capture of its own: live_start(&live, NULL, 0) before, live_stop
 * after it. live: the program's struct live. */
#define LIVE_TEST(test) cmocka_unit_test_prestate_setup_teardown(test, live_begin, live_end, &live)
int live_begin(void **state);
int live_end(void **state);

/* Takes the programs off the system calls and handles all that waits: nothing is told of acts from here on. */
void live_drain(struct live *l);
/* Another policy: these classes, and opens of the names (NULL: those that are wanted now). */
void live_policy(struct live *l, uint32_t generation, uint64_t classes, const char *const *open_names);
/* What a test wants that the function above does not say: a copy of the present policy to be changed, and
 * put in force by live_switch. */
struct uplink_policy *live_next(struct live *l);
void live_switch(struct live *l);

/* Forks an actor that runs act(arg) and exits with its result once live_go lets it; its events are
 * kept. */
typedef int (*live_act)(void *arg);
struct actor {
	pid_t pid;
	int go; /* write end of the pipe that holds it back */
};
struct actor live_actor(struct live *l, live_act act, void *arg);
void live_go(struct actor *a);
/* For an actor: a child that does nothing, as the target of others' acts. */
pid_t live_victim(void);
int live_end_victim(pid_t pid); /* 0: it was there until now */
/* Handles what waits. */
void live_pump(struct live *l, int timeout_ms);
/* Waits for the actor's exit event and reaps it. Returns its exit status. */
int live_finish(struct live *l, struct actor *a);
/* All three. */
pid_t live_run(struct live *l, live_act act, void *arg);

/* The first seen event that matches, from index *from on (advanced past it; NULL: from the start).
 * pid 0: any. NULL when there is none. */
const struct seen *live_find(const struct live *l, enum event_kind kind, pid_t pid, size_t *from);
/* The same; fails the test when there is none. */
const struct seen *live_expect(const struct live *l, enum event_kind kind, pid_t pid, size_t *from);
/* Pumps until there is one; fails the test past the deadline. */
const struct seen *live_await(struct live *l, enum event_kind kind, pid_t pid);
/* The same for so many. */
void live_await_count(struct live *l, enum event_kind kind, pid_t pid, size_t least);

/* How many were seen. */
size_t live_count(const struct live *l, enum event_kind kind, pid_t pid);

/* The endpoint on that descriptor; NULL when there is none. */
const struct endpoint *seen_endpoint(const struct seen *s, int fd);
