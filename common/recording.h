/* Recordings (.njr): what agents have sent and how time has moved, enough to make the same alerts
 * again. The format is in proto/README.md; each frame can be read without those before it.
 *
 * A writer is used by one thread at a time; so is a reader. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/cleanup.h"
#include "common/err.h"

#define RECORDING_VERSION     1U
#define RECORDING_FRAME_BYTES (1UL << 20) /* a frame is closed past this, before compression */

enum recording_kind {
	RECORDING_MESSAGE = 1,
	RECORDING_ADVANCE = 2,
};

struct recording_entry {
	enum recording_kind kind;
	const char *cluster, *node, *boot_id; /* message; terminated */
	uint64_t received_ns;
	struct bytes message;  /* a nightjar.v1.AgentMessage */
	uint64_t advance_ns;   /* advance */
};

/* ---- writing ---- */

struct recording_writer;

/* Makes the file, or empties it. */
int recording_create(const char *path, struct recording_writer **ret_writer, struct err *e) must_check;
/* Copies. The owner sees to it that a frame begins as it must: recording_frame changes whenever
 * the next entry will be the first of a frame. 0 or negative: the disk refuses. */
int recording_write(struct recording_writer *w, const struct recording_entry *entry) must_check;
/* Number of the frame that the next entry goes into. */
uint64_t recording_frame(const struct recording_writer *w);
/* Closes the frame and writes it, if there is anything in it. */
int recording_flush(struct recording_writer *w) must_check;
/* Bytes in the file. */
uint64_t recording_size(const struct recording_writer *w);
/* Flushes; 0 or what went wrong. NULL allowed. */
int recording_finish(struct recording_writer *w) must_check;

/* ---- reading ---- */

struct recording_reader;

int recording_open(const char *path, struct recording_reader **ret_reader, struct err *e) must_check;
/* The next message or advance, valid until the next call. 1; 0 at the end; negative with the
 * sentence: damaged, cut, or of a newer version. Entries of unknown kinds are skipped. */
int recording_next(struct recording_reader *r, struct recording_entry *ret_entry, struct err *e) must_check;
void recording_close(struct recording_reader *r); /* NULL allowed */

DEFINE_CLEANUP(struct recording_reader *, recording_close)
