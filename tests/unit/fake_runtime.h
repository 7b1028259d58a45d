/* A container runtime for tests: a real gRPC server on a UNIX socket in a folder of its own, which
 * answers runtime.v1 as it is told. One thread; what it is told may change at any time under its lock. */
#pragma once

#include <dirent.h>
#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/wire_check.h"
#include "cri/runtime/v1/runtime.pb-c.h"
#include "tests/unit/unit.h"

#define ID(n)	     "00000000000000000000000000000000000000000000000000000000000000" #n
#define RUNTIME_INFO                                                                               \
	"{\"pid\":7,\"config\":{\"linux\":{\"security_context\":{"     \
	"\"privileged\":true}}},\"runtimeSpec\":{\"process\":{\"capabilities\":{\"bounding\":["    \
	"\"CAP_CHOWN\",\"CAP_NET_RAW\",\"CAP_NO_SUCH\",\"CAP_CHECKPOINT_RESTORE\"]}}}}"
#define RUNTIME_BOUNDING (1ULL << 0 | 1ULL << 13 | 1ULL << 40)

enum runtime_mood {
	RUNTIME_WELL,
	RUNTIME_REFUSES,     /* every call is UNAVAILABLE */
	RUNTIME_HANGS,	     /* no call is answered */
	RUNTIME_SLOW,	     /* calls that are about containers end as if they had taken too long */
	RUNTIME_NONSENSE,    /* answers are no protobuf */
	RUNTIME_IS_ANOTHER,  /* UNIMPLEMENTED */
	RUNTIME_KNOWS_NOBODY /* all lists are empty */
};

struct runtime {
	char dir[48], path[64];
	const char *sockets[2]; /* for struct cri_config */
	grpc_server *server;
	grpc_completion_queue *queue;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* How it answers. */
	enum runtime_mood mood;
	uint32_t unknown_for; /* so many lists of containers are empty first */
	bool silent_info;     /* no verbose part */
	int64_t started_at;
	/* What it has seen. */
	uint32_t calls, statuses, lists;
	char asked[80]; /* the last container id */
};

static inline Runtime__V1__Pair fake_pair(const char *key, const char *value)
{
	Runtime__V1__Pair pair = RUNTIME__V1__PAIR__INIT;

	pair.key = (char *)(uintptr_t)key;
	pair.value = (char *)(uintptr_t)value;
	return pair;
}

static inline void fake_pack(struct buf *out, const void *message)
{
	uint8_t *room = buf_extend(out, protobuf_c_message_get_packed_size(message));

	if (room)
		(void)protobuf_c_message_pack(message, room);
}

static inline void fake_version(struct buf *out)
{
	Runtime__V1__VersionResponse reply = RUNTIME__V1__VERSION_RESPONSE__INIT;

	reply.runtime_name = (char *)(uintptr_t)"fake";
	reply.runtime_version = (char *)(uintptr_t)"1.2";
	fake_pack(out, &reply);
}

static inline void fake_container(struct buf *out, bool silent_info, int64_t started_at)
{
	Runtime__V1__ContainerStatusResponse reply = RUNTIME__V1__CONTAINER_STATUS_RESPONSE__INIT;
	Runtime__V1__ContainerStatus status = RUNTIME__V1__CONTAINER_STATUS__INIT;
	Runtime__V1__ContainerMetadata metadata = RUNTIME__V1__CONTAINER_METADATA__INIT;
	Runtime__V1__ImageSpec image = RUNTIME__V1__IMAGE_SPEC__INIT;
	Runtime__V1__Mount mount = RUNTIME__V1__MOUNT__INIT, *mounts[] = {&mount};
	Runtime__V1__Pair info = fake_pair("info", RUNTIME_INFO), *infos[] = {&info};

	metadata.name = (char *)(uintptr_t)"web";
	image.image = (char *)(uintptr_t)"docker.io/shop/web:7";
	mount.container_path = (char *)(uintptr_t)"/host";
	mount.host_path = (char *)(uintptr_t)"/";
	mount.readonly = true;
	mount.propagation = RUNTIME__V1__MOUNT_PROPAGATION__PROPAGATION_HOST_TO_CONTAINER;
	status.metadata = &metadata;
	status.image = &image;
	status.image_ref = (char *)(uintptr_t)"docker.io/shop/web@sha256:00ff";
	status.started_at = started_at;
	status.n_mounts = 1;
	status.mounts = mounts;
	reply.status = &status;
	reply.n_info = !silent_info;
	reply.info = infos;
	fake_pack(out, &reply);
}

static inline void fake_sandbox(struct buf *out)
{
	Runtime__V1__PodSandboxStatusResponse reply = RUNTIME__V1__POD_SANDBOX_STATUS_RESPONSE__INIT;
	Runtime__V1__PodSandboxStatus status = RUNTIME__V1__POD_SANDBOX_STATUS__INIT;
	Runtime__V1__Pair info = fake_pair("info", "{\"image\":\"pause:3\"}"), *infos[] = {&info};

	status.created_at = 1;
	reply.status = &status;
	reply.n_info = 1;
	reply.info = infos;
	fake_pack(out, &reply);
}

