/* One event of every kind with every field set, and the question whether two are equal: what the
 * tests of the wire start from. */
#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>

#include "common/event.h"
#include "tests/unit/unit.h"

static const struct container_def sample_host = {
	.container_id = "", .pod_uid = "", .name = "", .image = "", .pod = "", .namespace = "", .cgroup = "",
	.image_id = "", .workload = ""};

static const struct container_label sample_labels[] = {{"app", "web"}, {"tier", ""}};
static const struct container_mount sample_mounts[] = {
	{"/var/lib/kubelet/pods/6f1c/volumes/x", "/data", "private", true}, {"/", "/host", "", false}};

static const struct container_def sample_pod = {
	.container_id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
	.pod_uid = "6f1c3f5e-1111-2222-3333-444455556666",
	.name = "web",
	.image = "shop/web:7",
	.pod = "web-5d9",
	.namespace = "shop",
	.cgroup = "/kubepods/besteffort/pod6f1c3f5e",
	.image_id = "shop/web@sha256:00ff",
	.workload = "web",
	.labels = sample_labels,
	.mounts = sample_mounts,
	.label_count = 2,
	.mount_count = 2,
	.privileged = true,
	.cap_bounding = 0x1ffffffffff,
	.start_ns = 999999999,
};

static const struct bytes sample_args[] = {{(const uint8_t *)"/bin/bash", 9},
					   {(const uint8_t *)"", 0},
					   {(const uint8_t *)"\xff\0x", 3}};
static const struct bytes sample_env[] = {{(const uint8_t *)"PATH=/bin", 9}};

static const struct process_def sample_shell = {
	.exec_id = 0xfedcba9876543210,
	.parent_exec_id = 0x1122334455667788,
	.pid = 4242,
	.ppid = 1,
	.start_ns = 1000000007,
	.exec_ns = 1000000123,
	.exe = {"/usr/bin/bash", 77, 0x800001, 3, 0100755, 5, 1},
	.args = sample_args,
	.arg_count = 3,
	.env = sample_env,
	.env_count = 1,
	.cwd = "/srv/app",
	.creds = {.uid = 33,
		  .gid = 34,
		  .euid = 35,
		  .egid = 36,
		  .suid = 37,
		  .sgid = 38,
		  .cap_effective = 0x1ff,
		  .cap_permitted = 0x3ff,
		  .cap_inheritable = 0x7ff},
	.loginuid = LOGINUID_NONE,
	.session = 4000,
	.tty = 0x8803,
	.truncated = PROCESS_ARGS_TRUNCATED | PROCESS_ENV_TRUNCATED,
	.container = &sample_pod,
	.comm = "bash",
	.exe_raw = "./bash",
	.pgid = 4100,
	.vpid = 42,
	.vpgid = 41,
	.exe_flags = PROCESS_EXE_WRITABLE | PROCESS_EXE_MEMFD,
	.exe_ctime_ns = 1700000000000000001,
	.exe_mtime_ns = 1700000000000000002,
	.namespaces = {1, 2, 3, 4, 5, 6, 7, 8},
};

/* Only what is never absent; on the host. */
static const struct process_def sample_bare = {.exec_id = 5,
					       .exe = {.path = ""},
					       .cwd = "",
					       .container = &sample_host,
					       .comm = "",
					       .exe_raw = ""};

static const struct event_detail sample_detail = {
	.call = "renameat2",
	.path2 = "/etc/shadow.new",
	.raw_path2 = "shadow.new",
	.text = "overlay",
	.data = {(const uint8_t *)"a\0b\xff", 4},
	.target = &sample_bare,
	.args = {0xffffffffffffffff, 0, 300, 1, 2, 0}, /* the last one is there too */
	.arg_count = EVENT_CALL_ARGS_MAX,
	.namespaces = {4026531841, 2, 3, 4, 5, 6, 7, 8},
};

/* Shares the shell's image. */
static inline struct process_def sample_child(void)
{
	struct process_def child = sample_shell;

	child.exec_id = 0xabc;
	child.parent_exec_id = sample_shell.exec_id;
	child.pid = 4243;
	child.ppid = 4242;
	child.start_ns = 1000000999;
	child.exec_ns = 0;
	child.vpid = 43;
	return child;
}

