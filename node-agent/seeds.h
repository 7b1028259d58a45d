/* What an iterator over live processes wrote, cut into its records. Pure. */
#pragma once

#include <stdint.h>

#include "common/bytes.h"
#include "common/err.h"

struct seed {
	uint64_t start_ns;
	struct bytes record;
};

/* Cuts the iterator's output into records, oldest process first: a parent is older than its
 * children. Returns how many; negative without memory. */
int seeds_cut(struct bytes all, struct seed **ret_seeds) must_check;
