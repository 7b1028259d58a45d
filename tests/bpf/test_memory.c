/* Memory that becomes code, and files without a name. */
#include "tests/bpf/live.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/bpf/compat.h"

#define PAGE 4096

static struct live live;
static struct stat memfd;

static size_t events_of(pid_t pid)
{
	size_t from = 0, count = 0;

	while (live_find(&live, EVENT_KIND_MEMORY_EXEC, pid, &from))
		count++;
	return count;
}

static char *map(int protection, int flags, int fd)
{
	char *at = mmap(NULL, PAGE, protection, flags | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);

	if (at == MAP_FAILED)
		_exit(99);
	return at;
}

static int write_then_execute(void *arg)
{
	char *code = map(PROT_READ | PROT_WRITE, MAP_PRIVATE, -1);

	(void)arg;
	code[0] = 'x';
	return mprotect(code, PAGE, PROT_READ | PROT_EXEC) < 0;
}

static void anonymous_memory_that_was_written_is_told(void **state)
{
	pid_t pid = live_run(&live, write_then_execute, NULL);
	const struct seen *s = live_find(&live, EVENT_KIND_MEMORY_EXEC, pid, NULL);

	(void)state;
	assert_int_equal(events_of(pid), 1);
	assert_string_equal(s->call, "mprotect");
	assert_true(s->detail.args[0] != 0);
	assert_int_equal(s->detail.args[1], PAGE);
	assert_int_equal(s->detail.args[2], PROT_READ | PROT_EXEC);
	assert_string_equal(s->path, "");
	assert_int_equal(s->event.file.inode, 0);
}

/* As a loader does with a library, and what does not make code at all. */
static int protect_harmlessly(void *arg)
{
	int fd = open("/bin/true", O_RDONLY | O_CLOEXEC);
	char *data = map(PROT_READ | PROT_WRITE, MAP_PRIVATE, -1), *file = map(PROT_READ, MAP_PRIVATE, fd);
	char *fresh = map(PROT_NONE, MAP_PRIVATE, -1);

	(void)arg;
	data[0] = 'x';
	return mprotect(data, PAGE, PROT_READ) < 0 || mprotect(file, PAGE, PROT_READ | PROT_EXEC) < 0 ||
	       mprotect(fresh, PAGE, PROT_READ | PROT_EXEC) < 0 || write_then_execute(NULL);
}

static void what_was_never_written_is_not_told(void **state)
{
	pid_t pid = live_run(&live, protect_harmlessly, NULL);

	(void)state;
	assert_int_equal(events_of(pid), 1); /* the last one, which was */
}

