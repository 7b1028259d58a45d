/* See provider.h. About 110 calls, twice as many functions where 32-bit calls have their own; a
 * link each, for those whose class is wanted. */
#include "node-agent/provider.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpf/calls.h"

#ifdef __aarch64__
#define NATIVE_PREFIX "__arm64_sys_"
#define COMPAT_PREFIX "__arm64_compat_sys_"
#define OTHER_PREFIX  "__arm64_sys_"
#else
#define NATIVE_PREFIX "__x64_sys_"
#define COMPAT_PREFIX "__ia32_compat_sys_"
#define OTHER_PREFIX  "__ia32_sys_"
#endif

/* Any function of that shape: what loads on one loads on the others. */
#define SAMPLE NATIVE_PREFIX "openat"

static const struct {
	const char *name;    /* of the option */
	const char *program; /* at the hook */
	const char *hook;
	const char *blindness;
} kinds[] = {
	[PROVIDER_AUTO] = {"auto", "", "", ""},
	[PROVIDER_SYS_EXIT] = {"sys_exit", "syscall_exit", "tp_btf/sys_exit", ""},
	[PROVIDER_PER_CALL] = {"per_call", "tracepoint_exit", "tp/syscalls/sys_exit_*",
			       "32-bit calls are not seen"},
	[PROVIDER_FUNCTION] = {"function", "function_exit", "fexit/" NATIVE_PREFIX "*", ""},
};

static const struct {
	uint32_t program; /* enum nj_program */
	uint64_t classes;
} acts[NJ_ACT_MAX] = {
#define ACT(name, program, classes) [NJ_ACT_##name] = {NJ_PROGRAM_##program, (classes)},
	NJ_ACTS(ACT)
#undef ACT
};

enum side { NATIVE, COMPAT, SIDES };

