/* UTF-8 as RFC 3629 has it; see utf8.h. */
#include "common/utf8.h"

/* Bounds of the second byte by the first: they keep out overlong forms, surrogates and code points
 * above U+10FFFF. */
static size_t sequence_length(uint8_t first, uint8_t *ret_low, uint8_t *ret_high)
{
	*ret_low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
	*ret_high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		return 2;
	if (first >= 0xe0 && first <= 0xef)
		return 3;
	return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

size_t utf8_sequence(struct bytes left)
{
	uint8_t low, high;
	size_t len = left.len ? sequence_length(left.data[0], &low, &high) : 0;

	if (len < 2)
		return len;
	if (len > left.len || left.data[1] < low || left.data[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((left.data[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

size_t utf8_valid_prefix(struct bytes text)
{
	size_t at = 0;

	while (at < text.len) {
		size_t len = utf8_sequence(bytes_of(text.data + at, text.len - at));

		if (len == 0)
			break;
		at += len;
	}
	return at;
}

void utf8_add(struct buf *out, struct bytes text)
{
	for (;;) {
		size_t valid = utf8_valid_prefix(text);

		buf_add(out, text.data, valid);
		if (valid == text.len)
			return;
		buf_add_text(out, UTF8_REPLACEMENT);
		text = bytes_of(text.data + valid + 1, text.len - valid - 1);
	}
}
