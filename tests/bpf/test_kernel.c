/* What changes or watches the kernel. Whether a call is allowed here does not matter: the attempt is seen. */
#include "tests/bpf/live.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bpf/compat.h"

static struct live live;

static int load_modules(void *arg)
{
	char image[64] = "no module";
	int fd = open("/bin/true", O_RDONLY | O_CLOEXEC);

	(void)arg;
	return syscall(SYS_finit_module, fd, "debug=1 path=/x", 2) == 0 ||
	       syscall(SYS_init_module, image, sizeof(image), "only=this") == 0 ||
	       syscall(SYS_delete_module, "nj_no_such_module", O_NONBLOCK) == 0;
}

static void modules_are_told_by_file_parameters_and_name(void **state)
{
	pid_t pid = live_run(&live, load_modules, NULL);
	size_t from = 0;
	const struct seen *file = live_expect(&live, EVENT_KIND_MODULE, pid, &from), *image = live_expect(&live, EVENT_KIND_MODULE, pid, &from);
	const struct seen *removed = live_expect(&live, EVENT_KIND_MODULE, pid, &from);
	struct stat st;

	(void)state;
	assert_int_equal(stat("/bin/true", &st), 0);
	assert_string_equal(file->call, "finit_module");
	assert_true(file->event.result < 0);
	assert_int_equal(file->event.file.inode, st.st_ino);
	assert_true(file->path[0] == '/');
	assert_memory_equal(file->data, "debug=1 path=/x", sizeof("debug=1 path=/x"));
	assert_int_equal(file->detail.args[2], 2);
	assert_string_equal(image->call, "init_module");
	assert_int_equal(image->detail.args[0], 0);
	assert_int_equal(image->detail.args[1], 64);
	assert_memory_equal(image->data, "only=this", sizeof("only=this"));
	assert_string_equal(removed->call, "delete_module");
	assert_string_equal(removed->text, "nj_no_such_module");
	assert_int_equal(removed->detail.args[1], O_NONBLOCK);
}

static int use_bpf(void *arg)
{
	static const struct bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K}, {.code = BPF_JMP | BPF_EXIT}};
	uint32_t key = 0, value;
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "nj_map", 4, 4, 1, NULL);

	(void)arg;
	for (int i = 0; i < 20; i++)
		(void)bpf_map_lookup_elem(map, &key, &value);
	return bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "nj_filter", "GPL", code, 2, NULL) < 0 ||
	       bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "nj_refused", "GPL", code, 1, NULL) >= 0;
}

/* libbpf tries loads of its own before the first. */
static const struct seen *bpf_named(pid_t pid, const char *name)
{
	const struct seen *s;
	size_t from = 0;

	while ((s = live_find(&live, EVENT_KIND_BPF, pid, &from)) != NULL)
		if (strcmp(s->text, name) == 0)
			return s;
	fail_msg("no bpf event of \"%s\"", name);
	return NULL;
}

static void programs_and_maps_are_told_by_type_and_name_their_use_is_not(void **state)
{
	pid_t pid = live_run(&live, use_bpf, NULL);
	const struct seen *map = bpf_named(pid, "nj_map"), *program = bpf_named(pid, "nj_filter");
	const struct seen *refused = bpf_named(pid, "nj_refused"), *s;
	size_t from = 0;

	(void)state;
	assert_int_equal(map->detail.args[0], BPF_MAP_CREATE);
	assert_int_equal(map->detail.args[1], BPF_MAP_TYPE_ARRAY);
	assert_int_equal(program->detail.args[0], BPF_PROG_LOAD);
	assert_int_equal(program->detail.args[1], BPF_PROG_TYPE_SOCKET_FILTER);
	assert_true(program->event.result >= 0);
	assert_true(refused->event.result < 0);
	while ((s = live_find(&live, EVENT_KIND_BPF, pid, &from)) != NULL)
		assert_true(s->detail.args[0] != BPF_MAP_LOOKUP_ELEM);
}

static int watch_another(void *arg)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE, .size = sizeof(attr), .config = PERF_COUNT_SW_PAGE_FAULTS};
	pid_t victim = fork();

	(void)arg;
	if (victim == 0)
		for (;;)
			(void)pause();
	(void)syscall(SYS_perf_event_open, &attr, victim, -1, -1, 8);
	(void)kill(victim, SIGKILL);
	return waitpid(victim, NULL, 0) != victim;
}

