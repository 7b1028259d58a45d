/* Containers and what runs in them; on the host, cgroups. A record per distinct container or
 * cgroup, 1024 per shard, 2 KiB each. Processes refer to it by a number that is never 0. */
#pragma once

#include "common/event.h"
#include "nightjar/v1/metadata.pb-c.h"

struct entities;
struct process;

struct workload {
	uint64_t id;
	bool host;	     /* no container */
	bool system_service; /* the cgroup is one of a system unit */
	bool session;	     /* nobody's service: a login session, a scope, the root cgroup */
	bool named;	     /* by the Kubernetes API: nothing is a guess any more */
	/* First process of the container or cgroup: what it is there to run. */
	uint32_t entry_pid;
	uint64_t entry_start_ns;
	uint64_t entry_device;
	uint64_t entry_inode;
	char container_id[65];
	char name[64];
	char image[160];
	char pod[128];
	char namespace[64];
	char workload[128]; /* guessed from the pod's name until it is named; on the host: systemd unit,
			       session or cgroup */
	char workload_kind[64], service_account[128]; /* "" until it is named */
	char labels[768]; /* key, value, key, value …, each terminated; what is too much is left out */
	uint32_t label_count;
};

/* Finds or makes the record of a definition. */
struct workload *workload_seen(struct entities *en, uint32_t node, const struct container_def *def);
/* A definition that came by itself: gives its names to the record there is, and makes none. */
void workload_complete(struct entities *en, uint32_t node, const struct container_def *def);
struct workload *workload_find(const struct entities *en, uint64_t id); /* NULL: evicted */
struct workload *workload_of_container(const struct entities *en, uint32_t node, const char *container_id);
/* What the Kubernetes API says. What the node's runtime has said stays, guesses do not. */
void workload_name(struct workload *w, const Nightjar__V1__ContainerMetadata *m);
/* Notes the entry process: the one that started first. */
void workload_note_entry(struct workload *w, const struct process *p);
/* Does p run what its container or system service is there to run? It executed the entry's file, or
 * its own within WORKLOAD_START_NS of the first process. Nothing is in a session. */
bool workload_is_original(const struct workload *w, const struct process *p);

#define WORKLOAD_START_NS 60000000000ULL
