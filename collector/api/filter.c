/* Checking and matching filters; see filter.h. */
#include "collector/api/filter.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "collector/store/store.h"

#define YEAR_1_S    (-62135596800LL)
#define YEAR_9999_S 253402300799LL

static const char *const severities[] = {"low", "medium", "high", "critical"};

#define SEVERITIES (sizeof(severities) / sizeof(severities[0]))

static bool is_set(const char *text)
{
	return text && *text;
}

static bool is_one_of(const char *text, char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(text, list[i]) == 0)
			return true;
	return false;
}

static bool is_severity(const char *text)
{
	for (size_t i = 0; i < SEVERITIES; i++)
		if (strcmp(text, severities[i]) == 0)
			return true;
	return false;
}

static int check_severities(const Nightjar__V1__AlertFilter *f, struct err *e)
{
	for (size_t i = 0; i < f->n_severities; i++)
		if (!is_severity(f->severities[i]))
			return err_set(e, -EINVAL,
				       "filter.severities[%zu] is '%.64s'; allowed are low, medium, high, critical",
				       i, f->severities[i]);
	return 0;
}

static int check_time(const Google__Protobuf__Timestamp *t, const char *name, struct err *e)
{
	if (!t || (t->seconds >= YEAR_1_S && t->seconds <= YEAR_9999_S && t->nanos >= 0 && t->nanos <= 999999999))
		return 0;
	return err_set(e, -EINVAL, "filter.%s is no time; allowed are years 1 to 9999 and 0 to 999999999 nanoseconds",
		       name);
}

static bool all_digits(const char *text, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!isdigit((unsigned char)text[i]))
			return false;
	return true;
}

/* T1059 or T1059.004 */
static bool is_technique(const char *text)
{
	size_t len = strlen(text);

	if ((len != 5 && len != 9) || text[0] != 'T' || !all_digits(text + 1, 4))
		return false;
	return len == 5 || (text[5] == '.' && all_digits(text + 6, 3));
}

int filter_check(const Nightjar__V1__AlertFilter *f, struct err *e)
{
	int r;

	if (!f)
		return 0;
	if (f->n_severities > STORE_FILTER_MAX || f->n_rules > STORE_FILTER_MAX)
		return err_set(e, -EINVAL, "filter.severities has %zu entries and filter.rules %zu; allowed are %d each",
			       f->n_severities, f->n_rules, STORE_FILTER_MAX);
	if (is_set(f->technique) && !is_technique(f->technique))
		return err_set(e, -EINVAL,
			       "filter.technique is '%.64s'; allowed are ATT&CK ids such as T1059 or T1059.004",
			       f->technique);
	r = check_severities(f, e);
	if (r == 0)
		r = check_time(f->since, "since", e);
	return r < 0 ? r : check_time(f->until, "until", e);
}

/* ---- matching ---- */

static bool is_before(const Google__Protobuf__Timestamp *a, const Google__Protobuf__Timestamp *b)
{
	return a->seconds < b->seconds || (a->seconds == b->seconds && a->nanos < b->nanos);
}

static bool time_matches(const Nightjar__V1__AlertFilter *f, const Google__Protobuf__Timestamp *time)
{
	static const Google__Protobuf__Timestamp epoch = GOOGLE__PROTOBUF__TIMESTAMP__INIT;

	if (!time)
		time = &epoch;
	return !(f->since && is_before(time, f->since)) && !(f->until && !is_before(time, f->until));
}

static bool text_matches(const char *wanted, const char *text)
{
	return !is_set(wanted) || (text && strcmp(wanted, text) == 0);
}

static bool technique_matches(const char *wanted, const Nightjar__V1__Attack *attack)
{
	size_t len = is_set(wanted) ? strlen(wanted) : 0;

	if (len == 0)
		return true;
	for (size_t i = 0; attack && i < attack->n_techniques; i++) {
		const char *technique = attack->techniques[i];

		if (strncmp(technique, wanted, len) == 0 && (technique[len] == '\0' || technique[len] == '.'))
			return true;
	}
	return false;
}

bool filter_matches(const Nightjar__V1__AlertFilter *f, const Nightjar__V1__Alert *a)
{
	if (!f)
		return true;
	if (f->n_severities > 0 && !is_one_of(a->severity, f->severities, f->n_severities))
		return false;
	if (f->n_rules > 0 && !is_one_of(a->rule, f->rules, f->n_rules))
		return false;
	return time_matches(f, a->time) && text_matches(f->namespace_, a->namespace_) &&
	       text_matches(f->workload, a->workload) && text_matches(f->node, a->node) &&
	       technique_matches(f->technique, a->attack);
}
