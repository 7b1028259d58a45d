/* The log sinks; see sink_log.h. The text of one alert is kept until all of it is written. */
#include "collector/sink/sink_log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/sink/sink_options.h"
#include "common/alert_text.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"

/* What a pipe takes without blocking when it says that it takes anything. */
#define PIPE_CHUNK 4096U

struct sink_log {
	struct sink base;
	const char *name; /* for the log; belongs to the options */
	int fd;
	bool json;
	bool wait;    /* for a reader that is slow */
	size_t chunk; /* bytes that are written at a time */
	struct alert_text_style style;
	struct buf text; /* of the latest alert */
	size_t written;	 /* of text */
	uint64_t delivered, failed;
};

static bool is_done(const struct sink_log *s)
{
	return s->written == s->text.len;
}

/* 0, -EAGAIN: it takes nothing now, or the error. */
static int write_some(struct sink_log *s, int wait_ms)
{
	struct pollfd fd = {.fd = s->fd, .events = POLLOUT};
	size_t left = s->text.len - s->written;
	ssize_t n;

	if (poll(&fd, 1, wait_ms) <= 0)
		return -EAGAIN;
	n = write(s->fd, s->text.data + s->written, left < s->chunk ? left : s->chunk);
	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	s->written += (size_t)n;
	return 0;
}

/* Writes on while that is possible at once. 0: all is written; -EAGAIN: not yet; or the error, and
 * the rest of the text is given up. */
static int write_rest(struct sink_log *s)
{
	int r = 0;

	while (r == 0 && !is_done(s))
		r = write_some(s, s->wait ? -1 : 0);
	if (r == -EAGAIN)
		return r;
	s->delivered += r == 0;
	s->failed += r < 0;
	s->written = s->text.len;
	if (r < 0)
		log_limited(LOG_LEVEL_ERROR, "cannot write an alert to %s: %s", s->name,
			    strerror(-r));
	return r;
}

static void poll_sink(struct sink *sink)
{
	struct sink_log *s = (struct sink_log *)sink;

	if (!is_done(s))
		(void)write_rest(s);
}

/* Once it is begun the alert is taken: the rest of its text goes out from poll. */
static int publish(struct sink *sink, const struct sink_alert *a)
{
	struct sink_log *s = (struct sink_log *)sink;
	int r;

	poll_sink(sink);
	if (!is_done(s))
		return -EAGAIN;
	buf_clear(&s->text);
	s->written = 0;
	if (s->json) {
		buf_add(&s->text, a->json, a->json_len);
		buf_add_byte(&s->text, '\n');
	} else {
		alert_text_write(&s->text, a->alert, &s->style);
	}
	r = buf_error(&s->text);
	if (r < 0) {
		buf_clear(&s->text);
		s->failed++;
		return r;
	}
	r = write_rest(s);
	return r == -EAGAIN ? 0 : r;
}

static int drain(struct sink *sink, int timeout_ms)
{
	struct sink_log *s = (struct sink_log *)sink;
	uint64_t end = clock_monotonic_ns() + (uint64_t)timeout_ms * NS_PER_MS, now;

	for (poll_sink(sink); !is_done(s) && (now = clock_monotonic_ns()) < end; poll_sink(sink))
		(void)write_some(s, (int)((end - now) / NS_PER_MS));
	return !is_done(s);
}

static void stats(const struct sink *sink, struct sink_stats *ret_stats)
{
	const struct sink_log *s = (const struct sink_log *)sink;

	*ret_stats = (struct sink_stats){
		.delivered = s->delivered, .failed = s->failed, .queued = !is_done(s)};
}

static void free_sink(struct sink *sink)
{
	struct sink_log *s = (struct sink_log *)sink;

	if (!s)
		return;
	if (s->fd >= 0 && s->fd != STDOUT_FILENO)
		(void)close(s->fd);
	buf_done(&s->text);
	free(s);
}

DEFINE_CLEANUP(struct sink *, free_sink)

/* ---- opening ---- */

/* stdout is shared with whoever started us, so it may not be set to O_NONBLOCK. What a terminal
 * takes cannot be known beforehand as with a pipe: it gets a description of our own. Where that is
 * not allowed (another user's terminal) a write may wait for it. */
static int open_stdout(void)
{
	int fd = isatty(STDOUT_FILENO)
			 ? open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
			 : -1;

	return fd < 0 ? STDOUT_FILENO : fd;
}

static struct alert_text_style style_for(const char *color, int fd)
{
	struct alert_text_style style = alert_text_style_of(fd);

	if (strcmp(color, "auto") != 0)
		style.color = strcmp(color, "always") == 0;
	return style;
}

/* A file gets each alert in one write. */
static size_t chunk_for(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? SIZE_MAX : PIPE_CHUNK;
}

static int open_output(const struct sink_type *type, const char *path, struct sink_log **ret_log,
		       struct err *e)
{
	_cleanup_(free_sinkp) struct sink *sink = NULL;
	struct sink_log *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	sink = &s->base;
	s->base.type = type;
	s->name = *path ? path : "stdout";
	s->fd = *path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : open_stdout();
	if (s->fd < 0)
		return err_set(e, -errno, "cannot open '%s' for alerts: %s", path, strerror(errno));
	s->chunk = chunk_for(s->fd);
	*ret_log = s;
	sink = NULL;
	return 1;
}

static int open_log(const struct sink_options *options, struct metrics *metrics,
		    struct sink **ret_sink, struct err *e)
{
	const struct sink_log_options *o = &options->log;
	struct sink_log *s;
	int r;

	(void)metrics;
	if (strcmp(o->format, "none") == 0)
		return 0;
	r = open_output(&sink_log_type, o->path, &s, e);
	if (r < 0)
		return r;
	s->json = strcmp(o->format, "json") == 0;
	s->wait = o->wait;
	s->style = style_for(o->color, s->fd);
	*ret_sink = &s->base;
	return r;
}

static int open_file(const struct sink_options *options, struct metrics *metrics,
		     struct sink **ret_sink, struct err *e)
{
	struct sink_log *s;
	int r;

	(void)metrics;
	if (!*options->log.alerts)
		return 0;
	r = open_output(&sink_file_type, options->log.alerts, &s, e);
	if (r < 0)
		return r;
	s->json = true;
	*ret_sink = &s->base;
	return r;
}

const struct sink_type sink_log_type = {
	.name = "log",
	.help = "alerts on stdout or in a file, for people or as JSON lines",
	.open = open_log,
	.publish = publish,
	.poll = poll_sink,
	.drain = drain,
	.stats = stats,
	.free = free_sink,
};

const struct sink_type sink_file_type = {
	.name = "alerts_file",
	.help = "alerts in a file besides, as JSON lines",
	.open = open_file,
	.publish = publish,
	.poll = poll_sink,
	.drain = drain,
	.stats = stats,
	.free = free_sink,
};
