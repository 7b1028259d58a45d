/* Plain HTTP for scrapers and probes: /metrics, /healthz, /readyz. No secrets, no queries. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/metrics.h"

struct http;

struct http_config {
	const char *address; /* "HOST:PORT"; port 0: any */
	struct metrics *metrics;
	/* Any thread: whether the collector takes events. */
	bool (*ready)(void *ctx);
	void *ctx;
};

int http_new(const struct http_config *config, struct http **ret_http, struct err *e) must_check;
uint16_t http_port(const struct http *h);
void http_free(struct http *h); /* NULL allowed */
