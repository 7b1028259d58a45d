/* What io_uring's requests look like to the kernel: with kernel_types.h, the only structs that are declared.
 * A request begins with the fields of its operation (struct io_open and so on). Numbers are user-space
 * ABI. */
#pragma once

#include "bpf/kernel_types.h"

enum {
	URING_SENDMSG = 9,
	URING_RECVMSG = 10,
	URING_ACCEPT = 13,
	URING_CONNECT = 16,
	URING_OPENAT = 18,
	URING_SEND = 26,
	URING_RECV = 27,
	URING_OPENAT2 = 28,
	URING_SPLICE = 30,
	URING_TEE = 33,
	URING_RENAMEAT = 35,
	URING_UNLINKAT = 36,
	URING_MKDIRAT = 37,
	URING_SYMLINKAT = 38,
	URING_LINKAT = 39,
	URING_SOCKET = 45,
	URING_SEND_ZC = 47,
	URING_SENDMSG_ZC = 48,
	URING_BIND = 56,
	URING_LISTEN = 57,
	URING_OPS = 64, /* a power of two above the last */
	URING_SLOT_ANY = 0xffffffff, /* the kernel takes a free one and returns it */
	REQ_F_FIXED_FILE = 1,
	REQ_F_CQE_SKIP = 64,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct filename {
	const char *name;
	const char *uptr; /* where the process had it */
};

struct io_rsrc_node {
	unsigned long file_ptr; /* low bits are flags */
};

struct io_rsrc_data {
	unsigned int nr;
	struct io_rsrc_node **nodes;
};

struct io_file_table {
	struct io_rsrc_data data;
};

struct io_ring_ctx {
	struct io_file_table file_table;
};

/* Until 6.12. */
struct io_fixed_file___6_12 {
	unsigned long file_ptr;
};

struct io_file_table___6_12 {
	struct io_fixed_file___6_12 *files;
};

struct io_ring_ctx___6_12 {
	struct io_file_table___6_12 file_table;
	unsigned int nr_user_files;
};

struct io_cqe {
	__u64 user_data;
	__s32 res;
	int fd; /* until the request runs */
};

struct io_kiocb {
	struct file *file;
	__u8 opcode;
	unsigned int flags; /* the low half, where it has 64 bits */
	struct io_cqe cqe;
	struct io_ring_ctx *ctx;
};

struct open_how {
	__u64 flags;
	__u64 mode;
};

struct io_open {
	int dfd;
	__u32 file_slot;
	struct filename *filename;
	struct open_how how;
};

struct io_unlink {
	int dfd;
	int flags;
	struct filename *filename;
};

struct io_mkdir {
	int dfd;
	__u16 mode;
	struct filename *filename;
};

struct io_rename {
	int old_dfd;
	int new_dfd;
	struct filename *oldpath;
	struct filename *newpath;
	int flags;
};

struct io_link {
	int old_dfd;
	int new_dfd;
	struct filename *oldpath;
	struct filename *newpath;
	int flags;
};

struct io_connect {
	void *addr;
	int addr_len;
};

struct io_accept {
	__u32 file_slot;
};

struct io_socket {
	int domain;
	int type;
	int protocol;
	__u32 file_slot;
};

struct io_sr_msg {
	void *umsg;
};

struct io_splice {
	int splice_fd_in;
};

#pragma clang attribute pop

/* User-space ABI. */
struct uring_cqe {
	__u64 user_data;
	__s32 res;
	__u32 flags;
};
