/* See seeds.h. */
#include "node-agent/seeds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/abi.h"

static int compare_seeds(const void *a, const void *b)
{
	const struct seed *x = a, *y = b;

	return x->start_ns < y->start_ns ? -1 : x->start_ns > y->start_ns;
}

int seeds_cut(struct bytes all, struct seed **ret_seeds)
{
	size_t most = all.len / sizeof(struct nj_head);
	struct seed *seeds = calloc(most ? most : 1, sizeof(*seeds));
	struct nj_head head;
	int count = 0;

	if (!seeds)
		return -ENOMEM;
	while (all.len >= sizeof(head)) {
		memcpy(&head, all.data, sizeof(head));
		if (head.size < sizeof(head) || head.size > all.len)
			break;
		seeds[count++] = (struct seed){head.task.start_ns, bytes_of(all.data, head.size)};
		all = bytes_of(all.data + head.size, all.len - head.size);
	}
	qsort(seeds, (size_t)count, sizeof(*seeds), compare_seeds);
	*ret_seeds = seeds;
	return count;
}
