/* Names of kinds, and the size and the copy of a container; see event.h. */
#include "common/event.h"

#include <stdlib.h>

static const char *const event_names[EVENT_KIND_MAX] = {
	[EVENT_KIND_FORK] = "fork",	    [EVENT_KIND_EXEC] = "exec",
	[EVENT_KIND_EXIT] = "exit",	    [EVENT_KIND_CONNECT] = "connect",
	[EVENT_KIND_ESTABLISHED] = "established", [EVENT_KIND_CLOSE] = "close",
	[EVENT_KIND_LISTEN] = "listen",	    [EVENT_KIND_ACCEPT] = "accept",
	[EVENT_KIND_OPEN] = "open",	    [EVENT_KIND_DUP] = "dup",
	[EVENT_KIND_PIPE] = "pipe",	    [EVENT_KIND_CRED] = "cred",
	[EVENT_KIND_EXEC_FAILED] = "exec_failed", [EVENT_KIND_UNLINK] = "unlink",
	[EVENT_KIND_RENAME] = "rename",	    [EVENT_KIND_LINK] = "link",
	[EVENT_KIND_CHMOD] = "chmod",	    [EVENT_KIND_CHOWN] = "chown",
	[EVENT_KIND_UTIME] = "utime",	    [EVENT_KIND_TRUNCATE] = "truncate",
	[EVENT_KIND_MKDIR] = "mkdir",	    [EVENT_KIND_MKNOD] = "mknod",
	[EVENT_KIND_MOUNT] = "mount",	    [EVENT_KIND_UMOUNT] = "umount",
	[EVENT_KIND_ROOT] = "root",	    [EVENT_KIND_SOCKET] = "socket",
	[EVENT_KIND_BIND] = "bind",	    [EVENT_KIND_SEND] = "send",
	[EVENT_KIND_RECEIVE] = "receive",   [EVENT_KIND_DNS] = "dns",
	[EVENT_KIND_FIRST_BYTES] = "first_bytes", [EVENT_KIND_PASS] = "pass",
	[EVENT_KIND_NAMESPACE] = "namespace", [EVENT_KIND_PTRACE] = "ptrace",
	[EVENT_KIND_PROCESS_VM] = "process_vm", [EVENT_KIND_MODULE] = "module",
	[EVENT_KIND_BPF] = "bpf",	    [EVENT_KIND_PERF] = "perf",
	[EVENT_KIND_USERFAULTFD] = "userfaultfd", [EVENT_KIND_KEYCTL] = "keyctl",
	[EVENT_KIND_MEMFD] = "memfd",	    [EVENT_KIND_MEMORY_EXEC] = "memory_exec",
	[EVENT_KIND_SIGNAL] = "signal",	    [EVENT_KIND_SPLICE] = "splice",
	[EVENT_KIND_IO_URING] = "io_uring", [EVENT_KIND_CGROUP] = "cgroup",
	[EVENT_KIND_CPU] = "cpu",	    [EVENT_KIND_PRCTL] = "prctl",
};

static const char *const endpoint_names[ENDPOINT_KIND_MAX] = {
	[ENDPOINT_KIND_NONE] = "none",		   [ENDPOINT_KIND_PIPE] = "pipe",
	[ENDPOINT_KIND_FIFO] = "fifo",		   [ENDPOINT_KIND_TCP] = "tcp",
	[ENDPOINT_KIND_UDP] = "udp",		   [ENDPOINT_KIND_UNIX] = "unix",
	[ENDPOINT_KIND_PTY_MASTER] = "pty_master", [ENDPOINT_KIND_PTY_SLAVE] = "pty_slave",
	[ENDPOINT_KIND_SOCKET_OTHER] = "socket",
};

const struct event_detail *event_detail(const struct event *event)
{
	static const struct event_detail none = {.call = "", .path2 = "", .raw_path2 = "", .text = ""};

	return event->detail ? event->detail : &none;
}

const char *event_kind_name(enum event_kind kind)
{
	const char *name = (unsigned int)kind < EVENT_KIND_MAX ? event_names[kind] : NULL;

	return name ? name : "unknown";
}

const char *endpoint_kind_name(enum endpoint_kind kind)
{
	return (unsigned int)kind < ENDPOINT_KIND_MAX ? endpoint_names[kind] : "unknown";
}

