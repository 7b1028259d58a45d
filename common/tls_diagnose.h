/* Why a connection does not come about, in one sentence. gRPC only says "failed to connect"; this
 * makes one connection of its own with the same certificates and looks. For failures only: it blocks. */
#pragma once

#include "common/err.h"
#include "common/tls.h"

/* target "HOST:PORT" or "[IPV6]:PORT"; server_name NULL: HOST. Waits at most timeout_ms for each of
 * its three steps (connect, handshake, first answer). 0: nothing is wrong that can be seen from
 * here; else negative with the sentence. */
int tls_diagnose(const char *target, const char *server_name, const struct tls_files *files,
		 int timeout_ms, struct err *e) must_check;

/* Splits target; -EINVAL with the sentence. Both outputs are terminated. */
int tls_split_target(const char *target, char ret_host[256], char ret_port[8], struct err *e) must_check;
