/* The process table: identities, lifetimes, caps. /proc is a folder of the test's own. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node-agent/procfs.h"
#include "node-agent/proctable.h"

static char proc[] = "/tmp/nj-proc-XXXXXX";
static struct containers *containers;

static struct proctable *table_with(uint32_t capacity, size_t image_bytes)
{
	static const char *const env[] = {"KEEP", NULL};
	struct proctable_config config = {.boot_id = "boot", .proc = proc, .capacity = capacity,
					  .image_bytes = image_bytes, .env_names = env, .containers = containers};

	return proctable_new(&config);
}

static struct nj_task task(uint32_t pid, uint32_t exec_count)
{
	return (struct nj_task){.start_ns = pid * 1000000000ULL, .tgid = pid, .exec_count = exec_count};
}

static struct decoded exec_of(uint32_t pid, uint32_t exec_count, const char *path)
{
	struct decoded d = {.head = {.task = task(pid, exec_count), .time = 5, .type = NJ_EXEC},
			    .kind = EVENT_KIND_EXEC, .cwd = "/", .exe_raw = "./raw", .file.path = path, .comm = "name",
			    .args = bytes_of("one\0two\0", 8), .env = bytes_of("KEEP=1\0DROP=2\0", 14)};

	return d;
}

static struct decoded fork_of(uint32_t parent, uint32_t exec_count, uint32_t child)
{
	struct decoded d = {.head = {.task = task(parent, exec_count), .type = NJ_FORK},
			    .kind = EVENT_KIND_FORK, .child = task(child, exec_count),
			    .comm = "thread", .vpid = 1, .namespaces.mnt = 9};

	return d;
}

static void identity_depends_on_every_part_and_nothing_else(void **state)
{
	struct proctable *a = table_with(16, 0), *b = table_with(99, 1);
	struct nj_task t = task(5, 1), other = t;

	(void)state;
	assert_int_equal(proctable_exec_id(a, &t), proctable_exec_id(b, &t));
	other.exec_count++;
	assert_true(proctable_exec_id(a, &t) != proctable_exec_id(a, &other));
	other = t;
	other.start_ns++;
	assert_true(proctable_exec_id(a, &t) != proctable_exec_id(a, &other));
	proctable_free(a);
	proctable_free(b);
	proctable_free(NULL);
}

static void a_fork_shares_the_image_and_an_exec_replaces_it(void **state)
{
	struct proctable *t = table_with(16, 0);
	struct decoded d = exec_of(1, 1, "/bin/parent");
	const struct process_def *parent = proctable_exec(t, &d), *child, *image;
	struct decoded f = fork_of(1, 1, 2);

	(void)state;
	assert_int_equal(parent->arg_count, 2);
	assert_int_equal(parent->env_count, 1);
	child = proctable_fork(t, &f, parent);
	assert_ptr_equal(child->exe.path, parent->exe.path);
	assert_int_equal(child->parent_exec_id, parent->exec_id);
	assert_int_equal(child->ppid, 1);
	assert_string_equal(parent->exe_raw, "./raw");
	assert_ptr_equal(child->exe_raw, parent->exe_raw);
	assert_string_equal(parent->comm, "name");
	assert_string_equal(child->comm, "thread");
	assert_int_equal(child->vpid, 1);
	assert_int_equal(child->namespaces.mnt, 9);
	d = exec_of(2, 2, "/bin/child");
	image = proctable_exec(t, &d);
	assert_int_equal(image->parent_exec_id, parent->exec_id);
	assert_string_equal(image->exe.path, "/bin/child");
	/* The replaced one is still there, as it was. */
	assert_string_equal(child->exe.path, "/bin/parent");
	proctable_free(t);
}

/* Until the turn ends; then it is made again, the same in every part. */
static void a_definition_stays_for_a_turn(void **state)
{
	struct proctable *t = table_with(16, 0);
	struct decoded d = exec_of(1, 1, "/bin/x");
	const struct process_def *p;

	(void)state;
	d.args = bytes_of("a\0\0bc\0", 6); /* one is empty */
	p = proctable_exec(t, &d);
	assert_ptr_equal(proctable_find(t, &d.head.task), p);
	for (int turn = 0; turn < 3; turn++) {
		proctable_turn(t);
		p = proctable_find(t, &d.head.task);
		assert_int_equal(p->arg_count, 3);
		assert_true(bytes_equal(p->args[0], bytes_of_text("a")));
		assert_int_equal(p->args[1].len, 0);
		assert_true(bytes_equal(p->args[2], bytes_of_text("bc")));
		assert_true(bytes_equal(p->env[0], bytes_of_text("KEEP=1")));
		assert_string_equal(p->exe.path, "/bin/x");
		assert_string_equal(p->cwd, "/");
		assert_string_equal(p->exe_raw, "./raw");
		assert_string_equal(p->comm, "name");
		assert_int_equal(p->exec_id, proctable_exec_id(t, &d.head.task));
		assert_int_equal(p->exec_ns, 5);
	}
	proctable_free(t);
}

