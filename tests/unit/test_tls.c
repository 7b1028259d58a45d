/* Certificates: every way in which three files can be wrong and the sentence that says so, which
 * identities are none, and that what is made is what is read. */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/tls.h"

#define DAY_S 86400

struct fixture {
	char dir[64];
	char ca[80], cert[80], key[80]; /* of a good agent certificate */
	struct tls_files files;
	struct err e;
};

static int remove_tree(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	char path[400];

	while (d && (entry = readdir(d))) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && unlink(path) < 0)
			(void)remove_tree(path);
	}
	if (d)
		(void)closedir(d);
	return rmdir(dir);
}

static int issue(const char *dir, const char *name, enum tls_role role, int64_t from_s, int64_t until_s,
		 struct err *e)
{
	static const char *const hosts[] = {"localhost", "127.0.0.1", "::1", NULL};
	struct tls_request request = {
		.name = name,
		.identity = {.role = role, .cluster = "local", .namespace = "nightjar", .node = "n1"},
		.hosts = role == TLS_ROLE_COLLECTOR ? hosts : NULL,
		.not_before_s = from_s,
		.not_after_s = until_s,
	};

	if (role != TLS_ROLE_AGENT)
		request.identity.node[0] = '\0';
	return tls_make_cert(dir, &request, e);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/nightjar-tls-XXXXXX");
	if (!mkdtemp(f->dir) || tls_make_ca(f->dir, "local", 2, &f->e) < 0 ||
	    issue(f->dir, "agent", TLS_ROLE_AGENT, -60, DAY_S, &f->e) < 0)
		return -1;
	(void)snprintf(f->ca, sizeof(f->ca), "%s/ca.pem", f->dir);
	(void)snprintf(f->cert, sizeof(f->cert), "%s/agent.pem", f->dir);
	(void)snprintf(f->key, sizeof(f->key), "%s/agent-key.pem", f->dir);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	int r = remove_tree(f->dir);

	tls_files_done(&f->files);
	free(f);
	return r;
}

static void refused(struct fixture *f, uint64_t now_ns, const char *sentence)
{
	assert_true(tls_load(f->ca, f->cert, f->key, now_ns, &f->files, &f->e) < 0);
	assert_string_equal(f->e.text, sentence);
	assert_null(f->files.cert);
}

static void write_text(const char *path, const char *text)
{
	FILE *out = fopen(path, "we");

	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
}

static char *read_text(const char *path)
{
	FILE *in = fopen(path, "re");
	char *text = calloc(1, 16384);

	assert_non_null(in);
	assert_non_null(text);
	assert_true(fread(text, 1, 16383, in) > 0);
	assert_int_equal(fclose(in), 0);
	return text;
}

/* ---- loading -------------------------------------------------------------------------------- */

static void a_missing_file_is_named(void **state)
{
	struct fixture *f = *state;
	char sentence[256];

	(void)snprintf(f->key, sizeof(f->key), "%s/no-key.pem", f->dir);
	(void)snprintf(sentence, sizeof(sentence), "cannot read the key '%s': No such file or directory", f->key);
	refused(f, clock_wall_ns(), sentence);
	(void)snprintf(f->cert, sizeof(f->cert), "%s/no.pem", f->dir);
	(void)snprintf(sentence, sizeof(sentence), "cannot read the certificate '%s': No such file or directory",
		       f->cert);
	refused(f, clock_wall_ns(), sentence);
	(void)snprintf(f->ca, sizeof(f->ca), "%s", "/nowhere/ca.pem");
	refused(f, clock_wall_ns(), "cannot read the CA '/nowhere/ca.pem': No such file or directory");
	(void)snprintf(f->ca, sizeof(f->ca), "%s", f->dir);
	(void)snprintf(sentence, sizeof(sentence),
		       "cannot read the CA '%s': not a file of at most 1048576 bytes", f->dir);
	refused(f, clock_wall_ns(), sentence);
}

