/* What the dispatcher of system calls calls for files and descriptors. */
#pragma once

#include "bpf/kernel_types.h"

/* raw: the path argument's address. */
int file_opened(__s64 result, __u64 raw, int dirfd, __u32 flags);
int descriptor_copied(__s64 result, int old_fd);
/* fds: address of the two new descriptors. */
int descriptor_pair_made(__u64 fds);
