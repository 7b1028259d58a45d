/* What a container runtime answers, as values. Pure. The runtime's bytes are foreign, and a pod's author
 * chooses many of them: structure and sizes are checked before anything is unpacked, texts, labels
 * and mounts past the caps below are cut or left out, and facts.cut says so. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/buf.h"
#include "common/event.h"

/* Far above what Kubernetes allows a label, and enough for a kubelet's volume paths. */
#define CRI_TEXT_MAX   512
#define CRI_LABELS_MAX 32
#define CRI_MOUNTS_MAX 32
#define CRI_BYTES_MAX  (8U << 10) /* all texts of one container */

struct cri_facts {
	struct container_def def; /* without container_id, cgroup and start_ns */
	const char *sandbox_id;
	uint64_t started_wall_ns; /* 0: not started yet */
	bool cut;
	size_t bytes; /* of texts so far */
};

/* Nothing known: where the readers begin. */
struct cri_facts cri_facts_none(void);

/* Each adds to *facts; what it points to lies in arena. 0, -EBADMSG or -ENOMEM, *facts then as far as it
 * came; -ENOENT: a list without anybody. */
int cri_read_container_list(struct bytes reply, struct arena *arena, struct cri_facts *facts) must_check;
int cri_read_container(struct bytes reply, struct arena *arena, struct cri_facts *facts) must_check;
/* The pod's names and labels. */
int cri_read_sandbox_list(struct bytes reply, struct arena *arena, struct cri_facts *facts) must_check;
/* The rest of a sandbox that is itself the container in question: the one that holds a pod's namespaces. */
int cri_read_sandbox(struct bytes reply, struct arena *arena, struct cri_facts *facts) must_check;
/* "containerd 1.6.20", cut to size. */
int cri_read_version(struct bytes reply, struct arena *arena, char *ret_text, size_t size) must_check;
/* Requests. */
void cri_write_container_list(struct buf *out, const char *container_id);
void cri_write_container(struct buf *out, const char *container_id);
void cri_write_sandbox_list(struct buf *out, const char *sandbox_id);
void cri_write_sandbox(struct buf *out, const char *sandbox_id);
