/* What a runtime answers, as values: first what nobody honest would answer. */
#include "tests/unit/fake_runtime.h"

#include <errno.h>

#include "node-agent/cri_read.h"

struct fixture {
	struct arena *arena;
	struct buf reply;
	struct cri_facts facts;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->arena = arena_new(4UL << 20);
	f->facts = cri_facts_none();
	*state = f;
	return f->arena ? 0 : -1;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	arena_free(f->arena);
	buf_done(&f->reply);
	free(f);
	return 0;
}

typedef int (*reader)(struct bytes reply, struct arena *arena, struct cri_facts *facts);

/* ---- what must be refused ---- */

/* Each cut in a copy of its own, so that a read past the end is seen. */
static void assert_cuts_are_harmless(struct fixture *f, reader read)
{
	for (size_t len = 0; len < f->reply.len; len++) {
		uint8_t *cut = malloc(len + 1);
		struct cri_facts facts = cri_facts_none();
		int r;

		memcpy(cut, f->reply.data, len);
		cut = realloc(cut, len ? len : 1);
		arena_reset(f->arena);
		r = read(bytes_of(cut, len), f->arena, &facts);
		assert_true(r == 0 || r == -EBADMSG || r == -ENOENT);
		assert_non_null(facts.def.name);
		free(cut);
	}
}

static void an_answer_cut_at_any_byte_is_refused_or_has_less(void **state)
{
	struct fixture *f = *state;

	fake_container(&f->reply, false, 5);
	assert_cuts_are_harmless(f, cri_read_container);
	buf_clear(&f->reply);
	fake_sandbox(&f->reply);
	assert_cuts_are_harmless(f, cri_read_sandbox);
	buf_clear(&f->reply);
	fake_sandbox_list(&f->reply);
	assert_cuts_are_harmless(f, cri_read_sandbox_list);
	buf_clear(&f->reply);
	fake_container_list(&f->reply);
	assert_cuts_are_harmless(f, cri_read_container_list);
}

static void flipped_bytes_are_harmless(void **state)
{
	struct fixture *f = *state;

	fake_container(&f->reply, false, 5);
	for (size_t at = 0; at < f->reply.len; at++) {
		struct cri_facts facts = cri_facts_none();
		int r;

		f->reply.data[at] ^= 0xff;
		arena_reset(f->arena);
		r = cri_read_container(buf_bytes(&f->reply), f->arena, &facts);
		assert_true(r == 0 || r == -EBADMSG);
		f->reply.data[at] ^= 0xff;
	}
}

static void empty_answers_are_refused(void **state)
{
	struct fixture *f = *state;
	const struct bytes nothing = bytes_of("", 0);

	assert_int_equal(cri_read_container(nothing, f->arena, &f->facts), -EBADMSG);
	assert_int_equal(cri_read_sandbox(nothing, f->arena, &f->facts), -EBADMSG);
	assert_int_equal(cri_read_sandbox_list(nothing, f->arena, &f->facts), -ENOENT);
	assert_int_equal(cri_read_container_list(nothing, f->arena, &f->facts), -ENOENT);
}

static void without_memory_nothing_is_read(void **state)
{
	struct fixture *f = *state;
	size_t needed;

	fake_container(&f->reply, false, 5);
	assert_int_equal(cri_read_container(buf_bytes(&f->reply), f->arena, &f->facts), 0);
	needed = arena_used(f->arena);
	for (size_t limit = 16; limit < needed / 2; limit += 16) {
		struct cri_facts facts = cri_facts_none();
		struct arena *small = arena_new(limit);
		int r = cri_read_container(buf_bytes(&f->reply), small, &facts);

		assert_true(r == 0 || r == -ENOMEM);
		assert_non_null(facts.def.image);
		arena_free(small);
	}
}

/* ---- what is cut ---- */

static void pack_pod(struct fixture *f, Runtime__V1__Pair *const *labels, size_t count)
{
	Runtime__V1__ListPodSandboxResponse reply = RUNTIME__V1__LIST_POD_SANDBOX_RESPONSE__INIT;
	Runtime__V1__PodSandbox pod = RUNTIME__V1__POD_SANDBOX__INIT, *items[] = {&pod};
	Runtime__V1__PodSandboxMetadata metadata = RUNTIME__V1__POD_SANDBOX_METADATA__INIT;

	pod.metadata = &metadata;
	pod.n_labels = count;
	pod.labels = (Runtime__V1__Pair **)(uintptr_t)labels;
	reply.n_items = 1;
	reply.items = items;
	fake_pack(&f->reply, &reply);
}

