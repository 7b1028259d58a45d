/* What a process runs: executable, arguments, working directory. Made at exec, shared by the
 * processes that fork hands it to, freed with the last of them. Sized to its text (150 bytes to
 * 2 KiB): a pool of the largest would take ten times the memory. One thread at a time. */
#pragma once

#include "common/event.h"

struct image {
	uint32_t refs;
	uint16_t arg_count;
	uint16_t cwd_at; /* offsets in text */
	uint16_t args_at;
	uint16_t len;
	bool args_cut;
	uint64_t exec_ns; /* boot clock */
	uint64_t device;
	uint64_t inode;
	uint32_t mode;
	uint32_t uid;
	char text[]; /* exe, cwd, arguments: each terminated */
};

/* One reference, the caller's; NULL without memory. */
struct image *image_new(const struct process_def *def);
struct image *image_ref(struct image *image); /* NULL allowed */
void image_unref(struct image *image);	      /* NULL allowed */

/* All of these accept NULL and then answer "" or false. */
const char *image_exe(const struct image *image);
const char *image_name(const struct image *image); /* last component of exe */
const char *image_cwd(const struct image *image);
/* The next argument after arg, the first for NULL; NULL at the end. */
const char *image_arg(const struct image *image, const char *arg);
/* Owned by root, writable by nobody else, in a system directory: its name means something. */
bool image_trusted(const struct image *image);
