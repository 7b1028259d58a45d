/* TokenReviews: every answer that must give no certificate, with its sentence; then the one that does. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>

#include "collector/kube/tokenreview.h"

static const struct tokenreview_rules rules = {
	.audience = "nightjar", .namespace = "nightjar", .service_account = "nightjar-agent", .cluster = "prod"};

#define REVIEW(status) "{\"kind\":\"TokenReview\",\"status\":{" status "}}"
#define USER(name, extra) \
	"\"authenticated\":true,\"audiences\":[\"nightjar\"],\"user\":{\"username\":\"" name "\",\"extra\":{" extra "}}"
#define AGENT "system:serviceaccount:nightjar:nightjar-agent"
#define NODE(names) "\"authentication.kubernetes.io/node-name\":[" names "]"

static void refused(const char *answer, int error, const char *sentence)
{
	struct tokenreview review = {.pod = "untouched"};
	struct err e = {0};

	assert_int_equal(tokenreview_read(bytes_of_text(answer), &rules, &review, &e), error);
	if (!strstr(e.text, sentence))
		fail_msg("'%s' is not in '%s'", sentence, e.text);
	assert_string_equal(review.pod, "untouched");
}

static void what_is_no_review_is_refused(void **state)
{
	(void)state;
	refused("", -EBADMSG, "something else than a TokenReview");
	refused("[]", -EBADMSG, "something else");
	refused("{\"kind\":\"Status\",\"status\":{}}", -EBADMSG, "something else");
	refused("{\"kind\":\"TokenReview\"}", -EBADMSG, "something else");
	refused("{\"kind\":\"TokenReview\",\"status\":7}", -EBADMSG, "something else");
	refused(REVIEW("\"authenticated\":tr"), -EBADMSG, "something else");
}

static void a_token_that_is_not_genuine_is_refused_with_the_apis_reason_made_harmless(void **state)
{
	(void)state;
	refused(REVIEW(""), -EACCES, "does not accept the token for the audience 'nightjar'");
	refused(REVIEW("\"authenticated\":\"true\""), -EACCES, "does not accept");
	refused(REVIEW("\"authenticated\":false,\"error\":\"expired\\u001b\\n\""), -EACCES, ": expired??");
}

static void a_token_of_another_audience_is_refused_even_where_the_api_took_it(void **state)
{
	(void)state;
	refused(REVIEW("\"authenticated\":true,\"user\":{\"username\":\"" AGENT "\"}"), -EACCES, "not for the audience");
	refused(REVIEW("\"authenticated\":true,\"audiences\":[\"other\",7],\"user\":{\"username\":\"" AGENT "\"}"), -EACCES,
		"not for the audience 'nightjar'");
}

static void another_account_is_refused_by_name(void **state)
{
	(void)state;
	refused(REVIEW(USER("system:serviceaccount:nightjar:default", NODE("\"n\""))), -EPERM,
		"the token is of 'system:serviceaccount:nightjar:default'");
	refused(REVIEW(USER("system:serviceaccount:other:nightjar-agent", NODE("\"n\""))), -EPERM, "only '" AGENT "'");
	refused(REVIEW(USER(AGENT "x", NODE("\"n\""))), -EPERM, "may enrol");
	refused(REVIEW(USER("", NODE("\"n\""))), -EPERM, "the token is of ''");
}

static void a_token_without_exactly_one_node_is_refused(void **state)
{
	(void)state;
	refused(REVIEW(USER(AGENT, "")), -EACCES, "bound to no node");
	refused(REVIEW(USER(AGENT, NODE(""))), -EACCES, "bound to no node");
	refused(REVIEW(USER(AGENT, NODE("\"\""))), -EACCES, "bound to no node");
	refused(REVIEW(USER(AGENT, NODE("7"))), -EACCES, "bound to no node");
	refused(REVIEW(USER(AGENT, NODE("\"a\",\"b\""))), -EACCES, "bound to no node");
	refused(REVIEW(USER(AGENT, NODE("\"a/ns/x/node/b\""))), -EACCES, "do not fit into a certificate");
}

static void the_node_of_the_token_is_the_certificates(void **state)
{
	struct tokenreview review;
	struct err e = {0};

	(void)state;
	assert_int_equal(tokenreview_read(bytes_of_text(REVIEW(USER(AGENT, NODE("\"node-1\"") ",\"authentication.kubernetes."
									   "io/pod-name\":[\"agent-x\"]"))),
					  &rules, &review, &e),
			 0);
	assert_int_equal(review.identity.role, TLS_ROLE_AGENT);
	assert_string_equal(review.identity.cluster, "prod");
	assert_string_equal(review.identity.namespace, "nightjar");
	assert_string_equal(review.identity.node, "node-1");
	assert_string_equal(review.pod, "agent-x");
}

static void a_review_that_is_cut_anywhere_gives_nothing(void **state)
{
	static const char text[] = REVIEW(USER(AGENT, NODE("\"node-1\"")));
	struct tokenreview review;

	(void)state;
	for (size_t len = 0; len < sizeof(text) - 1; len++)
		assert_true(tokenreview_read(bytes_of(text, len), &rules, &review, NULL) < 0);
}

static void a_token_is_only_a_string_in_the_body(void **state)
{
	_cleanup_buf_ struct buf out = {0};

	(void)state;
	assert_int_equal(tokenreview_write("a\"},\"x", "nightjar", &out), 0);
	assert_string_equal(buf_text(&out), "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenReview\",\"spec\":{"
					    "\"token\":\"a\\\"},\\\"x\",\"audiences\":[\"nightjar\"]}}");
	assert_int_equal(tokenreview_write("\xff", "nightjar", &out), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_review_is_refused),
		cmocka_unit_test(a_token_that_is_not_genuine_is_refused_with_the_apis_reason_made_harmless),
		cmocka_unit_test(a_token_of_another_audience_is_refused_even_where_the_api_took_it),
		cmocka_unit_test(another_account_is_refused_by_name),
		cmocka_unit_test(a_token_without_exactly_one_node_is_refused),
		cmocka_unit_test(the_node_of_the_token_is_the_certificates),
		cmocka_unit_test(a_review_that_is_cut_anywhere_gives_nothing),
		cmocka_unit_test(a_token_is_only_a_string_in_the_body),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
