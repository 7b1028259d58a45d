/* Classes of events; see event_class.h. */
#include "node-agent/event_class.h"

static const char *const names[NJ_CLASS_MAX] = {
	[NJ_CLASS_PROCESS] = "process",	      [NJ_CLASS_TCP] = "tcp",
	[NJ_CLASS_FILE] = "file",	      [NJ_CLASS_DESCRIPTOR] = "descriptor",
	[NJ_CLASS_SOCKET] = "socket",	      [NJ_CLASS_PRIVILEGE] = "privilege",
	[NJ_CLASS_CGROUP] = "cgroup",	      [NJ_CLASS_CHANGE] = "change",
	[NJ_CLASS_MOUNT] = "mount",	      [NJ_CLASS_MESSAGE] = "message",
	[NJ_CLASS_DNS] = "dns",		      [NJ_CLASS_PAYLOAD] = "payload",
	[NJ_CLASS_EXEC_FAILED] = "exec_failed", [NJ_CLASS_NAMESPACE] = "namespace",
	[NJ_CLASS_ACCESS] = "access",	      [NJ_CLASS_KERNEL] = "kernel",
	[NJ_CLASS_MEMORY] = "memory",	      [NJ_CLASS_SIGNAL] = "signal",
	[NJ_CLASS_SPLICE] = "splice",	      [NJ_CLASS_IO_URING] = "io_uring",
	[NJ_CLASS_CPU] = "cpu",
};

/* Of kinds whose class does not depend on the socket. */
static const uint8_t classes[EVENT_KIND_MAX] = {
	[EVENT_KIND_FORK] = NJ_CLASS_PROCESS,
	[EVENT_KIND_EXEC] = NJ_CLASS_PROCESS,
	[EVENT_KIND_EXIT] = NJ_CLASS_PROCESS,
	[EVENT_KIND_CONNECT] = NJ_CLASS_SOCKET,
	[EVENT_KIND_ESTABLISHED] = NJ_CLASS_TCP,
	[EVENT_KIND_CLOSE] = NJ_CLASS_TCP,
	[EVENT_KIND_LISTEN] = NJ_CLASS_SOCKET,
	[EVENT_KIND_ACCEPT] = NJ_CLASS_SOCKET,
	[EVENT_KIND_OPEN] = NJ_CLASS_FILE,
	[EVENT_KIND_DUP] = NJ_CLASS_DESCRIPTOR,
	[EVENT_KIND_PIPE] = NJ_CLASS_DESCRIPTOR,
	[EVENT_KIND_CRED] = NJ_CLASS_PRIVILEGE,
	[EVENT_KIND_EXEC_FAILED] = NJ_CLASS_EXEC_FAILED,
	[EVENT_KIND_UNLINK] = NJ_CLASS_CHANGE,
	[EVENT_KIND_RENAME] = NJ_CLASS_CHANGE,
	[EVENT_KIND_LINK] = NJ_CLASS_CHANGE,
	[EVENT_KIND_CHMOD] = NJ_CLASS_CHANGE,
	[EVENT_KIND_CHOWN] = NJ_CLASS_CHANGE,
	[EVENT_KIND_UTIME] = NJ_CLASS_CHANGE,
	[EVENT_KIND_TRUNCATE] = NJ_CLASS_CHANGE,
	[EVENT_KIND_MKDIR] = NJ_CLASS_CHANGE,
	[EVENT_KIND_MKNOD] = NJ_CLASS_CHANGE,
	[EVENT_KIND_MOUNT] = NJ_CLASS_MOUNT,
	[EVENT_KIND_UMOUNT] = NJ_CLASS_MOUNT,
	[EVENT_KIND_ROOT] = NJ_CLASS_MOUNT,
	[EVENT_KIND_SOCKET] = NJ_CLASS_SOCKET,
	[EVENT_KIND_BIND] = NJ_CLASS_SOCKET,
	[EVENT_KIND_SEND] = NJ_CLASS_MESSAGE,
	[EVENT_KIND_RECEIVE] = NJ_CLASS_MESSAGE,
	[EVENT_KIND_DNS] = NJ_CLASS_DNS,
	[EVENT_KIND_FIRST_BYTES] = NJ_CLASS_PAYLOAD,
	[EVENT_KIND_PASS] = NJ_CLASS_DESCRIPTOR,
	[EVENT_KIND_NAMESPACE] = NJ_CLASS_NAMESPACE,
	[EVENT_KIND_PTRACE] = NJ_CLASS_ACCESS,
	[EVENT_KIND_PROCESS_VM] = NJ_CLASS_ACCESS,
	[EVENT_KIND_MODULE] = NJ_CLASS_KERNEL,
	[EVENT_KIND_BPF] = NJ_CLASS_KERNEL,
	[EVENT_KIND_PERF] = NJ_CLASS_KERNEL,
	[EVENT_KIND_USERFAULTFD] = NJ_CLASS_KERNEL,
	[EVENT_KIND_KEYCTL] = NJ_CLASS_KERNEL,
	[EVENT_KIND_MEMFD] = NJ_CLASS_MEMORY,
	[EVENT_KIND_MEMORY_EXEC] = NJ_CLASS_MEMORY,
	[EVENT_KIND_SIGNAL] = NJ_CLASS_SIGNAL,
	[EVENT_KIND_SPLICE] = NJ_CLASS_SPLICE,
	[EVENT_KIND_IO_URING] = NJ_CLASS_IO_URING,
	[EVENT_KIND_CGROUP] = NJ_CLASS_CGROUP,
	[EVENT_KIND_CPU] = NJ_CLASS_CPU,
	[EVENT_KIND_PRCTL] = NJ_CLASS_PRIVILEGE,
};

enum nj_class event_class_of(enum event_kind kind, const struct endpoint *endpoints, uint16_t count)
{
	bool tcp = count > 0 && endpoints[0].kind == ENDPOINT_KIND_TCP;

	if ((kind == EVENT_KIND_CONNECT || kind == EVENT_KIND_LISTEN) && tcp)
		return NJ_CLASS_TCP;
	return (unsigned int)kind < EVENT_KIND_MAX ? classes[kind] : NJ_CLASS_PROCESS;
}

enum nj_class event_class(const struct event *event)
{
	return event_class_of(event->kind, event->endpoints, event->endpoint_count);
}

const char *event_class_name(enum nj_class class)
{
	return (unsigned int)class < NJ_CLASS_MAX ? names[class] : "unknown";
}
