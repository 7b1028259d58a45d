/* Walks protobuf along protobuf-c's own descriptors; see wire_check.h. About 20 ns a field; the
 * depth is that of the message types, which do not contain themselves. */
#include "common/wire_check.h"

#include <errno.h>

#include "common/pb.h"

static int next_varint(struct bytes *message, uint64_t *ret_value)
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

static int check(const ProtobufCMessageDescriptor *desc, struct bytes message, uint32_t *elements)
{
	struct wire_field field;
	int more;

	while ((more = wire_next_field(&message, &field)) > 0) {
		const ProtobufCFieldDescriptor *known =
			protobuf_c_message_descriptor_get_field(desc, field.number);

		if (field.type == PB_LENGTH && ++*elements > WIRE_ELEMENTS_MAX)
			return -EBADMSG;
		if (!known)
			continue;
		if (field.type != expected_type(known->type))
			return -EBADMSG;
		if (known->type == PROTOBUF_C_TYPE_MESSAGE &&
		    check((const ProtobufCMessageDescriptor *)known->descriptor, field.data, elements) < 0)
			return -EBADMSG;
	}
	return more;
}

int wire_check(const ProtobufCMessageDescriptor *desc, struct bytes message)
{
	uint32_t elements = 0;

	return check(desc, message, &elements);
}