static void counters_are_told_with_whom_they_watch(void **state)
{
	pid_t pid = live_run(&live, watch_another, NULL);
	const struct seen *fork = live_find(&live, EVENT_KIND_FORK, pid, NULL);
	size_t from = 0;
	const struct seen *s = live_expect(&live, EVENT_KIND_PERF, pid, &from);

	(void)state;
	assert_int_equal(s->detail.args[0], PERF_TYPE_SOFTWARE);
	assert_int_equal(s->detail.args[1], PERF_COUNT_SW_PAGE_FAULTS);
	assert_int_equal(s->detail.args[2], fork->child_pid);
	assert_int_equal((int64_t)s->detail.args[3], -1);
	assert_int_equal(s->detail.args[4], 8);
	assert_non_null(s->detail.target);
	assert_int_equal(s->target.exec_id, fork->child_exec_id);
}

static int take_faults(void *arg)
{
	(void)arg;
	(void)syscall(SYS_userfaultfd, O_NONBLOCK);
	return syscall(SYS_userfaultfd, 0x7fffffff) == 0;
}

static void userfaultfd_is_told(void **state)
{
	pid_t pid = live_run(&live, take_faults, NULL);
	size_t from = 0;
	const struct seen *s = live_expect(&live, EVENT_KIND_USERFAULTFD, pid, &from);
	const struct seen *failed = live_expect(&live, EVENT_KIND_USERFAULTFD, pid, &from);

	(void)state;
	assert_int_equal(s->detail.args[0], O_NONBLOCK);
	assert_true(failed->event.result < 0);
}

enum { KEYCTL_GET_KEYRING_ID = 0, KEYCTL_SEARCH = 10, KEYCTL_READ = 11, PROCESS_KEYRING = -2 };

static int use_keys(void *arg)
{
	char value[16];
	long key = syscall(SYS_add_key, "user", "nj:secret", "value", 5, PROCESS_KEYRING);

	(void)arg;
	(void)syscall(SYS_request_key, "user", "nj:other", NULL, 0);
	(void)syscall(SYS_keyctl, KEYCTL_SEARCH, PROCESS_KEYRING, "user", "nj:secret", 0);
	(void)syscall(SYS_keyctl, KEYCTL_READ, key, value, sizeof(value));
	(void)syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, PROCESS_KEYRING, 0);
	return 0;
}

static void keys_are_told_by_description_and_operation(void **state)
{
	pid_t pid = live_run(&live, use_keys, NULL);
	size_t from = 0;
	const struct seen *added = live_expect(&live, EVENT_KIND_KEYCTL, pid, &from);
	const struct seen *requested = live_expect(&live, EVENT_KIND_KEYCTL, pid, &from);
	const struct seen *searched = live_expect(&live, EVENT_KIND_KEYCTL, pid, &from);
	const struct seen *read_it = live_expect(&live, EVENT_KIND_KEYCTL, pid, &from);

	(void)state;
	assert_string_equal(added->call, "add_key");
	assert_string_equal(added->text, "nj:secret");
	assert_string_equal(requested->call, "request_key");
	assert_string_equal(requested->text, "nj:other");
	assert_true(requested->event.result < 0);
	assert_string_equal(searched->call, "keyctl");
	assert_int_equal(searched->detail.args[0], KEYCTL_SEARCH);
	assert_string_equal(searched->text, "nj:secret");
	assert_int_equal(read_it->detail.args[0], KEYCTL_READ);
	assert_int_equal((int32_t)read_it->detail.args[1], added->event.result);
	assert_null(live_find(&live, EVENT_KIND_KEYCTL, pid, &from));
}

#ifdef __x86_64__
static int remove_a_module_by_32_bit_call(void *arg)
{
	char *low = compat_memory();

	(void)arg;
	(void)strcpy(low, "nj_no_such_module");
	return compat_call(129, (uint32_t)(uintptr_t)low, O_NONBLOCK, 0) == 0;
}

static void a_32_bit_call_is_marked(void **state)
{
	pid_t pid = live_run(&live, remove_a_module_by_32_bit_call, NULL);
	size_t from = 0;
	const struct seen *s = live_expect(&live, EVENT_KIND_MODULE, pid, &from);

	(void)state;
	assert_string_equal(s->text, "nj_no_such_module");
	assert_int_equal(s->event.marks, EVENT_MARK_COMPAT);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		LIVE_TEST(modules_are_told_by_file_parameters_and_name),
		LIVE_TEST(programs_and_maps_are_told_by_type_and_name_their_use_is_not),
		LIVE_TEST(counters_are_told_with_whom_they_watch),
		LIVE_TEST(userfaultfd_is_told),
		LIVE_TEST(keys_are_told_by_description_and_operation),
#ifdef __x86_64__
		LIVE_TEST(a_32_bit_call_is_marked),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
