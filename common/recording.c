/* Length-delimited nightjar.v1.RecordingEntry messages in zstd frames, written and read by hand: the
 * messages inside are passed through as bytes. Every frame carries zstd's checksum.
 *
 * Sizes: a frame is 1 MiB before compression and at most one message more; a reader holds one frame
 * and refuses larger ones. */
#include "common/recording.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <zstd.h>

#include "common/buf.h"
#include "common/pb.h"
#include "common/version.h"
#include "common/wire.h"
#include "common/wire_check.h"

#define LEVEL	      1
#define NAME_MAX_LEN  1024U
#define FRAME_MAX     (RECORDING_FRAME_BYTES + WIRE_MESSAGE_MAX + 8192)
#define READ_BYTES    65536U

/* Fields of recording.proto. */
enum { ENTRY_HEADER = 1, ENTRY_MESSAGE = 2, ENTRY_ADVANCE = 3 };
enum { HEADER_VERSION = 1, HEADER_WRITER = 2 };
enum { MESSAGE_CLUSTER = 1, MESSAGE_NODE, MESSAGE_BOOT_ID, MESSAGE_RECEIVED, MESSAGE_BODY };

/* ---- writing ------------------------------------------------------------------------------- */

struct recording_writer {
	FILE *file;
	ZSTD_CCtx *zstd;
	struct buf frame;   /* not compressed yet */
	struct buf scratch; /* one entry; the compressed frame */
	uint64_t frames;
	uint64_t size;
	int error; /* the first; sticks */
};

int recording_create(const char *path, struct recording_writer **ret_writer, struct err *e)
{
	struct recording_writer *w = calloc(1, sizeof(*w));

	if (w)
		w->zstd = ZSTD_createCCtx();
	if (!w || !w->zstd) {
		free(w);
		return err_set(e, -ENOMEM, "cannot record: no memory");
	}
	w->frame = buf_with_max(FRAME_MAX);
	w->scratch = buf_with_max(2 * FRAME_MAX);
	(void)ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_compressionLevel, LEVEL);
	(void)ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_checksumFlag, 1);
	w->file = fopen(path, "we");
	if (!w->file) {
		int r = err_set(e, -errno, "cannot write the recording '%s': %s", path, strerror(errno));

		(void)!recording_finish(w);
		return r;
	}
	*ret_writer = w;
	return 0;
}

/* Appends an entry that scratch holds, after its length. */
static void add_entry(struct recording_writer *w, const uint8_t *data, size_t len)
{
	uint8_t head[PB_VARINT_MAX];

	buf_add(&w->frame, head, (size_t)(pb_varint(head, len) - head));
	buf_add(&w->frame, data, len);
}

static void add_header(struct recording_writer *w)
{
	uint8_t room[128], *mark, *p = pb_open(room, ENTRY_HEADER, &mark);

	p = pb_uint(p, HEADER_VERSION, RECORDING_VERSION);
	p = pb_bytes(p, HEADER_WRITER, bytes_of_text("nightjar " NIGHTJAR_VERSION));
	p = pb_close(p, mark);
	add_entry(w, room, (size_t)(p - room));
}

static int add_message(struct recording_writer *w, const struct recording_entry *entry)
{
	struct bytes cluster = bytes_of_text(entry->cluster), node = bytes_of_text(entry->node),
		     boot_id = bytes_of_text(entry->boot_id);
	size_t most = cluster.len + node.len + boot_id.len + entry->message.len + 8 * PB_HEAD_MAX;
	uint8_t *room, *mark, *p;

	if (cluster.len > NAME_MAX_LEN || node.len > NAME_MAX_LEN || boot_id.len > NAME_MAX_LEN ||
	    entry->message.len > WIRE_MESSAGE_MAX)
		return -EMSGSIZE;
	buf_clear(&w->scratch);
	room = buf_extend(&w->scratch, most);
	if (!room)
		return buf_error(&w->scratch);
	p = pb_open(room, ENTRY_MESSAGE, &mark);
	p = pb_bytes(p, MESSAGE_CLUSTER, cluster);
	p = pb_bytes(p, MESSAGE_NODE, node);
	p = pb_bytes(p, MESSAGE_BOOT_ID, boot_id);
	p = pb_uint(p, MESSAGE_RECEIVED, entry->received_ns);
	p = pb_element(p, MESSAGE_BODY, entry->message);
	p = pb_close(p, mark);
	add_entry(w, room, (size_t)(p - room));
	return 0;
}

