/* 32-bit system calls from a 64-bit process: int 0x80, and memory that its addresses can name. */
#pragma once

#ifdef __x86_64__
#include <stdint.h>
#include <sys/mman.h>

#define COMPAT_MEMORY 16384

static inline void *compat_memory(void)
{
	return mmap(NULL, COMPAT_MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
}

static inline long compat_call5(long nr, uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(nr), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
			 : "r8", "r9", "r10", "r11", "memory");
	return result;
}

static inline long compat_call(long nr, uint32_t a, uint32_t b, uint32_t c)
{
	return compat_call5(nr, a, b, c, 0, 0);
}
#endif
