/* Finding the directory cache from where its entries hang. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "node-agent/dcache.h"

#define TABLE 0xffff888123456780ULL
#define COUNT 24

/* Entries of a table with 1 << (32 - shift) buckets. */
static void fill(struct nj_dcache_sample *samples, uint32_t shift)
{
	uint32_t hash = 0x12345678;

	for (uint32_t i = 0; i < COUNT; i++) {
		hash = hash * 1664525 + 1013904223;
		samples[i] = (struct nj_dcache_sample){
			.hangs_at = TABLE + (uint64_t)(hash >> shift) * 8,
			.hash = hash,
			.own_hash = hash,
		};
	}
}

static void nothing_follows_from_too_few_entries(void **state)
{
	struct nj_dcache_sample samples[COUNT];
	struct nj_dcache found = {.table = 7};

	(void)state;
	fill(samples, 12);
	assert_int_equal(dcache_solve(samples, 0, &found), -ENOTSUP);
	assert_int_equal(dcache_solve(samples, 3, &found), -ENOTSUP);
	assert_int_equal(found.table, 7);
	assert_int_equal(dcache_solve(samples, 5, &found), 0);
}

static void another_hash_is_refused(void **state)
{
	struct nj_dcache_sample samples[COUNT];
	struct nj_dcache found;

	(void)state;
	fill(samples, 12);
	samples[COUNT - 1].own_hash++;
	assert_int_equal(dcache_solve(samples, COUNT, &found), -ENOTSUP);
}

static void entries_that_do_not_agree_are_refused(void **state)
{
	struct nj_dcache_sample samples[COUNT];
	struct nj_dcache found;

	(void)state;
	fill(samples, 12);
	for (uint32_t i = 0; i < COUNT; i++)
		samples[i].hangs_at += 0x1c8ULL * i;
	assert_int_equal(dcache_solve(samples, COUNT, &found), -ENOTSUP);
	/* No table begins inside a cache line. */
	fill(samples, 12);
	for (uint32_t i = 0; i < COUNT; i++)
		samples[i].hangs_at += 8;
	assert_int_equal(dcache_solve(samples, COUNT, &found), -ENOTSUP);
}

static void tables_of_every_size_are_found(void **state)
{
	struct nj_dcache_sample samples[COUNT];

	(void)state;
	for (uint32_t shift = 4; shift <= 24; shift++) {
		struct nj_dcache found = {0};

		fill(samples, shift);
		assert_int_equal(dcache_solve(samples, COUNT, &found), 0);
		assert_int_equal(found.table, TABLE);
		assert_int_equal(found.shift, shift);
	}
}

static void entries_behind_another_one_are_outvoted(void **state)
{
	struct nj_dcache_sample samples[COUNT];
	struct nj_dcache found;

	(void)state;
	fill(samples, 13);
	for (uint32_t i = 0; i < 11; i++)
		samples[2 * i].hangs_at = 0xffff888100000000ULL + i * 0x1c8;
	assert_int_equal(dcache_solve(samples, COUNT, &found), 0);
	assert_int_equal(found.table, TABLE);
	assert_int_equal(found.shift, 13);
}

static int made_up(void *ctx, int fd, struct nj_dcache_sample *ret_sample)
{
	uint32_t hash = (*(uint32_t *)ctx += 0x9e3779b9);

	assert_true(fcntl(fd, F_GETFD) >= 0);
	*ret_sample = (struct nj_dcache_sample){TABLE + (uint64_t)(hash >> 10) * 8, hash, hash};
	return 0;
}

static int refused(void *ctx, int fd, struct nj_dcache_sample *ret_sample)
{
	(void)ctx;
	(void)fd;
	(void)ret_sample;
	return -EPERM;
}

static void it_asks_with_open_files_and_closes_them(void **state)
{
	int before = open("/", O_PATH), after;
	struct nj_dcache found;
	uint32_t seed = 1;

	(void)state;
	assert_int_equal(dcache_find(refused, NULL, &found), -ENOTSUP);
	assert_int_equal(dcache_find(made_up, &seed, &found), 0);
	assert_int_equal(found.shift, 10);
	after = open("/", O_PATH);
	assert_int_equal(after, before + 1);
	(void)close(before);
	(void)close(after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_follows_from_too_few_entries),
		cmocka_unit_test(another_hash_is_refused),
		cmocka_unit_test(entries_that_do_not_agree_are_refused),
		cmocka_unit_test(tables_of_every_size_are_found),
		cmocka_unit_test(entries_behind_another_one_are_outvoted),
		cmocka_unit_test(it_asks_with_open_files_and_closes_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
