/* What a process image carries besides numbers: paths, arguments, chosen environment. One piece of
 * memory, shared by a process and its forks. */
#pragma once

#include "node-agent/decode.h"

struct image {
	uint32_t refs;
	uint32_t truncated; /* PROCESS_*_TRUNCATED */
	size_t size;	    /* bytes, all told */
	struct file_info exe;
	uint32_t exe_flags;
	uint64_t exe_ctime_ns;
	uint64_t exe_mtime_ns;
	const char *cwd;
	const char *exe_raw;
	const struct bytes *args;
	const struct bytes *env;
	uint16_t arg_count;
	uint16_t env_count;
};

/* Copies what d points to. Of the environment only the variables in env_names (NULL-terminated, may
 * be NULL); of the arguments at most max_args bytes. NULL without memory. */
struct image *procimage_new(const struct decoded *d, const char *const *env_names, size_t max_args);
struct image *procimage_ref(struct image *image);
/* Returns the bytes that it released. NULL allowed. */
size_t procimage_unref(struct image *image);
