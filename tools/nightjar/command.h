/* The commands of `nightjar`: each is one const row and a file of its own; commands.c lists them all.
 * Help, the list of commands and the completion script come from these rows. */
#pragma once

#include <stddef.h>

#include "common/buf.h"
#include "common/optable.h"

enum exit_status {
	EXIT_STATUS_OK = 0,
	EXIT_STATUS_FAILED = 1,
	EXIT_STATUS_USAGE = 2,
};

struct command {
	const char *words;	     /* what is typed: "alerts list" */
	const struct optable *table; /* its flags; its summary stands in the list of commands */
	size_t settings_size;	     /* of what the table fills */
	unsigned int arguments_min;  /* arguments that are no flags; the table's program names them */
	unsigned int arguments_max;
	/* Returns an enum exit_status; what went wrong is on stderr already. arguments ends with NULL. */
	int (*run)(const void *settings, char **arguments);
};

/* All of them in the order of the list, NULL-terminated. */
const struct command *const *command_all(void);

/* The command that the first words name, and how many words those are; NULL when there is none. */
const struct command *command_find(int argc, char **argv, int *ret_words);

/* What nightjar --help prints: the commands whose words begin with group ("" is all of them). */
void command_help(const char *group, struct buf *out);
/* Whether some command begins with this word. */
bool command_is_group(const char *word);
/* The completion script for bash. */
void command_completion(struct buf *out);

/* Says "nightjar COMMAND: text" on stderr and returns the status. */
int command_fail(enum exit_status status, const char *command, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Writes all of it to stdout. */
int command_print(struct buf *out, const char *command);

extern const struct command command_dev, command_record, command_replay, command_alerts_list,
	command_alerts_get, command_alerts_watch, command_nodes, command_nodes_get,
	command_certs_init, command_certs_issue, command_certs_show, command_doctor,
	command_completion_bash;
