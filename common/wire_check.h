/* The structure of foreign protobuf, checked before anything is allocated for it. */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "common/bytes.h"
#include "common/err.h"

/* Messages, strings, byte fields and repeated numbers in one message, at any depth: a bound on what
 * unpacking costs in memory. A full batch has a tenth of it. */
#define WIRE_ELEMENTS_MAX 65536U

/* 0 when message is whole protobuf all the way down and every field that desc knows has the
 * wire type it must have; unknown fields of any type are let pass; else -EBADMSG. No allocation. */
int wire_check(const ProtobufCMessageDescriptor *desc, struct bytes message) must_check;

/* One field as it stands in the bytes. */
struct wire_field {
	uint32_t number;
	uint32_t type;	     /* enum pb_wire_type */
	uint64_t value;	     /* of a varint or a fixed-size field */
	struct bytes data;   /* of a length-delimited one */
};
/* Takes the next field off the front of *message. 1, 0 at the end, -EBADMSG. */
int wire_next_field(struct bytes *message, struct wire_field *ret_field) must_check;
