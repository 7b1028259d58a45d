/* The table of names; see capture_class.h. */
#include "common/capture_class.h"

#include <string.h>

static const char *const names[CAPTURE_CLASS_MAX] = {
	"process", "tcp",    "file",	"descriptor", "socket",	 "privilege",	"cgroup",
	"change",  "mount",  "message", "dns",	      "payload", "exec_failed", "namespace",
	"access",  "kernel", "memory",	"signal",     "splice",	 "io_uring",	"cpu",
};

const char *capture_class_name(unsigned int class)
{
	return class < CAPTURE_CLASS_MAX ? names[class] : "unknown";
}

int capture_class_find(const char *name)
{
	for (int class = 0; class < CAPTURE_CLASS_MAX; class ++)
		if (strcmp(name, names[class]) == 0)
			return class;
	return -1;
}
