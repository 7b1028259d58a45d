/* Peers with a valid certificate that mean harm. Each attack must leave the collector within a stated
 * amount of memory, be counted, and leave an agent that was there before in peace: its batches are
 * acknowledged and its alerts printed while the attack lasts.
 *
 * The bounds are those of one attacking certificate; what they follow from stands in
 * collector/ingest/listen.c. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/e2e/product.h"
#include "tests/e2e/raw_h2.h"

#define WATCH "/nightjar.v1.Alerts/Watch"
#define LIST  "/nightjar.v1.Alerts/List"

#define CONNECTIONS 500
#define LIMIT	    200 /* --grpc-connections */

struct fixture {
	struct site site;
	struct collected collector;
	struct rpc_client *client;
	struct rpc_stream *stream;
	uint64_t seq;
	uint64_t rss_kb; /* at rest */
};

/* A batch of the agent's is acknowledged, and its alert comes. */
static void assert_in_peace(struct fixture *f)
{
	_cleanup_buf_ struct buf batch = {0};
	uint16_t port = (uint16_t)(30000 + ++f->seq);
	char wanted[64];

	agent_batch(f->seq, port, "", &batch);
	agent_send(f->stream, buf_bytes(&batch));
	assert_true(agent_acked(f->stream, f->seq));
	(void)snprintf(wanted, sizeof(wanted), "\"port\":%u}", port);
	assert_true(product_says(&f->collector.product, wanted, PRODUCT_SAY_MS));
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char limit[64];
	const char *flags[] = {limit, NULL};

	assert_non_null(f);
	site_init(&f->site);
	(void)snprintf(limit, sizeof(limit), "--grpc-connections=%d", LIMIT);
	collected_start(&f->collector, &f->site, flags, NULL, NULL);
	f->client = agent_client(&f->collector, "agent");
	f->stream = agent_stream(f->client);
	agent_hello(f->stream, "n1");
	for (int i = 0; i < 20; i++)
		assert_in_peace(f);
	f->rss_kb = collected_rss_kb(&f->collector);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	rpc_stream_free(f->stream);
	rpc_client_free(f->client);
	product_done(&f->collector.product);
	site_done(&f->site);
	free(f);
	return 0;
}

/* While the attack lasts. */
static void assert_bounded(struct fixture *f, uint64_t bound_kb)
{
	uint64_t now_kb;

	assert_in_peace(f);
	now_kb = collected_rss_kb(&f->collector);
	printf("memory: %llu kB at rest, %llu kB under attack, bound +%llu kB\n", (unsigned long long)f->rss_kb,
	       (unsigned long long)now_kb, (unsigned long long)bound_kb);
	assert_true(now_kb < f->rss_kb + bound_kb);
}

static void end(struct fixture *f)
{
	assert_in_peace(f);
	rpc_stream_free(f->stream);
	f->stream = NULL;
	collected_stop(&f->collector);
}

/* ---- by hand ---- */

static void assert_open(struct h2 *h, struct fixture *f, uint32_t window)
{
	assert_true(h2_open(h, &f->collector, "reader", window));
}

#define FLOODS	   20
#define CONNECTED  4
#define PER_CLIENT 60

static void streams_above_the_share_of_a_certificate_are_refused(void **state)
{
	static const uint8_t empty[5];
	struct fixture *f = *state;
	_cleanup_buf_ struct buf block = {0};
	struct h2 h[CONNECTED];

	h2_request(WATCH, 0, &block);
	for (int i = 0; i < CONNECTED; i++) {
		assert_open(&h[i], f, 65535);
		for (int j = 0; j < PER_CLIENT; j++) {
			uint32_t stream = h2_call(&h[i], buf_bytes(&block), 0);

			assert_true(stream && h2_frame(&h[i], H2_DATA, 0, stream, bytes_of(empty, 5)));
		}
	}
	assert_true(collected_counts(&f->collector, "nightjar_grpc_calls_total{result=\"too_many\"}",
				     CONNECTED * PER_CLIENT - 128));
	assert_bounded(f, 24 * 1024);
	for (int i = 0; i < CONNECTED; i++)
		h2_close(&h[i]);
	end(f);
}

static void rapid_resets_take_no_memory(void **state)
{
	static const uint8_t cancel[4] = {0, 0, 0, 8};
	struct fixture *f = *state;
	_cleanup_buf_ struct buf block = {0};
	struct h2 h;
	int opened = 0;

	h2_request(LIST, 0, &block);
	assert_open(&h, f, 65535);
	for (int i = 0; i < 50000; i++) {
		uint32_t stream = h2_call(&h, buf_bytes(&block), 0);

		if (!stream || !h2_frame(&h, H2_RST_STREAM, 0, stream, bytes_of(cancel, 4)) || !h2_drain(&h))
			break;
		opened++;
	}
	printf("%d streams opened and reset\n", opened);
	assert_true(collected_counts(&f->collector, "nightjar_connections_cut_total", 1));
	assert_true(collected_counts(&f->collector, "nightjar_grpc_calls_broken_total", 1));
	assert_bounded(f, 64 * 1024);
	h2_close(&h);
	end(f);
}

