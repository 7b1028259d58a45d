/* Events to bytes and back: nightjar.v1.AgentMessage, as proto/nightjar/v1/agent.proto has it.
 *
 * The agent side writes protobuf itself (a third of protobuf-c's cost); tests prove that protobuf-c
 * reads back the same message for every event kind. The collector side unpacks with protobuf-c into
 * an arena and resolves the ids of an epoch.
 *
 * Foreign bytes: the decoder trusts nothing; whatever does not fit is -EBADMSG and leaves its
 * tables as they were before the batch. */
#pragma once

#include <stdint.h>

#include "common/arena.h"
#include "common/buf.h"
#include "common/event.h"

/* A message of either direction is never larger than this. */
#define WIRE_MESSAGE_MAX (4UL << 20)
/* What one epoch may define of each sort: the usual max_definitions of both sides. */
#define WIRE_DEFINITIONS_MAX 8192U
/* An encoder stops adding to an epoch past this many bytes of definitions, and to a batch past this
 * many bytes of events: an epoch's definitions and any of its batches fit into one message. */
#define WIRE_EPOCH_BYTES (1UL << 20)
#define WIRE_BATCH_BYTES (2UL << 20)

/* Values of nightjar.v1.LossReason. */
enum loss_reason {
	LOSS_REASON_RING = 1,
	LOSS_REASON_MISSED = 2,
	LOSS_REASON_DECODE = 3,
	LOSS_REASON_QUEUE = 4,
	LOSS_REASON_TABLE = 5,
	LOSS_REASON_MAX
};

struct loss {
	enum loss_reason reason;
	const char *class; /* process, tcp, file …: node-agent/event_class.c */
	uint64_t count;	   /* since the last report */
};

/* ---- agent side ---- */

struct wire_encoder;

/* max_definitions: how many of each sort an epoch may define before a new one is begun, at
 * least 12. NULL without memory. */
struct wire_encoder *wire_encoder_new(uint32_t max_definitions);
void wire_encoder_free(struct wire_encoder *enc); /* NULL allowed */

/* The next batch opens a new epoch: the present one is old or full. */
void wire_encoder_new_epoch(struct wire_encoder *enc);
/* True when the present epoch has no room for the definitions of another event. */
bool wire_encoder_epoch_full(const struct wire_encoder *enc);

/* Between wire_encode_begin and wire_encode_end: one batch. Events are added in order, numbered
 * without gaps; their definitions go before them on the wire. Processes are known by exec_id.
 * Nothing that an event points to is needed after the call. No text is NULL. */
void wire_encode_begin(struct wire_encoder *enc);
/* 0; -ENOSPC: the batch or the epoch is full, end it and add the event to the next one; -EINVAL: not
 * an event that a decoder would accept, or not the number after the last one's; -E2BIG: one
 * definition is larger than a batch; -ENOMEM: this batch is lost and the next opens an epoch. */
int wire_encode_event(struct wire_encoder *enc, const struct event *event) must_check;
/* Defines a container again whose fields are fuller now: completes those of the epoch with the same
 * container_id, though no event of this batch needs it. 0, -ENOSPC, -E2BIG, -ENOMEM as above. */
int wire_encode_container(struct wire_encoder *enc, const struct container_def *container) must_check;
void wire_encode_loss(struct wire_encoder *enc, const struct loss *loss);
/* How large the batch is so far. */
size_t wire_encoder_bytes(const struct wire_encoder *enc);

/* What has been added since wire_encode_begin. The bytes are whole fields of a nightjar.v1.Batch,
 * valid until the next begin. */
struct wire_parts {
	struct bytes definitions;
	struct bytes body; /* events and losses */
	uint32_t epoch;
	bool opens_epoch;
	uint64_t first_event;
	uint32_t event_count;
};
/* 0 or -ENOMEM. */
int wire_encode_parts(const struct wire_encoder *enc, struct wire_parts *ret_parts) must_check;

struct wire_batch_head {
	uint64_t seq;
	uint32_t epoch;
	bool opens_epoch;
	uint64_t first_event; /* sequence number of the first event; the others follow it */
	int64_t wall_offset_ns;
	uint32_t policy_generation;
	const char *node; /* "" or terminated */
};

/* Appends an AgentMessage with this head and the fields in parts, in their order: how a sender
 * opens an epoch again with the definitions it has kept. 0 or buf_error. */
int wire_write_batch(const struct wire_batch_head *head, const struct bytes *parts, size_t part_count,
		     struct buf *out) must_check;
/* Appends the whole AgentMessage to out; head's epoch, opens_epoch and first_event are the
 * encoder's own. 0, -ENOMEM or buf_error. */
int wire_encode_end(struct wire_encoder *enc, const struct wire_batch_head *head, struct buf *out) must_check;

/* ---- collector side ---- */

struct wire_decoder;

/* Holds the definitions of one agent's present epoch: at most max_definitions of each sort and 16 MiB.
 * Batches of an epoch are decoded in the order in which they were sent, each of them once, whatever
 * becomes of their events: a batch that is left out takes its definitions along. */
struct wire_decoder *wire_decoder_new(uint32_t max_definitions);
void wire_decoder_free(struct wire_decoder *dec); /* NULL allowed */

struct wire_batch {
	struct wire_batch_head head;
	struct event *events;
	uint32_t event_count;
	struct loss *losses;
	uint32_t loss_count;
	/* What the batch defines, on the host too. A definition with a container_id that an earlier one
	 * of the epoch has completes that one: processes that were defined before have it from here on. */
	const struct container_def *const *containers;
	uint32_t container_count;
};

/* Reads only the head of an AgentMessage that is a batch, after checking that the message is whole
 * protobuf all the way: what intake needs before it journals the bytes. No tables. head.node points
 * into arena. 0, -EBADMSG, -ENOMEM, -ENOMSG (well formed, but not a batch). */
int wire_peek_batch(struct bytes message, struct arena *arena, struct wire_batch_head *ret_head) must_check;

/* The events point into arena and into the decoder's epoch: valid until the arena is reset and
 * until the next batch that opens an epoch. Each kind has the child and the endpoints that
 * common/event.h promises; a kind that this side does not know is 0. 0, -EBADMSG, -ENOMEM, -ESTALE (the batch belongs to an
 * epoch that this decoder never saw opened: ask NeedEpoch). */
int wire_decode_batch(struct wire_decoder *dec, struct bytes message, struct arena *arena,
		      struct wire_batch *ret_batch) must_check;

DEFINE_CLEANUP(struct wire_encoder *, wire_encoder_free)
DEFINE_CLEANUP(struct wire_decoder *, wire_decoder_free)
