/* The journal: every batch is on disk before its agent hears that it is kept. Segments of
 * checksummed records, written and fdatasynced in groups by one thread of the journal's own.
 *
 * A group is whatever came in since the last one was written, and never sooner than 5 ms after it: so an
 * idle journal syncs at once, and a busy one 200 times a second, whatever the number of agents (a sync
 * takes 300 us of a core). Only acknowledgements wait for that, and agents send ahead of them. A disk that
 * refuses is retried for ever: acknowledgements stop, agents keep what they have, nothing is dropped. Old
 * segments are deleted, and counted, once all of them together are over the cap. The format is in
 * docs/journal.md. */
#pragma once

#include <stdint.h>

#include "collector/stage1.h"
#include "common/bytes.h"
#include "common/err.h"
#include "common/metrics.h"

enum journal_type {
	JOURNAL_BATCH = 1, /* payload: the AgentMessage as it came in */
	JOURNAL_TICK = 2,  /* received_ns is the value; no node, no payload */
	JOURNAL_METADATA = 3, /* payload: an AgentMessage with the metadata of a container */
	JOURNAL_HELLO =
		4, /* payload: an AgentMessage with a Hello, what was wanted of it included */
};

struct journal_record {
	enum journal_type type;
	uint64_t received_ns;
	struct node_ref node; /* terminated strings */
	struct bytes payload;
};

struct journal_config {
	const char *dir; /* made when missing */
	uint64_t segment_bytes;
	uint64_t cap_bytes;    /* of all segments */
	uint64_t buffer_bytes; /* appended, not yet written */
	struct metrics *metrics;
	/* Everything up to position is on disk. On the journal's thread. */
	void (*synced)(void *ctx, uint64_t position);
	/* A segment has followed another one of this run. On the journal's thread; may be NULL. */
	void (*rotated)(void *ctx);
	void *ctx;
};

struct journal;

/* Finds the segments and cuts off what a crash has left half written. */
int journal_open(const struct journal_config *config, struct journal **ret_journal, struct err *e) must_check;
/* Every record in the order in which it was appended, before journal_start. The record is valid
 * during the call. Damage in the middle ends its segment, is counted, and the next one goes on. */
int journal_replay(struct journal *j, void (*visit)(void *ctx, const struct journal_record *record),
		   void *ctx, struct err *e) must_check;
int journal_start(struct journal *j, struct err *e) must_check;

/* Copies. 0 or -EAGAIN while the buffer is full (ask again after synced). *ret_position: what
 * synced must reach. Any thread. */
int journal_append(struct journal *j, const struct journal_record *record, uint64_t *ret_position) must_check;

/* Writes what is buffered, unless the disk refuses, and ends the thread. */
void journal_stop(struct journal *j);
void journal_close(struct journal *j); /* NULL allowed; after journal_stop */
