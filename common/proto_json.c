/* The descriptor-driven JSON writer; see proto_json.h. */
#include "common/proto_json.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/utf8.h"
#include "google/protobuf/timestamp.pb-c.h"

#define YEAR_1_S    (-62135596800LL)
#define YEAR_9999_S 253402300799LL

typedef ProtobufCFieldDescriptor field_desc; /* protobuf-c's own name fills half a line */

static int write_message(struct buf *out, const ProtobufCMessage *m, unsigned int depth);

static const void *member(const ProtobufCMessage *m, unsigned int offset)
{
	return (const uint8_t *)m + offset;
}

/* ---- texts ---- */

static void add_escaped(struct buf *out, uint8_t c)
{
	static const char short_forms[256] = {
		['"'] = '"', ['\\'] = '\\', ['\n'] = 'n', ['\t'] = 't', ['\r'] = 'r', ['\b'] = 'b', ['\f'] = 'f',
	};

	if (short_forms[c]) {
		buf_add_byte(out, '\\');
		buf_add_byte(out, (uint8_t)short_forms[c]);
	} else {
		buf_printf(out, "\\u%04x", c);
	}
}

/* Bytes from the start that may stand in a JSON string as they are. */
static size_t plain_prefix(struct bytes text)
{
	size_t at = 0;

	while (at < text.len) {
		uint8_t c = text.data[at];
		size_t len = 1;

		if (c < 0x20 || c == '"' || c == '\\')
			break;
		if (c >= 0x80)
			len = utf8_sequence(bytes_of(text.data + at, text.len - at));
		if (len == 0)
			break;
		at += len;
	}
	return at;
}

void proto_json_string(struct buf *out, struct bytes text)
{
	buf_add_byte(out, '"');
	while (text.len > 0) {
		size_t plain = plain_prefix(text);

		buf_add(out, text.data, plain);
		if (plain == text.len)
			break;
		if (text.data[plain] >= 0x80)
			buf_add_text(out, UTF8_REPLACEMENT);
		else
			add_escaped(out, text.data[plain]);
		text = bytes_of(text.data + plain + 1, text.len - plain - 1);
	}
	buf_add_byte(out, '"');
}

void proto_json_base64(struct buf *out, struct bytes data)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < data.len; i += 3) {
		size_t left = data.len - i;
		uint32_t bits = (uint32_t)data.data[i] << 16;

		bits |= left > 1 ? (uint32_t)data.data[i + 1] << 8 : 0;
		bits |= left > 2 ? data.data[i + 2] : 0;
		buf_add_byte(out, (uint8_t)digits[bits >> 18]);
		buf_add_byte(out, (uint8_t)digits[bits >> 12 & 63]);
		buf_add_byte(out, left > 1 ? (uint8_t)digits[bits >> 6 & 63] : '=');
		buf_add_byte(out, left > 2 ? (uint8_t)digits[bits & 63] : '=');
	}
}

bool proto_json_time(struct buf *out, int64_t seconds, int32_t nanos)
{
	time_t when = (time_t)seconds;
	struct tm tm;
	char text[40];

	if (seconds < YEAR_1_S || seconds > YEAR_9999_S || nanos < 0 || nanos > 999999999)
		return false;
	if (!gmtime_r(&when, &tm))
		return false;
	(void)snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1,
		       tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	buf_add_text(out, text);
	if (nanos % 1000)
		buf_printf(out, ".%09d", nanos);
	else if (nanos % 1000000)
		buf_printf(out, ".%06d", nanos / 1000);
	else if (nanos)
		buf_printf(out, ".%03d", nanos / 1000000);
	buf_add_byte(out, 'Z');
	return true;
}

/* ---- numbers ---- */

/* The shortest decimal that reads back as the same number. JSON has no infinities: the mapping
 * writes those as strings. */
