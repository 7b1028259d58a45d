/* Alerts as text for a terminal or a log file; see people.h. */
#include "collector/sink/people.h"

#include <string.h>
#include <time.h>

#include "common/utf8.h"

#define STEPS_SHOWN 32 /* the rest is counted; all of them are in the store */

static const struct {
	const char *severity;
	const char *label;
	const char *color;
} severities[] = {
	{"critical", "CRITICAL", "\x1b[1;31m"},
	{"high", "HIGH    ", "\x1b[31m"},
	{"medium", "MEDIUM  ", "\x1b[33m"},
	{"low", "LOW     ", "\x1b[36m"},
};

static const char *text_of(const char *text)
{
	return text ? text : "";
}

static bool is_control(struct bytes sequence)
{
	uint8_t c = sequence.data[0];

	if (sequence.len == 1)
		return c < 0x20 || c == 0x7f;
	return sequence.len == 2 && c == 0xc2 && sequence.data[1] < 0xa0; /* C1: CSI and the like */
}

static void add_plain(struct buf *out, const char *text)
{
	struct bytes left = bytes_of_text(text);

	while (left.len > 0) {
		size_t len = utf8_sequence(left);
		struct bytes sequence = bytes_of(left.data, len);

		if (len == 0)
			buf_add_text(out, UTF8_REPLACEMENT);
		else if (is_control(sequence))
			buf_printf(out, "\\x%02x", left.data[len - 1]);
		else
			buf_add(out, left.data, len);
		len = len ? len : 1;
		left = bytes_of(left.data + len, left.len - len);
	}
}

/* UTC, milliseconds. */
static void add_time(struct buf *out, const Google__Protobuf__Timestamp *t, bool date)
{
	time_t seconds = t ? (time_t)t->seconds : 0;
	struct tm tm;

	if (!t || !gmtime_r(&seconds, &tm)) {
		buf_add_text(out, "(no time)");
		return;
	}
	if (date)
		buf_printf(out, "%04d-%02d-%02dT", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
	buf_printf(out, "%02d:%02d:%02d.%03uZ", tm.tm_hour, tm.tm_min, tm.tm_sec, (uint32_t)t->nanos / 1000000 % 1000);
}

static void add_severity(struct buf *out, const char *severity, bool color)
{
	for (size_t i = 0; i < sizeof(severities) / sizeof(severities[0]); i++) {
		if (strcmp(severities[i].severity, severity) != 0)
			continue;
		buf_printf(out, "%s%s%s", color ? severities[i].color : "", severities[i].label,
			   color ? "\x1b[0m" : "");
		return;
	}
	add_plain(out, severity);
}

static void add_place(struct buf *out, const Nightjar__V1__Alert *a)
{
	const char *const parts[] = {a->namespace_, a->workload, a->pod};
	const char *separator = ", ";

	for (int i = 0; i < 3; i++) {
		if (!*text_of(parts[i]))
			continue;
		buf_add_text(out, separator);
		add_plain(out, parts[i]);
		separator = "/";
	}
	buf_add_text(out, " on ");
	add_plain(out, *text_of(a->node) ? a->node : "an unknown node");
}

static void add_step(struct buf *out, const Nightjar__V1__Step *step)
{
	size_t width = strlen(text_of(step->event));

	buf_add_text(out, "    ");
	add_time(out, step->time, false);
	buf_add_text(out, "  ");
	add_plain(out, text_of(step->event));
	buf_printf(out, "%*s", width < 12 ? (int)(13 - width) : 1, "");
	add_plain(out, text_of(step->summary));
	buf_add_byte(out, '\n');
}

void people_write(struct buf *out, const Nightjar__V1__Alert *alert, bool color)
{
	const char *output = *text_of(alert->output) ? alert->output : text_of(alert->title);

	add_time(out, alert->time, true);
	buf_add_byte(out, ' ');
	add_severity(out, text_of(alert->severity), color);
	buf_add_byte(out, ' ');
	add_plain(out, output);
	buf_add_text(out, " (");
	add_plain(out, text_of(alert->rule));
	add_place(out, alert);
	buf_add_text(out, ") [");
	add_plain(out, text_of(alert->id));
	if (alert->revision > 0)
		buf_printf(out, " revision %u", alert->revision);
	buf_add_text(out, "]\n");
	for (size_t i = 0; i < alert->n_steps && i < STEPS_SHOWN; i++)
		add_step(out, alert->steps[i]);
	if (alert->n_steps > STEPS_SHOWN)
		buf_printf(out, "    and %zu more steps\n", alert->n_steps - STEPS_SHOWN);
}
