/* One state for every service: a collector serves or it drains. At most HEALTH_WATCHERS_MAX streams
 * wait for a change. */
#include "collector/api/health.h"

#include <pthread.h>
#include <stdlib.h>

#include "collector/api/api.h"
#include "grpc/health/v1/health.pb-c.h"

typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus status_t;
#define STATUS(name) GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name

struct health {
	const char *const *services;
	struct listen_method methods[3];
	pthread_mutex_t lock; /* all below */
	bool serving;
	struct listen_call *watchers[HEALTH_WATCHERS_MAX]; /* references; NULL: free */
};

static void respond(struct listen_call *call, status_t status, void (*how)(struct listen_call *call,
									   const ProtobufCMessage *message))
{
	Grpc__Health__V1__HealthCheckResponse response =
		GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

	response.status = status;
	how(call, &response.base);
}

static bool knows(const struct health *h, const char *service)
{
	const char *const *s;

	for (s = h->services; *s; s++)
		if (strcmp(*s, service) == 0)
			return true;
	return service[0] == '\0';
}

static status_t present(const struct health *h)
{
	return h->serving ? STATUS(SERVING) : STATUS(NOT_SERVING);
}

static Grpc__Health__V1__HealthCheckRequest *parse(struct listen_call *call, struct bytes message)
{
	Grpc__Health__V1__HealthCheckRequest *request =
		grpc__health__v1__health_check_request__unpack(NULL, message.len, message.data);

	if (!request)
		listen_finish(call, LISTEN_INVALID_ARGUMENT, "the message is no HealthCheckRequest");
	return request;
}

static void check(void *ctx, struct listen_call *call, void *state, struct bytes message)
{
	struct health *h = (struct health *)ctx;
	Grpc__Health__V1__HealthCheckRequest *request = parse(call, message);
	status_t status;

	(void)state;
	if (!request)
		return;
	(void)pthread_mutex_lock(&h->lock);
	status = present(h);
	(void)pthread_mutex_unlock(&h->lock);
	if (knows(h, request->service))
		respond(call, status, api_answer);
	else
		listen_finish(call, LISTEN_NOT_FOUND, "no such service");
	grpc__health__v1__health_check_request__free_unpacked(request, NULL);
}

/* Lock held. */
static struct listen_call **slot_of(struct health *h, struct listen_call *call)
{
	size_t i;

	for (i = 0; i < HEALTH_WATCHERS_MAX; i++)
		if (h->watchers[i] == call)
			return &h->watchers[i];
	return NULL;
}

static void watch(void *ctx, struct listen_call *call, void *state, struct bytes message)
{
	struct health *h = (struct health *)ctx;
	Grpc__Health__V1__HealthCheckRequest *request = parse(call, message);
	struct listen_call **slot;
	bool known;

	(void)state;
	if (!request)
		return;
	known = knows(h, request->service);
	grpc__health__v1__health_check_request__free_unpacked(request, NULL);
	(void)pthread_mutex_lock(&h->lock);
	slot = slot_of(h, call) ? NULL : slot_of(h, NULL);
	if (slot && known)
		*slot = listen_call_ref(call);
	if (slot)
		respond(call, known ? present(h) : STATUS(SERVICE_UNKNOWN), api_send);
	(void)pthread_mutex_unlock(&h->lock);
	if (!slot)
		listen_finish(call, LISTEN_RESOURCE_EXHAUSTED, "too many watchers");
}

static void unwatch(void *ctx, struct listen_call *call, void *state)
{
	struct health *h = (struct health *)ctx;
	struct listen_call **slot;

	(void)state;
	(void)pthread_mutex_lock(&h->lock);
	slot = slot_of(h, call);
	if (slot)
		*slot = NULL;
	(void)pthread_mutex_unlock(&h->lock);
	if (slot)
		listen_call_unref(call);
}

void health_set(struct health *h, bool serving)
{
	size_t i;

	(void)pthread_mutex_lock(&h->lock);
	if (h->serving != serving) {
		h->serving = serving;
		for (i = 0; i < HEALTH_WATCHERS_MAX; i++)
			if (h->watchers[i])
				respond(h->watchers[i], present(h), api_send);
	}
	(void)pthread_mutex_unlock(&h->lock);
}

struct health *health_new(const char *const *services)
{
	struct health *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->services = services;
	(void)pthread_mutex_init(&h->lock, NULL);
	h->methods[0] = (struct listen_method){.path = "/grpc.health.v1.Health/Check",
					       .roles = API_EVERYONE,
					       .message = check,
					       .ctx = h};
	h->methods[1] = (struct listen_method){.path = "/grpc.health.v1.Health/Watch",
					       .roles = API_EVERYONE,
					       .message = watch,
					       .closed = unwatch,
					       .ctx = h};
	return h;
}

void health_free(struct health *h)
{
	if (!h)
		return;
	(void)pthread_mutex_destroy(&h->lock);
	free(h);
}

const struct listen_method *health_methods(struct health *h)
{
	return h->methods;
}