static void a_child_starts_with_what_its_parent_became(void **state)
{
	struct proctable *t = table_with(16, 0);
	struct decoded d = exec_of(1, 1, "/bin/parent"), f = fork_of(1, 1, 2);
	const struct process_def *parent = proctable_exec(t, &d);
	struct creds creds = {.uid = 77};

	(void)state;
	proctable_set_creds(t, &d.head.task, &creds);
	assert_int_equal(proctable_fork(t, &f, parent)->creds.uid, 77);
	assert_int_equal(parent->creds.uid, 0);
	proctable_free(t);
}

static void a_process_ends_once_and_stays_findable_for_a_while(void **state)
{
	struct proctable *t = table_with(4 * PROCTABLE_GRACE, 0);
	struct nj_task first = task(1, 1);

	(void)state;
	assert_false(proctable_exit(t, &first));
	for (uint32_t pid = 1; pid <= PROCTABLE_GRACE + 1; pid++) {
		struct decoded d = exec_of(pid, 1, "/bin/x");

		(void)proctable_exec(t, &d);
		assert_true(proctable_exit(t, &d.head.task));
		assert_false(proctable_exit(t, &d.head.task));
	}
	assert_non_null(proctable_find(t, &first));
	proctable_turn(t);
	assert_null(proctable_find(t, &first));
	first = task(2, 1);
	assert_non_null(proctable_find(t, &first));
	proctable_free(t);
}

static void the_cap_holds_and_live_ones_that_go_are_counted(void **state)
{
	struct proctable *t = table_with(64, 0);
	struct proctable_stats stats;

	(void)state;
	for (uint32_t pid = 1; pid <= 1000; pid++) {
		struct decoded d = exec_of(pid, 1, "/bin/x");

		(void)proctable_exec(t, &d);
	}
	proctable_stats(t, &stats);
	assert_int_equal(stats.count, 64);
	assert_int_equal(stats.evicted_live, 1000 - 64);
	proctable_free(t);
}

static void past_the_budget_images_keep_only_a_beginning(void **state)
{
	struct proctable *t = table_with(256, 4096);
	static char args[2000];
	struct proctable_stats stats;
	const struct process_def *p;

	(void)state;
	memset(args, 'a', sizeof(args));
	for (uint32_t pid = 1; pid <= 100; pid++) {
		struct decoded d = exec_of(pid, 1, "/bin/x");

		d.args = bytes_of(args, sizeof(args));
		p = proctable_exec(t, &d);
		if (pid == 1)
			assert_int_equal(p->args[0].len, sizeof(args));
	}
	assert_true(p->truncated & PROCESS_ARGS_TRUNCATED);
	assert_true(p->args[0].len < 100);
	proctable_stats(t, &stats);
	assert_true(stats.image_bytes < 4096 + 100 * 400);
	proctable_free(t);
}

static void write_file(uint32_t pid, const char *name, const char *text)
{
	char path[256];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%u/%s", proc, pid, name);
	file = fopen(path, "w");
	assert_non_null(file);
	(void)fputs(text, file);
	(void)fclose(file);
}

static void a_process_that_was_missed_is_read_from_proc(void **state)
{
	struct proctable *t = table_with(16, 0);
	struct nj_head head = {.task = task(300, 4)};
	const struct process_def *p;
	char path[256], stat[512];
	bool unknown = false;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/300", proc);
	assert_int_equal(mkdir(path, 0700), 0);
	/* A name that tries to look like the end of itself. */
	(void)snprintf(stat, sizeof(stat),
		       "300 (a) S 1 (b) S 17 300 21 34816 0 0 0 0 0 0 0 0 0 0 20 0 1 0 %llu 0 0",
		       (unsigned long long)procfs_ticks(head.task.start_ns));
	write_file(300, "stat", stat);
	write_file(300, "status", "Name:\ta\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nNStgid:\t300\t12\t3\n"
		   "NSpgid:\t290\t0\t0\nCapInh:\t0000000000000001\nCapPrm:\t00000000000000ff\nCapEff:\t000000000000000f\n");
	write_file(300, "cmdline", "missed");
	(void)snprintf(path, sizeof(path), "%s/300/ns", proc);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/300/ns/net", proc);
	assert_int_equal(symlink("net:[4026531840]", path), 0);
	p = proctable_of(t, &head, &unknown);
	assert_false(unknown);
	assert_int_equal(p->ppid, 17);
	assert_int_equal(p->session, 21);
	assert_int_equal(p->creds.euid, 2);
	assert_int_equal(p->creds.suid, 3);
	assert_int_equal(p->creds.sgid, 7);
	assert_int_equal(p->creds.cap_inheritable, 1);
	assert_int_equal(p->pgid, 300);
	assert_int_equal(p->vpid, 3);
	assert_int_equal(p->vpgid, 0);
	assert_int_equal(p->namespaces.net, 4026531840U);
	assert_int_equal(p->namespaces.user, 0); /* no such link */
	assert_string_equal(p->comm, "a) S 1 (b");
	assert_string_equal(p->exe_raw, "");
	assert_int_equal(p->creds.cap_effective, 15);
	assert_true(bytes_equal(p->args[0], bytes_of_text("missed")));
	assert_ptr_equal(proctable_of(t, &head, &unknown), p);
	proctable_free(t);
}

