/* An alert for people; see alert_text.h. About 1 kB of text and a few microseconds each. */
#include "common/alert_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/utf8.h"

#define WIDTH_MIN 40 /* narrower terminals wrap */
#define INDENT	  "           " /* of what belongs to the line above: where values stand */
#define BOLD	  "\x1b[1m"
#define DIM	  "\x1b[2m"
#define PLAIN	  "\x1b[0m"

struct alert_text_style alert_text_style_of(int fd)
{
	struct alert_text_style style = {0};
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	struct winsize size;

	if (!isatty(fd))
		return style;
	style.color = !(no_color && *no_color) && !(term && strcmp(term, "dumb") == 0);
	if (ioctl(fd, TIOCGWINSZ, &size) == 0)
		style.width = size.ws_col;
	return style;
}

/* ---- text that cannot hurt ------------------------------------------------------------------ */

static uint32_t code_point(const uint8_t *at, size_t len)
{
	static const uint8_t first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t code = at[0] & first_bits[len];

	for (size_t i = 1; i < len; i++)
		code = code << 6 | (at[i] & 0x3f);
	return code;
}

/* Control characters, and those that turn the direction of what follows. */
static bool is_harmful(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x200e && code <= 0x200f) ||
	       (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) || code == 0x61c ||
	       code == 0xfeff;
}

/* Appends the first character or what stands for it; returns the bytes it took. */
static size_t add_character(struct buf *out, struct bytes left)
{
	size_t len = utf8_sequence(left);

	if (len == 0 || is_harmful(code_point(left.data, len))) {
		buf_add_text(out, UTF8_REPLACEMENT);
		return len ? len : 1;
	}
	buf_add(out, left.data, len);
	return len;
}

unsigned int alert_text_safe(struct buf *out, const char *text, unsigned int max)
{
	struct bytes left = bytes_of_text(text);
	unsigned int columns = 0;
	size_t last = out->len; /* where the last column begins */

	while (left.len) {
		size_t used;

		if (max && columns == max) {
			buf_truncate(out, last);
			buf_add_text(out, "…");
			break;
		}
		last = out->len;
		used = add_character(out, left);
		left = bytes_of(left.data + used, left.len - used);
		columns++;
	}
	return columns;
}

/* ---- lines ---------------------------------------------------------------------------------- */

/* One line while it is written: how many columns are left. */
struct line {
	struct buf *out;
	const struct alert_text_style *style;
	unsigned int used;
};

static void add_color(const struct line *l, const char *code)
{
	if (l->style->color)
		buf_add_text(l->out, code);
}

static void add_text(struct line *l, const char *text)
{
	unsigned int width = l->style->width >= WIDTH_MIN ? l->style->width : 0;

	if (width && l->used >= width)
		return;
	l->used += alert_text_safe(l->out, text, width ? width - l->used : 0);
}

static void add_padded(struct line *l, const char *text, unsigned int columns)
{
	unsigned int begun = l->used;

	add_text(l, text);
	while (l->used - begun < columns) {
		unsigned int before = l->used;

		add_text(l, " ");
		if (l->used == before)
			return;
	}
}

static void end_line(struct line *l)
{
	buf_add_byte(l->out, '\n');
	l->used = 0;
}

/* A sentence that must not lose its end: goes on below, indented, when the line is full. */
static void add_sentence(struct line *l, const char *text)
{
	_cleanup_buf_ struct buf word = {0}, shown = {0};

	for (bool first = true; *text; first = false) {
		size_t len = strcspn(text, " ");
		unsigned int columns;

		buf_clear(&word);
		buf_clear(&shown);
		buf_add(&word, text, len);
		columns = alert_text_safe(&shown, buf_text(&word), 0);
		if (!first && l->style->width >= WIDTH_MIN && l->used + 1 + columns > l->style->width) {
			end_line(l);
			add_text(l, INDENT);
		} else if (!first) {
			add_text(l, " ");
		}
		add_text(l, buf_text(&word));
		text += len;
		text += strspn(text, " ");
	}
}

static bool is_set(const char *text)
{
	return text && *text;
}

static const char *severity_color(const char *severity)
{
	if (strcmp(severity, "critical") == 0)
		return "\x1b[1;97;41m";
	if (strcmp(severity, "high") == 0)
		return "\x1b[1;31m";
	return strcmp(severity, "medium") == 0 ? "\x1b[1;33m" : "\x1b[1;36m";
}

static void upper(const char *text, char *ret, size_t size)
{
	size_t i = 0;

	for (; text[i] && i + 1 < size; i++)
		ret[i] = (char)(text[i] >= 'a' && text[i] <= 'z' ? text[i] - 'a' + 'A' : text[i]);
	ret[i] = '\0';
}

/* Local time with milliseconds; the day is on the screen already. */
static void format_clock(const Google__Protobuf__Timestamp *t, char *ret, size_t size)
{
	time_t seconds = t ? (time_t)t->seconds : 0;
	struct tm tm = {0};

	(void)localtime_r(&seconds, &tm);
	(void)snprintf(ret, size, "%02d:%02d:%02d.%03d", tm.tm_hour, tm.tm_min, tm.tm_sec,
		       t ? (int)((uint32_t)t->nanos / NS_PER_MS % 1000) : 0);
}

