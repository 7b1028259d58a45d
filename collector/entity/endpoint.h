/* What descriptors lead to (pipes, FIFOs, ptys, sockets) and who holds which side of it.
 *
 * The kernel does not tell us of every close: a descriptor stays in a process's set until its
 * number is used again, until exec lists what is really open, or until the connection ends. So a
 * holder is somebody who had the object, and may have it still.
 *
 * Per object and side the latest 6 holders are known; per process the latest 24 descriptors, of
 * which 0, 1 and 2 never go. Per shard 16384 objects. One thread at a time. */
#pragma once

#include "common/event.h"

struct entities;
struct process;
struct process_key;

/* No padding: hashed as bytes. */
struct endpoint_key {
	uint64_t id;
	uint64_t id2;
	uint32_t node;
	uint32_t kind; /* both sides of a pty: ENDPOINT_KIND_PTY_SLAVE */
};

struct descriptor {
	struct endpoint_key key;
	int16_t fd; /* -1 unknown */
	uint8_t kind;
	uint8_t mode;
	bool dead; /* at exec, nobody held the other side of the pipe */
};

struct holder {
	uint64_t start_ns;
	uint32_t pid;
	uint32_t pad;
};

enum endpoint_side {
	ENDPOINT_SIDE_NEAR, /* read end, pty slave, socket */
	ENDPOINT_SIDE_FAR,  /* write end, pty master */
};

#define ENDPOINT_HOLDERS     6
#define ENDPOINT_OUTGOING    (1U << 0) /* TCP: connected by its holder */
#define ENDPOINT_ACCEPTED    (1U << 1)
#define ENDPOINT_ESTABLISHED (1U << 2)
#define ENDPOINT_LISTENING   (1U << 3)
#define ENDPOINT_ON_PATH     (1U << 4) /* part of a chain that is watched: outlives others */

struct endpoint_object {
	struct endpoint_key key;
	uint64_t peer; /* UNIX: inode of the other socket, 0 unknown */
	uint32_t flags;
	uint16_t local_port;
	uint16_t remote_port;
	uint8_t family; /* of the addresses: IPv4-mapped ones are AF_INET */
	uint8_t holder_count[2];
	uint8_t local_ip[16];
	uint8_t remote_ip[16];
	uint64_t connect_ns; /* boot clock, 0 unknown */
	uint64_t established_ns;
	uint32_t scan_session; /* lateral_scan: whose attempt it was */
	struct holder holders[2][ENDPOINT_HOLDERS];
};

struct endpoint_key endpoint_key_of(uint32_t node, const struct endpoint *e);
/* NULL when it was never seen or is gone. */
struct endpoint_object *endpoint_find(const struct entities *en, const struct endpoint_key *key);
/* Finds or makes the object and brings its addresses and states up to date. */
struct endpoint_object *endpoint_seen(struct entities *en, uint32_t node, const struct endpoint *e);

/* The endpoint is behind e->fd of p now, or behind one of unknown number. Kind NONE: something that
 * carries no conversation took the number. */
void descriptor_add(struct entities *en, struct process *p, const struct endpoint *e);
/* The descriptor with this number; NULL when it leads nowhere that we know. */
const struct descriptor *descriptor_find(const struct process *p, int fd);
void descriptor_copy_all(struct entities *en, const struct process *from, struct process *to);
void descriptor_drop_all(struct entities *en, struct process *p);
/* The object is gone: nobody holds it any more. */
void endpoint_close(struct entities *en, const struct endpoint_key *key);

/* Callback of the table. */
bool endpoint_keep(void *ctx, const void *record);
