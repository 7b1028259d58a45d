/* Composition of three parts; see kube.h. */
#include "collector/kube/kube.h"

#include <errno.h>
#include <stdlib.h>

struct kube {
	struct kube_config config;
	struct apistore *store;
	struct naming *naming;
	struct apiwatch *watch;
};

/* The watching thread. */
static void on_turn(void *ctx, uint64_t now_ns)
{
	naming_turn(((struct kube *)ctx)->naming, now_ns);
}

int kube_new(const struct kube_config *config, struct kube **ret_kube, struct err *e)
{
	struct naming_config naming = {.metrics = config->metrics, .tell = config->tell, .ctx = config->ctx};
	struct kube *k = calloc(1, sizeof(*k));

	if (!k)
		return err_set(e, -ENOMEM, "no memory");
	k->config = *config;
	k->store = apistore_new(config->pods, config->metrics);
	naming.store = k->store;
	k->naming = k->store ? naming_new(&naming) : NULL;
	if (!k->naming) {
		kube_free(k);
		return err_set(e, -ENOMEM, "no memory");
	}
	*ret_kube = k;
	return 0;
}

int kube_start(struct kube *k, struct err *e)
{
	const struct apiwatch_config watch = {
		.api = k->config.api, .store = k->store, .metrics = k->config.metrics, .turn = on_turn, .ctx = k};

	return apiwatch_new(&watch, &k->watch, e);
}

void kube_stop(struct kube *k)
{
	apiwatch_free(k->watch);
	k->watch = NULL;
}

void kube_free(struct kube *k)
{
	if (!k)
		return;
	kube_stop(k);
	naming_free(k->naming);
	apistore_free(k->store);
	free(k);
}

void kube_ask(struct kube *k, const struct naming_node *node, const char *container_id, const char *pod_uid)
{
	naming_ask(k->naming, node, container_id, pod_uid);
}

void kube_again(struct kube *k)
{
	naming_again(k->naming);
}
