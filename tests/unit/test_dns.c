/* Questions of DNS messages, and everything that only looks like one. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>

#include "node-agent/dns.h"

#define QUERY "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"

/* Reads the first len bytes, in memory of exactly that size. */
static int question(const char *message, size_t len, char *ret_name, uint16_t *ret_type)
{
	uint8_t *copy = malloc(len ? len : 1);
	int r;

	memcpy(copy, message, len);
	r = dns_question(bytes_of(copy, len), ret_name, ret_type);
	free(copy);
	return r;
}

static void nothing_is_no_question(void **state)
{
	char name[DNS_NAME_MAX] = "before";
	uint16_t type = 7;

	(void)state;
	assert_int_equal(dns_question(bytes_of(NULL, 0), name, &type), -EBADMSG);
	assert_string_equal(name, "before");
	assert_int_equal(type, 7);
}

static void a_message_cut_at_any_byte_is_refused(void **state)
{
	static const char whole[] = QUERY "\3www\7example\3com\0\0\1\0\1";
	char name[DNS_NAME_MAX];
	uint16_t type;

	(void)state;
	for (size_t cut = 0; cut < sizeof(whole) - 1; cut++)
		assert_int_equal(question(whole, cut, name, &type), -EBADMSG);
	assert_int_equal(question(whole, sizeof(whole) - 1, name, &type), 0);
	assert_string_equal(name, "www.example.com");
	assert_int_equal(type, 1);
}

static void an_answer_and_a_message_without_questions_are_refused(void **state)
{
	char message[] = QUERY "\1a\0\0\1\0\1";
	char name[DNS_NAME_MAX];
	uint16_t type;

	(void)state;
	message[2] = (char)0x81;
	assert_int_equal(question(message, sizeof(message) - 1, name, &type), -EBADMSG);
	message[2] = 1;
	message[5] = 0;
	assert_int_equal(question(message, sizeof(message) - 1, name, &type), -EBADMSG);
}

static void a_pointer_in_a_question_is_refused(void **state)
{
	static const char to_itself[] = QUERY "\xc0\x0c\0\1\0\1", after_label[] = QUERY "\1a\xc0\x0c\0\1\0\1";
	static const char reserved[] = QUERY "\x40" "a\0\0\1\0\1";
	char name[DNS_NAME_MAX];
	uint16_t type;

	(void)state;
	assert_int_equal(question(to_itself, sizeof(to_itself) - 1, name, &type), -EBADMSG);
	assert_int_equal(question(after_label, sizeof(after_label) - 1, name, &type), -EBADMSG);
	assert_int_equal(question(reserved, sizeof(reserved) - 1, name, &type), -EBADMSG);
}

/* Labels of one byte value that take that many bytes on the wire, the empty one included. */
static size_t make_name(char *message, size_t wire, uint8_t byte)
{
	size_t at = 12, end = 12 + wire - 1;

	memcpy(message, QUERY, 12);
	while (at < end) {
		size_t label = end - at - 1 < 63 ? end - at - 1 : 63;

		message[at++] = (char)label;
		memset(message + at, byte, label);
		at += label;
	}
	memcpy(message + at, "\0\0\x10\0\1", 5);
	return at + 5;
}

static void the_longest_name_fits_and_a_longer_one_is_refused(void **state)
{
	char message[512], name[DNS_NAME_MAX];
	uint16_t type;

	(void)state;
	assert_int_equal(question(message, make_name(message, 255, 'x'), name, &type), 0);
	assert_int_equal(strlen(name), 253);
	assert_int_equal(type, 16);
	/* The same when every byte is escaped. */
	assert_int_equal(question(message, make_name(message, 255, 0xff), name, &type), 0);
	assert_int_equal(strlen(name), 4 * 250 + 3);
	assert_int_equal(question(message, make_name(message, 256, 'x'), name, &type), -EBADMSG);
	assert_int_equal(question(message, make_name(message, 300, 'x'), name, &type), -EBADMSG);
}

static void a_name_is_written_as_in_a_zone_file(void **state)
{
	static const char root[] = QUERY "\0\0\2\0\1", odd[] = QUERY "\6A.b\\\0\x80\3COM\0\0\1\0\1";
	char name[DNS_NAME_MAX];
	uint16_t type;

	(void)state;
	assert_int_equal(question(root, sizeof(root) - 1, name, &type), 0);
	assert_string_equal(name, ".");
	assert_int_equal(type, 2);
	assert_int_equal(question(odd, sizeof(odd) - 1, name, &type), 0);
	assert_string_equal(name, "a\\.b\\\\\\000\\128.com");
}

/* Reproducible noise of every length behind a head that asks. */
static void noise_never_reads_past_its_end(void **state)
{
	uint64_t seed = 0x9e3779b97f4a7c15ULL;
	char message[300], name[DNS_NAME_MAX];
	uint16_t type;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t len = (size_t)(seed >> 33) % (sizeof(message) - 12);

		memcpy(message, QUERY, 12);
		for (size_t i = 0; i < len; i++) {
			seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
			message[12 + i] = (char)(seed >> (round & 1 ? 60 : 56));
		}
		if (question(message, 12 + len, name, &type) == 0)
			assert_true(strlen(name) < DNS_NAME_MAX);
		seed++;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_no_question),
		cmocka_unit_test(a_message_cut_at_any_byte_is_refused),
		cmocka_unit_test(an_answer_and_a_message_without_questions_are_refused),
		cmocka_unit_test(a_pointer_in_a_question_is_refused),
		cmocka_unit_test(the_longest_name_fits_and_a_longer_one_is_refused),
		cmocka_unit_test(a_name_is_written_as_in_a_zone_file),
		cmocka_unit_test(noise_never_reads_past_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