static void add_double(struct buf *out, double value, int digits, int digits_max)
{
	char text[40];

	if (!isfinite(value)) {
		buf_add_text(out, isnan(value) ? "\"NaN\"" : value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
		return;
	}
	for (; digits <= digits_max; digits++) {
		(void)snprintf(text, sizeof(text), "%.*g", digits, value);
		if (digits == digits_max || strtod(text, NULL) == value)
			break;
	}
	buf_add_text(out, text);
}

static void add_enum(struct buf *out, const ProtobufCEnumDescriptor *type, int32_t value)
{
	const ProtobufCEnumValue *known = protobuf_c_enum_descriptor_get_value(type, value);

	if (known)
		proto_json_string(out, bytes_of_text(known->name));
	else
		buf_printf(out, "%" PRId32, value);
}

static void add_unsigned(struct buf *out, uint64_t value)
{
	char text[20];
	size_t at = sizeof(text);

	do
		text[--at] = (char)('0' + value % 10);
	while (value /= 10);
	buf_add(out, text + at, sizeof(text) - at);
}

static void add_signed(struct buf *out, int64_t value)
{
	if (value < 0)
		buf_add_byte(out, '-');
	add_unsigned(out, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

static void add_quoted_integer(struct buf *out, ProtobufCType type, const void *at)
{
	buf_add_byte(out, '"');
	if (type == PROTOBUF_C_TYPE_UINT64 || type == PROTOBUF_C_TYPE_FIXED64)
		add_unsigned(out, *(const uint64_t *)at);
	else
		add_signed(out, *(const int64_t *)at);
	buf_add_byte(out, '"');
}

static void add_number(struct buf *out, const field_desc *f, const void *at)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		add_unsigned(out, *(const uint32_t *)at);
		break;
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		add_signed(out, *(const int32_t *)at);
		break;
	case PROTOBUF_C_TYPE_FLOAT:
		add_double(out, (double)*(const float *)at, 6, 9);
		break;
	case PROTOBUF_C_TYPE_DOUBLE:
		add_double(out, *(const double *)at, 15, 17);
		break;
	default:
		add_quoted_integer(out, f->type, at);
	}
}

/* ---- fields ---- */

static void add_base64(struct buf *out, const ProtobufCBinaryData *data)
{
	buf_add_byte(out, '"');
	proto_json_base64(out, bytes_of(data->data, data->len));
	buf_add_byte(out, '"');
}

/* One value; at points to the member or to the element of a repeated one. */
static int add_value(struct buf *out, const field_desc *f, const void *at, unsigned int depth)
{
	const char *text;

	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
		text = *(char *const *)at;
		proto_json_string(out, bytes_of_text(text));
		return 0;
	case PROTOBUF_C_TYPE_MESSAGE:
		return write_message(out, *(ProtobufCMessage *const *)at, depth + 1);
	case PROTOBUF_C_TYPE_BYTES:
		add_base64(out, at);
		return 0;
	case PROTOBUF_C_TYPE_BOOL:
		buf_add_text(out, *(const protobuf_c_boolean *)at ? "true" : "false");
		return 0;
	case PROTOBUF_C_TYPE_ENUM:
		add_enum(out, f->descriptor, *(const int32_t *)at);
		return 0;
	default:
		add_number(out, f, at);
		return 0;
	}
}

static size_t value_size(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	default:
		return 4;
	}
}

static bool is_zero(const field_desc *f, const void *at)
{
	static const uint8_t zero[8];
	const char *text;

	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
		text = *(char *const *)at;
		return !text || !*text;
	case PROTOBUF_C_TYPE_BYTES:
		return ((const ProtobufCBinaryData *)at)->len == 0;
	default:
		return memcmp(at, zero, value_size(f->type)) == 0;
	}
}

static bool is_present(const ProtobufCMessage *m, const field_desc *f)
{
	const void *at = member(m, f->offset);
	bool pointer = f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_MESSAGE;

	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		return *(const uint32_t *)member(m, f->quantifier_offset) == f->id &&
		       (!pointer || *(void *const *)at);
	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return *(const size_t *)member(m, f->quantifier_offset) > 0;
	if (f->label == PROTOBUF_C_LABEL_OPTIONAL && !pointer)
		return *(const protobuf_c_boolean *)member(m, f->quantifier_offset);
	return !is_zero(f, at);
}

