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

/* clang-format off */
#define CAPTURE_ROW(settings, member, reloads, name, kind, value, text) \
	{.key = "capture." #name, .type = kind, .offset = offsetof(settings, member.name), \
	 .fallback = value, .reloadable = (reloads), .help = text}

/* The rows of a struct capture_options that is a member of settings; reloads: SIGHUP applies them. */
#define CAPTURE_ROWS(settings, member, reloads) \
	CAPTURE_ROW(settings, member, reloads, classes, OPT_LIST, "", \
		    "classes of events to capture besides what detectors need: file, change, mount, dns …; " \
		    "all: every one"), \
	CAPTURE_ROW(settings, member, reloads, each, OPT_LIST, "", \
		    "classes of which every single act is reported: nothing of them is summed up"), \
	CAPTURE_ROW(settings, member, reloads, open_names, OPT_LIST, "", \
		    "names of files whose opening is reported besides"), \
	CAPTURE_ROW(settings, member, reloads, open_prefixes, OPT_LIST, "", \
		    "absolute paths below which every opening is reported"), \
	CAPTURE_ROW(settings, member, reloads, open_writes, OPT_BOOL, "false", \
		    "whether every opening for writing is reported"), \
	CAPTURE_ROW(settings, member, reloads, open_all, OPT_BOOL, "false", \
		    "whether every opening is reported"), \
	CAPTURE_ROW(settings, member, reloads, ports, OPT_LIST, "", \
		    "remote ports of messages that are reported; empty: all"), \
	CAPTURE_ROW(settings, member, reloads, first_bytes, OPT_BOOL, "false", \
		    "whether the first bytes of outgoing connections are reported"), \
	{.key = "capture.repeat_window", .type = OPT_DURATION, \
	 .offset = offsetof(settings, member.repeat_window_ns), .fallback = "10s", \
	 .min = 100000000ULL, .max = 600000000000ULL, .reloadable = (reloads), \
	 .help = "time after which the count of an act that repeats is reported"}
/* clang-format on */

/* Of checked options. Bits 1 << number of the class in capture_class.h: what is asked for by name, and what
 * is asked in vain without its class (opens without file, first bytes without payload, ports without
 * message). */
uint32_t capture_options_classes(const struct capture_options *o);
uint32_t capture_options_each(const struct capture_options *o);
/* 0, or -EINVAL with a sentence that names the key. */
int capture_options_check(const struct capture_options *o, struct err *e) must_check;
/* 1 to 65535; 0: that is no port. */
uint16_t capture_port(const char *text);
