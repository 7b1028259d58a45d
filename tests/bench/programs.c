/* Reading the kernel's counts; see programs.h. */
#include "tests/bench/programs.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "tests/bench/bench.h"

int programs_count(void)
{
	int fd = bpf_enable_stats(BPF_STATS_RUN_TIME);

	if (fd < 0)
		bench_die("the kernel does not count what programs cost: %s", strerror(-fd));
	return fd;
}

size_t programs_read(struct program *ret_programs)
{
	size_t count = 0;
	uint32_t id = 0;

	while (count < PROGRAMS_MAX && bpf_prog_get_next_id(id, &id) == 0) {
		struct bpf_prog_info info = {0};
		uint32_t len = sizeof(info);
		_cleanup_(closep) int fd = bpf_prog_get_fd_by_id(id);

		if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
			continue;
		ret_programs[count].id = id;
		memcpy(ret_programs[count].name, info.name, sizeof(ret_programs[count].name));
		ret_programs[count].name[sizeof(info.name) - 1] = '\0';
		ret_programs[count].runs = info.run_cnt;
		ret_programs[count].ns = info.run_time_ns;
		count++;
	}
	return count;
}

const struct program *programs_find(const struct program *list, size_t count, uint32_t id)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].id == id)
			return &list[i];
	return NULL;
}
