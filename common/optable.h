/* Options of a program as one table: a row gives the YAML key, the environment variable, the flag,
 * the line of --help, the sample file and the reference page. Nothing else in a program parses
 * configuration.
 *
 *   key "kafka.brokers" → YAML  kafka: { brokers: … } · env NIGHTJAR_KAFKA_BROKERS · --kafka-brokers
 *
 * Order of authority: flag, environment, file, default. An unknown key, a value of the wrong shape
 * or out of bounds is refused in one sentence that names file, line, column, key, what was found
 * and what is allowed. Not thread-safe: used at start and on reload, by the main thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/err.h"

enum opt_type {
	OPT_TEXT,     /* char *, never NULL after loading; "" when unset */
	OPT_PATH,     /* char *, as OPT_TEXT; relative to the working directory */
	OPT_BOOL,     /* bool: true false yes no on off */
	OPT_COUNT,    /* uint64_t, decimal */
	OPT_SIZE,     /* uint64_t bytes: 65536, 64KiB, 4MiB, 1GiB */
	OPT_DURATION, /* uint64_t nanoseconds: 200us, 5ms, 30s, 10m, 24h, 7d */
	OPT_CHOICE,   /* char *, one of choices */
	OPT_LIST,     /* struct opt_list: a YAML sequence, or comma-separated text; flags add up */
};

struct opt_list {
	char **items;
	size_t count;
};

struct opt {
	const char *key; /* "section.name" or "name" */
	enum opt_type type;
	size_t offset;	      /* of the value in the settings struct */
	const char *fallback; /* default, in the syntax of a value; "" is empty */
	uint64_t min, max;    /* bounds of COUNT, SIZE, DURATION; max 0: none */
	const char *choices;  /* OPT_CHOICE: "a|b|c" */
	bool reloadable;      /* SIGHUP applies it */
	bool secret;	      /* shown as *** wherever settings are printed */
	const char *help;     /* one sentence with the unit; no full stop */
};

struct optable {
	const char *program; /* "nightjar-collector" */
	const char *summary; /* one sentence, for --help */
	const char *usage;   /* extra flags of the program itself, one a line, or NULL */
	const struct opt *opts;
	size_t count;
	/* The table of a command that people type, not of a daemon: no --config and
	 * none of the flags that go with it; program is the usage line's "nightjar alerts get ID". */
	bool command;
};

enum opt_action {
	OPT_RUN,	  /* settings are complete */
	OPT_CHECK_CONFIG, /* --check-config: they are, and that was all that was asked */
	OPT_PRINT_CONFIG, /* --print-config */
	OPT_SAMPLE,	  /* --sample-config */
	OPT_REFERENCE,	  /* --reference */
	OPT_HELP,	  /* --help */
	OPT_VERSION,	  /* --version */
};

/* Reads defaults, --config FILE (given again: later files win; not given: config_file, unless that is
 * NULL), the environment and argv into *settings, which starts zeroed and is zeroed again on failure.
 * --help and --version win over errors. Flags that the table does not know and other arguments are
 * left for the caller in their order: *ret_rest (may be NULL: then they are errors) gets an array
 * without argv[0], terminated by NULL; the caller frees the array, not what it points to.
 * Variables of the environment that are no key of the table are somebody else's.
 * Returns an enum opt_action; -EINVAL or -ENOMEM with the sentence in e. */
int optable_load(const struct optable *t, void *settings, int argc, char **argv, const char *config_file,
		 char ***ret_rest, struct err *e) must_check;
/* Refuses an argument that was left in *ret_rest, with the flag that was perhaps meant. */
int optable_refuse(const struct optable *t, const char *argument, struct err *e) must_check;
/* Frees what the settings hold and zeroes them. */
void optable_done(const struct optable *t, void *settings);

/* The other forms of a key; ret holds OPTABLE_NAME_MAX bytes. */
#define OPTABLE_NAME_MAX 96 /* of a key, flag or variable, terminator included */
void optable_env_name(const struct opt *o, char *ret);
void optable_flag_name(const struct opt *o, char *ret); /* with its "--" */

void optable_help(const struct optable *t, struct buf *out);
/* The settings in force, as YAML; secrets hidden. */
void optable_print(const struct optable *t, const void *settings, struct buf *out);
/* A commented sample file with every key at its default. */
void optable_sample(const struct optable *t, struct buf *out);
/* The reference page, Markdown. */
void optable_reference(const struct optable *t, struct buf *out);
/* What an action other than OPT_RUN and OPT_CHECK_CONFIG prints; nothing for those. */
void optable_inform(const struct optable *t, enum opt_action action, const void *settings, struct buf *out);
/* One value alone, for tests and for tools: 0 or -EINVAL. */
int optable_set(const struct optable *t, void *settings, const char *key, const char *value, struct err *e) must_check;
