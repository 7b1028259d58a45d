/* What a connection may cost before it has given anything in return. The gRPC library, in 1.51, bounds
 * neither connections nor the calls, pings and header fields that wait to be handled: one peer with a
 * valid certificate can make it take gigabytes, and it stops listening for good once accept4 fails
 * for want of descriptors.
 *
 * So the sockets are watched from below. Each connection has a credit of bytes; reading spends it, and
 * a message that has been handled renews it. What waits in the library is therefore never more than
 * the credit, whatever it consists of. Who has none left is cut off and counted. An honest peer never
 * comes near: its messages are most of what it sends, and keep-alives are paid by time. */
#pragma once

#include <stdint.h>

#include "common/err.h"
#include "common/metrics.h"

#define GATE_CREDIT_NEW	  (128L << 10) /* handshake, settings, a stream's first window */
#define GATE_CREDIT_OTHER (256L << 10) /* requests of people and programs are small */
#define GATE_CREDIT_AGENT (4608L << 10) /* the largest batch and a window */
#define GATE_PER_SECOND	  64L /* keep-alives */
#define GATE_PER_SENT	  128L /* window updates for a message of ours */

/* Opens the gate of the process for at most max connections, fewer where the limit of descriptors
 * is lower (the soft one is raised to the hard one). Until gate_close. */
int gate_open(unsigned int max, struct metrics *metrics, struct err *e) must_check;
/* Before the metrics go: watches nothing any more. */
void gate_close(void);

/* A connection as its calls know it. Nothing below keeps it alive: once it is gone, its ticket is good
 * for nothing. */
struct gate_ticket {
	int fd; /* -1: unknown */
	uint64_t connection;
};

/* peer: "ipv4:127.0.0.1:4242", as the library names it. */
struct gate_ticket gate_find(const char *peer);
/* An agent's call has begun: its first message may be large. Once per connection, until a message has
 * been handled. */
void gate_raise(struct gate_ticket ticket);
/* A message of the peer has been handled: its credit is bytes again. */
void gate_renew(struct gate_ticket ticket, long bytes);
/* The call is over: no more than a new connection has. */
void gate_lower(struct gate_ticket ticket);
void gate_sent(struct gate_ticket ticket);