static inline void fake_sandbox_list(struct buf *out)
{
	Runtime__V1__ListPodSandboxResponse reply = RUNTIME__V1__LIST_POD_SANDBOX_RESPONSE__INIT;
	Runtime__V1__PodSandbox pod = RUNTIME__V1__POD_SANDBOX__INIT, *items[] = {&pod};
	Runtime__V1__PodSandboxMetadata metadata = RUNTIME__V1__POD_SANDBOX_METADATA__INIT;
	Runtime__V1__Pair labels[] = {fake_pair("app", "web"), fake_pair("io.kubernetes.pod.name", "web-5d9")};
	Runtime__V1__Pair *list[] = {&labels[0], &labels[1]};

	metadata.name = (char *)(uintptr_t)"web-5d9";
	metadata.uid = (char *)(uintptr_t)"6f1c3f5e-1111-2222-3333-444455556666";
	metadata.namespace_ = (char *)(uintptr_t)"shop";
	pod.metadata = &metadata;
	pod.n_labels = 2;
	pod.labels = list;
	reply.n_items = 1;
	reply.items = items;
	fake_pack(out, &reply);
}

static inline void fake_container_list(struct buf *out)
{
	Runtime__V1__ListContainersResponse reply = RUNTIME__V1__LIST_CONTAINERS_RESPONSE__INIT;
	Runtime__V1__Container container = RUNTIME__V1__CONTAINER__INIT, *list[] = {&container};

	container.pod_sandbox_id = (char *)(uintptr_t)ID(5b);
	reply.n_containers = 1;
	reply.containers = list;
	fake_pack(out, &reply);
}

static inline bool fake_is(grpc_slice method, const char *name)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "/runtime.v1.RuntimeService/%s", name);
	return GRPC_SLICE_LENGTH(method) == strlen(path) &&
	       memcmp(GRPC_SLICE_START_PTR(method), path, strlen(path)) == 0;
}

/* Lock held. The status to answer with, and the answer: an empty list is no bytes at all. */
static inline grpc_status_code fake_decide(struct runtime *f, grpc_slice method, struct buf *out)
{
	bool container = fake_is(method, "ContainerStatus"), sandbox = fake_is(method, "PodSandboxStatus");
	bool containers = fake_is(method, "ListContainers"), sandboxes = fake_is(method, "ListPodSandbox");
	bool nobody = f->mood == RUNTIME_KNOWS_NOBODY || (sandboxes && strcmp(f->asked, ID(5b)) != 0) ||
		      (containers && strcmp(f->asked, ID(5b)) == 0);

	f->calls++;
	f->lists += containers;
	f->statuses += container;
	if (f->mood == RUNTIME_REFUSES)
		return GRPC_STATUS_UNAVAILABLE;
	if (f->mood == RUNTIME_IS_ANOTHER)
		return GRPC_STATUS_UNIMPLEMENTED;
	if (f->mood == RUNTIME_SLOW && !fake_is(method, "Version"))
		return GRPC_STATUS_DEADLINE_EXCEEDED;
	if (f->mood == RUNTIME_NONSENSE)
		buf_add(out, "\xff\xff\xff", 3);
	else if (fake_is(method, "Version"))
		fake_version(out);
	else if (containers && f->unknown_for > 0)
		f->unknown_for--;
	else if (containers && !nobody)
		fake_container_list(out);
	else if (sandboxes && !nobody)
		fake_sandbox_list(out);
	else if (container)
		fake_container(out, f->silent_info, f->started_at);
	else if (sandbox)
		fake_sandbox(out);
	return GRPC_STATUS_OK;
}

static inline void fake_wait_tag(struct runtime *f, void *tag)
{
	grpc_event event = grpc_completion_queue_next(f->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);

	assert_true(event.type == GRPC_OP_COMPLETE && event.tag == tag);
}

/* The id is the first field of every request, or of the filter there. */
static inline void fake_note_id(struct runtime *f, grpc_byte_buffer *request)
{
	grpc_byte_buffer_reader reader;
	struct wire_field field = {0};
	struct bytes message;
	grpc_slice all;

	if (!request || !grpc_byte_buffer_reader_init(&reader, request))
		return;
	all = grpc_byte_buffer_reader_readall(&reader);
	message = bytes_of(GRPC_SLICE_START_PTR(all), GRPC_SLICE_LENGTH(all));
	if (wire_next_field(&message, &field) == 1 && field.data.len > 64) {
		message = field.data;
		(void)!wire_next_field(&message, &field);
	}
	if (field.data.len < sizeof(f->asked))
		(void)snprintf(f->asked, sizeof(f->asked), "%.*s", (int)field.data.len, (const char *)field.data.data);
	grpc_slice_unref(all);
	grpc_byte_buffer_reader_destroy(&reader);
}

