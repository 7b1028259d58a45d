/* What is captured: what detectors need, widened by what people ask for, numbered so that a change
 * is seen. What the collector writes is what an agent reads. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/policy_compile.h"
#include "common/arena.h"
#include "common/capture_class.h"
#include "node-agent/event_class.h"
#include "node-agent/uplink_message.h"

#define BIT(class) (1U << NJ_CLASS_##class)

struct list {
	char *items[CAPTURE_NAMES_MAX + 1];
	char text[CAPTURE_NAMES_MAX + 1][8];
};

static const struct detector *const no_detectors[] = {NULL};

static void take_policy(void *ctx, struct uplink_policy *policy)
{
	*(struct uplink_policy **)ctx = policy;
}

static void take_refusal(void *ctx, uint32_t generation, const char *why)
{
	(void)ctx;
	(void)generation;
	fail_msg("the agent refuses the policy: %s", why);
}

/* As an agent reads what the collector sends. */
static struct uplink_policy *as_read(const struct policy *p)
{
	struct uplink_policy *read = NULL;
	const struct uplink_handlers handlers = {
		.policy = take_policy, .refused = take_refusal, .ctx = &read};
	_cleanup_buf_ struct buf message = {0};

	assert_int_equal(policy_pack_message(p, &message), 0);
	assert_int_equal(uplink_read(buf_bytes(&message), &handlers), 0);
	assert_non_null(read);
	return read;
}

static struct uplink_policy *compiled(const struct capture_options *o,
				      const struct detector *const *detectors)
{
	struct policy *p = NULL;
	struct uplink_policy *read;
	struct err e = {0};

	if (policy_compile(o, detectors, &p, &e) < 0)
		fail_msg("%s", e.text);
	read = as_read(p);
	policy_free(p);
	return read;
}

static void expect_refused(const struct capture_options *o, const char *part)
{
	struct policy *p = NULL;
	struct err e = {0};

	assert_int_equal(policy_compile(o, no_detectors, &p, &e), -EINVAL);
	assert_null(p);
	if (!strstr(e.text, part))
		fail_msg("\"%s\" has no \"%s\"", e.text, part);
}

#define ITEM(text)                                                                                 \
	{                                                                                          \
		(char *[]){(char *)(uintptr_t)(text)}, 1                                           \
	}

static void options_that_make_no_sense_are_refused_by_their_key(void **state)
{
	(void)state;
	expect_refused(&(struct capture_options){.classes = ITEM("files")},
		       "capture.classes: \"files\"");
	expect_refused(&(struct capture_options){.classes = ITEM("files")}, "process, tcp, file, ");
	expect_refused(&(struct capture_options){.each = ITEM("all")}, "capture.each: \"all\"");
	expect_refused(&(struct capture_options){.open_names = ITEM("a/b")},
		       "capture.open_names: \"a/b\"");
	expect_refused(&(struct capture_options){.open_prefixes = ITEM("etc")}, "an absolute path");
	expect_refused(&(struct capture_options){.ports = ITEM("0")}, "capture.ports: \"0\"");
	expect_refused(&(struct capture_options){.ports = ITEM("53x")}, "1 to 65535");
	expect_refused(&(struct capture_options){.ports = ITEM("65536")}, "1 to 65535");
	expect_refused(&(struct capture_options){.ports = ITEM("99999999999999999999")},
		       "1 to 65535");
	expect_refused(&(struct capture_options){.ports = ITEM("")}, "1 to 65535");
}

static void more_names_than_a_policy_holds_are_refused(void **state)
{
	static struct list names;
	struct capture_options o = {.open_names = {names.items, CAPTURE_NAMES_MAX}};
	struct policy *p = NULL;
	struct err e = {0};

	(void)state;
	for (size_t i = 0; i <= CAPTURE_NAMES_MAX; i++) {
		(void)snprintf(names.text[i], sizeof(names.text[i]), "n%zu", i);
		names.items[i] = names.text[i];
	}
	uplink_policy_free(compiled(&o, no_detectors));
	o.open_names.count++;
	expect_refused(&o, "capture.open_names has 257 entries, at most 256");
	o.open_names.count--;
	assert_int_equal(policy_compile(&o, detect_registry(), &p, &e), -E2BIG);
	assert_non_null(strstr(e.text, "more than 256 files"));
	o.open_names.items[0] = names.items[1]; /* twice the same is one */
	uplink_policy_free(compiled(&o, no_detectors));
}

static void expect_known(const char *const *classes)
{
	for (; classes && *classes; classes++)
		assert_in_range(capture_class_find(*classes), 0, CAPTURE_CLASS_MAX - 1);
}

