/* RFC 1035, 4.1: a head of 12 bytes, then labels up to an empty one, then type and class. */
#include "node-agent/dns.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define HEAD	   12
#define ANSWER	   0x80 /* in the third byte */
#define LABEL_MAX  63
#define WIRE_MAX   255 /* of a name, with the lengths and the empty label */
#define TAIL	   4   /* type, class */

static size_t add_byte(char *text, uint8_t byte)
{
	bool plain = byte > ' ' && byte < 0x7f;

	if (byte >= 'A' && byte <= 'Z')
		byte = (uint8_t)(byte - 'A' + 'a');
	if (plain && byte != '.' && byte != '\\') {
		*text = (char)byte;
		return 1;
	}
	if (plain)
		return (size_t)snprintf(text, 3, "\\%c", byte);
	return (size_t)snprintf(text, 5, "\\%03u", byte);
}

/* Returns how many bytes the name takes on the wire, or 0. text holds four times WIRE_MAX. */
static size_t read_name(struct bytes at, char *text)
{
	size_t used = 0, len = 0;

	for (;;) {
		uint8_t label = used < at.len ? at.data[used++] : LABEL_MAX + 1;

		if (label > LABEL_MAX || label > at.len - used || used + label >= WIRE_MAX + (label == 0))
			return 0;
		if (label == 0)
			break;
		if (len > 0)
			text[len++] = '.';
		for (uint8_t i = 0; i < label; i++)
			len += add_byte(text + len, at.data[used++]);
	}
	if (len == 0)
		text[len++] = '.';
	text[len] = '\0';
	return used;
}

int dns_question(struct bytes message, char ret_name[static DNS_NAME_MAX], uint16_t *ret_type)
{
	const uint8_t *head = message.data;
	char name[4 * WIRE_MAX + 1];
	struct bytes rest;
	size_t used;

	if (message.len < HEAD || (head[2] & ANSWER) || (head[4] == 0 && head[5] == 0))
		return -EBADMSG;
	rest = bytes_of(message.data + HEAD, message.len - HEAD);
	used = read_name(rest, name);
	if (used == 0 || rest.len - used < TAIL)
		return -EBADMSG;
	memcpy(ret_name, name, strlen(name) + 1);
	*ret_type = (uint16_t)(rest.data[used] << 8 | rest.data[used + 1]);
	return 0;
}
