/* A counter for each identity's hash: 65 536 of them, 256 KiB, no lock and nothing to evict. Two
 * identities that share one share its limit too, which ten thousand nodes with one stream each never
 * reach. */
#include "collector/ingest/peers.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#define SLOTS 65536U

struct peers {
	atomic_uint open[SLOTS];
};

struct peers *peers_new(void)
{
	return calloc(1, sizeof(struct peers));
}

void peers_free(struct peers *p)
{
	free(p);
}

static uint32_t slot_of(const struct tls_identity *identity)
{
	uint64_t hash = XXH3_64bits_withSeed(identity->cluster, strlen(identity->cluster), identity->role);

	hash = XXH3_64bits_withSeed(identity->namespace, strlen(identity->namespace), hash);
	return (uint32_t)XXH3_64bits_withSeed(identity->node, strlen(identity->node), hash) % SLOTS;
}

bool peers_enter(struct peers *p, const struct tls_identity *identity, uint32_t *ret_slot)
{
	uint32_t slot = slot_of(identity);
	bool one_host = identity->role == TLS_ROLE_AGENT || identity->role == TLS_ROLE_NONE;
	unsigned int max = one_host ? PEERS_AGENT_CALLS : PEERS_OTHER_CALLS;

	if (atomic_fetch_add(&p->open[slot], 1) >= max) {
		atomic_fetch_sub(&p->open[slot], 1);
		return false;
	}
	*ret_slot = slot;
	return true;
}

void peers_leave(struct peers *p, uint32_t slot)
{
	atomic_fetch_sub(&p->open[slot], 1);
}
