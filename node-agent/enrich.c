/* A turn without new containers and answers costs three comparisons. See
 * enrich.h. */
#include "node-agent/enrich.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

#define ANSWERS_PER_TURN 64
#define RETRY_NS	 NS_PER_SEC /* when the runtime's queue was full */

struct enrich {
	struct enrich_config config;
	struct cri *cri; /* NULL: off */
	uint64_t ask_ns; /* not before */
	const char *sockets[2];
};

int enrich_new(const struct enrich_config *config, struct enrich **ret_enrich, struct err *e)
{
	_cleanup_(enrich_freep) struct enrich *en = calloc(1, sizeof(*en));
	struct cri_config cri = {0};
	int r = 0;

	if (!en)
		return err_set(e, -ENOMEM, "cannot start: out of memory");
	en->config = *config;
	en->sockets[0] = config->socket;
	if (strcmp(config->socket, "auto") != 0)
		cri.sockets = en->sockets;
	if (strcmp(config->socket, "off") != 0)
		r = cri_new(&cri, &en->cri, e);
	if (r < 0)
		return r;
	*ret_enrich = take_ptr(en);
	return 0;
}

void enrich_free(struct enrich *en)
{
	if (!en)
		return;
	cri_free(en->cri);
	free(en);
}

int enrich_fd(const struct enrich *en)
{
	return en->cri ? cri_fd(en->cri) : -1;
}

static bool ask(void *ctx, const char *container_id)
{
	struct enrich *en = ctx;

	return cri_ask(en->cri, container_id) == 0;
}

static void take_answers(struct enrich *en, uint64_t now_ns)
{
	struct container_def *told;

	for (int i = 0; i < ANSWERS_PER_TURN && (told = cri_take(en->cri)) != NULL; i++) {
		const struct container_def *seen = containers_resolve(en->config.containers, told);

		if (seen)
			batch_add_container(en->config.batch, seen, now_ns);
	}
}

void enrich_turn(struct enrich *en, bool answers, uint64_t now_ns)
{
	if (!en->cri)
		return;
	if (answers)
		take_answers(en, now_ns);
	if (containers_unasked(en->config.containers) == 0 || now_ns < en->ask_ns)
		return;
	containers_ask(en->config.containers, ask, en);
	if (containers_unasked(en->config.containers) > 0)
		en->ask_ns = now_ns + RETRY_NS;
}

bool enrich_stats(const struct enrich *en, struct cri_stats *ret_stats)
{
	if (en->cri)
		cri_stats(en->cri, ret_stats);
	return en->cri != NULL;
}