static void pings_that_are_never_read_end_the_connection(void **state)
{
	static const uint8_t ping[8] = "hostile";
	struct fixture *f = *state;
	struct h2 h[FLOODS];

	for (int i = 0; i < FLOODS; i++) {
		int sent = 0;

		assert_open(&h[i], f, 65535);
		while (sent < 1000000 && h2_frame(&h[i], H2_PING, 0, 0, bytes_of(ping, 8)))
			sent++;
		assert_true(sent < 1000000);
	}
	assert_bounded(f, 64 * 1024);
	for (int i = 0; i < FLOODS; i++)
		h2_close(&h[i]);
	end(f);
}

static void settings_without_end_take_no_memory(void **state)
{
	struct fixture *f = *state;
	struct h2 h;
	int sent = 0;

	assert_open(&h, f, 65535);
	while (sent < 200000 && h2_frame(&h, H2_SETTINGS, 0, 0, (struct bytes){0}))
		sent++;
	printf("%d settings taken\n", sent);
	assert_bounded(f, 32 * 1024);
	h2_close(&h);
	end(f);
}

static void huge_metadata_is_refused(void **state)
{
	struct fixture *f = *state;
	_cleanup_buf_ struct buf block = {0};
	struct h2 h;

	h2_request(LIST, 12000, &block);
	assert_open(&h, f, 65535);
	for (int i = 0; i < 5000 && h2_call(&h, buf_bytes(&block), H2_END_STREAM); i++)
		if (!h2_drain(&h))
			break;
	assert_bounded(f, 32 * 1024);
	h2_close(&h);
	end(f);
}

static void headers_without_end_take_no_memory(void **state)
{
	static const uint8_t more[16000]; /* literal headers with empty names, for ever */
	struct fixture *f = *state;
	_cleanup_buf_ struct buf block = {0};
	struct h2 h;
	int sent = 0;

	h2_request(LIST, 0, &block);
	assert_open(&h, f, 65535);
	assert_true(h2_frame(&h, H2_HEADERS, 0, 1, buf_bytes(&block)));
	while (sent < 8000 && h2_frame(&h, H2_CONTINUATION, 0, 1, bytes_of(more, sizeof(more))) && h2_drain(&h))
		sent++;
	printf("%d continuations taken\n", sent);
	assert_bounded(f, 32 * 1024);
	h2_close(&h);
	end(f);
}

static void a_watcher_that_never_reads_is_ended(void **state)
{
	static const uint8_t empty[5]; /* a gRPC message without content */
	static const char slow[] = "nightjar_watchers_ended_total{reason=\"slow\"}";
	struct fixture *f = *state;
	_cleanup_buf_ struct buf block = {0};
	struct h2 h;
	uint32_t stream;

	h2_request(WATCH, 0, &block);
	assert_open(&h, f, 0);
	stream = h2_call(&h, buf_bytes(&block), 0);
	assert_true(stream && h2_frame(&h, H2_DATA, 0, stream, bytes_of(empty, sizeof(empty))));
	assert_true(collected_counts(&f->collector, "nightjar_watchers", 1));
	for (int i = 0; i < 400 && collected_metric(&f->collector, slow) == 0; i++)
		assert_in_peace(f);
	assert_true(collected_counts(&f->collector, slow, 1));
	assert_bounded(f, 24 * 1024);
	h2_close(&h);
	end(f);
}

static void connections_above_the_limit_are_closed_at_once(void **state)
{
	static const char refused[] = "nightjar_connections_refused_total";
	struct fixture *f = *state;
	struct h2 *h = calloc(CONNECTIONS, sizeof(*h));
	int open = 0;

	assert_non_null(h);
	for (int i = 0; i < CONNECTIONS; i++)
		open += h2_open(&h[i], &f->collector, "reader", 65535);
	printf("%d of %d connections were taken\n", open, CONNECTIONS);
	assert_int_equal(open, LIMIT - 1); /* one is the agent's */
	assert_bounded(f, 64 * 1024);
	for (int i = 0; i < CONNECTIONS; i++)
		h2_close(&h[i]);
	free(h);
	assert_true(collected_counts(&f->collector, refused, 1));
	assert_in_peace(f);
	collected_canary(&f->collector); /* a new connection is taken again */
	rpc_stream_free(f->stream);
	f->stream = NULL;
	collected_stop(&f->collector);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(streams_above_the_share_of_a_certificate_are_refused),
		T(rapid_resets_take_no_memory),
		T(pings_that_are_never_read_end_the_connection),
		T(settings_without_end_take_no_memory),
		T(huge_metadata_is_refused),
		T(headers_without_end_take_no_memory),
		T(a_watcher_that_never_reads_is_ended),
		T(connections_above_the_limit_are_closed_at_once),
	};
	int failed;

	(void)signal(SIGPIPE, SIG_IGN);
	rpc_init();
	failed = cmocka_run_group_tests_name("hostile", tests, NULL, NULL);
	rpc_done();
	return failed;
}
