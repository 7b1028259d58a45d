/* The registry of counters; see metrics.h. */
#include "common/metrics.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define METRICS_MAX 512
#define LABELS_MAX  96

struct metric {
	uint64_t value; /* atomic */
	const char *name;
	const char *help;
	char labels[LABELS_MAX]; /* "" none */
	bool is_counter;
	uint64_t (*read)(void *ctx); /* NULL: value */
	void *ctx;
};

struct metrics {
	struct metric all[METRICS_MAX];
	size_t count;
	struct metric overflow; /* what does not fit is counted here and not printed */
};

struct metrics *metrics_new(void)
{
	return calloc(1, sizeof(struct metrics));
}

void metrics_free(struct metrics *m)
{
	free(m);
}

static struct metric *add(struct metrics *m, const char *name, const char *labels, const char *help)
{
	struct metric *metric;

	if (m->count == METRICS_MAX)
		return &m->overflow;
	metric = &m->all[m->count++];
	metric->name = name;
	metric->help = help;
	(void)snprintf(metric->labels, sizeof(metric->labels), "%s", labels ? labels : "");
	return metric;
}

struct metric *metrics_counter(struct metrics *m, const char *name, const char *labels, const char *help)
{
	struct metric *metric = add(m, name, labels, help);

	metric->is_counter = true;
	return metric;
}

struct metric *metrics_gauge(struct metrics *m, const char *name, const char *labels, const char *help)
{
	return add(m, name, labels, help);
}

void metrics_gauge_fn(struct metrics *m, const char *name, const char *labels, const char *help,
		      uint64_t (*read)(void *ctx), void *ctx)
{
	struct metric *metric = add(m, name, labels, help);

	metric->read = read;
	metric->ctx = ctx;
}

void metric_add(struct metric *metric, uint64_t n)
{
	(void)__atomic_fetch_add(&metric->value, n, __ATOMIC_RELAXED);
}

void metric_set(struct metric *metric, uint64_t value)
{
	__atomic_store_n(&metric->value, value, __ATOMIC_RELAXED);
}

uint64_t metric_value(const struct metric *metric)
{
	return metric->read ? metric->read(metric->ctx) : __atomic_load_n(&metric->value, __ATOMIC_RELAXED);
}

static void write_one(const struct metric *metric, struct buf *out)
{
	buf_add_text(out, metric->name);
	if (metric->labels[0])
		buf_printf(out, "{%s}", metric->labels);
	buf_printf(out, " %llu\n", (unsigned long long)metric_value(metric));
}

static bool seen_before(const struct metrics *m, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (strcmp(m->all[i].name, m->all[at].name) == 0)
			return true;
	return false;
}

void metrics_write(const struct metrics *m, struct buf *out)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct metric *first = &m->all[i];

		if (seen_before(m, i))
			continue;
		buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", first->name, first->help, first->name,
			   first->is_counter ? "counter" : "gauge");
		for (size_t j = i; j < m->count; j++)
			if (strcmp(m->all[j].name, first->name) == 0)
				write_one(&m->all[j], out);
	}
}

void metrics_each(const struct metrics *m, void (*visit)(void *ctx, const char *name, uint64_t value),
		  void *ctx)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct metric *metric = &m->all[i];
		char name[256];

		if (metric->labels[0])
			(void)snprintf(name, sizeof(name), "%s{%s}", metric->name, metric->labels);
		else
			(void)snprintf(name, sizeof(name), "%s", metric->name);
		visit(ctx, name, metric_value(metric));
	}
}
