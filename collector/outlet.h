/* One sink as the alert thread serves it: where it is between the alerts that wait for it, and how
 * far its far side is.
 *
 * An outlet is live: it takes from the ring that all share. Or it is behind: when the ring is full
 * because of it, or after a start, it takes from the store, in order, until nothing is left there,
 * and then is live again. So a far side that is away for days holds up nobody. What the store
 * refused exists in the ring only; an outlet that has such an alert to take stays at it.
 *
 * Alert thread; outlet_init, outlet_save and outlet_owed also while there is none. */
#pragma once

#include "collector/alert.h"
#include "collector/sink/sink.h"
#include "collector/store/store.h"
#include "common/buf.h"
#include "common/metrics.h"

struct ring_item {
	struct alert *alert;
	struct buf json;
	uint64_t row; /* 0: the store refused it */
};

/* The latest alerts, at positions [first, next). */
struct ring {
	uint64_t first, next;
	size_t capacity;
	struct ring_item *items;
};

static inline struct ring_item *ring_at(const struct ring *ring, uint64_t position)
{
	return &ring->items[position % ring->capacity];
}

struct outlet {
	struct sink *sink;
	struct store *store;
	bool behind;
	uint64_t at;   /* live: position of the next alert to take; behind: where it goes on then */
	uint64_t sent; /* the last row that the sink took or refused */
	uint64_t confirmed; /* rows up to this one the far side has */
	uint64_t saved;	    /* of these, what the store knows */
	struct {
		struct arena *arena; /* of alert; NULL: nothing is loaded */
		Nightjar__V1__Alert *alert;
		struct buf json;
		uint64_t row;
	} loaded; /* behind: the next alert */
	struct metric *delivered, *failed, *waiting, *fell_behind, *unreadable;
};

enum outlet_state {
	OUTLET_IDLE,  /* everything is taken and confirmed */
	OUTLET_WAITS, /* for its sink */
	OUTLET_MORE,  /* it has taken as many as a turn allows */
};

int outlet_init(struct outlet *o, struct sink *sink, struct store *store, struct metrics *metrics,
		struct err *e) must_check;
/* Lets the sink take what it can. */
enum outlet_state outlet_feed(struct outlet *o, struct ring *ring);
/* The newest item of the ring was just put there. */
void outlet_note_item(struct outlet *o, const struct ring *ring);
/* The ring is full: an outlet that has not taken the oldest falls behind, if it can. */
void outlet_make_room(struct outlet *o, const struct ring *ring);
/* Keeps how far a durable sink's far side is, if that has changed. */
void outlet_save(struct outlet *o);
/* How many alerts the sink has not taken. */
uint64_t outlet_owed(const struct outlet *o, const struct ring *ring);
void outlet_done(struct outlet *o);
