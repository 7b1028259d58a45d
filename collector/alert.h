/* An alert on its way from a detector to the store and the sinks: the protobuf message together
 * with the arena that holds everything it points to. Made by verdict.c; whoever has the pointer owns
 * it and passes it on. */
#pragma once

#include "common/arena.h"
#include "nightjar/v1/alert.pb-c.h"

struct alert {
	Nightjar__V1__Alert msg;
	struct arena *arena;
};

struct alert *alert_new(void); /* an initialised, empty message; NULL without memory */
void alert_free(struct alert *a); /* NULL allowed */

DEFINE_CLEANUP(struct alert *, alert_free)
