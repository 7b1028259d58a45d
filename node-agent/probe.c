/* Programs are tried one after the other: each is loaded alone in a trial object when the whole
 * refuses to load, so that what the kernel accepts still works. */
#include "node-agent/probe.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <nightjar.skel.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bpf/calls.h"
#include "node-agent/dcache.h"
#include "node-agent/event_class.h"
#include "node-agent/hook.h"

#define RINGS_MAX 65

/* How a program comes to run. */
enum program_use {
	USE_HOOK,	/* attached while a class of it is wanted, in the order of the table */
	USE_CALL,	/* behind the dispatcher, at its place in the map call_programs */
	USE_DISPATCHER, /* attached while a system call is wanted */
	USE_HAND,	/* by the agent itself */
	USE_ITERATOR,	/* the same, and its class is nothing else */
};

/* A program behind the dispatcher serves the classes that its acts have in calls.h; of the others the
 * classes stand here (bits 1 << enum nj_class). */
static const struct {
	const char *name;
	enum program_use use;
	uint64_t classes;
	uint32_t place; /* enum nj_program, of USE_CALL */
} programs[] = {
	/* The end before the beginning: whoever is seen to begin is seen to end. */
	{"process_exit", USE_HOOK, NJ_BIT(PROCESS), 0},
	{"process_exec", USE_HOOK, NJ_BIT(PROCESS), 0},
	{"process_fork", USE_HOOK, NJ_BIT(PROCESS), 0},
	{"tcp_state", USE_HOOK, NJ_BIT(TCP), 0},
	{"cgroup_made", USE_HOOK, NJ_BIT(CGROUP), 0},
	{"uring_complete", USE_HOOK, NJ_BIT(IO_URING), 0},
	{"uring_submit", USE_HOOK, NJ_BIT(IO_URING), 0},
	{"egress", USE_HOOK, NJ_BIT(DNS) | NJ_BIT(PAYLOAD), 0},
	{"cgroup_gone", USE_HOOK, NJ_BIT(CGROUP), 0},
	{"syscall_exit", USE_DISPATCHER, 0, 0},
	{"tracepoint_exit", USE_DISPATCHER, 0, 0},
	{"function_exit", USE_DISPATCHER, 0, 0},
	{"call_file", USE_CALL, 0, NJ_PROGRAM_FILE},
	{"call_change", USE_CALL, 0, NJ_PROGRAM_CHANGE},
	{"call_mount", USE_CALL, 0, NJ_PROGRAM_MOUNT},
	{"call_descriptor", USE_CALL, 0, NJ_PROGRAM_DESCRIPTOR},
	{"call_socket", USE_CALL, 0, NJ_PROGRAM_SOCKET},
	{"call_message", USE_CALL, 0, NJ_PROGRAM_MESSAGE},
	{"call_privilege", USE_CALL, 0, NJ_PROGRAM_PRIVILEGE},
	{"call_namespace", USE_CALL, 0, NJ_PROGRAM_NAMESPACE},
	{"call_access", USE_CALL, 0, NJ_PROGRAM_ACCESS},
	{"call_kernel", USE_CALL, 0, NJ_PROGRAM_KERNEL},
	{"call_memory", USE_CALL, 0, NJ_PROGRAM_MEMORY},
	{"call_signal", USE_CALL, 0, NJ_PROGRAM_SIGNAL},
	{"call_splice", USE_CALL, 0, NJ_PROGRAM_SPLICE},
	{"call_exec", USE_CALL, 0, NJ_PROGRAM_EXEC},
	{"call_io_uring", USE_CALL, 0, NJ_PROGRAM_IO_URING},
	/* Behind process_fork, which tells of the child first. */
	{"namespace_fork", USE_HOOK, NJ_BIT(NAMESPACE), 0},
	{"seed_task", USE_HAND, NJ_BIT(PROCESS), 0},
	{"seed_sockets", USE_HAND, NJ_BIT(TCP), 0},
	{"cpu_sample", USE_ITERATOR, NJ_BIT(CPU), 0},
	{"selftest_own", USE_HAND, NJ_BIT(PROCESS), 0},
	{"walk_sample", USE_HAND, NJ_BIT(CHANGE), 0},
};
#define PROGRAMS (sizeof(programs) / sizeof(programs[0]))
_Static_assert(PROGRAMS <= 64, "programs are chosen by the bits of a word");

