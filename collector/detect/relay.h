/* Where a descriptor leads: from an interpreter through processes that pass bytes on (relays) to
 * the outside parties beyond them.
 *
 * A search is breadth first, bounded by hops, by 32 processes and by 8 parties. What counts as
 * outside, and what stops a search (another container, a terminal server), is in relay.c, one small
 * function per rule. */
#pragma once

#include "collector/entity/entities.h"

#define RELAY_PROCESSES 32
#define RELAY_PARTIES	8
#define RELAY_NONE	(-1)

struct relay_step {
	struct process *process;
	int from; /* index of the step nearer to the interpreter; RELAY_NONE: it is the nearest */
	uint32_t hops;
	uint8_t via; /* enum endpoint_kind */
	struct endpoint_key key;
};

struct relay_party {
	const struct endpoint_object *socket;
	uint64_t party; /* remote_party */
	int step;	/* who holds the socket; RELAY_NONE: the interpreter itself */
};

struct relay_search {
	struct entities *entities;
	struct process *interpreter;
	uint32_t hops_max;
	bool input; /* bytes come from the party; else they go to it */
	struct relay_step steps[RELAY_PROCESSES];
	int step_count;
	struct relay_party parties[RELAY_PARTIES];
	int party_count;
};

/* Fills the search from one descriptor of its interpreter. Marks what it passes through, so that a
 * later act of one of these is recognised. */
void relay_run(struct relay_search *search, const struct descriptor *d);
