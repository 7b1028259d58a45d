/* Enrolment end to end on this host: the agent's client, the collector's service, and an API that says
 * what the test wants, the real one being for tests/kube. */
#include "tests/unit/peer.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "collector/ingest/enroll.h"
#include "node-agent/certificate.h"
#include "tests/await.h"
#include "tests/unit/fake_http.h"

#define GOOD                                                                                                           \
	"{\"kind\":\"TokenReview\",\"status\":{\"authenticated\":true,\"audiences\":[\"nightjar\"],\"user\":{\"username\":" \
	"\"system:serviceaccount:nightjar:nightjar-agent\",\"extra\":{\"authentication.kubernetes.io/node-name\":["      \
	"\"node-1\"]}}}}"

struct world {
	struct peer peer;
	struct fake_http api;
	struct enroll *enroll;
	const struct listen_method *methods[3];
	char target[64], token[96], ca[96], ca_key[96], cert[96], key[96];
	_Atomic(const char *) answer; /* of the API; NULL: none */
	atomic_int status;
	atomic_uint reviews;
	struct certificate_config config;
};

static void handle(void *ctx, const char *head, int fd)
{
	struct world *w = (struct world *)ctx;
	const char *answer = atomic_load(&w->answer);

	atomic_fetch_add(&w->reviews, 1);
	assert_non_null(strstr(head, "POST /apis/authentication.k8s.io/v1/tokenreviews "));
	if (answer)
		fake_http_answer(fd, atomic_load(&w->status), answer);
}

static void on_secret(void *ctx, struct listen_call *call, void *state, struct bytes message)
{
	(void)ctx;
	(void)state;
	(void)message;
	listen_finish(call, LISTEN_OK, "");
}

static const struct listen_method secret[] = {
	{.path = "/nightjar.v1.Alerts/List", .roles = TLS_ROLE_READER, .message = on_secret}, {.path = NULL}};

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void listen_for_both(struct world *w)
{
	struct tls_files files = peer_files(&w->peer, "server");
	const struct listen_config config = {.address = "127.0.0.1:0",
					     .enroll_address = "127.0.0.1:0",
					     .files = &files,
					     .threads = 1,
					     .methods = w->methods,
					     .metrics = w->peer.metrics};

	assert_int_equal(listen_new(&config, &w->peer.listen, NULL), 0);
	tls_files_done(&files);
	(void)snprintf(w->target, sizeof(w->target), "127.0.0.1:%u", listen_enroll_port(w->peer.listen));
	(void)snprintf(w->peer.target, sizeof(w->peer.target), "127.0.0.1:%u", listen_port(w->peer.listen));
}

/* valid_s: 155 is due within some seconds: certificates begin five minutes ago, and two thirds count. */
static void begin(struct world *w, uint64_t valid_s)
{
	const struct enroll_config config = {
		.api = {.server = w->api.url, .token_file = "", .ca_file = ""},
		.rules = {.audience = "nightjar",
			  .namespace = "nightjar",
			  .service_account = "nightjar-agent",
			  .cluster = "c"},
		.ca = w->ca,
		.ca_key = w->ca_key,
		.valid_ns = valid_s * NS_PER_SEC,
		.metrics = w->peer.metrics,
	};
	struct err e = {0};

	if (enroll_new(&config, &w->enroll, &e) != 0)
		fail_msg("%s", e.text);
	w->methods[0] = enroll_methods(w->enroll);
	w->methods[1] = secret;
	listen_for_both(w);
	w->config = (struct certificate_config){.address = w->target,
						.token_file = w->token,
						.ca = w->ca,
						.cert = w->cert,
						.key = w->key,
						.backoff_min_ns = 10 * NS_PER_MS,
						.backoff_max_ns = 50 * NS_PER_MS};
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	peer_init(&w->peer);
	fake_http_start(&w->api, handle, w);
	atomic_store(&w->answer, GOOD);
	atomic_store(&w->status, 201);
	(void)snprintf(w->token, sizeof(w->token), "%s/token", w->peer.dir);
	(void)snprintf(w->ca, sizeof(w->ca), "%s/ca.pem", w->peer.dir);
	(void)snprintf(w->ca_key, sizeof(w->ca_key), "%s/ca-key.pem", w->peer.dir);
	(void)snprintf(w->cert, sizeof(w->cert), "%s/node.pem", w->peer.dir);
	(void)snprintf(w->key, sizeof(w->key), "%s/node-key.pem", w->peer.dir);
	write_text(w->token, "a.good.token\n");
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	peer_unlisten(&w->peer);
	enroll_free(w->enroll);
	fake_http_stop(&w->api);
	peer_done(&w->peer);
	free(w);
	return 0;
}

