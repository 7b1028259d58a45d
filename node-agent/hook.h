/* Programs that hang on a hook of their own: how each is attached, and what kernels call it. */
#pragma once

#include <bpf/libbpf.h>
#include <stdbool.h>

/* What is on a cgroup stays there: to put it back would take CAP_NET_ADMIN, which the agent has given
 * up by then. Unwanted, it costs a packet next to nothing. */
bool hook_stays(const struct bpf_program *program);
/* NULL with errno. */
struct bpf_link *hook_attach(const struct bpf_program *program);
/* The tracepoint of io_uring's submission on this kernel. */
const char *hook_of_submission(void);
