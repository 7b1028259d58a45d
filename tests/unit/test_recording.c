/* Recordings: cut and flipped at every byte, written by somebody newer, and read back as written. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/recording.h"

struct fixture {
	char path[64];
	uint8_t *data;
	size_t size;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fd;

	assert_non_null(f);
	(void)snprintf(f->path, sizeof(f->path), "/tmp/nj-recording-XXXXXX");
	fd = mkstemp(f->path);
	assert_true(fd >= 0);
	(void)close(fd);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = (struct fixture *)*state;

	(void)unlink(f->path);
	free(f->data);
	free(f);
	return 0;
}

static struct recording_entry message(const char *text, uint64_t received)
{
	return (struct recording_entry){.kind = RECORDING_MESSAGE,
					.cluster = "c",
					.node = "n1",
					.boot_id = "boot",
					.received_ns = received,
					.message = bytes_of_text(text)};
}

/* Frames of two entries: a message and an advance. */
static void write_frames(struct fixture *f, int frames)
{
	struct recording_writer *w = NULL;
	int i;

	assert_int_equal(recording_create(f->path, &w, NULL), 0);
	for (i = 1; i <= frames; i++) {
		struct recording_entry one = message("hello", (uint64_t)i);
		struct recording_entry two = {.kind = RECORDING_ADVANCE, .advance_ns = (uint64_t)i};

		assert_int_equal(recording_frame(w), i - 1);
		assert_int_equal(recording_write(w, &one), 0);
		assert_int_equal(recording_write(w, &two), 0);
		assert_int_equal(recording_flush(w), 0);
	}
	assert_int_equal(recording_finish(w), 0);
}

static void load(struct fixture *f)
{
	FILE *file = fopen(f->path, "r");

	f->data = calloc(1, 65536);
	assert_non_null(file);
	assert_non_null(f->data);
	f->size = fread(f->data, 1, 65536, file);
	(void)fclose(file);
}

static void store(struct fixture *f, const uint8_t *data, size_t size)
{
	FILE *file = fopen(f->path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, size, file), size);
	(void)fclose(file);
}

/* Entries that could be read; *ret_result is what ended it. */
static int read_all(struct fixture *f, int *ret_result, struct err *e)
{
	struct recording_reader *r = NULL;
	struct recording_entry entry;
	int count = 0;

	assert_int_equal(recording_open(f->path, &r, e), 0);
	while ((*ret_result = recording_next(r, &entry, e)) == 1) {
		uint64_t number = (uint64_t)(count / 2 + 1);

		if (count % 2 == 0) {
			assert_int_equal(entry.kind, RECORDING_MESSAGE);
			assert_string_equal(entry.cluster, "c");
			assert_string_equal(entry.node, "n1");
			assert_string_equal(entry.boot_id, "boot");
			assert_int_equal(entry.received_ns, number);
			assert_true(bytes_equal(entry.message, bytes_of_text("hello")));
		} else {
			assert_int_equal(entry.kind, RECORDING_ADVANCE);
			assert_int_equal(entry.advance_ns, number);
		}
		count++;
	}
	recording_close(r);
	return count;
}

static void a_file_that_is_not_there_is_named(void **state)
{
	struct recording_reader *r = NULL;
	struct recording_writer *w = NULL;
	struct err e = {0};

	(void)state;
	assert_int_equal(recording_open("/nowhere/x.njr", &r, &e), -ENOENT);
	assert_non_null(strstr(e.text, "/nowhere/x.njr"));
	assert_int_equal(recording_create("/nowhere/x.njr", &w, &e), -ENOENT);
	assert_null(r);
	assert_null(w);
}

static void an_empty_file_is_an_empty_recording(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct err e = {0};
	int result;

	assert_int_equal(read_all(f, &result, &e), 0);
	assert_int_equal(result, 0);
}

static void another_file_is_refused_with_its_name(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct err e = {0};
	int result;

	store(f, (const uint8_t *)"this is no recording at all", 27);
	assert_int_equal(read_all(f, &result, &e), 0);
	assert_int_equal(result, -EBADMSG);
	assert_non_null(strstr(e.text, f->path));
}

