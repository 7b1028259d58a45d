/* The ContainerDef of the wire, both ways: what wire_encode.c and wire_decode.c share of it. */
#pragma once

#include "common/arena.h"
#include "common/buf.h"
#include "common/event.h"
#include "nightjar/v1/event.pb-c.h"

/* Within the caps of common/event.h. */
bool wire_container_definable(const struct container_def *c);
/* The most that wire_container_put writes. */
size_t wire_container_bound(const struct container_def *c);
/* Writes all fields but the id, returns where they end. Text that is no UTF-8 goes through scratch,
 * whose error says that there was no memory for it. */
uint8_t *wire_container_put(uint8_t *p, const struct container_def *c, struct buf *scratch);

/* Within the same caps. */
bool wire_container_fits(const Nightjar__V1__ContainerDef *def);
/* 0 or -ENOMEM, *ret_container then undefined. */
int wire_container_copy(struct arena *arena, const Nightjar__V1__ContainerDef *def,
			struct container_def *ret_container) must_check;