static void write_headline(struct line *l, const Nightjar__V1__Alert *a)
{
	char clock[32], severity[16];

	format_clock(a->time, clock, sizeof(clock));
	upper(a->severity, severity, sizeof(severity));
	add_text(l, clock);
	add_text(l, " ");
	add_color(l, severity_color(a->severity));
	add_text(l, severity);
	add_color(l, PLAIN);
	add_text(l, " ");
	add_color(l, BOLD);
	add_text(l, a->rule);
	add_color(l, PLAIN);
	add_text(l, "  ");
	add_sentence(l, is_set(a->output) ? a->output : a->title);
	if (strcmp(a->op, "update") == 0)
		add_text(l, " (more is known now)");
	else if (strcmp(a->op, "close") == 0)
		add_text(l, " (closed)");
	end_line(l);
}

static void begin_part(struct line *l, const char *name)
{
	add_color(l, DIM);
	add_text(l, "  ");
	add_padded(l, name, 9);
	add_color(l, PLAIN);
}

static void write_where(struct line *l, const Nightjar__V1__Alert *a)
{
	begin_part(l, "where");
	add_text(l, is_set(a->node) ? a->node : "unknown node");
	if (is_set(a->pod)) {
		add_text(l, ", pod ");
		add_text(l, a->namespace_);
		add_text(l, "/");
		add_text(l, a->pod);
	} else if (is_set(a->workload)) {
		add_text(l, ", in ");
		add_text(l, a->workload);
	}
	if (a->container && is_set(a->container->id)) {
		char id[16];

		(void)snprintf(id, sizeof(id), "%.12s", a->container->id);
		add_text(l, ", container ");
		add_text(l, is_set(a->container->name) ? a->container->name : id);
	}
	if (a->container && is_set(a->container->image)) {
		add_text(l, " (");
		add_text(l, a->container->image);
		add_text(l, ")");
	}
	end_line(l);
}

static void write_process(struct line *l, const Nightjar__V1__Alert *a)
{
	const Nightjar__V1__AlertProcess *p = a->process;
	char text[48];

	if (!p)
		return;
	begin_part(l, "process");
	add_text(l, p->n_args ? p->args[0] : p->exe);
	for (size_t i = 1; i < p->n_args; i++) {
		add_text(l, " ");
		add_text(l, p->args[i]);
	}
	(void)snprintf(text, sizeof(text), ", pid %u, ", p->pid);
	add_text(l, text);
	(void)snprintf(text, sizeof(text), "uid %u", p->uid);
	add_text(l, is_set(p->user) ? p->user : text);
	if (p->parent && is_set(p->parent->exe)) {
		add_text(l, ", started by ");
		add_text(l, p->parent->exe);
	}
	end_line(l);
}

/* "+1.2 ms": how long after the first step; the first one has "0 ms". */
static void format_offset(int64_t ns, char *ret, size_t size)
{
	double value = (double)ns;

	if (ns < (int64_t)NS_PER_SEC)
		(void)snprintf(ret, size, "%+.*f ms", ns == 0 ? 0 : 1, value / (double)NS_PER_MS);
	else if (ns < 600 * (int64_t)NS_PER_SEC)
		(void)snprintf(ret, size, "%+.1f s", value / (double)NS_PER_SEC);
	else
		(void)snprintf(ret, size, "%+.0f min", value / (60.0 * (double)NS_PER_SEC));
}

static int64_t nanoseconds(const Google__Protobuf__Timestamp *t)
{
	return t ? (int64_t)((uint64_t)t->seconds * NS_PER_SEC) + t->nanos : 0;
}

static unsigned int widest_event(const Nightjar__V1__Alert *a)
{
	size_t widest = 4;

	for (size_t i = 0; i < a->n_steps; i++)
		if (strlen(a->steps[i]->event) > widest)
			widest = strlen(a->steps[i]->event);
	return widest < 16 ? (unsigned int)widest : 16;
}

static void write_steps(struct line *l, const Nightjar__V1__Alert *a)
{
	unsigned int width = widest_event(a);
	char offset[32], lead[48];

	for (size_t i = 0; i < a->n_steps; i++) {
		const Nightjar__V1__Step *s = a->steps[i];

		format_offset(nanoseconds(s->time) - nanoseconds(a->steps[0]->time), offset, sizeof(offset));
		(void)snprintf(lead, sizeof(lead), "  %11s  ", i == 0 ? "0 ms" : offset);
		add_color(l, DIM);
		add_text(l, lead);
		add_color(l, PLAIN);
		add_padded(l, s->event, width);
		add_text(l, "  ");
		add_text(l, s->summary);
		end_line(l);
	}
}

static void write_id(struct line *l, const Nightjar__V1__Alert *a)
{
	begin_part(l, "alert");
	add_text(l, a->id);
	for (size_t i = 0; a->attack && i < a->attack->n_techniques; i++) {
		add_text(l, "  ");
		add_text(l, a->attack->techniques[i]);
	}
	end_line(l);
}

void alert_text_write(struct buf *out, const Nightjar__V1__Alert *alert, const struct alert_text_style *style)
{
	struct line line = {.out = out, .style = style};

	write_headline(&line, alert);
	write_where(&line, alert);
	write_process(&line, alert);
	write_steps(&line, alert);
	write_id(&line, alert);
}
