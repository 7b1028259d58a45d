/* The journal on a real directory: cut at every byte, flipped at every byte, its cap, its groups. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/ingest/journal.h"
#include "common/buf.h"
#include "common/clock.h"
#include "tests/unit/counter.h"

struct fixture {
	char dir[64];
	struct metrics *metrics;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int rotations; /* on the journal's thread, read after it has ended */
	uint64_t synced;
};

static void synced(void *ctx, uint64_t position)
{
	struct fixture *f = (struct fixture *)ctx;

	(void)pthread_mutex_lock(&f->lock);
	f->synced = position;
	(void)pthread_cond_signal(&f->changed);
	(void)pthread_mutex_unlock(&f->lock);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/nj-journal-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->metrics = metrics_new();
	(void)pthread_mutex_init(&f->lock, NULL);
	(void)pthread_cond_init(&f->changed, NULL);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
	assert_int_equal(system(command), 0);
	metrics_free(f->metrics);
	free(f);
	return 0;
}

static void rotated(void *ctx)
{
	((struct fixture *)ctx)->rotations++;
}

static void await_synced(struct fixture *f, uint64_t position)
{
	(void)pthread_mutex_lock(&f->lock);
	while (f->synced < position)
		(void)pthread_cond_wait(&f->changed, &f->lock);
	f->synced = 0;
	(void)pthread_mutex_unlock(&f->lock);
}

static struct journal *open_journal(struct fixture *f, uint64_t segment, uint64_t cap)
{
	struct journal_config config = {.dir = f->dir,
					.segment_bytes = segment,
					.cap_bytes = cap,
					.metrics = f->metrics,
					.synced = synced,
					.rotated = rotated,
					.ctx = f};
	struct journal *j = NULL;
	struct err e = {0};

	assert_int_equal(journal_open(&config, &j, &e), 0);
	return j;
}

static uint64_t append(struct journal *j, uint64_t received, const char *payload)
{
	struct journal_record record = {
		.type = JOURNAL_BATCH,
		.received_ns = received,
		.node = {.cluster = "c", .node = "n1", .boot_id = "boot"},
		.payload = bytes_of_text(payload),
	};
	uint64_t position = 0;

	assert_int_equal(journal_append(j, &record, &position), 0);
	return position;
}

static void close_journal(struct journal *j)
{
	journal_stop(j);
	journal_close(j);
}

/* Writes records 1..count with the texts "payload 1"… */
static void write_records(struct fixture *f, int count)
{
	struct journal *j = open_journal(f, 1 << 20, 1 << 20);
	char text[32];
	int i;

	for (i = 1; i <= count; i++) {
		(void)snprintf(text, sizeof(text), "payload %d", i);
		(void)append(j, (uint64_t)i, text);
	}
	assert_int_equal(journal_start(j, NULL), 0);
	close_journal(j);
}

struct seen {
	int count;
	uint64_t last;
};

static void see(void *ctx, const struct journal_record *record)
{
	struct seen *s = (struct seen *)ctx;
	char text[32];

	(void)snprintf(text, sizeof(text), "payload %d", (int)record->received_ns);
	assert_int_equal(record->type, JOURNAL_BATCH);
	assert_true(bytes_equal(record->payload, bytes_of_text(text)));
	assert_string_equal(record->node.node, "n1");
	assert_string_equal(record->node.boot_id, "boot");
	assert_true(record->received_ns > s->last);
	s->last = record->received_ns;
	s->count++;
}

static struct seen replay(struct fixture *f)
{
	struct journal *j = open_journal(f, 1 << 20, 1 << 20);
	struct seen s = {0};

	assert_int_equal(journal_replay(j, see, &s, NULL), 0);
	journal_close(j);
	return s;
}