static const struct {
	uint32_t program; /* enum nj_program */
	uint64_t classes;
} acts[NJ_ACT_MAX] = {
#define ACT(name, program, classes) [NJ_ACT_##name] = {NJ_PROGRAM_##program, (classes)},
	NJ_ACTS(ACT)
#undef ACT
};

struct probe {
	struct nightjar_bpf *skel;
	enum provider_kind kind;
	struct provider *provider; /* of PER_CALL and FUNCTION, whose hooks are many */
	struct bpf_link *links[PROGRAMS];
	uint64_t classes[PROGRAMS]; /* that a program serves; 0: it is not part of this build */
	int refused[PROGRAMS];	    /* negative errno of load or attach; 0 works */
	int dcache; /* negative: the kernel's directory cache was not found */
	bool attached;
	uint64_t wanted; /* classes */
	uint32_t rings;
	int ring_fds[RINGS_MAX];
	uint64_t ring_bytes[RINGS_MAX];
	const struct nj_window *windows;
	uint32_t window_count;
	struct capture_coverage coverage[NJ_CLASS_MAX];
	uint32_t coverages;
};

static int quiet(enum libbpf_print_level level, const char *fmt, va_list args)
{
	(void)level;
	(void)fmt;
	(void)args;
	return 0;
}

static struct bpf_program *program_of(struct nightjar_bpf *skel, size_t i)
{
	return bpf_object__find_program_by_name(skel->obj, programs[i].name);
}

static uint64_t classes_of(size_t i)
{
	uint64_t classes = programs[i].classes;

	for (uint32_t act = NJ_ACT_NONE + 1; act < NJ_ACT_MAX; act++)
		if (programs[i].use == USE_DISPATCHER ||
		    (programs[i].use == USE_CALL && acts[act].program == programs[i].place))
			classes |= acts[act].classes;
	return classes;
}

/* Opens the object with only the chosen programs (a bit each), sized for this machine. */
static struct nightjar_bpf *open_with(const struct probe_config *config, enum provider_kind kind, uint64_t chosen)
{
	struct nightjar_bpf *skel = nightjar_bpf__open();
	struct bpf_program *program;

	if (!skel)
		return NULL;
	bpf_object__for_each_program(program, skel->obj)
		(void)bpf_program__set_autoload(program, false);
	for (size_t i = 0; i < PROGRAMS; i++)
		if (chosen & (1ULL << i) && program_of(skel, i) && provider_uses(kind, programs[i].name))
			(void)bpf_program__set_autoload(program_of(skel, i), true);
	provider_prepare(kind, skel->obj);
	(void)bpf_program__set_attach_target(skel->progs.uring_submit, 0, config->kernel.submission);
	if (config->refused)
		(void)bpf_program__set_attach_target(
			bpf_object__find_program_by_name(skel->obj, config->refused), 0, "rcu_utilization");
	(void)bpf_map__set_max_entries(skel->maps.rings, config->cpu_rings + 1);
	skel->rodata->ring_count = config->cpu_rings;
	skel->rodata->cpu_ring_bytes = (uint32_t)config->cpu_ring_bytes;
	skel->rodata->process_ring_bytes = (uint32_t)config->process_ring_bytes;
	skel->rodata->use_v1_cgroup = config->use_v1_cgroup;
	skel->rodata->has_rdonly_cast = config->kernel.has_rdonly_cast;
	skel->rodata->completes_by_cqe = config->kernel.completes_by_cqe;
	(void)bpf_map__set_max_entries(skel->maps.windows, config->windows_per_cpu * config->cpus);
	skel->rodata->windows_per_cpu = config->windows_per_cpu;
	skel->rodata->novelty_seed = config->seed;
	return skel;
}

