/* What a collector is told: one row an option, see common/optable.h. */
#pragma once

#include "collector/detect/detect.h"
#include "collector/sink/sink_options.h"
#include "common/capture_options.h"
#include "common/optable.h"

struct options {
	struct capture_options capture;
	char *cluster;
	char *grpc_listen;
	uint64_t grpc_connections;
	char *http_listen;
	char *tls_ca, *tls_cert, *tls_key;
	char *data_dir;
	uint64_t store_max_bytes, store_max_age_ns;
	uint64_t journal_cap, journal_segment, journal_buffer;
	uint64_t grpc_threads, stage1_threads, stage2_threads;
	uint64_t queue_batches, queue_alerts;
	uint64_t nodes_max;
	uint64_t drain_ns;
	char *record_file;
	uint64_t record_cap;
	char *log_level;
	struct sink_options sinks;
	char *kubernetes_enabled, *kubernetes_server, *kubernetes_token_file, *kubernetes_ca_file;
	uint64_t kubernetes_pods;
	char *enroll_listen, *enroll_ca_key, *enroll_audience, *enroll_namespace, *enroll_service_account;
	uint64_t enroll_valid_ns;
	uint64_t relay_hops, repeat_window_ns, lost_events;
	uint64_t scan_addresses, scan_ports, scan_window_ns, scan_short_ns, scan_answered, scan_share;
};

extern const struct optable collector_options;

/* Reads everything a command line asks for. Returns an enum opt_action, or negative with the
 * sentence. *ret_replay: the file of --replay, NULL: none; points into argv. */
int collector_options_load(int argc, char **argv, struct options *ret_options, const char **ret_replay,
		 struct err *e) must_check;
void collector_options_detect(const struct options *o, struct detect_options *ret_detect);
/* Whether there is a Kubernetes API to watch: kubernetes.enabled, and for auto the environment. */
bool collector_options_kubernetes(const struct options *o);
void collector_options_done(struct options *o);
