/* How many calls each identity has open, so that no certificate, stolen or of a broken program, takes
 * more than its share. */
#pragma once

#include <stdint.h>

#include "common/tls.h"

#define PEERS_AGENT_CALLS 16U  /* a node has one stream, two while it reconnects; also an address without a certificate */
#define PEERS_OTHER_CALLS 128U /* people and programs may share a certificate */

struct peers;

struct peers *peers_new(void); /* NULL without memory */
void peers_free(struct peers *p); /* NULL allowed */
/* Any thread. True: counted, and *ret_slot goes to peers_leave when the call is over. */
bool peers_enter(struct peers *p, const struct tls_identity *identity, uint32_t *ret_slot);
void peers_leave(struct peers *p, uint32_t slot);