static void what_detectors_need_is_what_a_policy_can_say(void **state)
{
	(void)state;
	expect_known(detect_entity_needs.classes);
	for (const struct detector *const *d = detect_registry(); *d; d++) {
		const struct detect_needs *needs = &(*d)->needs;

		expect_known(needs->classes);
		expect_known(needs->each);
		for (const char *const *name = needs->open_names; name && *name; name++)
			assert_in_range(strlen(*name), 1, CAPTURE_NAME_BYTES);
		for (const char *const *path = needs->open_prefixes; path && *path; path++)
			assert_int_equal((*path)[0], '/');
	}
}

static bool names(const struct uplink_policy *read, const char *name)
{
	for (size_t i = 0; i < read->open_name_count; i++)
		if (strcmp(read->open_names[i], name) == 0)
			return true;
	return false;
}

static void without_options_only_what_detectors_need_is_captured(void **state)
{
	const struct capture_options o = {.repeat_window_ns = 10000000000};
	struct uplink_policy *read = compiled(&o, detect_registry());

	(void)state;
	assert_int_equal(read->classes, BIT(FILE) | BIT(DESCRIPTOR) | BIT(SOCKET) | BIT(PRIVILEGE));
	assert_int_equal(read->each, BIT(DESCRIPTOR) | BIT(SOCKET));
	assert_true(names(read, "shadow"));
	assert_true(names(read, "application_default_credentials.json"));
	assert_int_equal(read->open_prefix_count, 0);
	assert_false(read->open_all || read->open_writes || read->first_bytes);
	assert_int_equal(read->repeat_window_ns, 10000000000);
	uplink_policy_free(read);
}

static bool below(const struct uplink_policy *read, const char *path)
{
	for (size_t i = 0; i < read->open_prefix_count; i++)
		if (strcmp(read->open_prefixes[i], path) == 0)
			return true;
	return false;
}

static uint32_t bits(const char *const *classes)
{
	uint32_t set = 0;

	for (; classes && *classes; classes++)
		set |= 1U << capture_class_find(*classes);
	return set;
}

static void expect_needs(const struct uplink_policy *read, const struct detect_needs *needs)
{
	const uint32_t fixed = BIT(PROCESS) | BIT(TCP);

	assert_int_equal(bits(needs->classes) & ~(read->classes | fixed), 0);
	assert_int_equal(bits(needs->each) & ~(read->each | fixed), 0);
	for (const char *const *name = needs->open_names; name && *name; name++)
		assert_true(read->open_all || names(read, *name));
	for (const char *const *path = needs->open_prefixes; path && *path; path++)
		assert_true(read->open_all || below(read, *path));
}

