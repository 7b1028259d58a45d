/* Runs the built programs from a unit test: they stand in ../../bin beside the test's own program. */
#pragma once

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/buf.h"

static inline void program_path(const char *name, char *ret)
{
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[len > 0 ? len : 0] = '\0';
	for (int up = 0; up < 3; up++)
		*strrchr(self, '/') = '\0';
	(void)snprintf(ret, PATH_MAX, "%.3000s/bin/%s", self, name);
}

/* The exit status, -1 for a signal; out is what it said on stdout and stderr. */
static inline int program_shell(const char *command, struct buf *out)
{
	char chunk[4096];
	FILE *in = popen(command, "re");
	size_t n;
	int status;

	buf_clear(out);
	while (in && (n = fread(chunk, 1, sizeof(chunk), in)) > 0)
		buf_add(out, chunk, n);
	status = in ? pclose(in) : -1;
	return status >= 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline int program_run(const char *name, const char *words, struct buf *out)
{
	char path[PATH_MAX], command[PATH_MAX + 512];

	program_path(name, path);
	(void)snprintf(command, sizeof(command), "'%s' %s 2>&1", path, words);
	return program_shell(command, out);
}
