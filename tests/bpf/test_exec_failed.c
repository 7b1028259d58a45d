/* Executions that failed: what, with what and why. */
#include "tests/bpf/live.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/bpf/compat.h"

static struct live live;

static const struct seen *failed(pid_t pid, size_t *from)
{
	const struct seen *s = live_expect(&live, EVENT_KIND_EXEC_FAILED, pid, from);

	return s;
}

static char *const no_env[] = {NULL};

/* On the stack: a page of constants that nobody read yet is not there to be read after the call. */
static int exec_what_is_not_there(void *arg)
{
	char first[] = "nj", empty[] = "", last[] = "two words", path[] = "../nj-missing";
	char *const argv[] = {first, empty, last, NULL};

	(void)arg;
	return chdir("/usr/share") < 0 || execve(path, argv, no_env) == 0 || errno != ENOENT;
}

static void the_name_the_place_and_the_arguments_are_told(void **state)
{
	pid_t pid = live_run(&live, exec_what_is_not_there, NULL);
	size_t from = 0;
	const struct seen *s = failed(pid, &from);

	(void)state;
	assert_string_equal(s->call, "execve");
	assert_int_equal(s->event.result, -ENOENT);
	assert_string_equal(s->raw_path, "../nj-missing");
	assert_string_equal(s->path, "/usr/nj-missing");
	assert_int_equal(s->detail.data.len, sizeof("nj\0\0two words"));
	assert_memory_equal(s->data, "nj\0\0two words", sizeof("nj\0\0two words"));
	assert_int_equal(s->event.marks, 0);
	assert_null(live_find(&live, EVENT_KIND_EXEC_FAILED, pid, &from));
}

static int exec_what_may_not_be(void *arg)
{
	char *const argv[] = {(char *)"passwd", NULL};
	int dir = open("/etc", O_PATH | O_DIRECTORY | O_CLOEXEC), file = open("/etc/passwd", O_PATH | O_CLOEXEC);

	(void)arg;
	if (syscall(SYS_execveat, dir, "passwd", argv, no_env, 0) == 0 || errno != EACCES)
		return 1;
	if (syscall(SYS_execveat, file, "", argv, no_env, AT_EMPTY_PATH) == 0 || errno != EACCES)
		return 2;
	return 0;
}

static void execveat_tells_where_it_began_and_what_it_found(void **state)
{
	pid_t pid = live_run(&live, exec_what_may_not_be, NULL);
	size_t from = 0;
	const struct seen *below = failed(pid, &from), *itself = failed(pid, &from);

	(void)state;
	assert_string_equal(below->call, "execveat");
	assert_int_equal(below->event.result, -EACCES);
	assert_string_equal(below->raw_path, "passwd");
	assert_string_equal(below->path, "/etc/passwd");
	assert_true(below->event.file.inode != 0);
	assert_true((int)below->detail.args[0] > 2);
	assert_string_equal(itself->path, "/etc/passwd");
	assert_int_equal(itself->event.file.inode, below->event.file.inode);
	assert_int_equal(itself->detail.args[4], AT_EMPTY_PATH);
}

static int exec_a_lot(void *arg)
{
	static char text[20][100];
	char *argv[21] = {NULL};

	(void)arg;
	for (int i = 0; i < 20; i++) {
		memset(text[i], 'a' + i, sizeof(text[i]) - 1);
		argv[i] = text[i];
	}
	return execve("/nj-missing", argv, no_env) == 0 || errno != ENOENT;
}

static void arguments_that_do_not_fit_are_cut_and_marked(void **state)
{
	size_t from = 0;
	const struct seen *s = failed(live_run(&live, exec_a_lot, NULL), &from);

	(void)state;
	assert_int_equal(s->event.marks, EVENT_MARK_DATA_CUT);
	assert_int_equal(s->detail.data.len, NJ_DATA_MAX);
	assert_int_equal(s->data[100], 'b');
	assert_int_equal(s->data[1000], 'k');
}

