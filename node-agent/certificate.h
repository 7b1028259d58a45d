/* This node's certificate: asked for at the collector's enrolment port with the ServiceAccount token of
 * this pod, and renewed at two thirds of its life. Only where enroll.address is set; elsewhere somebody
 * else puts the files there.
 *
 * The key is made here and never leaves the node. Files are replaced whole; the uplink reads them at each
 * connection, so a renewed certificate needs no restart. */
#pragma once

#include <stdint.h>

#include "common/cleanup.h"
#include "common/err.h"

struct certificate_config {
	const char *address;	 /* HOST:PORT of the enrolment */
	const char *server_name; /* that the collector's certificate must carry; NULL: HOST */
	const char *token_file;	 /* projected, of the collector's audience; read at each attempt */
	const char *ca, *cert, *key; /* PEM files: the CA to trust, and where the pair is kept */
	uint64_t backoff_min_ns, backoff_max_ns; /* between attempts */
};

/* Seconds until the certificate in the files should be renewed; 0: it is due, missing, of no use, or not
 * of this CA. */
int64_t certificate_due_s(const struct certificate_config *config, uint64_t now_wall_ns);
/* One attempt: a new key, the token, an answer, the files. 0 or negative with the sentence. rpc_init
 * before. */
int certificate_get(const struct certificate_config *config, struct err *e) must_check;
/* Before anything else starts: returns once there is a certificate that is good, trying for as long as it
 * takes; each new reason why not is logged. Needs no rpc_init. */
void certificate_ensure(const struct certificate_config *config);

/* A thread that renews in time, and tries again with a back-off. config is copied, its strings are
 * borrowed until certificate_free. rpc_init before. */
struct certificate;
int certificate_start(const struct certificate_config *config, struct certificate **ret_certificate,
		      struct err *e) must_check;
void certificate_free(struct certificate *c); /* ends the thread; NULL allowed */

DEFINE_CLEANUP(struct certificate *, certificate_free)
