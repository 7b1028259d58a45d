/* Where settings come from and who wins; see optable.h. Values are optable_value.c, the file is
 * optable_yaml.c, everything printed is optable_print.c. Tables hold some tens of rows, so every
 * search is a walk. */
#include "common/optable_parts.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The flags of every table; of a command's only the first two. */
static const char *const own_flags[] = {"--help",	  "--version",	     "--config",   "--check-config",
					"--print-config", "--sample-config", "--reference"};

/* What a daemon's command line may ask for instead of running. */
static const struct {
	const char *flag;
	enum opt_action action;
} action_flags[] = {
	{"--check-config", OPT_CHECK_CONFIG},
	{"--print-config", OPT_PRINT_CONFIG},
	{"--sample-config", OPT_SAMPLE},
	{"--reference", OPT_REFERENCE},
};

static size_t own_flag_count(const struct optable *t)
{
	return t->command ? 2 : sizeof(own_flags) / sizeof(*own_flags);
}

/* ---- names ---------------------------------------------------------------------------------- */

void optable_env_name(const struct opt *o, char *ret)
{
	size_t n = (size_t)snprintf(ret, OPTABLE_NAME_MAX, "NIGHTJAR_%s", o->key);

	for (size_t i = 0; i < n && ret[i]; i++)
		ret[i] = isalnum((unsigned char)ret[i]) ? (char)toupper((unsigned char)ret[i]) : '_';
}

void optable_flag_name(const struct opt *o, char *ret)
{
	(void)snprintf(ret, OPTABLE_NAME_MAX, "--%s", o->key);
	for (char *c = ret; *c; c++)
		if (!isalnum((unsigned char)*c))
			*c = '-';
}

const struct opt *optable_find(const struct optable *t, const char *key)
{
	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->opts[i].key, key) == 0)
			return &t->opts[i];
	return NULL;
}

bool optable_in_section(const struct opt *o, const char *section, size_t len)
{
	if (len == 0)
		return !strchr(o->key, '.');
	return strncmp(o->key, section, len) == 0 && o->key[len] == '.';
}

const struct opt *optable_find_section(const struct optable *t, const char *section)
{
	size_t len = strlen(section);

	for (size_t i = 0; len && i < t->count; i++)
		if (optable_in_section(&t->opts[i], section, len))
			return &t->opts[i];
	return NULL;
}

/* ---- suggestions ---------------------------------------------------------------------------- */

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Edit distance (Levenshtein), one row at a time; both at most OPTABLE_NAME_MAX long. */
static size_t distance(const char *a, const char *b)
{
	size_t row[OPTABLE_NAME_MAX + 1];
	size_t width = strnlen(b, OPTABLE_NAME_MAX);

	for (size_t j = 0; j <= width; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1] && i <= OPTABLE_NAME_MAX; i++) {
		size_t corner = row[0];

		row[0] = i;
		for (size_t j = 1; j <= width; j++) {
			size_t above = row[j];

			row[j] = least(least(above, row[j - 1]) + 1, corner + (a[i - 1] != b[j - 1]));
			corner = above;
		}
	}
	return row[width];
}

struct nearest {
	const char *name; /* what was written */
	size_t distance;
	char best[OPTABLE_NAME_MAX];
};

static void consider_at(struct nearest *n, const char *candidate, size_t d)
{
	if (d >= n->distance)
		return;
	n->distance = d;
	(void)snprintf(n->best, sizeof(n->best), "%s", candidate);
}

static void consider(struct nearest *n, const char *candidate)
{
	consider_at(n, candidate, distance(n->name, candidate));
}

static void consider_key(struct nearest *n, const struct opt *o)
{
	char section[OPTABLE_NAME_MAX];
	const char *dot = strchr(o->key, '.');
	const char *written = strrchr(n->name, '.');

	consider(n, o->key);
	if (!dot)
		return;
	(void)snprintf(section, sizeof(section), "%.*s", (int)(dot - o->key), o->key);
	consider(n, section);
	/* The right name in the wrong section is worth as much as one letter. */
	if (strcmp(written ? written + 1 : n->name, dot + 1) == 0)
		consider_at(n, o->key, 1);
}

