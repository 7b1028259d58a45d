/* The question of a DNS message: foreign bytes, whatever their sender says they are. Pure. */
#pragma once

#include "common/bytes.h"
#include "common/err.h"

/* A name has at most 255 bytes on the wire, each of which may become "\DDD". */
#define DNS_NAME_MAX 1024

/* The first question's name, in lower case and without the final dot ("." for the root), and its type
 * (1 is A). Bytes that are no printable ASCII, and dots and backslashes within a label, are escaped as
 * in zone files. 0, or -EBADMSG with both outputs untouched for what is cut, answers, asks nothing,
 * or points elsewhere: a question has nothing before it to point to. */
int dns_question(struct bytes message, char ret_name[static DNS_NAME_MAX], uint16_t *ret_type) must_check;
