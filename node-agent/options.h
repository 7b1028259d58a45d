/* What a node's agent is told: one row an option, see common/optable.h. */
#pragma once

#include "common/capture_options.h"
#include "common/optable.h"

struct agent_settings {
	char *node_name;
	char *node_cluster;
	char *collector_address;
	char *collector_server_name;
	char *tls_ca;
	char *tls_cert;
	char *tls_key;
	char *enroll_address;
	char *enroll_token_file;
	uint64_t ring_bytes;
	uint64_t cpus;
	char *provider;
	uint64_t max_processes;
	struct opt_list env_names;
	struct capture_options capture;
	uint64_t cpu_period_ns;
	uint64_t cpu_percent;
	bool cpu_host;
	char *cri_socket;
	uint64_t batch_events;
	uint64_t batch_bytes;
	uint64_t batch_interval_ns;
	uint64_t batch_age_ns;
	uint64_t uplink_memory_bytes;
	uint64_t uplink_in_flight;
	uint64_t heartbeat_ns;
	uint64_t backoff_min_ns;
	uint64_t backoff_max_ns;
	uint64_t drain_ns;
	char *log_level;
};

extern const struct optable agent_options;

enum agent_mode { AGENT_RUN, AGENT_PROBE, AGENT_PRINT_EVENTS };

/* Reads everything a command line asks for. Returns an enum opt_action, or negative with the
 * sentence. */
int options_load(int argc, char **argv, struct agent_settings *ret_settings, enum agent_mode *ret_mode,
		 struct err *e) must_check;
/* What must be set to reach a collector; -EINVAL with the sentence. */
int options_check_uplink(const struct agent_settings *settings, struct err *e) must_check;
struct certificate_config; /* node-agent/certificate.h */
/* How to enrol; its strings are the settings'. */
void options_certificate(const struct agent_settings *settings, struct certificate_config *ret_config);
/* Takes the node's and the cluster's name from the certificate, where they are not set. -EINVAL with the
 * sentence when it is not a node's or names others. */
int options_identify(struct agent_settings *settings, struct err *e) must_check;
void options_done(struct agent_settings *settings);
