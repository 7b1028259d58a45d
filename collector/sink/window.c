/* A ring of slots; the oldest goes when it is settled. See window.h. */
#include "collector/sink/window.h"

#include <assert.h>

struct slot {
	uint64_t row;
	bool settled;
};

struct window {
	size_t capacity;
	uint64_t first, next; /* tickets on their way */
	uint64_t settled_row;
	struct slot slots[];
};

struct window *window_new(size_t capacity)
{
	struct window *w = calloc(1, sizeof(*w) + capacity * sizeof(w->slots[0]));

	if (w)
		w->capacity = capacity;
	return w;
}

void window_free(struct window *w)
{
	free(w);
}

bool window_is_full(const struct window *w)
{
	return w->next - w->first == w->capacity;
}

uint64_t window_add(struct window *w, uint64_t row)
{
	assert(!window_is_full(w));
	w->slots[w->next % w->capacity] = (struct slot){.row = row};
	return w->next++;
}

void window_take_back(struct window *w)
{
	assert(w->next > w->first);
	w->next--;
}

void window_settle(struct window *w, uint64_t ticket)
{
	assert(ticket - w->first < w->next - w->first);
	w->slots[ticket % w->capacity].settled = true;
	while (w->first < w->next && w->slots[w->first % w->capacity].settled) {
		uint64_t row = w->slots[w->first++ % w->capacity].row;

		w->settled_row = row > w->settled_row ? row : w->settled_row;
	}
}

uint64_t window_settled_row(const struct window *w)
{
	return w->settled_row;
}