/* Finds which programs load, each in an object of its own. */
static uint64_t try_each(struct probe *p, const struct probe_config *config)
{
	uint64_t chosen = 0;

	for (size_t i = 0; i < PROGRAMS; i++) {
		struct nightjar_bpf *trial;

		if (!p->classes[i])
			continue;
		trial = open_with(config, p->kind, 1ULL << i);
		p->refused[i] = trial ? nightjar_bpf__load(trial) : -ENOMEM;
		nightjar_bpf__destroy(trial);
		if (p->refused[i] == 0)
			chosen |= 1ULL << i;
	}
	return chosen;
}

static int load_as(struct probe *p, const struct probe_config *config, enum provider_kind kind, struct err *e)
{
	int r;

	p->kind = kind;
	memset(p->refused, 0, sizeof(p->refused));
	p->skel = open_with(config, kind, UINT64_MAX);
	if (!p->skel)
		return err_set(e, -errno, "cannot open the BPF object: %s", strerror(errno));
	for (size_t i = 0; i < PROGRAMS; i++)
		p->classes[i] = program_of(p->skel, i) && provider_uses(kind, programs[i].name) ? classes_of(i) : 0;
	r = nightjar_bpf__load(p->skel);
	if (r == 0)
		return 0;
	nightjar_bpf__destroy(p->skel);
	p->skel = open_with(config, kind, try_each(p, config));
	if (!p->skel)
		return err_set(e, -ENOMEM, "cannot open the BPF object: out of memory");
	r = nightjar_bpf__load(p->skel);
	if (r < 0)
		return err_set(e, r, "cannot load the BPF programs: %s", strerror(-r));
	return 0;
}

static bool sees_calls(const struct probe *p)
{
	for (size_t i = 0; i < PROGRAMS; i++)
		if (programs[i].use == USE_DISPATCHER && p->classes[i] && p->refused[i] == 0)
			return true;
	return false;
}

/* With the provider that was asked for, or the first of those that see most which this kernel allows. */
static int load(struct probe *p, const struct probe_config *config, struct err *e)
{
	static const enum provider_kind by_sight[] = {PROVIDER_SYS_EXIT, PROVIDER_FUNCTION, PROVIDER_PER_CALL};
	int r = 0;

	if (config->provider != PROVIDER_AUTO)
		return load_as(p, config, config->provider, e);
	for (size_t i = 0; i < sizeof(by_sight) / sizeof(by_sight[0]); i++) {
		nightjar_bpf__destroy(p->skel);
		p->skel = NULL;
		r = load_as(p, config, by_sight[i], e);
		if (r == 0 && sees_calls(p))
			return 0;
	}
	return r;
}

/* The maps are those of the first object, but for the one that leads to the families, whose programs must be of
 * one kind. Maps stand in the same order in both. */
static struct bpf_object *open_families(void *ctx)
{
	struct probe *p = ctx;
	size_t size;
	const void *elf = nightjar_bpf__elf_bytes(&size);
	struct bpf_object *obj = bpf_object__open_mem(elf, size, NULL);
	struct bpf_map *shared = bpf_object__next_map(p->skel->obj, NULL), *map;
	struct bpf_program *program;

	if (!obj)
		return NULL;
	bpf_object__for_each_program(program, obj)
		(void)bpf_program__set_autoload(program, false);
	for (size_t i = 0; i < PROGRAMS; i++)
		if (programs[i].use == USE_CALL && p->classes[i] && p->refused[i] == 0)
			(void)bpf_program__set_autoload(
				bpf_object__find_program_by_name(obj, programs[i].name), true);
	for (map = bpf_object__next_map(obj, NULL); map && shared; map = bpf_object__next_map(obj, map)) {
		if (shared != p->skel->maps.call_programs && bpf_map__reuse_fd(map, bpf_map__fd(shared)) < 0) {
			bpf_object__close(obj);
			return NULL;
		}
		shared = bpf_object__next_map(p->skel->obj, shared);
	}
	return obj;
}

