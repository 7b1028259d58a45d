/* Which container a cgroup id names: trees of cgroups and /proc are folders of the test's own. */
#include "tests/unit/unit.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node-agent/containers.h"

#define FULL_ID "00000000000000000000000000000000000000000000000000000000000000bb"
#define POD_ID	"8c1f1f1e-3f0a-4d2b-9c57-0d6f0d4c2a11"
#define LEAF	"/kubepods/pod" POD_ID "/" FULL_ID

struct fixture {
	char top[32];
	char root[64], proc[64];
};

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static int set_up(void **state)
{
	static struct fixture f;

	(void)snprintf(f.top, sizeof(f.top), "/tmp/nj-containers-XXXXXX");
	if (!mkdtemp(f.top))
		return -1;
	(void)snprintf(f.root, sizeof(f.root), "%s/cgroup", f.top);
	(void)snprintf(f.proc, sizeof(f.proc), "%s/proc", f.top);
	*state = &f;
	return mkdir(f.root, 0755) < 0 || mkdir(f.proc, 0755) < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	return nftw(f->top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Makes the folder and all above it below base. Returns its inode, which is the cgroup's id. */
static uint64_t make_folder(const char *base, const char *folder)
{
	char path[512];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s%s", base, folder);
	for (char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
		*at = '\0';
		(void)mkdir(path, 0755);
		*at = '/';
	}
	(void)mkdir(path, 0755);
	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

static void write_file(const char *base, const char *name, const char *text)
{
	char path[512];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s", base, name);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void assert_container(struct containers *c, uint32_t hierarchy, uint64_t id, uint32_t pid,
			     const char *cgroup, const char *container_id)
{
	struct container *got = containers_get(c, hierarchy, id, pid);

	assert_string_equal(got->def.cgroup, cgroup);
	assert_string_equal(got->def.container_id, container_id);
	assert_string_equal(got->def.pod_uid, container_id[0] ? POD_ID : "");
	container_unref(got);
}

static void without_any_cgroups_everybody_is_the_host(void **state)
{
	struct fixture *f = *state;
	struct containers *c = containers_new("/nonexistent", f->proc, 16);

	assert_false(containers_use_v1(c));
	assert_container(c, 0, 77, 1, "", "");
	containers_free(c);
	containers_free(NULL);
}

static void what_is_there_at_the_start_is_known_by_its_number(void **state)
{
	struct fixture *f = *state;
	uint64_t leaf = make_folder(f->root, LEAF);
	uint64_t slice = make_folder(f->root, "/system.slice");
	struct containers *c;

	write_file(f->root, "cgroup.procs", "");
	c = containers_new(f->root, f->proc, 16);
	assert_false(containers_use_v1(c));
	assert_container(c, 0, leaf, 0, LEAF, FULL_ID);
	assert_container(c, 0, slice, 0, "/system.slice", "");
	/* The same number in another hierarchy is somebody else. */
	assert_container(c, 3, leaf, 0, "", "");
	containers_free(c);
}

/* v1 alone, or v2 mounted beside it for systemd's own use. */
static void where_v1_has_the_containers_its_memory_hierarchy_names_them(void **state)
{
	struct fixture *f = *state;
	char memory[128], unified[128];
	struct containers *c;
	uint64_t leaf, scope;

	(void)snprintf(memory, sizeof(memory), "%s/memory", f->root);
	(void)snprintf(unified, sizeof(unified), "%s/unified", f->root);
	leaf = make_folder(memory, LEAF);
	write_file(memory, "cgroup.procs", "");
	write_file(f->proc, "cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t4\t1\t1\nmemory\t9\t5\t1\n");
	c = containers_new(f->root, f->proc, 16);
	assert_true(containers_use_v1(c));
	assert_container(c, 9, leaf, 0, LEAF, FULL_ID);
	containers_free(c);

	scope = make_folder(unified, "/init.scope");
	write_file(unified, "cgroup.procs", "");
	c = containers_new(f->root, f->proc, 16);
	assert_true(containers_use_v1(c));
	assert_container(c, 9, leaf, 0, LEAF, FULL_ID);
	assert_container(c, 0, scope, 0, "/init.scope", "");
	containers_free(c);
}

static void a_v1_hierarchy_that_the_kernel_does_not_number_is_not_used(void **state)
{
	struct fixture *f = *state;
	char memory[128];
	struct containers *c;

	(void)snprintf(memory, sizeof(memory), "%s/memory", f->root);
	(void)make_folder(memory, LEAF);
	write_file(memory, "cgroup.procs", "");
	write_file(f->proc, "cgroups", "memory\t0\t5\t1\n");
	c = containers_new(f->root, f->proc, 16);
	assert_false(containers_use_v1(c));
	containers_free(c);
}

static void the_kernels_notice_names_a_new_one_and_other_hierarchies_are_left_out(void **state)
{
	struct fixture *f = *state;
	struct containers *c = containers_new(f->root, f->proc, 16);

	containers_made(c, 0, 42, LEAF);
	containers_made(c, 7, 43, LEAF);
	assert_container(c, 0, 42, 0, LEAF, FULL_ID);
	assert_container(c, 7, 43, 0, "", "");
	/* A number that is used again means the newer one. */
	containers_made(c, 0, 42, "/user.slice");
	assert_container(c, 0, 42, 0, "/user.slice", "");
	containers_free(c);
}

static void one_that_was_pushed_out_comes_back_through_proc(void **state)
{
	struct fixture *f = *state;
	struct containers *c = containers_new(f->root, f->proc, 4);
	struct container *held;

	(void)make_folder(f->proc, "/500");
	write_file(f->proc, "500/cgroup", "9:memory:/elsewhere\n0::" LEAF "\n");
	containers_made(c, 0, 1, LEAF);
	held = containers_get(c, 0, 1, 0);
	for (uint64_t id = 2; id <= 50; id++)
		containers_made(c, 0, id, "/other");
	/* Who holds it keeps it. */
	assert_string_equal(held->def.container_id, FULL_ID);
	container_unref(held);
	assert_container(c, 0, 1, 501, "", "");
	assert_container(c, 0, 1, 500, LEAF, FULL_ID);
	containers_free(c);
}

/* ---- what the runtime tells ---- */

/* A block as cri_take hands it out. */
static struct container_def *told(const char *id, const char *pod)
{
	static const struct container_label label = {"app", "web"};
	const struct container_def def = {
		.container_id = id,
		.pod_uid = "",
		.name = "web",
		.image = "shop/web:7",
		.pod = pod,
		.namespace = "shop",
		.cgroup = "",
		.image_id = "",
		.workload = "",
		.labels = &label,
		.label_count = 1,
		.privileged = true,
	};

	return container_def_copy(&def);
}

struct asked {
	uint32_t count, most;
	char last[80];
};

static bool note(void *ctx, const char *container_id)
{
	struct asked *a = ctx;

	if (a->count >= a->most)
		return false;
	a->count++;
	(void)snprintf(a->last, sizeof(a->last), "%s", container_id);
	return true;
}

static void an_answer_for_nobody_is_harmless(void **state)
{
	struct fixture *f = *state;
	struct containers *c = containers_new(f->root, f->proc, 16);

	assert_null(containers_resolve(c, told("short", "p")));
	assert_null(containers_resolve(c, told(FULL_ID, "p")));
	assert_null(containers_resolve(c, told(FULL_ID, "q")));
	assert_int_equal(containers_unasked(c), 0);
	containers_free(c);
}

static void each_container_is_asked_for_once(void **state)
{
	struct fixture *f = *state;
	struct containers *c = containers_new(f->root, f->proc, 16);
	struct asked a = {.most = 0};

	containers_made(c, 0, 41, "/system.slice/web.service");
	assert_int_equal(containers_unasked(c), 0);
	containers_made(c, 0, 42, LEAF);
	containers_made(c, 0, 43, LEAF "/below");
	assert_int_equal(containers_unasked(c), 1);
	containers_ask(c, note, &a);
	assert_int_equal(containers_unasked(c), 1);
	a.most = 10;
	containers_ask(c, note, &a);
	assert_int_equal(a.count, 1);
	assert_string_equal(a.last, FULL_ID);
	assert_int_equal(containers_unasked(c), 0);
	containers_made(c, 0, 42, LEAF);
	assert_int_equal(containers_unasked(c), 0);
	containers_ask(c, note, &a);
	assert_int_equal(a.count, 1);
	containers_free(c);
}

static void an_answer_reaches_all_cgroups_of_its_container_and_nobody_else(void **state)
{
	struct fixture *f = *state;
	struct containers *c = containers_new(f->root, f->proc, 16);
	struct container *early, *below, *host, *late;
	const struct container_def *seen;

	containers_made(c, 0, 41, "/system.slice/web.service");
	containers_made(c, 0, 42, LEAF);
	containers_made(c, 0, 43, LEAF "/below");
	early = containers_get(c, 0, 42, 0);
	below = containers_get(c, 0, 43, 0);
	host = containers_get(c, 0, 41, 0);
	assert_string_equal(early->def.pod, "");
	seen = containers_resolve(c, told(FULL_ID, "web-5d9"));
	assert_non_null(seen);
	assert_string_equal(seen->container_id, FULL_ID);
	assert_string_equal(early->def.pod, "web-5d9");
	assert_string_equal(early->def.cgroup, LEAF);
	assert_string_equal(early->def.pod_uid, POD_ID);
	assert_string_equal(early->def.labels[0].value, "web");
	assert_true(early->def.privileged);
	assert_string_equal(below->def.pod, "web-5d9");
	assert_string_equal(below->def.cgroup, LEAF "/below");
	assert_string_equal(host->def.pod, "");
	assert_string_equal(host->def.workload, "web.service");
	containers_made(c, 0, 44, LEAF "/another");
	late = containers_get(c, 0, 44, 0);
	assert_string_equal(late->def.pod, "web-5d9");
	container_unref(early);
	container_unref(below);
	container_unref(host);
	container_unref(late);
	containers_free(c);
}

static void an_answer_that_comes_before_the_first_process_is_kept(void **state)
{
	struct fixture *f = *state;
	struct containers *c = containers_new(f->root, f->proc, 16);
	struct container *got;

	containers_made(c, 0, 42, LEAF);
	assert_null(containers_resolve(c, told(FULL_ID, "web-5d9")));
	got = containers_get(c, 0, 42, 0);
	assert_string_equal(got->def.pod, "web-5d9");
	container_unref(got);
	containers_free(c);
}

static void a_second_answer_replaces_the_first(void **state)
{
	struct fixture *f = *state;
	struct containers *c = containers_new(f->root, f->proc, 16);
	struct container *got;

	containers_made(c, 0, 42, LEAF);
	got = containers_get(c, 0, 42, 0);
	assert_non_null(containers_resolve(c, told(FULL_ID, "one")));
	assert_non_null(containers_resolve(c, told(FULL_ID, "two")));
	assert_string_equal(got->def.pod, "two");
	container_unref(got);
	containers_free(c);
}

/* What was told of the dead must not fill the memory of a node whose containers come and go. */
static void details_go_with_the_last_process_and_are_asked_for_again(void **state)
{
	struct fixture *f = *state;
	struct containers *c = containers_new(f->root, f->proc, 16);
	struct asked a = {.most = 10};
	struct container *one, *two;

	containers_made(c, 0, 42, LEAF);
	one = containers_get(c, 0, 42, 0);
	two = containers_get(c, 0, 42, 0);
	containers_ask(c, note, &a);
	assert_non_null(containers_resolve(c, told(FULL_ID, "web-5d9")));
	container_unref(one);
	assert_string_equal(two->def.pod, "web-5d9");
	container_unref(two);
	assert_int_equal(containers_unasked(c), 0);
	one = containers_get(c, 0, 42, 0);
	assert_string_equal(one->def.pod, "");
	assert_int_equal(containers_unasked(c), 1);
	container_unref(one);
	containers_free(c);
}

static void whoever_outlives_the_table_keeps_its_container(void **state)
{
	struct fixture *f = *state;
	struct containers *c = containers_new(f->root, f->proc, 16);
	struct container *held;

	containers_made(c, 0, 42, LEAF);
	held = containers_get(c, 0, 42, 0);
	assert_non_null(containers_resolve(c, told(FULL_ID, "web-5d9")));
	for (uint64_t id = 100; id < 140; id++)
		containers_made(c, 0, id, "/other");
	assert_string_equal(held->def.pod, "web-5d9");
	containers_free(c);
	assert_string_equal(held->def.pod, "web-5d9");
	container_unref(held);
}

static void a_cgroup_that_is_removed_is_forgotten_and_its_processes_keep_it(void **state)
{
	struct fixture *f = *state;
	struct containers *c = containers_new(f->root, f->proc, 16);
	struct container *held;

	containers_made(c, 0, 42, LEAF);
	held = containers_get(c, 0, 42, 0);
	containers_gone(c, 0, 42);
	containers_gone(c, 0, 42);
	containers_gone(c, 7, 42);
	assert_non_null(containers_resolve(c, told(FULL_ID, "web-5d9")));
	assert_string_equal(held->def.pod, "web-5d9");
	assert_container(c, 0, 42, 0, "", "");
	container_unref(held);
	containers_free(c);
}

static void a_flood_of_containers_is_capped(void **state)
{
	struct fixture *f = *state;
	struct containers *c = containers_new(f->root, f->proc, 16);

	for (unsigned int i = 0; i < 5000; i++) {
		char path[128], id[65];

		(void)snprintf(id, sizeof(id), "%064x", i);
		(void)snprintf(path, sizeof(path), "/k8s.io/%s", id);
		containers_made(c, 0, 1000 + i, path);
		if (i % 2)
			assert_null(containers_resolve(c, told(id, "p")));
	}
	assert_true(containers_unasked(c) <= 1024);
	containers_free(c);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(without_any_cgroups_everybody_is_the_host),
		TEST(what_is_there_at_the_start_is_known_by_its_number),
		TEST(where_v1_has_the_containers_its_memory_hierarchy_names_them),
		TEST(a_v1_hierarchy_that_the_kernel_does_not_number_is_not_used),
		TEST(the_kernels_notice_names_a_new_one_and_other_hierarchies_are_left_out),
		TEST(one_that_was_pushed_out_comes_back_through_proc),
		TEST(an_answer_for_nobody_is_harmless),
		TEST(each_container_is_asked_for_once),
		TEST(an_answer_reaches_all_cgroups_of_its_container_and_nobody_else),
		TEST(an_answer_that_comes_before_the_first_process_is_kept),
		TEST(a_second_answer_replaces_the_first),
		TEST(details_go_with_the_last_process_and_are_asked_for_again),
		TEST(whoever_outlives_the_table_keeps_its_container),
		TEST(a_cgroup_that_is_removed_is_forgotten_and_its_processes_keep_it),
		TEST(a_flood_of_containers_is_capped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
