/* A containerd of the test's own: root, state, socket and images below one folder, in a mount namespace
 * that the test has made for itself, so that it disturbs no other one and leaves no mount behind. Pods share
 * the node's network: no CNI plugin is needed. */
#pragma once

#include "common/rpc.h"
#include "tests/e2e/product.h"

#define PAUSE_IMAGE "nightjar.test/pause:1"
#define APP_IMAGE   "nightjar.test/app:1"

struct runtime {
	char dir[48], socket[64];
	pid_t pid; /* 0: it does not run */
	char cgroups[32]; /* parent of all pods: "/nightjar-PID" */
};

/* Once, before any thread: the mount namespace. Without permission it prints why and exits with 77. */
void runtime_isolate(void);
void runtime_init(struct runtime *rt);
/* Ready to be asked once it returns. */
void runtime_start(struct runtime *rt);
void runtime_stop(struct runtime *rt); /* SIGTERM; containers go on without it */
/* Kills it, its shims and what runs in its pods, and removes all cgroups and files. */
void runtime_done(struct runtime *rt);

struct pod {
	char id[65];	/* of its sandbox */
	char uid[37];
	char name[32];
	bool privileged;
};

/* A client of the CRI, as the kubelet is one. */
struct kubelet {
	struct rpc_client *client;
	const struct runtime *rt;
};

void kubelet_init(struct kubelet *k, const struct runtime *rt);
void kubelet_done(struct kubelet *k);
/* Namespace "shop", labels app=NAME and tier=test. */
void kubelet_run_pod(struct kubelet *k, const char *name, bool privileged, struct pod *ret_pod);
/* A container named name that runs sh -c command; in a privileged pod it is privileged as well. With the
 * node's /etc read-only at /host/etc and NET_ADMIN besides the usual capabilities. */
void kubelet_start(struct kubelet *k, const struct pod *pod, const char *name, const char *command,
		   char ret_id[65]);
void kubelet_remove_pod(struct kubelet *k, const struct pod *pod);