int recording_write(struct recording_writer *w, const struct recording_entry *entry)
{
	uint8_t room[16];
	int r = 0;

	if (w->error < 0)
		return w->error;
	if (w->frame.len == 0)
		add_header(w);
	if (entry->kind == RECORDING_MESSAGE)
		r = add_message(w, entry);
	else
		add_entry(w, room, (size_t)(pb_fixed64(room, ENTRY_ADVANCE, entry->advance_ns) - room));
	if (r == 0)
		r = buf_error(&w->frame);
	if (r == 0 && w->frame.len >= RECORDING_FRAME_BYTES)
		r = recording_flush(w);
	return r;
}

uint64_t recording_frame(const struct recording_writer *w)
{
	return w->frames;
}

int recording_flush(struct recording_writer *w)
{
	size_t bound = ZSTD_compressBound(w->frame.len), size;
	uint8_t *out;

	if (w->frame.len == 0 || w->error < 0)
		return w->error;
	buf_clear(&w->scratch);
	out = buf_extend(&w->scratch, bound);
	size = out ? ZSTD_compress2(w->zstd, out, bound, w->frame.data, w->frame.len) : 0;
	buf_clear(&w->frame);
	w->frames++;
	if (!out || ZSTD_isError(size))
		w->error = -ENOMEM;
	else if (fwrite(out, 1, size, w->file) != size || fflush(w->file) != 0)
		w->error = errno ? -errno : -EIO;
	else
		w->size += size;
	return w->error;
}

uint64_t recording_size(const struct recording_writer *w)
{
	return w->size;
}

int recording_finish(struct recording_writer *w)
{
	int r;

	if (!w)
		return 0;
	r = w->file ? recording_flush(w) : 0;
	if (w->file && fclose(w->file) != 0 && r == 0)
		r = -errno;
	(void)ZSTD_freeCCtx(w->zstd);
	buf_done(&w->frame);
	buf_done(&w->scratch);
	free(w);
	return r;
}

/* ---- reading ------------------------------------------------------------------------------- */

struct recording_reader {
	char *path;
	FILE *file;
	ZSTD_DCtx *zstd;
	ZSTD_inBuffer in;
	uint8_t input[READ_BYTES];
	struct buf frame;
	struct bytes rest; /* of the frame, not handed out yet */
	uint64_t entries;
	char names[3][NAME_MAX_LEN + 1];
};

int recording_open(const char *path, struct recording_reader **ret_reader, struct err *e)
{
	_cleanup_(recording_closep) struct recording_reader *r = calloc(1, sizeof(*r));

	if (!r)
		return err_set(e, -ENOMEM, "cannot read the recording '%s': no memory", path);
	r->path = strdup(path);
	r->zstd = ZSTD_createDCtx();
	if (!r->path || !r->zstd)
		return err_set(e, -ENOMEM, "cannot read the recording '%s': no memory", path);
	r->frame = buf_with_max(FRAME_MAX);
	r->in.src = r->input;
	r->file = fopen(path, "re");
	if (!r->file)
		return err_set(e, -errno, "cannot read the recording '%s': %s", path, strerror(errno));
	*ret_reader = take_ptr(r);
	return 0;
}

void recording_close(struct recording_reader *r)
{
	if (!r)
		return;
	if (r->file)
		(void)fclose(r->file);
	(void)ZSTD_freeDCtx(r->zstd);
	buf_done(&r->frame);
	free(r->path);
	free(r);
}

static int damaged(const struct recording_reader *r, struct err *e, const char *why)
{
	return err_set(e, -EBADMSG, "the recording '%s' %s, after %" PRIu64 " entries", r->path, why,
		       r->entries);
}

/* Decompresses what there is for another step. 0: the frame is complete; 1: more of it to come. */
static int decompress_step(struct recording_reader *r, struct err *e)
{
	size_t step = ZSTD_DStreamOutSize(), left;
	ZSTD_outBuffer out = {.dst = buf_extend(&r->frame, step), .size = step};

	if (!out.dst)
		return damaged(r, e, "has a frame that is too large");
	left = ZSTD_decompressStream(r->zstd, &out, &r->in);
	buf_truncate(&r->frame, r->frame.len - (step - out.pos));
	if (ZSTD_isError(left))
		return damaged(r, e, "is no recording or is damaged");
	return left != 0;
}