/* A detector that a shard runs is never without its events: people can take back only what people asked for. */
static void no_narrower_policy_leaves_out_what_detectors_need(void **state)
{
	const struct capture_options options[] = {
		{.classes = ITEM("all"), .open_all = true, .open_writes = true},
		{.classes = ITEM("dns"), .open_names = ITEM("motd"), .open_prefixes = ITEM("/etc/cron.d/")},
		{.classes = ITEM("cgroup"), .ports = ITEM("53")},
		{.repeat_window_ns = 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		struct uplink_policy *read = compiled(&options[i], detect_registry());

		expect_needs(read, &detect_entity_needs);
		for (const struct detector *const *d = detect_registry(); *d; d++)
			expect_needs(read, &(*d)->needs);
		uplink_policy_free(read);
	}
}

static void options_widen_it(void **state)
{
	const struct capture_options o = {
		.classes = ITEM("dns"),
		.each = ITEM("file"),
		.open_names = ITEM("motd"),
		.open_prefixes = ITEM("/etc/cron.d/"),
		.ports = ITEM("53"),
		.open_writes = true,
		.first_bytes = true,
		.repeat_window_ns = 1000000000,
	};
	struct uplink_policy *read = compiled(&o, detect_registry());

	(void)state;
	assert_int_equal(read->classes & (BIT(DNS) | BIT(PAYLOAD) | BIT(MESSAGE) | BIT(CPU)),
			 BIT(DNS) | BIT(PAYLOAD) | BIT(MESSAGE));
	assert_int_equal(read->each, BIT(FILE) | BIT(DESCRIPTOR) | BIT(SOCKET));
	assert_true(names(read, "motd") && names(read, "shadow"));
	assert_string_equal(read->open_prefixes[0], "/etc/cron.d/");
	assert_int_equal(read->ports[0], 53);
	assert_true(read->open_writes && read->first_bytes && !read->open_all);
	assert_int_equal(read->repeat_window_ns, 1000000000);
	uplink_policy_free(read);
}

static void all_is_every_class(void **state)
{
	const struct capture_options o = {.classes = ITEM("all")};
	struct uplink_policy *read = compiled(&o, no_detectors);

	(void)state;
	/* Process life and TCP are captured whatever a policy says. */
	assert_int_equal(read->classes, ((1U << NJ_CLASS_MAX) - 1) & ~(BIT(PROCESS) | BIT(TCP)));
	assert_true(read->first_bytes);
	uplink_policy_free(read);
}

static void opens_are_seen_when_somebody_asks_for_some(void **state)
{
	const struct capture_options o = {.open_all = true};
	struct uplink_policy *read = compiled(&o, no_detectors);

	(void)state;
	assert_int_equal(read->classes, BIT(FILE) | BIT(PRIVILEGE));
	assert_true(read->open_all);
	uplink_policy_free(read);
}

static void a_policy_knows_what_it_wants(void **state)
{
	const struct capture_options o = {.classes = ITEM("dns")};
	struct policy *p = NULL;

	(void)state;
	assert_int_equal(policy_compile(&o, no_detectors, &p, NULL), 0);
	assert_true(policy_wants(p, "process"));
	assert_true(policy_wants(p, "tcp"));
	assert_true(policy_wants(p, "dns"));
	assert_false(policy_wants(p, "cpu"));
	assert_false(policy_wants(p, "no such class"));
	policy_free(p);
	policy_free(NULL);
}

/* ---- numbers ---- */

struct place {
	char dir[64], file[96];
};

static struct place place_new(void)
{
	struct place place = {.dir = "/tmp/nightjar-policy-XXXXXX"};

	assert_non_null(mkdtemp(place.dir));
	(void)snprintf(place.file, sizeof(place.file), "%s/policy", place.dir);
	return place;
}

static void place_done(const struct place *place)
{
	(void)unlink(place->file);
	assert_int_equal(rmdir(place->dir), 0); /* nothing else is left behind */
}

static uint32_t numbered(const struct place *place, const struct capture_options *o)
{
	struct policy *p = NULL;
	struct err e = {0};
	uint32_t number;

	assert_int_equal(policy_compile(o, detect_registry(), &p, &e), 0);
	if (policy_number(p, place->file, &e) < 0)
		fail_msg("%s", e.text);
	number = policy_generation(p);
	policy_free(p);
	return number;
}

static void a_file_that_cannot_be_written_is_an_error(void **state)
{
	const struct capture_options o = {0};
	struct policy *p = NULL;
	struct err e = {0};

	(void)state;
	assert_int_equal(policy_compile(&o, no_detectors, &p, &e), 0);
	assert_true(policy_number(p, "/proc/no-such-directory/policy", &e) < 0);
	assert_non_null(strstr(e.text, "cannot write /proc/no-such-directory/policy"));
	policy_free(p);
}

static void a_damaged_file_counts_as_none(void **state)
{
	struct place place = place_new();
	FILE *f = fopen(place.file, "w");

	(void)state;
	assert_non_null(f);
	assert_true(fputs("\xff\xff no policy", f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(numbered(&place, &(struct capture_options){0}), 1);
	assert_int_equal(numbered(&place, &(struct capture_options){0}), 1);
	place_done(&place);
}

static void a_policy_that_changes_gets_the_next_number(void **state)
{
	const struct capture_options narrow = {0}, wide = {.open_all = true};
	struct place place = place_new();

	(void)state;
	assert_int_equal(numbered(&place, &narrow), 1);
	assert_int_equal(numbered(&place, &narrow), 1);
	assert_int_equal(numbered(&place, &wide), 2);
	assert_int_equal(numbered(&place, &wide), 2);
	assert_int_equal(numbered(&place, &narrow), 3);
	place_done(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_that_make_no_sense_are_refused_by_their_key),
		cmocka_unit_test(more_names_than_a_policy_holds_are_refused),
		cmocka_unit_test(what_detectors_need_is_what_a_policy_can_say),
		cmocka_unit_test(without_options_only_what_detectors_need_is_captured),
		cmocka_unit_test(no_narrower_policy_leaves_out_what_detectors_need),
		cmocka_unit_test(options_widen_it),
		cmocka_unit_test(all_is_every_class),
		cmocka_unit_test(opens_are_seen_when_somebody_asks_for_some),
		cmocka_unit_test(a_policy_knows_what_it_wants),
		cmocka_unit_test(a_file_that_cannot_be_written_is_an_error),
		cmocka_unit_test(a_damaged_file_counts_as_none),
		cmocka_unit_test(a_policy_that_changes_gets_the_next_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