static int make_rings(struct probe *p, const struct probe_config *config, struct err *e)
{
	for (uint32_t i = 0; i <= config->cpu_rings; i++) {
		uint64_t bytes = i == 0 ? config->process_ring_bytes : config->cpu_ring_bytes;
		int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "nj_ring", 0, 0, (uint32_t)bytes, NULL);

		if (fd < 0)
			return err_set(e, fd, "cannot make a ring of %llu bytes: %s", (unsigned long long)bytes,
				       strerror(-fd));
		p->ring_fds[p->rings] = fd;
		p->ring_bytes[p->rings++] = bytes;
		if (bpf_map_update_elem(bpf_map__fd(p->skel->maps.rings), &i, &fd, BPF_ANY) < 0)
			return err_set(e, -errno, "cannot install a ring: %s", strerror(errno));
	}
	return 0;
}

static int map_windows(struct probe *p, struct err *e)
{
	uint32_t count = bpf_map__max_entries(p->skel->maps.windows);
	void *at = mmap(NULL, count * sizeof(struct nj_window), PROT_READ, MAP_SHARED,
			bpf_map__fd(p->skel->maps.windows), 0);

	if (at == MAP_FAILED)
		return err_set(e, -errno, "cannot map the windows of repeats: %s", strerror(errno));
	p->windows = at;
	p->window_count = count;
	return 0;
}

/* Lets the kernel say who we are, which getpid() in a pid namespace does not. */
static int note_own(struct probe *p)
{
	LIBBPF_OPTS(bpf_test_run_opts, options);

	return bpf_prog_test_run_opts(bpf_program__fd(p->skel->progs.selftest_own), &options);
}

static int sample_dcache(void *ctx, int fd, struct nj_dcache_sample *ret_sample)
{
	struct probe *p = ctx;
	uint64_t args[1] = {(uint64_t)fd};
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = args, .ctx_size_in = sizeof(args));
	int r = bpf_prog_test_run_opts(bpf_program__fd(p->skel->progs.walk_sample), &options);

	if (r < 0 || options.retval != 1)
		return r < 0 ? r : -ENOENT;
	*ret_sample = p->skel->bss->dcache_sample;
	return 0;
}

int probe_new(const struct probe_config *config, struct probe **ret_probe, struct err *e)
{
	_cleanup_(probe_freep) struct probe *p = calloc(1, sizeof(*p));
	struct probe_config here = *config;
	libbpf_print_fn_t before;
	int r;

	if (!p || config->cpu_rings + 1 > RINGS_MAX)
		return err_set(e, -ENOMEM, "cannot load the BPF programs: out of memory");
	p->wanted = UINT64_MAX;
	before = libbpf_set_print(quiet);
	here.kernel = hook_of_kernel();
	r = load(p, &here, e);
	(void)libbpf_set_print(before);
	if (r == 0)
		r = make_rings(p, config, e);
	if (r == 0)
		r = map_windows(p, e);
	if (r < 0)
		return r;
	if (p->kind != PROVIDER_SYS_EXIT) {
		p->provider = provider_new(p->kind, p->skel->obj, open_families, p);
		if (!p->provider)
			return err_set(e, -ENOMEM, "cannot load the BPF programs: out of memory");
	}
	if (note_own(p) < 0)
		probe_settings(p)->own_tgid = (uint32_t)getpid();
	p->dcache = dcache_find(sample_dcache, p, &p->skel->bss->dcache);
	*ret_probe = take_ptr(p);
	return 0;
}

void probe_free(struct probe *p)
{
	if (!p)
		return;
	provider_free(p->provider);
	for (size_t i = 0; i < PROGRAMS; i++)
		(void)bpf_link__destroy(p->links[i]);
	for (uint32_t i = 0; i < p->rings; i++)
		(void)close(p->ring_fds[i]);
	if (p->windows)
		(void)munmap((void *)(uintptr_t)p->windows, p->window_count * sizeof(struct nj_window));
	nightjar_bpf__destroy(p->skel);
	free(p);
}

