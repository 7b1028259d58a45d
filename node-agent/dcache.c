/* bucket = table + (hash >> shift): for every shift that a table may have, each sample names the table
 * that it would belong to; the right shift is the one where they agree. Entries behind another one in
 * their bucket are outvoted. */
#include "node-agent/dcache.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/cleanup.h"

#define BUCKET_BYTES 8
#define LINE_BYTES   64 /* at which it begins: whole pages are not promised before the page allocator runs */
#define SHIFT_MIN    4 /* 2 GiB of buckets */
#define SHIFT_MAX    24
#define VOTES_MIN    4

static uint64_t table_of(const struct nj_dcache_sample *sample, uint32_t shift)
{
	return sample->hangs_at - (uint64_t)(sample->hash >> shift) * BUCKET_BYTES;
}

static uint32_t votes_for(const struct nj_dcache_sample *samples, uint32_t count, uint64_t table, uint32_t shift)
{
	uint32_t votes = 0;

	for (uint32_t i = 0; i < count; i++)
		votes += table_of(&samples[i], shift) == table;
	return votes;
}

int dcache_solve(const struct nj_dcache_sample *samples, uint32_t count, struct nj_dcache *ret_dcache)
{
	struct nj_dcache best = {0};
	uint32_t most = 0;

	for (uint32_t i = 0; i < count; i++)
		if (samples[i].own_hash != samples[i].hash)
			return -ENOTSUP;
	for (uint32_t shift = SHIFT_MIN; shift <= SHIFT_MAX; shift++)
		for (uint32_t i = 0; i < count; i++) {
			uint64_t table = table_of(&samples[i], shift);
			uint32_t votes = votes_for(samples, count, table, shift);

			if (table % LINE_BYTES != 0 || votes <= most)
				continue;
			most = votes;
			best = (struct nj_dcache){.table = table, .shift = shift};
		}
	if (most < VOTES_MIN || most * 2 <= count)
		return -ENOTSUP;
	*ret_dcache = best;
	return 0;
}

int dcache_find(dcache_sample_fn sample, void *ctx, struct nj_dcache *ret_dcache)
{
	static const char *const names[] = {
		"auxv",	 "cgroup", "cmdline", "comm",	  "environ", "io",     "limits", "maps",
		"mounts", "stat",  "statm",   "status", "task",	   "mountinfo", "fd",     "fdinfo",
		"ns",	 "smaps",  "wchan",   "oom_score", "sched",  "schedstat", "setgroups", "uid_map",
	};
	struct nj_dcache_sample samples[sizeof(names) / sizeof(names[0])];
	_cleanup_(closep) int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	uint32_t count = 0;

	for (size_t i = 0; self >= 0 && i < sizeof(names) / sizeof(names[0]); i++) {
		_cleanup_(closep) int fd = openat(self, names[i], O_PATH | O_CLOEXEC);

		if (fd >= 0 && sample(ctx, fd, &samples[count]) == 0)
			count++;
	}
	return dcache_solve(samples, count, ret_dcache);
}
