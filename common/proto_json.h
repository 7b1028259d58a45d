/* Any protobuf-c message as JSON: the proto3 mapping with the names of the .proto files. 64-bit
 * integers are strings, Timestamps RFC 3339, maps objects, bytes base64; what is unset or zero is
 * left out. One function for every message, driven by protobuf-c's descriptors.
 *
 * The output is always valid JSON in UTF-8, whatever bytes a string field holds. An alert is about
 * 2 kB and takes a few microseconds. */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "common/arena.h"
#include "common/buf.h"

#define PROTO_JSON_DEPTH_MAX 64 /* messages within messages */

/* Appends one object, no newline. 0, or negative: buf_error, -ELOOP (nested deeper than the
 * maximum); out then holds only what it held before. */
int proto_json_write(struct buf *out, const ProtobufCMessage *message) must_check;

/* A JSON string with its quotes. */
void proto_json_string(struct buf *out, struct bytes text);

/* Base64 with padding, without quotes. */
void proto_json_base64(struct buf *out, struct bytes data);

/* RFC 3339 in UTC with as many of 0, 3, 6, 9 digits as it takes: "2026-11-24T20:43:16.000001Z".
 * Returns false, and appends nothing, outside years 1 to 9999. */
bool proto_json_time(struct buf *out, int64_t seconds, int32_t nanos) must_check;

/* Puts U+FFFD where string fields are no UTF-8, at any depth: peers in other languages refuse a
 * message that holds anything else. New texts live in arena. 0, -ENOMEM, -ELOOP. */
int proto_utf8_clean(ProtobufCMessage *message, struct arena *arena) must_check;
