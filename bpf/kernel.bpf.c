/* What changes or watches the kernel itself: modules, BPF, performance counters, page faults handled by
 * a process, keys. Failed attempts too. */
#include "bpf/act.bpf.h"
#include "bpf/fdinfo.bpf.h"
#include "bpf/novelty.bpf.h"
#include "bpf/target.bpf.h"

#define ADDRESS(place) (1U << (place))
#define MODULE_NAME_MAX 64

/* From memory: where the image came from is not known. */
static __always_inline int module_loaded(struct scratch *s, const struct call *call)
{
	struct nj_act *act;

	act = act_begin(s, call, NJ_KIND_MODULE);
	act_args(act, call, 2, ADDRESS(0));
	act_add_text(NJ_PART_DATA, call->arg[2], NJ_RAW_MAX);
	act_emit(s, act, NJ_CLASS_KERNEL, EMIT_NOW);
	return 0;
}

static __always_inline int module_file_loaded(struct scratch *s, const struct call *call)
{
	struct file *file = fdinfo_current_file((int)call->arg[0]);
	struct nj_act *act;

	act = act_begin(s, call, NJ_KIND_MODULE);
	act_args(act, call, 3, ADDRESS(1));
	if (file)
		act_add_file(NJ_PART_PATH, file);
	act_add_text(NJ_PART_DATA, call->arg[1], NJ_RAW_MAX);
	act_emit(s, act, NJ_CLASS_KERNEL, EMIT_NOW);
	return 0;
}

static __always_inline int module_removed(struct scratch *s, const struct call *call)
{
	struct nj_act *act;

	act = act_begin(s, call, NJ_KIND_MODULE);
	act_args(act, call, 2, ADDRESS(0));
	act_add_text(NJ_PART_TEXT, call->arg[0], MODULE_NAME_MAX);
	act_emit(s, act, NJ_CLASS_KERNEL, EMIT_NOW);
	return 0;
}

/* Commands of bpf(2), and where a name stands in its attributes. */
enum {
	BPF_MAP_CREATE = 0,
	BPF_MAP_GET_NEXT_KEY = 4,
	BPF_PROG_LOAD = 5,
	BPF_PROG_GET_NEXT_ID = 11,
	BPF_MAP_GET_NEXT_ID = 12,
	BPF_OBJ_GET_INFO_BY_FD = 15,
	BPF_BTF_GET_NEXT_ID = 23,
	BPF_MAP_LOOKUP_BATCH = 24,
	BPF_MAP_DELETE_BATCH = 27,
	BPF_LINK_GET_NEXT_ID = 31,
	MAP_NAME_AT = 28,
	PROG_NAME_AT = 48,
};

/* Elements of maps, which a program of the day reads and writes a thousand times a second, and lists. */
static __always_inline bool command_wanted(__u32 command)
{
	if (command > BPF_MAP_CREATE && command <= BPF_MAP_GET_NEXT_KEY)
		return false;
	if (command >= BPF_MAP_LOOKUP_BATCH && command <= BPF_MAP_DELETE_BATCH)
		return false;
	return command != BPF_PROG_GET_NEXT_ID && command != BPF_MAP_GET_NEXT_ID &&
	       command != BPF_OBJ_GET_INFO_BY_FD && command != BPF_BTF_GET_NEXT_ID &&
	       command != BPF_LINK_GET_NEXT_ID;
}

static __always_inline bool makes_something(__u32 command)
{
	return command == BPF_PROG_LOAD || command == BPF_MAP_CREATE;
}

static __always_inline int bpf_called(struct scratch *s, const struct call *call)
{
	__u32 command = (__u32)call->arg[0], type = 0;
	struct nj_key *key;
	struct nj_act *act;

	if (!command_wanted(command))
		return 0;
	key = novelty_key(s, NJ_CLASS_KERNEL, NJ_KIND_BPF);
	key->flags = command;
	key->result = call->result < 0 ? (__s32)call->result : 0;
	if (!makes_something(command) && novelty_repeat())
		return 0;
	act = act_begin(s, call, NJ_KIND_BPF);
	act->arg[0] = command;
	act->arg_count = 1;
	/* The first field is a program's or map's type. */
	if (makes_something(command) && bpf_probe_read_user(&type, sizeof(type), (void *)call->arg[1]) == 0) {
		act->arg[1] = type;
		act->arg_count = 2;
		act_add_text(NJ_PART_TEXT, call->arg[1] + (command == BPF_PROG_LOAD ? PROG_NAME_AT : MAP_NAME_AT), 16);
	}
	act_emit(s, act, NJ_CLASS_KERNEL, command == BPF_PROG_LOAD ? EMIT_NOW : EMIT_LATER);
	return 0;
}