const char *event_mark_name(uint32_t bit)
{
	switch (bit) {
	case EVENT_MARK_PATH_CUT:
		return "path_cut";
	case EVENT_MARK_PATH2_CUT:
		return "path2_cut";
	case EVENT_MARK_RAW_CUT:
		return "raw_cut";
	case EVENT_MARK_DATA_CUT:
		return "data_cut";
	case EVENT_MARK_RACED:
		return "raced";
	case EVENT_MARK_IO_URING:
		return "io_uring";
	case EVENT_MARK_COMPAT:
		return "compat";
	case EVENT_MARK_UNREADABLE:
		return "unreadable";
	default:
		return NULL;
	}
}

const char *process_exe_flag_name(uint32_t bit)
{
	switch (bit) {
	case PROCESS_EXE_WRITABLE:
		return "writable";
	case PROCESS_EXE_UPPER:
		return "upper_layer";
	case PROCESS_EXE_MEMFD:
		return "memfd";
	default:
		return NULL;
	}
}

uint16_t event_kind_endpoints(enum event_kind kind)
{
	switch (kind) {
	case EVENT_KIND_CONNECT:
	case EVENT_KIND_ESTABLISHED:
	case EVENT_KIND_CLOSE:
	case EVENT_KIND_LISTEN:
	case EVENT_KIND_ACCEPT:
	case EVENT_KIND_DUP:
	case EVENT_KIND_BIND:
	case EVENT_KIND_SEND:
	case EVENT_KIND_RECEIVE:
	case EVENT_KIND_DNS:
	case EVENT_KIND_FIRST_BYTES:
	case EVENT_KIND_PASS:
		return 1;
	case EVENT_KIND_PIPE:
	case EVENT_KIND_SPLICE:
		return 2;
	default:
		return 0;
	}
}

static size_t text_bytes(const char *text)
{
	return bytes_of_text(text).len;
}

size_t container_def_bytes(const struct container_def *c)
{
	size_t bytes = text_bytes(c->container_id) + text_bytes(c->pod_uid) + text_bytes(c->name) +
		       text_bytes(c->image) + text_bytes(c->pod) + text_bytes(c->namespace) +
		       text_bytes(c->cgroup) + text_bytes(c->image_id) + text_bytes(c->workload);

	for (uint16_t i = 0; i < c->label_count; i++)
		bytes += text_bytes(c->labels[i].key) + text_bytes(c->labels[i].value);
	for (uint16_t i = 0; i < c->mount_count; i++)
		bytes += text_bytes(c->mounts[i].source) + text_bytes(c->mounts[i].destination) +
			 text_bytes(c->mounts[i].propagation);
	return bytes;
}

/* Appends a terminated text to what *end points at. */
static const char *append(char **end, const char *text)
{
	size_t size = text_bytes(text) + 1;
	char *copy = *end;

	if (size > 1)
		memcpy(copy, text, size - 1);
	copy[size - 1] = '\0';
	*end += size;
	return copy;
}

static void append_texts(struct container_def *made, char **end)
{
	const char **texts[] = {&made->container_id, &made->pod_uid,   &made->name,
				&made->image,	     &made->pod,       &made->namespace,
				&made->cgroup,	     &made->image_id, &made->workload};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		*texts[i] = append(end, *texts[i]);
}

struct container_def *container_def_copy(const struct container_def *c)
{
	size_t texts = 9 + 2 * (size_t)c->label_count + 3 * (size_t)c->mount_count; /* their ends */
	size_t labels_size = c->label_count * sizeof(*c->labels), mounts_size = c->mount_count * sizeof(*c->mounts);
	struct container_def *made = malloc(sizeof(*made) + labels_size + mounts_size + container_def_bytes(c) + texts);
	struct container_mount *mounts;
	struct container_label *labels;
	char *end;

	if (!made)
		return NULL;
	*made = *c;
	labels = (struct container_label *)(made + 1);
	mounts = (struct container_mount *)(labels + c->label_count);
	end = (char *)(mounts + c->mount_count);
	append_texts(made, &end);
	for (uint16_t i = 0; i < c->label_count; i++)
		labels[i] = (struct container_label){append(&end, c->labels[i].key), append(&end, c->labels[i].value)};
	for (uint16_t i = 0; i < c->mount_count; i++)
		mounts[i] = (struct container_mount){
			.source = append(&end, c->mounts[i].source),
			.destination = append(&end, c->mounts[i].destination),
			.propagation = append(&end, c->mounts[i].propagation),
			.readonly = c->mounts[i].readonly,
		};
	made->labels = labels;
	made->mounts = mounts;
	return made;
}
