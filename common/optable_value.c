/* One value of an option: text to memory, memory to text, and the sentence in between; see optable.h.
 * A value is at most OPTABLE_VALUE_MAX bytes without control characters, whatever its type. */
#include "common/optable_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"

#define FOUND_SHOWN 48 /* bytes of a refused value that are repeated to the person */

struct unit {
	const char *name;
	uint64_t factor;
};

/* Printing takes the first that divides, so the largest stands first. */
static const struct unit duration_units[] = {
	{"d", 86400 * NS_PER_SEC}, {"h", 3600 * NS_PER_SEC}, {"m", 60 * NS_PER_SEC}, {"s", NS_PER_SEC},
	{"ms", NS_PER_MS},	   {"us", NS_PER_US},	     {"ns", 1},		     {NULL, 0},
};

static const struct unit size_units[] = {
	{"GiB", 1ULL << 30}, {"MiB", 1ULL << 20}, {"KiB", 1ULL << 10}, {"", 1}, {NULL, 0},
};

static const struct unit count_units[] = {{"", 1}, {NULL, 0}};

static const struct unit *units_of(enum opt_type type)
{
	if (type == OPT_DURATION)
		return duration_units;
	return type == OPT_SIZE ? size_units : count_units;
}

static void *at(const struct opt *o, void *settings)
{
	return (char *)settings + o->offset;
}

static const void *at_const(const struct opt *o, const void *settings)
{
	return (const char *)settings + o->offset;
}

/* ---- sentences ------------------------------------------------------------------------------ */

static void print_number(enum opt_type type, uint64_t value, struct buf *out)
{
	const struct unit *u = units_of(type);

	if (value == 0) {
		buf_add_text(out, type == OPT_DURATION ? "0s" : "0");
		return;
	}
	while (value % u->factor != 0)
		u++;
	buf_printf(out, "%llu%s", (unsigned long long)(value / u->factor), u->name);
}

static void print_bounds(const struct opt *o, struct buf *out)
{
	if (o->min == 0 && o->max == 0)
		return;
	buf_add_text(out, ", ");
	if (o->max == 0)
		buf_add_text(out, "at least ");
	print_number(o->type, o->min, out);
	if (o->max == 0)
		return;
	buf_add_text(out, " to ");
	print_number(o->type, o->max, out);
}

static void print_choices(const char *choices, struct buf *out)
{
	for (const char *c = choices; *c; c++) {
		if (*c == '|')
			buf_add_text(out, ", ");
		else
			buf_add_byte(out, (uint8_t)*c);
	}
}

void optable_value_allowed(const struct opt *o, struct buf *out)
{
	static const char *const words[] = {
		[OPT_TEXT] = "text",
		[OPT_PATH] = "a path",
		[OPT_BOOL] = "true or false",
		[OPT_COUNT] = "a whole number",
		[OPT_SIZE] = "a size such as 65536, 64KiB or 4MiB",
		[OPT_DURATION] = "a duration such as 200us, 5ms, 30s, 10m, 24h or 7d",
		[OPT_CHOICE] = "one of ",
		[OPT_LIST] = "a list",
	};

	buf_add_text(out, words[o->type]);
	if (o->type == OPT_CHOICE)
		print_choices(o->choices, out);
	if (o->type == OPT_COUNT || o->type == OPT_SIZE || o->type == OPT_DURATION)
		print_bounds(o, out);
}

int optable_value_refuse(const struct opt *o, const char *shown, struct err *e)
{
	_cleanup_buf_ struct buf allowed = {0};

	optable_value_allowed(o, &allowed);
	return err_set(e, -EINVAL, "found %s, allowed: %s", shown, buf_text(&allowed));
}

/* Repeats what was found, shortened and printable; never a secret. */
static int refuse_value(const struct opt *o, struct bytes value, struct err *e)
{
	char shown[FOUND_SHOWN + 8] = "'";
	size_t n = value.len < FOUND_SHOWN ? value.len : FOUND_SHOWN;

	if (o->secret)
		return optable_value_refuse(o, "a value that is hidden", e);
	if (value.len == 0)
		return optable_value_refuse(o, "nothing", e);
	for (size_t i = 0; i < n; i++) {
		bool plain = value.data[i] >= ' ' && value.data[i] != 0x7f;

		shown[i + 1] = plain ? (char)value.data[i] : '?';
	}
	memcpy(shown + n + 1, n < value.len ? "…'" : "'", n < value.len ? sizeof("…'") : 2);
	return optable_value_refuse(o, shown, e);
}

