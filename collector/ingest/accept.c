/* accept4 as the libraries of this process call it: the linker prefers this function over libc's, for
 * a static and for a shared libgrpc alike, as it does in common/tls13.c.
 *
 * A new descriptor is always the lowest that is free. So one at or above the limit says that as many
 * are open below it: nothing has to be counted, and no close has to be seen. */
#include "collector/ingest/accept.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define OTHER_DESCRIPTORS 256 /* the store, the journal, epoll, Kafka */
#define LEAST_CONNECTIONS 64

typedef int accept4_fn(int fd, struct sockaddr *address, socklen_t *len, int flags);

/* The function below is the process's, and so is what it must know. */
static atomic_int limit;
static _Atomic(struct metric *) refusals;

/* The library gives up its listener over everything but these two. What cannot be had now waits in
 * the backlog until the next connection comes. */
static int translate(int error)
{
	switch (error) {
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		return EAGAIN;
	case ECONNABORTED:
	case EPROTO:
	case EPERM:
		return EINTR;
	default:
		return error;
	}
}

int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
	accept4_fn *next = (accept4_fn *)dlsym(RTLD_NEXT, "accept4");
	socklen_t room = len ? *len : 0;
	int taken;

	if (!next) {
		errno = ENOSYS;
		return -1;
	}
	for (;;) {
		int max = atomic_load_explicit(&limit, memory_order_relaxed);
		struct metric *refused = atomic_load(&refusals);

		taken = next(fd, address, len, flags);
		if (taken < 0) {
			errno = translate(errno);
			return -1;
		}
		if (max == 0 || taken < max)
			return taken;
		(void)close(taken);
		if (refused)
			metric_add(refused, 1);
		if (len)
			*len = room;
	}
}

void accept_forget(void)
{
	atomic_store(&limit, 0);
	atomic_store(&refusals, NULL);
}

int accept_limit(unsigned int max, struct metric *refused, struct err *e)
{
	struct rlimit descriptors;

	if (getrlimit(RLIMIT_NOFILE, &descriptors) < 0)
		return err_set(e, -errno, "cannot read the limit of descriptors: %s", strerror(errno));
	descriptors.rlim_cur = descriptors.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &descriptors);
	(void)getrlimit(RLIMIT_NOFILE, &descriptors);
	if (descriptors.rlim_cur < OTHER_DESCRIPTORS + LEAST_CONNECTIONS)
		return err_set(e, -EMFILE,
			       "only %llu descriptors are allowed (ulimit -n): %d are needed at least",
			       (unsigned long long)descriptors.rlim_cur,
			       OTHER_DESCRIPTORS + LEAST_CONNECTIONS);
	if (max == 0 || max > descriptors.rlim_cur - OTHER_DESCRIPTORS)
		max = (unsigned int)(descriptors.rlim_cur - OTHER_DESCRIPTORS < INT32_MAX / 2 ?
					     descriptors.rlim_cur - OTHER_DESCRIPTORS :
					     INT32_MAX / 2);
	atomic_store(&refusals, refused);
	atomic_store(&limit, (int)max + OTHER_DESCRIPTORS / 2);
	return 0;
}
