/* The class that an event belongs to: what losses are counted by. */
#pragma once

#include "bpf/abi.h"
#include "common/event.h"

enum nj_class event_class(const struct event *event);
/* "process", "tcp", …: as in nightjar.v1.Loss. */
const char *event_class_name(enum nj_class class);
