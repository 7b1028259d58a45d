/* The processes of nodes: lineage, image, descriptors, marks.
 *
 * Live processes and exited ones are in two tables, so that a flood of short-lived processes pushes
 * out only other exited ones. Exited ones stay as the ancestry of alerts: without descriptors,
 * those that had children outliving those that had none. Per shard: 8192 live (1 KiB each), 8192
 * exited. */
#pragma once

#include "collector/entity/endpoint.h"
#include "collector/entity/image.h"
#include "common/event.h"

struct entities;

/* For one boot of one node; node is an entities_node id. No padding. */
struct process_key {
	uint64_t start_ns;
	uint32_t node;
	uint32_t pid;
};

/* Inherited by fork and kept over exec, but for the last three. */
#define PROCESS_ACCEPTED  (1U << 0) /* accepted a TCP connection */
#define PROCESS_CRED	  (1U << 1) /* changed its credentials, with success */
#define PROCESS_RELAY	  (1U << 2) /* stands between an interpreter and somewhere */
#define PROCESS_REPORTED  (1U << 3) /* in a lineage that an alert named */
#define PROCESS_PENDING	  (1U << 4) /* an interpreter that may yet be connected */
#define PROCESS_FORKED	  (1U << 5) /* had children */
#define PROCESS_OWN_IMAGE (1U << 6) /* its image was executed by itself, not by its parent */
#define PROCESS_EXITED	  (1U << 7) /* in the table of exited ones: no descriptors */
#define PROCESS_INHERITED (PROCESS_ACCEPTED | PROCESS_CRED | PROCESS_RELAY | PROCESS_REPORTED)
#define PROCESS_FDS	  24
#define PROCESS_PARTIES	  4

struct process {
	struct process_key key;
	struct process_key parent; /* pid 0: unknown */
	uint64_t exec_id;
	uint64_t container;		   /* entity/workload.h; never 0 once seen */
	struct image *image;		   /* one reference; NULL without memory */
	uint64_t parties[PROCESS_PARTIES]; /* remote parties already reported, hashed; inherited */
	uint32_t marks;
	uint32_t uid;
	uint32_t euid;
	uint32_t session; /* pid of the session leader */
	uint16_t party_count;
	uint16_t fd_count;
	struct descriptor fds[PROCESS_FDS]; /* not in the table of exited ones */
};

/* Finds the process of a definition, live or exited; NULL when it was never seen. */
struct process *process_get(struct entities *en, uint32_t node, const struct process_def *def);
/* The same, made from the definition when it was never seen. Takes in a new image that came
 * without an exec event. Never NULL. */
struct process *process_seen(struct entities *en, uint32_t node, const struct process_def *def);

struct process *process_find(const struct entities *en, const struct process_key *key);
struct process *process_by_pid(const struct entities *en, uint32_t node, uint32_t pid);
struct process *process_parent(const struct entities *en, const struct process *p);

void process_fork(struct entities *en, struct process *parent, const struct process_def *child);
void process_exec(struct entities *en, struct process *p, const struct event *event);
void process_exit(struct entities *en, struct process *p);

/* p is an ancestor of q, at most 16 generations up. */
bool process_is_ancestor(const struct entities *en, const struct process *p,
			 const struct process *q);
/* The same container; on the host the same session or the same system service: one party. */
bool process_same_side(const struct entities *en, const struct process *p, const struct process *q);

/* Callbacks of the tables; ctx is the struct entities. */
bool process_keep_live(void *ctx, const void *record);
bool process_keep_exited(void *ctx, const void *record);
void process_gone(void *ctx, const void *key, void *record);
