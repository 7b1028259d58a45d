/* The system calls that are looked at, by their numbers on x86-64 and, for 32-bit calls, on i386.
 * Plain C, compiled by both sides: the agent turns the wanted classes into bitmaps of numbers, the
 * dispatcher turns a number into what is done.
 *
 *   NATIVE(number, act)   COMPAT(number, act) */
#pragma once

enum nj_act {
	NJ_ACT_NONE = 0,
	NJ_ACT_OPEN,	 /* path, flags */
	NJ_ACT_CREAT,	 /* path */
	NJ_ACT_OPENAT,	 /* dirfd, path, flags */
	NJ_ACT_OPENAT2,	 /* dirfd, path, struct open_how */
	NJ_ACT_DUP,	 /* old descriptor; the result is the new one */
	NJ_ACT_FCNTL,	 /* descriptor, command */
	NJ_ACT_PIPE,	 /* descriptors */
	NJ_ACT_PAIR,	 /* domain, type, protocol, descriptors */
	NJ_ACT_ACCEPT,
	NJ_ACT_CONNECT,	 /* descriptor */
	NJ_ACT_SOCKETCALL, /* i386: number, arguments in memory */
	NJ_ACT_CRED,
	NJ_ACT_MAX
};

#define NJ_NATIVE_CALLS(X)                                                                         \
	X(2, OPEN) X(85, CREAT) X(257, OPENAT) X(437, OPENAT2)                                     \
	X(32, DUP) X(33, DUP) X(292, DUP) X(72, FCNTL)                                             \
	X(22, PIPE) X(293, PIPE) X(53, PAIR)                                                       \
	X(43, ACCEPT) X(288, ACCEPT) X(42, CONNECT)                                                \
	X(105, CRED) X(106, CRED) X(113, CRED) X(114, CRED) X(117, CRED) X(119, CRED)              \
	X(122, CRED) X(123, CRED) X(126, CRED)

#define NJ_COMPAT_CALLS(X)                                                                         \
	X(5, OPEN) X(8, CREAT) X(295, OPENAT) X(437, OPENAT2)                                      \
	X(41, DUP) X(63, DUP) X(330, DUP) X(55, FCNTL) X(221, FCNTL)                               \
	X(42, PIPE) X(331, PIPE) X(360, PAIR)                                                      \
	X(364, ACCEPT) X(362, CONNECT) X(102, SOCKETCALL)                                          \
	X(23, CRED) X(46, CRED) X(70, CRED) X(71, CRED) X(138, CRED) X(139, CRED)                  \
	X(164, CRED) X(170, CRED) X(185, CRED) X(203, CRED) X(204, CRED) X(208, CRED)              \
	X(210, CRED) X(213, CRED) X(214, CRED) X(215, CRED) X(216, CRED)