static void a_long_text_keeps_its_beginning_up_to_a_whole_letter(void **state)
{
	struct fixture *f = *state;
	char text[CRI_TEXT_MAX + 64] = "";
	Runtime__V1__Pair label = fake_pair("k", text), *labels[] = {&label};

	(void)memset(text, 'x', CRI_TEXT_MAX - 1);
	memcpy(text + CRI_TEXT_MAX - 1, "\xc3\xa9\xc3\xa9", 5);
	pack_pod(f, labels, 1);
	assert_int_equal(cri_read_sandbox_list(buf_bytes(&f->reply), f->arena, &f->facts), 0);
	assert_true(f->facts.cut);
	assert_int_equal(strlen(f->facts.def.labels[0].value), CRI_TEXT_MAX - 1);
}

static void more_labels_than_the_cap_are_left_out(void **state)
{
	struct fixture *f = *state;
	Runtime__V1__Pair label = fake_pair("k", "v"), *labels[CRI_LABELS_MAX + 1];

	for (size_t i = 0; i <= CRI_LABELS_MAX; i++)
		labels[i] = &label;
	pack_pod(f, labels, CRI_LABELS_MAX);
	assert_int_equal(cri_read_sandbox_list(buf_bytes(&f->reply), f->arena, &f->facts), 0);
	assert_false(f->facts.cut);
	assert_int_equal(f->facts.def.label_count, CRI_LABELS_MAX);
	buf_clear(&f->reply);
	pack_pod(f, labels, CRI_LABELS_MAX + 1);
	assert_int_equal(cri_read_sandbox_list(buf_bytes(&f->reply), f->arena, &f->facts), 0);
	assert_true(f->facts.cut);
	assert_int_equal(f->facts.def.label_count, CRI_LABELS_MAX);
}

static void texts_past_the_budget_are_left_out(void **state)
{
	struct fixture *f = *state;
	char text[CRI_TEXT_MAX] = "";
	Runtime__V1__Pair label = fake_pair("k", text), *labels[20];

	(void)memset(text, 'x', CRI_TEXT_MAX - 1);
	for (size_t i = 0; i < 20; i++)
		labels[i] = &label;
	pack_pod(f, labels, 20);
	assert_int_equal(cri_read_sandbox_list(buf_bytes(&f->reply), f->arena, &f->facts), 0);
	assert_true(f->facts.cut);
	assert_true(f->facts.bytes <= CRI_BYTES_MAX);
	assert_string_equal(f->facts.def.labels[0].value, text);
	assert_int_equal(f->facts.def.label_count, CRI_BYTES_MAX / CRI_TEXT_MAX);
	assert_true(container_def_bytes(&f->facts.def) <= CRI_BYTES_MAX);
}

static void info_that_is_no_json_leaves_the_names(void **state)
{
	static const char *const infos[] = {"", "{", "[]", "7", "{\"runtimeSpec\":[],\"config\":null}",
					    "{\"runtimeSpec\":{\"process\":{\"capabilities\":{\"bounding\":[7]}}}}"};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(infos) / sizeof(infos[0]); i++) {
		Runtime__V1__ContainerStatusResponse reply = RUNTIME__V1__CONTAINER_STATUS_RESPONSE__INIT;
		Runtime__V1__ContainerStatus status = RUNTIME__V1__CONTAINER_STATUS__INIT;
		Runtime__V1__ContainerMetadata metadata = RUNTIME__V1__CONTAINER_METADATA__INIT;
		Runtime__V1__Pair info = fake_pair("info", infos[i]), *list[] = {&info};
		struct cri_facts facts = cri_facts_none();

		metadata.name = (char *)(uintptr_t)"web";
		status.metadata = &metadata;
		reply.status = &status;
		reply.n_info = 1;
		reply.info = list;
		buf_clear(&f->reply);
		fake_pack(&f->reply, &reply);
		assert_int_equal(cri_read_container(buf_bytes(&f->reply), f->arena, &facts), 0);
		assert_string_equal(facts.def.name, "web");
		assert_false(facts.def.privileged);
		assert_int_equal(facts.def.cap_bounding, 0);
	}
}

