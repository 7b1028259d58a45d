/* nightjar.v1.Enroll/Issue: a certificate for an agent that shows its ServiceAccount token. The token is
 * reviewed by the Kubernetes API, the node is the one it is bound to, the certificate lasts a day.
 *
 * A thread of its own talks to the API, one review at a time (some milliseconds each). In front of it a
 * bounded queue, and limits: of requests a second, and of certificates for a node in ten minutes, so
 * that neither a stranger nor a stolen token keeps the API or the CA's key busy. Every certificate is a
 * line in the log; so is every refusal, at most one a second. */
#pragma once

#include "collector/ingest/listen.h"
#include "collector/kube/apiclient.h"
#include "collector/kube/tokenreview.h"
#include "common/metrics.h"

#define ENROLL_QUEUE	   256U
#define ENROLL_PER_SECOND  100U /* requests taken; 10 000 nodes are through in two minutes */
#define ENROLL_NODE_MAX	   6U /* certificates of a node in ENROLL_NODE_NS */
#define ENROLL_NODE_NS	   600000000000ULL
#define ENROLL_PATIENCE_NS 10000000000ULL /* that a request waits in the queue */

struct enroll_config {
	struct apiclient_config api;   /* copied */
	struct tokenreview_rules rules; /* as the rest: outlives the service */
	const char *ca, *ca_key; /* PEM files: the CA agents trust, and the key that signs */
	uint64_t valid_ns;
	struct metrics *metrics;
};

struct enroll;

int enroll_new(const struct enroll_config *config, struct enroll **ret_enroll, struct err *e) must_check;
/* Row for listen_config.methods; lives as long as the service. */
const struct listen_method *enroll_methods(struct enroll *en);
/* After the listener has stopped; what is in the queue is forgotten. NULL allowed. */
void enroll_free(struct enroll *en);
