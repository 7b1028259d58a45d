/* What people may ask to be captured: rows for the option table of a program, and the check of what
 * they wrote. The collector adds it to what its detectors need; --print-events of the agent takes
 * it as it stands. */
#pragma once

#include <stddef.h>

#include "common/optable.h"

/* Caps of a policy, on both sides: one with more of something is refused as a whole. */
#define CAPTURE_NAMES_MAX    256U
#define CAPTURE_NAME_BYTES   63U
#define CAPTURE_PREFIXES_MAX 256U
#define CAPTURE_PREFIX_BYTES 255U
#define CAPTURE_PORTS_MAX    256U

struct capture_options {
	struct opt_list classes; /* names, or "all" */
	struct opt_list each;
	struct opt_list open_names;
	struct opt_list open_prefixes;
	struct opt_list ports;
	bool open_writes;
	bool open_all;
	bool first_bytes;
	uint64_t repeat_window_ns;
};

#define CAPTURE_ROWS(settings, member)                                                             \
	{.key = "capture.classes",                                                                 \
	 .type = OPT_LIST,                                                                         \
	 .offset = offsetof(settings, member.classes),                                             \
	 .fallback = "",                                                                           \
	 .help = "classes of events to capture besides what detectors need: file, change, mount, " \
		 "dns …; all: every one"},                                                         \
		{.key = "capture.each",                                                            \
		 .type = OPT_LIST,                                                                 \
		 .offset = offsetof(settings, member.each),                                        \
		 .fallback = "",                                                                   \
		 .help = "classes of which every single act is reported: nothing of them is "      \
			 "summed up"},                                                             \
		{.key = "capture.open_names",                                                      \
		 .type = OPT_LIST,                                                                 \
		 .offset = offsetof(settings, member.open_names),                                  \
		 .fallback = "",                                                                   \
		 .help = "names of files whose opening is reported besides"},                      \
		{.key = "capture.open_prefixes",                                                   \
		 .type = OPT_LIST,                                                                 \
		 .offset = offsetof(settings, member.open_prefixes),                               \
		 .fallback = "",                                                                   \
		 .help = "absolute paths below which every opening is reported"},                  \
		{.key = "capture.open_writes",                                                     \
		 .type = OPT_BOOL,                                                                 \
		 .offset = offsetof(settings, member.open_writes),                                 \
		 .fallback = "false",                                                              \
		 .help = "whether every opening for writing is reported"},                         \
		{.key = "capture.open_all",                                                        \
		 .type = OPT_BOOL,                                                                 \
		 .offset = offsetof(settings, member.open_all),                                    \
		 .fallback = "false",                                                              \
		 .help = "whether every opening is reported"},                                     \
		{.key = "capture.ports",                                                           \
		 .type = OPT_LIST,                                                                 \
		 .offset = offsetof(settings, member.ports),                                       \
		 .fallback = "",                                                                   \
		 .help = "remote ports of messages that are reported; empty: all"},                \
		{.key = "capture.first_bytes",                                                     \
		 .type = OPT_BOOL,                                                                 \
		 .offset = offsetof(settings, member.first_bytes),                                 \
		 .fallback = "false",                                                              \
		 .help = "whether the first bytes of outgoing connections are reported"},          \
	{                                                                                          \
		.key = "capture.repeat_window", .type = OPT_DURATION,                              \
		.offset = offsetof(settings, member.repeat_window_ns), .fallback = "10s",          \
		.min = 100000000ULL, .max = 600000000000ULL,                                       \
		.help = "time after which the count of an act that repeats is reported"            \
	}

/* 0, or -EINVAL with a sentence that names the key. */
int capture_options_check(const struct capture_options *o, struct err *e) must_check;
/* 1 to 65535; 0: that is no port. */
uint16_t capture_port(const char *text);