void optable_suggest(const struct optable *t, const char *name, bool as_flag, char *ret)
{
	struct nearest n = {.name = name, .distance = strlen(name) / 3 + 2};
	char flag[OPTABLE_NAME_MAX];

	for (size_t i = 0; i < t->count; i++) {
		optable_flag_name(&t->opts[i], flag);
		if (as_flag)
			consider(&n, flag);
		else
			consider_key(&n, &t->opts[i]);
	}
	for (size_t i = 0; as_flag && i < own_flag_count(t); i++)
		consider(&n, own_flags[i]);
	*ret = '\0';
	if (*n.best)
		(void)snprintf(ret, OPTABLE_NAME_MAX + 32, ", did you mean '%s'?", n.best);
}

int optable_refuse(const struct optable *t, const char *argument, struct err *e)
{
	char name[OPTABLE_NAME_MAX], near[OPTABLE_NAME_MAX + 32];

	if (argument[0] != '-')
		return err_set(e, -EINVAL, "unexpected argument '%.80s', --help shows the usage", argument);
	(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(argument, "="), argument);
	optable_suggest(t, name, true, near);
	return err_set(e, -EINVAL, "unknown flag '%s'%s", name, *near ? near : ", --help lists the known ones");
}

/* ---- sources, from the weakest to the strongest --------------------------------------------- */

static int set_defaults(const struct optable *t, void *settings, struct err *e)
{
	for (size_t i = 0; i < t->count; i++) {
		const struct opt *o = &t->opts[i];
		int r = optable_value_set(o, settings, bytes_of_text(o->fallback), e);

		if (r < 0)
			return err_prefix(e, r, "default of '%s'", o->key);
	}
	return 0;
}

static int set_environment(const struct optable *t, void *settings, struct err *e)
{
	char name[OPTABLE_NAME_MAX];

	for (size_t i = 0; i < t->count; i++) {
		const char *value;
		int r;

		optable_env_name(&t->opts[i], name);
		value = getenv(name);
		if (!value)
			continue;
		r = optable_value_set(&t->opts[i], settings, bytes_of_text(value), e);
		if (r < 0)
			return err_prefix(e, r, "environment %s", name);
	}
	return 0;
}

/* The command line while it is walked. */
struct args {
	int argc;
	char **argv;
	int i;
	bool *given; /* per option: a flag has set it */
	char **rest; /* NULL: nothing may be left over */
	size_t rest_count;
};

static bool is_flag(const char *arg, const char *flag)
{
	size_t len = strlen(flag);

	return strncmp(arg, flag, len) == 0 && (arg[len] == '\0' || arg[len] == '=');
}

/* What follows "=", or the next argument unless that is a flag itself. */
static int take_value(struct args *a, const char **ret_value, struct err *e)
{
	const char *arg = a->argv[a->i];
	const char *equals = strchr(arg, '=');

	if (equals) {
		*ret_value = equals + 1;
		return 0;
	}
	if (a->i + 1 >= a->argc || strncmp(a->argv[a->i + 1], "--", 2) == 0)
		return err_set(e, -EINVAL, "flag %s: found no value, allowed: %s VALUE or %s=VALUE", arg, arg,
			       arg);
	*ret_value = a->argv[++a->i];
	return 0;
}

/* OPT_RUN when it is no such flag. */
static enum opt_action action_of(const struct optable *t, const char *arg)
{
	for (size_t i = 0; !t->command && i < sizeof(action_flags) / sizeof(*action_flags); i++)
		if (strcmp(arg, action_flags[i].flag) == 0)
			return action_flags[i].action;
	return OPT_RUN;
}

/* What the whole command line asks for; help and version win over anything else on it. */
static enum opt_action find_action(const struct optable *t, int argc, char **argv)
{
	enum opt_action action = OPT_RUN;

	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return OPT_HELP;
		if (strcmp(argv[i], "--version") == 0)
			return OPT_VERSION;
		if (action_of(t, argv[i]) != OPT_RUN)
			action = action_of(t, argv[i]);
	}
	return action;
}

static int set_files(const struct optable *t, void *settings, int argc, char **argv,
		     const char *config_file, struct err *e)
{
	struct args a = {.argc = argc, .argv = argv};
	const char *file = NULL;
	int r;

	for (a.i = 1; !t->command && a.i < argc && strcmp(argv[a.i], "--") != 0; a.i++) {
		if (!is_flag(argv[a.i], "--config"))
			continue;
		r = take_value(&a, &file, e);
		if (r >= 0)
			r = optable_yaml_read(t, settings, file, e);
		if (r < 0)
			return r;
	}
	return !file && config_file ? optable_yaml_read(t, settings, config_file, e) : 0;
}

