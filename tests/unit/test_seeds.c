/* The iterator's output cut into records: what is cut short, and the order. */
#include "tests/unit/unit.h"

#include <stdlib.h>

#include "bpf/abi.h"
#include "node-agent/seeds.h"

#define RECORDS 5

struct text {
	uint8_t bytes[RECORDS * 1024];
	size_t len;
};

/* As the kernel writes it: a head, then as much as its size says. */
static void add(struct text *t, uint64_t start_ns, uint16_t size)
{
	struct nj_head head = {.size = size, .type = NJ_EXEC, .task = {.start_ns = start_ns}};

	memset(t->bytes + t->len, (int)start_ns, size);
	memcpy(t->bytes + t->len, &head, sizeof(head));
	t->len += size;
}

/* Sizes differ, and the youngest comes first. */
static struct text some(void)
{
	struct text t = {0};

	for (uint64_t i = RECORDS; i > 0; i--)
		add(&t, i * 10, (uint16_t)(sizeof(struct nj_head) + i * 8));
	return t;
}

static void nothing_is_no_seed(void **state)
{
	struct seed *seeds = NULL;

	(void)state;
	assert_int_equal(seeds_cut(bytes_of(NULL, 0), &seeds), 0);
	assert_non_null(seeds);
	free(seeds);
}

/* Each piece is in a block of its own, so that a look past its end is seen by the sanitizer. */
static void a_text_that_is_cut_anywhere_gives_the_whole_records_before(void **state)
{
	const struct text t = some();

	(void)state;
	for (size_t len = 0; len <= t.len; len++) {
		uint8_t *copy = malloc(len ? len : 1);
		struct seed *seeds = NULL;
		int count, whole = 0;
		size_t end = 0;

		assert_non_null(copy);
		memcpy(copy, t.bytes, len);
		for (uint64_t i = RECORDS; i > 0; i--) {
			end += sizeof(struct nj_head) + i * 8;
			whole += end <= len;
		}
		count = seeds_cut(bytes_of(copy, len), &seeds);
		assert_int_equal(count, whole);
		for (int i = 0; i < count; i++)
			assert_true(seeds[i].record.data + seeds[i].record.len <= copy + len);
		free(seeds);
		free(copy);
	}
}

/* No size makes it go on for ever or look behind the end. */
static void a_size_that_makes_no_sense_ends_it(void **state)
{
	static const uint16_t sizes[] = {0, 1, sizeof(struct nj_head) - 1, 2048, UINT16_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct seed *seeds = NULL;
		struct text t = {0};

		add(&t, 7, sizeof(struct nj_head));
		add(&t, 8, sizeof(struct nj_head));
		memcpy(t.bytes + sizeof(struct nj_head) + offsetof(struct nj_head, size), &sizes[i], sizeof(sizes[i]));
		assert_int_equal(seeds_cut(bytes_of(t.bytes, t.len), &seeds), 1);
		assert_int_equal(seeds[0].start_ns, 7);
		free(seeds);
	}
}

static void the_oldest_comes_first_with_all_of_its_record(void **state)
{
	const struct text t = some();
	struct seed *seeds = NULL;

	(void)state;
	assert_int_equal(seeds_cut(bytes_of(t.bytes, t.len), &seeds), RECORDS);
	for (int i = 0; i < RECORDS; i++) {
		const struct bytes *record = &seeds[i].record;

		assert_int_equal(seeds[i].start_ns, (i + 1) * 10);
		assert_int_equal(record->len, sizeof(struct nj_head) + (size_t)(i + 1) * 8);
		assert_int_equal(record->data[record->len - 1], (i + 1) * 10);
	}
	free(seeds);
}

/* What has no start of its own stays as many. */
static void processes_of_one_moment_are_all_there(void **state)
{
	struct seed *seeds = NULL;
	struct text t = {0};

	(void)state;
	for (int i = 0; i < RECORDS; i++)
		add(&t, 42, sizeof(struct nj_head));
	assert_int_equal(seeds_cut(bytes_of(t.bytes, t.len), &seeds), RECORDS);
	for (int i = 0; i < RECORDS; i++)
		for (int j = 0; j < i; j++)
			assert_ptr_not_equal(seeds[i].record.data, seeds[j].record.data);
	free(seeds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_no_seed),
		cmocka_unit_test(a_text_that_is_cut_anywhere_gives_the_whole_records_before),
		cmocka_unit_test(a_size_that_makes_no_sense_ends_it),
		cmocka_unit_test(the_oldest_comes_first_with_all_of_its_record),
		cmocka_unit_test(processes_of_one_moment_are_all_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
