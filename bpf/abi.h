/* Records that the kernel programs write and the agent reads. Plain C, fixed width, little endian
 * as the host is; compiled by both sides. Type numbers are never reused. A record is a struct
 * below, then its variable bytes in the order that its comment names.
 *
 * Every size and offset that matters is asserted at the bottom: change both sides or neither. */
#pragma once

#ifdef __bpf__
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef int __s32;
typedef short __s16;
typedef long long __s64;
#else
#include <linux/types.h>
#endif

enum nj_record_type {
	NJ_FORK = 1,
	NJ_EXEC = 2,
	NJ_EXIT = 3,
	NJ_TCP = 4,
	/* 7 was an open, 8 a copy of a descriptor, 9 a new pair: they are acts now. */
	NJ_CGROUP = 11,
	NJ_ACT = 12,
	NJ_REPEAT = 13,
	NJ_PACKET = 14,
	NJ_TYPE_MAX
};

/* Classes are what a policy turns on and losses are counted by. */
enum nj_class {
	NJ_CLASS_PROCESS = 0,
	NJ_CLASS_TCP = 1,
	NJ_CLASS_FILE = 2,	 /* opens */
	NJ_CLASS_DESCRIPTOR = 3, /* dup, pipe, socketpair, descriptors that arrive */
	NJ_CLASS_SOCKET = 4,	 /* socket, bind, listen, accept, connect */
	NJ_CLASS_PRIVILEGE = 5,	 /* ids, capabilities, prctl */
	NJ_CLASS_CGROUP = 6,
	NJ_CLASS_CHANGE = 7,	 /* of the file tree: unlink, rename, chmod … */
	NJ_CLASS_MOUNT = 8,	 /* mounts and roots */
	NJ_CLASS_MESSAGE = 9,	 /* send and receive on what is not a stream */
	NJ_CLASS_DNS = 10,
	NJ_CLASS_PAYLOAD = 11,	 /* first bytes of outgoing connections */
	NJ_CLASS_EXEC_FAILED = 12,
	NJ_CLASS_NAMESPACE = 13, /* setns, unshare, clone */
	NJ_CLASS_ACCESS = 14,	 /* to other processes: ptrace, process_vm, pidfd_getfd */
	NJ_CLASS_KERNEL = 15,	 /* modules, bpf, perf, userfaultfd, keys */
	NJ_CLASS_MEMORY = 16,	 /* memfd, memory made executable */
	NJ_CLASS_SIGNAL = 17,
	NJ_CLASS_SPLICE = 18,
	NJ_CLASS_IO_URING = 19,
	NJ_CLASS_CPU = 20,	 /* CPU time of processes */
	NJ_CLASS_MAX
};

/* What an act was: values of nightjar.v1.EventKind. */
enum nj_kind {
	NJ_KIND_CONNECT = 4,
	NJ_KIND_LISTEN = 7,
	NJ_KIND_ACCEPT = 8,
	NJ_KIND_OPEN = 9,
	NJ_KIND_DUP = 10,
	NJ_KIND_PIPE = 11,
	NJ_KIND_CRED = 12,
	NJ_KIND_EXEC_FAILED = 13,
	NJ_KIND_UNLINK = 14,
	NJ_KIND_RENAME = 15,
	NJ_KIND_LINK = 16,
	NJ_KIND_CHMOD = 17,
	NJ_KIND_CHOWN = 18,
	NJ_KIND_UTIME = 19,
	NJ_KIND_TRUNCATE = 20,
	NJ_KIND_MKDIR = 21,
	NJ_KIND_MKNOD = 22,
	NJ_KIND_MOUNT = 23,
	NJ_KIND_UMOUNT = 24,
	NJ_KIND_ROOT = 25,
	NJ_KIND_SOCKET = 26,
	NJ_KIND_BIND = 27,
	NJ_KIND_SEND = 28,
	NJ_KIND_RECEIVE = 29,
	NJ_KIND_DNS = 30,
	NJ_KIND_FIRST_BYTES = 31,
	NJ_KIND_PASS = 32,
	NJ_KIND_NAMESPACE = 33,
	NJ_KIND_PTRACE = 34,
	NJ_KIND_PROCESS_VM = 35,
	NJ_KIND_MODULE = 36,
	NJ_KIND_BPF = 37,
	NJ_KIND_PERF = 38,
	NJ_KIND_USERFAULTFD = 39,
	NJ_KIND_KEYCTL = 40,
	NJ_KIND_MEMFD = 41,
	NJ_KIND_MEMORY_EXEC = 42,
	NJ_KIND_SIGNAL = 43,
	NJ_KIND_SPLICE = 44,
	NJ_KIND_IO_URING = 45,
	NJ_KIND_CGROUP = 46,
	NJ_KIND_CPU = 47,
	NJ_KIND_PRCTL = 48,
	NJ_KIND_MAX
};

