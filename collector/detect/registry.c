/* The detectors, in the order in which they see an event. */
#include "collector/detect/detectors.h"

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

/* Who somebody is now, by whom a process was set free. */
static const char *const entity_classes[] = {"privilege", NULL};

const struct detect_needs detect_entity_needs = {.classes = entity_classes};

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
		.lost_events = 100,
	};
}
