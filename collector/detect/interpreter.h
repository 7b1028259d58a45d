/* Command interpreters: which images are one, and where an image of one takes its commands from.
 *
 * An interpreter is known by the last component of its resolved path, or as another name (hard
 * link, bind mount) of a file that was seen under such a name. What it does with its input follows
 * from its arguments alone: a script file, or a program on the command line, and it reads no
 * commands. */
#pragma once

#include "collector/entity/image.h"

#define INTERPRETER_FILES 64

/* Files seen under an interpreter's name; the oldest makes room. Zeroed: none. */
struct interpreter_files {
	struct {
		uint64_t device, inode;
		uint32_t row;
	} list[INTERPRETER_FILES];
	uint32_t next;
	uint64_t evicted;
};

/* Is it one, and does it read its commands from descriptor 0? Learns the file's identity. */
bool interpreter_reads_stdin(struct interpreter_files *files, const struct image *image);
/* The applet that a busybox is called to run, "sh" or "login"; NULL when the image is none. What it
 * does is chosen by this name, so it cannot be forged. */
const char *interpreter_applet(const struct image *image);
/* Is it one at all? */
bool interpreter_is(const struct image *image);
/* Is it a shell, whose work is to start other programs? A busybox is. */
bool interpreter_is_shell(const struct image *image);
/* The file that it runs: its first argument that is no option. NULL: none. */
const char *interpreter_script(const struct image *image);
