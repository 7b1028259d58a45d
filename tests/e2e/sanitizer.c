/* Looks through what programs have said for the reports of a build with SANITIZE. */
#include "tests/e2e/harness.h"

#include <stdio.h>
#include <string.h>

static bool opens_report(const char *line)
{
	static const char *const marks[] = {"Sanitizer: ", "Sanitizer:DEADLYSIGNAL", ": runtime error: "};

	for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++)
		if (strstr(line, marks[i]))
			return true;
	return false;
}

/* A report goes on below its first line: all that follows is shown. */
static bool show_reports(FILE *f)
{
	char line[4096];
	bool spoke = false;

	while (f && fgets(line, sizeof(line), f)) {
		spoke |= opens_report(line);
		if (spoke)
			(void)fputs(line, stderr);
	}
	return spoke;
}

bool harness_sanitizer_spoke(const char *path)
{
	_cleanup_(fclosep) FILE *f = fopen(path, "re");

	return show_reports(f);
}

bool harness_sanitizer_spoke_in(const char *text, size_t len)
{
	_cleanup_(fclosep) FILE *f = len > 0 ? fmemopen((void *)(uintptr_t)text, len, "r") : NULL;

	return show_reports(f);
}
