/* See hook.h. */
#include "node-agent/hook.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

bool hook_stays(const struct bpf_program *program)
{
	return bpf_program__type(program) == BPF_PROG_TYPE_CGROUP_SKB;
}

/* The root of the v2 hierarchy, which stands beside v1's where both are in use. */
static int open_cgroup_root(void)
{
	static const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	struct statfs fs;

	for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++)
		if (statfs(roots[i], &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
			return open(roots[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	errno = ENOENT;
	return -1;
}

struct bpf_link *hook_attach(const struct bpf_program *program)
{
	struct bpf_link *link = NULL;
	int root, error;

	if (!hook_stays(program))
		return bpf_program__attach(program);
	root = open_cgroup_root();
	if (root < 0)
		return NULL;
	link = bpf_program__attach_cgroup(program, root);
	error = errno;
	(void)close(root);
	errno = error;
	return link;
}

static bool has_type(const struct btf *btf, const char *name, uint32_t kind)
{
	return btf && btf__find_by_name_kind(btf, name, kind) > 0;
}

/* Arguments of that tracepoint, 0 when there is none. */
static uint16_t count_arguments(const struct btf *btf, const char *name)
{
	const struct btf_type *type = NULL;
	int id = btf ? btf__find_by_name_kind(btf, name, BTF_KIND_TYPEDEF) : 0;

	/* A pointer to a function whose first argument is the tracepoint's own. */
	for (int i = 0; i < 2 && id > 0; i++) {
		type = btf__type_by_id(btf, (uint32_t)id);
		id = type ? (int)type->type : 0;
	}
	type = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;
	return type && btf_is_func_proto(type) && btf_vlen(type) > 0 ? btf_vlen(type) - 1 : 0;
}

struct hook_kernel hook_of_kernel(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	struct hook_kernel kernel = {
		.submission = has_type(btf, "btf_trace_io_uring_submit_req", BTF_KIND_TYPEDEF)
				      ? "io_uring_submit_req"
				      : "io_uring_submit_sqe",
		.completes_by_cqe = count_arguments(btf, "btf_trace_io_uring_complete") == 3,
		.has_rdonly_cast = has_type(btf, "bpf_rdonly_cast", BTF_KIND_FUNC),
	};

	btf__free(btf);
	return kernel;
}

uint64_t hook_missed(int fd)
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);

	return fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &size) == 0 ? info.recursion_misses : 0;
}
