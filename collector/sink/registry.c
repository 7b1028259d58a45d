/* The list of sinks; a new one is its file and one line here. */
#include "collector/sink/registry.h"

#include <errno.h>
#include <stdlib.h>

#include "collector/sink/sink_kafka.h"
#include "collector/sink/sink_log.h"

static const struct sink_type *const types[] = {
	&sink_log_type,
	&sink_file_type,
	&sink_kafka_type,
};

#define TYPES (sizeof(types) / sizeof(types[0]))

void registry_free(struct sink **sinks)
{
	for (size_t i = 0; sinks && sinks[i]; i++)
		sinks[i]->type->free(sinks[i]);
	free(sinks);
}

int registry_open(const struct sink_options *options, struct metrics *metrics, struct sink *extra,
		  struct sink ***ret_sinks, struct err *e)
{
	struct sink **sinks = calloc(TYPES + 2, sizeof(struct sink *));
	size_t count = 0;

	if (!sinks)
		return err_set(e, -ENOMEM, "out of memory");
	for (size_t i = 0; i < TYPES; i++) {
		int r = types[i]->open(options, metrics, &sinks[count], e);

		if (r < 0) {
			registry_free(sinks);
			return err_prefix(e, r, "sink '%s'", types[i]->name);
		}
		count += r == 1;
	}
	sinks[count] = extra;
	*ret_sinks = sinks;
	return 0;
}