/* What stands between a class and full coverage. */
struct verdict {
	uint32_t hooks, hooks_missing;	/* a class with one of several hooks is seen in part */
	uint32_t calls, calls_missing;	/* so is one with some of its calls */
	bool blind;			/* without the dispatcher there are no calls */
};

static void judge(struct verdict *v, enum program_use use, bool missing)
{
	bool hook = use == USE_HOOK || use == USE_ITERATOR;

	v->hooks += hook;
	v->hooks_missing += hook && missing;
	v->calls += use == USE_CALL;
	v->calls_missing += use == USE_CALL && missing;
	v->blind |= use == USE_DISPATCHER && missing;
}

/* Whether the names that a call was given are followed to what they stand for. */
static bool follows_paths(uint32_t class)
{
	return class == NJ_CLASS_CHANGE || class == NJ_CLASS_MOUNT;
}

static const char *state_of(const struct verdict *v)
{
	uint32_t missing = v->hooks_missing + (v->blind ? v->calls : v->calls_missing);

	return missing == 0 ? "full" : missing < v->hooks + v->calls ? "degraded" : "missing";
}

/* Behind the hook that sees system calls, or that hook. */
static bool is_of_calls(size_t i)
{
	return programs[i].use == USE_CALL || programs[i].use == USE_DISPATCHER;
}

/* What is not seen though every program of the class works; "" when nothing is. */
static const char *caveat_of(const struct probe *p, uint32_t class, bool has_calls)
{
	if (has_calls && p->provider && provider_failed(p->provider) & (1ULL << class))
		return "some of its calls cannot be hooked";
	if (has_calls && provider_blindness(p->kind)[0])
		return provider_blindness(p->kind);
	return p->dcache < 0 && follows_paths(class) ? "paths are as given: no directory cache found" : "";
}

/* False: no program of this build serves the class. */
static bool fill_row(const struct probe *p, uint32_t class, struct capture_coverage *ret_row)
{
	struct capture_coverage row = {.class = event_class_name(class)};
	struct verdict v = {0};
	const char *why;

	for (size_t i = 0; i < PROGRAMS; i++) {
		int r = p->refused[i];

		if (!(p->classes[i] & (1ULL << class)) || programs[i].use == USE_HAND)
			continue;
		judge(&v, programs[i].use, r < 0);
		if (!row.provider[0])
			(void)snprintf(row.provider, sizeof(row.provider), "%s",
				       is_of_calls(i) ? provider_hook(p->kind)
						      : bpf_program__section_name(program_of(p->skel, i)));
		if (r < 0)
			(void)snprintf(row.reason, sizeof(row.reason), "%s refused: %s", programs[i].name,
				       strerror(-r));
	}
	row.state = state_of(&v);
	why = strcmp(row.state, "full") == 0 ? caveat_of(p, class, v.calls > 0) : "";
	if (why[0]) {
		row.state = "degraded";
		(void)snprintf(row.reason, sizeof(row.reason), "%s", why);
	}
	*ret_row = row;
	return v.hooks + v.calls > 0;
}

static void fill_coverage(struct probe *p)
{
	p->coverages = 0;
	for (uint32_t class = 0; class < NJ_CLASS_MAX; class++)
		p->coverages += fill_row(p, class, &p->coverage[p->coverages]);
}

/* A program that is attached by itself. */
static int set_hook(struct probe *p, size_t i, bool wanted)
{
	/* Attached from the start: by the time that it is wanted we may no longer. */
	wanted = wanted || hook_stays(program_of(p->skel, i));
	if (programs[i].use == USE_DISPATCHER && p->provider) {
		int r = provider_want(p->provider, p->wanted);

		p->refused[i] = provider_attached(p->provider) == 0 ? r : 0;
		return r;
	}
	if (!wanted) {
		(void)bpf_link__destroy(p->links[i]);
		p->links[i] = NULL;
		return 0;
	}
	if (p->links[i])
		return 0;
	p->links[i] = hook_attach(program_of(p->skel, i));
	if (!p->links[i])
		p->refused[i] = -errno;
	return p->refused[i];
}

