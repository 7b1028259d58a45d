/* What the files of optable share; nobody else includes it. See optable.h for the contract. */
#pragma once

#include "common/cleanup.h"
#include "common/optable.h"

#define OPTABLE_VALUE_MAX  4096	   /* bytes of one value */
#define OPTABLE_ITEMS_MAX  1024	   /* items of one list */
#define OPTABLE_FILE_MAX   (1U << 20) /* bytes of a configuration file */
#define OPTABLE_HIDDEN	   "***"

/* optable.c: names. */
const struct opt *optable_find(const struct optable *t, const char *key);
/* The first option of a section, NULL when the table has no such section. */
const struct opt *optable_find_section(const struct optable *t, const char *section);
/* Whether the option stands in the section; "" holds those without one. */
bool optable_in_section(const struct opt *o, const char *section, size_t len);
/* ", did you mean 'KEY'?" or "" when nothing is near; ret holds OPTABLE_NAME_MAX + 32 bytes. */
void optable_suggest(const struct optable *t, const char *name, bool as_flag, char *ret);

/* optable_value.c: one value. On failure -EINVAL and "found …, allowed: …" in e; the old value
 * stays. value need not be terminated. */
int optable_value_set(const struct opt *o, void *settings, struct bytes value, struct err *e) must_check;
/* One more item of a list, commas kept. */
int optable_value_add(const struct opt *o, void *settings, struct bytes item, struct err *e) must_check;
/* Comma-separated items behind those that are there. */
int optable_value_add_text(const struct opt *o, void *settings, struct bytes text, struct err *e) must_check;
void optable_value_clear(const struct opt *o, void *settings);
/* "a whole number, 1 to 64". */
void optable_value_allowed(const struct opt *o, struct buf *out);
/* As it stands in YAML; secrets are hidden. */
void optable_value_print(const struct opt *o, const void *settings, struct buf *out);
/* "found SHOWN, allowed: …". */
int optable_value_refuse(const struct opt *o, const char *shown, struct err *e) must_check;

/* optable_yaml.c: sets what the file names. */
int optable_yaml_read(const struct optable *t, void *settings, const char *file, struct err *e) must_check;
