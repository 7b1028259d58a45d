/* docs/operating.md and tools/systemd/ against the product: the table of metrics is what /metrics says,
 * and the units are what systemd understands. */
#include "tests/unit/unit.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "collector/collector.h"
#include "common/log.h"
#include "common/tls.h"
#include "tests/unit/program.h"

#define PAGE "docs/operating.md"

struct fixture {
	char dir[64];
	struct buf metrics; /* as a collector with every part serves them */
	struct buf page;
};

static uint16_t free_port(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	_cleanup_(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(at);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	return ntohs(at.sin_port);
}

static void make_certs(const char *dir)
{
	const char *const hosts[] = {"127.0.0.1", NULL};
	const struct tls_request request = {.name = "collector",
					    .identity = {.role = TLS_ROLE_COLLECTOR, .namespace = "nightjar"},
					    .hosts = hosts,
					    .not_after_s = 3600};
	struct err e = {0};

	if (tls_make_ca(dir, "test", 1, &e) < 0 || tls_make_cert(dir, &request, &e) < 0)
		fail_msg("%s", e.text);
}

/* Metrics of parts that are off by default are on the page too: a recording, a Kafka sink, enrolment and the
 * watch of a cluster. */
static void write_config(const struct fixture *f, const char *path, uint16_t http_port)
{
	_cleanup_(fclosep) FILE *out = fopen(path, "we");

	assert_non_null(out);
	(void)fprintf(out,
		      "grpc:\n  listen: \"127.0.0.1:0\"\nhttp:\n  listen: \"127.0.0.1:%u\"\n"
		      "tls:\n  ca: %s/ca.pem\n  cert: %s/collector.pem\n  key: %s/collector-key.pem\n"
		      "data:\n  dir: %s/data\nrecord:\n  file: %s/record\nlog:\n  level: error\n"
		      "kafka:\n  brokers: \"127.0.0.1:1\"\n"
		      "cluster: test\nenroll:\n  listen: \"127.0.0.1:0\"\n  ca_key: %s/ca-key.pem\n"
		      "kubernetes:\n  server: \"http://127.0.0.1:1\"\n",
		      http_port, f->dir, f->dir, f->dir, f->dir, f->dir, f->dir);
}

static void read_metrics(struct fixture *f)
{
	char path[128], command[128];
	char *argv[] = {(char *)"nightjar-collector", (char *)"--config", path, NULL};
	uint16_t port = free_port();
	struct options options = {0};
	struct collector *c = NULL;
	const char *replay;
	struct err e = {0};

	(void)snprintf(path, sizeof(path), "%s/collector.yaml", f->dir);
	make_certs(f->dir);
	write_config(f, path, port);
	if (collector_options_load(3, argv, &options, &replay, &e) < 0 || collector_new(&options, &c, &e) < 0)
		fail_msg("%s", e.text);
	(void)snprintf(command, sizeof(command), "curl -s http://127.0.0.1:%u/metrics", port);
	assert_int_equal(program_shell(command, &f->metrics), 0);
	collector_free(c);
	collector_options_done(&options);
}

static int set_up(void **state)
{
	static struct fixture f = {.dir = "/tmp/nightjar-test-XXXXXX"};

	log_init("test", LOG_LEVEL_ERROR); /* no broker answers, and the Kafka sink says so */
	assert_non_null(mkdtemp(f.dir));
	*state = &f;
	read_metrics(&f);
	return program_shell("cat " PAGE, &f.page);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char command[96];
	int r;

	(void)snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
	r = program_shell(command, &f->page);
	buf_done(&f->metrics);
	buf_done(&f->page);
	return r;
}

static void every_metric_has_its_row_with_its_meaning(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *text = strdup(buf_text(&f->metrics));
	char *save = NULL;
	size_t count = 0;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char name[128], row[1024];
		int at = 0;

		if (sscanf(line, "# HELP %127s %n", name, &at) != 1 || at == 0)
			continue;
		count++;
		(void)snprintf(row, sizeof(row), "| `%s` | %s |\n", name, line + at);
		if (strstr(buf_text(&f->page), row))
			continue;
		(void)snprintf(row, sizeof(row), "| **`%s`** | %s |\n", name, line + at);
		if (!strstr(buf_text(&f->page), row))
			fail_msg(PAGE " has no row %s", row);
	}
	assert_true(count > 20);
}

