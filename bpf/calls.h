/* The system calls that are looked at. Plain C, compiled by both sides: the agent turns the wanted
 * classes into tables from number to act (struct nj_settings), the dispatcher hands an act to its
 * program.
 *
 * An act is one layout of arguments. A program is what is loaded, refused and left out as one, and
 * serves one or several classes. */
#pragma once

#include "bpf/abi.h"

#define NJ_BIT(class) (1U << NJ_CLASS_##class)
#define NJ_NO	      0xffff /* the architecture has no such call */

#ifdef __aarch64__
#define NJ_NATIVE(x86_64, arm64) (arm64)
#define NJ_COMPAT(i386, arm)	 (arm)
#else
#define NJ_NATIVE(x86_64, arm64) (x86_64)
#define NJ_COMPAT(i386, arm)	 (i386)
#endif

/* clang-format off */
/* Programs behind the dispatcher, called by their place in the map call_programs. */
#define NJ_PROGRAMS(X) \
	X(FILE) X(CHANGE) X(MOUNT) X(DESCRIPTOR) X(SOCKET) X(MESSAGE) X(PRIVILEGE) X(NAMESPACE) \
	X(ACCESS) X(KERNEL) X(MEMORY) X(SIGNAL) X(SPLICE) X(EXEC) X(IO_URING)

enum nj_program {
#define PROGRAM(name) NJ_PROGRAM_##name,
	NJ_PROGRAMS(PROGRAM)
#undef PROGRAM
	NJ_PROGRAM_MAX
};

