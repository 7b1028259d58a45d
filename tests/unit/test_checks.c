/* The checkers of the source tree: each rule catches a planted violation and nothing else. */
#include "tests/unit/unit.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"

struct tree {
	char top[32];
	struct buf output; /* of the last check */
};

static const char *const folders[] = {"bpf",   "common",	     "node-agent", "collector", "collector/store",
				      "tools", "tools/nightjar"};
static const char *planted = "";

static int set_up(void **state)
{
	struct tree *t = calloc(1, sizeof(*t));
	char path[PATH_MAX];

	if (!t)
		return -1;
	(void)snprintf(t->top, sizeof(t->top), "/tmp/nightjar-tree-XXXXXX");
	if (!mkdtemp(t->top))
		return -1;
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", t->top, folders[i]);
		if (mkdir(path, 0700) < 0)
			return -1;
	}
	*state = t;
	return 0;
}

static void unplant(const struct tree *t)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", t->top, planted);
	(void)unlink(path);
}

static int tear_down(void **state)
{
	struct tree *t = *state;
	char path[PATH_MAX];

	unplant(t);
	for (size_t i = sizeof(folders) / sizeof(*folders); i-- > 0;) {
		(void)snprintf(path, sizeof(path), "%s/%s", t->top, folders[i]);
		(void)rmdir(path);
	}
	(void)rmdir(t->top);
	buf_done(&t->output);
	free(t);
	return 0;
}

static int check(struct tree *t, const char *checker)
{
	char command[PATH_MAX], chunk[512];
	FILE *out;
	size_t n;

	(void)snprintf(command, sizeof(command), "tools/%s %s 2>&1", checker, t->top);
	out = popen(command, "re");
	assert_non_null(out);
	buf_clear(&t->output);
	while ((n = fread(chunk, 1, sizeof(chunk), out)) > 0)
		buf_add(&t->output, chunk, n);
	return pclose(out);
}

/* The tree with this one file in it: is it refused, with this in the answer? NULL: it is fine. */
static void expect(struct tree *t, const char *checker, const char *file, const char *text, const char *answer)
{
	char path[PATH_MAX];
	FILE *out;

	unplant(t);
	planted = file;
	(void)snprintf(path, sizeof(path), "%s/%s", t->top, file);
	out = fopen(path, "we");
	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
	if (!answer) {
		assert_int_equal(check(t, checker), 0);
		assert_string_equal(buf_text(&t->output), "");
		return;
	}
	assert_int_not_equal(check(t, checker), 0);
	if (!strstr(buf_text(&t->output), answer))
		fail_msg("'%s' is not in: %s", answer, buf_text(&t->output));
}

static void layers_look_down_only(void **state)
{
	static const char layers[] = "check-layers";
	struct tree *t = *state;

	expect(t, layers, "common/a.c", "\n#include \"collector/alert.h\"\n",
	       "common/a.c:2: common/ must not include collector/alert.h");
	expect(t, layers, "common/a.h", "#include \"node-agent/capture.h\"\n", "must not include");
	expect(t, layers, "common/a.h", "# include \"bpf/abi.h\"\n", "must not include");
	expect(t, layers, "collector/a.c", "#include \"bpf/abi.h\"\n", "must not include");
	expect(t, layers, "collector/store/a.c", "#include \"node-agent/capture.h\"\n", "must not include");
	expect(t, layers, "node-agent/a.c", "#include \"collector/alert.h\"\n", "must not include");
	expect(t, layers, "node-agent/a.c", "#include \"bpf/maps.bpf.h\"\n", "must not include");
	expect(t, layers, "tools/nightjar/a.c", "#include \"collector/alert.h\"\n", "must not include");
	expect(t, layers, "bpf/a.bpf.c", "#include \"common/buf.h\"\n", "must not include");
	expect(t, layers, "node-agent/a.c", "#include \"tests/unit/unit.h\"\n", "must not include");
	expect(t, layers, "node-agent/a.c", "#include \"bpf/abi.h\"\n#include \"common/buf.h\"\n", NULL);
	expect(t, layers, "collector/a.c", "#include \"nightjar/v1/alert.pb-c.h\"\n#include <stdio.h>\n", NULL);
}