/* A library's code that is patched; a page that is both; shared memory that another mapping can write. */
static int become_code_in_other_ways(void *arg)
{
	int fd = open("/bin/true", O_RDONLY | O_CLOEXEC), shared = memfd_create("nj-shared", MFD_CLOEXEC);
	char *patched = map(PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
	char *both = map(PROT_READ, MAP_PRIVATE, -1), *view;

	(void)arg;
	if (shared < 0 || ftruncate(shared, PAGE) < 0)
		return 1;
	patched[0] = 'x';
	view = map(PROT_READ, MAP_SHARED, shared);
	return mprotect(patched, PAGE, PROT_READ | PROT_EXEC) < 0 ||
	       mprotect(both, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) < 0 ||
	       mprotect(view, PAGE, PROT_READ | PROT_EXEC) < 0;
}

static void patched_shared_and_writable_code_is_told_with_its_file(void **state)
{
	pid_t pid = live_run(&live, become_code_in_other_ways, NULL);
	size_t from = 0;
	const struct seen *patched = live_find(&live, EVENT_KIND_MEMORY_EXEC, pid, &from);
	const struct seen *both = live_find(&live, EVENT_KIND_MEMORY_EXEC, pid, &from);
	const struct seen *view = live_find(&live, EVENT_KIND_MEMORY_EXEC, pid, &from);
	char real[256];
	struct stat st;

	(void)state;
	assert_true(patched && both && view);
	assert_non_null(realpath("/bin/true", real));
	assert_int_equal(stat(real, &st), 0);
	assert_string_equal(patched->path, real);
	assert_int_equal(patched->event.file.inode, st.st_ino);
	assert_int_equal(both->detail.args[2], PROT_READ | PROT_WRITE | PROT_EXEC);
	assert_string_equal(both->path, "");
	assert_non_null(strstr(view->path, "memfd:nj-shared"));
}

#define WX (PROT_WRITE | PROT_EXEC)

/* Data, a library's code, shared data; the last is told. */
static int map_harmlessly(void *arg)
{
	int fd = open("/bin/true", O_RDONLY | O_CLOEXEC), shared = memfd_create("nj-data", MFD_CLOEXEC);

	(void)arg;
	if (fd < 0 || ftruncate(shared, PAGE) < 0)
		return 1;
	(void)map(PROT_READ | PROT_WRITE, MAP_PRIVATE, -1);
	(void)map(PROT_READ | PROT_EXEC, MAP_PRIVATE, -1);
	(void)map(PROT_READ | PROT_EXEC, MAP_PRIVATE, fd);
	(void)map(PROT_READ | PROT_EXEC, MAP_SHARED, fd);
	(void)map(PROT_READ | PROT_WRITE, MAP_SHARED, shared);
	(void)map(PROT_READ | WX, MAP_PRIVATE, -1);
	return 0;
}

static void a_mapping_that_is_both_from_the_start_is_told_and_no_other(void **state)
{
	pid_t pid = live_run(&live, map_harmlessly, NULL);
	const struct seen *s = live_expect(&live, EVENT_KIND_MEMORY_EXEC, pid, NULL);

	(void)state;
	assert_int_equal(events_of(pid), 1);
	assert_string_equal(s->call, "mmap");
	assert_true(s->event.result > 0);
	assert_int_equal(s->detail.arg_count, 5);
	assert_int_equal(s->detail.args[1], PAGE);
	assert_int_equal(s->detail.args[2], PROT_READ | WX);
	assert_int_equal(s->detail.args[3], MAP_PRIVATE | MAP_ANONYMOUS);
	assert_string_equal(s->path, "");
}

/* A library that was never on disk, one that is gone, code that others can write, and one that may not be. */
static int map_code_of_nowhere(void *arg)
{
	char gone[] = "/tmp/nj-gone-XXXXXX";
	int memory = memfd_create("nj-library", MFD_CLOEXEC), file = mkstemp(gone);
	int only_read = open("/bin/true", O_RDONLY | O_CLOEXEC);

	(void)arg;
	if (ftruncate(memory, PAGE) < 0 || ftruncate(file, PAGE) < 0)
		return 1;
	(void)map(PROT_READ | PROT_EXEC, MAP_SHARED, file);
	(void)unlink(gone);
	(void)map(PROT_READ | PROT_EXEC, MAP_PRIVATE, memory);
	(void)map(PROT_READ | PROT_EXEC, MAP_PRIVATE, file);
	return mmap(NULL, PAGE, PROT_READ | WX, MAP_SHARED, only_read, 0) != MAP_FAILED || errno != EACCES;
}

static void code_of_files_that_were_written_or_have_no_name_is_told(void **state)
{
	pid_t pid = live_run(&live, map_code_of_nowhere, NULL);
	size_t from = 0;
	const struct seen *shared = live_expect(&live, EVENT_KIND_MEMORY_EXEC, pid, &from);
	const struct seen *memory = live_expect(&live, EVENT_KIND_MEMORY_EXEC, pid, &from);
	const struct seen *gone = live_expect(&live, EVENT_KIND_MEMORY_EXEC, pid, &from);
	const struct seen *refused = live_expect(&live, EVENT_KIND_MEMORY_EXEC, pid, &from);

	(void)state;
	assert_non_null(strstr(shared->path, "/nj-gone-"));
	assert_int_equal(shared->detail.args[3], MAP_SHARED);
	assert_non_null(strstr(memory->path, "memfd:nj-library"));
	assert_int_equal(memory->event.file.nlink, 0);
	assert_int_equal(gone->event.file.inode, shared->event.file.inode);
	assert_int_equal(gone->event.file.nlink, 0);
	assert_int_equal(refused->event.result, -EACCES);
	assert_true(refused->event.file.inode != 0);
}

static int attach_segments(void *arg)
{
	int id = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0700);
	void *data, *code;

	(void)arg;
	if (id < 0)
		return 1;
	data = shmat(id, NULL, 0);
	code = shmat(id, NULL, SHM_EXEC);
	(void)shmctl(id, IPC_RMID, NULL);
	return data == (void *)-1 || code == (void *)-1;
}

static void a_segment_is_told_when_it_is_code(void **state)
{
	pid_t pid = live_run(&live, attach_segments, NULL);
	const struct seen *s = live_expect(&live, EVENT_KIND_MEMORY_EXEC, pid, NULL);

	(void)state;
	assert_int_equal(events_of(pid), 1);
	assert_string_equal(s->call, "shmat");
	assert_int_equal(s->detail.args[2], SHM_EXEC);
	assert_true(s->event.result > 0);
	assert_non_null(strstr(s->path, "/SYSV"));
	assert_int_equal(s->event.file.inode, s->detail.args[0]); /* its number is the segment's */
}

static int fail_to_execute(void *arg)
{
	(void)arg;
	return syscall(SYS_mprotect, 0x1000, PAGE, PROT_READ | PROT_EXEC) == 0 || errno != ENOMEM;
}