struct perf_attributes {
	__u32 type;
	__u32 size;
	__u64 config;
};

static __always_inline int perf_opened(struct scratch *s, const struct call *call)
{
	struct perf_attributes attributes = {0};
	__u64 task = target_by_number((int)call->arg[1]);
	struct nj_key *key;
	struct nj_act *act;

	bpf_probe_read_user(&attributes, sizeof(attributes), (void *)call->arg[0]);
	key = novelty_key(s, NJ_CLASS_KERNEL, NJ_KIND_PERF);
	key->flags = attributes.type;
	key->inode = attributes.config;
	target_add_key(key, task);
	key->result = call->result < 0 ? (__s32)call->result : 0;
	if (novelty_repeat())
		return 0;
	act = act_begin(s, call, NJ_KIND_PERF);
	act->arg[0] = attributes.type;
	act->arg[1] = attributes.config;
	act->arg[2] = (__u64)(__s64)(int)call->arg[1];
	act->arg[3] = (__u64)(__s64)(int)call->arg[2];
	act->arg[4] = call->arg[4];
	act->arg_count = 5;
	if (task)
		act_add_target(task);
	act_emit(s, act, NJ_CLASS_KERNEL, EMIT_LATER);
	return 0;
}

static __always_inline int faults_taken(struct scratch *s, const struct call *call)
{
	struct nj_act *act;

	act = act_begin(s, call, NJ_KIND_USERFAULTFD);
	act_args(act, call, 1, 0);
	act_emit(s, act, NJ_CLASS_KERNEL, EMIT_NOW);
	return 0;
}

enum {
	KEYCTL_GET_KEYRING_ID = 0,
	KEYCTL_JOIN_SESSION_KEYRING = 1,
	KEYCTL_DESCRIBE = 6,
	KEYCTL_SEARCH = 10,
	KEYCTL_GET_SECURITY = 17,
	KEYCTL_CAPABILITIES = 31,
};

static __always_inline bool keyctl_wanted(__u32 operation)
{
	return operation != KEYCTL_GET_KEYRING_ID && operation != KEYCTL_DESCRIBE &&
	       operation != KEYCTL_GET_SECURITY && operation != KEYCTL_CAPABILITIES;
}

static __always_inline void emit_key(struct scratch *s, struct nj_act *act, __u64 description)
{
	struct nj_key *key = novelty_key(s, NJ_CLASS_KERNEL, NJ_KIND_KEYCTL);

	key->flags = act->arg[0];
	key->inode = act->arg[1];
	key->result = act->result < 0 ? (__s32)act->result : 0;
	if (description)
		act_add_text(NJ_PART_TEXT, description, NJ_RAW_MAX);
	else if (novelty_repeat())
		return;
	act_emit(s, act, NJ_CLASS_KERNEL, EMIT_LATER);
}

static __always_inline int key_controlled(struct scratch *s, const struct call *call)
{
	__u32 operation = (__u32)call->arg[0];
	__u64 description = 0;
	struct nj_act *act;

	if (!keyctl_wanted(operation))
		return 0;
	act = act_begin(s, call, NJ_KIND_KEYCTL);
	act->arg[0] = operation;
	act->arg_count = 2;
	if (operation == KEYCTL_JOIN_SESSION_KEYRING)
		description = call->arg[1];
	else
		act->arg[1] = call->arg[1];
	if (operation == KEYCTL_SEARCH)
		description = call->arg[3];
	emit_key(s, act, description);
	return 0;
}

/* add_key and request_key: the type and the description are texts, only the latter says which. */
static __always_inline int key_asked(struct scratch *s, const struct call *call)
{
	emit_key(s, act_begin(s, call, NJ_KIND_KEYCTL), call->arg[1]);
	return 0;
}

static __always_inline int kernel_act(struct scratch *s, const struct call *call)
{
	switch (call->act) {
	case NJ_ACT_INIT_MODULE:
		return module_loaded(s, call);
	case NJ_ACT_FINIT_MODULE:
		return module_file_loaded(s, call);
	case NJ_ACT_DELETE_MODULE:
		return module_removed(s, call);
	case NJ_ACT_BPF:
		return bpf_called(s, call);
	case NJ_ACT_PERF:
		return perf_opened(s, call);
	case NJ_ACT_USERFAULTFD:
		return faults_taken(s, call);
	case NJ_ACT_KEYCTL:
		return key_controlled(s, call);
	case NJ_ACT_ADD_KEY:
		return key_asked(s, call);
	}
	return 0;
}

CALL_PROGRAM(kernel)
