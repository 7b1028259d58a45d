/* What a table prints about itself: --help, --print-config, the sample file, the reference page.
 * All from the rows that the parser reads, so none of them can fall behind; see optable.h. */
#include "common/optable_parts.h"
#include "common/version.h"

#include <stdlib.h>
#include <string.h>

#define WIDTH 80 /* columns of --help and of the sample's comments */

/* Behind the flag; a bare boolean flag means true. */
static const char *const type_words[] = {
	[OPT_TEXT] = " TEXT",	  [OPT_PATH] = " PATH",	    [OPT_BOOL] = "[=BOOL]",
	[OPT_COUNT] = " NUMBER",  [OPT_SIZE] = " SIZE",	    [OPT_DURATION] = " TIME",
	[OPT_CHOICE] = " CHOICE", [OPT_LIST] = " LIST",
};

/* Words of text on lines of at most WIDTH columns, each after the same lead. */
static void add_wrapped(struct buf *out, const char *lead, const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t len = strcspn(text, " ");

		if (column && column + 1 + len > WIDTH) {
			buf_add_byte(out, '\n');
			column = 0;
		}
		buf_add_text(out, column ? " " : lead);
		column += column ? 1 : strlen(lead);
		buf_add(out, text, len);
		column += len;
		text += len;
		text += strspn(text, " ");
	}
	buf_add_byte(out, '\n');
}

static size_t section_len(const struct opt *o)
{
	const char *dot = strchr(o->key, '.');

	return dot ? (size_t)(dot - o->key) : 0;
}

static const char *name_in_section(const struct opt *o)
{
	size_t len = section_len(o);

	return o->key + (len ? len + 1 : 0);
}

/* Calls add for every row, section by section, those without one first; a section is opened when its
 * first row comes. Rows of one section need not stand together. */
struct printer {
	const struct optable *t;
	const void *settings; /* NULL: not printed */
	struct buf *out;
	void (*open)(struct printer *p, const char *section, size_t len);
	void (*add)(struct printer *p, const struct opt *o);
};

static void print_section(struct printer *p, const char *section, size_t len)
{
	if (len && p->open)
		p->open(p, section, len);
	for (size_t i = 0; i < p->t->count; i++)
		if (optable_in_section(&p->t->opts[i], section, len))
			p->add(p, &p->t->opts[i]);
}

static bool is_first_of_section(const struct optable *t, size_t i)
{
	size_t len = section_len(&t->opts[i]);

	for (size_t k = 0; k < i; k++)
		if (optable_in_section(&t->opts[k], t->opts[i].key, len))
			return false;
	return len > 0;
}

static void print_rows(struct printer *p)
{
	print_section(p, "", 0);
	for (size_t i = 0; i < p->t->count; i++)
		if (is_first_of_section(p->t, i))
			print_section(p, p->t->opts[i].key, section_len(&p->t->opts[i]));
}

/* ---- --help --------------------------------------------------------------------------------- */

/* "help; allowed values; default" as one text. */
static void add_meaning(struct buf *out, const struct opt *o)
{
	buf_printf(out, "%s (", o->help);
	optable_value_allowed(o, out);
	buf_printf(out, "; default %s)", *o->fallback ? o->fallback : "empty");
}

static void help_open(struct printer *p, const char *section, size_t len)
{
	buf_printf(p->out, "\n%.*s:\n", (int)len, section);
}

static void help_add(struct printer *p, const struct opt *o)
{
	_cleanup_buf_ struct buf meaning = {0};
	char flag[OPTABLE_NAME_MAX];

	optable_flag_name(o, flag);
	buf_printf(p->out, "  %s%s\n", flag, type_words[o->type]);
	add_meaning(&meaning, o);
	add_wrapped(p->out, "        ", buf_text(&meaning));
}

static void help_of_daemon(const struct optable *t, struct buf *out)
{
	buf_printf(out, "Usage: %s [--config FILE] [FLAG VALUE]...\n\n", t->program);
	add_wrapped(out, "", t->summary);
	buf_add_text(out, "\n"
			  "  --config FILE   read this YAML file; given again, later files win\n"
			  "  --check-config  say whether the configuration is good, and stop\n"
			  "  --print-config  print the settings in force as YAML, and stop\n"
			  "  --sample-config print a commented file with every default, and stop\n"
			  "  --reference     print the reference page (Markdown), and stop\n"
			  "  --help          print this\n"
			  "  --version       print the version\n");
	if (t->usage)
		buf_printf(out, "%s%s", t->usage, t->usage[strlen(t->usage) - 1] == '\n' ? "" : "\n");
	buf_add_text(out, "\n"
			  "Every flag is also a key of the file and a variable of the environment:\n"
			  "--section-name is  section: { name: ... }  and NIGHTJAR_SECTION_NAME.\n"
			  "A flag wins over the environment, the environment over the file.\n\n");
}

