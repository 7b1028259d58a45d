/* What this kernel lets us do, asked before anything is loaded. */
#pragma once

#include <stdbool.h>

#include "common/err.h"

struct kernel_caps {
	bool btf;
	bool tracing; /* tp_btf programs load */
	char release[65];
	char obstacle[160]; /* what is known to be in the way on this kernel; "" nothing */
};

/* btf_path: where the kernel publishes its types; NULL: /sys/kernel/btf/vmlinux. 0, or negative
 * with a sentence that says what to do. */
int kernel_caps_read(const char *btf_path, struct kernel_caps *ret_caps, struct err *e) must_check;

/* The same of a kernel that says so: its release, and what /sys/kernel/security/lockdown holds ("" when it cannot be
 * read). */
void kernel_caps_obstacle(const char *release, const char *lockdown, char ret_obstacle[static 160]);
