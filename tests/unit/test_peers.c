/* Who has taken its share of calls waits until one of them is over; nobody else notices. */
#include "tests/unit/unit.h"

#include "collector/ingest/peers.h"

static const struct tls_identity agent = {TLS_ROLE_AGENT, "c", "n", "n1"};
static const struct tls_identity neighbour = {TLS_ROLE_AGENT, "c", "n", "n2"};
static const struct tls_identity reader = {TLS_ROLE_READER, "c", "n", ""};

static void a_full_share_refuses_until_a_call_is_over(void **state)
{
	struct peers *p = peers_new();
	uint32_t slot = 0, other = 0;

	(void)state;
	assert_non_null(p);
	for (unsigned int i = 0; i < PEERS_AGENT_CALLS; i++)
		assert_true(peers_enter(p, &agent, &slot));
	assert_false(peers_enter(p, &agent, &other));
	assert_int_equal(other, 0); /* untouched */
	assert_true(peers_enter(p, &neighbour, &other));
	peers_leave(p, slot);
	assert_true(peers_enter(p, &agent, &slot));
	assert_false(peers_enter(p, &agent, &slot));
	peers_free(p);
}

static void roles_have_shares_of_their_own(void **state)
{
	const struct tls_identity operator = {TLS_ROLE_OPERATOR, "c", "n", ""};
	struct peers *p = peers_new();
	uint32_t slot;

	(void)state;
	for (unsigned int i = 0; i < PEERS_OTHER_CALLS; i++)
		assert_true(peers_enter(p, &reader, &slot));
	assert_false(peers_enter(p, &reader, &slot));
	assert_true(peers_enter(p, &operator, &slot));
	peers_free(p);
	peers_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_share_refuses_until_a_call_is_over),
		cmocka_unit_test(roles_have_shares_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
