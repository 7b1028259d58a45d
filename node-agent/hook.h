/* Programs that hang on a hook of their own: how each is attached, and what kernels call it. */
#pragma once

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stdint.h>

/* What is on a cgroup stays there: to put it back would take CAP_NET_ADMIN, which the agent has given
 * up by then. Unwanted, it costs a packet next to nothing. */
bool hook_stays(const struct bpf_program *program);
/* NULL with errno. */
struct bpf_link *hook_attach(const struct bpf_program *program);
/* What differs between kernels and can be seen in their types. */
struct hook_kernel {
	const char *submission; /* io_uring's tracepoint, renamed in 6.2 */
	bool has_rdonly_cast;	/* bpf/read.bpf.h; since 6.2 */
	bool completes_by_cqe;	/* io_uring's tracepoint has a completion as it is, older ones its fields */
};
struct hook_kernel hook_of_kernel(void);
/* Runs of a program that the kernel left out. */
uint64_t hook_missed(int fd);
