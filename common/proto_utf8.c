/* Makes every string field of a message UTF-8; declared in proto_json.h. */
#include <errno.h>

#include "common/proto_json.h"
#include "common/utf8.h"

static int clean_message(ProtobufCMessage *m, struct arena *arena, unsigned int depth);

static int clean_text(char **text, struct arena *arena)
{
	_cleanup_buf_ struct buf clean = {0};
	struct bytes bytes = bytes_of_text(*text);
	char *copy;

	if (utf8_valid_prefix(bytes) == bytes.len)
		return 0;
	utf8_add(&clean, bytes);
	if (buf_error(&clean) < 0)
		return buf_error(&clean);
	copy = arena_strndup(arena, (const char *)clean.data, clean.len);
	if (!copy)
		return -ENOMEM;
	*text = copy;
	return 0;
}

static int clean_field(ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, struct arena *arena, unsigned int depth)
{
	uint8_t *base = (uint8_t *)m;
	void **values = (void **)(base + f->offset);
	size_t count = 1;

	if (f->label == PROTOBUF_C_LABEL_REPEATED) {
		count = *(size_t *)(base + f->quantifier_offset);
		values = *(void ***)values;
	} else if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF && *(uint32_t *)(base + f->quantifier_offset) != f->id) {
		return 0; /* the union holds something else */
	}
	for (size_t i = 0; i < count; i++) {
		int r = 0;

		if (values[i] && f->type == PROTOBUF_C_TYPE_STRING)
			r = clean_text((char **)&values[i], arena);
		else if (values[i])
			r = clean_message(values[i], arena, depth + 1);
		if (r < 0)
			return r;
	}
	return 0;
}

static int clean_message(ProtobufCMessage *m, struct arena *arena, unsigned int depth)
{
	if (depth >= PROTO_JSON_DEPTH_MAX)
		return -ELOOP;
	for (unsigned int i = 0; i < m->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
		int r;

		if (f->type != PROTOBUF_C_TYPE_STRING && f->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		r = clean_field(m, f, arena, depth);
		if (r < 0)
			return r;
	}
	return 0;
}

int proto_utf8_clean(ProtobufCMessage *message, struct arena *arena)
{
	return clean_message(message, arena, 0);
}
