/* The whole collector as one object: built in order, unbuilt in reverse. */
#pragma once

#include "collector/options.h"

struct collector;

/* Everything up to accepting agents, the retained journal replayed. */
int collector_new(const struct options *o, struct collector **ret_collector, struct err *e) must_check;
void collector_free(struct collector *c); /* NULL allowed */

/* The ready line on stderr, with the real ports. */
void collector_say_ready(const struct collector *c);
/* To be called ten times a second, with the wall clock. */
void collector_tick(struct collector *c, uint64_t wall_ns);
/* Takes the certificates that o names for new connections. */
int collector_reload(struct collector *c, const struct options *o, struct err *e) must_check;
/* Ends the streams, works off what has come in, and hands out the alerts. How many alerts some sink
 * did not confirm; they are in the store all the same. */
int collector_drain(struct collector *c);
