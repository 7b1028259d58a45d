/* Which of a certificate's names is the peer. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "collector/ingest/identity.h"

static int identify(const char *const *names, size_t count, struct tls_identity *ret, struct err *e)
{
	struct bytes list[8];
	size_t i;

	for (i = 0; i < count; i++)
		list[i] = bytes_of_text(names[i]);
	return identity_from_names(list, count, ret, e);
}

static void a_certificate_without_a_spiffe_id_is_refused(void **state)
{
	const char *names[] = {"node-1.example", "https://example/x"};
	struct tls_identity identity = {.role = TLS_ROLE_NONE};
	struct err e = {0};

	(void)state;
	assert_int_equal(identity_from_names(NULL, 0, &identity, &e), -EACCES);
	assert_int_equal(identify(names, 2, &identity, &e), -EACCES);
	assert_non_null(strstr(e.text, "no SPIFFE id"));
	assert_int_equal(identity.role, TLS_ROLE_NONE);
}

static void two_ids_are_refused_even_when_they_are_the_same(void **state)
{
	const char *names[] = {"spiffe://c/ns/n/node/a", "spiffe://c/ns/n/node/a"};
	struct tls_identity identity;
	struct err e = {0};

	(void)state;
	assert_int_equal(identify(names, 2, &identity, &e), -EACCES);
	assert_non_null(strstr(e.text, "more than one"));
}

static void a_name_with_a_zero_byte_inside_is_refused(void **state)
{
	struct bytes name = bytes_of("spiffe://c/ns/n/node/a\0b", 24);
	struct tls_identity identity;

	(void)state;
	assert_int_equal(identity_from_names(&name, 1, &identity, NULL), -EACCES);
}

static void a_name_that_is_too_long_is_no_id(void **state)
{
	char longer[5000] = "spiffe://c/ns/n/node/";
	const char *names[] = {longer};
	struct tls_identity identity;

	(void)state;
	memset(longer + strlen(longer), 'x', sizeof(longer) - 1 - strlen(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(identify(names, 1, &identity, NULL), -EACCES);
}

static void an_id_of_another_system_is_refused(void **state)
{
	const char *names[] = {"spiffe://cluster.local/ns/default/sa/web"};
	struct tls_identity identity;

	(void)state;
	assert_int_equal(identify(names, 1, &identity, NULL), -EACCES);
}

static void the_one_id_is_found_among_other_names(void **state)
{
	const char *names[] = {"node-1", "spiffe://prod/ns/nightjar/node/node-1", "10.0.0.1"};
	struct tls_identity identity = {0};

	(void)state;
	assert_int_equal(identify(names, 3, &identity, NULL), 0);
	assert_int_equal(identity.role, TLS_ROLE_AGENT);
	assert_string_equal(identity.cluster, "prod");
	assert_string_equal(identity.node, "node-1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_certificate_without_a_spiffe_id_is_refused),
		cmocka_unit_test(two_ids_are_refused_even_when_they_are_the_same),
		cmocka_unit_test(a_name_with_a_zero_byte_inside_is_refused),
		cmocka_unit_test(a_name_that_is_too_long_is_no_id),
		cmocka_unit_test(an_id_of_another_system_is_refused),
		cmocka_unit_test(the_one_id_is_found_among_other_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
