/* Addresses of connections: what is loopback, and who is at the other end of it.
 *
 * A connection whose two ends are on the node is followed by its address quadruple and network
 * namespace to the accepted socket or, until that is accepted, to whoever listens on the port.
 * Per shard 4096 quadruples and 1024 listeners. */
#pragma once

#include "collector/entity/endpoint.h"
#include "collector/entity/process.h"

#define REMOTE_TEXT_MAX 64

bool remote_is_local(const struct endpoint_object *tcp); /* loopback, or the host's own address */
bool remote_is_known(const struct endpoint_object *tcp); /* has a remote address and port */

/* Notes a local connection or a listener, so that its other end finds it. */
void remote_seen(struct entities *en, const struct endpoint_object *tcp,
		 const struct process *owner);
bool remote_is_listened(const struct entities *en, const struct endpoint_object *tcp);

/* The accepted or connecting socket at the other end; NULL when it is not tracked. */
struct endpoint_object *remote_peer(const struct entities *en, const struct endpoint_object *tcp);
/* Who listens where this connection goes to; NULL unknown. */
struct process *remote_listener(const struct entities *en, const struct endpoint_object *tcp);

/* "192.0.2.1", "2001:db8::1" */
void remote_format_ip(uint8_t family, const uint8_t ip[16], char ret_text[REMOTE_TEXT_MAX]);
/* A number for the address alone: the same party on another port has the same. */
uint64_t remote_party(uint8_t family, const uint8_t ip[16]);
