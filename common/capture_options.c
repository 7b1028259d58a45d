/* The checks; see capture_options.h. */
#include "common/capture_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/capture_class.h"

static bool is_class(const char *text)
{
	return capture_class_find(text) >= 0;
}

static bool is_class_or_all(const char *text)
{
	return strcmp(text, "all") == 0 || is_class(text);
}

static bool is_name(const char *text)
{
	return text[0] && strlen(text) <= CAPTURE_NAME_BYTES && !strchr(text, '/');
}

static bool is_prefix(const char *text)
{
	return text[0] == '/' && strlen(text) <= CAPTURE_PREFIX_BYTES;
}

static bool is_port(const char *text)
{
	return capture_port(text) != 0;
}

uint16_t capture_port(const char *text)
{
	char *end;
	unsigned long port;

	if (text[0] < '0' || text[0] > '9')
		return 0;
	port = strtoul(text, &end, 10);
	return *end == '\0' && port <= UINT16_MAX ? (uint16_t)port : 0;
}

static void add_classes(struct buf *allowed)
{
	for (unsigned int i = 0; i < CAPTURE_CLASS_MAX; i++)
		buf_printf(allowed, "%s%s", i ? ", " : "", capture_class_name(i));
}

struct rule {
	const char *key;
	size_t offset;
	size_t count_max;
	bool (*fits)(const char *text);
	const char *allowed; /* NULL: the names of classes */
};

#define LIST(field) offsetof(struct capture_options, field)

static const struct rule rules[] = {
	{"capture.classes", LIST(classes), CAPTURE_CLASS_MAX, is_class_or_all, NULL},
	{"capture.each", LIST(each), CAPTURE_CLASS_MAX, is_class, NULL},
	{"capture.open_names", LIST(open_names), CAPTURE_NAMES_MAX, is_name,
	 "the last component of a path, of 1 to 63 bytes"},
	{"capture.open_prefixes", LIST(open_prefixes), CAPTURE_PREFIXES_MAX, is_prefix,
	 "an absolute path of at most 255 bytes"},
	{"capture.ports", LIST(ports), CAPTURE_PORTS_MAX, is_port, "1 to 65535"},
};

static int check(const struct rule *rule, const struct opt_list *list, struct err *e)
{
	_cleanup_buf_ struct buf allowed = {0};

	if (list->count > rule->count_max)
		return err_set(e, -EINVAL, "%s has %zu entries, at most %zu are allowed", rule->key,
			       list->count, rule->count_max);
	for (size_t i = 0; i < list->count; i++) {
		if (rule->fits(list->items[i]))
			continue;
		if (rule->allowed)
			buf_add_text(&allowed, rule->allowed);
		else
			add_classes(&allowed);
		return err_set(e, -EINVAL, "%s: \"%.80s\" is not allowed there: %s", rule->key,
			       list->items[i], buf_text(&allowed));
	}
	return 0;
}

int capture_options_check(const struct capture_options *o, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(rules) / sizeof(rules[0]); i++)
		r = check(&rules[i], (const struct opt_list *)((const char *)o + rules[i].offset),
			  e);
	return r;
}

static uint32_t bit_of(const char *class)
{
	int number = capture_class_find(class);

	return number >= 0 ? 1U << number : 0;
}

static uint32_t bits_of(const struct opt_list *list)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < list->count; i++)
		bits |= strcmp(list->items[i], "all") == 0 ? UINT32_MAX >> (32 - CAPTURE_CLASS_MAX)
							   : bit_of(list->items[i]);
	return bits;
}

static uint32_t implied(const struct capture_options *o)
{
	bool files = o->open_names.count || o->open_prefixes.count || o->open_writes || o->open_all;

	return (files ? bit_of("file") : 0) | (o->first_bytes ? bit_of("payload") : 0) |
	       (o->ports.count ? bit_of("message") : 0);
}

uint32_t capture_options_classes(const struct capture_options *o)
{
	return bits_of(&o->classes) | implied(o);
}

uint32_t capture_options_each(const struct capture_options *o)
{
	return bits_of(&o->each);
}
