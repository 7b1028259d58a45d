/* Cgroups that come and go, by whose hand. */
#include "tests/bpf/live.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/bpf/group.h"

static struct live live;
static char folder[256];

static int make_and_remove(void *arg)
{
	char plain[] = "/tmp/nj-cgroup-XXXXXX";

	(void)arg;
	/* A folder elsewhere, and one that is there already. */
	if (!mkdtemp(plain) || rmdir(plain) < 0 || mkdir(folder, 0755) < 0 || mkdir(folder, 0755) == 0)
		return 1;
	return rmdir(folder) < 0;
}

static void making_and_removing_are_told_with_the_path_and_who_did_it(void **state)
{
	const char *root = group_root();
	const struct seen *made, *removed;
	size_t from = 0;
	pid_t pid;

	(void)state;
	(void)snprintf(folder, sizeof(folder), "%s/nj%d-come-and-go", root, (int)getpid());
	live_start(&live, NULL, 0);
	if (mkdir(folder, 0755) < 0) {
		live_stop(&live);
		skip();
	}
	assert_int_equal(rmdir(folder), 0);
	pid = live_run(&live, make_and_remove, NULL);
	made = live_find(&live, EVENT_KIND_CGROUP, pid, &from);
	removed = live_find(&live, EVENT_KIND_CGROUP, pid, &from);
	assert_true(made && removed);
	assert_string_equal(made->text, "mkdir");
	assert_string_equal(made->path, folder + strlen(root));
	assert_string_equal(removed->text, "rmdir");
	assert_string_equal(removed->path, made->path);
	assert_null(live_find(&live, EVENT_KIND_CGROUP, pid, &from));
	live_stop(&live);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(making_and_removing_are_told_with_the_path_and_who_did_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