static void help_of_command(const struct optable *t, struct buf *out)
{
	buf_printf(out, "Usage: %s%s\n\n", t->program, t->count ? " [FLAG VALUE]..." : "");
	add_wrapped(out, "", t->summary);
	if (t->usage)
		buf_printf(out, "\n%s%s", t->usage, t->usage[strlen(t->usage) - 1] == '\n' ? "" : "\n");
	if (t->count)
		buf_add_text(out, "\nA flag --some-name may also be given as NIGHTJAR_SOME_NAME in the "
				  "environment.\n\n");
}

void optable_help(const struct optable *t, struct buf *out)
{
	struct printer p = {.t = t, .out = out, .open = help_open, .add = help_add};

	if (t->command)
		help_of_command(t, out);
	else
		help_of_daemon(t, out);
	print_rows(&p);
}

/* ---- YAML ----------------------------------------------------------------------------------- */

static void yaml_open(struct printer *p, const char *section, size_t len)
{
	buf_printf(p->out, "%.*s:\n", (int)len, section);
}

static void yaml_add(struct printer *p, const struct opt *o)
{
	buf_printf(p->out, "%s%s: ", section_len(o) ? "  " : "", name_in_section(o));
	optable_value_print(o, p->settings, p->out);
	buf_add_byte(p->out, '\n');
}

void optable_print(const struct optable *t, const void *settings, struct buf *out)
{
	struct printer p = {.t = t, .settings = settings, .out = out, .open = yaml_open, .add = yaml_add};

	print_rows(&p);
}

static void sample_open(struct printer *p, const char *section, size_t len)
{
	buf_printf(p->out, "\n%.*s:\n", (int)len, section);
}

static void sample_add(struct printer *p, const struct opt *o)
{
	_cleanup_buf_ struct buf meaning = {0};

	add_meaning(&meaning, o);
	if (o->reloadable)
		buf_add_text(&meaning, "; SIGHUP applies a change");
	add_wrapped(p->out, section_len(o) ? "  # " : "# ", buf_text(&meaning));
	yaml_add(p, o);
}

/* Room for a settings struct of which only the rows are known. */
static size_t settings_size(const struct optable *t)
{
	size_t size = 1;

	for (size_t i = 0; i < t->count; i++)
		if (t->opts[i].offset + sizeof(struct opt_list) > size)
			size = t->opts[i].offset + sizeof(struct opt_list);
	return size;
}

void optable_sample(const struct optable *t, struct buf *out)
{
	_cleanup_(freep) void *settings = calloc(1, settings_size(t));
	struct printer p = {.t = t, .settings = settings, .out = out, .open = sample_open, .add = sample_add};
	struct err e;

	buf_printf(out, "# Configuration of %s: every key at its default.\n", t->program);
	if (!settings)
		return;
	for (size_t i = 0; i < t->count; i++)
		if (optable_set(t, settings, t->opts[i].key, t->opts[i].fallback, &e) < 0)
			buf_printf(out, "# %s\n", e.text);
	print_rows(&p);
	optable_done(t, settings);
}

/* ---- the reference page ---------------------------------------------------------------------- */

static void reference_open(struct printer *p, const char *section, size_t len)
{
	buf_printf(p->out, "\n## %.*s\n\n", (int)len, section);
	buf_add_text(p->out, "| key | meaning | allowed | default | environment | flag | SIGHUP |\n"
			     "|---|---|---|---|---|---|---|\n");
}

static void reference_add(struct printer *p, const struct opt *o)
{
	_cleanup_buf_ struct buf allowed = {0};
	char flag[OPTABLE_NAME_MAX], env[OPTABLE_NAME_MAX];

	optable_flag_name(o, flag);
	optable_env_name(o, env);
	optable_value_allowed(o, &allowed);
	buf_printf(p->out, "| `%s` | %s | %s | %s%s%s | `%s` | `%s` | %s |\n", o->key, o->help,
		   buf_text(&allowed), *o->fallback ? "`" : "", *o->fallback ? o->fallback : "empty",
		   *o->fallback ? "`" : "", env, flag, o->reloadable ? "yes" : "no");
}

void optable_reference(const struct optable *t, struct buf *out)
{
	struct printer p = {.t = t, .out = out, .open = reference_open, .add = reference_add};

	buf_printf(out, "# Options of %s\n\n%s.\n", t->program, t->summary);
	for (size_t i = 0; i < t->count; i++) {
		if (section_len(&t->opts[i]) == 0) {
			reference_open(&p, "general", strlen("general"));
			break;
		}
	}
	print_rows(&p);
}

/* ---- whichever was asked for ------------------------------------------------------------------ */

void optable_inform(const struct optable *t, enum opt_action action, const void *settings, struct buf *out)
{
	switch (action) {
	case OPT_HELP:
		optable_help(t, out);
		break;
	case OPT_VERSION:
		buf_printf(out, "%s " NIGHTJAR_VERSION "\n", t->program);
		break;
	case OPT_PRINT_CONFIG:
		optable_print(t, settings, out);
		break;
	case OPT_SAMPLE:
		optable_sample(t, out);
		break;
	case OPT_REFERENCE:
		optable_reference(t, out);
		break;
	case OPT_RUN:
	case OPT_CHECK_CONFIG:
		break;
	}
}
