/* Names of the classes of events: what a policy asks for, coverage is reported by and losses are
 * counted by. The order is that of enum nj_class in bpf/abi.h, which this side may not include; the
 * agent asserts that both have as many. */
#pragma once

#define CAPTURE_CLASS_MAX 21

/* "process", "tcp", "file" …; "unknown" past the last one. */
const char *capture_class_name(unsigned int class);
/* -1: no class has that name. */
int capture_class_find(const char *name);
