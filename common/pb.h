/* Writing protobuf by hand, for the one message that is written a million times a second.
 *
 * Every function writes at p and returns where it stopped. None checks room: the caller reckons an
 * upper bound first (PB_FIELD_MAX for each number, PB_HEAD_MAX and the length for each run of bytes)
 * and reserves it once per message. As proto3 demands, a field with its default value is left out. */
#pragma once

#include <stdint.h>
#include <string.h>

#include "common/bytes.h"

#define PB_VARINT_MAX 10U
#define PB_FIELD_MAX  (2U + PB_VARINT_MAX) /* field numbers here are below 2048 */
#define PB_HEAD_MAX   PB_FIELD_MAX	   /* tag and length */

enum pb_wire_type { PB_VARINT = 0, PB_FIXED64 = 1, PB_LENGTH = 2, PB_FIXED32 = 5 };

static inline uint8_t *pb_varint(uint8_t *p, uint64_t value)
{
	while (value >= 0x80) {
		*p++ = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	*p++ = (uint8_t)value;
	return p;
}

static inline uint8_t *pb_tag(uint8_t *p, uint32_t field, enum pb_wire_type type)
{
	return pb_varint(p, (uint64_t)field << 3 | type);
}

/* uint32, uint64, bool and enum. */
static inline uint8_t *pb_uint(uint8_t *p, uint32_t field, uint64_t value)
{
	if (value == 0)
		return p;
	return pb_varint(pb_tag(p, field, PB_VARINT), value);
}

/* sint32 and sint64. */
static inline uint8_t *pb_sint(uint8_t *p, uint32_t field, int64_t value)
{
	return pb_uint(p, field, (uint64_t)value << 1 ^ (uint64_t)(value >> 63));
}

static inline uint8_t *pb_fixed64(uint8_t *p, uint32_t field, uint64_t value)
{
	if (value == 0)
		return p;
	p = pb_tag(p, field, PB_FIXED64);
	for (int shift = 0; shift < 64; shift += 8)
		*p++ = (uint8_t)(value >> shift);
	return p;
}

/* An element of a repeated field: written even when empty. */
static inline uint8_t *pb_element(uint8_t *p, uint32_t field, struct bytes value)
{
	p = pb_varint(pb_tag(p, field, PB_LENGTH), value.len);
	if (value.len > 0)
		memcpy(p, value.data, value.len);
	return p + value.len;
}

static inline uint8_t *pb_bytes(uint8_t *p, uint32_t field, struct bytes value)
{
	return value.len > 0 ? pb_element(p, field, value) : p;
}

/* A message inside: pb_open, its fields, pb_close with what pb_open left in *ret_mark. The length is
 * given one byte at first, for nearly all of ours are short; a longer message moves up. */
static inline uint8_t *pb_open(uint8_t *p, uint32_t field, uint8_t **ret_mark)
{
	p = pb_tag(p, field, PB_LENGTH);
	*ret_mark = p;
	return p + 1;
}

static inline uint8_t *pb_close(uint8_t *p, uint8_t *mark)
{
	size_t len = (size_t)(p - mark) - 1;
	uint8_t head[PB_VARINT_MAX];
	size_t head_len = (size_t)(pb_varint(head, len) - head);

	if (head_len > 1)
		memmove(mark + head_len, mark + 1, len);
	memcpy(mark, head, head_len);
	return mark + head_len + len;
}
