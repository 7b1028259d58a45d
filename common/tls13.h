/* TLS 1.3 as the least that gRPC speaks, on both sides. Linking common/tls13.c is all it takes. */
#pragma once

#include "common/err.h"

/* Proves at start that the floor is in force for whatever asks OpenSSL for less. 0, or -EPROTO with
 * the sentence. */
int tls13_check(struct err *e) must_check;
