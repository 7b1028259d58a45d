/* nightjar.v1.Ingest/Stream: one agent's conversation. First a Hello, then batches and heartbeats;
 * anything else ends the stream with a sentence. An agent speaks for the node of its certificate
 * only. What becomes of a batch is intake.h. */
#pragma once

#include "collector/ingest/intake.h"
#include "collector/ingest/listen.h"
#include "common/metrics.h"

struct session_config {
	struct intake *intake;	/* not owned */
	const char *cluster;	/* agents of another one are refused; NULL or "": any; outlives s */
	struct bytes greeting;	/* CollectorMessage that follows every Hello (the policy); copied; may be empty */
	struct metrics *metrics;
	uint64_t (*now)(void);	/* wall clock; NULL: the real one */
};

struct sessions;

struct sessions *sessions_new(const struct session_config *config); /* NULL without memory */
void sessions_free(struct sessions *s); /* NULL allowed; after the listener has stopped */
/* What follows every Hello from now on; a stream that has begun is told by whoever changes it,
 * afterwards. Any thread. 0 or -ENOMEM: the old one stays. */
int sessions_greet(struct sessions *s, struct bytes greeting) must_check;
/* Rows for listen_config.methods; live as long as s. */
const struct listen_method *sessions_methods(struct sessions *s);
