/* nightjar replay FILE: the collector itself reads the recording, so this only finds it. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tools/nightjar/command.h"
#include "tools/nightjar/programs.h"

struct replay_settings {
	bool json;
	char *config;
};

static const struct opt opts[] = {
	{.key = "json", .type = OPT_BOOL, .offset = offsetof(struct replay_settings, json), .fallback = "false",
	 .help = "JSON lines instead of sentences"},
	{.key = "config", .type = OPT_PATH, .offset = offsetof(struct replay_settings, config), .fallback = "",
	 .help = "configuration of the collector, for its thresholds"},
};

static const struct optable table = {
	.program = "nightjar replay FILE",
	.summary = "print the alerts that a recording gives",
	.opts = opts,
	.count = sizeof(opts) / sizeof(*opts),
	.command = true,
};

static int run(const void *settings, char **arguments)
{
	const struct replay_settings *s = settings;
	char program[PATH_MAX];
	char *argv[8] = {program, (char *)"--replay", arguments[0]};
	struct err e = {0};
	int n = 3;

	if (programs_find("nightjar-collector", program, &e) < 0)
		return command_fail(EXIT_STATUS_FAILED, "replay", "%s", e.text);
	argv[n++] = (char *)(s->json ? "--log-format=json" : "--log-format=people");
	argv[n++] = (char *)"--log-path="; /* stdout, whatever the configuration says */
	if (*s->config) {
		argv[n++] = (char *)"--config";
		argv[n++] = s->config;
	}
	argv[n] = NULL;
	(void)execv(program, argv);
	return command_fail(EXIT_STATUS_FAILED, "replay", "cannot run '%s': %s", program, strerror(errno));
}

const struct command command_replay = {
	.words = "replay",
	.table = &table,
	.settings_size = sizeof(struct replay_settings),
	.arguments_min = 1,
	.arguments_max = 1,
	.run = run,
};
