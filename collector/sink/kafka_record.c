/* Key and headers of an alert's record; see kafka_record.h. */
#include "collector/sink/kafka_record.h"

#include <stdio.h>
#include <string.h>

#include "common/proto_json.h"

static const char *text_of(const char *text)
{
	return text ? text : "";
}

static void fill_key(const Nightjar__V1__Alert *a, char *ret_key, size_t size)
{
	const char *middle = "_host", *last = text_of(a->node);

	if (strcmp(text_of(a->kind), "health") == 0) {
		middle = "_health";
	} else if (strcmp(text_of(a->kind), "campaign") == 0) {
		middle = "_campaign";
		last = text_of(a->id);
	} else if (*text_of(a->namespace_)) {
		middle = a->namespace_;
		last = *text_of(a->workload) ? a->workload : text_of(a->pod);
	}
	(void)snprintf(ret_key, size, "%s/%s/%s", text_of(a->cluster), middle, last);
}

static void fill_time(const Nightjar__V1__Alert *a, char *ret_text, size_t size)
{
	_cleanup_buf_ struct buf text = {0};

	if (!a->time || !proto_json_time(&text, a->time->seconds, a->time->nanos))
		buf_add_text(&text, "1970-01-01T00:00:00Z");
	(void)snprintf(ret_text, size, "%s", buf_text(&text));
}

void kafka_record_fill(const Nightjar__V1__Alert *a, struct kafka_record *ret_record)
{
	static const char *const names[KAFKA_RECORD_HEADERS] = {
		"content-type",	     "ce_specversion", "ce_id",
		"ce_type",	     "ce_source",      "ce_time",
		"nightjar-severity", "nightjar-rule",  "nightjar-revision",
	};
	struct kafka_header *h = ret_record->headers;
	const size_t max = KAFKA_RECORD_HEADER_MAX;

	for (int i = 0; i < KAFKA_RECORD_HEADERS; i++)
		h[i].name = names[i];
	fill_key(a, ret_record->key, sizeof(ret_record->key));
	(void)snprintf(h[0].value, max, "application/json");
	(void)snprintf(h[1].value, max, "1.0");
	/* A revision is an event of its own for CloudEvents, so it is part of the id. */
	(void)snprintf(h[2].value, max, "%s.%u", text_of(a->id), a->revision);
	(void)snprintf(h[3].value, max, "nightjar.v1.Alert");
	(void)snprintf(h[4].value, max, "/nightjar/%s/%s", text_of(a->cluster), text_of(a->node));
	fill_time(a, h[5].value, max);
	(void)snprintf(h[6].value, max, "%s", text_of(a->severity));
	(void)snprintf(h[7].value, max, "%s", text_of(a->rule));
	(void)snprintf(h[8].value, max, "%u", a->revision);
}
