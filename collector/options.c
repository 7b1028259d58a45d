/* The collector's option table; see options.h. */
#include "collector/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/kube/apiclient.h"
#include "common/cleanup.h"

#define AT(field) offsetof(struct options, field)
#define MS	  1000000ULL
#define SEC	  (1000 * MS)
#define MIB	  (1024ULL * 1024)
#define GIB	  (1024 * MIB)

static const struct opt rows[] = {
	{.key = "cluster", .type = OPT_TEXT, .offset = AT(cluster), .fallback = "",
	 .help = "name of the cluster: agents with another one's certificates are refused; empty: any"},
	{.key = "grpc.listen", .type = OPT_TEXT, .offset = AT(grpc_listen), .fallback = "0.0.0.0:7443",
	 .help = "HOST:PORT for agents and queries; port 0 takes any"},
	{.key = "grpc.connections", .type = OPT_COUNT, .offset = AT(grpc_connections), .fallback = "16384",
	 .min = 16, .max = 1 << 20,
	 .help = "connections at a time, as far as the limit of descriptors (ulimit -n) allows; others are closed"},
	{.key = "http.listen", .type = OPT_TEXT, .offset = AT(http_listen), .fallback = "127.0.0.1:7480",
	 .help = "HOST:PORT for /metrics, /healthz and /readyz, without TLS; empty: none"},
	{.key = "tls.ca", .type = OPT_PATH, .offset = AT(tls_ca), .fallback = "", .reloadable = true,
	 .help = "PEM file with the CA that signs agents and readers"},
	{.key = "tls.cert", .type = OPT_PATH, .offset = AT(tls_cert), .fallback = "", .reloadable = true,
	 .help = "PEM file with the collector's certificate"},
	{.key = "tls.key", .type = OPT_PATH, .offset = AT(tls_key), .fallback = "", .reloadable = true,
	 .help = "PEM file with its key"},
	{.key = "data.dir", .type = OPT_PATH, .offset = AT(data_dir), .fallback = "/var/lib/nightjar",
	 .help = "directory for alerts and the journal"},
	{.key = "store.max_bytes", .type = OPT_SIZE, .offset = AT(store_max_bytes), .fallback = "1GiB",
	 .min = MIB, .max = 1024 * GIB,
	 .help = "bytes of alerts, beyond which the oldest go; those that a sink waits for at twice that"},
	{.key = "store.max_age", .type = OPT_DURATION, .offset = AT(store_max_age_ns), .fallback = "90d",
	 .min = 60 * SEC, .max = 36500ULL * 86400 * SEC, .help = "age at which alerts go"},
	{.key = "journal.cap", .type = OPT_SIZE, .offset = AT(journal_cap), .fallback = "512MiB",
	 .min = 16 * MIB, .max = 1024 * GIB, .help = "bytes of the journal, beyond which the oldest part goes"},
	{.key = "journal.segment", .type = OPT_SIZE, .offset = AT(journal_segment), .fallback = "64MiB",
	 .min = MIB, .max = GIB, .help = "bytes of one file of the journal"},
	{.key = "journal.buffer", .type = OPT_SIZE, .offset = AT(journal_buffer), .fallback = "16MiB",
	 .min = 9 * MIB, .max = GIB, .help = "bytes that may wait for the disk before agents have to"},
	{.key = "threads.grpc", .type = OPT_COUNT, .offset = AT(grpc_threads), .fallback = "2",
	 .min = 1, .max = 64, .help = "threads that talk to agents"},
	{.key = "threads.stage1", .type = OPT_COUNT, .offset = AT(stage1_threads), .fallback = "2",
	 .min = 1, .max = 64, .help = "threads that detect within nodes"},
	{.key = "threads.stage2", .type = OPT_COUNT, .offset = AT(stage2_threads), .fallback = "1",
	 .min = 1, .max = 64, .help = "threads that detect across nodes"},
	{.key = "queue.batches", .type = OPT_COUNT, .offset = AT(queue_batches), .fallback = "256",
	 .min = 2, .max = 65536, .help = "batches in front of a detection thread before agents have to wait"},
	{.key = "queue.alerts", .type = OPT_COUNT, .offset = AT(queue_alerts), .fallback = "4096",
	 .min = 16, .max = 1 << 20, .help = "alerts in front of store and sinks before detection has to wait"},
	{.key = "nodes.max", .type = OPT_COUNT, .offset = AT(nodes_max), .fallback = "10000",
	 .min = 1, .max = 100000, .help = "nodes that are known at a time"},
	{.key = "drain", .type = OPT_DURATION, .offset = AT(drain_ns), .fallback = "10s", .max = 600 * SEC,
	 .help = "longest wait for sinks to confirm their alerts when the collector stops"},
	{.key = "record.file", .type = OPT_PATH, .offset = AT(record_file), .fallback = "",
	 .help = "file that what agents send is recorded into, for --replay; emptied at start"},
	{.key = "record.cap", .type = OPT_SIZE, .offset = AT(record_cap), .fallback = "1GiB",
	 .min = MIB, .max = 1024 * GIB, .help = "bytes at which a recording ends"},
	{.key = "log.level", .type = OPT_CHOICE, .offset = AT(log_level), .fallback = "info",
	 .choices = "error|warning|info|debug", .help = "most detailed lines on stderr"},
	{.key = "log.format", .type = OPT_CHOICE, .offset = AT(sinks.log.format), .fallback = "auto",
	 .choices = "auto|people|json|none",
	 .help = "form of alerts on stdout or in log.path; auto: people, and json with --replay"},
	{.key = "log.path", .type = OPT_PATH, .offset = AT(sinks.log.path), .fallback = "",
	 .help = "file that alerts are appended to; empty: stdout"},
	{.key = "log.color", .type = OPT_CHOICE, .offset = AT(sinks.log.color), .fallback = "auto",
	 .choices = "auto|always|never", .help = "colours; auto: on a terminal"},
	{.key = "log.alerts_file", .type = OPT_PATH, .offset = AT(sinks.log.alerts), .fallback = "",
	 .help = "file that gets alerts as JSON lines besides"},
	{.key = "kafka.brokers", .type = OPT_TEXT, .offset = AT(sinks.kafka.brokers), .fallback = "",
	 .help = "HOST:PORT,... of brokers; empty: no Kafka"},
	{.key = "kafka.topic_prefix", .type = OPT_TEXT, .offset = AT(sinks.kafka.topic_prefix),
	 .fallback = "nightjar.", .help = "what the names of topics begin with"},
	{.key = "kafka.partitions", .type = OPT_COUNT, .offset = AT(sinks.kafka.partitions), .fallback = "6",
	 .min = 1, .max = 10000, .help = "partitions of topics that are made"},
	{.key = "kafka.replication", .type = OPT_COUNT, .offset = AT(sinks.kafka.replication),
	 .fallback = "0", .max = 100, .help = "replicas of topics that are made; 0: as the brokers say"},
	{.key = "kafka.buffer", .type = OPT_SIZE, .offset = AT(sinks.kafka.buffer_bytes),
	 .fallback = "64MiB", .min = MIB, .max = 16 * GIB, .help = "bytes of alerts that wait for the brokers"},
	{.key = "kafka.tls", .type = OPT_BOOL, .offset = AT(sinks.kafka.tls), .fallback = "false",
	 .help = "whether to speak TLS with the brokers"},
	{.key = "kafka.ca", .type = OPT_PATH, .offset = AT(sinks.kafka.ca), .fallback = "",
	 .help = "PEM file with the CA of the brokers; empty: the system's"},
	{.key = "kafka.cert", .type = OPT_PATH, .offset = AT(sinks.kafka.cert), .fallback = "",
	 .help = "PEM file with the client certificate for the brokers"},
	{.key = "kafka.key", .type = OPT_PATH, .offset = AT(sinks.kafka.key), .fallback = "",
	 .help = "PEM file with its key"},
	{.key = "kafka.key_password", .type = OPT_TEXT, .offset = AT(sinks.kafka.key_password),
	 .fallback = "", .secret = true, .help = "password of the key"},
	{.key = "kafka.sasl_mechanism", .type = OPT_TEXT, .offset = AT(sinks.kafka.sasl_mechanism),
	 .fallback = "", .help = "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; empty: no SASL"},
	{.key = "kafka.username", .type = OPT_TEXT, .offset = AT(sinks.kafka.username), .fallback = "",
	 .help = "user for SASL"},
	{.key = "kafka.password", .type = OPT_TEXT, .offset = AT(sinks.kafka.password), .fallback = "",
	 .secret = true, .help = "password for SASL"},
	CAPTURE_ROWS(struct options, capture, true),
	{.key = "kubernetes.enabled", .type = OPT_CHOICE, .offset = AT(kubernetes_enabled), .fallback = "auto",
	 .choices = "auto|on|off",
	 .help = "whether to watch the Kubernetes API for the names of workloads; auto: in a pod, or where "
		 "kubernetes.server is set"},
	{.key = "kubernetes.server", .type = OPT_TEXT, .offset = AT(kubernetes_server), .fallback = "",
	 .help = "https://HOST:PORT of the API; empty: as a pod finds it"},
	{.key = "kubernetes.token_file", .type = OPT_PATH, .offset = AT(kubernetes_token_file), .fallback = "",
	 .help = "file with the bearer token, read for each request; empty: a pod's own"},
	{.key = "kubernetes.ca_file", .type = OPT_PATH, .offset = AT(kubernetes_ca_file), .fallback = "",
	 .help = "PEM file with the CA of the API; empty: a pod's own"},
	{.key = "kubernetes.pods", .type = OPT_COUNT, .offset = AT(kubernetes_pods), .fallback = "20000",
	 .min = 100, .max = 1 << 20, .help = "pods that are known at a time; other objects in proportion"},
	{.key = "enroll.listen", .type = OPT_TEXT, .offset = AT(enroll_listen), .fallback = "",
	 .help = "HOST:PORT where agents without a certificate get one for their ServiceAccount token; empty: "
		 "nowhere"},
	{.key = "enroll.ca_key", .type = OPT_PATH, .offset = AT(enroll_ca_key), .fallback = "",
	 .help = "PEM file with the key of a CA in tls.ca, which signs agents' certificates"},
	{.key = "enroll.audience", .type = OPT_TEXT, .offset = AT(enroll_audience), .fallback = "nightjar",
	 .help = "audience that the tokens must be made for"},
	{.key = "enroll.namespace", .type = OPT_TEXT, .offset = AT(enroll_namespace), .fallback = "nightjar",
	 .help = "namespace of the agents' ServiceAccount"},
	{.key = "enroll.service_account", .type = OPT_TEXT, .offset = AT(enroll_service_account),
	 .fallback = "nightjar-agent", .help = "the agents' ServiceAccount: tokens of others get no certificate"},
	{.key = "enroll.valid", .type = OPT_DURATION, .offset = AT(enroll_valid_ns), .fallback = "24h",
	 .min = 600 * SEC, .max = 90 * 86400 * SEC,
	 .help = "how long a certificate lasts; agents renew it at two thirds"},
	{.key = "reverse_shell.relay_hops", .type = OPT_COUNT, .offset = AT(relay_hops), .fallback = "4",
	 .min = 1, .max = 16, .help = "processes that are followed between an interpreter and its party"},
	{.key = "lateral_scan.addresses", .type = OPT_COUNT, .offset = AT(scan_addresses), .fallback = "20",
	 .min = 2, .max = 100000, .help = "distinct addresses on one port within the window that are a scan"},
	{.key = "lateral_scan.ports", .type = OPT_COUNT, .offset = AT(scan_ports), .fallback = "30",
	 .min = 2, .max = 65536, .help = "distinct ports of one address within the window that are a scan"},
	{.key = "lateral_scan.window", .type = OPT_DURATION, .offset = AT(scan_window_ns), .fallback = "60s",
	 .min = SEC, .max = 86400 * SEC, .help = "time that attempts are remembered, by the nodes' clocks"},
	{.key = "lateral_scan.short", .type = OPT_DURATION, .offset = AT(scan_short_ns), .fallback = "2s",
	 .max = 3600 * SEC, .help = "closed sooner than this, an answered attempt was only a probe; silent "
	 "for longer, it has failed"},
	{.key = "lateral_scan.answered", .type = OPT_COUNT, .offset = AT(scan_answered), .fallback = "50",
	 .max = 100, .help = "what a probe that was answered counts, in percent of one that failed"},
	{.key = "lateral_scan.share", .type = OPT_COUNT, .offset = AT(scan_share), .fallback = "25",
	 .max = 100, .help = "percent of all targets tried that must count, or it is no scan"},
	{.key = "alerts.repeat", .type = OPT_DURATION, .offset = AT(repeat_window_ns), .fallback = "10m",
	 .min = SEC, .max = 30 * 86400 * SEC, .help = "silence after which the same finding is a new alert"},
	{.key = "health.lost_events", .type = OPT_COUNT, .offset = AT(lost_events), .fallback = "100",
	 .min = 1, .max = 1ULL << 40, .help = "events of one class that a node may lose before an alert says so"},
};

