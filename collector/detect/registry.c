/* The detectors, in the order in which they see an event. */
#include "collector/detect/detectors.h"
#include "collector/detect/secret.h"

#include "common/clock.h"

static const struct detector *const registry[] = {
	&reverse_shell_detector,
	&lateral_scan_detector,
	&credential_theft_detector,
	NULL,
};

const struct detector *const *detect_registry(void)
{
	return registry;
}

const char *const *detect_open_names(void)
{
	return secret_open_names();
}

void detect_options_default(struct detect_options *ret_options)
{
	*ret_options = (struct detect_options){
		.relay_hops_max = 4,
		.scan = {.window_ns = 60 * NS_PER_SEC,
			 .short_ns = 2 * NS_PER_SEC,
			 .addresses = 20,
			 .ports = 30,
			 .answered_percent = 50,
			 .share_percent = 25},
		.repeat_window_ns = 600 * NS_PER_SEC,
	};
}
