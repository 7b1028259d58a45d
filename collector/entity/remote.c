/* Quadruples and listeners; see remote.h. */
#include "collector/entity/remote.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <xxhash.h>

#include "collector/entity/entities.h"

struct tuple_key {
	uint64_t netns;
	uint32_t node;
	uint16_t local_port;
	uint16_t remote_port;
	uint8_t local_ip[16];
	uint8_t remote_ip[16];
};

struct listener_key {
	uint64_t netns;
	uint32_t node;
	uint32_t port;
};

_Static_assert(sizeof(struct tuple_key) == 48, "no padding: hashed as bytes");
_Static_assert(sizeof(struct listener_key) == 16, "no padding: hashed as bytes");

bool remote_is_known(const struct endpoint_object *tcp)
{
	static const uint8_t any[16];

	return tcp->remote_port && memcmp(tcp->remote_ip, any, sizeof(any)) != 0;
}

bool remote_is_local(const struct endpoint_object *tcp)
{
	static const uint8_t loopback6[16] = {[15] = 1};

	if (tcp->family == AF_INET && tcp->remote_ip[0] == 127)
		return true;
	if (tcp->family == AF_INET6 && memcmp(tcp->remote_ip, loopback6, 16) == 0)
		return true;
	return tcp->local_port && memcmp(tcp->remote_ip, tcp->local_ip, 16) == 0;
}

static struct tuple_key tuple_of(const struct endpoint_object *tcp, bool swapped)
{
	struct tuple_key key = {.netns = tcp->key.id2, .node = tcp->key.node};

	key.local_port = swapped ? tcp->remote_port : tcp->local_port;
	key.remote_port = swapped ? tcp->local_port : tcp->remote_port;
	memcpy(key.local_ip, swapped ? tcp->remote_ip : tcp->local_ip, 16);
	memcpy(key.remote_ip, swapped ? tcp->local_ip : tcp->remote_ip, 16);
	return key;
}

static struct listener_key listener_of(const struct endpoint_object *tcp, uint16_t port)
{
	return (struct listener_key){.netns = tcp->key.id2, .node = tcp->key.node, .port = port};
}

void remote_seen(struct entities *en, const struct endpoint_object *tcp,
		 const struct process *owner)
{
	if (tcp->flags & ENDPOINT_LISTENING) {
		struct listener_key key = listener_of(tcp, tcp->local_port);
		struct process_key *listener = table_put(en->listeners, &key, NULL);

		*listener = owner->key;
	} else if (tcp->local_port && remote_is_known(tcp) && remote_is_local(tcp)) {
		struct tuple_key key = tuple_of(tcp, false);
		struct endpoint_key *end = table_put(en->tuples, &key, NULL);

		*end = tcp->key;
	}
}

bool remote_is_listened(const struct entities *en, const struct endpoint_object *tcp)
{
	struct listener_key key = listener_of(tcp, tcp->local_port);

	return table_peek(en->listeners, &key) != NULL;
}

struct endpoint_object *remote_peer(const struct entities *en, const struct endpoint_object *tcp)
{
	struct tuple_key key = tuple_of(tcp, true);
	const struct endpoint_key *end = tcp->local_port ? table_peek(en->tuples, &key) : NULL;

	return end ? endpoint_find(en, end) : NULL;
}

struct process *remote_listener(const struct entities *en, const struct endpoint_object *tcp)
{
	struct listener_key key = listener_of(tcp, tcp->remote_port);
	const struct process_key *owner = table_peek(en->listeners, &key);
	struct process *p = owner ? process_find(en, owner) : NULL;

	return p && !(p->marks & PROCESS_EXITED) ? p : NULL;
}

void remote_format_ip(uint8_t family, const uint8_t ip[16], char ret_text[REMOTE_TEXT_MAX])
{
	if (!inet_ntop(family == AF_INET6 ? AF_INET6 : AF_INET, ip, ret_text, REMOTE_TEXT_MAX))
		ret_text[0] = '\0';
}

uint64_t remote_party(uint8_t family, const uint8_t ip[16])
{
	return XXH3_64bits_withSeed(ip, 16, family);
}
