/* Loading BPF programs and setting OpenSSL up runs through several MB of code, tables and symbols that are
 * never touched again; see footprint.h.
 *
 * Only segments that the file itself says nobody writes to are dropped: text and read-only data, each page
 * of which is as it is in the file. What the loader relocates lies in writable segments, also where it is
 * made read-only afterwards. No text relocations: neither of our linkers makes any. */
#include "node-agent/footprint.h"

#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/tls.h"

/* Set, so that glibc does not raise it with every large piece that is freed: the kernel's types are some. */
#define MMAP_BYTES (64 << 10)
#define TRIM_BYTES (256 << 10)

/* The pages that lie wholly or in part in a segment of the file; the rest of a last page is of the same file. */
static void drop_segment(const struct dl_phdr_info *object, const ElfW(Phdr) *segment)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t start = (object->dlpi_addr + segment->p_vaddr) & ~(page - 1);
	uintptr_t end = object->dlpi_addr + segment->p_vaddr + segment->p_filesz;

	(void)madvise((void *)start, end - start, MADV_DONTNEED);
}

static int drop_object(struct dl_phdr_info *object, size_t size, void *ctx)
{
	(void)size;
	(void)ctx;
	for (ElfW(Half) i = 0; i < object->dlpi_phnum; i++)
		if (object->dlpi_phdr[i].p_type == PT_LOAD && !(object->dlpi_phdr[i].p_flags & PF_W))
			drop_segment(object, &object->dlpi_phdr[i]);
	return 0;
}

void footprint_begin(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, MMAP_BYTES);
	(void)mallopt(M_TRIM_THRESHOLD, TRIM_BYTES);
	(void)mallopt(M_ARENA_MAX, 1);
	tls_leave_out_texts();
}

void footprint_trim(void)
{
	(void)dl_iterate_phdr(drop_object, NULL);
	(void)malloc_trim(0);
}