/* ---- what is read ---- */

static void a_container_is_read_whole(void **state)
{
	struct fixture *f = *state;
	const struct container_def *def = &f->facts.def;

	fake_container(&f->reply, false, 77);
	assert_int_equal(cri_read_container(buf_bytes(&f->reply), f->arena, &f->facts), 0);
	assert_string_equal(def->name, "web");
	assert_string_equal(def->image, "docker.io/shop/web:7");
	assert_string_equal(def->image_id, "docker.io/shop/web@sha256:00ff");
	assert_true(def->privileged);
	assert_int_equal(def->cap_bounding, RUNTIME_BOUNDING);
	assert_int_equal(f->facts.started_wall_ns, 77);
	assert_int_equal(def->mount_count, 1);
	assert_string_equal(def->mounts[0].source, "/");
	assert_string_equal(def->mounts[0].destination, "/host");
	assert_string_equal(def->mounts[0].propagation, "slave");
	assert_true(def->mounts[0].readonly);
	assert_false(f->facts.cut);
}

static void a_pod_is_read_without_the_labels_that_repeat_its_names(void **state)
{
	struct fixture *f = *state;
	const struct container_def *def = &f->facts.def;

	fake_sandbox_list(&f->reply);
	assert_int_equal(cri_read_sandbox_list(buf_bytes(&f->reply), f->arena, &f->facts), 0);
	assert_string_equal(def->pod, "web-5d9");
	assert_string_equal(def->namespace, "shop");
	assert_string_equal(def->pod_uid, "6f1c3f5e-1111-2222-3333-444455556666");
	assert_int_equal(def->label_count, 1);
	assert_string_equal(def->labels[0].key, "app");
	assert_string_equal(def->labels[0].value, "web");
	assert_string_equal(def->name, "");
	buf_clear(&f->reply);
	fake_sandbox(&f->reply);
	assert_int_equal(cri_read_sandbox(buf_bytes(&f->reply), f->arena, &f->facts), 0);
	assert_string_equal(def->name, "POD");
	assert_string_equal(def->image, "pause:3");
}

static void an_image_that_is_only_an_id_is_named_as_its_user_did(void **state)
{
	static const char *const ids[] = {"sha256:00ff", "00ff00ff"};
	struct fixture *f = *state;

	for (size_t i = 0; i < 2; i++) {
		Runtime__V1__ContainerStatusResponse reply = RUNTIME__V1__CONTAINER_STATUS_RESPONSE__INIT;
		Runtime__V1__ContainerStatus status = RUNTIME__V1__CONTAINER_STATUS__INIT;
		Runtime__V1__ContainerMetadata metadata = RUNTIME__V1__CONTAINER_METADATA__INIT;
		Runtime__V1__ImageSpec image = RUNTIME__V1__IMAGE_SPEC__INIT;

		image.image = (char *)(uintptr_t)ids[i];
		image.user_specified_image = (char *)(uintptr_t)"nginx:1";
		status.metadata = &metadata;
		status.image = &image;
		reply.status = &status;
		buf_clear(&f->reply);
		fake_pack(&f->reply, &reply);
		assert_int_equal(cri_read_container(buf_bytes(&f->reply), f->arena, &f->facts), 0);
		assert_string_equal(f->facts.def.image, "nginx:1");
	}
}

static void the_version_is_cut_to_size(void **state)
{
	struct fixture *f = *state;
	char text[6];

	fake_version(&f->reply);
	assert_int_equal(cri_read_version(buf_bytes(&f->reply), f->arena, text, sizeof(text)), 0);
	assert_string_equal(text, "fake ");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_answer_cut_at_any_byte_is_refused_or_has_less),
		TEST(flipped_bytes_are_harmless),
		TEST(empty_answers_are_refused),
		TEST(without_memory_nothing_is_read),
		TEST(a_long_text_keeps_its_beginning_up_to_a_whole_letter),
		TEST(more_labels_than_the_cap_are_left_out),
		TEST(texts_past_the_budget_are_left_out),
		TEST(info_that_is_no_json_leaves_the_names),
		TEST(a_container_is_read_whole),
		TEST(a_pod_is_read_without_the_labels_that_repeat_its_names),
		TEST(an_image_that_is_only_an_id_is_named_as_its_user_did),
		TEST(the_version_is_cut_to_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