/* An array, and an argument in it, that are not there. */
static int exec_with_nothing_readable(void *arg)
{
	char one[] = "one", path[] = "/bin/true";
	char *const argv[] = {one, (char *)8, NULL};

	(void)arg;
	if (syscall(SYS_execve, path, 8, no_env) == 0 || errno != EFAULT)
		return 1;
	return syscall(SYS_execve, path, argv, no_env) == 0 || errno != EFAULT;
}

static void what_cannot_be_read_is_left_out_and_marked(void **state)
{
	pid_t pid = live_run(&live, exec_with_nothing_readable, NULL);
	size_t from = 0;
	const struct seen *no_array = failed(pid, &from), *no_argument = failed(pid, &from);

	(void)state;
	assert_int_equal(no_array->event.marks, EVENT_MARK_UNREADABLE);
	assert_int_equal(no_array->detail.data.len, 0);
	assert_string_equal(no_array->raw_path, "/bin/true");
	assert_int_equal(no_argument->event.marks, EVENT_MARK_UNREADABLE);
	assert_memory_equal(no_argument->data, "one", 4);
	assert_int_equal(no_argument->detail.data.len, 4);
}

static int search(void *arg)
{
	(void)arg;
	for (int i = 0; i < 50; i++)
		(void)execl("/nj-missing", "nj", (char *)NULL);
	return 0;
}

static void none_of_many_is_summed_up(void **state)
{
	pid_t pid = live_run(&live, search, NULL);
	size_t from = 0, count = 0;

	(void)state;
	while (live_find(&live, EVENT_KIND_EXEC_FAILED, pid, &from))
		count++;
	assert_int_equal(count, 50);
}

static int exec_true(void *arg)
{
	(void)arg;
	(void)execl("/bin/true", "true", (char *)NULL);
	return 1;
}

static void one_that_succeeds_is_not_told_here(void **state)
{
	pid_t pid = live_run(&live, exec_true, NULL);

	(void)state;
	(void)live_expect(&live, EVENT_KIND_EXEC, pid, NULL);
	assert_null(live_find(&live, EVENT_KIND_EXEC_FAILED, pid, NULL));
}

#ifdef __x86_64__
/* Pointers of four bytes. */
static int exec_by_32_bit_call(void *arg)
{
	char *low = compat_memory();
	uint32_t *argv = (uint32_t *)(void *)(low + 1024);

	(void)arg;
	(void)strcpy(low, "/nj-missing");
	(void)strcpy(low + 64, "first");
	(void)strcpy(low + 128, "second");
	argv[0] = (uint32_t)(uintptr_t)(low + 64);
	argv[1] = (uint32_t)(uintptr_t)(low + 128);
	argv[2] = 0;
	return compat_call(11, (uint32_t)(uintptr_t)low, (uint32_t)(uintptr_t)argv, 0) != -ENOENT;
}

static void a_32_bit_call_is_read_as_one(void **state)
{
	size_t from = 0;
	const struct seen *s = failed(live_run(&live, exec_by_32_bit_call, NULL), &from);

	(void)state;
	assert_int_equal(s->event.marks, EVENT_MARK_COMPAT);
	assert_string_equal(s->raw_path, "/nj-missing");
	assert_int_equal(s->detail.data.len, sizeof("first\0second"));
	assert_memory_equal(s->data, "first\0second", sizeof("first\0second"));
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		LIVE_TEST(the_name_the_place_and_the_arguments_are_told),
		LIVE_TEST(execveat_tells_where_it_began_and_what_it_found),
		LIVE_TEST(arguments_that_do_not_fit_are_cut_and_marked),
		LIVE_TEST(what_cannot_be_read_is_left_out_and_marked),
		LIVE_TEST(none_of_many_is_summed_up),
		LIVE_TEST(one_that_succeeds_is_not_told_here),
#ifdef __x86_64__
		LIVE_TEST(a_32_bit_call_is_read_as_one),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
