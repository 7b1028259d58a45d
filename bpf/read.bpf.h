/* Fields behind kernel pointers that are plain numbers to the verifier.
 *
 * Where the kernel lends the type to an address (bpf_rdonly_cast, 6.2) they are loads in line, a nanosecond
 * each; elsewhere, reads by a helper, ten times that. In either way what cannot be read is 0, and
 * nothing is said of what an object has become by then. */
#pragma once

#include "bpf/kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

extern void *bpf_rdonly_cast(const void *object, __u32 btf_id) __ksym __weak;
extern const volatile bool has_rdonly_cast;

/* The same address, typed. Where has_rdonly_cast only. */
#define kernel_typed(pointer)                                                                      \
	((typeof(pointer))bpf_rdonly_cast(pointer, bpf_core_type_id_kernel(typeof(*(pointer)))))

/* A pointer is a number again, which functions of their own take: the verifier forgets a pointer's type
 * when another one, here the null pointer, is subtracted. One to something else than a struct is a number
 * already, from which 6.12 lets nobody subtract a pointer: so each gets a type first. */
#define kernel_untyped(value)                                                                      \
	({                                                                                         \
		__auto_type plain_ = (value);                                                      \
		if (__builtin_classify_type(plain_) == CLASS_POINTER) {                            \
			plain_ = (typeof(plain_))(__u64)kernel_typed((struct inode *)(__u64)plain_); \
			asm volatile("%0 -= %1"                                                    \
				     : "+r"(plain_)                                                \
				     : "r"(kernel_typed((struct inode *)NULL)));                   \
		}                                                                                  \
		plain_;                                                                            \
	})
#define CLASS_POINTER 5 /* of GCC's builtin, which clang has too */

#define kernel_read_1(p, a) (has_rdonly_cast ? kernel_untyped(kernel_typed(p)->a) : BPF_CORE_READ(p, a))
#define kernel_read_2(p, a, b)                                                                     \
	({                                                                                         \
		__auto_type p1_ = kernel_read_1(p, a);                                           \
		kernel_read_1(p1_, b);                                                             \
	})
#define kernel_read_3(p, a, b, c)                                                                  \
	({                                                                                         \
		__auto_type p2_ = kernel_read_1(p, a);                                           \
		kernel_read_2(p2_, b, c);                                                          \
	})
#define kernel_read_4(p, a, b, c, d)                                                               \
	({                                                                                         \
		__auto_type p3_ = kernel_read_1(p, a);                                           \
		kernel_read_3(p3_, b, c, d);                                                       \
	})
#define kernel_read_of(_1, _2, _3, _4, name, ...) name

/* kernel_read(file, f_inode, i_sb, s_dev): file->f_inode->i_sb->s_dev. */
#define kernel_read(pointer, ...)                                                                  \
	kernel_read_of(__VA_ARGS__, kernel_read_4, kernel_read_3, kernel_read_2,                   \
		       kernel_read_1)(pointer, __VA_ARGS__)
