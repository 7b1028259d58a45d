/* Hook providers of system calls: who tells the programs of the families (bpf/call.bpf.h) that a
 * call has returned. The family is the same bytecode in each case, loaded as what the hook is:
 *
 *   sys_exit   tp_btf/sys_exit: one hook for all calls; every call of the machine pays for it
 *   per_call   tp/syscalls/sys_exit_NAME: a tracepoint each; blind for 32-bit calls
 *   function   fexit of the call's function: a small load each, calls that nobody wants pay nothing
 *
 * One thread. */
#pragma once

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"

enum provider_kind { PROVIDER_AUTO, PROVIDER_SYS_EXIT, PROVIDER_PER_CALL, PROVIDER_FUNCTION };

/* By its name in the option capture.provider; an unknown name is AUTO. */
enum provider_kind provider_of(const char *name);
/* The hook, for people. */
const char *provider_hook(enum provider_kind kind);
/* What is not seen through it; "" when nothing is. */
const char *provider_blindness(enum provider_kind kind);

/* Whether a program of that name is for this provider: the hooks of the others are not. */
bool provider_uses(enum provider_kind kind, const char *program);

/* Between open and load: gives the family programs the type of that provider's hook. Where the
 * kernel has no such hook, they will be refused. */
void provider_prepare(enum provider_kind kind, struct bpf_object *obj);

/* Gives another object, opened and sharing the maps of the first but for call_programs, with the same families
 * chosen to be loaded and no other program. NULL when it cannot. */
typedef struct bpf_object *(*provider_open_fn)(void *ctx);

struct provider;

/* For PER_CALL and FUNCTION; obj is loaded and outlives the provider, as ctx does. NULL without memory. */
struct provider *provider_new(enum provider_kind kind, struct bpf_object *obj,
			      provider_open_fn open, void *ctx);
void provider_free(struct provider *p); /* detaches; NULL allowed */

/* Sees the calls of these classes from now on and no others. A call that the kernel does not have
 * is none. 0, or negative when some could not be attached. */
int provider_want(struct provider *p, uint64_t classes) must_check;
uint64_t provider_failed(const struct provider *p);   /* classes of calls that could not be */
uint32_t provider_attached(const struct provider *p); /* hooks in place */
uint64_t provider_missed(const struct provider *p);   /* runs that the kernel left out, of those */

DEFINE_CLEANUP(struct provider *, provider_free)
