/* A node says who it is and what it can see: what is new of that goes into the journal and to the
 * node's worker, as a batch does, so that it is a part of the recorded stream. Part of intake; each
 * function runs under nodes_lock but for those that say otherwise.
 *
 * One Hello a node waits at most while there is no room: a newer one takes its place. */
#pragma once

#include "collector/ingest/intake.h"

struct introduce;

struct introduce *introduce_new(const struct intake_config *config); /* NULL without memory */
void introduce_free(struct introduce *in);			     /* NULL allowed */

/* What the policy asks for from now on, as in intake_config. */
void introduce_want(struct introduce *in, const char *const *wanted);
/* The node has a Hello: passed on unless it says what the last one said. */
void introduce_node(struct introduce *in, struct node *node, uint64_t received_ns);
/* There is room again somewhere. */
void introduce_retry(struct introduce *in);
/* Takes the lock. Writes what the node said last into the journal once more: a segment shall not
 * need the ones before to say who its nodes are. Where there is no room it goes to the worker too,
 * later, and changes nothing there. */
void introduce_again(struct introduce *in, struct node *node);

/* The hello that a record of the journal holds, for nightjar__v1__hello__free_unpacked; NULL: none.
 * Any thread. */
Nightjar__V1__Hello *introduce_unpack(struct bytes payload);
/* Takes the lock. The node said this in an earlier run. Takes hello over. What the policy wanted
 * then is in the record; what it wants now, the node's next Hello tells. */
void introduce_replay(struct introduce *in, struct node *node, const struct journal_record *record,
		      Nightjar__V1__Hello *hello);
