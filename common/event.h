/* What was observed, in memory: the same on the agent's side (filled from kernel records) and on
 * the collector's (filled from the wire). common/wire.h turns one into bytes and back.
 *
 * Ownership: these structs point, they own nothing. What they point to lives as long as the batch
 * (its arena or the agent's process table), so whoever keeps an event copies what it needs.
 * Times are nanoseconds of the node's boot clock. Strings are terminated UTF-8-ish text as the
 * kernel gave it; "" means unknown, never NULL. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"

enum event_kind {
	EVENT_KIND_FORK = 1,	    /* process: the parent; child */
	EVENT_KIND_EXEC = 2,	    /* process: the new image; endpoints */
	EVENT_KIND_EXIT = 3,	    /* result: status of wait(2) */
	EVENT_KIND_CONNECT = 4,	    /* endpoints[0]: an attempt; see below */
	EVENT_KIND_ESTABLISHED = 5, /* endpoints[0], outgoing */
	EVENT_KIND_CLOSE = 6,	    /* endpoints[0]; result: -errno of a refused or broken connection */
	EVENT_KIND_LISTEN = 7,	    /* endpoints[0] */
	EVENT_KIND_ACCEPT = 8,	    /* endpoints[0] */
	/* path, raw_path, file, flags, result; endpoints[0]: FIFO, pty; args, whatever the call: directory,
	 * 0, flags, mode, resolve. A failed one has the path that was meant. */
	EVENT_KIND_OPEN = 9,
	EVENT_KIND_DUP = 10,	    /* endpoints[0] is behind its fd now; old_fd */
	EVENT_KIND_PIPE = 11,	    /* endpoints[0..1]: pipe and socketpair */
	EVENT_KIND_CRED = 12,	    /* creds after the call, result */
	/* From here on the detail tells more. */
	EVENT_KIND_EXEC_FAILED = 13, /* path, raw_path, data: arguments; result: -errno */
	EVENT_KIND_UNLINK = 14,	     /* path, raw_path, file; rmdir too */
	EVENT_KIND_RENAME = 15,	     /* path → path2, raw_path → raw_path2, file */
	EVENT_KIND_LINK = 16,	     /* path: the new name, path2: what it leads to; symlink too */
	EVENT_KIND_CHMOD = 17,	     /* path, file after the call, args */
	EVENT_KIND_CHOWN = 18,	     /* path, file after the call, args */
	EVENT_KIND_UTIME = 19,	     /* path, file */
	EVENT_KIND_TRUNCATE = 20,    /* path, file, args */
	EVENT_KIND_MKDIR = 21,	     /* path, file, args */
	EVENT_KIND_MKNOD = 22,	     /* path, file, args */
	EVENT_KIND_MOUNT = 23,	     /* path: where, path2 or raw_path2: what, text: type, args */
	EVENT_KIND_UMOUNT = 24,	     /* path, args */
	EVENT_KIND_ROOT = 25,	     /* path: the new root; chroot and pivot_root */
	EVENT_KIND_SOCKET = 26,	     /* args: domain, type, protocol; endpoints[0] */
	EVENT_KIND_BIND = 27,	     /* endpoints[0] */
	EVENT_KIND_SEND = 28,	     /* endpoints[0], remote: the destination; result: bytes of the first */
	EVENT_KIND_RECEIVE = 29,     /* endpoints[0], remote: the source; both: args[1] messages */
	EVENT_KIND_DNS = 30,	     /* endpoints[0], text: the name, args[0]: query type, data: message */
	EVENT_KIND_FIRST_BYTES = 31, /* endpoints[0], data */
	EVENT_KIND_PASS = 32,	     /* endpoints that arrived or were sent; target: from whom, for pidfd_getfd */
	EVENT_KIND_NAMESPACE = 33,   /* namespaces after the call, args; setns, unshare, clone */
	EVENT_KIND_PTRACE = 34,	     /* target, args[0]: request */
	EVENT_KIND_PROCESS_VM = 35,  /* target, result: bytes */
	EVENT_KIND_MODULE = 36,	     /* text: name, path: of its file, data: parameters */
	EVENT_KIND_BPF = 37,	     /* args[0]: command, text: name of what was made */
	EVENT_KIND_PERF = 38,	     /* args: type, config, pid, cpu, flags */
	EVENT_KIND_USERFAULTFD = 39, /* args[0]: flags */
	EVENT_KIND_KEYCTL = 40,	     /* args, text: description */
	EVENT_KIND_MEMFD = 41,	     /* text: name, args, file */
	EVENT_KIND_MEMORY_EXEC = 42, /* args: address, length, protection; path, file: what is mapped */
	EVENT_KIND_SIGNAL = 43,	     /* target, args: pid, signal */
	EVENT_KIND_SPLICE = 44,	     /* endpoints[0] → endpoints[1], result: bytes */
	EVENT_KIND_IO_URING = 45,    /* a ring was set up; args */
	EVENT_KIND_CGROUP = 46,	     /* path, text: "mkdir", "rmdir" */
	EVENT_KIND_CPU = 47,	     /* args[0]: ns of CPU time in the last args[1] ns */
	EVENT_KIND_PRCTL = 48,	     /* args, text: new name of the process */
	EVENT_KIND_MAX
};

