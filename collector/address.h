/* "HOST:PORT" as people write it, made into a listening socket, with one sentence when that fails. */
#pragma once

#include <stdint.h>

#include "common/err.h"

/* "[::1]:80", ":80" (every address), "localhost:0" (any port). what: "the HTTP address", for the
 * sentence. *ret_fd: bound and listening, close-on-exec. */
int address_listen(const char *what, const char *address, int *ret_fd, uint16_t *ret_port,
		   struct err *e) must_check;