/* A process image: (pid, start) names a process for one boot, exec_count tells its images apart. */
struct nj_task {
	__u64 start_ns;	  /* of the thread group leader, CLOCK_BOOTTIME */
	__u32 tgid;	  /* in the first pid namespace */
	__u32 exec_count; /* the leader's self_exec_id */
};

struct nj_head {
	__u16 size; /* whole record, bytes, head included */
	__u8 type;  /* enum nj_record_type */
	__u8 cpu;   /* low 8 bits; for diagnosis only */
	__u32 tid;  /* thread that acted; 0 in interrupt context */
	__u64 time; /* ns, CLOCK_BOOTTIME */
	struct nj_task task;
	__u64 cgroup;	  /* kernfs id */
	__u32 hierarchy;  /* cgroup hierarchy of that id, 0 is v2 */
	__u32 generation; /* policy generation under which it was captured */
	__u64 window;	  /* that it opened: the id in struct nj_window; 0 none */
};

enum nj_endpoint_kind {
	NJ_EP_NONE = 0, /* a regular file, device or anything that carries no conversation */
	NJ_EP_PIPE = 1,
	NJ_EP_FIFO = 2,
	NJ_EP_TCP = 3,
	NJ_EP_UDP = 4,
	NJ_EP_UNIX = 5,
	NJ_EP_PTY_MASTER = 6,
	NJ_EP_PTY_SLAVE = 7,
	NJ_EP_SOCKET_OTHER = 8,
};

#define NJ_EP_READ  1
#define NJ_EP_WRITE 2

/* One end of a conversation, as the kernel object behind a descriptor says.
 *   kind     id                 id2
 *   pipe     pipefs inode       inode generation
 *   FIFO     inode              device
 *   pty      index              devpts device
 *   UNIX     own socket inode   peer's socket inode, 0 unknown
 *   TCP      socket cookie      network namespace inode
 *   UDP      1 << 63 | socket inode, which unlike a cookie exists from the start; TCP too as long
 *            as a socket was never connected, listened on or accepted */
struct nj_endpoint {
	__u8 kind; /* enum nj_endpoint_kind */
	__u8 mode; /* NJ_EP_READ | NJ_EP_WRITE */
	__s16 fd;  /* -1: not known */
	__u8 family;
	__u8 state;	    /* TCP state */
	__u16 local_port;   /* host order */
	__u16 remote_port;  /* host order */
	__u16 readers;	    /* pipe and FIFO: open read ends, at most 65535 */
	__u16 writers;
	__u16 protocol; /* sockets: the kernel's sk_protocol, of a packet socket what it takes */
	__u64 id;
	__u64 id2;
	__u8 local_ip[16];  /* IPv4 in the first four bytes */
	__u8 remote_ip[16];
};

/* Inode numbers; pid is the one that children are born into. */
struct nj_namespaces {
	__u32 mnt, pid, net, user, uts, ipc, cgroup, time;
};

#define NJ_COMM_SIZE 16 /* with the final NUL */

/* What may have changed since the parent's exec; the rest is the parent's. */
struct nj_fork {
	struct nj_head head; /* task: the parent */
	struct nj_task child;
	__u32 child_uid;
	__u32 session; /* as in struct nj_exec, and so the rest */
	__u32 tty;
	__u32 pgid;
	__u32 vpid;
	__u32 vpgid;
	struct nj_namespaces namespaces;
	char comm[NJ_COMM_SIZE];
};

struct nj_creds {
	__u32 uid, gid, euid, egid, suid, sgid;
	__u64 cap_effective;
	__u64 cap_permitted;
	__u64 cap_inheritable;
};

struct nj_file {
	__u64 inode;
	__u64 device;	  /* of the superblock, kernel encoding: major << 20 | minor */
	__u32 generation;
	__u32 mode; /* file type and permissions */
	__u32 uid;
	__u32 nlink; /* 0: deleted */
};

#define NJ_ARGS_TRUNCATED 1
#define NJ_ENV_TRUNCATED  2
#define NJ_EXE_TRUNCATED  4
#define NJ_CWD_TRUNCATED  8
#define NJ_ENDPOINTS_CUT  16
#define NJ_RAW_TRUNCATED  32

/* nj_exec.exe_flags: values of common/event.h's PROCESS_EXE_*. */
#define NJ_EXE_WRITABLE 1
#define NJ_EXE_UPPER	2
#define NJ_EXE_MEMFD	4

