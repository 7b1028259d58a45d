/* The list of commands and what is printed about it; see command.h. */
#include "tools/nightjar/command.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "common/cleanup.h"

static const struct command *const commands[] = {
	&command_dev,
	&command_alerts_list,
	&command_alerts_get,
	&command_alerts_watch,
	&command_nodes_get,
	&command_nodes,
	&command_record,
	&command_replay,
	&command_certs_init,
	&command_certs_issue,
	&command_certs_show,
	&command_doctor,
	&command_completion_bash,
	NULL,
};

const struct command *const *command_all(void)
{
	return commands;
}

/* How many of the arguments the words take up; 0 when they are not those words. */
static int match_words(const char *words, int argc, char **argv)
{
	int used = 0;

	while (*words) {
		size_t len = strcspn(words, " ");

		if (used >= argc || strlen(argv[used]) != len || strncmp(argv[used], words, len) != 0)
			return 0;
		used++;
		words += len;
		words += strspn(words, " ");
	}
	return used;
}

const struct command *command_find(int argc, char **argv, int *ret_words)
{
	for (const struct command *const *c = commands; *c; c++) {
		int used = match_words((*c)->words, argc, argv);

		if (used) {
			*ret_words = used;
			return *c;
		}
	}
	return NULL;
}

static bool is_in_group(const struct command *c, const char *group)
{
	size_t len = strlen(group);

	return strncmp(c->words, group, len) == 0 && (len == 0 || c->words[len] == ' ');
}

bool command_is_group(const char *word)
{
	for (const struct command *const *c = commands; *c; c++)
		if (*word && is_in_group(*c, word))
			return true;
	return false;
}

void command_help(const char *group, struct buf *out)
{
	buf_printf(out, "Usage: nightjar %s [FLAG VALUE]...\n\n", *group ? group : "COMMAND");
	for (const struct command *const *c = commands; *c; c++)
		if (is_in_group(*c, group))
			buf_printf(out, "  %-16s  %s\n", (*c)->words, (*c)->table->summary);
	buf_add_text(out, "\nnightjar COMMAND --help explains one, nightjar --version names the version.\n");
}

/* ---- completion ----------------------------------------------------------------------------- */

static void add_flags(const struct optable *t, struct buf *out)
{
	char flag[OPTABLE_NAME_MAX];

	for (size_t i = 0; i < t->count; i++) {
		optable_flag_name(&t->opts[i], flag);
		buf_printf(out, "%s ", flag);
	}
	buf_add_text(out, "--help");
}

static void add_first_words(struct buf *out)
{
	const char *last = "";

	for (const struct command *const *c = commands; *c; c++) {
		size_t len = strcspn((*c)->words, " ");

		if (strlen(last) < len || strncmp(last, (*c)->words, len) != 0 || last[len] != ' ')
			buf_printf(out, "%.*s ", (int)len, (*c)->words);
		last = (*c)->words;
	}
	buf_add_text(out, "--help --version");
}

/* One case for each group: what may follow its name. */
static void add_groups(struct buf *out)
{
	const char *last = "";

	for (const struct command *const *c = commands; *c; c++) {
		size_t len = strcspn((*c)->words, " ");

		if ((*c)->words[len] == '\0')
			continue;
		if (strncmp(last, (*c)->words, len + 1) == 0) {
			buf_printf(out, " %s", (*c)->words + len + 1);
		} else {
			if (*last)
				buf_add_text(out, "' ;;\n");
			buf_printf(out, "\t'%.*s') words='%s", (int)len, (*c)->words, (*c)->words + len + 1);
		}
		last = (*c)->words;
	}
	buf_add_text(out, "' ;;\n");
}

void command_completion(struct buf *out)
{
	buf_add_text(out, "# Completion of nightjar for bash, made by: nightjar completion bash\n"
			  "_nightjar()\n{\n"
			  "\tlocal current=${COMP_WORDS[COMP_CWORD]} words=\n"
			  "\tlocal typed=\"${COMP_WORDS[*]:1:COMP_CWORD-1}\"\n"
			  "\tcase $typed in\n\t'') words='");
	add_first_words(out);
	buf_add_text(out, "' ;;\n");
	add_groups(out);
	for (const struct command *const *c = commands; *c; c++) {
		buf_printf(out, "\t'%s'*) words='", (*c)->words);
		add_flags((*c)->table, out);
		buf_add_text(out, "' ;;\n");
	}
	buf_add_text(out, "\tesac\n"
			  "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
			  "}\n"
			  "complete -o default -F _nightjar nightjar\n");
}

static int run_completion(const void *settings, char **arguments)
{
	_cleanup_buf_ struct buf out = {0};

	(void)settings;
	(void)arguments;
	command_completion(&out);
	return command_print(&out, "completion bash");
}

static const struct optable completion_table = {
	.program = "nightjar completion bash",
	.summary = "print the completion script for bash",
	.command = true,
};

const struct command command_completion_bash = {
	.words = "completion bash",
	.table = &completion_table,
	.run = run_completion,
};

/* ---- what every command says ---------------------------------------------------------------- */

int command_fail(enum exit_status status, const char *command, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)fprintf(stderr, "nightjar%s%s: %s\n", *command ? " " : "", command, text);
	return (int)status;
}

int command_print(struct buf *out, const char *command)
{
	if (buf_error(out) < 0)
		return command_fail(EXIT_STATUS_FAILED, command, "out of memory");
	if (fwrite(out->data, 1, out->len, stdout) != out->len || fflush(stdout) != 0)
		return command_fail(EXIT_STATUS_FAILED, command, "cannot write to stdout: %s",
				    strerror(errno));
	return EXIT_STATUS_OK;
}