/* What holds for every type. */
static int check_bytes(struct bytes value, struct err *e)
{
	if (value.len > OPTABLE_VALUE_MAX)
		return err_set(e, -EINVAL, "found a value of %zu bytes, allowed: at most %d", value.len,
			       OPTABLE_VALUE_MAX);
	for (size_t i = 0; i < value.len; i++)
		if (value.data[i] < ' ' || value.data[i] == 0x7f)
			return err_set(e, -EINVAL,
				       "found the control character 0x%02x, allowed: printable text",
				       value.data[i]);
	return 0;
}

/* ---- text to memory ------------------------------------------------------------------------- */

static bool equals(struct bytes value, const char *text)
{
	return bytes_equal(value, bytes_of_text(text));
}

static bool equals_any_case(struct bytes value, const char *text)
{
	return value.len == strlen(text) && strncasecmp((const char *)value.data, text, value.len) == 0;
}

static int parse_bool(struct bytes value, bool *ret)
{
	static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (equals_any_case(value, words[i])) {
			*ret = i % 2 == 1;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_digits(struct bytes value, uint64_t *ret_number, size_t *ret_used)
{
	uint64_t number = 0;
	size_t i = 0;

	for (; i < value.len && value.data[i] >= '0' && value.data[i] <= '9'; i++) {
		if (__builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, (uint64_t)(value.data[i] - '0'), &number))
			return -EINVAL;
	}
	if (i == 0)
		return -EINVAL;
	*ret_number = number;
	*ret_used = i;
	return 0;
}

static int parse_number(const struct opt *o, struct bytes value, uint64_t *ret)
{
	const struct unit *u = units_of(o->type);
	uint64_t number;
	size_t used;

	if (parse_digits(value, &number, &used) < 0)
		return -EINVAL;
	value = bytes_of(value.data + used, value.len - used);
	while (u->name && !equals(value, u->name))
		u++;
	if (!u->name && !(number == 0 && value.len == 0))
		return -EINVAL;
	if (u->name && __builtin_mul_overflow(number, u->factor, &number))
		return -EINVAL;
	if (number < o->min || (o->max && number > o->max))
		return -EINVAL;
	*ret = number;
	return 0;
}

static bool is_choice(const char *choices, struct bytes value)
{
	while (*choices) {
		size_t len = strcspn(choices, "|");

		if (bytes_equal(value, bytes_of(choices, len)))
			return true;
		choices += len + (choices[len] == '|');
	}
	return false;
}

static char *copy(struct bytes value)
{
	return strndup(value.len ? (const char *)value.data : "", value.len);
}

static int set_text(const struct opt *o, void *settings, struct bytes value)
{
	char **text = (char **)at(o, settings);
	char *fresh;

	if (o->type == OPT_CHOICE && !is_choice(o->choices, value))
		return -EINVAL;
	fresh = copy(value);
	if (!fresh)
		return -ENOMEM;
	free(*text);
	*text = fresh;
	return 0;
}

int optable_value_add(const struct opt *o, void *settings, struct bytes item, struct err *e)
{
	struct opt_list *list = (struct opt_list *)at(o, settings);
	_cleanup_(freep) char *fresh = NULL;
	char **items;
	int r = check_bytes(item, e);

	if (r < 0)
		return r;
	if (item.len == 0)
		return optable_value_refuse(o, "an empty item", e);
	if (list->count >= OPTABLE_ITEMS_MAX)
		return err_set(e, -EINVAL, "found too many items, allowed: at most %d", OPTABLE_ITEMS_MAX);
	fresh = copy(item);
	if (!fresh)
		return err_set(e, -ENOMEM, "out of memory");
	items = reallocarray(list->items, list->count + 1, sizeof(*items));
	if (!items)
		return err_set(e, -ENOMEM, "out of memory");
	items[list->count++] = take_ptr(fresh);
	list->items = items;
	return 0;
}

static struct bytes trim(struct bytes item)
{
	while (item.len && item.data[0] == ' ')
		item = bytes_of(item.data + 1, item.len - 1);
	while (item.len && item.data[item.len - 1] == ' ')
		item.len--;
	return item;
}

int optable_value_add_text(const struct opt *o, void *settings, struct bytes text, struct err *e)
{
	text = trim(text);
	while (text.len) {
		const uint8_t *comma = memchr(text.data, ',', text.len);
		size_t len = comma ? (size_t)(comma - text.data) : text.len;
		int r = optable_value_add(o, settings, trim(bytes_of(text.data, len)), e);

		if (r < 0)
			return r;
		if (!comma)
			return 0;
		text = bytes_of(comma + 1, text.len - len - 1);
		if (text.len == 0)
			return optable_value_refuse(o, "an empty item", e);
	}
	return 0;
}

static int set_list(const struct opt *o, void *settings, struct bytes value, struct err *e)
{
	struct opt_list *list = (struct opt_list *)at(o, settings);
	struct opt_list old = *list;
	int r;

	*list = (struct opt_list){0};
	r = optable_value_add_text(o, settings, value, e);
	if (r < 0) {
		optable_value_clear(o, settings);
		*list = old;
		return r;
	}
	for (size_t i = 0; i < old.count; i++)
		free(old.items[i]);
	free(old.items);
	return 0;
}

int optable_value_set(const struct opt *o, void *settings, struct bytes value, struct err *e)
{
	int r = check_bytes(value, e);

	if (r < 0)
		return r;
	if (o->type == OPT_LIST)
		return set_list(o, settings, value, e);
	if (o->type == OPT_BOOL)
		r = parse_bool(value, (bool *)at(o, settings));
	else if (o->type == OPT_TEXT || o->type == OPT_PATH || o->type == OPT_CHOICE)
		r = set_text(o, settings, value);
	else
		r = parse_number(o, value, (uint64_t *)at(o, settings));
	if (r == -ENOMEM)
		return err_set(e, r, "out of memory");
	return r < 0 ? refuse_value(o, value, e) : 0;
}

void optable_value_clear(const struct opt *o, void *settings)
{
	struct opt_list *list;
	char **text;

	if (o->type == OPT_LIST) {
		list = (struct opt_list *)at(o, settings);
		for (size_t i = 0; i < list->count; i++)
			free(list->items[i]);
		free(list->items);
		*list = (struct opt_list){0};
	} else if (o->type == OPT_TEXT || o->type == OPT_PATH || o->type == OPT_CHOICE) {
		text = (char **)at(o, settings);
		free(*text);
		*text = NULL;
	}
}

/* ---- memory to text ------------------------------------------------------------------------- */

/* Text that no YAML reader takes for anything but this text. */
static bool is_plain(const char *text)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./";
	static const char *const words[] = {"true", "false", "yes", "no", "on", "off", "null"};

	if (!*text || text[strspn(text, safe)] != '\0' || (*text >= '0' && *text <= '9') || *text == '.')
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcasecmp(text, words[i]) == 0)
			return false;
	return true;
}

