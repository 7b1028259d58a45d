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
#include "node-agent/hook.h"
#include "node-agent/policy.h"

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

#define GROUPS_MAX 4
#define FAMILIES   "call_programs" /* map of the object */

/* A hook in place. */
struct hook {
	struct bpf_link *link; /* of PER_CALL */
	int link_fd, program;  /* of FUNCTION, or -1 */
};

/* In the kernel's types; id 0: the call has none of its own. */
struct function {
	const char *prefix, *name;
	uint32_t id, type;
};

/* Functions of one type: a tail call leads only to programs behind the same. Calls that a kernel may be built without
 * have a stub of the same name (kernel/sys_ni.c) whose argument is called otherwise: some kernels list both, some the
 * stub's type alone. */
struct group {
	uint32_t type;
	int programs; /* map of the families, by enum nj_program */
};

struct provider {
	enum provider_kind kind;
	struct bpf_object *obj;
	provider_open_fn open;
	void *ctx;
	struct function functions[CALLS][SIDES]; /* looked up once there is a group */
	struct group groups[GROUPS_MAX]; /* the first is that of SAMPLE, and of obj's own programs */
	uint32_t group_count;
	struct hook hooks[CALLS][SIDES];
	uint64_t failed; /* classes of calls that could not be hooked */
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
		for (enum side side = NATIVE; side < SIDES; side++)
			p->hooks[i][side] = (struct hook){NULL, -1, -1};
	return p;
}

static void detach(struct hook *hook)
{
	(void)bpf_link__destroy(hook->link);
	closep(&hook->link_fd);
	closep(&hook->program);
	*hook = (struct hook){NULL, -1, -1};
}

static bool is_attached(const struct hook *hook)
{
	return hook->link || hook->link_fd >= 0;
}

void provider_free(struct provider *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < CALLS; i++)
		for (enum side side = NATIVE; side < SIDES; side++)
			detach(&p->hooks[i][side]);
	for (uint32_t i = 1; i < p->group_count; i++)
		closep(&p->groups[i].programs);
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
	struct hook *hook = &p->hooks[call][NATIVE];
	char name[64];

	(void)snprintf(name, sizeof(name), "sys_exit_%s", function_of(call, NATIVE));
	hook->link = bpf_program__attach_tracepoint(program, "syscalls", name);
	if (!hook->link)
		return errno == ENOENT ? 0 : -errno;
	return 0;
}

static const char *behind(const char *prefix, const char *name)
{
	size_t len = strlen(prefix);

	return strncmp(name, prefix, len) == 0 ? name + len : NULL;
}

/* A 32-bit call's own function counts before one that it has in common with others, and a function of SAMPLE's type,
 * which is the call itself, before one that may be its stub. */
static bool counts_before(const struct provider *p, const char *prefix, const struct function *known)
{
	if (strcmp(prefix, known->prefix) != 0)
		return strcmp(prefix, COMPAT_PREFIX) == 0;
	return known->type != p->groups[0].type;
}

static void note(const struct provider *p, struct function *function, const char *prefix, const char *name, uint32_t id,
		 uint32_t type)
{
	const char *own = behind(prefix, name);

	if (!own || strcmp(own, function->name) != 0)
		return;
	if (function->id && !counts_before(p, prefix, function))
		return;
	function->prefix = prefix;
	function->id = id;
	function->type = type;
}

static void note_function(struct provider *p, const char *name, uint32_t id, uint32_t type)
{
	if (!behind(NATIVE_PREFIX, name) && !behind(COMPAT_PREFIX, name) && !behind(OTHER_PREFIX, name))
		return;
	for (size_t i = 0; i < CALLS; i++) {
		note(p, &p->functions[i][NATIVE], NATIVE_PREFIX, name, id, type);
		note(p, &p->functions[i][COMPAT], COMPAT_PREFIX, name, id, type);
		note(p, &p->functions[i][COMPAT], OTHER_PREFIX, name, id, type);
	}
}

/* A function that a row has in common with another one is hooked once. */
static void leave_out_shared(struct provider *p)
{
	for (size_t i = 0; i < CALLS; i++)
		for (size_t k = 0; k < CALLS; k++)
			if (p->functions[i][COMPAT].id == p->functions[k][NATIVE].id)
				p->functions[i][COMPAT].id = 0;
}

/* One pass over the kernel's types, once it is known what SAMPLE's is. */
static int find_functions(struct provider *p)
{
	struct btf *types = btf__load_vmlinux_btf();
	int sample = types ? btf__find_by_name_kind(types, SAMPLE, BTF_KIND_FUNC) : -ENOENT;
	uint32_t count = sample > 0 ? btf__type_cnt(types) : 0;

	for (size_t i = 0; i < CALLS; i++)
		for (enum side side = NATIVE; side < SIDES; side++)
			p->functions[i][side].name = function_of(i, side);
	if (sample > 0)
		p->groups[p->group_count++] =
			(struct group){btf__type_by_id(types, (uint32_t)sample)->type,
				       bpf_object__find_map_fd_by_name(p->obj, FAMILIES)};
	for (uint32_t id = 1; id < count; id++) {
		const struct btf_type *type = btf__type_by_id(types, id);

		if (btf_is_func(type))
			note_function(p, btf__name_by_offset(types, type->name_off), id, type->type);
	}
	btf__free(types);
	leave_out_shared(p);
	return p->group_count ? 0 : -ENOENT;
}

