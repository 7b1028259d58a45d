/* The collector's watch of the cluster by itself: reads questions from stdin, one a line, and answers
 * each with one line.
 *
 *   ask SERVER TOKEN_FILE CA_FILE [PAGE]
 *
 *   synced                     yes, no
 *   container ID UID           NAMESPACE POD KIND/WORKLOAD ACCOUNT NODE CONTAINER IMAGE LABEL=VALUE,…;
 *                              "none"; before it "incomplete" when something is missing. - for nothing
 *   address IP                 the same, by a pod's address
 *   service IP PORT PROTOCOL   NAMESPACE/NAME, or none
 *   endpoint NAMESPACE NAME IP PORT PROTOCOL   yes, no
 *   node IP                    NAME, or none
 *   metric NAME                its value */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/kube/apiwatch.h"
#include "common/log.h"

#define WORDS_MAX 8
#define PODS	  20000U

struct world {
	struct metrics *metrics;
	struct apistore *store;
	struct apiwatch *watch;
};

static void print_pod(int r, const struct apistore_pod *pod)
{
	const char *at = pod->labels;

	if (r == -ENOENT) {
		puts("none");
		return;
	}
	printf("%s%s %s %s/%s %s %s %s %s ", r == -EAGAIN ? "incomplete " : "", pod->namespace, pod->name,
	       pod->workload_kind, pod->workload, pod->service_account, pod->node,
	       pod->container[0] ? pod->container : "-", pod->image[0] ? pod->image : "-");
	for (uint32_t i = 0; i < pod->label_count; i++) {
		const char *value = at + strlen(at) + 1;

		printf("%s%s=%s", i ? "," : "", at, value);
		at = value + strlen(value) + 1;
	}
	puts("");
}

static struct api_ip ip_of(const char *text)
{
	struct api_ip ip = {{0}};

	(void)apiobject_parse_ip(text, &ip);
	return ip;
}

static struct api_port port_of(const char *number, const char *protocol)
{
	return (struct api_port){.number = (uint16_t)atoi(number),
				 .protocol = strcmp(protocol, "UDP") == 0 ? IPPROTO_UDP : IPPROTO_TCP};
}

static void print_metric(void *ctx, const char *name, uint64_t value)
{
	if (strcmp(name, (const char *)ctx) == 0)
		printf("%llu\n", (unsigned long long)value);
}

static const char *none(const char *word)
{
	return strcmp(word, "-") == 0 ? "" : word;
}

static void answer_addresses(struct world *w, char **word)
{
	struct apistore_service service = {.namespace = "", .name = ""};
	struct api_ip ip = ip_of(word[1]);
	struct api_port port;
	char name[API_NAME_MAX];

	if (strcmp(word[0], "service") == 0) {
		port = port_of(word[2], word[3]);
		if (apistore_find_service(w->store, &ip, &port, &service) == 0)
			printf("%s/%s\n", service.namespace, service.name);
		else
			puts("none");
	} else if (strcmp(word[0], "endpoint") == 0) {
		(void)snprintf(service.namespace, sizeof(service.namespace), "%s", word[1]);
		(void)snprintf(service.name, sizeof(service.name), "%s", word[2]);
		ip = ip_of(word[3]);
		port = port_of(word[4], word[5]);
		puts(apistore_is_endpoint(w->store, &service, &ip, &port) ? "yes" : "no");
	} else {
		puts(apistore_find_node(w->store, &ip, name) == 0 ? name : "none");
	}
}

static void answer(struct world *w, char **word)
{
	struct apistore_pod pod = {0};
	struct api_ip ip;

	if (strcmp(word[0], "synced") == 0) {
		puts(apiwatch_is_synced(w->watch) ? "yes" : "no");
	} else if (strcmp(word[0], "container") == 0) {
		print_pod(apistore_find_container(w->store, none(word[1]), none(word[2]), &pod), &pod);
	} else if (strcmp(word[0], "address") == 0) {
		ip = ip_of(word[1]);
		print_pod(apistore_find_address(w->store, &ip, &pod), &pod);
	} else if (strcmp(word[0], "metric") == 0) {
		metrics_each(w->metrics, print_metric, word[1]);
	} else {
		answer_addresses(w, word);
	}
	(void)fflush(stdout);
}

static void serve(struct world *w)
{
	char line[1024];

	while (fgets(line, sizeof(line), stdin)) {
		char *words[WORDS_MAX] = {NULL}, *save = NULL;
		size_t n = 0;

		for (char *at = strtok_r(line, " \n", &save); at && n < WORDS_MAX; at = strtok_r(NULL, " \n", &save))
			words[n++] = at;
		while (n < WORDS_MAX)
			words[n++] = (char *)"";
		answer(w, words);
	}
}

int main(int argc, char **argv)
{
	struct apiwatch_config config = {0};
	struct world w = {0};
	struct err e = {0};

	if (argc < 4)
		return 2;
	log_init("ask", LOG_LEVEL_DEBUG);
	w.metrics = metrics_new();
	w.store = apistore_new(PODS, w.metrics);
	config.api = (struct apiclient_config){.server = argv[1], .token_file = argv[2], .ca_file = argv[3]};
	config.store = w.store;
	config.metrics = w.metrics;
	config.page = argc > 4 ? (uint32_t)atoi(argv[4]) : 0;
	config.backoff_max_ms = 1000;
	if (!w.store || apiwatch_new(&config, &w.watch, &e) < 0) {
		log_error("%s", e.text);
		return 1;
	}
	serve(&w);
	apiwatch_free(w.watch);
	apistore_free(w.store);
	metrics_free(w.metrics);
	return 0;
}