static inline struct endpoint sample_endpoint(enum endpoint_kind kind)
{
	struct endpoint ep = {.kind = (uint8_t)kind, .fd = -1};

	if (kind == ENDPOINT_KIND_NONE)
		return ep;
	ep.mode = ENDPOINT_READ | ENDPOINT_WRITE;
	ep.fd = 63;
	ep.id = 0xffffffffffffffff;
	ep.id2 = 17 + (uint64_t)kind;
	ep.readers = 65535;
	ep.writers = 1;
	if (kind != ENDPOINT_KIND_TCP && kind != ENDPOINT_KIND_UDP)
		return ep;
	ep.family = kind == ENDPOINT_KIND_TCP ? AF_INET : AF_INET6;
	ep.state = 1;
	ep.local_port = 65535;
	ep.remote_port = 443;
	(void)inet_pton(ep.family, ep.family == AF_INET ? "10.0.0.7" : "fd00::7", ep.local_ip);
	(void)inet_pton(ep.family, ep.family == AF_INET ? "192.0.2.1" : "2001:db8::1", ep.remote_ip);
	return ep;
}

/* Endpoints of every kind; an event takes as many as it has. */
static inline const struct endpoint *sample_endpoints(void)
{
	static struct endpoint endpoints[ENDPOINT_KIND_MAX];

	for (int kind = 0; kind < ENDPOINT_KIND_MAX; kind++)
		endpoints[kind] = sample_endpoint((enum endpoint_kind)kind);
	return endpoints;
}

static inline struct event sample_event(enum event_kind kind, uint64_t seq)
{
	struct event event = {
		.seq = seq,
		.time_ns = 123456789012 + seq,
		.kind = kind,
		.tid = 4244,
		.process = &sample_shell,
		.result = -111,
		.endpoints = sample_endpoints(),
		.endpoint_count = ENDPOINT_KIND_MAX,
		.flags = 0x80241,
		.old_fd = -1,
		.file = {"/etc/shadow", 9, 0x800001, 1, 0100600, 2, 1},
		.raw_path = "../etc/shadow",
		.creds = {.uid = 1,
			  .gid = 2,
			  .euid = 3,
			  .egid = 4,
			  .suid = 7,
			  .sgid = 8,
			  .cap_effective = 5,
			  .cap_permitted = 6,
			  .cap_inheritable = 9},
		.marks = EVENT_MARK_PATH_CUT | EVENT_MARK_UNREADABLE,
		.detail = &sample_detail,
		.repeats = 1ULL << 40,
		.first_ns = 123456789,
	};

	return event;
}

static inline void assert_texts_equal(const struct bytes *a, uint16_t a_count, const struct bytes *b,
				      uint16_t b_count)
{
	assert_int_equal(a_count, b_count);
	for (uint16_t i = 0; i < a_count; i++)
		assert_true(bytes_equal(a[i], b[i]));
}

static inline void assert_files_equal(const struct file_info *a, const struct file_info *b)
{
	assert_string_equal(a->path, b->path);
	assert_int_equal(a->inode, b->inode);
	assert_int_equal(a->device, b->device);
	assert_int_equal(a->generation, b->generation);
	assert_int_equal(a->mode, b->mode);
	assert_int_equal(a->uid, b->uid);
	assert_int_equal(a->nlink, b->nlink);
}

static inline void assert_containers_equal(const struct container_def *a, const struct container_def *b)
{
	assert_string_equal(a->container_id, b->container_id);
	assert_string_equal(a->pod_uid, b->pod_uid);
	assert_string_equal(a->name, b->name);
	assert_string_equal(a->image, b->image);
	assert_string_equal(a->pod, b->pod);
	assert_string_equal(a->namespace, b->namespace);
	assert_string_equal(a->cgroup, b->cgroup);
	assert_string_equal(a->image_id, b->image_id);
	assert_string_equal(a->workload, b->workload);
	assert_int_equal(a->label_count, b->label_count);
	for (uint16_t i = 0; i < a->label_count; i++) {
		assert_string_equal(a->labels[i].key, b->labels[i].key);
		assert_string_equal(a->labels[i].value, b->labels[i].value);
	}
	assert_int_equal(a->mount_count, b->mount_count);
	for (uint16_t i = 0; i < a->mount_count; i++) {
		assert_string_equal(a->mounts[i].source, b->mounts[i].source);
		assert_string_equal(a->mounts[i].destination, b->mounts[i].destination);
		assert_string_equal(a->mounts[i].propagation, b->mounts[i].propagation);
		assert_int_equal(a->mounts[i].readonly, b->mounts[i].readonly);
	}
	assert_int_equal(a->privileged, b->privileged);
	assert_int_equal(a->cap_bounding, b->cap_bounding);
	assert_int_equal(a->start_ns, b->start_ns);
}

