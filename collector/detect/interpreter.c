/* The reviewed list of interpreters and the reading of their arguments; see interpreter.h. */
#include "collector/detect/interpreter.h"

#include <string.h>

#define NAME_MAX_LEN 32

/* command: short options that carry the program, or name its file. values: short options whose
 * value may be the next argument. stdin: short options that make it read its input all the same. */
struct interpreter {
	const char *name;
	const char *command;
	const char *values;
	const char *input;
	bool multicall; /* what it is depends on the name that it was called by */
};

static const struct interpreter interpreters[] = {
	{"sh", "c", "oO", "s", false},	      {"bash", "c", "oO", "s", false},
	{"dash", "c", "oO", "s", false},      {"ash", "c", "oO", "s", false},
	{"zsh", "c", "o", "s", false},	      {"ksh", "c", "o", "s", false},
	{"mksh", "c", "o", "s", false},	      {"lksh", "c", "o", "s", false},
	{"pdksh", "c", "o", "s", false},      {"rbash", "c", "oO", "s", false},
	{"yash", "c", "o", "s", false},	      {"posh", "c", "o", "s", false},
	{"csh", "c", "", "s", false},	      {"tcsh", "c", "", "s", false},
	{"fish", "c", "oCdDf", "", false},    {"elvish", "c", "", "", false},
	{"nu", "c", "", "", false},	      {"pwsh", "cfe", "", "", false},
	{"python", "cm", "WX", "", false},    {"pypy", "cm", "WX", "", false},
	{"perl", "eE", "I", "", false},	      {"ruby", "e", "IrCE", "", false},
	{"node", "ep", "r", "", false},	      {"nodejs", "ep", "r", "", false},
	{"php", "rfBRFES", "cdz", "", false}, {"lua", "e", "l", "", false},
	{"luajit", "e", "l", "", false},      {"tclsh", "", "", "", false},
	{"expect", "cf", "", "", false},      {"guile", "cels", "L", "", false},
	{"deno", "e", "", "", false},	      {"bun", "e", "", "", false},
	{"busybox", "c", "oO", "s", true},    {"toybox", "c", "oO", "s", true},
};

#define ROWS (sizeof(interpreters) / sizeof(interpreters[0]))

static const char *const long_commands[] = {
	"--command", "--eval", "--print", "--run", "--file", "--process-code", "--execute", NULL,
};
static const char *const long_values[] = {"--rcfile", "--init-file", "--require", NULL};
static const char *const input_names[] = {"-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0", NULL};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* python3.11, lua5.4, php8.2-dbg: without the version. */
static const struct interpreter *row_named(const char *name)
{
	size_t len = strcspn(name, "0123456789");

	if (len > 0 && name[len] && name[len - 1] == '-')
		len--;
	for (size_t i = 0; len && i < ROWS; i++)
		if (strlen(interpreters[i].name) == len &&
		    memcmp(interpreters[i].name, name, len) == 0)
			return &interpreters[i];
	return NULL;
}

static const struct interpreter *row_of_file(const struct interpreter_files *files,
					     const struct image *image)
{
	for (uint32_t i = 0; image->inode && i < INTERPRETER_FILES; i++)
		if (files->list[i].inode == image->inode && files->list[i].device == image->device)
			return &interpreters[files->list[i].row];
	return NULL;
}

static const struct interpreter *identify(struct interpreter_files *files,
					  const struct image *image)
{
	const struct interpreter *row = row_named(image_name(image));

	if (!row)
		return row_of_file(files, image);
	if (image->inode && !row_of_file(files, image)) {
		files->evicted += files->list[files->next].inode != 0;
		files->list[files->next].device = image->device;
		files->list[files->next].inode = image->inode;
		files->list[files->next].row = (uint32_t)(row - interpreters);
		files->next = (files->next + 1) % INTERPRETER_FILES;
	}
	return row;
}

static bool in_list(const char *const *list, const char *arg, size_t len)
{
	for (; *list; list++)
		if (strlen(*list) == len && memcmp(*list, arg, len) == 0)
			return true;
	return false;
}