/* Then: endpoints, exe path, cwd, the file name as it was given, argument area, environment area. */
struct nj_exec {
	struct nj_head head;
	struct nj_task parent;
	struct nj_creds creds;
	struct nj_file exe;
	__u32 loginuid;
	__u32 session; /* pid of the session leader */
	__u32 tty;     /* device number of the controlling terminal, 0 none */
	__u32 flags;   /* NJ_*_TRUNCATED, NJ_ENDPOINTS_CUT */
	__u32 pgid;
	__u32 vpid; /* as the process's own pid namespace numbers it; vpgid 0: its leader is outside */
	__u32 vpgid;
	__u32 exe_flags; /* NJ_EXE_* */
	__u64 exe_ctime_ns; /* wall clock */
	__u64 exe_mtime_ns;
	struct nj_namespaces namespaces;
	char comm[NJ_COMM_SIZE];
	__u16 endpoints;
	__u16 exe_len;
	__u16 cwd_len;
	__u16 raw_len;
	__u16 args_len;
	__u16 env_len;
	__u16 pad[2];
};

struct nj_exit {
	struct nj_head head;
	__u32 code; /* as wait(2) reports it */
	__u32 pad;
};

/* Who a socket belongs to, as it is kept with the socket. */
struct nj_owner {
	struct nj_task task;
	__u64 cgroup;
	__u32 hierarchy;
	__u32 tid;
	__u32 netns;  /* inode */
	__u32 unsent; /* an outgoing connection on which nothing was sent yet, and whose first bytes are wanted */
};

/* head.task is the socket's owner, from socket storage: the current task is any process. Sockets
 * without an owner (not yet accepted) are not reported. */
struct nj_tcp {
	struct nj_head head;
	__u8 old_state;
	__u8 new_state;
	__u8 owner_known;
	__u8 pad;
	__s32 error; /* the socket's pending error when it closes */
	struct nj_endpoint socket;
};

/* What a packet carries: a DNS question, or the first bytes of a connection. Then NJ_PACKET_SMALL or
 * NJ_PACKET_LARGE bytes, of which data_len are of the packet, the rest anything. head.task is who sends. */
struct nj_packet {
	struct nj_head head;
	__u16 kind; /* NJ_KIND_DNS or NJ_KIND_FIRST_BYTES */
	__u16 data_len;
	__u32 pad;
	struct nj_endpoint socket;
};

#define NJ_PACKET_SMALL 128
#define NJ_PACKET_LARGE 512
#define NJ_FIRST_BYTES	64

/* nj_act.marks: values of common/event.h's EVENT_MARK_*. */
#define NJ_MARK_PATH_CUT   1
#define NJ_MARK_PATH2_CUT  2
#define NJ_MARK_RAW_CUT	   4
#define NJ_MARK_DATA_CUT   8
#define NJ_MARK_RACED	   16
#define NJ_MARK_IO_URING   32
#define NJ_MARK_COMPAT	   64
#define NJ_MARK_UNREADABLE 128
#define NJ_MARK_UNRESOLVED 256

/* Everything that a process does by a system call and that has no record of its own. Then its parts,
 * each a struct nj_part and len bytes, not aligned, in any order. */
struct nj_act {
	struct nj_head head;
	__s64 result;
	__u64 arg[6]; /* as given, where they were; addresses and what says nothing are 0 */
	__u16 kind;   /* enum nj_kind */
	__u16 call;   /* system call number; NJ_MARK_COMPAT says of which table */
	__u16 marks;  /* NJ_MARK_* */
	__u8 arg_count;
	__u8 pad;
};

enum nj_part_type {
	NJ_PART_PATH = 1,      /* text with its final NUL: of the object, as the process sees it */
	NJ_PART_RAW = 2,       /* text: the argument */
	NJ_PART_PATH2 = 3,
	NJ_PART_RAW2 = 4,
	NJ_PART_TEXT = 5,      /* text: a name or type, see event.proto */
	NJ_PART_FILE = 6,      /* struct nj_file */
	NJ_PART_ENDPOINT = 7,  /* struct nj_endpoint; several, in order */
	NJ_PART_TARGET = 8,    /* struct nj_owner: whom it was done to */
	NJ_PART_CREDS = 9,     /* struct nj_creds, after the call */
	NJ_PART_NAMESPACES = 10, /* struct nj_namespaces, after the call */
	NJ_PART_DATA = 11,     /* bytes */
	NJ_PART_ADDRESS = 12,  /* bytes: struct sockaddr as it was given */
	NJ_PART_NAME = 13,     /* bytes: struct sockaddr as the kernel has it, of the side that serves */
	NJ_PART_NAME2 = 14,    /* the same of the other side, where it has one */
	NJ_PART_MAX
};

