/* The configuration file: YAML by libyaml's events, which carry line and column; see optable.h.
 *
 * A file is a mapping of names to values and of sections to such mappings, nothing deeper; lists
 * are sequences of scalars. Aliases, a second document and a repeated key are refused: each of them
 * hides what is in force. At most OPTABLE_FILE_MAX bytes are read. */
#include "common/optable_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <yaml.h>

struct reader {
	const struct optable *t;
	void *settings;
	const char *file;
	struct bytes text;
	yaml_parser_t parser;
	yaml_event_t event; /* the current one */
	size_t *seen;	    /* per option: line that set it; behind them, per section by its first option */
	struct err *e;
};

static int refuse_at(struct reader *r, const yaml_mark_t *mark, const char *what)
{
	return err_set(r->e, -EINVAL, "%s:%zu:%zu: %s", r->file, mark->line + 1, mark->column + 1, what);
}

static int prefix_at(struct reader *r, const yaml_mark_t *mark, const char *key, int code)
{
	return err_prefix(r->e, code, "%s:%zu:%zu: key '%s'", r->file, mark->line + 1, mark->column + 1,
			  key);
}

/* ---- events --------------------------------------------------------------------------------- */

static yaml_mark_t mark_of_offset(struct bytes text, size_t offset)
{
	yaml_mark_t mark = {0};

	for (size_t i = 0; i < offset && i < text.len; i++) {
		mark.column++;
		if (text.data[i] == '\n') {
			mark.line++;
			mark.column = 0;
		}
	}
	return mark;
}

/* Whether the line that the reader stopped at is indented with a tab, the usual cause. */
static bool find_tab(struct bytes text, yaml_mark_t *mark)
{
	size_t start = 0;

	for (size_t line = 0; line < mark->line && start < text.len; start++)
		line += text.data[start] == '\n';
	for (size_t i = start; i < text.len && (text.data[i] == ' ' || text.data[i] == '\t'); i++) {
		if (text.data[i] == '\t') {
			mark->column = i - start;
			return true;
		}
	}
	return false;
}

static int refuse_syntax(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	yaml_mark_t mark = p->problem_mark;
	char what[160];

	if (p->error == YAML_MEMORY_ERROR)
		return err_set(r->e, -ENOMEM, "%s: out of memory", r->file);
	if (p->error == YAML_READER_ERROR)
		mark = mark_of_offset(r->text, p->problem_offset);
	if (find_tab(r->text, &mark))
		return refuse_at(r, &mark, "found a tab, allowed: spaces before a key");
	(void)snprintf(what, sizeof(what), "not valid YAML: %s", p->problem ? p->problem : "cut short");
	return refuse_at(r, &mark, what);
}

static int next(struct reader *r)
{
	yaml_event_delete(&r->event);
	memset(&r->event, 0, sizeof(r->event));
	return yaml_parser_parse(&r->parser, &r->event) ? 0 : refuse_syntax(r);
}

static struct bytes scalar_of(const struct reader *r)
{
	return bytes_of(r->event.data.scalar.value, r->event.data.scalar.length);
}