/* Fills the object's own map of families. */
static int place_families(struct bpf_object *obj, int map)
{
	static const char *const names[] = {
#define PROGRAM(name) "call_" #name,
		NJ_PROGRAMS(PROGRAM)
#undef PROGRAM
	};
	struct bpf_program *program;

	bpf_object__for_each_program(program, obj)
		for (uint32_t place = 0; place < NJ_PROGRAM_MAX; place++) {
			int fd = bpf_program__fd(program);

			if (fd >= 0 && strcasecmp(bpf_program__name(program), names[place]) == 0 &&
			    bpf_map_update_elem(map, &place, &fd, BPF_ANY) < 0)
				return -errno;
		}
	return 0;
}

/* The families once more, behind a function of another type. The object goes again, the map that leads to them
 * stays. */
static int load_group(struct provider *p, const struct function *function)
{
	struct bpf_object *obj = p->open(p->ctx);
	char name[64];
	int r, map;

	if (!obj)
		return -ENOMEM;
	(void)snprintf(name, sizeof(name), "%s%s", function->prefix, function->name);
	r = set_target(obj, BPF_TRACE_FEXIT, name);
	if (r == 0)
		r = bpf_object__load(obj);
	map = bpf_object__find_map_fd_by_name(obj, FAMILIES);
	if (r == 0)
		r = place_families(obj, map);
	if (r == 0)
		p->groups[p->group_count++] = (struct group){function->type, fcntl(map, F_DUPFD_CLOEXEC, 3)};
	bpf_object__close(obj);
	return r;
}

static int group_of(struct provider *p, const struct function *function, const struct group **ret_group)
{
	int r = p->group_count == GROUPS_MAX ? -ENOSPC : -ENOENT;

	for (uint32_t i = 0; i < p->group_count; i++)
		if (p->groups[i].type == function->type) {
			*ret_group = &p->groups[i];
			return 0;
		}
	if (r == -ENOENT)
		r = load_group(p, function);
	*ret_group = &p->groups[p->group_count - 1];
	return r;
}

static void replace_map(struct bpf_insn *code, size_t count, int map, int instead)
{
	for (size_t i = 0; i < count; i++)
		if (code[i].code == (BPF_LD | BPF_IMM | BPF_DW) && code[i].src_reg == BPF_PSEUDO_MAP_FD &&
		    code[i].imm == map)
			code[i].imm = instead;
}

/* The hook that the object was loaded with once more, behind another function: its instructions are those that the
 * kernel took already, with the descriptors of maps in them. */
static int load_hook(const struct provider *p, const struct function *function, const struct group *group)
{
	const struct bpf_program *loaded =
		bpf_object__find_program_by_name(p->obj, kinds[PROVIDER_FUNCTION].program);
	size_t count = bpf_program__insn_cnt(loaded);
	_cleanup_(freep) struct bpf_insn *code = calloc(count, sizeof(*code));
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_TRACE_FEXIT, .attach_btf_id = function->id);

	if (!code)
		return -ENOMEM;
	memcpy(code, bpf_program__insns(loaded), count * sizeof(*code));
	replace_map(code, count, p->groups[0].programs, group->programs);
	return bpf_prog_load(BPF_PROG_TYPE_TRACING, bpf_program__name(loaded), "GPL", code, count, &options);
}

static int attach_function(struct provider *p, size_t call, enum side side)
{
	const struct function *function = &p->functions[call][side];
	_cleanup_(closep) int program = -1;
	const struct group *group;
	int r = group_of(p, function, &group);

	if (r < 0)
		return r;
	program = load_hook(p, function, group);
	r = program < 0 ? program : bpf_link_create(program, 0, BPF_TRACE_FEXIT, NULL);
	if (r < 0)
		return r;
	p->hooks[call][side] = (struct hook){NULL, r, take_fd(&program)};
	return 0;
}

static int attach(struct provider *p, size_t call, enum side side)
{
	if (p->kind == PROVIDER_PER_CALL)
		return side == NATIVE ? attach_tracepoint(p, call) : 0;
	return p->functions[call][side].id ? attach_function(p, call, side) : 0;
}

static int want_call(struct provider *p, size_t call, enum side side, bool wanted)
{
	if (wanted)
		return is_attached(&p->hooks[call][side]) ? 0 : attach(p, call, side);
	detach(&p->hooks[call][side]);
	return 0;
}

/* Absent tracepoints are calls that the kernel does not have, unless all are absent. */
static bool has_tracepoints(void)
{
	return access("/sys/kernel/tracing/events/syscalls", F_OK) == 0 ||
	       access("/sys/kernel/debug/tracing/events/syscalls", F_OK) == 0;
}

static int prepare_hooks(struct provider *p)
{
	if (p->kind == PROVIDER_PER_CALL)
		return has_tracepoints() ? 0 : -ENOENT;
	return p->group_count ? 0 : find_functions(p);
}

int provider_want(struct provider *p, uint64_t classes)
{
	int failed = prepare_hooks(p);

	p->failed = failed < 0 ? UINT64_MAX : 0;
	for (size_t i = 0; i < CALLS; i++)
		for (enum side side = NATIVE; side < SIDES; side++) {
			uint64_t of_call = policy_act_classes[calls[i].act];
			int r = want_call(p, i, side, calls[i].has[side] && of_call & classes);

			p->failed |= r < 0 ? of_call : 0;
			failed = r < 0 ? r : failed;
		}
	return failed;
}

uint64_t provider_failed(const struct provider *p)
{
	return p->failed;
}

uint32_t provider_attached(const struct provider *p)
{
	uint32_t count = 0;

	for (size_t i = 0; i < CALLS; i++)
		count += is_attached(&p->hooks[i][NATIVE]) + is_attached(&p->hooks[i][COMPAT]);
	return count;
}

uint64_t provider_missed(const struct provider *p)
{
	uint64_t missed = 0;

	for (size_t i = 0; i < CALLS; i++)
		for (enum side side = NATIVE; side < SIDES; side++)
			missed += hook_missed(p->hooks[i][side].program);
	return missed;
}