static inline void fake_answer(struct runtime *f, grpc_call *call, grpc_slice method)
{
	_cleanup_buf_ struct buf out = {0};
	grpc_op in = {.op = GRPC_OP_RECV_MESSAGE}, ops[3] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}};
	grpc_byte_buffer *request = NULL, *reply = NULL;
	grpc_status_code status;
	size_t count = 1;
	grpc_slice slice;

	in.data.recv_message.recv_message = &request;
	assert_int_equal(grpc_call_start_batch(call, &in, 1, call, NULL), GRPC_CALL_OK);
	fake_wait_tag(f, call);
	(void)pthread_mutex_lock(&f->lock);
	fake_note_id(f, request);
	status = fake_decide(f, method, &out);
	(void)pthread_cond_broadcast(&f->changed);
	while (f->mood == RUNTIME_HANGS)
		(void)pthread_cond_wait(&f->changed, &f->lock);
	(void)pthread_mutex_unlock(&f->lock);
	slice = grpc_slice_from_copied_buffer((const char *)out.data, out.len);
	reply = grpc_raw_byte_buffer_create(&slice, 1);
	if (status == GRPC_STATUS_OK) {
		ops[count].op = GRPC_OP_SEND_MESSAGE;
		ops[count++].data.send_message.send_message = reply;
	}
	ops[count].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
	ops[count++].data.send_status_from_server.status = status;
	assert_int_equal(grpc_call_start_batch(call, ops, count, call, NULL), GRPC_CALL_OK);
	fake_wait_tag(f, call);
	grpc_slice_unref(slice);
	grpc_byte_buffer_destroy(reply);
	grpc_byte_buffer_destroy(request);
}

/* One call at a time, until the server is shut down. */
static inline void *fake_run(void *ctx)
{
	struct runtime *f = ctx;

	for (;;) {
		grpc_metadata_array metadata;
		grpc_call_details details;
		grpc_call *call = NULL;
		grpc_event event;

		grpc_metadata_array_init(&metadata);
		grpc_call_details_init(&details);
		assert_int_equal(grpc_server_request_call(f->server, &call, &details, &metadata, f->queue, f->queue, f),
				 GRPC_CALL_OK);
		event = grpc_completion_queue_next(f->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
		if (event.success && call)
			fake_answer(f, call, details.method);
		if (call)
			grpc_call_unref(call);
		grpc_call_details_destroy(&details);
		grpc_metadata_array_destroy(&metadata);
		if (!event.success)
			return NULL;
	}
}

/* On the same socket as before, when there was one. */
static inline void runtime_start(struct runtime *f)
{
	grpc_server_credentials *creds = grpc_insecure_server_credentials_create();
	char address[80];

	(void)snprintf(address, sizeof(address), "unix:%s", f->path);
	f->server = grpc_server_create(NULL, NULL);
	f->queue = grpc_completion_queue_create_for_next(NULL);
	grpc_server_register_completion_queue(f->server, f->queue, NULL);
	assert_int_equal(grpc_server_add_http2_port(f->server, address, creds), 1);
	grpc_server_credentials_release(creds);
	grpc_server_start(f->server);
	assert_int_equal(pthread_create(&f->thread, NULL, fake_run, f), 0);
}

static inline void runtime_set(struct runtime *f, enum runtime_mood mood)
{
	(void)pthread_mutex_lock(&f->lock);
	f->mood = mood;
	(void)pthread_cond_broadcast(&f->changed);
	(void)pthread_mutex_unlock(&f->lock);
}

/* One of its counters, read under its lock. */
static inline uint32_t runtime_count(struct runtime *f, const uint32_t *counter)
{
	uint32_t count;

	(void)pthread_mutex_lock(&f->lock);
	count = *counter;
	(void)pthread_mutex_unlock(&f->lock);
	return count;
}

static inline void runtime_stop(struct runtime *f)
{
	grpc_completion_queue *down;

	if (!f->server)
		return;
	runtime_set(f, f->mood == RUNTIME_HANGS ? RUNTIME_WELL : f->mood);
	down = grpc_completion_queue_create_for_pluck(NULL);
	grpc_server_shutdown_and_notify(f->server, down, f);
	grpc_server_cancel_all_calls(f->server);
	(void)grpc_completion_queue_pluck(down, f, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
	(void)pthread_join(f->thread, NULL);
	grpc_completion_queue_shutdown(f->queue);
	while (grpc_completion_queue_next(f->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL).type !=
	       GRPC_QUEUE_SHUTDOWN)
		;
	grpc_completion_queue_destroy(f->queue);
	grpc_completion_queue_shutdown(down);
	grpc_completion_queue_destroy(down);
	grpc_server_destroy(f->server);
	f->server = NULL;
}

static inline struct runtime *runtime_new(void)
{
	struct runtime *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/nj-runtime-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/cri.sock", f->dir);
	f->sockets[0] = f->path;
	f->started_at = 1;
	(void)pthread_mutex_init(&f->lock, NULL);
	(void)pthread_cond_init(&f->changed, NULL);
	return f;
}

static inline void runtime_free(struct runtime *f)
{
	runtime_stop(f);
	(void)unlink(f->path);
	(void)rmdir(f->dir);
	(void)pthread_cond_destroy(&f->changed);
	(void)pthread_mutex_destroy(&f->lock);
	free(f);
}