static void refused(struct world *w, const char *sentence)
{
	struct err e = {0};

	assert_true(certificate_get(&w->config, &e) < 0);
	if (!strstr(e.text, sentence))
		fail_msg("'%s' is not in '%s'", sentence, e.text);
	assert_int_not_equal(access(w->cert, F_OK), 0);
}

static void an_api_that_fails_is_said_to_the_agent_and_nothing_is_kept(void **state)
{
	struct world *w = *state;
	static char huge[100000];

	begin(w, 86400);
	atomic_store(&w->status, 500);
	atomic_store(&w->answer, "{\"message\":\"etcd is away\"}");
	refused(w, "with 500: etcd is away");
	atomic_store(&w->status, 201);
	atomic_store(&w->answer, "{}");
	refused(w, "something else than a TokenReview");
	memset(huge, ' ', sizeof(huge) - 1);
	atomic_store(&w->answer, huge);
	refused(w, "makes no sense");
	atomic_store(&w->answer, NULL);
	refused(w, "cannot be reached");
	assert_int_equal(counter_value(w->peer.metrics, "nightjar_enrolments_total{result=\"api_failed\"}"), 3);
}

static void a_token_that_is_none_asks_nobody(void **state)
{
	struct world *w = *state;

	begin(w, 86400);
	write_text(w->token, "");
	refused(w, "holds no token");
	assert_int_equal(unlink(w->token), 0);
	refused(w, "cannot read the token");
	assert_int_equal(atomic_load(&w->reviews), 0);
}

static void a_collector_of_another_ca_gets_no_token(void **state)
{
	struct world *w = *state;
	char other[80];

	begin(w, 86400);
	(void)snprintf(other, sizeof(other), "%s/other", w->peer.dir);
	assert_int_equal(tls_make_ca(other, "c", 1, NULL), 0);
	(void)snprintf(w->ca, sizeof(w->ca), "%s/other/ca.pem", w->peer.dir);
	refused(w, "");
	assert_int_equal(atomic_load(&w->reviews), 0);
}

static void strangers_can_call_nothing_else(void **state)
{
	struct world *w = *state;
	struct tls_files files = {0};
	struct rpc_client *client = NULL;
	struct bytes reply = {0};
	struct err e = {0};
	int status = 0;

	begin(w, 86400);
	assert_int_equal(tls_load_ca(w->ca, &files, NULL), 0);
	assert_int_equal(rpc_client_new(w->target, NULL, &files, &client, NULL), 0);
	assert_true(rpc_client_call(client, "/nightjar.v1.Alerts/List", bytes_of("", 0), PEER_WAIT_MS, &reply, &status, &e) < 0);
	assert_int_equal(status, LISTEN_UNAUTHENTICATED);
	rpc_client_free(client);
	/* The agents' port lets nobody in without one, whatever is to be called. */
	assert_int_equal(rpc_client_new(w->peer.target, NULL, &files, &client, NULL), 0);
	assert_true(rpc_client_call(client, "/nightjar.v1.Enroll/Issue", bytes_of("", 0), PEER_WAIT_MS, &reply, &status, &e) < 0);
	assert_int_equal(status, LISTEN_UNAVAILABLE);
	rpc_client_free(client);
	tls_files_done(&files);
}

