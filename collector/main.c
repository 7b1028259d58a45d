/* The collector's command line: parse, delegate, exit. 0 a clean stop, 1 a failure while running,
 * 2 a bad configuration or usage. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "collector/collector.h"
#include "collector/preflight.h"
#include "collector/replay.h"
#include "common/clock.h"
#include "common/log.h"

#define EXIT_RUN   1
#define EXIT_USAGE 2
#define TICK_MS	   100

static int fail(int status, const struct err *e)
{
	log_error("%s", e->text);
	return status;
}

static void reload(struct collector *c, int argc, char **argv)
{
	struct options fresh = {0};
	const char *replay;
	struct err e = {0};

	if (collector_options_load(argc, argv, &fresh, &replay, &e) < 0 || collector_reload(c, &fresh, &e) < 0)
		log_error("cannot reload, everything stays as it was: %s", e.text);
	else
		log_info("certificates and capture.* are in force as they are read now; other "
			 "options need a restart");
	collector_options_done(&fresh);
}

/* Signals arrive here and nowhere else; time is read once per turn. */
static void loop(struct collector *c, const sigset_t *signals, int argc, char **argv)
{
	const struct timespec tick = {.tv_nsec = TICK_MS * (long)NS_PER_MS};

	for (;;) {
		int signal = sigtimedwait(signals, NULL, &tick);

		if (signal == SIGTERM || signal == SIGINT)
			return;
		if (signal == SIGHUP)
			reload(c, argc, argv);
		collector_tick(c, clock_wall_ns());
	}
}

static int serve(const struct options *o, int argc, char **argv)
{
	struct collector *c = NULL;
	struct err e = {0};
	sigset_t signals;
	int left;

	if (preflight_check(o, clock_wall_ns(), &e) < 0)
		return fail(EXIT_USAGE, &e);
	/* Before any thread, so that none of them gets one. */
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	(void)sigaddset(&signals, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &signals, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	if (collector_new(o, &c, &e) < 0)
		return fail(EXIT_RUN, &e);
	collector_say_ready(c);
	loop(c, &signals, argc, argv);
	left = collector_drain(c);
	collector_free(c);
	if (left > 0)
		log_warning("%d alerts are in the store, but some sink has not confirmed them", left);
	return 0;
}

static int inform(enum opt_action action, const struct options *o)
{
	_cleanup_buf_ struct buf out = {0};

	optable_inform(&collector_options, action, o, &out);
	return fputs(buf_text(&out), stdout) < 0 || fflush(stdout) != 0 ? EXIT_RUN : 0;
}

static int act(int action, const struct options *o, const char *replay, int argc, char **argv)
{
	struct err e = {0};

	if (action == OPT_CHECK_CONFIG)
		return preflight_check(o, clock_wall_ns(), &e) < 0 ? fail(EXIT_USAGE, &e) : 0;
	if (action != OPT_RUN)
		return inform((enum opt_action)action, o);
	if (replay)
		return replay_run(o, replay, &e) < 0 ? fail(EXIT_RUN, &e) : 0;
	return serve(o, argc, argv);
}

int main(int argc, char **argv)
{
	struct options o = {0};
	const char *replay = NULL;
	struct err e = {0};
	int action, status;

	(void)prctl(PR_SET_NAME, "nightjar-coll");
	log_init("nightjar-collector", LOG_LEVEL_INFO);
	action = collector_options_load(argc, argv, &o, &replay, &e);
	if (action < 0)
		return fail(EXIT_USAGE, &e);
	if (o.log_level)
		log_init("nightjar-collector", log_level_of(o.log_level));
	status = act(action, &o, replay, argc, argv);
	collector_options_done(&o);
	return status;
}
