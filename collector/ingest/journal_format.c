/* One record to bytes and back. All integers little-endian; the checksum is XXH3-64 of the length
 * and the body, so that a length that was cut or shifted cannot match. */
#include "collector/ingest/journal_format.h"

#include <endian.h>
#include <errno.h>

#include <xxhash.h>

static uint64_t checksum(uint32_t length_le, struct bytes body)
{
	uint64_t of_length = XXH3_64bits(&length_le, sizeof(length_le));

	return XXH3_64bits_withSeed(body.data, body.len, of_length);
}

int journal_encode(const struct journal_record *record, struct buf *out)
{
	const char *names[3] = {record->node.cluster, record->node.node, record->node.boot_id};
	size_t start = out->len, lengths[3], total = JOURNAL_FIXED_BYTES + record->payload.len;
	uint64_t received = htole64(record->received_ns), sum;
	uint32_t length;
	int i, r;

	for (i = 0; i < 3; i++) {
		lengths[i] = names[i] ? strlen(names[i]) : 0;
		if (lengths[i] > UINT8_MAX)
			return -EINVAL;
		total += lengths[i];
	}
	if (total > JOURNAL_BODY_MAX)
		return -EINVAL;
	length = htole32((uint32_t)total);
	buf_add(out, &length, sizeof(length));
	buf_add(out, "\0\0\0\0\0\0\0", sizeof(sum));
	buf_add_byte(out, (uint8_t)record->type);
	for (i = 0; i < 3; i++)
		buf_add_byte(out, (uint8_t)lengths[i]);
	buf_add(out, &received, sizeof(received));
	for (i = 0; i < 3; i++)
		buf_add(out, names[i], lengths[i]);
	buf_add(out, record->payload.data, record->payload.len);
	r = buf_error(out);
	if (r < 0)
		return r;
	sum = htole64(checksum(length, bytes_of(out->data + start + JOURNAL_PREFIX_BYTES, total)));
	memcpy(out->data + start + sizeof(length), &sum, sizeof(sum));
	return 0;
}

uint32_t journal_body_length(const uint8_t prefix[JOURNAL_PREFIX_BYTES])
{
	uint32_t length;

	memcpy(&length, prefix, sizeof(length));
	length = le32toh(length);
	return length < JOURNAL_FIXED_BYTES || length > JOURNAL_BODY_MAX ? 0 : length;
}

int journal_decode(const uint8_t prefix[JOURNAL_PREFIX_BYTES], struct bytes body, char names[768],
		   struct journal_record *ret_record)
{
	struct journal_record record = {0};
	const char **slots[3] = {&record.node.cluster, &record.node.node, &record.node.boot_id};
	size_t at = JOURNAL_FIXED_BYTES;
	uint64_t sum, received;
	uint32_t length;
	int i;

	memcpy(&length, prefix, sizeof(length));
	memcpy(&sum, prefix + sizeof(length), sizeof(sum));
	if (body.len < JOURNAL_FIXED_BYTES || le32toh(length) != body.len ||
	    le64toh(sum) != checksum(length, body))
		return -EBADMSG;
	record.type = (enum journal_type)body.data[0];
	memcpy(&received, body.data + 4, sizeof(received));
	record.received_ns = le64toh(received);
	for (i = 0; i < 3; i++) {
		size_t len = body.data[1 + i];
		char *name = names + (size_t)i * 256;

		if (len > body.len - at)
			return -EBADMSG;
		memcpy(name, body.data + at, len);
		name[len] = '\0';
		*slots[i] = name;
		at += len;
	}
	record.payload = bytes_of(body.data + at, body.len - at);
	*ret_record = record;
	return 0;
}