static const struct {
	const char *name;
	bool has[SIDES];
	uint32_t act;
} calls[] = {
#define CALL(name, x86_64, i386, arm64, arm, act)                                                  \
	{#name, {NJ_NATIVE(x86_64, arm64) != NJ_NO, NJ_COMPAT(i386, arm) != NJ_NO}, NJ_ACT_##act},
	NJ_CALLS(CALL)
#undef CALL
};
#define CALLS (sizeof(calls) / sizeof(calls[0]))

/* Calls whose function has another name than they. The 16-bit ids are those of 32-bit calls without
 * a suffix; their 32-bit ids share the function of the native call. */
static const struct {
	const char *name;
	const char *function[SIDES];
} renamed[] = {
	{"umount2", {"umount", "umount"}},
	{"umount", {NULL, "oldumount"}},
	{"sendfile", {"sendfile64", NULL}},
	{"chown", {NULL, "chown16"}},
	{"lchown", {NULL, "lchown16"}},
	{"fchown", {NULL, "fchown16"}},
	{"setuid", {NULL, "setuid16"}},
	{"setgid", {NULL, "setgid16"}},
	{"setreuid", {NULL, "setreuid16"}},
	{"setregid", {NULL, "setregid16"}},
	{"setresuid", {NULL, "setresuid16"}},
	{"setresgid", {NULL, "setresgid16"}},
	{"setgroups", {NULL, "setgroups16"}},
	{"setfsuid", {NULL, "setfsuid16"}},
	{"setfsgid", {NULL, "setfsgid16"}},
	{"chown32", {NULL, "chown"}},
	{"lchown32", {NULL, "lchown"}},
	{"fchown32", {NULL, "fchown"}},
	{"setuid32", {NULL, "setuid"}},
	{"setgid32", {NULL, "setgid"}},
	{"setreuid32", {NULL, "setreuid"}},
	{"setregid32", {NULL, "setregid"}},
	{"setresuid32", {NULL, "setresuid"}},
	{"setresgid32", {NULL, "setresgid"}},
	{"setgroups32", {NULL, "setgroups"}},
	{"setfsuid32", {NULL, "setfsuid"}},
	{"setfsgid32", {NULL, "setfsgid"}},
	{"utime", {NULL, "utime32"}},
	{"utimes", {NULL, "utimes_time32"}},
	{"futimesat", {NULL, "futimesat_time32"}},
	{"utimensat", {NULL, "utimensat_time32"}},
	{"utimensat_time64", {NULL, "utimensat"}},
	{"recvmmsg", {NULL, "recvmmsg_time32"}},
	{"truncate64", {NULL, "ia32_truncate64"}},
	{"ftruncate64", {NULL, "ia32_ftruncate64"}},
	{"clone", {NULL, "ia32_clone"}},
};

struct provider {
	enum provider_kind kind;
	struct bpf_object *obj;
	provider_open_fn open;
	void *ctx;
	struct btf *types; /* of the kernel, while functions are looked up */
	struct bpf_link *links[CALLS][SIDES];
	int programs[CALLS][SIDES]; /* map of the family program behind a function, or -1 */
};

enum provider_kind provider_of(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (name && strcmp(kinds[i].name, name) == 0)
			return (enum provider_kind)i;
	return PROVIDER_AUTO;
}

const char *provider_hook(enum provider_kind kind)
{
	return kinds[kind].hook;
}

const char *provider_blindness(enum provider_kind kind)
{
	return kinds[kind].blindness;
}

static bool is_family(const char *program)
{
	return strncmp(program, "call_", strlen("call_")) == 0;
}

bool provider_uses(enum provider_kind kind, const char *program)
{
	for (size_t i = PROVIDER_SYS_EXIT; i <= PROVIDER_FUNCTION; i++)
		if (strcmp(program, kinds[i].program) == 0)
			return i == (size_t)kind;
	return true;
}

static int set_tracing(struct bpf_program *program, enum bpf_attach_type type, const char *target)
{
	(void)bpf_program__set_type(program, BPF_PROG_TYPE_TRACING);
	(void)bpf_program__set_expected_attach_type(program, type);
	return bpf_program__set_attach_target(program, 0, target);
}

static int set_target(struct bpf_object *obj, enum bpf_attach_type type, const char *target)
{
	struct bpf_program *program;
	int failed = 0;

	bpf_object__for_each_program(program, obj)
	{
		const char *name = bpf_program__name(program);
		int r = 0;

		if (is_family(name) || (type == BPF_TRACE_FEXIT &&
					strcmp(name, kinds[PROVIDER_FUNCTION].program) == 0))
			r = set_tracing(program, type, target);
		failed = r < 0 ? r : failed;
	}
	return failed;
}

void provider_prepare(enum provider_kind kind, struct bpf_object *obj)
{
	if (kind == PROVIDER_SYS_EXIT)
		(void)set_target(obj, BPF_TRACE_RAW_TP, "sys_exit");
	if (kind == PROVIDER_FUNCTION)
		(void)set_target(obj, BPF_TRACE_FEXIT, SAMPLE);
}

struct provider *provider_new(enum provider_kind kind, struct bpf_object *obj,
			      provider_open_fn open, void *ctx)
{
	struct provider *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->kind = kind;
	p->obj = obj;
	p->open = open;
	p->ctx = ctx;
	for (size_t i = 0; i < CALLS; i++)
		p->programs[i][NATIVE] = p->programs[i][COMPAT] = -1;
	return p;
}

static void detach(struct provider *p, size_t call, enum side side)
{
	(void)bpf_link__destroy(p->links[call][side]);
	p->links[call][side] = NULL;
	if (p->programs[call][side] >= 0)
		(void)close(p->programs[call][side]);
	p->programs[call][side] = -1;
}

void provider_free(struct provider *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < CALLS; i++)
		for (enum side side = NATIVE; side < SIDES; side++)
			detach(p, i, side);
	free(p);
}

/* What the call's function or tracepoint is called, without its prefix. */
static const char *function_of(size_t call, enum side side)
{
	for (size_t i = 0; i < sizeof(renamed) / sizeof(renamed[0]); i++)
		if (strcmp(renamed[i].name, calls[call].name) == 0 && renamed[i].function[side])
			return renamed[i].function[side];
	return calls[call].name;
}

static int attach_tracepoint(struct provider *p, size_t call)
{
	struct bpf_program *program =
		bpf_object__find_program_by_name(p->obj, kinds[PROVIDER_PER_CALL].program);
	char name[64];

	(void)snprintf(name, sizeof(name), "sys_exit_%s", function_of(call, NATIVE));
	p->links[call][NATIVE] = bpf_program__attach_tracepoint(program, "syscalls", name);
	if (!p->links[call][NATIVE])
		return errno == ENOENT ? 0 : -errno;
	return 0;
}

