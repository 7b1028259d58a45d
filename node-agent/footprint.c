/* Loading BPF programs and setting OpenSSL up runs through several MB of code and tables that are
 * never touched again; see footprint.h.
 *
 * Only executable mappings of files are dropped: nobody writes to those, so each page is as it is in
 * the file. Read-only data is left alone, for the loader has written relocations into it. */
#include "node-agent/footprint.h"

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>

#include "common/cleanup.h"

/* One line of /proc/self/maps. */
static void drop_text(const char *line)
{
	unsigned long start, end, inode;
	char mode[5];

	if (sscanf(line, "%lx-%lx %4s %*x %*x:%*x %lu", &start, &end, mode, &inode) != 4)
		return;
	if (inode != 0 && mode[0] == 'r' && mode[1] == '-' && mode[2] == 'x')
		(void)madvise((void *)(uintptr_t)start, end - start, MADV_DONTNEED);
}

void footprint_trim(void)
{
	_cleanup_(fclosep) FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];

	while (maps && fgets(line, sizeof(line), maps))
		drop_text(line);
	(void)malloc_trim(0);
}