static void every_row_is_a_metric(void **state)
{
	struct fixture *f = *state;
	const char *at = buf_text(&f->page);

	while ((at = strstr(at, "`nightjar_"))) {
		char name[128], help[160];

		at++;
		(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(at, "`"), at);
		(void)snprintf(help, sizeof(help), "# HELP %s ", name);
		if (!strstr(buf_text(&f->metrics), help))
			fail_msg(PAGE " names %s, and /metrics does not", name);
	}
}

/* The text is in the program as it stands. */
static bool can_say(const char *program, const char *text, size_t len)
{
	_cleanup_buf_ struct buf image = buf_with_max(256UL << 20);
	char path[PATH_MAX], command[PATH_MAX + 16];

	program_path(program, path);
	(void)snprintf(command, sizeof(command), "cat '%s'", path);
	assert_int_equal(program_shell(command, &image), 0);
	return memmem(image.data, image.len, text, len);
}

/* Up to the first thing that is filled in. */
static void assert_can_say(const char *text, size_t len)
{
	const char *dots = memmem(text, len, "…", strlen("…"));
	size_t first = dots ? (size_t)(dots - text) : len;

	assert_true(first > 8);
	if (!can_say("nightjar-agent", text, first) && !can_say("nightjar-collector", text, first))
		fail_msg(PAGE ": nothing says %.*s", (int)len, text);
}

static void every_sentence_is_one_that_a_program_says(void **state)
{
	struct fixture *f = *state;
	const char *at = strstr(buf_text(&f->page), "| the sentence has |"), *end = at ? strstr(at, "\n\n") : NULL;
	size_t count = 0;

	assert_non_null(end);
	while ((at = strstr(at, "\n| `")) && at < end) {
		const char *mark = "\n| `"; /* in front of a sentence; a row may have several */

		while (strncmp(at, mark, strlen(mark)) == 0) {
			at += strlen(mark);
			assert_can_say(at, strcspn(at, "`"));
			at += strcspn(at, "`") + 1;
			mark = ", `";
			count++;
		}
	}
	assert_true(count > 10);
}

/* The installed programs are not there: those of the build stand in for them. */
static void systemd_understands_the_units(void **state)
{
	struct fixture *f = *state;
	_cleanup_buf_ struct buf said = {0};
	char command[PATH_MAX + 512], bin[PATH_MAX];

	if (program_shell("command -v systemd-analyze", &said) != 0) {
		printf("SKIP systemd-analyze is not installed\n");
		skip();
	}
	program_path("", bin);
	(void)snprintf(command, sizeof(command),
		       "for u in tools/systemd/*.service; do sed 's|/usr/local/bin/|%s|' $u > %s/${u##*/}; done && "
		       "systemd-analyze verify %s/*.service 2>&1",
		       bin, f->dir, f->dir);
	if (program_shell(command, &said) != 0 || said.len > 0)
		fail_msg("%s", buf_text(&said));
}

int main(void)
{
#ifdef __SANITIZE_THREAD__
	(void)puts("SKIP test_operating: librdkafka starts C11 threads, which ThreadSanitizer does not know");
	return 0;
#endif
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_metric_has_its_row_with_its_meaning),
		cmocka_unit_test(every_row_is_a_metric),
		cmocka_unit_test(every_sentence_is_one_that_a_program_says),
		cmocka_unit_test(systemd_understands_the_units),
	};

	return cmocka_run_group_tests_name("operating", tests, set_up, tear_down);
}
