/* nightjar: the command that people type. Finds the command that the first words name, reads its
 * flags by its table and runs it. Exit status: 0 done, 1 failed, 2 bad usage. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/version.h"
#include "tools/nightjar/command.h"

static int print_help(const struct command *c)
{
	_cleanup_buf_ struct buf out = {0};

	optable_help(c->table, &out);
	return command_print(&out, c->words);
}

static int print_list(const char *group)
{
	_cleanup_buf_ struct buf out = {0};

	command_help(group, &out);
	return command_print(&out, "");
}

static int run_with(const struct command *c, const void *settings, char **rest)
{
	unsigned int count = 0;
	struct err e = {0};

	for (; rest[count]; count++)
		if (rest[count][0] == '-' && optable_refuse(c->table, rest[count], &e) < 0)
			return command_fail(EXIT_STATUS_USAGE, c->words, "%s", e.text);
	if (count < c->arguments_min)
		return command_fail(EXIT_STATUS_USAGE, c->words, "an argument is missing; usage: %s",
				    c->table->program);
	if (count > c->arguments_max)
		return command_fail(EXIT_STATUS_USAGE, c->words, "unexpected argument '%s'; usage: %s",
				    rest[c->arguments_max], c->table->program);
	return c->run(settings, rest);
}

/* argv[0] is the last word of the command. */
static int run_command(const struct command *c, int argc, char **argv)
{
	_cleanup_(freep) void *settings = calloc(1, c->settings_size + 1);
	_cleanup_(freep) char **rest = NULL;
	struct err e = {0};
	int r;

	if (!settings)
		return command_fail(EXIT_STATUS_FAILED, c->words, "out of memory");
	r = optable_load(c->table, settings, argc, argv, NULL, &rest, &e);
	if (r < 0)
		return command_fail(EXIT_STATUS_USAGE, c->words, "%s", e.text);
	if (r == OPT_HELP)
		r = print_help(c);
	else if (r == OPT_VERSION)
		r = printf("nightjar %s\n", NIGHTJAR_VERSION) < 0;
	else
		r = run_with(c, settings, rest);
	optable_done(c->table, settings);
	return r;
}

int main(int argc, char **argv)
{
	const struct command *c;
	int words = 0;

	log_init("nightjar", LOG_LEVEL_INFO);
	if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		int r = print_list("");

		return argc < 2 && r == EXIT_STATUS_OK ? EXIT_STATUS_USAGE : r;
	}
	if (strcmp(argv[1], "--version") == 0)
		return printf("nightjar %s\n", NIGHTJAR_VERSION) < 0;
	c = command_find(argc - 1, argv + 1, &words);
	if (c)
		return run_command(c, argc - words, argv + words);
	if (!command_is_group(argv[1]))
		return command_fail(EXIT_STATUS_USAGE, "", "unknown command '%.40s'; nightjar --help lists them",
				    argv[1]);
	if (argc > 2 && argv[2][0] != '-')
		return command_fail(EXIT_STATUS_USAGE, argv[1],
				    "unknown command '%.40s'; nightjar %s --help lists them", argv[2], argv[1]);
	return print_list(argv[1]);
}