const struct optable collector_options = {
	.program = "nightjar-collector",
	.summary = "correlates what agents see into attacks, keeps the alerts and sends them on",
	.usage = "  --replay FILE  print the alerts that a recording gives, and exit\n",
	.opts = rows,
	.count = sizeof(rows) / sizeof(rows[0]),
};

static int read_rest(char *const *rest, const char **ret_replay, struct err *e)
{
	static const char flag[] = "--replay";

	for (; rest && *rest; rest++) {
		if (strncmp(*rest, "--replay=", sizeof(flag)) == 0)
			*ret_replay = *rest + sizeof(flag);
		else if (strcmp(*rest, flag) == 0 && rest[1])
			*ret_replay = *++rest;
		else if (strcmp(*rest, flag) == 0)
			return err_set(e, -EINVAL, "--replay needs the name of a recording");
		else
			return optable_refuse(&collector_options, *rest, e);
	}
	return 0;
}

int collector_options_load(int argc, char **argv, struct options *ret_options, const char **ret_replay,
		 struct err *e)
{
	_cleanup_(freep) char **rest = NULL;
	struct options o = {0};
	const char *replay = NULL;
	int action = optable_load(&collector_options, &o, argc, argv, NULL, &rest, e), r;

	if (action < 0)
		return action;
	r = action == OPT_RUN || action == OPT_CHECK_CONFIG ? read_rest(rest, &replay, e) : 0;
	if (r < 0) {
		collector_options_done(&o);
		return r;
	}
	*ret_options = o;
	*ret_replay = replay;
	return action;
}

void collector_options_detect(const struct options *o, struct detect_options *ret_detect)
{
	detect_options_default(ret_detect);
	ret_detect->relay_hops_max = (uint32_t)o->relay_hops;
	ret_detect->scan = (struct targets_options){
		.window_ns = o->scan_window_ns,
		.short_ns = o->scan_short_ns,
		.addresses = (uint32_t)o->scan_addresses,
		.ports = (uint32_t)o->scan_ports,
		.answered_percent = (uint32_t)o->scan_answered,
		.share_percent = (uint32_t)o->scan_share,
	};
	ret_detect->repeat_window_ns = o->repeat_window_ns;
	ret_detect->lost_events = o->lost_events;
}

bool collector_options_kubernetes(const struct options *o)
{
	if (strcmp(o->kubernetes_enabled, "auto") == 0)
		return o->kubernetes_server[0] || apiclient_in_cluster();
	return strcmp(o->kubernetes_enabled, "on") == 0;
}

void collector_options_done(struct options *o)
{
	optable_done(&collector_options, o);
}