static inline void assert_creds_equal(const struct creds *a, const struct creds *b)
{
	assert_memory_equal(a, b, sizeof(*a));
}

static inline void assert_namespaces_equal(const struct namespaces *a, const struct namespaces *b)
{
	assert_memory_equal(a, b, sizeof(*a));
}

static inline void assert_processes_equal(const struct process_def *a, const struct process_def *b)
{
	assert_int_equal(a->exec_id, b->exec_id);
	assert_int_equal(a->parent_exec_id, b->parent_exec_id);
	assert_int_equal(a->pid, b->pid);
	assert_int_equal(a->ppid, b->ppid);
	assert_int_equal(a->start_ns, b->start_ns);
	assert_int_equal(a->exec_ns, b->exec_ns);
	assert_files_equal(&a->exe, &b->exe);
	assert_texts_equal(a->args, a->arg_count, b->args, b->arg_count);
	assert_texts_equal(a->env, a->env_count, b->env, b->env_count);
	assert_string_equal(a->cwd, b->cwd);
	assert_creds_equal(&a->creds, &b->creds);
	assert_int_equal(a->loginuid, b->loginuid);
	assert_int_equal(a->session, b->session);
	assert_int_equal(a->tty, b->tty);
	assert_int_equal(a->truncated, b->truncated);
	assert_containers_equal(a->container, b->container);
	assert_string_equal(a->comm, b->comm);
	assert_string_equal(a->exe_raw, b->exe_raw);
	assert_int_equal(a->pgid, b->pgid);
	assert_int_equal(a->vpid, b->vpid);
	assert_int_equal(a->vpgid, b->vpgid);
	assert_int_equal(a->exe_flags, b->exe_flags);
	assert_int_equal(a->exe_ctime_ns, b->exe_ctime_ns);
	assert_int_equal(a->exe_mtime_ns, b->exe_mtime_ns);
	assert_namespaces_equal(&a->namespaces, &b->namespaces);
}

static inline void assert_details_equal(const struct event_detail *a, const struct event_detail *b)
{
	assert_string_equal(a->call, b->call);
	assert_string_equal(a->path2, b->path2);
	assert_string_equal(a->raw_path2, b->raw_path2);
	assert_string_equal(a->text, b->text);
	assert_true(bytes_equal(a->data, b->data));
	assert_int_equal(!a->target, !b->target);
	if (a->target)
		assert_processes_equal(a->target, b->target);
	assert_int_equal(a->arg_count, b->arg_count);
	assert_memory_equal(a->args, b->args, sizeof(a->args));
	assert_namespaces_equal(&a->namespaces, &b->namespaces);
}

static inline void assert_events_equal(const struct event *a, const struct event *b)
{
	assert_int_equal(a->seq, b->seq);
	assert_int_equal(a->time_ns, b->time_ns);
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->tid, b->tid);
	assert_processes_equal(a->process, b->process);
	assert_int_equal(!a->child, !b->child);
	if (a->child)
		assert_processes_equal(a->child, b->child);
	assert_int_equal(a->result, b->result);
	assert_int_equal(a->endpoint_count, b->endpoint_count);
	for (uint16_t i = 0; i < a->endpoint_count; i++)
		assert_memory_equal(&a->endpoints[i], &b->endpoints[i], sizeof(a->endpoints[i]));
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->old_fd, b->old_fd);
	assert_files_equal(&a->file, &b->file);
	assert_string_equal(a->raw_path, b->raw_path);
	assert_creds_equal(&a->creds, &b->creds);
	assert_int_equal(a->marks, b->marks);
	assert_int_equal(a->repeats, b->repeats);
	assert_int_equal(a->first_ns, b->first_ns);
	assert_details_equal(event_detail(a), event_detail(b));
}