enum reading { READ_ON, READ_SKIP_NEXT, READ_COMMAND, READ_INPUT };

static enum reading read_long(const char *arg)
{
	size_t len = strcspn(arg, "=");

	if (in_list(long_commands, arg, len))
		return READ_COMMAND;
	return in_list(long_values, arg, len) && !arg[len] ? READ_SKIP_NEXT : READ_ON;
}

/* A cluster: -lic, -I/dir, +o. A value ends it, or is the next argument. */
static enum reading read_short(const struct interpreter *row, const char *arg)
{
	enum reading found = READ_ON;

	for (const char *c = arg + 1; *c; c++) {
		if (arg[0] == '-' && strchr(row->command, *c))
			return READ_COMMAND;
		if (strchr(row->input, *c))
			found = READ_INPUT;
		if (strchr(row->values, *c))
			return c[1] ? found : READ_SKIP_NEXT;
		if (strcmp(row->name, "pwsh") == 0)
			return READ_ON;
	}
	return found;
}

struct reading_result {
	bool command;
	bool input;
	const char *operand; /* the first argument that is no option */
};

static struct reading_result read_args(const struct interpreter *row, const struct image *image,
				       const char *arg)
{
	struct reading_result r = {0};
	bool skip = false;

	while ((arg = image_arg(image, arg))) {
		enum reading found = READ_ON;

		if (skip) {
			skip = false;
			continue;
		}
		if (strcmp(arg, "--") == 0) {
			r.operand = image_arg(image, arg);
			break;
		}
		if (strcmp(arg, "-") == 0 || (arg[0] != '-' && arg[0] != '+')) {
			r.operand = arg;
			break;
		}
		found = arg[0] == '-' && arg[1] == '-' ? read_long(arg) : read_short(row, arg);
		skip = found == READ_SKIP_NEXT;
		r.command |= found == READ_COMMAND;
		r.input |= found == READ_INPUT;
	}
	return r;
}

/* busybox sh …, or a link named sh: the shell is named by the first argument or the second. */
static const char *applet(const struct image *image)
{
	const char *arg = image_arg(image, NULL);
	const struct interpreter *row = arg ? row_named(base_name(arg)) : NULL;

	while (row && row->multicall && (arg = image_arg(image, arg)))
		row = row_named(base_name(arg));
	return arg;
}

const char *interpreter_applet(const struct image *image)
{
	const struct interpreter *row = row_named(image_name(image));
	const char *arg = row && row->multicall ? applet(image) : NULL;

	return arg ? base_name(arg) + (base_name(arg)[0] == '-') : NULL;
}

bool interpreter_reads_stdin(struct interpreter_files *files, const struct image *image)
{
	const struct interpreter *row = image ? identify(files, image) : NULL;
	const char *arg0 = row ? image_arg(image, NULL) : NULL;
	struct reading_result r;

	if (row && row->multicall) {
		arg0 = applet(image);
		row = arg0 ? row_named(base_name(arg0) + (base_name(arg0)[0] == '-')) : NULL;
	}
	if (!row)
		return false;
	if (!arg0)
		return true; /* an empty argument list: it reads its input */
	r = read_args(row, image, arg0);
	if (r.command)
		return false;
	return r.input || !r.operand || in_list(input_names, r.operand, strlen(r.operand));
}

bool interpreter_is(const struct image *image)
{
	return row_named(image_name(image)) != NULL;
}

bool interpreter_is_shell(const struct image *image)
{
	const struct interpreter *row = row_named(image_name(image));

	/* Of the table, the shells have "c" for their program and no other letter. */
	return row && strcmp(row->command, "c") == 0;
}

const char *interpreter_script(const struct image *image)
{
	const struct interpreter *row = row_named(image_name(image));
	const char *arg0 = row && !row->multicall ? image_arg(image, NULL) : NULL;
	struct reading_result r;

	if (!arg0)
		return NULL;
	r = read_args(row, image, arg0);
	return r.command || r.input ? NULL : r.operand;
}
