/* Alerts as people get them: derived ids, steps by time, secrets left out. */
#include "tests/unit/story.h"

#include "collector/detect/detectors.h"
#include "collector/verdict.h"

static const struct verdict_event event = {.cluster = "c",
					   .node = "n",
					   .boot_id = "b",
					   .seq = 7,
					   .wall_ns = 1700000000123000000ULL,
					   .exec_id = 9};

static void an_id_is_of_26_letters_and_derived(void **state)
{
	char id[VERDICT_ID_SIZE], again[VERDICT_ID_SIZE];
	struct verdict_event other = event;

	(void)state;
	verdict_id("reverse_shell", &event, id);
	verdict_id("reverse_shell", &event, again);
	assert_int_equal(strlen(id), 26);
	assert_int_equal(strspn(id, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"), 26);
	assert_string_equal(id, again);
	verdict_id("lateral_scan", &event, again);
	assert_string_not_equal(id, again);
	other.seq++;
	verdict_id("reverse_shell", &other, again);
	assert_string_not_equal(id, again);
	assert_memory_equal(id, again, 10); /* the time is the same */
	other = event;
	other.received_ns = 1; /* delivery data */
	verdict_id("reverse_shell", &other, again);
	assert_string_equal(id, again);
}

static void later_ids_sort_after_earlier_ones(void **state)
{
	char id[VERDICT_ID_SIZE], later[VERDICT_ID_SIZE];
	struct verdict_event other = event;

	(void)state;
	other.wall_ns += 1000000;
	verdict_id("r", &event, id);
	verdict_id("r", &other, later);
	assert_true(strcmp(id, later) < 0);
}

static void steps_are_ordered_by_time_and_capped(void **state)
{
	_cleanup_(alert_freep) struct alert *a = verdict_new(&reverse_shell_detector, &event);

	(void)state;
	assert_non_null(a);
	for (uint64_t i = 0; i < 2 * VERDICT_STEPS_MAX; i++)
		verdict_step(a, (1000 - i) * 1000000000ULL, "exec", i, "step %u", (unsigned int)i);
	assert_int_equal(a->msg.n_steps, VERDICT_STEPS_MAX);
	for (size_t i = 1; i < a->msg.n_steps; i++)
		assert_true(a->msg.steps[i - 1]->time->seconds < a->msg.steps[i]->time->seconds);
}

static void text_that_is_too_long_is_cut(void **state)
{
	_cleanup_(alert_freep) struct alert *a = verdict_new(&reverse_shell_detector, &event);
	char text[5000];

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	verdict_output(a, "%s", text);
	assert_int_equal(strlen(a->msg.output), 1023);
}

static void a_revision_keeps_the_id(void **state)
{
	_cleanup_(alert_freep) struct alert *a = verdict_new(&reverse_shell_detector, &event);

	(void)state;
	verdict_revise(a, "01ABC", 3, 40);
	assert_string_equal(a->msg.id, "01ABC");
	assert_string_equal(a->msg.op, "update");
	assert_int_equal(a->msg.revision, 3);
	assert_int_equal(a->msg.count, 40);
}

static void secrets_in_arguments_are_left_out(void **state)
{
	_cleanup_(story_freep) struct story *s = story_new();
	struct actor *sh = story_start(
		s, NULL, "/usr/bin/bash",
		ARGS("bash", "--Password=hunter2", "x", "Authorization: Bearer abc"), FDS());

	(void)state;
	story_open(s, sh, "/etc/shadow", 3);
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 1);
	assert_int_equal(s->alerts[0]->msg.process->n_args, 4);
	assert_string_equal(s->alerts[0]->msg.process->args[1], "--Password=***");
	assert_string_equal(s->alerts[0]->msg.process->args[2], "x");
	assert_string_equal(s->alerts[0]->msg.process->args[3], "Authorization: ***");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_id_is_of_26_letters_and_derived),
		cmocka_unit_test(later_ids_sort_after_earlier_ones),
		cmocka_unit_test(steps_are_ordered_by_time_and_capped),
		cmocka_unit_test(text_that_is_too_long_is_cut),
		cmocka_unit_test(a_revision_keeps_the_id),
		cmocka_unit_test(secrets_in_arguments_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
