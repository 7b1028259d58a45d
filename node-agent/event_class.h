/* The class that an event belongs to: what losses are counted by. */
#pragma once

#include "bpf/abi.h"
#include "common/event.h"

enum nj_class event_class(const struct event *event);
enum nj_class event_class_of(enum event_kind kind, const struct endpoint *endpoints, uint16_t count);
/* "process", "tcp", …: as in nightjar.v1.Loss. */
const char *event_class_name(enum nj_class class);
