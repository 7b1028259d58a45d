/* Addresses of sockets, as a system call was given them or the kernel keeps them: foreign bytes, of
 * any length and family. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"

#define SOCKADDR_TEXT_MAX 128

struct sockaddr_ip {
	uint8_t family; /* AF_INET or AF_INET6 */
	uint16_t port;
	uint8_t ip[16]; /* IPv4 in the first four bytes */
};

/* The name of a socket as people write it: a UNIX path, "@name" for an abstract one (further NULs as '@'
 * too), "cid:port" of VSOCK with "*" for any. "" for everything else. Returns its length. */
size_t sockaddr_text(struct bytes address, char ret_text[static SOCKADDR_TEXT_MAX]);

/* False, with *ret_ip untouched, when it is no Internet address. */
bool sockaddr_ip(struct bytes address, struct sockaddr_ip *ret_ip);
