/* Where the kernel keeps its directory cache. The table has no name that a program could ask for, but an
 * entry knows the bucket that it hangs in, and its hash says which one that is: a few entries give
 * the table's address and size away. Once at start; nothing of it is kept but the answer. */
#pragma once

#include <stdint.h>

#include "bpf/abi.h"
#include "common/err.h"

/* Tells where the entry of an open file hangs. 0, or a negative errno. */
typedef int (*dcache_sample_fn)(void *ctx, int fd, struct nj_dcache_sample *ret_sample);

/* Opens files of /proc/self, whose entries are new and so the first in their buckets. -ENOTSUP: the kernel
 * hashes in another way, or the entries do not agree. */
int dcache_find(dcache_sample_fn sample, void *ctx, struct nj_dcache *ret_dcache) must_check;

/* The answer that most of the samples agree on: at least four and more than half of them. -ENOTSUP: none. */
int dcache_solve(const struct nj_dcache_sample *samples, uint32_t count, struct nj_dcache *ret_dcache) must_check;