struct nj_part {
	__u16 len;
	__u8 type; /* enum nj_part_type */
	__u8 pad;
};

/* Then: path below the hierarchy's root. */
struct nj_cgroup {
	struct nj_head head; /* who made or removed it */
	__u64 id;	     /* of the cgroup, kernfs id */
	__u32 hierarchy;
	__u16 path_len;
	__u8 removed;
	__u8 pad;
};

/* What a thread has used of the CPUs since it began, as the iterator cpu_sample writes it; of a process's
 * leader also what its ended threads have. */
struct nj_cpu {
	struct nj_owner thread;
	__u64 used_ns;
};

/* Threads that used less in all their life say nothing about what their process uses now. */
#define NJ_CPU_FLOOR_NS 20000000ULL

#define NJ_ENDPOINT_FDS	  64
#define NJ_ENDPOINTS_MAX  16
#define NJ_PATH_MAX	  1024 /* with the final NUL, as every path in a record */
#define NJ_ARGS_MAX	  2048
#define NJ_ENV_MAX	  2048
#define NJ_RAW_MAX	  256
#define NJ_DATA_MAX	  1024 /* of NJ_PART_DATA */
#define NJ_ADDRESS_MAX	  128  /* of a struct sockaddr */
#define NJ_CALLS_MAX	  512  /* system call numbers */
#define NJ_NAME_MAX	  64 /* of a path component in the policy */
#define NJ_OPEN_NAMES_MAX 256 /* of a policy; the map holds an old and a new one's */
#define NJ_PREFIX_MAX	  256 /* bytes of a path in the policy's trie, the most that a trie takes */
#define NJ_PREFIXES_MAX	  256
#define NJ_WORKLOADS_MAX  4096

/* Key of the policy's map of names: padded with zeros, terminated. */
struct nj_name {
	char text[NJ_NAME_MAX];
};

/* What makes two acts the same: all of it, compared byte by byte. What a kind does not have is 0. */
struct nj_key {
	struct nj_task task;
	__u64 device;
	__u64 inode;	/* of the file; of a socket or pipe its id */
	__u64 raw_hash; /* of the argument, novelty_hash */
	__u64 flags;	/* of open(2), or what else tells acts of the kind apart */
	__u32 generation; /* of the inode */
	__u16 kind;	  /* enum nj_kind */
	__u8 class;	  /* enum nj_class */
	__u8 family;	  /* of the address */
	__u8 remote_ip[16];
	__u16 remote_port;
	__u16 pad;
	__s32 result; /* -errno, 0 for success: descriptors and byte counts differ from act to act */
};

/* An act that was reported (or found to be not wanted), and how often it came again since. Written
 * by the programs, one CPU's slots by that CPU alone; read by the agent, which maps them. The id is
 * 0 while the rest is being changed, and never comes again: serial << 16 | slot. */
struct nj_window {
	__u64 id;
	__u64 opened_ns; /* 0: over, whatever the time */
	__u64 first_ns;	 /* of the acts that came again */
	__u64 last_ns;
	__u64 count;
	__u32 epoch; /* of the policy in force when it was opened; over with it */
	__u32 unwanted; /* nothing was reported, nothing is counted */
	struct nj_key key;
};

/* A window whose slot another act takes, or whose act came again after its time. */
struct nj_repeat {
	struct nj_head head; /* time: when this was written; window: which; task: of the key */
	__u64 first_ns;
	__u64 last_ns;
	__u64 count;
	struct nj_key key;
};

/* Counted where it happens; one row per CPU. For each class, when nothing is under way:
 * seen = records that the agent took + suppressed + lost, and what is suppressed arrives as repeats. */
struct nj_counts {
	__u64 seen[NJ_CLASS_MAX];	/* acts that passed the filter; probe_counts adds those that were summed up */
	__u64 suppressed[NJ_CLASS_MAX]; /* counted in a window instead of being reported */
	__u64 lost[NJ_CLASS_MAX];	/* records that found no room */
	__u64 ownerless; /* accepted connections whose end nobody was named for */
};

#define NJ_WANT_OPEN_ALL    1  /* every open */
#define NJ_WANT_OPEN_WRITES 2  /* every open for writing */
#define NJ_WANT_PREFIXES    4  /* opens below a path of the map of prefixes */
#define NJ_WANT_PORTS	    8  /* messages of the ports in the map only */
#define NJ_WANT_WORKLOADS   16 /* the map of workloads is not empty */