static size_t read_segment(struct fixture *f, uint8_t *data, size_t size)
{
	char path[128];
	FILE *file;
	size_t n;

	(void)snprintf(path, sizeof(path), "%s/%016x.njj", f->dir, 1);
	file = fopen(path, "r");
	assert_non_null(file);
	n = fread(data, 1, size, file);
	(void)fclose(file);
	return n;
}

static void write_segment(struct fixture *f, const uint8_t *data, size_t size)
{
	char path[128];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%016x.njj", f->dir, 1);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, size, file), size);
	(void)fclose(file);
}

static void a_directory_that_cannot_be_made_is_one_sentence(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct journal_config config = {.dir = "/proc/nightjar/journal", .metrics = f->metrics};
	struct journal *j = NULL;
	struct err e = {0};

	assert_true(journal_open(&config, &j, &e) < 0);
	assert_null(j);
	assert_non_null(strstr(e.text, "/proc/nightjar/journal"));
	assert_non_null(strstr(e.text, "data.dir"));
}

static void a_name_longer_than_a_record_can_say_is_refused(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct journal *j = open_journal(f, 1 << 20, 1 << 20);
	char longer[300];
	struct journal_record record = {.type = JOURNAL_BATCH, .node = {.node = longer}};
	uint64_t position = 77;

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(journal_append(j, &record, &position), -EINVAL);
	assert_int_equal(position, 77);
	journal_close(j);
}

static void cut_at_every_byte_it_gives_back_the_whole_records(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	uint8_t data[1024];
	size_t size, record, cut;

	write_records(f, 3);
	size = read_segment(f, data, sizeof(data));
	record = (size - 8) / 3;
	for (cut = 0; cut <= size; cut++) {
		int whole = cut < 8 ? 0 : (int)((cut - 8) / record);

		write_segment(f, data, cut);
		assert_int_equal(replay(f).count, whole);
		/* What is left on disk is whole: opening it again cuts nothing. */
		assert_int_equal(replay(f).count, whole);
	}
}

static void a_flipped_bit_at_every_byte_is_never_believed(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	uint8_t data[1024];
	size_t size, record, at;

	write_records(f, 3);
	size = read_segment(f, data, sizeof(data));
	record = (size - 8) / 3;
	for (at = 0; at < size; at++) {
		int whole = at < 8 ? 0 : (int)((at - 8) / record);

		data[at] ^= 0x10;
		write_segment(f, data, size);
		data[at] ^= 0x10;
		assert_int_equal(replay(f).count, whole);
	}
}

static void a_full_buffer_asks_to_come_back_and_loses_nothing(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct journal *j = open_journal(f, 1 << 20, 1 << 20);
	_cleanup_(freep) char *big = malloc(3 << 20);
	struct journal_record record = {.type = JOURNAL_BATCH, .payload = bytes_of(big, 3 << 20)};
	uint64_t position = 0, first;

	assert_non_null(big);
	memset(big, 'b', 3 << 20);
	assert_int_equal(journal_append(j, &record, &first), 0);
	assert_int_equal(journal_append(j, &record, &position), 0);
	assert_int_equal(journal_append(j, &record, &position), -EAGAIN);
	assert_int_equal(journal_start(j, NULL), 0);
	(void)pthread_mutex_lock(&f->lock);
	while (f->synced < position)
		(void)pthread_cond_wait(&f->changed, &f->lock);
	(void)pthread_mutex_unlock(&f->lock);
	assert_int_equal(journal_append(j, &record, &position), 0);
	close_journal(j);
	assert_int_equal(f->synced, 3 * first);
}

/* As many groups as five milliseconds have passed, the first one at once, and the last one because it ends. */
static void records_without_a_pause_share_groups(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct journal *j = open_journal(f, 1 << 20, 64 << 20);
	uint64_t begun = clock_monotonic_ns(), took, position = 0;
	struct err e = {0};

	assert_int_equal(journal_start(j, &e), 0);
	await_synced(f, append(j, 1, "at once"));
	for (uint64_t i = 0; i < 300; i++) {
		position = append(j, 2 + i, "and more of them");
		sched_yield();
	}
	await_synced(f, position);
	took = clock_monotonic_ns() - begun;
	assert_in_range(counter_value(f->metrics, "nightjar_journal_syncs_total"), 2, 2 + took / (5 * NS_PER_MS));
	journal_stop(j);
	journal_close(j);
}

