/* The collector's Kubernetes side as one part: store, watch, and the naming of containers. */
#pragma once

#include "collector/kube/apiwatch.h"
#include "collector/kube/naming.h"

struct kube_config {
	struct apiclient_config api; /* copied */
	uint32_t pods;		     /* that are known at a time */
	struct metrics *metrics;
	/* As in naming_config. */
	int (*tell)(void *ctx, const struct naming_node *node, const Nightjar__V1__ContainerMetadata *metadata);
	void *ctx;
};

struct kube;

/* Questions are taken from now on, answers come after kube_start. */
int kube_new(const struct kube_config *config, struct kube **ret_kube, struct err *e) must_check;
int kube_start(struct kube *k, struct err *e) must_check;
/* The watch ends: nothing is told any more; questions are still taken. */
void kube_stop(struct kube *k);
void kube_free(struct kube *k); /* stopped; NULL allowed */

/* Any thread. */
void kube_ask(struct kube *k, const struct naming_node *node, const char *container_id, const char *pod_uid);
/* The journal has begun a new segment: see naming_again. Any thread. */
void kube_again(struct kube *k);
