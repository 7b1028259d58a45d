/* Who holds a ServiceAccount token, as the Kubernetes API says: the body of a TokenReview and the
 * reading of its answer. Pure. */
#pragma once

#include "common/buf.h"
#include "common/tls.h"

#define TOKENREVIEW_PATH  "/apis/authentication.k8s.io/v1/tokenreviews"
#define TOKENREVIEW_TOKEN 16384 /* bytes of a token at most */

/* Appends the body. 0 or negative. Whoever owns the buffer wipes it. */
int tokenreview_write(const char *token, const char *audience, struct buf *out) must_check;

struct tokenreview_rules {
	const char *audience;
	const char *namespace, *service_account; /* whose tokens enrol */
	const char *cluster;			 /* of the identities that are given */
};

struct tokenreview {
	struct tls_identity identity; /* an agent's: namespace of the account, node of the token */
	char pod[256];		      /* that the token is bound to; "" unknown */
};

/* The node is the one that the API has bound the token to: nothing that the agent says counts. 0;
 * -EACCES: not genuine, of another audience, expired or bound to no node; -EPERM: another account's;
 * -EBADMSG: no TokenReview. The sentence is for the agent's log and the collector's. */
int tokenreview_read(struct bytes answer, const struct tokenreview_rules *rules, struct tokenreview *ret_review,
		     struct err *e) must_check;
