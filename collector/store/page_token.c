/* Page tokens: 16 hex digits of time, 16 of the check, then the id; see page_token.h. */
#include "collector/store/page_token.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define HEX_DIGITS 16
#define HEAD_LEN   (2 * HEX_DIGITS)

static int filter_hash(const Nightjar__V1__AlertFilter *filter, uint64_t *ret_hash)
{
	_cleanup_(freep) uint8_t *packed = NULL;
	size_t len = filter ? protobuf_c_message_get_packed_size(&filter->base) : 0;

	packed = malloc(len + 1);
	if (!packed)
		return -ENOMEM;
	if (filter)
		(void)protobuf_c_message_pack(&filter->base, packed);
	*ret_hash = XXH3_64bits(packed, len);
	return 0;
}

static uint64_t check_of(const struct page_cursor *cursor, uint64_t filter)
{
	uint64_t id = XXH3_64bits_withSeed(cursor->id, strlen(cursor->id), filter);

	return XXH3_64bits_withSeed(&cursor->time_ns, sizeof(cursor->time_ns), id);
}

int page_token_write(const struct page_cursor *cursor, const Nightjar__V1__AlertFilter *filter,
		     struct arena *arena, char **ret_token)
{
	uint64_t hash;
	char *token;
	int r = filter_hash(filter, &hash);

	if (r < 0)
		return r;
	token = arena_printf(arena, "%016llx%016llx%s", (unsigned long long)cursor->time_ns,
			     (unsigned long long)check_of(cursor, hash), cursor->id);
	if (!token)
		return -ENOMEM;
	*ret_token = token;
	return 0;
}

static int read_hex(const char *text, uint64_t *ret_value)
{
	char digits[HEX_DIGITS + 1];

	memcpy(digits, text, HEX_DIGITS);
	digits[HEX_DIGITS] = '\0';
	if (strspn(digits, "0123456789abcdef") != HEX_DIGITS)
		return -EINVAL;
	*ret_value = strtoull(digits, NULL, 16);
	return 0;
}

int page_token_read(const char *token, const Nightjar__V1__AlertFilter *filter,
		    struct page_cursor *ret_cursor)
{
	struct page_cursor cursor = {0};
	size_t len = strlen(token);
	uint64_t time, check, hash;
	int r;

	if (len <= HEAD_LEN || len - HEAD_LEN >= sizeof(cursor.id))
		return -EINVAL;
	if (read_hex(token, &time) < 0 || read_hex(token + HEX_DIGITS, &check) < 0)
		return -EINVAL;
	cursor.time_ns = (int64_t)time;
	memcpy(cursor.id, token + HEAD_LEN, len - HEAD_LEN);
	r = filter_hash(filter, &hash);
	if (r < 0)
		return r;
	if (check != check_of(&cursor, hash))
		return -EINVAL;
	*ret_cursor = cursor;
	return 0;
}