/* Of sockets: a TCP connection that is under way (EINPROGRESS) has result 0. UNIX: text is the name of the
 * side that serves (abstract: "@name"), path and file where that is bound, path2 the other side's
 * name, raw_path the address as it was given. VSOCK: the same with "cid:port" and no path. Other
 * addresses as given: data. */

/* event.marks: what may be wrong with an event, or what was special about the call. Values as in
 * bpf/abi.h. */
#define EVENT_MARK_PATH_CUT   1	 /* components on the left are missing */
#define EVENT_MARK_PATH2_CUT  2
#define EVENT_MARK_RAW_CUT    4	 /* a raw argument is longer than what is here */
#define EVENT_MARK_DATA_CUT   8
/* The object does not fit the argument, or what the call did to it: another thread was in between. */
#define EVENT_MARK_RACED      16
#define EVENT_MARK_IO_URING   32 /* submitted through io_uring */
#define EVENT_MARK_COMPAT     64 /* a 32-bit system call */
#define EVENT_MARK_UNREADABLE 128 /* an argument could not be read */
/* A path could only be followed in part: the rest of it is as it was given, links and all. */
#define EVENT_MARK_UNRESOLVED 256

/* Values as in proto/nightjar/v1/event.proto and bpf/abi.h. */
enum endpoint_kind {
	ENDPOINT_KIND_NONE = 0,
	ENDPOINT_KIND_PIPE = 1,
	ENDPOINT_KIND_FIFO = 2,
	ENDPOINT_KIND_TCP = 3,
	ENDPOINT_KIND_UDP = 4,
	ENDPOINT_KIND_UNIX = 5,
	ENDPOINT_KIND_PTY_MASTER = 6,
	ENDPOINT_KIND_PTY_SLAVE = 7,
	ENDPOINT_KIND_SOCKET_OTHER = 8,
	ENDPOINT_KIND_MAX
};

#define ENDPOINT_READ  1
#define ENDPOINT_WRITE 2

#define EVENT_ENDPOINTS_MAX 16
#define EVENT_ARGS_MAX	    1024
#define EVENT_ENV_MAX	    32

/* One end of a conversation: the kernel object behind a descriptor.
 *   kind     id                 id2
 *   pipe     pipefs inode       inode generation
 *   FIFO     inode              device
 *   pty      index              devpts device
 *   UNIX     own socket inode   peer's socket inode, 0 unknown
 *   TCP UDP  socket cookie      network namespace inode */
struct endpoint {
	uint8_t kind; /* enum endpoint_kind */
	uint8_t mode; /* ENDPOINT_READ | ENDPOINT_WRITE */
	int16_t fd;   /* -1 unknown */
	uint8_t family;
	uint8_t state; /* TCP state */
	uint16_t local_port;
	uint16_t remote_port;
	uint16_t readers; /* pipe and FIFO: open ends when it was captured */
	uint16_t writers;
	uint16_t protocol; /* sockets: IPPROTO_*, NETLINK_*; 0 for UNIX */
	uint64_t id;
	uint64_t id2;
	uint8_t local_ip[16]; /* IPv4 in the first four bytes, the rest 0 */
	uint8_t remote_ip[16];
};

struct creds {
	uint32_t uid, gid, euid, egid;
	uint32_t suid, sgid;
	uint64_t cap_effective;
	uint64_t cap_permitted;
	uint64_t cap_inheritable;
};

/* Inode numbers; 0 unknown. pid is the one that children are born into. */
struct namespaces {
	uint32_t mnt, pid, net, user, uts, ipc, cgroup, time;
};

struct file_info {
	const char *path; /* as seen in the process's mount namespace */
	uint64_t inode;
	uint64_t device;
	uint32_t generation;
	uint32_t mode;
	uint32_t uid;
	uint32_t nlink; /* 0: deleted */
};

struct container_label {
	const char *key;
	const char *value;
};

struct container_mount {
	const char *source; /* on the node */
	const char *destination;
	const char *propagation; /* private, slave, shared */
	bool readonly;
};

#define CONTAINER_LABELS_MAX 64
#define CONTAINER_MOUNTS_MAX 64
#define CONTAINER_BYTES_MAX  (32U << 10) /* of all texts of a container together */

/* Everything "" and 0 on the host except cgroup and workload. The runtime is asked after the first
 * events of a container: until then, and without it, only what the cgroup's path tells is there. */
