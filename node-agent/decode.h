/* Kernel records to values: pure, no table, no clock, no memory of its own. What it points to lies
 * in the record or in the result itself, which therefore is not copied. Records come from our own programs, but every length is checked all the same, so
 * that a mistake there is a counted loss here and nothing worse. */
#pragma once

#include "bpf/abi.h"
#include "common/err.h"
#include "common/event.h"
#include "node-agent/dns.h"
#include "node-agent/sockaddr.h"

struct decoded {
	struct nj_head head;
	enum event_kind kind; /* 0: not an event by itself (a state nobody needs) */
	int64_t result;
	struct nj_task child;  /* fork */
	struct nj_task parent; /* exec */
	struct endpoint endpoints[EVENT_ENDPOINTS_MAX];
	uint16_t endpoint_count;
	struct file_info file; /* exec, open */
	struct creds creds;    /* exec, cred */
	/* exec */
	const char *cwd;
	struct bytes args; /* each ends with NUL; the last one need not when it was cut */
	struct bytes env;
	uint32_t loginuid;
	uint32_t session;
	uint32_t tty;
	uint32_t truncated; /* PROCESS_*_TRUNCATED */
	const char *exe_raw;
	uint32_t exe_flags; /* PROCESS_EXE_* */
	uint64_t exe_ctime_ns;
	uint64_t exe_mtime_ns;
	/* exec, fork (with session and tty) */
	char comm[NJ_COMM_SIZE];
	uint32_t pgid;
	uint32_t vpid;
	uint32_t vpgid;
	struct namespaces namespaces;
	/* open, dup */
	const char *raw_path;
	uint32_t flags;
	int32_t old_fd;
	/* cgroup, with its path and text */
	uint64_t cgroup_id;
	uint32_t cgroup_hierarchy;
	bool cgroup_removed;
	/* acts */
	uint32_t marks;	      /* EVENT_MARK_* */
	struct nj_owner target; /* task.tgid 0: none */
	struct event_detail detail; /* without its target */
	struct bytes address; /* a struct sockaddr as a call was given it */
	/* Texts that were made here; undefined where nothing points to them. */
	char given_text[SOCKADDR_TEXT_MAX];
	char name_text[2][SOCKADDR_TEXT_MAX];
	char dns_text[DNS_NAME_MAX];
};

/* All that a record of its type has no value for reads as unknown. */
void decode_init(struct decoded *d, const struct nj_head *head);

/* 0, or -EBADMSG with *ret_decoded undefined. The record may stand at any address. */
int decode_record(struct bytes record, struct decoded *ret_decoded) must_check;

/* What an NJ_ACT record of kind CPU would say. */
void decode_cpu_use(const struct nj_owner *process, uint64_t time_ns, uint64_t used_ns, uint64_t over_ns,
		    struct decoded *ret_decoded);

/* A device number in the kernel's encoding, as stat(2) reports it. */
uint64_t decode_device(uint64_t kernel_device);

/* Splits an area at its NULs. Returns how many pieces, at most max; *ret_more (may be NULL) tells
 * whether there were more. */
uint16_t decode_split(struct bytes area, struct bytes *ret_pieces, uint16_t max, bool *ret_more);

/* The class that a record counts for when it cannot be decoded; NJ_CLASS_PROCESS for what is unknown. */
enum nj_class decode_class_of(struct bytes record);

/* The name of a system call of this machine, as "openat"; "" for one that calls.h does not have. */
const char *decode_call_name(uint16_t nr, bool compat);