/* A program behind the dispatcher. */
static int set_call(struct probe *p, size_t i, bool wanted)
{
	int map = bpf_map__fd(p->skel->maps.call_programs);
	int fd = bpf_program__fd(program_of(p->skel, i));

	if (!wanted)
		return bpf_map_delete_elem(map, &programs[i].place) < 0 && errno != ENOENT ? -errno : 0;
	if (bpf_map_update_elem(map, &programs[i].place, &fd, BPF_ANY) < 0)
		p->refused[i] = -errno;
	return p->refused[i];
}

/* Puts programs of one use to work, or out of it; *ret_working counts those that hang on a hook. */
static int set_programs(struct probe *p, enum program_use use, uint32_t *ret_working)
{
	int failed = 0;

	for (size_t i = 0; i < PROGRAMS; i++) {
		bool wanted = p->classes[i] & p->wanted;
		int r;

		if (programs[i].use != use || !p->classes[i] || p->refused[i] < 0)
			continue;
		r = use == USE_CALL ? set_call(p, i, wanted) : set_hook(p, i, wanted);
		failed = r < 0 ? r : failed;
		*ret_working += p->links[i] != NULL;
		*ret_working += use == USE_DISPATCHER && p->provider ? provider_attached(p->provider) : 0;
	}
	return failed;
}

int probe_attach(struct probe *p, struct err *e)
{
	uint32_t working = 0;

	p->attached = true;
	(void)set_programs(p, USE_HOOK, &working);
	(void)set_programs(p, USE_CALL, &working);
	(void)set_programs(p, USE_DISPATCHER, &working);
	fill_coverage(p);
	if (working == 0)
		return err_set(e, -ENOTSUP, "the kernel refuses every hook: %s", p->coverage[0].reason);
	return 0;
}

int probe_want(struct probe *p, uint64_t classes, struct err *e)
{
	uint32_t working = 0;
	int r = 0;

	p->wanted = classes;
	if (!p->attached)
		return 0;
	for (enum program_use use = USE_HOOK; use < USE_HAND; use++) {
		int failed = set_programs(p, use, &working);

		r = failed < 0 ? failed : r;
	}
	if (r == 0)
		return 0;
	fill_coverage(p);
	return err_set(e, r, "cannot attach all that is wanted: %s", strerror(-r));
}

uint32_t probe_ring_count(const struct probe *p)
{
	return p->rings;
}

int probe_ring_fd(const struct probe *p, uint32_t ring)
{
	return p->ring_fds[ring];
}

uint64_t probe_ring_bytes(const struct probe *p, uint32_t ring)
{
	return p->ring_bytes[ring];
}

struct nj_settings *probe_settings(struct probe *p)
{
	return &p->skel->bss->settings;
}

struct nj_bell *probe_bell(struct probe *p)
{
	return &p->skel->bss->bell;
}

/* The class that a program's missed runs count for. */
static uint32_t lowest(uint64_t classes)
{
	return (uint32_t)__builtin_ctzll(classes);
}

void probe_missed(struct probe *p, uint64_t ret_missed[static NJ_CLASS_MAX])
{
	memset(ret_missed, 0, NJ_CLASS_MAX * sizeof(uint64_t));
	for (size_t i = 0; i < PROGRAMS; i++)
		if ((programs[i].use == USE_HOOK || programs[i].use == USE_DISPATCHER) && p->classes[i])
			ret_missed[lowest(p->classes[i])] += hook_missed(bpf_program__fd(program_of(p->skel, i)));
	if (p->provider)
		ret_missed[NJ_CLASS_FILE] += provider_missed(p->provider);
}