struct container_def {
	const char *container_id; /* 64 hex digits */
	const char *pod_uid;
	const char *name;
	const char *image;
	const char *pod;
	const char *namespace;
	const char *cgroup; /* path below the hierarchy's root */
	const char *image_id; /* as the image was resolved: a repository's digest or sha256:… */
	const char *workload; /* on the host: systemd unit, session or cgroup */
	const struct container_label *labels; /* of the pod; of the container outside Kubernetes */
	const struct container_mount *mounts;
	uint16_t label_count; /* at most CONTAINER_LABELS_MAX */
	uint16_t mount_count; /* at most CONTAINER_MOUNTS_MAX */
	bool privileged;
	uint64_t cap_bounding; /* what its root can have */
	uint64_t start_ns;     /* 0 unknown */
};

/* Bytes of all texts. */
size_t container_def_bytes(const struct container_def *c);
/* All of it in one block, for free(); NULL without memory. */
struct container_def *container_def_copy(const struct container_def *c);

#define PROCESS_ARGS_TRUNCATED	    1
#define PROCESS_ENV_TRUNCATED	    2
#define PROCESS_EXE_TRUNCATED	    4
#define PROCESS_CWD_TRUNCATED	    8
#define PROCESS_ENDPOINTS_TRUNCATED 16
#define PROCESS_EXE_RAW_TRUNCATED   32

#define LOGINUID_NONE UINT32_MAX

/* One image of one process: a fork or an exec makes a new one, with an exec_id of its own. */
struct process_def {
	uint64_t exec_id;	 /* hash of boot id, pid, start time, exec count; never 0 */
	uint64_t parent_exec_id; /* the image that forked this process; 0 unknown */
	uint32_t pid;
	uint32_t ppid;
	uint64_t start_ns; /* of the process */
	uint64_t exec_ns;  /* of the image; 0 unknown */
	struct file_info exe;
	const struct bytes *args;
	const struct bytes *env; /* NAME=VALUE */
	uint16_t arg_count;
	uint16_t env_count;
	const char *cwd;
	struct creds creds;
	uint32_t loginuid;
	uint32_t session; /* pid of the session leader */
	uint32_t tty;	  /* device number, 0 none */
	uint32_t truncated; /* PROCESS_*_TRUNCATED */
	const struct container_def *container; /* never NULL */
	const char *comm;
	const char *exe_raw; /* the file name that execve was given */
	uint32_t pgid;
	uint32_t vpid; /* as the process's own pid namespace numbers it */
	uint32_t vpgid;
	uint32_t exe_flags; /* PROCESS_EXE_* */
	uint64_t exe_ctime_ns; /* wall clock */
	uint64_t exe_mtime_ns;
	struct namespaces namespaces;
};

#define PROCESS_EXE_WRITABLE 1 /* by the user that runs it */
#define PROCESS_EXE_UPPER    2 /* in the upper layer of an overlay: not from the image */
#define PROCESS_EXE_MEMFD    4

#define EVENT_CALL_ARGS_MAX 6
#define EVENT_DATA_MAX	    4096

/* What only some kinds have. Strings are "" and the target is NULL where there is none. */
struct event_detail {
	const char *call; /* the system call, as "openat" */
	const char *path2;
	const char *raw_path2;
	const char *text;
	struct bytes data;
	const struct process_def *target; /* whom it was done to */
	uint64_t args[EVENT_CALL_ARGS_MAX]; /* of the call, where they were; addresses are 0 */
	uint8_t arg_count;
	struct namespaces namespaces;
};


struct event {
	uint64_t seq;	  /* per node and boot, without gaps from the agent's start: agent.proto */
	uint64_t time_ns; /* boot clock */
	enum event_kind kind;
	uint32_t tid;
	const struct process_def *process; /* never NULL */
	const struct process_def *child;   /* fork */
	int64_t result;
	const struct endpoint *endpoints;
	uint16_t endpoint_count;
	uint32_t flags;	  /* open(2) */
	int32_t old_fd;
	struct file_info file; /* open; its path is what was opened */
	const char *raw_path;  /* open: what was asked for */
	struct creds creds;    /* cred */
	uint32_t marks;	       /* EVENT_MARK_* */
	const struct event_detail *detail; /* NULL: none; read it through event_detail */
	/* More than 0: not an act, but a closed window of that many further acts which were all the
	 * same as one that was reported before: the first at first_ns, the last at time_ns. */
	uint64_t repeats;
	uint64_t first_ns;
};

/* The event's detail, or one in which everything is absent: never NULL. */
const struct event_detail *event_detail(const struct event *event);

/* The name as it is written in JSON and steps: "exec", "connect"; "unknown" for anything else. */
const char *event_kind_name(enum event_kind kind);
const char *endpoint_kind_name(enum endpoint_kind kind);
/* The word for one bit of event.marks, of process_def.exe_flags: "path_cut", "memfd"; NULL for a
 * bit that has none. */
const char *event_mark_name(uint32_t bit);
const char *process_exe_flag_name(uint32_t bit);
/* How many endpoints an event of this kind has at least. */
uint16_t event_kind_endpoints(enum event_kind kind);
