/* Walks protobuf along protobuf-c's own descriptors; see wire_check.h. About 20 ns a field; the
 * depth is that of the message types, which do not contain themselves. */
#include "common/wire_check.h"

#include <errno.h>
#include <stdbool.h>

#include "common/pb.h"

static int next_long_varint(struct bytes *message, uint64_t *ret_value)
{
	uint64_t value = 0;

	for (size_t i = 0; i < message->len && i < PB_VARINT_MAX; i++) {
		uint8_t byte = message->data[i];

		if (i == PB_VARINT_MAX - 1 && byte > 1)
			return -EBADMSG; /* more than 64 bits */
		value |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (byte < 0x80) {
			*message = bytes_of(message->data + i + 1, message->len - i - 1);
			*ret_value = value;
			return 0;
		}
	}
	return -EBADMSG;
}

/* Most are tags, lengths and small numbers: one byte. */
static inline int next_varint(struct bytes *message, uint64_t *ret_value)
{
	if (message->len == 0 || message->data[0] >= 0x80)
		return next_long_varint(message, ret_value);
	*ret_value = message->data[0];
	*message = bytes_of(message->data + 1, message->len - 1);
	return 0;
}

static int next_span(struct bytes *message, uint64_t len, struct bytes *ret_span)
{
	if (len > message->len)
		return -EBADMSG;
	*ret_span = bytes_of(message->data, len);
	*message = bytes_of(message->data + len, message->len - len);
	return 0;
}

static int next_fixed(struct bytes *message, size_t size, uint64_t *ret_value)
{
	struct bytes span;
	uint64_t value = 0;

	if (next_span(message, size, &span) < 0)
		return -EBADMSG;
	for (size_t i = 0; i < size; i++)
		value |= (uint64_t)span.data[i] << (8 * i);
	*ret_value = value;
	return 0;
}

static int next_content(struct bytes *message, struct wire_field *field)
{
	uint64_t len;

	switch (field->type) {
	case PB_VARINT:
		return next_varint(message, &field->value);
	case PB_FIXED64:
		return next_fixed(message, 8, &field->value);
	case PB_FIXED32:
		return next_fixed(message, 4, &field->value);
	case PB_LENGTH:
		if (next_varint(message, &len) < 0)
			return -EBADMSG;
		return next_span(message, len, &field->data);
	default:
		return -EBADMSG; /* groups: proto3 has none */
	}
}

int wire_next_field(struct bytes *message, struct wire_field *ret_field)
{
	struct wire_field field = {0};
	struct bytes rest = *message;
	uint64_t tag;

	if (rest.len == 0)
		return 0;
	if (next_varint(&rest, &tag) < 0 || tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
		return -EBADMSG;
	field.number = (uint32_t)(tag >> 3);
	field.type = tag & 7;
	if (next_content(&rest, &field) < 0)
		return -EBADMSG;
	*message = rest;
	*ret_field = field;
	return 1;
}

/* The wire type of one value. */
static uint32_t expected_type(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return PB_FIXED64;
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
		return PB_FIXED32;
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_BYTES:
	case PROTOBUF_C_TYPE_MESSAGE:
		return PB_LENGTH;
	default:
		return PB_VARINT;
	}
}

/* A run of numbers: whole, and each of them counts. */
static int check_packed(uint32_t type, struct bytes run, uint32_t *elements)
{
	struct wire_field value = {.type = type};

	while (run.len > 0)
		if (++*elements > WIRE_ELEMENTS_MAX || next_content(&run, &value) < 0)
			return -EBADMSG;
	return 0;
}

/* Our messages number their fields from 1 on nearly without gaps: the search is seldom needed. */
static const ProtobufCFieldDescriptor *known_field(const ProtobufCMessageDescriptor *desc,
						   uint32_t number)
{
	if (number <= desc->n_fields && desc->fields[number - 1].id == number)
		return &desc->fields[number - 1];
	return protobuf_c_message_descriptor_get_field(desc, number);
}

static int check(const ProtobufCMessageDescriptor *desc, struct bytes message, uint32_t *elements);

static int check_value(const ProtobufCFieldDescriptor *known, const struct wire_field *field,
		       uint32_t *elements)
{
	uint32_t expected = expected_type(known->type);
	bool repeated = known->label == PROTOBUF_C_LABEL_REPEATED;

	if (repeated && expected != PB_LENGTH && field->type == PB_LENGTH)
		return check_packed(expected, field->data, elements);
	if (field->type != expected)
		return -EBADMSG;
	if (repeated && expected != PB_LENGTH && ++*elements > WIRE_ELEMENTS_MAX)
		return -EBADMSG;
	if (known->type == PROTOBUF_C_TYPE_MESSAGE)
		return check(known->descriptor, field->data, elements);
	return 0;
}

static int check(const ProtobufCMessageDescriptor *desc, struct bytes message, uint32_t *elements)
{
	struct wire_field field;
	int more;

	while ((more = wire_next_field(&message, &field)) > 0) {
		const ProtobufCFieldDescriptor *known = known_field(desc, field.number);

		if (field.type == PB_LENGTH && ++*elements > WIRE_ELEMENTS_MAX)
			return -EBADMSG;
		if (known && check_value(known, &field, elements) < 0)
			return -EBADMSG;
	}
	return more;
}

int wire_check(const ProtobufCMessageDescriptor *desc, struct bytes message)
{
	uint32_t elements = 0;

	return check(desc, message, &elements);
}
