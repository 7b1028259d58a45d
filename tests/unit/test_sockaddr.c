/* Addresses of sockets: foreign bytes of any length. */
#include "tests/unit/unit.h"

#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "node-agent/sockaddr.h"

/* Turns the first len bytes, in memory of exactly that size, both ways. */
static bool turn(const void *address, size_t len, char *ret_text, struct sockaddr_ip *ret_ip)
{
	uint8_t *copy = malloc(len ? len : 1);
	size_t text_len;
	bool is_ip;

	memcpy(copy, address, len);
	text_len = sockaddr_text(bytes_of(copy, len), ret_text);
	assert_int_equal(text_len, strlen(ret_text));
	is_ip = sockaddr_ip(bytes_of(copy, len), ret_ip);
	free(copy);
	return is_ip;
}

static void nothing_and_nonsense_have_no_text(void **state)
{
	char text[SOCKADDR_TEXT_MAX] = "before";
	struct sockaddr_storage nonsense;
	struct sockaddr_ip ip;

	(void)state;
	assert_int_equal(sockaddr_text(bytes_of(NULL, 0), text), 0);
	assert_string_equal(text, "");
	assert_false(sockaddr_ip(bytes_of(NULL, 0), &ip));
	memset(&nonsense, 0xee, sizeof(nonsense));
	assert_false(turn(&nonsense, sizeof(nonsense), text, &ip));
	assert_string_equal(text, "");
}

static void an_address_cut_at_any_byte_reads_nothing_past_it(void **state)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(443)};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(80)};
	struct sockaddr_vm vm = {.svm_family = AF_VSOCK};
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/run/x"};
	char text[SOCKADDR_TEXT_MAX];
	struct sockaddr_ip ip;

	(void)state;
	for (size_t cut = 0; cut < sizeof(in); cut++)
		assert_false(turn(&in, cut, text, &ip));
	for (size_t cut = 0; cut < 24; cut++)
		assert_false(turn(&in6, cut, text, &ip));
	for (size_t cut = 0; cut < sizeof(vm); cut++) {
		assert_false(turn(&vm, cut, text, &ip));
		assert_string_equal(text, "");
	}
	for (size_t cut = 0; cut < sizeof(un); cut++)
		assert_false(turn(&un, cut, text, &ip));
	assert_false(turn(&un, 5, text, &ip));
	assert_string_equal(text, "/ru");
}

static void internet_addresses_have_their_parts(void **state)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(443), .sin6_addr = {{{[15] = 9}}}};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(80), .sin_addr = {htonl(0x7f000001)}};
	char text[SOCKADDR_TEXT_MAX];
	struct sockaddr_ip ip;

	(void)state;
	assert_true(turn(&in, sizeof(in), text, &ip));
	assert_int_equal(ip.port, 80);
	assert_memory_equal(ip.ip, "\x7f\0\0\1\0\0\0\0", 8);
	assert_true(turn(&in6, sizeof(in6), text, &ip));
	assert_int_equal(ip.family, AF_INET6);
	assert_int_equal(ip.ip[15], 9);
}

static void a_path_ends_at_its_nul_and_a_full_one_at_its_length(void **state)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/run/a\0/behind"};
	struct sockaddr_storage longer = {0};
	char text[SOCKADDR_TEXT_MAX];
	struct sockaddr_ip ip;

	(void)state;
	assert_false(turn(&un, sizeof(un), text, &ip));
	assert_string_equal(text, "/run/a");
	memset(un.sun_path, 'x', sizeof(un.sun_path));
	(void)turn(&un, sizeof(un), text, &ip);
	assert_int_equal(strlen(text), sizeof(un.sun_path));
	memset(&longer, 'y', sizeof(longer));
	longer.ss_family = AF_UNIX;
	(void)turn(&longer, sizeof(longer), text, &ip);
	assert_int_equal(strlen(text), sizeof(un.sun_path));
}

static void an_abstract_name_shows_its_nuls(void **state)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "\0a\0b"};
	char text[SOCKADDR_TEXT_MAX];
	struct sockaddr_ip ip;

	(void)state;
	(void)turn(&un, 2 + 4, text, &ip);
	assert_string_equal(text, "@a@b");
	(void)turn(&un, 2, text, &ip);
	assert_string_equal(text, "");
	(void)turn(&un, 2 + 1, text, &ip);
	assert_string_equal(text, "");
}

static void a_vsock_address_is_cid_and_port(void **state)
{
	struct sockaddr_vm vm = {.svm_family = AF_VSOCK, .svm_cid = 3, .svm_port = 4000000000U};
	char text[SOCKADDR_TEXT_MAX];
	struct sockaddr_ip ip;

	(void)state;
	(void)turn(&vm, sizeof(vm), text, &ip);
	assert_string_equal(text, "3:4000000000");
	vm.svm_cid = VMADDR_CID_ANY;
	vm.svm_port = VMADDR_PORT_ANY;
	(void)turn(&vm, sizeof(vm), text, &ip);
	assert_string_equal(text, "*:*");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_and_nonsense_have_no_text),
		cmocka_unit_test(an_address_cut_at_any_byte_reads_nothing_past_it),
		cmocka_unit_test(internet_addresses_have_their_parts),
		cmocka_unit_test(a_path_ends_at_its_nul_and_a_full_one_at_its_length),
		cmocka_unit_test(an_abstract_name_shows_its_nuls),
		cmocka_unit_test(a_vsock_address_is_cid_and_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