static void a_failed_attempt_is_told(void **state)
{
	pid_t pid = live_run(&live, fail_to_execute, NULL);
	const struct seen *s = live_expect(&live, EVENT_KIND_MEMORY_EXEC, pid, NULL);

	(void)state;
	assert_int_equal(s->event.result, -ENOMEM);
	assert_int_equal(s->detail.args[0], 0x1000);
}

static int make_memfd(void *arg)
{
	int fd = memfd_create("nj-payload", MFD_CLOEXEC);

	(void)arg;
	if (fd < 0 || syscall(SYS_memfd_create, "nj-payload", 0xffff) >= 0 || errno != EINVAL)
		return 1;
	return 0;
}

static void a_memfd_is_told_with_its_name_and_file(void **state)
{
	pid_t pid = live_run(&live, make_memfd, NULL);
	size_t from = 0;
	const struct seen *made = live_find(&live, EVENT_KIND_MEMFD, pid, &from);
	const struct seen *failed = live_find(&live, EVENT_KIND_MEMFD, pid, &from);
	int own = memfd_create("own", MFD_CLOEXEC);

	(void)state;
	assert_true(made && failed);
	assert_string_equal(made->text, "nj-payload");
	assert_int_equal(made->detail.args[0], 0);
	assert_int_equal(made->detail.args[1], MFD_CLOEXEC);
	assert_true(made->event.result >= 0);
	assert_int_equal(fstat(own, &memfd), 0);
	assert_int_equal(made->event.file.device, memfd.st_dev);
	assert_true(made->event.file.inode != 0);
	assert_int_equal(failed->event.result, -EINVAL);
	assert_int_equal(failed->event.file.inode, 0);
	assert_int_equal(close(own), 0);
}

#ifdef __x86_64__
static int write_then_execute_by_32_bit_call(void *arg)
{
	char *code = compat_memory();

	(void)arg;
	code[0] = 'x';
	return compat_call(125, (uint32_t)(uintptr_t)code, PAGE, PROT_READ | PROT_EXEC) < 0;
}

static void a_32_bit_call_is_marked(void **state)
{
	pid_t pid = live_run(&live, write_then_execute_by_32_bit_call, NULL);
	const struct seen *s = live_expect(&live, EVENT_KIND_MEMORY_EXEC, pid, NULL);

	(void)state;
	assert_int_equal(s->event.marks, EVENT_MARK_COMPAT);
}

/* The arguments of the old mmap and the result of a shmat stand in memory. */
static int map_and_attach_by_32_bit_calls(void *arg)
{
	struct {
		uint32_t map[6], at;
	} *m = compat_memory();
	int id = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0700);
	long mapped, attached;

	(void)arg;
	m->map[1] = PAGE;
	m->map[2] = PROT_READ | WX;
	m->map[3] = MAP_PRIVATE | MAP_ANONYMOUS;
	mapped = compat_call(90, (uint32_t)(uintptr_t)m->map, 0, 0);
	attached = compat_call5(117, 21, (uint32_t)id, SHM_EXEC, (uint32_t)(uintptr_t)&m->at, 0);
	(void)shmctl(id, IPC_RMID, NULL);
	return id < 0 || mapped < 0 || attached < 0;
}

static void mappings_of_32_bit_code_are_read_from_where_they_stand(void **state)
{
	pid_t pid = live_run(&live, map_and_attach_by_32_bit_calls, NULL);
	size_t from = 0;
	const struct seen *mapped = live_expect(&live, EVENT_KIND_MEMORY_EXEC, pid, &from);
	const struct seen *attached = live_expect(&live, EVENT_KIND_MEMORY_EXEC, pid, &from);

	(void)state;
	assert_string_equal(mapped->call, "old_mmap");
	assert_int_equal(mapped->detail.args[1], PAGE);
	assert_int_equal(mapped->detail.args[2], PROT_READ | WX);
	assert_true(mapped->event.result > 0);
	assert_string_equal(attached->call, "ipc");
	assert_int_equal(attached->detail.args[2], SHM_EXEC);
	assert_true(attached->event.result > 0);
	assert_non_null(strstr(attached->path, "/SYSV"));
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		LIVE_TEST(anonymous_memory_that_was_written_is_told),
		LIVE_TEST(what_was_never_written_is_not_told),
		LIVE_TEST(patched_shared_and_writable_code_is_told_with_its_file),
		LIVE_TEST(a_mapping_that_is_both_from_the_start_is_told_and_no_other),
		LIVE_TEST(code_of_files_that_were_written_or_have_no_name_is_told),
		LIVE_TEST(a_segment_is_told_when_it_is_code),
		LIVE_TEST(a_failed_attempt_is_told),
		LIVE_TEST(a_memfd_is_told_with_its_name_and_file),
#ifdef __x86_64__
		LIVE_TEST(a_32_bit_call_is_marked),
		LIVE_TEST(mappings_of_32_bit_code_are_read_from_where_they_stand),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
