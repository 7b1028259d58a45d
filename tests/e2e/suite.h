/* What the suites share: a scenario as a row of a table, and the tests that run such a row. */
#pragma once

#include "tests/unit/unit.h"

#include "common/event.h"
#include "tests/e2e/harness.h"

/* An event that must have reached the collector for silence to mean anything: an image of the
 * scenario's lineage, known by the last part of its path. */
struct decisive {
	const char *exe; /* "sh"; NULL: none (ends a list) */
	enum event_kind kind;
	enum endpoint_kind endpoint; /* ENDPOINT_KIND_NONE: any or none */
	int fd;			     /* of the endpoint; -1: any */
};

#define DECISIVE_MAX 4

struct scenario {
	const char *argv[4]; /* program below tests/ and its words */
	const char *rule;    /* the alert that must come; NULL for an ordinary day */
	enum attacker_kind attacker;
	struct decisive decisive[DECISIVE_MAX]; /* ordinary days */
};

/* Group setup and teardown: the product runs between them. The skip reason is printed and the tests
 * skip themselves where BPF programs cannot be loaded. */
int suite_begin(void **state);
int suite_end(void **state);

/* The attack works and is reported. */
void suite_attack(void **state);
/* The ordinary act works, nothing is reported about it, and a canary attack that came after it was.
 */
void suite_quiet(void **state);
/* After the quiet rows: a scan and a theft are reported, and still nothing about any quiet row. */
void suite_the_other_detectors_were_awake(void **state);
/* Last: stops the product, which must end well, and no sanitizer may have spoken. */
void suite_the_product_ended_well(void **state);
/* Last: the same, and reads the recording: the decisive events of
 * every quiet row are there, and no event was lost. */
void suite_all_arrived_and_nothing_was_lost(void **state);
int suite_clean(void **state);

#define SUITE_TEST(title, test, ...)                                                               \
	{                                                                                          \
		.name = (title), .test_func = (test), .teardown_func = suite_clean,                \
		.initial_state = &(struct scenario)__VA_ARGS__                                     \
	}