static bool find_function(const struct provider *p, const char *prefix, const char *name,
			  char ret_name[static 64])
{
	(void)snprintf(ret_name, 64, "%s%s", prefix, name);
	return btf__find_by_name_kind(p->types, ret_name, BTF_KIND_FUNC) > 0;
}

/* False: this kernel has no such call, or its function is that of another row. */
static bool name_function(const struct provider *p, size_t call, enum side side,
			  char ret_name[static 64])
{
	const char *function = function_of(call, side);

	if (side == NATIVE)
		return find_function(p, NATIVE_PREFIX, function, ret_name);
	if (find_function(p, COMPAT_PREFIX, function, ret_name))
		return true;
#ifdef __aarch64__
	/* What 32-bit calls have in common with the native ones is one function: seen already. */
	for (size_t i = 0; i < CALLS; i++)
		if (calls[i].has[NATIVE] && strcmp(function_of(i, NATIVE), function) == 0)
			return false;
#endif
	return find_function(p, OTHER_PREFIX, function, ret_name);
}

/* The object goes again; its link and the map that leads to the family stay. */
static int load_function(struct provider *p, size_t call, enum side side, const char *function)
{
	struct bpf_object *obj = p->open(p->ctx, acts[calls[call].act].program);
	uint32_t place = acts[calls[call].act].program;
	struct bpf_program *program, *hook;
	int map, r, fd = -1;

	if (!obj)
		return -ENOMEM;
	hook = bpf_object__find_program_by_name(obj, kinds[PROVIDER_FUNCTION].program);
	r = set_target(obj, BPF_TRACE_FEXIT, function);
	if (r == 0)
		r = bpf_object__load(obj);
	map = bpf_object__find_map_fd_by_name(obj, "call_programs");
	bpf_object__for_each_program(
		program, obj) if (r == 0 && is_family(bpf_program__name(program)) &&
				  bpf_program__fd(program) >= 0) fd = bpf_program__fd(program);
	if (r == 0 && bpf_map_update_elem(map, &place, &fd, BPF_ANY) < 0)
		r = -errno;
	if (r == 0)
		p->links[call][side] = bpf_program__attach_trace(hook);
	if (r == 0 && !p->links[call][side])
		r = -errno;
	if (r == 0)
		p->programs[call][side] = fcntl(map, F_DUPFD_CLOEXEC, 3);
	bpf_object__close(obj);
	return r;
}

static int attach(struct provider *p, size_t call, enum side side)
{
	char function[64];

	if (p->kind == PROVIDER_PER_CALL)
		return side == NATIVE ? attach_tracepoint(p, call) : 0;
	return name_function(p, call, side, function) ? load_function(p, call, side, function) : 0;
}

static int want_call(struct provider *p, size_t call, enum side side, bool wanted)
{
	if (!wanted) {
		detach(p, call, side);
		return 0;
	}
	return p->links[call][side] ? 0 : attach(p, call, side);
}

/* Absent tracepoints are calls that the kernel does not have, unless all are absent. */
static bool has_tracepoints(void)
{
	return access("/sys/kernel/tracing/events/syscalls", F_OK) == 0 ||
	       access("/sys/kernel/debug/tracing/events/syscalls", F_OK) == 0;
}

int provider_want(struct provider *p, uint64_t classes)
{
	int failed = p->kind == PROVIDER_PER_CALL && !has_tracepoints() ? -ENOENT : 0;

	p->types = p->kind == PROVIDER_FUNCTION ? btf__load_vmlinux_btf() : NULL;
	for (size_t i = 0; i < CALLS; i++)
		for (enum side side = NATIVE; side < SIDES; side++) {
			bool wanted = calls[i].has[side] && acts[calls[i].act].classes & classes;
			int r = want_call(p, i, side, wanted);

			failed = r < 0 ? r : failed;
		}
	btf__free(p->types);
	p->types = NULL;
	return failed;
}

uint32_t provider_attached(const struct provider *p)
{
	uint32_t count = 0;

	for (size_t i = 0; i < CALLS; i++)
		count += (p->links[i][NATIVE] != NULL) + (p->links[i][COMPAT] != NULL);
	return count;
}
