/* grpc.reflection.v1 and v1alpha over the descriptor set that the build embeds: what lets grpcurl
 * list, describe and call everything without a .proto file. */
#pragma once

#include "collector/ingest/listen.h"

struct reflection;

/* -EBADMSG when the embedded descriptors cannot be read, which only a broken build does. */
int reflection_new(struct reflection **ret_reflection, struct err *e) must_check;
void reflection_free(struct reflection *r); /* NULL allowed; after the listener has stopped */
const struct listen_method *reflection_methods(struct reflection *r);