static void add_counts(const struct nj_counts *from, struct nj_counts *to)
{
	for (uint32_t class = 0; class < NJ_CLASS_MAX; class++) {
		to->seen[class] += from->seen[class] + from->suppressed[class];
		to->suppressed[class] += from->suppressed[class];
		to->lost[class] += from->lost[class];
	}
	to->ownerless += from->ownerless;
}

int probe_counts(struct probe *p, int only_cpu, struct nj_counts *ret_counts)
{
	int cpus = libbpf_num_possible_cpus();
	_cleanup_(freep) struct nj_counts *rows = calloc(cpus > 0 ? (size_t)cpus : 1, sizeof(*rows));
	struct nj_counts sum = {0};
	uint32_t zero = 0;

	*ret_counts = sum;
	if (only_cpu >= cpus)
		return -EINVAL;
	if (!rows || bpf_map_lookup_elem(bpf_map__fd(p->skel->maps.counts), &zero, rows) < 0)
		return rows ? -errno : -ENOMEM;
	for (int cpu = 0; cpu < cpus; cpu++)
		if (only_cpu < 0 || cpu == only_cpu)
			add_counts(&rows[cpu], &sum);
	*ret_counts = sum;
	return 0;
}

void probe_maps(const struct probe *p, struct policy_maps *ret_maps)
{
	*ret_maps = (struct policy_maps){
		.open_names = bpf_map__fd(p->skel->maps.open_names),
		.open_prefixes = bpf_map__fd(p->skel->maps.open_prefixes),
		.ports = bpf_map__fd(p->skel->maps.ports),
		.workloads = bpf_map__fd(p->skel->maps.workloads),
	};
}

uint32_t probe_windows(const struct probe *p, const struct nj_window **ret_windows)
{
	*ret_windows = p->windows;
	return p->window_count;
}

/* Runs an iterator to its end. The kernel gives whole records, as many as there is room for. */
static int iterate(const struct bpf_program *program, void (*add)(void *ctx, struct bytes records), void *ctx)
{
	struct bpf_link *link = bpf_program__attach_iter(program, NULL);
	_cleanup_(closep) int fd = link ? bpf_iter_create(bpf_link__fd(link)) : -1;
	uint8_t chunk[400 * sizeof(struct nj_cpu)];
	ssize_t n = -1;

	while (fd >= 0 && (n = read(fd, chunk, sizeof(chunk))) > 0)
		add(ctx, bytes_of(chunk, (size_t)n));
	if (n < 0)
		n = -errno;
	(void)bpf_link__destroy(link);
	return n < 0 ? (int)n : 0;
}

static void add_to_buf(void *ctx, struct bytes records)
{
	buf_add(ctx, records.data, records.len);
}

int probe_seed(struct probe *p, struct buf *out)
{
	struct buf none = {0};
	int r = iterate(p->skel->progs.seed_sockets, add_to_buf, &none);

	buf_done(&none);
	if (r < 0)
		return r;
	r = iterate(p->skel->progs.seed_task, add_to_buf, out);
	return r < 0 ? r : buf_error(out);
}

int probe_sample_cpu(struct probe *p, void (*add)(void *ctx, struct bytes records), void *ctx)
{
	return iterate(p->skel->progs.cpu_sample, add, ctx);
}

uint32_t probe_coverages(const struct probe *p, const struct capture_coverage **ret_rows)
{
	*ret_rows = p->coverage;
	return p->coverages;
}

bool probe_cost(struct probe *p, uint32_t program, const char **ret_name, uint64_t *ret_ns, uint64_t *ret_runs)
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);

	if (program >= PROGRAMS)
		return false;
	*ret_name = programs[program].name;
	*ret_ns = *ret_runs = 0;
	if (p->classes[program] && bpf_obj_get_info_by_fd(bpf_program__fd(program_of(p->skel, program)), &info, &size) == 0) {
		*ret_ns = info.run_time_ns;
		*ret_runs = info.run_cnt;
	}
	return true;
}