static void every_library_has_one_door(void **state)
{
	static const char layers[] = "check-layers";
	struct tree *t = *state;

	expect(t, layers, "collector/a.c", "#include <openssl/ssl.h>\n",
	       "collector/a.c:1: OpenSSL has one door, and this file is not it");
	expect(t, layers, "common/tls.c", "#include <openssl/ssl.h>\n", NULL);
	expect(t, layers, "node-agent/a.c", "#include <grpc/grpc.h>\n", "gRPC has one door");
	expect(t, layers, "common/rpc.c", "#include <grpc/grpc.h>\n", NULL);
	expect(t, layers, "collector/a.c", "#include <librdkafka/rdkafka.h>\n", "librdkafka has one door");
	expect(t, layers, "collector/a.c", "#include <sqlite3.h>\n", "SQLite has one door");
	expect(t, layers, "collector/store/a.c", "#include <sqlite3.h>\n", NULL);
	expect(t, layers, "common/a.c", "#include <yaml.h>\n", "libyaml has one door");
	expect(t, layers, "collector/a.c", "#include <microhttpd.h>\n", "libmicrohttpd has one door");
	expect(t, layers, "node-agent/a.c", "#include \"nightjar.skel.h\"\n", "the BPF skeleton has one door");
	expect(t, layers, "node-agent/probe.c", "#include \"nightjar.skel.h\"\n", NULL);
	expect(t, layers, "collector/a.c", "#include <bpf/libbpf.h>\n", "libbpf has one door");
}

static void unsafe_calls_are_found_and_their_safe_cousins_are_not(void **state)
{
	struct tree *t = *state;

	expect(t, "check-size", "common/a.c", "void f(char *a)\n{\n\tstrcpy(a, \"x\");\n}\n", "common/a.c:3:");
	expect(t, "check-size", "common/a.h", "#define COPY(a, b) strcat (a, b)\n", "common/a.h:1:");
	expect(t, "check-size", "collector/a.c", "int x = sprintf(b, \"\");\n", "banned");
	expect(t, "check-size", "collector/a.c", "char *x = gets(b);\n", "banned");
	expect(t, "check-size", "collector/a.c", "int x = snprintf(b, 1, \"\") + fgets(b, 1, f) + my_system(2);\n",
	       NULL);
}

static void long_files_are_found(void **state)
{
	_cleanup_buf_ struct buf text = {0};

	for (int i = 0; i < 700; i++)
		buf_add_text(&text, "\n");
	expect(*state, "check-size", "common/a.c", buf_text(&text), NULL);
	buf_add_text(&text, "\n");
	expect(*state, "check-size", "common/a.c", buf_text(&text), "has 701 lines");
}

static void long_and_tangled_functions_are_found(void **state)
{
	_cleanup_buf_ struct buf text = {0};

	if (access("/usr/bin/pmccabe", X_OK) < 0) {
		print_message("SKIP pmccabe is not installed\n");
		skip();
	}
	buf_add_text(&text, "int f(int a)\n{\n");
	for (int i = 0; i < 15; i++)
		buf_add_text(&text, "\tif (a)\n\t\ta++;\n");
	buf_add_text(&text, "\treturn a;\n}\n");
	expect(*state, "check-size", "common/a.c", buf_text(&text), "f has a complexity of 16");
	buf_clear(&text);
	buf_add_text(&text, "int f(int a)\n{\n");
	for (int i = 0; i < 80; i++)
		buf_add_text(&text, "\ta++;\n");
	buf_add_text(&text, "\treturn a;\n}\n");
	expect(*state, "check-size", "common/a.c", buf_text(&text), "common/a.c:1: f has 84 lines");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(layers_look_down_only),
		TEST(every_library_has_one_door),
		TEST(unsafe_calls_are_found_and_their_safe_cousins_are_not),
		TEST(long_files_are_found),
		TEST(long_and_tangled_functions_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