static void over_its_cap_the_oldest_segments_go_and_are_counted(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct journal *j = open_journal(f, 64, 400);
	struct seen s = {0};
	int i;

	assert_int_equal(journal_start(j, NULL), 0);
	for (i = 1; i <= 40; i++) {
		char text[32];
		uint64_t position;

		(void)snprintf(text, sizeof(text), "payload %d", i);
		position = append(j, (uint64_t)i, text);
		(void)pthread_mutex_lock(&f->lock);
		while (f->synced < position) /* a group each, so a segment each */
			(void)pthread_cond_wait(&f->changed, &f->lock);
		(void)pthread_mutex_unlock(&f->lock);
	}
	close_journal(j);
	assert_true(counter_value(f->metrics, "nightjar_journal_segments_deleted_total") > 20);
	s = replay(f);
	assert_int_equal(s.last, 40);
	assert_true(s.count > 1 && s.count < 10);
}

static void a_later_run_goes_on_after_an_earlier_one(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	struct journal *j;
	struct seen s;

	write_records(f, 2);
	j = open_journal(f, 1 << 20, 1 << 20);
	assert_int_equal(journal_start(j, NULL), 0);
	(void)append(j, 3, "payload 3");
	close_journal(j);
	s = replay(f);
	assert_int_equal(s.count, 3);
	assert_int_equal(s.last, 3);
}

static void a_damaged_old_segment_does_not_hide_the_next(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	uint8_t data[1024];
	size_t size;
	struct journal *j;

	write_records(f, 2);
	j = open_journal(f, 1 << 20, 1 << 20);
	assert_int_equal(journal_start(j, NULL), 0);
	(void)append(j, 3, "payload 3");
	close_journal(j);
	size = read_segment(f, data, sizeof(data));
	data[size - 1] ^= 1;
	write_segment(f, data, size);
	assert_int_equal(replay(f).count, 2); /* 1 and 3 */
	assert_int_equal(counter_value(f->metrics, "nightjar_journal_damaged_segments_total"), 1);
}

/* The first segment of a run is not told: agents connect anew then. */
static void every_further_segment_of_a_run_is_told_once(void **state)
{
	struct fixture *f = (struct fixture *)*state;
	int run, i;

	for (run = 0; run < 2; run++) {
		struct journal *j = open_journal(f, 64, 1 << 20); /* every group is over it */

		f->rotations = 0;
		assert_int_equal(journal_start(j, NULL), 0);
		for (i = 0; i < 3; i++)
			await_synced(f, append(j, (uint64_t)(3 * run + i + 1), "payload"));
		close_journal(j);
		assert_int_equal(f->rotations, 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_directory_that_cannot_be_made_is_one_sentence, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_name_longer_than_a_record_can_say_is_refused, setup,
						teardown),
		cmocka_unit_test_setup_teardown(cut_at_every_byte_it_gives_back_the_whole_records, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_flipped_bit_at_every_byte_is_never_believed, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_full_buffer_asks_to_come_back_and_loses_nothing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(records_without_a_pause_share_groups, setup, teardown),
		cmocka_unit_test_setup_teardown(over_its_cap_the_oldest_segments_go_and_are_counted, setup,
						teardown),
		cmocka_unit_test_setup_teardown(every_further_segment_of_a_run_is_told_once, setup, teardown),
		cmocka_unit_test_setup_teardown(a_later_run_goes_on_after_an_earlier_one, setup, teardown),
		cmocka_unit_test_setup_teardown(a_damaged_old_segment_does_not_hide_the_next, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
