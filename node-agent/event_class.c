/* Classes of events; see event_class.h. */
#include "node-agent/event_class.h"

static const char *const names[NJ_CLASS_MAX] = {
	[NJ_CLASS_PROCESS] = "process",	      [NJ_CLASS_TCP] = "tcp",
	[NJ_CLASS_FILE] = "file",	      [NJ_CLASS_DESCRIPTOR] = "descriptor",
	[NJ_CLASS_SOCKET] = "socket",	      [NJ_CLASS_PRIVILEGE] = "privilege",
	[NJ_CLASS_CGROUP] = "cgroup",
};

static bool is_udp(const struct event *event)
{
	return event->endpoint_count > 0 && event->endpoints[0].kind == ENDPOINT_KIND_UDP;
}

enum nj_class event_class(const struct event *event)
{
	switch (event->kind) {
	case EVENT_KIND_CONNECT:
		return is_udp(event) ? NJ_CLASS_SOCKET : NJ_CLASS_TCP;
	case EVENT_KIND_ESTABLISHED:
	case EVENT_KIND_CLOSE:
	case EVENT_KIND_LISTEN:
		return NJ_CLASS_TCP;
	case EVENT_KIND_ACCEPT:
		return NJ_CLASS_SOCKET;
	case EVENT_KIND_OPEN:
		return NJ_CLASS_FILE;
	case EVENT_KIND_DUP:
	case EVENT_KIND_PIPE:
		return NJ_CLASS_DESCRIPTOR;
	case EVENT_KIND_CRED:
		return NJ_CLASS_PRIVILEGE;
	default:
		return NJ_CLASS_PROCESS;
	}
}

const char *event_class_name(enum nj_class class)
{
	return (unsigned int)class < NJ_CLASS_MAX ? names[class] : "unknown";
}