/* act, program, classes that want it; the arguments that it has */
#define NJ_ACTS(X) \
	X(OPEN, FILE, NJ_BIT(FILE))                                 /* path, flags */ \
	X(CREAT, FILE, NJ_BIT(FILE))                                /* path */ \
	X(OPENAT, FILE, NJ_BIT(FILE))                               /* dirfd, path, flags */ \
	X(OPENAT2, FILE, NJ_BIT(FILE))                              /* dirfd, path, struct open_how */ \
	X(OPEN_HANDLE, FILE, NJ_BIT(FILE))                          /* mount descriptor, handle, flags */ \
	X(UNLINK, CHANGE, NJ_BIT(CHANGE))                           /* path; rmdir too */ \
	X(UNLINKAT, CHANGE, NJ_BIT(CHANGE))                         /* dirfd, path, flags */ \
	X(MKDIR, CHANGE, NJ_BIT(CHANGE))                            /* path, mode */ \
	X(MKDIRAT, CHANGE, NJ_BIT(CHANGE))                          /* dirfd, path, mode */ \
	X(MKNOD, CHANGE, NJ_BIT(CHANGE))                            /* path, mode, device */ \
	X(MKNODAT, CHANGE, NJ_BIT(CHANGE))                          /* dirfd, path, mode, device */ \
	X(RENAME, CHANGE, NJ_BIT(CHANGE))                           /* old, new */ \
	X(RENAMEAT, CHANGE, NJ_BIT(CHANGE))                         /* old dirfd, old, new dirfd, new */ \
	X(RENAMEAT2, CHANGE, NJ_BIT(CHANGE))                        /* old dirfd, old, new dirfd, new, flags */ \
	X(LINK, CHANGE, NJ_BIT(CHANGE))                             /* old, new */ \
	X(LINKAT, CHANGE, NJ_BIT(CHANGE))                           /* old dirfd, old, new dirfd, new, flags */ \
	X(SYMLINK, CHANGE, NJ_BIT(CHANGE))                          /* target, path */ \
	X(SYMLINKAT, CHANGE, NJ_BIT(CHANGE))                        /* target, dirfd, path */ \
	X(CHMOD, CHANGE, NJ_BIT(CHANGE))                            /* path, mode */ \
	X(FCHMOD, CHANGE, NJ_BIT(CHANGE))                           /* descriptor, mode */ \
	X(FCHMODAT, CHANGE, NJ_BIT(CHANGE))                         /* dirfd, path, mode */ \
	X(FCHMODAT2, CHANGE, NJ_BIT(CHANGE))                        /* dirfd, path, mode, flags */ \
	X(CHOWN, CHANGE, NJ_BIT(CHANGE))                            /* path, uid, gid */ \
	X(LCHOWN, CHANGE, NJ_BIT(CHANGE))                           /* path, uid, gid */ \
	X(FCHOWN, CHANGE, NJ_BIT(CHANGE))                           /* descriptor, uid, gid */ \
	X(FCHOWNAT, CHANGE, NJ_BIT(CHANGE))                         /* dirfd, path, uid, gid, flags */ \
	X(UTIME, CHANGE, NJ_BIT(CHANGE))                            /* path, times */ \
	X(FUTIMESAT, CHANGE, NJ_BIT(CHANGE))                        /* dirfd, path or NULL, times */ \
	X(UTIMENSAT, CHANGE, NJ_BIT(CHANGE))                        /* dirfd, path or NULL, times, flags */ \
	X(TRUNCATE, CHANGE, NJ_BIT(CHANGE))                         /* path, length */ \
	X(FTRUNCATE, CHANGE, NJ_BIT(CHANGE))                        /* descriptor, length */ \
	X(MOUNT, MOUNT, NJ_BIT(MOUNT))                              /* source, target, type, flags, data */ \
	X(UMOUNT, MOUNT, NJ_BIT(MOUNT))                             /* target, flags */ \
	X(PIVOT_ROOT, MOUNT, NJ_BIT(MOUNT))                         /* new root, put old */ \
	X(CHROOT, MOUNT, NJ_BIT(MOUNT))                             /* path */ \
	X(MOVE_MOUNT, MOUNT, NJ_BIT(MOUNT))                         /* from dirfd, from, to dirfd, to, flags */ \
	X(OPEN_TREE, MOUNT, NJ_BIT(MOUNT))                          /* dirfd, path, flags */ \
	X(FSOPEN, MOUNT, NJ_BIT(MOUNT))                             /* type, flags */ \
	X(FSMOUNT, MOUNT, NJ_BIT(MOUNT))                            /* descriptor, flags, attributes */ \
	X(MOUNT_SETATTR, MOUNT, NJ_BIT(MOUNT))                      /* dirfd, path, flags, attributes, size */ \
	X(DUP, DESCRIPTOR, NJ_BIT(DESCRIPTOR))                      /* old descriptor; the result is the new one */ \
	X(DUP2, DESCRIPTOR, NJ_BIT(DESCRIPTOR))                     /* old, new */ \
	X(DUP3, DESCRIPTOR, NJ_BIT(DESCRIPTOR))                     /* old, new, flags */ \
	X(FCNTL, DESCRIPTOR, NJ_BIT(DESCRIPTOR))                    /* descriptor, command, argument */ \
	X(PIPE, DESCRIPTOR, NJ_BIT(DESCRIPTOR))                     /* descriptors */ \
	X(PIPE2, DESCRIPTOR, NJ_BIT(DESCRIPTOR))                    /* descriptors, flags */ \
	X(PAIR, DESCRIPTOR, NJ_BIT(DESCRIPTOR))                     /* domain, type, protocol, descriptors */ \
	X(SOCKET, SOCKET, NJ_BIT(SOCKET))                           /* domain, type, protocol */ \
	X(BIND, SOCKET, NJ_BIT(SOCKET))                             /* descriptor, address, length */ \
	X(LISTEN, SOCKET, NJ_BIT(SOCKET))                           /* descriptor, backlog */ \
	X(ACCEPT, SOCKET, NJ_BIT(SOCKET))                           /* descriptor */ \
	X(ACCEPT4, SOCKET, NJ_BIT(SOCKET))                          /* descriptor, address, length, flags */ \
	X(CONNECT, SOCKET, NJ_BIT(SOCKET))                          /* descriptor, address, length */ \
	X(SOCKETCALL, SOCKET, NJ_BIT(SOCKET) | NJ_BIT(DESCRIPTOR) | NJ_BIT(MESSAGE))                          /* i386: number, arguments in memory */ \
	X(SENDTO, MESSAGE, NJ_BIT(MESSAGE))                         /* descriptor, data, length, flags, address, length */ \
	X(SENDMSG, MESSAGE, NJ_BIT(MESSAGE) | NJ_BIT(DESCRIPTOR))   /* descriptor, header, flags */ \
	X(SENDMMSG, MESSAGE, NJ_BIT(MESSAGE) | NJ_BIT(DESCRIPTOR))  /* descriptor, headers, count, flags */ \
	X(RECVFROM, MESSAGE, NJ_BIT(MESSAGE))                       /* descriptor, data, length, flags, address */ \
	X(RECVMSG, MESSAGE, NJ_BIT(MESSAGE) | NJ_BIT(DESCRIPTOR))   /* descriptor, header, flags */ \
	X(RECVMMSG, MESSAGE, NJ_BIT(MESSAGE) | NJ_BIT(DESCRIPTOR))  /* descriptor, headers, count, flags */ \
	X(SETID, PRIVILEGE, NJ_BIT(PRIVILEGE))                      /* id */ \
	X(SETREID, PRIVILEGE, NJ_BIT(PRIVILEGE))                    /* real, effective */ \
	X(SETRESID, PRIVILEGE, NJ_BIT(PRIVILEGE))                   /* real, effective, saved */ \
	X(SETGROUPS, PRIVILEGE, NJ_BIT(PRIVILEGE))                  /* count, ids */ \
	X(CAPSET, PRIVILEGE, NJ_BIT(PRIVILEGE))                     /* header, data */ \
	X(PRCTL, PRIVILEGE, NJ_BIT(PRIVILEGE))                      /* option, … */ \
	X(SECCOMP, PRIVILEGE, NJ_BIT(PRIVILEGE))                    /* operation, flags, filter */ \
	X(SETNS, NAMESPACE, NJ_BIT(NAMESPACE))                      /* descriptor, kind */ \
	X(UNSHARE, NAMESPACE, NJ_BIT(NAMESPACE))                    /* flags */ \
	X(CLONE, NAMESPACE, NJ_BIT(NAMESPACE))                      /* flags */ \
	X(CLONE3, NAMESPACE, NJ_BIT(NAMESPACE))                     /* struct clone_args, size */ \
	X(PTRACE, ACCESS, NJ_BIT(ACCESS))                           /* request, pid, address, data */ \
	X(PROCESS_VM, ACCESS, NJ_BIT(ACCESS))                       /* pid, local, count, remote, count, flags */ \
	X(PIDFD_GETFD, ACCESS, NJ_BIT(ACCESS) | NJ_BIT(DESCRIPTOR)) /* pidfd, descriptor, flags */ \
	X(INIT_MODULE, KERNEL, NJ_BIT(KERNEL))                      /* image, length, parameters */ \
	X(FINIT_MODULE, KERNEL, NJ_BIT(KERNEL))                     /* descriptor, parameters, flags */ \
	X(DELETE_MODULE, KERNEL, NJ_BIT(KERNEL))                    /* name, flags */ \
	X(BPF, KERNEL, NJ_BIT(KERNEL))                              /* command, attributes, size */ \
	X(PERF, KERNEL, NJ_BIT(KERNEL))                             /* attributes, pid, cpu, group, flags */ \
	X(USERFAULTFD, KERNEL, NJ_BIT(KERNEL))                      /* flags */ \
	X(KEYCTL, KERNEL, NJ_BIT(KERNEL))                           /* operation, … */ \
	X(ADD_KEY, KERNEL, NJ_BIT(KERNEL))                          /* type, description, … */ \
	X(MEMFD, MEMORY, NJ_BIT(MEMORY))                            /* name, flags */ \
	X(MPROTECT, MEMORY, NJ_BIT(MEMORY))                         /* address, length, protection */ \
	X(MMAP, MEMORY, NJ_BIT(MEMORY))                             /* address, length, protection, flags, descriptor */ \
	X(OLD_MMAP, MEMORY, NJ_BIT(MEMORY))                         /* i386: the same in memory */ \
	X(SHMAT, MEMORY, NJ_BIT(MEMORY))                            /* id, address, flags */ \
	X(IPC, MEMORY, NJ_BIT(MEMORY))                              /* i386: which call, id, flags */ \
	X(KILL, SIGNAL, NJ_BIT(SIGNAL))                             /* pid, signal */ \
	X(TKILL, SIGNAL, NJ_BIT(SIGNAL))                            /* tid, signal */ \
	X(TGKILL, SIGNAL, NJ_BIT(SIGNAL))                           /* pid, tid, signal */ \
	X(PIDFD_SIGNAL, SIGNAL, NJ_BIT(SIGNAL))                     /* pidfd, signal */ \
	X(SPLICE, SPLICE, NJ_BIT(SPLICE))                           /* in, offset, out, offset, length */ \
	X(TEE, SPLICE, NJ_BIT(SPLICE))                              /* in, out */ \
	X(VMSPLICE, SPLICE, NJ_BIT(SPLICE))                         /* descriptor */ \
	X(SENDFILE, SPLICE, NJ_BIT(SPLICE))                         /* out, in, offset, count */ \
	X(EXECVE, EXEC, NJ_BIT(EXEC_FAILED))                        /* path, arguments */ \
	X(EXECVEAT, EXEC, NJ_BIT(EXEC_FAILED))                      /* dirfd, path, arguments, environment, flags */ \
	X(IO_URING_SETUP, IO_URING, NJ_BIT(IO_URING))               /* entries, parameters */

