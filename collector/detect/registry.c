/* The detectors, in the order in which they see an event. */
#include "collector/detect/detectors.h"

#include "common/clock.h"

static const struct detector *const registry[] = {
	&reverse_shell_detector,
	NULL,
};

const struct detector *const *detect_registry(void)
{
	return registry;
}

static const char *const open_names[] = {NULL};

const char *const *detect_open_names(void)
{
	return open_names;
}

void detect_options_default(struct detect_options *ret_options)
{
	*ret_options = (struct detect_options){
		.relay_hops_max = 4,
		.scan_addresses = 20,
		.scan_ports = 30,
		.scan_window_ns = 60 * NS_PER_SEC,
		.scan_short_ns = 2 * NS_PER_SEC,
		.repeat_window_ns = 600 * NS_PER_SEC,
	};
}
