/* nightjar-agent: reads the command line and hands over. Exit 0 clean stop, 1 run-time failure, 2 bad
 * configuration or usage. */
#include <stdio.h>
#include <sys/prctl.h>

#include "common/log.h"
#include "node-agent/agent.h"
#include "node-agent/capture.h"
#include "node-agent/certificate.h"
#include "node-agent/footprint.h"

#define PROGRAM "nightjar-agent"

enum { EXIT_CLEAN = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

static int print(struct buf *text)
{
	int r = buf_error(text);

	if (r >= 0 && fwrite(text->data, 1, text->len, stdout) != text->len)
		r = -1;
	buf_done(text);
	return r < 0 || fflush(stdout) != 0 ? EXIT_FAILED : EXIT_CLEAN;
}

static int inform(enum opt_action action, const struct agent_settings *settings)
{
	struct buf text = {0};

	optable_inform(&agent_options, action, settings, &text);
	return print(&text);
}

static int probe(const struct agent_settings *settings, struct err *e)
{
	struct buf text = {0};
	_cleanup_buf_ struct buf gaps = {0};
	int r = capture_probe(settings->provider, &text, &gaps, e);

	if (r >= 0 && gaps.len)
		log_warning("not everything can be captured: %s", buf_text(&gaps));
	if (r >= 0)
		return print(&text);
	buf_done(&text);
	log_error("%s", e->text);
	return EXIT_FAILED;
}

/* What reaching a collector takes. */
static int check(struct agent_settings *settings, struct err *e)
{
	if (options_check_uplink(settings, e) >= 0 && options_identify(settings, e) >= 0)
		return EXIT_CLEAN;
	log_error("%s", e->text);
	return EXIT_USAGE;
}

/* Without a certificate there is no name, so this comes before everything else. */
static void enroll(const struct agent_settings *settings)
{
	struct certificate_config config;

	options_certificate(settings, &config);
	if (config.address[0])
		certificate_ensure(&config);
}

static int run(struct agent_settings *settings, enum agent_mode mode, char **argv, struct err *e)
{
	int r;

	if (mode == AGENT_PROBE)
		return probe(settings, e);
	if (mode == AGENT_RUN && options_check_uplink(settings, e) >= 0)
		enroll(settings);
	if (mode == AGENT_RUN && check(settings, e) != EXIT_CLEAN)
		return EXIT_USAGE;
	r = mode == AGENT_RUN ? agent_run(settings, argv, e) : agent_print_events(settings, argv, e);
	if (r >= 0)
		return EXIT_CLEAN;
	log_error("%s", e->text);
	return EXIT_FAILED;
}

int main(int argc, char **argv)
{
	struct agent_settings settings = {0};
	enum agent_mode mode = AGENT_RUN;
	struct err e = {0};
	int action, code;

	footprint_begin();
	(void)prctl(PR_SET_NAME, PROGRAM, 0, 0, 0);
	log_init(PROGRAM, LOG_LEVEL_INFO);
	action = options_load(argc, argv, &settings, &mode, &e);
	if (action < 0) {
		log_error("%s", e.text);
		return EXIT_USAGE;
	}
	log_set_level(log_level_of(settings.log_level));
	code = action == OPT_RUN ? run(&settings, mode, argv, &e) : EXIT_CLEAN;
	if (action == OPT_CHECK_CONFIG && mode == AGENT_RUN)
		code = check(&settings, &e);
	if (code == EXIT_CLEAN && action != OPT_RUN)
		code = inform((enum opt_action)action, &settings);
	options_done(&settings);
	return code;
}
