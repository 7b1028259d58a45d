/* What a process image carries besides numbers: paths, arguments, chosen environment. One piece of
 * memory, shared by a process and its forks. */
#pragma once

#include "node-agent/decode.h"

struct image {
	uint32_t refs;
	uint32_t truncated; /* PROCESS_*_TRUNCATED */
	uint32_t size;	    /* bytes, all told */
	uint32_t exe_flags;
	struct file_info exe; /* path points into text */
	uint64_t exe_ctime_ns;
	uint64_t exe_mtime_ns;
	uint16_t arg_count;
	uint16_t env_count;
	char text[]; /* each terminated: path, cwd, exe_raw, arguments, environment */
};

/* Copies what d points to. Of the environment only the variables in env_names (NULL-terminated, may
 * be NULL); of the arguments at most max_args bytes. NULL without memory. */
struct image *procimage_new(const struct decoded *d, const char *const *env_names, size_t max_args);
struct image *procimage_ref(struct image *image);
/* Returns the bytes that it released. NULL allowed. */
size_t procimage_unref(struct image *image);

/* Fills in of a definition what the image says; spans has room for all arguments and variables. Its texts are
 * the image's, and valid as long. */
void procimage_define(const struct image *image, struct bytes *spans, struct process_def *ret_def);
