/* Finds the programs of the same build; see programs.h. */
#include "tools/nightjar/programs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int programs_find(const char *name, char *ret_path, struct err *e)
{
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (len < 0)
		return err_set(e, -errno, "cannot read /proc/self/exe: %s", strerror(errno));
	self[len] = '\0';
	slash = strrchr(self, '/');
	if (slash)
		*slash = '\0';
	if ((size_t)snprintf(ret_path, PATH_MAX, "%s/%s", self, name) >= PATH_MAX)
		return err_set(e, -ENAMETOOLONG, "the path of %s is too long", name);
	if (access(ret_path, X_OK) < 0)
		return err_set(e, -errno, "cannot run '%s': %s; build or install it beside nightjar", ret_path,
			       strerror(errno));
	return 0;
}
