/* Names of containers on their way through stage 1: who is asked for, and that alerts before and after the
 * answer carry it. */
#include "tests/unit/story.h"

#include "nightjar/v1/agent.pb-c.h"

#define ID "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"

static const struct container_def bare = {.container_id = ID,
					  .pod_uid = "uid-1",
					  .name = "",
					  .image = "",
					  .pod = "",
					  .namespace = "",
					  .cgroup = "/kubepods/poduid-1/" ID,
					  .image_id = "",
					  .workload = ""};
static unsigned int asked;

static void on_unnamed(void *ctx, const struct node_ref *node, const struct container_def *container)
{
	(void)ctx;
	assert_string_equal(node->boot_id, "boot-1");
	assert_string_equal(container->container_id, ID);
	assert_string_equal(container->pod_uid, "uid-1");
	asked++;
}

/* A story whose stage 1 has somebody to ask. */
static struct story *begin(bool api)
{
	struct story *s = story_new();

	stage1_free(s->stage1);
	s->out.unnamed = api ? on_unnamed : NULL;
	s->stage1 = stage1_new(&s->options, &s->out, s->metrics);
	assert_non_null(s->stage1);
	s->container = &bare;
	asked = 0;
	return s;
}

static uint32_t shard(const struct story *s)
{
	return stage1_shard("test", s->node);
}

static void define(struct story *s, const struct container_def *def)
{
	const struct container_def *containers[] = {def};
	struct wire_batch batch = {.head = {.wall_offset_ns = STORY_WALL, .node = s->node}};
	const struct stage1_batch in = {
		.node = {"test", s->node, "boot-1"}, .received_ns = STORY_WALL, .batch = &batch};

	batch.containers = (__typeof__(batch.containers))containers;
	batch.container_count = 1;
	stage1_feed(s->stage1, shard(s), &in);
}

static void answer(struct story *s, const char *container_id)
{
	const struct node_ref node = {"test", s->node, "boot-1"};
	Nightjar__V1__AgentMessage message = NIGHTJAR__V1__AGENT_MESSAGE__INIT;
	Nightjar__V1__ContainerMetadata m = NIGHTJAR__V1__CONTAINER_METADATA__INIT;
	uint8_t room[512];

	m.container_id = (char *)(uintptr_t)container_id;
	m.namespace_ = (char *)"shop";
	m.pod = (char *)"web-5d4f8c7b9-x2x7k";
	m.workload = (char *)"shop-web";
	m.workload_kind = (char *)"Deployment";
	m.name = (char *)"main";
	message.body_case = NIGHTJAR__V1__AGENT_MESSAGE__BODY_METADATA;
	message.metadata = &m;
	stage1_control(s->stage1, shard(s), &node, STORY_WALL,
		       bytes_of(room, nightjar__v1__agent_message__pack(&message, room)));
}

static void steal(struct story *s)
{
	struct actor *shell = story_start(s, NULL, "/usr/bin/sh", ARGS("sh"), FDS());

	story_open(s, story_spawn(s, shell, "/usr/bin/cat", ARGS("cat", "/etc/shadow"), FDS()), "/etc/shadow", 3);
	story_tell(s, 64);
}

static void a_container_is_asked_for_with_each_definition_until_it_is_named(void **state)
{
	_cleanup_(story_freep) struct story *s = begin(true);

	(void)state;
	define(s, &story_host);
	assert_int_equal(asked, 0);
	define(s, &bare);
	(void)story_start(s, NULL, "/usr/bin/sleep", ARGS("sleep"), FDS());
	story_tell(s, 64);
	define(s, &bare);
	assert_int_equal(asked, 2);
	answer(s, ID);
	define(s, &bare);
	assert_int_equal(asked, 2);
}

static void an_answer_about_somebody_unknown_is_let_pass(void **state)
{
	_cleanup_(story_freep) struct story *s = begin(true);

	(void)state;
	answer(s, "unknown");
	answer(s, "");
	assert_int_equal(s->alert_count, 0);
}

static void an_alert_before_the_answer_is_completed_and_one_after_it_is_complete(void **state)
{
	_cleanup_(story_freep) struct story *s = begin(true);

	(void)state;
	define(s, &bare);
	steal(s);
	assert_int_equal(s->alert_count, 1);
	assert_string_equal(s->alerts[0]->msg.pod, "");
	answer(s, ID);
	assert_int_equal(s->alert_count, 2);
	assert_string_equal(s->alerts[1]->msg.id, s->alerts[0]->msg.id);
	assert_int_equal(s->alerts[1]->msg.revision, 1);
	assert_string_equal(s->alerts[1]->msg.workload, "shop-web");
	steal(s);
	assert_int_equal(s->alert_count, 3);
	assert_int_equal(s->alerts[2]->msg.revision, 0);
	assert_string_equal(s->alerts[2]->msg.workload, "shop-web");
	assert_string_equal(s->alerts[2]->msg.workload_kind, "Deployment");
}

static void without_an_api_the_runtimes_late_definition_completes_it(void **state)
{
	_cleanup_(story_freep) struct story *s = begin(false);
	struct container_def whole = bare;

	(void)state;
	define(s, &bare);
	steal(s);
	whole.pod = "web-5d4f8c7b9-x2x7k";
	whole.namespace = "shop";
	whole.image = "nginx";
	define(s, &whole);
	assert_int_equal(asked, 0);
	assert_int_equal(s->alert_count, 2);
	assert_int_equal(s->alerts[1]->msg.revision, 1);
	assert_string_equal(s->alerts[1]->msg.pod, "web-5d4f8c7b9-x2x7k");
	assert_string_equal(s->alerts[1]->msg.workload, "web");
	define(s, &whole);
	assert_int_equal(s->alert_count, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_container_is_asked_for_with_each_definition_until_it_is_named),
		cmocka_unit_test(an_answer_about_somebody_unknown_is_let_pass),
		cmocka_unit_test(an_alert_before_the_answer_is_completed_and_one_after_it_is_complete),
		cmocka_unit_test(without_an_api_the_runtimes_late_definition_completes_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