static void an_agent_gets_a_certificate_that_a_start_accepts(void **state)
{
	struct world *w = *state;
	struct tls_files files = {0};
	struct tls_identity id;
	struct stat st;
	struct err e = {0};

	begin(w, 86400);
	assert_int_equal(certificate_due_s(&w->config, clock_wall_ns()), 0);
	if (certificate_get(&w->config, &e) != 0)
		fail_msg("%s", e.text);
	assert_int_equal(tls_load(w->ca, w->cert, w->key, clock_wall_ns(), &files, &e), 0);
	assert_int_equal(tls_identify(files.cert, &id, &e), 0);
	assert_string_equal(id.node, "node-1");
	assert_string_equal(id.cluster, "c");
	tls_files_done(&files);
	assert_int_equal(stat(w->key, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* Two thirds of a day, the five minutes before it included. */
	assert_in_range(certificate_due_s(&w->config, clock_wall_ns()), 57400, 57500);
	assert_int_equal(certificate_due_s(&w->config, clock_wall_ns() + 57500 * NS_PER_SEC), 0);
	/* One that is good is not asked for again. */
	certificate_ensure(&w->config);
	assert_int_equal(atomic_load(&w->reviews), 1);
}

static bool is_renewed(const struct world *w, const char *first)
{
	char text[8192] = "";
	FILE *f = fopen(w->cert, "r");

	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	(void)fclose(f);
	return strcmp(text, first) != 0;
}

static void it_is_renewed_in_time_although_the_api_was_away(void **state)
{
	struct world *w = *state;
	struct certificate *renewal = NULL;
	struct tls_files files = {0};

	begin(w, 153);
	certificate_ensure(&w->config);
	assert_int_equal(tls_load(w->ca, w->cert, w->key, clock_wall_ns(), &files, NULL), 0);
	atomic_store(&w->status, 503);
	assert_int_equal(certificate_start(&w->config, &renewal, NULL), 0);
	assert_true(AWAIT(atomic_load(&w->reviews) >= 3, 20 * NS_PER_SEC));
	assert_false(is_renewed(w, files.cert));
	atomic_store(&w->status, 201);
	assert_true(AWAIT(is_renewed(w, files.cert), 20 * NS_PER_SEC));
	certificate_free(renewal);
	tls_files_done(&files);
}

static void a_node_that_asks_again_and_again_is_told_to_wait(void **state)
{
	struct world *w = *state;
	struct err e = {0};

	begin(w, 86400);
	for (unsigned int i = 0; i < ENROLL_NODE_MAX; i++)
		assert_int_equal(certificate_get(&w->config, &e), 0);
	assert_true(certificate_get(&w->config, &e) < 0);
	assert_non_null(strstr(e.text, "has had 6 certificates within ten minutes"));
	assert_int_equal(counter_value(w->peer.metrics, "nightjar_enrolments_total{result=\"node_limited\"}"), 1);
}

static void without_the_cas_key_there_is_no_service(void **state)
{
	struct world *w = *state;
	struct tls_signer *signer = NULL;
	struct err e = {0};

	assert_true(tls_signer_load(w->ca, "/nonexistent", &signer, &e) < 0);
	assert_non_null(strstr(e.text, "cannot read the CA's key '/nonexistent'"));
	assert_true(tls_signer_load(w->ca, w->ca, &signer, &e) < 0);
	assert_non_null(strstr(e.text, "does not hold a key"));
	(void)snprintf(w->key, sizeof(w->key), "%s/reader-key.pem", w->peer.dir);
	assert_true(tls_signer_load(w->ca, w->key, &signer, &e) < 0);
	assert_non_null(strstr(e.text, "no certificate in"));
}

static void requests_that_are_none_are_refused_cut_at_every_byte(void **state)
{
	struct world *w = *state;
	const struct tls_identity id = {.role = TLS_ROLE_AGENT, .cluster = "c", .namespace = "n", .node = "x"};
	struct tls_identity odd = id;
	struct tls_signer *signer = NULL;
	char *key = NULL, *csr = NULL, *pem = NULL, *end;
	struct err e = {0};

	assert_int_equal(tls_signer_load(w->ca, w->ca_key, &signer, &e), 0);
	assert_int_equal(tls_make_request(&key, &csr, &e), 0);
	end = strstr(csr, "-----END");
	for (size_t len = 0; len < (size_t)(end - csr); len++)
		assert_int_equal(tls_sign_request(signer, bytes_of(csr, len), &id, 60, &pem, &e), -EINVAL);
	assert_null(pem);
	/* Somebody else's signature: one letter in the middle of it. */
	end[-20] = end[-20] == 'A' ? 'B' : 'A';
	assert_int_equal(tls_sign_request(signer, bytes_of_text(csr), &id, 60, &pem, &e), -EINVAL);
	end[-20] = end[-20] == 'A' ? 'B' : 'A';
	(void)snprintf(odd.node, sizeof(odd.node), "no/node");
	assert_int_equal(tls_sign_request(signer, bytes_of_text(csr), &odd, 60, &pem, &e), -EINVAL);
	tls_signer_free(signer);
	free(key);
	free(csr);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_api_that_fails_is_said_to_the_agent_and_nothing_is_kept),
		TEST(a_token_that_is_none_asks_nobody),
		TEST(a_collector_of_another_ca_gets_no_token),
		TEST(strangers_can_call_nothing_else),
		TEST(an_agent_gets_a_certificate_that_a_start_accepts),
		TEST(it_is_renewed_in_time_although_the_api_was_away),
		TEST(a_node_that_asks_again_and_again_is_told_to_wait),
		TEST(without_the_cas_key_there_is_no_service),
		TEST(requests_that_are_none_are_refused_cut_at_every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
