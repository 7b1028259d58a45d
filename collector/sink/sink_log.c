/* The log sink: up to two outputs, log.path in log.format and log.alerts_file as JSON; see
 * sink_log.h. */
#include "collector/sink/sink_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/sink/sink_options.h"
#include "common/alert_text.h"
#include "common/cleanup.h"
#include "common/log.h"

#define OUTPUTS_MAX 2

struct output {
	const char *name; /* for the log; belongs to the options */
	int fd;
	bool json;
	struct alert_text_style style;
};

struct sink_log {
	struct sink base;
	struct output outputs[OUTPUTS_MAX];
	size_t count;
	struct buf text;
	uint64_t delivered;
	uint64_t failed;
};

static int write_all(int fd, const uint8_t *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int write_alert(struct sink_log *s, const struct output *o, const struct sink_alert *a)
{
	int r;

	buf_clear(&s->text);
	if (o->json) {
		buf_add(&s->text, a->json, a->json_len);
		buf_add_byte(&s->text, '\n');
	} else {
		alert_text_write(&s->text, a->alert, &o->style);
	}
	r = buf_error(&s->text);
	if (r == 0)
		r = write_all(o->fd, s->text.data, s->text.len);
	if (r < 0)
		log_limited(LOG_LEVEL_ERROR, "cannot write an alert to %s: %s", o->name, strerror(-r));
	return r;
}

static int publish(struct sink *sink, const struct sink_alert *alert)
{
	struct sink_log *s = (struct sink_log *)sink;
	int r = 0;

	for (size_t i = 0; i < s->count; i++) {
		int one = write_alert(s, &s->outputs[i], alert);

		r = r < 0 ? r : one;
	}
	s->failed += r < 0;
	s->delivered += r == 0;
	return r;
}

static void poll_nothing(struct sink *sink)
{
	(void)sink;
}

static int drain(struct sink *sink, int timeout_ms)
{
	(void)sink;
	(void)timeout_ms;
	return 0;
}

static void stats(const struct sink *sink, struct sink_stats *ret_stats)
{
	const struct sink_log *s = (const struct sink_log *)sink;

	*ret_stats = (struct sink_stats){.delivered = s->delivered, .failed = s->failed};
}

static void free_sink(struct sink *sink)
{
	struct sink_log *s = (struct sink_log *)sink;

	if (!s)
		return;
	for (size_t i = 0; i < s->count; i++)
		if (s->outputs[i].fd != STDOUT_FILENO)
			(void)close(s->outputs[i].fd);
	buf_done(&s->text);
	free(s);
}

DEFINE_CLEANUP(struct sink *, free_sink)

static struct alert_text_style style_for(const char *color, int fd)
{
	struct alert_text_style style = alert_text_style_of(fd);

	if (strcmp(color, "auto") != 0)
		style.color = strcmp(color, "always") == 0;
	return style;
}

static int add_output(struct sink_log *s, const char *path, bool json, const char *color, struct err *e)
{
	int fd = STDOUT_FILENO;

	if (*path)
		fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(e, -errno, "cannot open '%s' for alerts: %s", path, strerror(errno));
	s->outputs[s->count++] = (struct output){
		.name = *path ? path : "stdout",
		.fd = fd,
		.json = json,
		.style = style_for(color, fd),
	};
	return 0;
}

static int open_sink(const struct sink_options *options, struct metrics *metrics, struct sink **ret_sink, struct err *e)
{
	const struct sink_log_options *o = &options->log;
	_cleanup_(free_sinkp) struct sink *sink = NULL;
	struct sink_log *s;
	int r = 0;

	(void)metrics;
	if (strcmp(o->format, "none") == 0 && !*o->alerts)
		return 0;
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	sink = &s->base;
	s->base.type = &sink_log_type;
	if (strcmp(o->format, "none") != 0)
		r = add_output(s, o->path, strcmp(o->format, "json") == 0, o->color, e);
	if (r == 0 && *o->alerts)
		r = add_output(s, o->alerts, true, "never", e);
	if (r < 0)
		return r;
	*ret_sink = take_ptr(sink);
	return 1;
}

const struct sink_type sink_log_type = {
	.name = "log",
	.help = "alerts on stdout or in a file, for people or as JSON lines",
	.open = open_sink,
	.publish = publish,
	.poll = poll_nothing,
	.drain = drain,
	.stats = stats,
	.free = free_sink,
};
