/* Requests to the Kubernetes API: the only door to libcurl. TLS with the cluster's CA, a bearer token
 * that is read anew for each request (kubelets rotate it in place), answers given on piece by piece.
 *
 * One thread uses a client and everything it started; apiclient_wakeup alone may come from others. No
 * proxies, no redirects. What the server says is foreign: bounded, and cleaned before it stands in a
 * sentence. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/cleanup.h"
#include "common/err.h"

struct apiclient_config {
	const char *server;	/* https://HOST:PORT, http:// for a loopback address; "": as a pod finds it */
	const char *token_file; /* "": a pod's own when server is "" too, else none */
	const char *ca_file;	/* the same; without one the system's CAs */
};

/* Whether this process runs in a pod that may talk to the API: KUBERNETES_SERVICE_HOST and _PORT. */
bool apiclient_in_cluster(void);

struct apiclient;

/* Copies. -EINVAL with the sentence: no such server can be. */
int apiclient_new(const struct apiclient_config *config, struct apiclient **ret_client,
		  struct err *e) must_check;
void apiclient_free(struct apiclient *c); /* cancels what is under way; NULL allowed */

struct apicall;

struct apiclient_outcome {
	int status; /* of HTTP; 0: there was no answer */
	bool whole; /* the answer has come to its end; false with err */
	struct err err;
};

struct apiclient_request {
	const char *path;   /* with its query */
	const char *accept; /* NULL: application/json */
	struct bytes body;  /* JSON, copied; with one it is a POST */
	unsigned int timeout_s;
	/* The server has begun an answer of status 200 or 201. May be NULL. */
	void (*opened)(void *ctx);
	/* Pieces of an answer of status 200 or 201. Negative ends the call, with whole false. */
	int (*data)(void *ctx, struct bytes text);
	/* The last call-back; a new call may be started from it. */
	void (*done)(void *ctx, const struct apiclient_outcome *outcome);
	void *ctx;
};

/* 0, or negative with the sentence: done will not come. */
int apiclient_start(struct apiclient *c, const struct apiclient_request *request, struct apicall **ret_call,
		    struct err *e) must_check;
/* Without done. Not from within data. NULL allowed. */
void apiclient_cancel(struct apicall *call);
/* Waits at most timeout_ms for something to happen and handles it. */
void apiclient_turn(struct apiclient *c, int timeout_ms);
void apiclient_wakeup(struct apiclient *c); /* ends the wait; any thread */

DEFINE_CLEANUP(struct apiclient *, apiclient_free)
