/* Where a running `nightjar dev` can be reached: DIR/dev.json, so that the other commands need no
 * flags on the same host. Made when dev is ready, removed when it stops; one that is left over from a
 * dev that was killed names a process that is gone and is ignored. */
#pragma once

#include <limits.h>
#include <sys/types.h>

#include "common/err.h"

#define RUN_FILE_DIR "/run/nightjar"

struct run_file {
	pid_t pid; /* of dev */
	char grpc[280]; /* HOST:PORT */
	char http[280];
	char certs[PATH_MAX]; /* ca.pem, reader.pem, reader-key.pem */
};

int run_file_write(const char *dir, const struct run_file *file, struct err *e) must_check;
/* 0 or -ENOENT: there is none, or its dev does not run any more. */
int run_file_read(const char *dir, struct run_file *ret_file);
/* Removes it if it is this process's. */
void run_file_remove(const char *dir);
