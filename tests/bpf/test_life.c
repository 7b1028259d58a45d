/* Process life under churn: whatever the order in which CPUs hand in their records, and however a
 * process dies, every fork and exit finds its process. */
#include "tests/bpf/live.h"

#include <elf.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"

#define CHURNERS 6
#define CHURN_NS (3 * NS_PER_SEC)

static struct live live;

/* Never fails on a machine with one CPU, it only moves less. */
static void move_to_some_cpu(unsigned int *seed)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)rand_r(seed) % (size_t)(cpus > 0 ? cpus : 1), &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

/* What a child of the churn does with its life. */
static _Noreturn void live_shortly(unsigned int seed)
{
	move_to_some_cpu(&seed);
	switch (rand_r(&seed) % 4) {
	case 0:
		_exit(0);
	case 1: {
		pid_t orphan = fork();

		if (orphan == 0)
			move_to_some_cpu(&seed);
		_exit(0);
	}
	default:
		(void)execl("/bin/true", "true", (char *)NULL);
		_exit(1);
	}
}

/* A child that is about to replace its image is killed at any moment of it. */
static void churn_once(unsigned int *seed)
{
	unsigned int child_seed = (unsigned int)rand_r(seed);
	pid_t pid = fork();

	if (pid == 0)
		live_shortly(child_seed);
	if (pid > 0 && rand_r(seed) % 2) {
		for (volatile int spin = rand_r(seed) % 200000; spin > 0; spin--)
			;
		(void)kill(pid, SIGKILL);
	}
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
}

static int churn(unsigned int seed)
{
	uint64_t end = clock_monotonic_ns() + CHURN_NS;

	while (clock_monotonic_ns() < end) {
		move_to_some_cpu(&seed);
		churn_once(&seed);
	}
	return 0;
}

static void start_churner(unsigned int seed)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(churn(seed));
}

static uint64_t losses_of_process_life(void)
{
	struct loss losses[32];
	uint32_t n = capture_losses(live.capture, losses, 32);
	uint64_t lost = 0;

	for (uint32_t i = 0; i < n; i++)
		if (strcmp(losses[i].class, "process") == 0)
			lost += losses[i].count;
	return lost;
}

static uint32_t wait_for_churners(uint32_t running)
{
	while (running > 0 && waitpid(-1, NULL, WNOHANG) > 0)
		running--;
	return running;
}

/* The churn goes on when a capture begins: processes end while they are listed. */
static void no_fork_and_no_exit_is_of_a_process_that_nobody_knows(void **state)
{
	uint32_t running = CHURNERS;

	(void)state;
	for (unsigned int i = 0; i < CHURNERS; i++)
		start_churner(i + 1);
	while (running > 0) {
		live_start(&live, NULL, 0);
		for (int i = 0; i < 3; i++)
			live_pump(&live, 10);
		running = wait_for_churners(running);
		live_pump(&live, 0);
		assert_int_equal(losses_of_process_life(), 0);
		assert_false(live.gap);
		live_stop(&live);
	}
}

/* The kernel finds out that the segment does not fit when the old image is gone already. */
#ifdef __aarch64__
#define MACHINE EM_AARCH64
#else
#define MACHINE EM_X86_64
#endif

static int become_what_cannot_be_loaded(void *arg)
{
	struct {
		Elf64_Ehdr head;
		Elf64_Phdr segment;
	} image = {
		.head = {.e_ident = ELFMAG, .e_type = ET_EXEC, .e_machine = MACHINE, .e_version = EV_CURRENT,
			 .e_entry = 0x400000, .e_phoff = sizeof(Elf64_Ehdr), .e_ehsize = sizeof(Elf64_Ehdr),
			 .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 1},
		.segment = {.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_vaddr = 0x400000,
			    .p_filesz = sizeof(image), .p_memsz = 1ULL << 62, .p_align = 0x1000},
	};
	char path[] = "/tmp/nj-unloadable-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);
	pid_t pid;
	int status;

	(void)arg;
	image.head.e_ident[EI_CLASS] = ELFCLASS64;
	image.head.e_ident[EI_DATA] = ELFDATA2LSB;
	image.head.e_ident[EI_VERSION] = EV_CURRENT;
	if (fd < 0 || write(fd, &image, sizeof(image)) != sizeof(image) || fchmod(fd, 0755) < 0)
		return 1;
	(void)close(fd);
	pid = fork();
	if (pid == 0) {
		(void)execl(path, path, (char *)NULL);
		_exit(7);
	}
	(void)waitpid(pid, &status, 0);
	(void)unlink(path);
	return !WIFSIGNALED(status);
}

static void an_exec_that_fails_too_late_ends_the_image_that_was_known(void **state)
{
	const struct seen *fork_seen, *failed, *end;
	pid_t pid;

	(void)state;
	live_start(&live, NULL, 0);
	pid = live_run(&live, become_what_cannot_be_loaded, NULL);
	fork_seen = live_expect(&live, EVENT_KIND_FORK, pid, NULL);
	end = live_expect(&live, EVENT_KIND_EXIT, (pid_t)fork_seen->child_pid, NULL);
	assert_int_equal(end->process.exec_id, fork_seen->child_exec_id);
	assert_null(live_find(&live, EVENT_KIND_EXEC, (pid_t)fork_seen->child_pid, NULL));
	failed = live_expect(&live, EVENT_KIND_EXEC_FAILED, (pid_t)fork_seen->child_pid, NULL);
	assert_int_equal(failed->process.exec_id, fork_seen->child_exec_id);
	assert_int_equal(losses_of_process_life(), 0);
	live_stop(&live);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_fork_and_no_exit_is_of_a_process_that_nobody_knows),
		cmocka_unit_test(an_exec_that_fails_too_late_ends_the_image_that_was_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
