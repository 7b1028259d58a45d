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
	const char *class; /* process, tcp, file, descriptor, socket, privilege, cgroup */
	uint64_t count;	   /* since the last report */
};

/* ---- agent side ---- */

struct wire_encoder;

/* max_definitions: how many processes an epoch may define before a new one is begun. */
struct wire_encoder *wire_encoder_new(uint32_t max_definitions); /* NULL without memory */
void wire_encoder_free(struct wire_encoder *enc);		  /* NULL allowed */

/* The next batch opens a new epoch: a reconnect, NeedEpoch, or an epoch that is old or large. */
void wire_encoder_new_epoch(struct wire_encoder *enc);
/* True when the present epoch has reached max_definitions or 4 MiB of definitions. */
bool wire_encoder_epoch_full(const struct wire_encoder *enc);

/* Between wire_encode_begin and wire_encode_end: one batch. Events are added in order; their
 * definitions go before them on the wire. */
void wire_encode_begin(struct wire_encoder *enc);
int wire_encode_event(struct wire_encoder *enc, const struct event *event) must_check;
void wire_encode_loss(struct wire_encoder *enc, const struct loss *loss);

struct wire_batch_head {
	uint64_t seq;
	uint32_t epoch;
	bool opens_epoch;
	uint64_t first_event; /* sequence number of the first event; the others follow it */
	int64_t wall_offset_ns;
	uint32_t policy_generation;
	const char *node; /* "" or terminated */
};

/* Appends the whole AgentMessage to out; head's epoch, opens_epoch and first_event are the
 * encoder's own. 0 or buf_error. */
int wire_encode_end(struct wire_encoder *enc, const struct wire_batch_head *head, struct buf *out) must_check;

/* ---- collector side ---- */

struct wire_decoder;

/* Holds the definitions of one agent's present epoch, at most max_definitions of each sort. */
struct wire_decoder *wire_decoder_new(uint32_t max_definitions);
void wire_decoder_free(struct wire_decoder *dec); /* NULL allowed */

struct wire_batch {
	struct wire_batch_head head;
	struct event *events;
	uint32_t event_count;
	struct loss *losses;
	uint32_t loss_count;
};

/* Reads only the head of an AgentMessage that is a batch, after checking that the message is whole
 * protobuf all the way: what intake needs before it journals the bytes. No tables. head.node points
 * into arena. 0, -EBADMSG, -ENOMEM, -ENOMSG (well formed, but not a batch). */
int wire_peek_batch(struct bytes message, struct arena *arena, struct wire_batch_head *ret_head) must_check;

/* The events point into arena and into the decoder's epoch: valid until the arena is reset and
 * until the next batch that opens an epoch. 0, -EBADMSG, -ENOMEM, -ESTALE (the batch belongs to an
 * epoch that this decoder never saw opened: ask NeedEpoch). */
int wire_decode_batch(struct wire_decoder *dec, struct bytes message, struct arena *arena,
		      struct wire_batch *ret_batch) must_check;

DEFINE_CLEANUP(struct wire_encoder *, wire_encoder_free)
DEFINE_CLEANUP(struct wire_decoder *, wire_decoder_free)
