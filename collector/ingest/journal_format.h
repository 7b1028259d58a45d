/* Bytes of a journal record; docs/journal.md. Pure: no I/O. */
#pragma once

#include "collector/ingest/journal.h"
#include "common/buf.h"

#define JOURNAL_MAGIC	      "NJJRNL1\n"
#define JOURNAL_HEADER_BYTES  8U
#define JOURNAL_PREFIX_BYTES  12U /* length, checksum */
#define JOURNAL_FIXED_BYTES   12U /* type, three lengths, time */
#define JOURNAL_BODY_MAX      ((4UL << 20) + 1024)

/* -EINVAL when a name is longer than a record can say. */
int journal_encode(const struct journal_record *record, struct buf *out) must_check;
/* How many bytes the body has, from a prefix; 0 when that cannot be a prefix of ours. */
uint32_t journal_body_length(const uint8_t prefix[JOURNAL_PREFIX_BYTES]);
/* names: room for the three strings of the record, at least 3 * 256 bytes. 0 or -EBADMSG. */
int journal_decode(const uint8_t prefix[JOURNAL_PREFIX_BYTES], struct bytes body, char names[768],
		   struct journal_record *ret_record) must_check;