static void print_text(const char *text, struct buf *out)
{
	if (is_plain(text)) {
		buf_add_text(out, text);
		return;
	}
	buf_add_byte(out, '"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			buf_add_byte(out, '\\');
		buf_add_byte(out, (uint8_t)*text);
	}
	buf_add_byte(out, '"');
}

static void print_list(const struct opt *o, const void *settings, struct buf *out)
{
	const struct opt_list *list = (const struct opt_list *)at_const(o, settings);

	buf_add_byte(out, '[');
	for (size_t i = 0; i < list->count; i++) {
		if (i > 0)
			buf_add_text(out, ", ");
		print_text(list->items[i], out);
	}
	buf_add_byte(out, ']');
}

static bool is_set(const struct opt *o, const void *settings)
{
	const char *text = "set";

	if (o->type == OPT_LIST)
		return ((const struct opt_list *)at_const(o, settings))->count > 0;
	if (o->type == OPT_TEXT || o->type == OPT_PATH || o->type == OPT_CHOICE)
		text = *(char *const *)at_const(o, settings);
	return text && *text;
}

void optable_value_print(const struct opt *o, const void *settings, struct buf *out)
{
	const char *text;

	if (o->secret && is_set(o, settings)) {
		buf_add_text(out, "\"" OPTABLE_HIDDEN "\"");
	} else if (o->type == OPT_LIST) {
		print_list(o, settings, out);
	} else if (o->type == OPT_BOOL) {
		buf_add_text(out, *(const bool *)at_const(o, settings) ? "true" : "false");
	} else if (o->type == OPT_TEXT || o->type == OPT_PATH || o->type == OPT_CHOICE) {
		text = *(char *const *)at_const(o, settings);
		print_text(text ? text : "", out);
	} else {
		print_number(o->type, *(const uint64_t *)at_const(o, settings), out);
	}
}