/* Key of the policy's map of paths: a path with a '/' at its end, in bits as the trie wants it. */
struct nj_prefix {
	__u32 bits;
	char text[NJ_PREFIX_MAX];
};

/* Key and value of the map of workloads: what differs for the processes of a cgroup. */
struct nj_cgroup_key {
	__u64 cgroup;
	__u32 hierarchy;
	__u32 pad;
};

struct nj_workload {
	__u64 classes; /* instead of nj_settings.classes */
	__u32 exact;   /* not 0: nothing is summed up */
	__u32 epoch;   /* of the policy that says so */
};

/* What the agent changes while the programs run, by plain stores: a program that reads an old value
 * for one event does no harm. */
struct nj_settings {
	__u32 own_tgid;	  /* the agent, as the first pid namespace numbers it */
	__u32 generation; /* of the policy */
	__u64 classes;	  /* bits 1 << enum nj_class; of processes in no workload of the map */
	__u64 each;	  /* classes of which nothing is summed up */
	__u64 window_ns;  /* how long repeats of an act are counted */
	__u32 flags;	  /* NJ_WANT_* */
	__u32 epoch;	  /* counts policies, whatever their generation: windows end with it */
	/* What is done about a system call (enum nj_act_number of calls.h), by its number; nothing about
	 * those of no wanted class. any_calls has a bit for each number of either table. */
	__u64 any_calls[NJ_CALLS_MAX / 64];
	__u8 acts[NJ_CALLS_MAX];
	__u8 compat_acts[NJ_CALLS_MAX];
	/* By length of a name, a bit for each first character (its low six bits) that the map of
	 * names knows: what most opens fail on. */
	__u64 name_mask[NJ_NAME_MAX];
};

/* The kernel's directory cache: 1 << (32 - shift) buckets of 8 bytes. table 0: it was not found. */
struct nj_dcache {
	__u64 table;
	__u32 shift;
	__u32 pad;
};

/* Where an entry of it hangs: in a bucket, if it is the first there. */
struct nj_dcache_sample {
	__u64 hangs_at;
	__u32 hash;
	__u32 own_hash; /* as the programs compute it */
};

/* Waking a sleeping agent costs the watched process ten times what its record does. So the agent says
 * whether it sleeps, what can wait (see capture.h for how long) does not wake it, and the first of
 * the rest does. An agent that could not pass anything on yet naps: it looks by itself within
 * milliseconds, and nobody wakes it. A ring that is a quarter full wakes it in any case. */
enum nj_bell_state { NJ_AGENT_AWAKE = 0, NJ_AGENT_ASLEEP = 1, NJ_AGENT_NAPS = 2 };

/* A cache line of its own: settings are read at every system call. */
struct nj_bell {
	__u32 state; /* enum nj_bell_state; programs only ever write NJ_AGENT_AWAKE */
	__u32 pad[15];
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct nj_bell) == 64, "abi");
_Static_assert(sizeof(struct nj_settings) == 1640, "abi");
_Static_assert(sizeof(struct nj_task) == 16, "abi");
_Static_assert(sizeof(struct nj_head) == 56, "abi");
_Static_assert(sizeof(struct nj_endpoint) == 64, "abi");
_Static_assert(sizeof(struct nj_fork) == 144, "abi");
_Static_assert(sizeof(struct nj_creds) == 48, "abi");
_Static_assert(sizeof(struct nj_file) == 32, "abi");
_Static_assert(sizeof(struct nj_exec) == 264, "abi");
_Static_assert(sizeof(struct nj_exit) == 64, "abi");
_Static_assert(sizeof(struct nj_packet) == 128, "abi");
_Static_assert(sizeof(struct nj_owner) == 40, "abi");
_Static_assert(sizeof(struct nj_tcp) == 128, "abi");
_Static_assert(sizeof(struct nj_act) == 120, "abi");
_Static_assert(sizeof(struct nj_part) == 4, "abi");
_Static_assert(sizeof(struct nj_namespaces) == 32, "abi");
_Static_assert(sizeof(struct nj_cpu) == 48, "abi");
_Static_assert(sizeof(struct nj_cgroup) == 72, "abi");
_Static_assert(sizeof(struct nj_key) == 80, "abi");
_Static_assert(sizeof(struct nj_window) == 128, "abi");
_Static_assert(sizeof(struct nj_repeat) == 160, "abi");
_Static_assert(sizeof(struct nj_prefix) == 260, "abi");
_Static_assert(__builtin_offsetof(struct nj_head, task) == 16, "abi");
_Static_assert(__builtin_offsetof(struct nj_exec, exe) == 120, "abi");