enum nj_act_number {
	NJ_ACT_NONE = 0,
#define ACT(name, program, classes) NJ_ACT_##name,
	NJ_ACTS(ACT)
#undef ACT
	NJ_ACT_MAX
};

/* name, number on x86-64, number of its 32-bit call (i386), number on arm64, number of its 32-bit call
 * (EABI), act */
#define NJ_CALLS(X) \
	X(open, 2, 5, NJ_NO, 5, OPEN) X(creat, 85, 8, NJ_NO, 8, CREAT) \
	X(openat, 257, 295, 56, 322, OPENAT) X(openat2, 437, 437, 437, 437, OPENAT2) \
	X(open_by_handle_at, 304, 342, 265, 371, OPEN_HANDLE) X(unlink, 87, 10, NJ_NO, 10, UNLINK) \
	X(rmdir, 84, 40, NJ_NO, 40, UNLINK) X(unlinkat, 263, 301, 35, 328, UNLINKAT) \
	X(mkdir, 83, 39, NJ_NO, 39, MKDIR) X(mkdirat, 258, 296, 34, 323, MKDIRAT) \
	X(mknod, 133, 14, NJ_NO, 14, MKNOD) X(mknodat, 259, 297, 33, 324, MKNODAT) \
	X(rename, 82, 38, NJ_NO, 38, RENAME) X(renameat, 264, 302, 38, 329, RENAMEAT) \
	X(renameat2, 316, 353, 276, 382, RENAMEAT2) X(link, 86, 9, NJ_NO, 9, LINK) \
	X(linkat, 265, 303, 37, 330, LINKAT) X(symlink, 88, 83, NJ_NO, 83, SYMLINK) \
	X(symlinkat, 266, 304, 36, 331, SYMLINKAT) X(chmod, 90, 15, NJ_NO, 15, CHMOD) \
	X(fchmod, 91, 94, 52, 94, FCHMOD) X(fchmodat, 268, 306, 53, 333, FCHMODAT) \
	X(fchmodat2, 452, 452, 452, 452, FCHMODAT2) X(chown, 92, 182, NJ_NO, 182, CHOWN) \
	X(lchown, 94, 16, NJ_NO, 16, LCHOWN) X(fchown, 93, 95, 55, 95, FCHOWN) \
	X(fchownat, 260, 298, 54, 325, FCHOWNAT) X(chown32, NJ_NO, 212, NJ_NO, 212, CHOWN) \
	X(lchown32, NJ_NO, 198, NJ_NO, 198, LCHOWN) X(fchown32, NJ_NO, 207, NJ_NO, 207, FCHOWN) \
	X(utime, 132, 30, NJ_NO, NJ_NO, UTIME) X(utimes, 235, 271, NJ_NO, 269, UTIME) \
	X(futimesat, 261, 299, NJ_NO, 326, FUTIMESAT) X(utimensat, 280, 320, 88, 348, UTIMENSAT) \
	X(utimensat_time64, NJ_NO, 412, NJ_NO, 412, UTIMENSAT) X(truncate, 76, 92, 45, 92, TRUNCATE) \
	X(truncate64, NJ_NO, 193, NJ_NO, 193, TRUNCATE) X(ftruncate, 77, 93, 46, 93, FTRUNCATE) \
	X(ftruncate64, NJ_NO, 194, NJ_NO, 194, FTRUNCATE) X(mount, 165, 21, 40, 21, MOUNT) \
	X(umount2, 166, 52, 39, 52, UMOUNT) X(umount, NJ_NO, 22, NJ_NO, NJ_NO, UMOUNT) \
	X(pivot_root, 155, 217, 41, 218, PIVOT_ROOT) X(chroot, 161, 61, 51, 61, CHROOT) \
	X(move_mount, 429, 429, 429, 429, MOVE_MOUNT) X(open_tree, 428, 428, 428, 428, OPEN_TREE) \
	X(fsopen, 430, 430, 430, 430, FSOPEN) X(fsmount, 432, 432, 432, 432, FSMOUNT) \
	X(mount_setattr, 442, 442, 442, 442, MOUNT_SETATTR) X(dup, 32, 41, 23, 41, DUP) \
	X(dup2, 33, 63, NJ_NO, 63, DUP2) X(dup3, 292, 330, 24, 358, DUP3) X(fcntl, 72, 55, 25, 55, FCNTL) \
	X(fcntl64, NJ_NO, 221, NJ_NO, 221, FCNTL) X(pipe, 22, 42, NJ_NO, 42, PIPE) \
	X(pipe2, 293, 331, 59, 359, PIPE2) X(socketpair, 53, 360, 199, 288, PAIR) \
	X(socket, 41, 359, 198, 281, SOCKET) X(bind, 49, 361, 200, 282, BIND) \
	X(listen, 50, 363, 201, 284, LISTEN) X(accept, 43, NJ_NO, 202, 285, ACCEPT) \
	X(accept4, 288, 364, 242, 366, ACCEPT4) X(connect, 42, 362, 203, 283, CONNECT) \
	X(socketcall, NJ_NO, 102, NJ_NO, NJ_NO, SOCKETCALL) X(sendto, 44, 369, 206, 290, SENDTO) \
	X(sendmsg, 46, 370, 211, 296, SENDMSG) X(sendmmsg, 307, 345, 269, 374, SENDMMSG) \
	X(recvfrom, 45, 371, 207, 292, RECVFROM) X(recvmsg, 47, 372, 212, 297, RECVMSG) \
	X(recvmmsg, 299, 337, 243, 365, RECVMMSG) X(recvmmsg_time64, NJ_NO, 417, NJ_NO, 417, RECVMMSG) \
	X(setuid, 105, 23, 146, 23, SETID) X(setgid, 106, 46, 144, 46, SETID) \
	X(setreuid, 113, 70, 145, 70, SETREID) X(setregid, 114, 71, 143, 71, SETREID) \
	X(setgroups, 116, 81, 159, 81, SETGROUPS) X(setresuid, 117, 164, 147, 164, SETRESID) \
	X(setresgid, 119, 170, 149, 170, SETRESID) X(setfsuid, 122, 138, 151, 138, SETID) \
	X(setfsgid, 123, 139, 152, 139, SETID) X(capset, 126, 185, 91, 185, CAPSET) \
	X(setuid32, NJ_NO, 213, NJ_NO, 213, SETID) X(setgid32, NJ_NO, 214, NJ_NO, 214, SETID) \
	X(setreuid32, NJ_NO, 203, NJ_NO, 203, SETREID) X(setregid32, NJ_NO, 204, NJ_NO, 204, SETREID) \
	X(setgroups32, NJ_NO, 206, NJ_NO, 206, SETGROUPS) X(setresuid32, NJ_NO, 208, NJ_NO, 208, SETRESID) \
	X(setresgid32, NJ_NO, 210, NJ_NO, 210, SETRESID) X(setfsuid32, NJ_NO, 215, NJ_NO, 215, SETID) \
	X(setfsgid32, NJ_NO, 216, NJ_NO, 216, SETID) X(prctl, 157, 172, 167, 172, PRCTL) \
	X(seccomp, 317, 354, 277, 383, SECCOMP) \
	X(setns, 308, 346, 268, 375, SETNS) X(unshare, 272, 310, 97, 337, UNSHARE) \
	X(clone, 56, 120, 220, 120, CLONE) X(clone3, 435, 435, 435, 435, CLONE3) \
	X(ptrace, 101, 26, 117, 26, PTRACE) X(process_vm_readv, 310, 347, 270, 376, PROCESS_VM) \
	X(process_vm_writev, 311, 348, 271, 377, PROCESS_VM) \
	X(pidfd_getfd, 438, 438, 438, 438, PIDFD_GETFD) X(init_module, 175, 128, 105, 128, INIT_MODULE) \
	X(finit_module, 313, 350, 273, 379, FINIT_MODULE) \
	X(delete_module, 176, 129, 106, 129, DELETE_MODULE) X(bpf, 321, 357, 280, 386, BPF) \
	X(perf_event_open, 298, 336, 241, 364, PERF) X(userfaultfd, 323, 374, 282, 388, USERFAULTFD) \
	X(keyctl, 250, 288, 219, 311, KEYCTL) X(add_key, 248, 286, 217, 309, ADD_KEY) \
	X(request_key, 249, 287, 218, 310, ADD_KEY) X(memfd_create, 319, 356, 279, 385, MEMFD) \
	X(mprotect, 10, 125, 226, 125, MPROTECT) X(pkey_mprotect, 329, 380, 288, 394, MPROTECT) \
	X(mmap, 9, NJ_NO, 222, NJ_NO, MMAP) X(mmap2, NJ_NO, 192, NJ_NO, 192, MMAP) \
	X(old_mmap, NJ_NO, 90, NJ_NO, NJ_NO, OLD_MMAP) X(shmat, 30, 397, 196, 305, SHMAT) \
	X(ipc, NJ_NO, 117, NJ_NO, NJ_NO, IPC) \
	X(kill, 62, 37, 129, 37, KILL) X(tkill, 200, 238, 130, 238, TKILL) \
	X(tgkill, 234, 270, 131, 268, TGKILL) X(rt_sigqueueinfo, 129, 178, 138, 178, KILL) \
	X(rt_tgsigqueueinfo, 297, 335, 240, 363, TGKILL) \
	X(pidfd_send_signal, 424, 424, 424, 424, PIDFD_SIGNAL) X(splice, 275, 313, 76, 340, SPLICE) \
	X(tee, 276, 315, 77, 342, TEE) X(vmsplice, 278, 316, 75, 343, VMSPLICE) \
	X(sendfile, 40, 187, 71, 187, SENDFILE) X(sendfile64, NJ_NO, 239, NJ_NO, 239, SENDFILE) \
	X(execve, 59, 11, 221, 11, EXECVE) X(execveat, 322, 358, 281, 387, EXECVEAT) \
	X(io_uring_setup, 425, 425, 425, 425, IO_URING_SETUP)
/* clang-format on */