static void cut_at_every_byte_whole_frames_are_read_and_the_cut_is_said(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	size_t cut, frame;

	write_frames(f, 3);
	load(f);
	frame = f->size / 3;
	assert_int_equal(frame * 3, f->size); /* equal frames: the numbers take a byte each */
	for (cut = 0; cut <= f->size; cut++) {
		struct err e = {0};
		int result;

		store(f, f->data, cut);
		assert_int_equal(read_all(f, &result, &e), 2 * (int)(cut / frame));
		assert_int_equal(result, cut % frame ? -EBADMSG : 0);
		if (cut % frame)
			assert_non_null(strstr(e.text, "in the middle of a frame"));
	}
}

static void a_flipped_bit_at_every_byte_is_never_believed(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	size_t at, frame;

	write_frames(f, 3);
	load(f);
	frame = f->size / 3;
	for (at = 0; at < f->size; at++) {
		struct err e = {0};
		int result;

		f->data[at] ^= 0x01; /* not 0x10: zstd leaves one such bit unused */
		store(f, f->data, f->size);
		f->data[at] ^= 0x01;
		assert_int_equal(read_all(f, &result, &e), 2 * (int)(at / frame));
		assert_true(result < 0);
	}
}

static void a_recording_is_read_from_any_frame_on(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct recording_reader *r = NULL;
	struct recording_entry entry;

	write_frames(f, 3);
	load(f);
	store(f, f->data + f->size / 3, f->size - f->size / 3);
	assert_int_equal(recording_open(f->path, &r, NULL), 0);
	assert_int_equal(recording_next(r, &entry, NULL), 1);
	assert_int_equal(entry.received_ns, 2);
	recording_close(r);
}

static void a_message_longer_than_the_wire_allows_is_not_written(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct recording_writer *w = NULL;
	struct recording_entry entry = message("", 1);
	uint8_t *big = calloc(1, (4 << 20) + 1);

	assert_non_null(big);
	entry.message = bytes_of(big, (4 << 20) + 1);
	assert_int_equal(recording_create(f->path, &w, NULL), 0);
	assert_int_equal(recording_write(w, &entry), -EMSGSIZE);
	entry.message.len--;
	assert_int_equal(recording_write(w, &entry), 0);
	assert_int_equal(recording_frame(w), 1); /* large: closed at once */
	assert_int_equal(recording_finish(w), 0);
	free(big);
}

static void a_full_disk_is_an_error_that_sticks(void **state)
{
	struct recording_writer *w = NULL;
	struct recording_entry entry = message("x", 1);

	(void)state;
	assert_int_equal(recording_create("/dev/full", &w, NULL), 0);
	assert_int_equal(recording_write(w, &entry), 0);
	assert_int_equal(recording_flush(w), -ENOSPC);
	assert_int_equal(recording_write(w, &entry), -ENOSPC);
	assert_true(recording_finish(w) < 0);
}

static void a_newer_version_is_refused_in_a_sentence(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct err e = {0};
	/* One raw (stored) zstd frame: length 4, entry header { version 9 }. */
	static const uint8_t newer[] = {0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x05, 0x29, 0x00, 0x00,
					0x04, 0x0a, 0x02, 0x08, 0x09};
	int result;

	store(f, newer, sizeof(newer));
	assert_int_equal(read_all(f, &result, &e), 0);
	assert_int_equal(result, -EPROTO);
	assert_non_null(strstr(e.text, "version 9"));
}

#define ON_FILE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_FILE(a_file_that_is_not_there_is_named),
		ON_FILE(an_empty_file_is_an_empty_recording),
		ON_FILE(another_file_is_refused_with_its_name),
		ON_FILE(cut_at_every_byte_whole_frames_are_read_and_the_cut_is_said),
		ON_FILE(a_flipped_bit_at_every_byte_is_never_believed),
		ON_FILE(a_recording_is_read_from_any_frame_on),
		ON_FILE(a_message_longer_than_the_wire_allows_is_not_written),
		ON_FILE(a_full_disk_is_an_error_that_sticks),
		ON_FILE(a_newer_version_is_refused_in_a_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