static void a_file_that_is_not_pem_is_named(void **state)
{
	struct fixture *f = *state;
	char sentence[256];

	write_text(f->key, "not a key\n");
	(void)snprintf(sentence, sizeof(sentence),
		       "the key '%s' holds no PEM private key without a passphrase", f->key);
	refused(f, clock_wall_ns(), sentence);
	write_text(f->cert, "");
	(void)snprintf(sentence, sizeof(sentence), "the certificate '%s' holds no PEM certificate", f->cert);
	refused(f, clock_wall_ns(), sentence);
	write_text(f->ca, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
	(void)snprintf(sentence, sizeof(sentence), "the CA '%s' holds no PEM certificate", f->ca);
	refused(f, clock_wall_ns(), sentence);
}

static void a_certificate_cut_at_any_byte_is_refused(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *text = read_text(f->cert);

	for (size_t len = strlen(text) - 2; len > 0; len -= len > 31 ? 31 : len) {
		text[len] = '\0';
		write_text(f->cert, text);
		assert_true(tls_load(f->ca, f->cert, f->key, clock_wall_ns(), &f->files, &f->e) < 0);
	}
}

static void a_key_of_another_certificate_is_refused(void **state)
{
	struct fixture *f = *state;
	char sentence[256];

	assert_int_equal(issue(f->dir, "other", TLS_ROLE_AGENT, 0, DAY_S, &f->e), 0);
	(void)snprintf(f->key, sizeof(f->key), "%s/other-key.pem", f->dir);
	(void)snprintf(sentence, sizeof(sentence), "the key '%s' does not belong to the certificate '%s'", f->key,
		       f->cert);
	refused(f, clock_wall_ns(), sentence);
}

static void a_certificate_of_another_ca_is_refused(void **state)
{
	struct fixture *f = *state;
	char other[80], sentence[256];

	(void)snprintf(other, sizeof(other), "%s/other", f->dir);
	assert_int_equal(tls_make_ca(other, "local", 2, &f->e), 0);
	(void)snprintf(f->ca, sizeof(f->ca), "%s/ca.pem", other);
	(void)snprintf(sentence, sizeof(sentence), "the certificate '%s' was not signed by the CA '%s'", f->cert,
		       f->ca);
	refused(f, clock_wall_ns(), sentence);
}

static void dates_are_judged_by_the_clock_that_is_given(void **state)
{
	struct fixture *f = *state;
	struct tls_summary s;
	char date[40], sentence[256];
	time_t until;

	assert_int_equal(tls_summarize(f->cert, &s, &f->e), 0);
	until = (time_t)s.not_after_s;
	assert_true(strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S UTC", gmtime(&until)) > 0);
	(void)snprintf(sentence, sizeof(sentence), "the certificate '%s' expired on %s; issue a new one", f->cert,
		       date);
	refused(f, (uint64_t)(s.not_after_s + 1) * NS_PER_SEC, sentence);
}

static void an_expired_certificate_says_when(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(issue(f->dir, "agent", TLS_ROLE_AGENT, -2 * DAY_S, -DAY_S, &f->e), 0);
	assert_int_equal(tls_load(f->ca, f->cert, f->key, clock_wall_ns(), &f->files, &f->e), -EKEYEXPIRED);
	assert_non_null(strstr(f->e.text, "agent.pem' expired on 20"));
	assert_non_null(strstr(f->e.text, " UTC; issue a new one"));
}

static void a_certificate_of_tomorrow_asks_about_the_clock(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(issue(f->dir, "agent", TLS_ROLE_AGENT, DAY_S, 2 * DAY_S, &f->e), 0);
	assert_int_equal(tls_load(f->ca, f->cert, f->key, clock_wall_ns(), &f->files, &f->e), -EKEYEXPIRED);
	assert_non_null(strstr(f->e.text, "agent.pem' is not valid before 20"));
	assert_non_null(strstr(f->e.text, " UTC; is this clock right?"));
}

static void an_expired_ca_is_told_apart_from_its_certificates(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(issue(f->dir, "agent", TLS_ROLE_AGENT, 0, 9 * DAY_S, &f->e), 0);
	assert_int_equal(tls_load(f->ca, f->cert, f->key, clock_wall_ns() + 5ULL * DAY_S * NS_PER_SEC, &f->files,
				  &f->e),
			 -EKEYEXPIRED);
	assert_non_null(strstr(f->e.text, "the CA '"));
	assert_non_null(strstr(f->e.text, "ca.pem' expired on 20"));
}

static void a_good_set_is_loaded_as_it_stands(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *cert = read_text(f->cert);
	struct tls_identity id = {0};

	assert_int_equal(tls_load(f->ca, f->cert, f->key, clock_wall_ns(), &f->files, &f->e), 0);
	assert_string_equal(f->files.cert, cert);
	assert_non_null(strstr(f->files.key, "PRIVATE KEY"));
	assert_int_equal(tls_identify(f->files.cert, &id, &f->e), 0);
	assert_int_equal(id.role, TLS_ROLE_AGENT);
	assert_string_equal(id.node, "n1");
	assert_int_equal(tls_identify("nothing", &id, &f->e), -EINVAL);
	assert_int_equal(tls_identify(f->files.ca, &id, &f->e), -EINVAL);
}

static void a_ca_may_be_a_bundle(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *ours = read_text(f->ca);
	_cleanup_(freep) char *theirs = NULL;
	char other[80], path[100], both[32768];

	(void)snprintf(other, sizeof(other), "%s/other", f->dir);
	assert_int_equal(tls_make_ca(other, "local", 2, &f->e), 0);
	(void)snprintf(path, sizeof(path), "%s/ca.pem", other);
	theirs = read_text(path);
	(void)snprintf(both, sizeof(both), "%s%s", theirs, ours);
	write_text(path, both);
	assert_int_equal(tls_load(path, f->cert, f->key, clock_wall_ns(), &f->files, &f->e), 0);
}

static void a_key_that_others_can_read_is_told(void **state)
{
	struct fixture *f = *state;

	assert_false(tls_key_is_exposed(f->key));
	assert_int_equal(chmod(f->key, 0640), 0);
	assert_true(tls_key_is_exposed(f->key));
	assert_false(tls_key_is_exposed("/nowhere"));
	assert_int_equal(tls_load(f->ca, f->cert, f->key, clock_wall_ns(), &f->files, &f->e), 0);
}

/* ---- identities ----------------------------------------------------------------------------- */

static void odd_identities_are_none(void **state)
{
	static const char *const odd[] = {
		"",
		"spiffe://",
		"http://c/ns/n/node/x",
		"SPIFFE://c/ns/n/node/x",
		"spiffe:/c/ns/n/node/x",
		"spiffe:///ns/n/node/x",
		"spiffe://c",
		"spiffe://c/",
		"spiffe://c/ns/n",
		"spiffe://c/ns/n/node",
		"spiffe://c/ns/n/node/",
		"spiffe://c/ns//node/x",
		"spiffe://c//ns/n/node/x",
		"spiffe://c/ns/n/node/x/",
		"spiffe://c/ns/n/node/x/y",
		"spiffe://c/sa/n/node/x",
		"spiffe://c/ns/n/sa/x",
		"spiffe://c/ns/n/role/agent",
		"spiffe://c/ns/n/role/root",
		"spiffe://c/ns/n/role/none",
		"spiffe://c/ns/n/role/readerx",
		"spiffe://c/ns/n/role/reader/x",
		"spiffe://c/ns/n/node/%6e1",
		"spiffe://c/ns/n/node/a b",
		"spiffe://c/ns/n/node/a\nb",
		"spiffe://c/ns/n/node/a?b",
		"spiffe://c/ns/n/node/a#b",
		"spiffe://c/ns/n/node/\xc3\xa9",
		"spiffe://c/ns/n/node/..",
		"spiffe://c/ns/../node/x",
		"spiffe://C/ns/n/node/x",
		"spiffe://c:1/ns/n/node/x",
		"spiffe://u@c/ns/n/node/x",
		" spiffe://c/ns/n/node/x",
	};
	struct tls_identity id = {.node = "untouched"};

	(void)state;
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		if (tls_parse_spiffe(odd[i], &id) != -EINVAL)
			fail_msg("'%s' was taken for an identity", odd[i]);
		assert_string_equal(id.node, "untouched");
	}
	assert_int_equal(tls_parse_spiffe(NULL, &id), -EINVAL);
}

static void parts_too_long_are_refused_not_cut(void **state)
{
	struct tls_identity id = {0};
	char node[300], uri[400];

	(void)state;
	memset(node, 'a', sizeof(node) - 1);
	node[255] = '\0';
	(void)snprintf(uri, sizeof(uri), "spiffe://c/ns/n/node/%s", node);
	assert_int_equal(tls_parse_spiffe(uri, &id), 0);
	assert_string_equal(id.node, node);
	node[255] = 'a';
	node[256] = '\0';
	(void)snprintf(uri, sizeof(uri), "spiffe://c/ns/n/node/%s", node);
	assert_int_equal(tls_parse_spiffe(uri, &id), -EINVAL);
	(void)snprintf(uri, sizeof(uri), "spiffe://%.128s/ns/n/node/x", node);
	assert_int_equal(tls_parse_spiffe(uri, &id), -EINVAL);
	(void)snprintf(uri, sizeof(uri), "spiffe://c/ns/%.128s/node/x", node);
	assert_int_equal(tls_parse_spiffe(uri, &id), -EINVAL);
}

static void what_is_formatted_is_parsed_again(void **state)
{
	struct tls_identity agent = {TLS_ROLE_AGENT, "prod-1", "nightjar", "ip-10-0-0-1.Example_x"}, back;
	struct tls_identity reader = {TLS_ROLE_READER, "c", "n", ""}, none = {.cluster = "c", .namespace = "n"};
	char uri[TLS_SPIFFE_MAX];

	(void)state;
	assert_int_equal(tls_format_spiffe(&agent, uri, sizeof(uri)), 0);
	assert_string_equal(uri, "spiffe://prod-1/ns/nightjar/node/ip-10-0-0-1.Example_x");
	assert_int_equal(tls_parse_spiffe(uri, &back), 0);
	assert_string_equal(back.node, agent.node);
	assert_int_equal(tls_format_spiffe(&reader, uri, sizeof(uri)), 0);
	assert_string_equal(uri, "spiffe://c/ns/n/role/reader");
	assert_int_equal(tls_format_spiffe(&reader, uri, 10), -EINVAL);
	assert_int_equal(tls_format_spiffe(&none, uri, sizeof(uri)), -EINVAL);
}

/* ---- making --------------------------------------------------------------------------------- */

static void a_ca_is_never_overwritten(void **state)
{
	struct fixture *f = *state;
	_cleanup_(freep) char *before = read_text(f->ca);
	_cleanup_(freep) char *after = NULL;

	assert_int_equal(tls_make_ca(f->dir, "local", 2, &f->e), -EEXIST);
	assert_non_null(strstr(f->e.text, "ca.pem' exists already"));
	after = read_text(f->ca);
	assert_string_equal(before, after);
	assert_int_equal(unlink(f->ca), 0);
	assert_int_equal(tls_make_ca(f->dir, "local", 2, &f->e), -EEXIST);
}

static void names_that_are_none_are_refused(void **state)
{
	static const char *const names[] = {"", ".x", "a/b", "../x", "a b", "ca", "a\n"};
	struct fixture *f = *state;
	struct tls_request request = {
		.name = "x",
		.identity = {TLS_ROLE_READER, "local", "bad/namespace", ""},
		.not_after_s = DAY_S,
	};
	char fresh[80];

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		assert_int_equal(issue(f->dir, names[i], TLS_ROLE_READER, 0, DAY_S, &f->e), -EINVAL);
	assert_int_equal(issue(f->dir, "x", TLS_ROLE_NONE, 0, DAY_S, &f->e), -EINVAL);
	assert_int_equal(issue(f->dir, "x", TLS_ROLE_READER, DAY_S, 0, &f->e), -EINVAL);
	assert_int_equal(tls_make_cert(f->dir, &request, &f->e), -EINVAL);
	(void)snprintf(fresh, sizeof(fresh), "%s/fresh", f->dir);
	assert_int_equal(tls_make_ca(fresh, "Bad Cluster", 1, &f->e), -EINVAL);
	assert_int_equal(access(fresh, F_OK), -1);
}

static void without_a_ca_nothing_is_signed(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(unlink(f->ca), 0);
	assert_int_equal(issue(f->dir, "x", TLS_ROLE_READER, 0, DAY_S, &f->e), -ENOENT);
	write_text(f->ca, "garbage");
	assert_int_equal(issue(f->dir, "x", TLS_ROLE_READER, 0, DAY_S, &f->e), -EINVAL);
	assert_int_equal(tls_make_ca("/nowhere/at/all", "local", 1, &f->e), -ENOENT);
}

static void keys_are_for_their_owner_only_whatever_the_umask(void **state)
{
	struct fixture *f = *state;
	mode_t old = umask(0);
	char path[80];
	struct stat st;

	assert_int_equal(issue(f->dir, "wide", TLS_ROLE_READER, 0, DAY_S, &f->e), 0);
	(void)umask(old);
	(void)snprintf(path, sizeof(path), "%s/wide-key.pem", f->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	(void)snprintf(path, sizeof(path), "%s/ca-key.pem", f->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	(void)snprintf(path, sizeof(path), "%s/wide.pem", f->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
}

static void a_server_certificate_carries_its_hosts(void **state)
{
	struct fixture *f = *state;
	struct tls_summary s;
	char path[80];

	assert_int_equal(issue(f->dir, "collector", TLS_ROLE_COLLECTOR, 0, DAY_S, &f->e), 0);
	(void)snprintf(path, sizeof(path), "%s/collector.pem", f->dir);
	assert_int_equal(tls_summarize(path, &s, &f->e), 0);
	assert_string_equal(s.names,
			    "spiffe://local/ns/nightjar/role/collector, localhost, 127.0.0.1, 0:0:0:0:0:0:0:1");
	assert_string_equal(s.subject, "/CN=collector");
	assert_false(s.is_ca);
	assert_int_equal(s.not_after_s - s.not_before_s, DAY_S);
	assert_int_equal(tls_summarize(f->ca, &s, &f->e), 0);
	assert_true(s.is_ca);
	assert_string_equal(s.names, "spiffe://local");
	assert_true(tls_summarize("/nowhere", &s, &f->e) < 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_missing_file_is_named),
		TEST(a_file_that_is_not_pem_is_named),
		TEST(a_certificate_cut_at_any_byte_is_refused),
		TEST(a_key_of_another_certificate_is_refused),
		TEST(a_certificate_of_another_ca_is_refused),
		TEST(dates_are_judged_by_the_clock_that_is_given),
		TEST(an_expired_certificate_says_when),
		TEST(a_certificate_of_tomorrow_asks_about_the_clock),
		TEST(an_expired_ca_is_told_apart_from_its_certificates),
		TEST(a_good_set_is_loaded_as_it_stands),
		TEST(a_ca_may_be_a_bundle),
		TEST(a_key_that_others_can_read_is_told),
		cmocka_unit_test(odd_identities_are_none),
		cmocka_unit_test(parts_too_long_are_refused_not_cut),
		cmocka_unit_test(what_is_formatted_is_parsed_again),
		TEST(a_ca_is_never_overwritten),
		TEST(names_that_are_none_are_refused),
		TEST(without_a_ca_nothing_is_signed),
		TEST(keys_are_for_their_owner_only_whatever_the_umask),
		TEST(a_server_certificate_carries_its_hosts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
