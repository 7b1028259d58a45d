/* A node: the real agent, which reports to a collector that the test plays, and what that collector has
 * been told of containers and processes. */
#pragma once

#include <stdio.h>

#include "common/table.h"
#include "tests/containers/runtime.h"
#include "tests/unit/fake_collector.h"

/* By container_id. */
struct told {
	uint64_t first_ns;    /* monotonic: when it was first heard of */
	uint64_t resolved_ns; /* 0: not yet */
	uint64_t events;
	uint64_t start_ns;
	char pod[32], pod_uid[40], namespace[32], name[32], image[64], image_id[128], app[32];
	bool host_etc; /* its mount, read-only */
	bool privileged;
	uint64_t cap_bounding;
};

/* By exec_id. */
struct image {
	uint32_t pid;
	bool ended;
	char exe[64];
	char container_id[65];
};

struct node {
	struct fake *fake;
	struct table *told, *images;
	/* Of process life, and of any class for another reason than a full ring: what others do on this
	 * machine meanwhile may fill the rings of other classes, which is printed. */
	uint64_t lost;
	struct product agent;
};

void node_init(struct node *n);
void node_done(struct node *n);
/* The agent, with that value of container.cri_socket; connected once it returns. */
void node_start_agent(struct node *n, const char *socket);
void node_stop_agent(struct node *n);
uint64_t node_agent_rss_kb(const struct node *n);

/* A copy of what is known of a container; false: nothing. */
bool node_told(struct node *n, const char *container_id, struct told *ret_told);
/* Waits until the container is heard of, or resolved; false past the time. */
bool node_hears_of(struct node *n, const char *container_id, int timeout_ms);
bool node_resolves(struct node *n, const char *container_id, int timeout_ms);
/* The live image of a process as it was told, its exec_id in *ret_exec_id; waits for it. */
bool node_process(struct node *n, uint32_t pid, const char *exe, uint64_t *ret_exec_id, struct image *ret_image,
		  int timeout_ms);
/* Forgets processes; containers stay. */
void node_forget_processes(struct node *n);
