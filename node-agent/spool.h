/* Batches that the collector has not acknowledged yet, in memory: what stands between a completed
 * send and a delivery.
 *
 * Bounded in bytes. When a new batch does not fit, the oldest go and their events are counted by
 * class. One that is on its way goes too, but is lost only if the connection breaks before its
 * acknowledgement has come; it may have arrived even then: a loss is rather reported twice than not
 * at all.
 *
 * Epochs: definitions that are dropped or acknowledged are kept as bytes until their epoch has gone
 * by, so the first batch of a connection, or after NeedEpoch, opens its epoch again with all that
 * was defined before it (wire_write_batch). Nothing is ever encoded twice.
 *
 * Any thread: the loop pushes, the uplink takes and acknowledges; one lock inside, never held over
 * a system call. Working sizes: 60 bytes an event, epochs of some hundred KiB. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bpf/abi.h"
#include "common/wire.h"

struct spool;

struct spool_counts {
	uint64_t events[NJ_CLASS_MAX];
};

/* limit in bytes of batches and kept definitions; first_seq: the number of the first batch. */
struct spool *spool_new(size_t limit, uint64_t first_seq); /* NULL without memory */
void spool_free(struct spool *s);			   /* NULL allowed */

struct spool_batch {
	struct wire_parts parts; /* copied */
	struct spool_counts counts;
	int64_t wall_offset_ns;
	uint32_t policy_generation;
};
/* Numbers the batch and keeps it. *ret_dropped: what had to go. 0; -ENOMEM: the batch itself went,
 * and is counted there; its definitions went too, so the next one must open a new epoch. */
int spool_push(struct spool *s, const struct spool_batch *batch, struct spool_counts *ret_dropped) must_check;

/* The next batch to send is the first unacknowledged one, and opens its epoch again. Returns how many
 * were on their way. */
size_t spool_rewind(struct spool *s);
/* Writes the next batch to send as an AgentMessage. 1; 0: nothing to send, or max_in_flight batches
 * are on their way; -ENOMEM. */
int spool_take(struct spool *s, uint32_t max_in_flight, const char *node, struct buf *out) must_check;
/* This batch and all before it are kept by the collector. */
void spool_ack(struct spool *s, uint64_t seq);

/* The definitions of the epoch that is pushed have grown to a quarter of the limit: they are kept as
 * long as the epoch lasts, so the next batch should open another one. */
bool spool_epoch_full(struct spool *s);

uint64_t spool_resume_seq(struct spool *s); /* of the first unacknowledged batch, or of the next */
size_t spool_unsent(struct spool *s);	    /* batches that wait to be sent */
size_t spool_length(struct spool *s);	    /* batches that are not acknowledged */
size_t spool_bytes(struct spool *s);

DEFINE_CLEANUP(struct spool *, spool_free)