static const struct opt *find_flag(const struct optable *t, const char *arg)
{
	char flag[OPTABLE_NAME_MAX];

	for (size_t i = 0; i < t->count; i++) {
		optable_flag_name(&t->opts[i], flag);
		if (is_flag(arg, flag))
			return &t->opts[i];
	}
	return NULL;
}

static int set_flag(const struct optable *t, void *settings, struct args *a, const struct opt *o, struct err *e)
{
	const char *arg = a->argv[a->i];
	const char *value = "true";
	bool again = a->given[o - t->opts];
	int r = 0;

	if (o->type != OPT_BOOL || strchr(arg, '='))
		r = take_value(a, &value, e);
	if (r < 0)
		return r;
	if (o->type == OPT_LIST && again)
		r = optable_value_add_text(o, settings, bytes_of_text(value), e);
	else
		r = optable_value_set(o, settings, bytes_of_text(value), e);
	a->given[o - t->opts] = true;
	return r < 0 ? err_prefix(e, r, "flag %.*s", (int)strcspn(arg, "="), arg) : 0;
}

static int leave(const struct optable *t, struct args *a, struct err *e)
{
	if (!a->rest)
		return optable_refuse(t, a->argv[a->i], e);
	a->rest[a->rest_count++] = a->argv[a->i];
	return 0;
}

static int set_arg(const struct optable *t, void *settings, struct args *a, struct err *e)
{
	const char *arg = a->argv[a->i], *file;
	const struct opt *o = find_flag(t, arg);

	if (o)
		return set_flag(t, settings, a, o, e);
	if (t->command)
		return leave(t, a, e);
	if (is_flag(arg, "--config"))
		return take_value(a, &file, e);
	if (action_of(t, arg) != OPT_RUN)
		return 0;
	return leave(t, a, e);
}

static int set_args(const struct optable *t, void *settings, struct args *a, struct err *e)
{
	bool flags = true;
	int r = 0;

	for (a->i = 1; a->i < a->argc && r >= 0; a->i++) {
		if (flags && strcmp(a->argv[a->i], "--") == 0)
			flags = false;
		else
			r = flags ? set_arg(t, settings, a, e) : leave(t, a, e);
	}
	return r;
}

static int set_all(const struct optable *t, void *settings, struct args *a, const char *config_file,
		   struct err *e)
{
	int r = set_defaults(t, settings, e);

	if (r >= 0)
		r = set_files(t, settings, a->argc, a->argv, config_file, e);
	if (r >= 0)
		r = set_environment(t, settings, e);
	if (r >= 0)
		r = set_args(t, settings, a, e);
	return r;
}

int optable_load(const struct optable *t, void *settings, int argc, char **argv, const char *config_file,
		 char ***ret_rest, struct err *e)
{
	enum opt_action action = find_action(t, argc, argv);
	_cleanup_(freep) char **rest = calloc((size_t)argc + 1, sizeof(*rest));
	_cleanup_(freep) bool *given = calloc(t->count + 1, sizeof(*given));
	struct args a = {.argc = argc, .argv = argv, .given = given, .rest = ret_rest ? rest : NULL};
	int r;

	if (!rest || !given)
		return err_set(e, -ENOMEM, "out of memory");
	if (action == OPT_HELP || action == OPT_VERSION)
		r = set_defaults(t, settings, e);
	else
		r = set_all(t, settings, &a, config_file, e);
	if (r < 0) {
		optable_done(t, settings);
		return r == -ENOMEM ? r : -EINVAL;
	}
	if (ret_rest)
		*ret_rest = take_ptr(rest);
	return (int)action;
}

int optable_set(const struct optable *t, void *settings, const char *key, const char *value, struct err *e)
{
	const struct opt *o = optable_find(t, key);
	char near[OPTABLE_NAME_MAX + 32];
	int r;

	if (!o) {
		optable_suggest(t, key, false, near);
		return err_set(e, -EINVAL, "unknown key '%.80s'%s", key, near);
	}
	r = optable_value_set(o, settings, bytes_of_text(value), e);
	return r < 0 ? err_prefix(e, r, "key '%s'", key) : 0;
}

void optable_done(const struct optable *t, void *settings)
{
	for (size_t i = 0; i < t->count; i++) {
		const struct opt *o = &t->opts[i];

		optable_value_clear(o, settings);
		if (o->type == OPT_BOOL)
			*(bool *)((char *)settings + o->offset) = false;
		else if (o->type == OPT_COUNT || o->type == OPT_SIZE || o->type == OPT_DURATION)
			*(uint64_t *)(void *)((char *)settings + o->offset) = 0;
	}
}
