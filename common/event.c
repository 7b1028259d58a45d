/* Names of kinds; see event.h. */
#include "common/event.h"

static const char *const event_names[EVENT_KIND_MAX] = {
	[EVENT_KIND_FORK] = "fork",	    [EVENT_KIND_EXEC] = "exec",
	[EVENT_KIND_EXIT] = "exit",	    [EVENT_KIND_CONNECT] = "connect",
	[EVENT_KIND_ESTABLISHED] = "established", [EVENT_KIND_CLOSE] = "close",
	[EVENT_KIND_LISTEN] = "listen",	    [EVENT_KIND_ACCEPT] = "accept",
	[EVENT_KIND_OPEN] = "open",	    [EVENT_KIND_DUP] = "dup",
	[EVENT_KIND_PIPE] = "pipe",	    [EVENT_KIND_CRED] = "cred",
};

static const char *const endpoint_names[ENDPOINT_KIND_MAX] = {
	[ENDPOINT_KIND_NONE] = "none",		   [ENDPOINT_KIND_PIPE] = "pipe",
	[ENDPOINT_KIND_FIFO] = "fifo",		   [ENDPOINT_KIND_TCP] = "tcp",
	[ENDPOINT_KIND_UDP] = "udp",		   [ENDPOINT_KIND_UNIX] = "unix",
	[ENDPOINT_KIND_PTY_MASTER] = "pty_master", [ENDPOINT_KIND_PTY_SLAVE] = "pty_slave",
	[ENDPOINT_KIND_SOCKET_OTHER] = "socket",
};

const char *event_kind_name(enum event_kind kind)
{
	const char *name = (unsigned int)kind < EVENT_KIND_MAX ? event_names[kind] : NULL;

	return name ? name : "unknown";
}

const char *endpoint_kind_name(enum endpoint_kind kind)
{
	return (unsigned int)kind < ENDPOINT_KIND_MAX ? endpoint_names[kind] : "unknown";
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
		return 1;
	case EVENT_KIND_PIPE:
		return 2;
	default:
		return 0;
	}
}