/* "key:" with nothing behind it, also written ~ and null. */
static bool is_nothing(const struct reader *r)
{
	struct bytes value = scalar_of(r);

	if (r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	return value.len == 0 || bytes_equal(value, bytes_of_text("~")) ||
	       bytes_equal(value, bytes_of_text("null"));
}

static const char *event_words(yaml_event_type_t type)
{
	switch (type) {
	case YAML_MAPPING_START_EVENT:
		return "keys below it";
	case YAML_SEQUENCE_START_EVENT:
		return "a list";
	case YAML_ALIAS_EVENT:
		return "an alias";
	case YAML_SCALAR_EVENT:
		return "a single value";
	default:
		return "nothing";
	}
}

/* ---- values --------------------------------------------------------------------------------- */

static int read_items(struct reader *r, const struct opt *o)
{
	int code;

	code = optable_value_set(o, r->settings, (struct bytes){0}, r->e);
	while (code >= 0) {
		code = next(r);
		if (code < 0 || r->event.type == YAML_SEQUENCE_END_EVENT)
			return code;
		if (r->event.type != YAML_SCALAR_EVENT)
			code = err_set(r->e, -EINVAL, "found %s, allowed: text as an item",
				       event_words(r->event.type));
		else
			code = optable_value_add(o, r->settings, scalar_of(r), r->e);
	}
	return prefix_at(r, &r->event.start_mark, o->key, code);
}

static int read_value(struct reader *r, const struct opt *o)
{
	int code = next(r);

	if (code < 0)
		return code;
	if (o->type == OPT_LIST && r->event.type == YAML_SEQUENCE_START_EVENT)
		return read_items(r, o);
	if (r->event.type == YAML_SCALAR_EVENT)
		code = optable_value_set(o, r->settings,
					 is_nothing(r) ? (struct bytes){0} : scalar_of(r), r->e);
	else
		code = optable_value_refuse(o, event_words(r->event.type), r->e);
	return code < 0 ? prefix_at(r, &r->event.start_mark, o->key, code) : 0;
}

/* ---- keys ----------------------------------------------------------------------------------- */

/* Remembers where a key stood; refuses it the second time. */
static int mark_seen(struct reader *r, size_t *seen, const char *key)
{
	const yaml_mark_t *mark = &r->event.start_mark;
	char what[OPTABLE_NAME_MAX + 96];

	if (*seen == 0) {
		*seen = mark->line + 1;
		return 0;
	}
	(void)snprintf(what, sizeof(what),
		       "key '%s': found a second time, allowed: once (first at line %zu)", key, *seen);
	return refuse_at(r, mark, what);
}

static int refuse_key(struct reader *r, const char *key)
{
	char what[3 * OPTABLE_NAME_MAX], near[OPTABLE_NAME_MAX + 32];

	optable_suggest(r->t, key, false, near);
	(void)snprintf(what, sizeof(what), "unknown key '%s'%s", key,
		       *near ? near : ", --help lists the known ones");
	return refuse_at(r, &r->event.start_mark, what);
}

/* The full key of the scalar that is the current event. */
static int take_key(struct reader *r, const char *section, char *ret_key)
{
	struct bytes name = scalar_of(r);
	int len;

	if (r->event.type != YAML_SCALAR_EVENT)
		return refuse_at(r, &r->event.start_mark, "found a list or a mapping, allowed: a key");
	if (memchr(name.data, '\0', name.len))
		return refuse_at(r, &r->event.start_mark, "found a zero byte, allowed: a key");
	len = snprintf(ret_key, OPTABLE_NAME_MAX, "%s%s%s", section, *section ? "." : "",
		       (const char *)name.data);
	if (len >= OPTABLE_NAME_MAX)
		return refuse_at(r, &r->event.start_mark, "found a key that is too long to be one");
	return 0;
}

static int read_key(struct reader *r, const char *key)
{
	const struct opt *o = optable_find(r->t, key);
	int code;

	if (!o)
		return refuse_key(r, key);
	/* A dot in a name would be a second way to write a section. */
	if (memchr(r->event.data.scalar.value, '.', r->event.data.scalar.length))
		return refuse_at(r, &r->event.start_mark,
				 "found a dot in a key, allowed: the section's name, and the key below it");
	code = mark_seen(r, &r->seen[o - r->t->opts], key);
	return code < 0 ? code : read_value(r, o);
}

static int read_section(struct reader *r, const char *section)
{
	char key[OPTABLE_NAME_MAX];
	int code;

	for (;;) {
		code = next(r);
		if (code < 0 || r->event.type == YAML_MAPPING_END_EVENT)
			return code;
		code = take_key(r, section, key);
		if (code >= 0)
			code = read_key(r, key);
		if (code < 0)
			return code;
	}
}

/* What stands behind a section's name. */
static int enter_section(struct reader *r, const struct opt *first, const char *section)
{
	int code = mark_seen(r, &r->seen[r->t->count + (size_t)(first - r->t->opts)], section);

	if (code >= 0)
		code = next(r);
	if (code < 0)
		return code;
	if (r->event.type == YAML_MAPPING_START_EVENT)
		return read_section(r, section);
	if (r->event.type == YAML_SCALAR_EVENT && is_nothing(r))
		return 0;
	(void)err_set(r->e, -EINVAL, "found %s, allowed: a section with keys such as '%s'",
		      event_words(r->event.type), first->key + strlen(section) + 1);
	return prefix_at(r, &r->event.start_mark, section, -EINVAL);
}

static int read_top(struct reader *r)
{
	char key[OPTABLE_NAME_MAX];
	const struct opt *first;
	int code;

	for (;;) {
		code = next(r);
		if (code < 0 || r->event.type == YAML_MAPPING_END_EVENT)
			return code;
		code = take_key(r, "", key);
		if (code < 0)
			return code;
		first = optable_find_section(r->t, key);
		code = first ? enter_section(r, first, key) : read_key(r, key);
		if (code < 0)
			return code;
	}
}

/* ---- the file ------------------------------------------------------------------------------- */

static int read_stream(struct reader *r)
{
	int code = next(r);

	if (code >= 0)
		code = next(r);
	if (code < 0 || r->event.type == YAML_STREAM_END_EVENT)
		return code;
	code = next(r);
	if (code < 0)
		return code;
	if (r->event.type == YAML_MAPPING_START_EVENT)
		code = read_top(r);
	else if (r->event.type != YAML_SCALAR_EVENT || !is_nothing(r))
		code = refuse_at(r, &r->event.start_mark, "found no keys, allowed: lines of 'key: value'");
	if (code >= 0)
		code = next(r);
	if (code >= 0)
		code = next(r);
	if (code >= 0 && r->event.type != YAML_STREAM_END_EVENT)
		code = refuse_at(r, &r->event.start_mark, "found a second document, allowed: one");
	return code;
}

static int load_file(const char *file, struct buf *text, struct err *e)
{
	_cleanup_(closep) int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	uint8_t chunk[8192];
	ssize_t n = 0;

	if (fd < 0)
		return err_set(e, -errno,
			       "cannot read the configuration '%s': %s; name another with --config, or let this user "
			       "read it",
			       file, strerror(errno));
	while (text->len <= OPTABLE_FILE_MAX && (n = read(fd, chunk, sizeof(chunk))) > 0)
		buf_add(text, chunk, (size_t)n);
	if (n < 0)
		return err_set(e, -errno,
			       "cannot read the configuration '%s': %s; name a YAML file with --config", file,
			       strerror(errno));
	if (text->len > OPTABLE_FILE_MAX)
		return err_set(e, -EFBIG, "%s: found more than %u bytes, allowed: at most that", file,
			       OPTABLE_FILE_MAX);
	return buf_error(text) < 0 ? err_set(e, -ENOMEM, "%s: out of memory", file) : 0;
}

int optable_yaml_read(const struct optable *t, void *settings, const char *file, struct err *e)
{
	struct reader r = {.t = t, .settings = settings, .file = file, .e = e};
	_cleanup_buf_ struct buf text = {0};
	_cleanup_(freep) size_t *seen = calloc(2 * t->count + 1, sizeof(*seen));
	int code = load_file(file, &text, e);

	if (code < 0)
		return code;
	if (!seen || !yaml_parser_initialize(&r.parser))
		return err_set(e, -ENOMEM, "%s: out of memory", file);
	r.seen = seen;
	r.text = buf_bytes(&text);
	yaml_parser_set_input_string(&r.parser, r.text.len ? r.text.data : (const uint8_t *)"", r.text.len);
	code = read_stream(&r);
	yaml_event_delete(&r.event);
	yaml_parser_delete(&r.parser);
	return code;
}
