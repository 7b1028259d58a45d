/* What one process tree tried to connect to, and what became of each attempt: the counting behind
 * lateral_scan. Pure: times come with the calls.
 *
 * A target is an (address, port). The latest 256 of a tree are known, 12 KiB; the oldest makes
 * room, counted. A target that answered once is no stranger any more: whatever comes of later
 * attempts, it does not count again while it is known. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define TARGETS_MAX 256U

enum target_state {
	TARGET_TRIED = 1, /* no answer yet */
	TARGET_FAILED,	  /* refused, timed out, or without an answer for too long: counts */
	TARGET_OPEN,	  /* answered, in use */
	TARGET_LEFT,	  /* answered, and closed at once: counts, but for less */
	TARGET_KNOWN,	  /* answered, and was used */
};

struct target {
	uint64_t address;  /* remote_party */
	uint64_t cookie;   /* of the latest attempt's socket */
	uint64_t seen_ns;  /* the latest attempt or outcome */
	uint64_t state_ns; /* when it came into its state; FAILED: the latest failure */
	uint16_t port;
	uint8_t state;
	bool ordinary; /* tried by what its container or service is there to run */
};

struct targets {
	struct target list[TARGETS_MAX];
	uint32_t count;
	uint32_t next; /* the oldest one, once all are used */
};

struct targets_options {
	uint64_t window_ns; /* what is older does not count */
	uint64_t short_ns;  /* closed sooner than this: left at once; silent for longer: failed */
	uint32_t addresses;
	uint32_t ports;
	uint32_t answered_percent; /* what an answer that was left counts of a failure */
	uint32_t share_percent;	   /* of all targets, those that count: at least */
};

/* On the port of a target, or at its address, within the window. */
struct targets_extent {
	uint32_t tried;	 /* all of them */
	uint32_t failed; /* of these */
	uint32_t left;	 /* of these: answered and left at once, by what was started later */
};

/* An attempt. *ret_evicted: another target made room for it. */
struct target *targets_try(struct targets *t, uint64_t address, uint16_t port, uint64_t cookie,
			   uint64_t now_ns, bool *ret_evicted);
struct target *targets_of_socket(struct targets *t, uint64_t cookie); /* NULL: unknown */
void target_answered(struct target *target, uint64_t now_ns);
/* The end of its connection. True when it has come to count with this. */
bool target_closed(struct target *target, uint64_t now_ns, uint64_t short_ns);
/* Attempts that have had no answer for short_ns fail. Returns how many. */
uint32_t targets_age(struct targets *t, uint64_t now_ns, uint64_t short_ns);

struct targets_extent targets_on_port(const struct targets *t, const struct target *of,
				      uint64_t window_ns);
struct targets_extent targets_at_address(const struct targets *t, const struct target *of,
					 uint64_t window_ns);
/* Enough addresses of one port, or enough ports of one address. */
bool targets_is_sweep(const struct targets_extent *on_port, const struct targets_options *options);
bool targets_is_port_scan(const struct targets_extent *at_address,
			  const struct targets_options *options);
/* Do those that count make up their share of all that were tried? */
bool targets_is_strange(const struct targets_extent *n, const struct targets_options *options);
