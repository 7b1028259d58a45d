/* Who a peer is: the one Nightjar identity among the names in its verified certificate. */
#pragma once

#include <stddef.h>

#include "common/bytes.h"
#include "common/err.h"
#include "common/tls.h"

/* uris: the certificate's subject alternative names, of any sort. Exactly one of them must be a
 * SPIFFE id as common/tls.h has it: two would let a certificate speak for two nodes.
 * 0 or -EACCES with a sentence for the peer; *ret_identity is untouched then. */
int identity_from_names(const struct bytes *names, size_t count, struct tls_identity *ret_identity,
			struct err *e) must_check;