/* protobuf-c keeps no mark of a map: its entry message is known by its shape and name. */
static bool is_map(const field_desc *f)
{
	const ProtobufCMessageDescriptor *entry = f->descriptor;
	size_t len;

	if (f->type != PROTOBUF_C_TYPE_MESSAGE || entry->n_fields != 2)
		return false;
	len = strlen(entry->short_name);
	return len > 5 && strcmp(entry->short_name + len - 5, "Entry") == 0 &&
	       strcmp(entry->fields[0].name, "key") == 0 && strcmp(entry->fields[1].name, "value") == 0;
}

static void add_map_key(struct buf *out, const ProtobufCMessage *entry)
{
	const field_desc *key = &entry->descriptor->fields[0];
	const void *at = member(entry, key->offset);

	if (value_size(key->type) == 4)
		buf_add_byte(out, '"');
	(void)add_value(out, key, at, 0);
	if (value_size(key->type) == 4)
		buf_add_byte(out, '"');
}

static int add_map(struct buf *out, ProtobufCMessage *const *entries, size_t count, unsigned int depth)
{
	int r = 0;

	buf_add_byte(out, '{');
	for (size_t i = 0; i < count && r == 0; i++) {
		const field_desc *value = &entries[i]->descriptor->fields[1];

		if (i > 0)
			buf_add_byte(out, ',');
		add_map_key(out, entries[i]);
		buf_add_byte(out, ':');
		r = add_value(out, value, member(entries[i], value->offset), depth);
	}
	buf_add_byte(out, '}');
	return r;
}

static int add_array(struct buf *out, const field_desc *f, const uint8_t *values, size_t count, unsigned int depth)
{
	int r = 0;

	buf_add_byte(out, '[');
	for (size_t i = 0; i < count && r == 0; i++) {
		if (i > 0)
			buf_add_byte(out, ',');
		r = add_value(out, f, values + i * value_size(f->type), depth);
	}
	buf_add_byte(out, ']');
	return r;
}

static int add_field(struct buf *out, const ProtobufCMessage *m, const field_desc *f, unsigned int depth)
{
	const void *at = member(m, f->offset);
	size_t count;

	buf_add_byte(out, '"');
	buf_add_text(out, f->name);
	buf_add(out, "\":", 2);
	if (f->label != PROTOBUF_C_LABEL_REPEATED)
		return add_value(out, f, at, depth);
	count = *(const size_t *)member(m, f->quantifier_offset);
	if (is_map(f))
		return add_map(out, *(ProtobufCMessage *const *const *)at, count, depth);
	return add_array(out, f, *(const uint8_t *const *)at, count, depth);
}

static void add_timestamp(struct buf *out, const ProtobufCMessage *m)
{
	const Google__Protobuf__Timestamp *time = (const Google__Protobuf__Timestamp *)m;
	size_t start = out->len;

	buf_add_byte(out, '"');
	if (proto_json_time(out, time->seconds, time->nanos)) {
		buf_add_byte(out, '"');
	} else {
		buf_truncate(out, start);
		buf_add_text(out, "null");
	}
}

static int write_message(struct buf *out, const ProtobufCMessage *m, unsigned int depth)
{
	bool first = true;

	if (depth >= PROTO_JSON_DEPTH_MAX)
		return -ELOOP;
	if (m->descriptor == &google__protobuf__timestamp__descriptor) {
		add_timestamp(out, m);
		return 0;
	}
	buf_add_byte(out, '{');
	for (unsigned int i = 0; i < m->descriptor->n_fields; i++) {
		const field_desc *f = &m->descriptor->fields[i];
		int r;

		if (!is_present(m, f))
			continue;
		if (!first)
			buf_add_byte(out, ',');
		first = false;
		r = add_field(out, m, f, depth);
		if (r < 0)
			return r;
	}
	buf_add_byte(out, '}');
	return 0;
}

int proto_json_write(struct buf *out, const ProtobufCMessage *message)
{
	size_t start = out->len;
	int r = write_message(out, message, 0);

	if (r == 0)
		r = buf_error(out);
	if (r < 0)
		buf_truncate(out, start);
	return r;
}