/* The next frame whole, so that what is damaged is never half believed. 1; 0: end of the file. */
static int read_frame(struct recording_reader *r, struct err *e)
{
	bool begun = false;
	int more = 1;

	buf_clear(&r->frame);
	while (more == 1) {
		if (r->in.pos == r->in.size) {
			r->in.size = fread(r->input, 1, sizeof(r->input), r->file);
			r->in.pos = 0;
			if (ferror(r->file))
				return err_set(e, -EIO, "cannot read the recording '%s'", r->path);
			if (r->in.size == 0)
				return begun ? damaged(r, e, "ends in the middle of a frame") : 0;
		}
		begun = true;
		more = decompress_step(r, e);
	}
	r->rest = buf_bytes(&r->frame);
	return more < 0 ? more : 1;
}

static bool take_varint(struct bytes *from, uint64_t *ret_value)
{
	uint64_t value = 0;
	unsigned int i;

	for (i = 0; i < PB_VARINT_MAX && i < from->len; i++) {
		value |= (uint64_t)(from->data[i] & 0x7f) << (7 * i);
		if (!(from->data[i] & 0x80)) {
			*from = bytes_of(from->data + i + 1, from->len - i - 1);
			*ret_value = value;
			return true;
		}
	}
	return false;
}

static int parse_header(struct recording_reader *r, struct bytes header, struct err *e)
{
	struct wire_field field;
	int result;

	while ((result = wire_next_field(&header, &field)) == 1)
		if (field.number == HEADER_VERSION && field.value > RECORDING_VERSION)
			return err_set(e, -EPROTO,
				       "the recording '%s' has version %" PRIu64
				       ", newer than this program understands: update it",
				       r->path, field.value);
	return result < 0 ? damaged(r, e, "has an entry that makes no sense") : 0;
}

static int parse_message(struct recording_reader *r, struct bytes message, struct recording_entry *ret)
{
	struct recording_entry entry = {.kind = RECORDING_MESSAGE,
					.cluster = r->names[0],
					.node = r->names[1],
					.boot_id = r->names[2]};
	struct wire_field field;
	int result;

	memset(r->names, 0, sizeof(r->names));
	while ((result = wire_next_field(&message, &field)) == 1) {
		if (field.number >= MESSAGE_CLUSTER && field.number <= MESSAGE_BOOT_ID) {
			if (field.data.len > NAME_MAX_LEN)
				return -EBADMSG;
			if (field.data.len)
				memcpy(r->names[field.number - 1], field.data.data, field.data.len);
			r->names[field.number - 1][field.data.len] = '\0';
		} else if (field.number == MESSAGE_RECEIVED) {
			entry.received_ns = field.value;
		} else if (field.number == MESSAGE_BODY) {
			entry.message = field.data;
		}
	}
	if (result < 0)
		return result;
	*ret = entry;
	return 1;
}

/* 1: an entry for the caller; 0: nothing for it; negative. */
static int parse_entry(struct recording_reader *r, struct bytes data, struct recording_entry *ret,
		       struct err *e)
{
	struct wire_field field;
	int result = wire_next_field(&data, &field);

	if (result == 1 && field.number == ENTRY_HEADER)
		return parse_header(r, field.data, e);
	if (result == 1 && field.number == ENTRY_MESSAGE)
		result = parse_message(r, field.data, ret);
	else if (result == 1 && field.number == ENTRY_ADVANCE)
		*ret = (struct recording_entry){.kind = RECORDING_ADVANCE, .advance_ns = field.value};
	else if (result == 1)
		result = 0;
	return result < 0 ? damaged(r, e, "has an entry that makes no sense") : result;
}

int recording_next(struct recording_reader *r, struct recording_entry *ret_entry, struct err *e)
{
	for (;;) {
		uint64_t len;
		int result;

		if (r->rest.len == 0) {
			result = read_frame(r, e);
			if (result <= 0)
				return result;
			continue;
		}
		if (!take_varint(&r->rest, &len) || len > r->rest.len)
			return damaged(r, e, "has an entry that makes no sense");
		result = parse_entry(r, bytes_of(r->rest.data, len), ret_entry, e);
		r->rest = bytes_of(r->rest.data + len, r->rest.len - len);
		if (result < 0)
			return result;
		r->entries += result == 1;
		if (result == 1)
			return 1;
	}
}
