/* AlertFilter as callers send it: checked before anything uses it, and matched against one alert
 * for Watch (List matches in the store). Both follow proto/nightjar/v1/query.proto. */
#pragma once

#include <stdbool.h>

#include "common/err.h"
#include "nightjar/v1/query.pb-c.h"

/* 0, or -EINVAL with the sentence: which field, what was found, what is allowed. NULL is fine. */
int filter_check(const Nightjar__V1__AlertFilter *filter, struct err *e) must_check;

/* filter has passed filter_check; NULL matches everything. */
bool filter_matches(const Nightjar__V1__AlertFilter *filter, const Nightjar__V1__Alert *alert);
