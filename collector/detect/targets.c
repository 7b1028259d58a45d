/* Targets of a tree and their counting; see targets.h. */
#include "collector/detect/targets.h"

#include <stddef.h>

static struct target *find(struct targets *t, uint64_t address, uint16_t port)
{
	for (uint32_t i = 0; i < t->count; i++)
		if (t->list[i].address == address && t->list[i].port == port)
			return &t->list[i];
	return NULL;
}

static struct target *add(struct targets *t, bool *ret_evicted)
{
	struct target *target;

	*ret_evicted = t->count == TARGETS_MAX;
	if (t->count < TARGETS_MAX)
		return &t->list[t->count++];
	target = &t->list[t->next];
	t->next = (t->next + 1) % TARGETS_MAX;
	return target;
}

struct target *targets_try(struct targets *t, uint64_t address, uint16_t port, uint64_t cookie,
			   uint64_t now_ns, bool *ret_evicted)
{
	struct target *target = find(t, address, port);

	*ret_evicted = false;
	if (!target) {
		target = add(t, ret_evicted);
		*target = (struct target){.address = address,
					  .port = port,
					  .state = TARGET_TRIED,
					  .state_ns = now_ns};
	}
	/* The end of the connection that is open decides, not that of a second one beside it. */
	if (target->state != TARGET_OPEN)
		target->cookie = cookie;
	target->seen_ns = now_ns;
	return target;
}

struct target *targets_of_socket(struct targets *t, uint64_t cookie)
{
	for (uint32_t i = 0; i < t->count; i++)
		if (t->list[i].cookie == cookie)
			return &t->list[i];
	return NULL;
}

static void become(struct target *target, enum target_state state, uint64_t now_ns)
{
	target->state = (uint8_t)state;
	target->state_ns = now_ns;
}

void target_answered(struct target *target, uint64_t now_ns)
{
	target->seen_ns = now_ns;
	if (target->state == TARGET_TRIED || target->state == TARGET_FAILED)
		become(target, TARGET_OPEN, now_ns);
}

bool target_closed(struct target *target, uint64_t now_ns, uint64_t short_ns)
{
	target->seen_ns = now_ns;
	switch (target->state) {
	case TARGET_TRIED:
		become(target, TARGET_FAILED, now_ns);
		return true;
	case TARGET_FAILED:
		target->state_ns = now_ns;
		return false;
	case TARGET_OPEN:
		if (now_ns > target->state_ns + short_ns) {
			become(target, TARGET_KNOWN, now_ns);
			return false;
		}
		become(target, TARGET_LEFT, now_ns);
		return !target->ordinary;
	default:
		return false;
	}
}

uint32_t targets_age(struct targets *t, uint64_t now_ns, uint64_t short_ns)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < t->count; i++) {
		if (t->list[i].state != TARGET_TRIED || t->list[i].state_ns + short_ns > now_ns)
			continue;
		become(&t->list[i], TARGET_FAILED, now_ns);
		n++;
	}
	return n;
}

static void take(struct targets_extent *n, const struct target *target, uint64_t since)
{
	if (target->seen_ns < since)
		return;
	n->tried++;
	if (target->state_ns < since)
		return;
	n->failed += target->state == TARGET_FAILED;
	n->left += target->state == TARGET_LEFT && !target->ordinary;
}

static uint64_t since(const struct target *of, uint64_t window_ns)
{
	return of->seen_ns > window_ns ? of->seen_ns - window_ns : 0;
}

struct targets_extent targets_on_port(const struct targets *t, const struct target *of,
				      uint64_t window_ns)
{
	struct targets_extent n = {0};

	for (uint32_t i = 0; i < t->count; i++)
		if (t->list[i].port == of->port)
			take(&n, &t->list[i], since(of, window_ns));
	return n;
}

struct targets_extent targets_at_address(const struct targets *t, const struct target *of,
					 uint64_t window_ns)
{
	struct targets_extent n = {0};

	for (uint32_t i = 0; i < t->count; i++)
		if (t->list[i].address == of->address)
			take(&n, &t->list[i], since(of, window_ns));
	return n;
}

bool targets_is_strange(const struct targets_extent *n, const struct targets_options *options)
{
	return (uint64_t)(n->failed + n->left) * 100 >= (uint64_t)n->tried * options->share_percent;
}

bool targets_is_sweep(const struct targets_extent *on_port, const struct targets_options *options)
{
	uint64_t weight = (uint64_t)on_port->failed * 100 +
			  (uint64_t)on_port->left * options->answered_percent;

	return weight >= (uint64_t)options->addresses * 100 && targets_is_strange(on_port, options);
}

/* Only failures: programs that talk to many ports of their own machine are many, and a scan finds
 * most ports closed. */
bool targets_is_port_scan(const struct targets_extent *at_address,
			  const struct targets_options *options)
{
	return at_address->failed >= options->ports &&
	       (uint64_t)at_address->failed * 100 >=
		       (uint64_t)at_address->tried * options->share_percent;
}
