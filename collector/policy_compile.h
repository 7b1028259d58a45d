/* What the nodes shall capture: what detectors need and what people asked for, as one policy.
 * Agents get it with the answer to their Hello; the kernel programs apply it.
 *
 * A policy never wants less than the detectors it was compiled for. These are the same in every shard for as long
 * as a collector runs, so a narrower policy takes back only what people asked for, and need not wait for
 * a shard; whoever makes detectors come and go must have every shard run the new set first.
 *
 * A policy is made once and then only read, by any thread. */
#pragma once

#include "collector/detect/detect.h"
#include "common/buf.h"
#include "common/capture_options.h"
#include "common/cleanup.h"

struct policy;

/* detectors: NULL-terminated. Generation 0. -EINVAL with a sentence when an option is wrong, -E2BIG
 * when all of it together is more than a policy holds, -ENOMEM. */
int policy_compile(const struct capture_options *o, const struct detector *const *detectors,
		   struct policy **ret_policy, struct err *e) must_check;
void policy_free(struct policy *p); /* NULL allowed */

/* Gives it a number that no other policy of this collector had: file keeps the last one, as a
 * nightjar.v1.Policy. The same policy as last time keeps its number. A file that cannot be read
 * counts as none; one that cannot be written is an error, with the sentence. */
int policy_number(struct policy *p, const char *file, struct err *e) must_check;
uint32_t policy_generation(const struct policy *p);
/* The classes that are captured, process life and TCP included; NULL-terminated, the policy's own.
 */
const char *const *policy_classes(const struct policy *p);
/* Whether events of this class are asked for; process life and TCP always are. */
bool policy_wants(const struct policy *p, const char *class);

/* Append a nightjar.v1.Policy, or the CollectorMessage that carries it. 0 or buf_error. */
int policy_pack(const struct policy *p, struct buf *out) must_check;
int policy_pack_message(const struct policy *p, struct buf *out) must_check;

DEFINE_CLEANUP(struct policy *, policy_free)
