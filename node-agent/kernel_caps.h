/* What this kernel lets us do, asked before anything is loaded. */
#pragma once

#include <stdbool.h>

#include "common/err.h"

struct kernel_caps {
	bool btf;
	bool tracing; /* tp_btf programs load */
	char release[65];
};

/* btf_path: where the kernel publishes its types; NULL: /sys/kernel/btf/vmlinux. 0, or negative
 * with a sentence that says what to do. */
int kernel_caps_read(const char *btf_path, struct kernel_caps *ret_caps, struct err *e) must_check;