static void a_target_is_found_or_made_as_who_acts_is(void **state)
{
	struct proctable *t = table_with(16, 0);
	struct decoded d = exec_of(1, 1, "/bin/known");
	const struct process_def *known = proctable_exec(t, &d);
	struct nj_owner target = {.task = d.head.task, .tid = 1}, gone = {.task = task(77, 1), .tid = 78};
	const struct process_def *made;

	(void)state;
	assert_ptr_equal(proctable_target(t, &target), known);
	made = proctable_target(t, &gone);
	assert_int_equal(made->pid, 77);
	assert_string_equal(made->exe.path, "");
	assert_ptr_equal(proctable_target(t, &gone), made);
	assert_int_equal(made->exec_id, proctable_exec_id(t, &gone.task));
	proctable_free(t);
}

static void one_that_proc_does_not_know_either_is_told_as_unknown(void **state)
{
	struct proctable *t = table_with(16, 0);
	struct nj_head head = {.task = task(301, 1)};
	bool unknown = false;
	const struct process_def *p = proctable_of(t, &head, &unknown);

	(void)state;
	assert_true(unknown);
	assert_non_null(p);
	assert_int_equal(p->pid, 301);
	assert_string_equal(p->exe.path, "");
	assert_non_null(p->container);
	/* Another process took its number meanwhile. */
	unknown = false;
	head.task = task(300, 1);
	head.task.start_ns += 5000000000ULL;
	(void)proctable_of(t, &head, &unknown);
	assert_true(unknown);
	proctable_free(t);
}

static void what_is_known_only_by_its_act_ends_once_and_does_not_stay(void **state)
{
	struct proctable *t = table_with(4 * PROCTABLE_GRACE, 0);
	struct nj_head head = {.task = task(1001, 1)};
	struct proctable_stats stats;
	bool unknown = false;

	(void)state;
	(void)proctable_of(t, &head, &unknown);
	assert_true(proctable_exit(t, &head.task));
	assert_false(proctable_exit(t, &head.task));
	for (uint32_t pid = 1002; pid <= 1001 + PROCTABLE_GRACE; pid++) {
		head.task = task(pid, 1);
		(void)proctable_of(t, &head, &unknown);
	}
	proctable_turn(t);
	proctable_stats(t, &stats);
	assert_int_equal(stats.count, PROCTABLE_GRACE);
	proctable_free(t);
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(proc))
		return -1;
	containers = containers_new("/nonexistent", proc, 16);
	return containers ? 0 : -1;
}

static int tear_down(void **state)
{
	static const char *const files[] = {"300/stat", "300/status", "300/cmdline", "300/ns/net"};
	char path[256];

	(void)state;
	containers_free(containers);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", proc, files[i]);
		(void)unlink(path);
	}
	(void)snprintf(path, sizeof(path), "%s/300/ns", proc);
	(void)rmdir(path);
	(void)snprintf(path, sizeof(path), "%s/300", proc);
	(void)rmdir(path);
	return rmdir(proc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(identity_depends_on_every_part_and_nothing_else),
		cmocka_unit_test(a_fork_shares_the_image_and_an_exec_replaces_it),
		cmocka_unit_test(a_definition_stays_for_a_turn),
		cmocka_unit_test(a_child_starts_with_what_its_parent_became),
		cmocka_unit_test(a_process_ends_once_and_stays_findable_for_a_while),
		cmocka_unit_test(the_cap_holds_and_live_ones_that_go_are_counted),
		cmocka_unit_test(past_the_budget_images_keep_only_a_beginning),
		cmocka_unit_test(a_process_that_was_missed_is_read_from_proc),
		cmocka_unit_test(a_target_is_found_or_made_as_who_acts_is),
		cmocka_unit_test(one_that_proc_does_not_know_either_is_told_as_unknown),
		cmocka_unit_test(what_is_known_only_by_its_act_ends_once_and_does_not_stay),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
