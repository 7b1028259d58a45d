/* accept4, recvmsg and close as the libraries of this process call them: the linker prefers these
 * over libc's, for a static and for a shared libgrpc alike, as it does in common/tls13.c. Descriptors
 * that accept4 has not returned pass through untouched.
 *
 * A slot per descriptor, 40 bytes; no lock. A read costs some ten nanoseconds more. */
#include "collector/ingest/gate.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <xxhash.h>

#include "common/log.h"

#define OTHER_DESCRIPTORS 256U /* the store, the journal, epoll, Kafka */
#define LEAST_CONNECTIONS 64U
#define SLOTS		  (1U << 17)

struct slot {
	atomic_uint_fast64_t connection; /* 0: not one of ours */
	atomic_uint_fast64_t peer;	 /* hash of the peer's name */
	atomic_long credit;
	atomic_long second; /* of the last payment by time */
	atomic_bool raised;
};

/* The functions below are the process's, and so is what they must know. */
static struct {
	_Atomic(struct slot *) slots; /* made once, never freed: a reader may still be there */
	atomic_uint max, open;
	atomic_uint_fast64_t next_connection;
	_Atomic(struct metric *) refused, cut;
} gate;

typedef int accept4_fn(int fd, struct sockaddr *address, socklen_t *len, int flags);
typedef ssize_t recvmsg_fn(int fd, struct msghdr *message, int flags);
typedef int close_fn(int fd);

/* Looked up once; two threads that do so at the same time find the same. */
static void *next_of(_Atomic(void *) *cache, const char *name)
{
	void *next = atomic_load_explicit(cache, memory_order_relaxed);

	if (!next) {
		next = dlsym(RTLD_NEXT, name);
		atomic_store_explicit(cache, next, memory_order_relaxed);
	}
	return next;
}

static long now_s(void)
{
	struct timespec ts = {0};

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (long)ts.tv_sec;
}

static void count(_Atomic(struct metric *) *counter)
{
	struct metric *m = atomic_load(counter);

	if (m)
		metric_add(m, 1);
}

static struct slot *slot_of(int fd)
{
	struct slot *slots = atomic_load_explicit(&gate.slots, memory_order_acquire);

	return slots && fd >= 0 && (unsigned int)fd < SLOTS ? &slots[fd] : NULL;
}

static uint64_t hash_of(const char *peer)
{
	return XXH3_64bits(peer, strlen(peer)) | 1;
}

/* As the library writes a peer's name. */
static uint64_t hash_address(const struct sockaddr_storage *from)
{
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)from;
	char ip[INET6_ADDRSTRLEN] = "", peer[96];
	uint16_t port = ntohs(six->sin6_port); /* at the same place in both */

	if (from->ss_family == AF_INET)
		(void)inet_ntop(AF_INET, &((const struct sockaddr_in *)from)->sin_addr, ip, sizeof(ip));
	else if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
		(void)inet_ntop(AF_INET, &six->sin6_addr.s6_addr[12], ip, sizeof(ip));
	else
		(void)inet_ntop(AF_INET6, &six->sin6_addr, ip, sizeof(ip));
	(void)snprintf(peer, sizeof(peer), strchr(ip, ':') ? "ipv6:%%5B%s%%5D:%u" : "ipv4:%s:%u", ip, port);
	return hash_of(peer);
}

/* ---- connections ---------------------------------------------------------------------------- */

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

/* False: there are too many. */
static bool enter(int fd)
{
	struct slot *slot = slot_of(fd);
	struct sockaddr_storage from = {0};
	socklen_t len = sizeof(from);
	unsigned int max = atomic_load(&gate.max);

	if (max == 0 || !slot)
		return max == 0;
	if (atomic_fetch_add(&gate.open, 1) >= max) {
		atomic_fetch_sub(&gate.open, 1);
		return false;
	}
	(void)getpeername(fd, (struct sockaddr *)&from, &len);
	atomic_store(&slot->peer, hash_address(&from));
	atomic_store(&slot->credit, GATE_CREDIT_NEW);
	atomic_store(&slot->second, now_s());
	atomic_store(&slot->raised, false);
	atomic_store(&slot->connection, atomic_fetch_add(&gate.next_connection, 1) + 1);
	return true;
}

int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
	static _Atomic(void *) cache;
	accept4_fn *next = (accept4_fn *)next_of(&cache, "accept4");
	socklen_t room = len ? *len : 0;

	for (;;) {
		int taken = next(fd, address, len, flags);

		if (taken < 0) {
			errno = translate(errno);
			return -1;
		}
		if (enter(taken))
			return taken;
		(void)close(taken);
		count(&gate.refused);
		if (len)
			*len = room;
	}
}

int close(int fd)
{
	static _Atomic(void *) cache;
	close_fn *next = (close_fn *)next_of(&cache, "close");
	struct slot *slot = slot_of(fd);

	if (slot && atomic_exchange(&slot->connection, 0) != 0)
		atomic_fetch_sub(&gate.open, 1);
	return next(fd);
}

/* ---- credit --------------------------------------------------------------------------------- */

static void pay_for_time(struct slot *slot)
{
	long now = now_s(), before = atomic_exchange(&slot->second, now);
	long due = now > before ? (now - before) * GATE_PER_SECOND : 0;

	if (due > 0 && atomic_load(&slot->credit) < GATE_CREDIT_OTHER)
		atomic_fetch_add(&slot->credit, due < GATE_CREDIT_OTHER ? due : GATE_CREDIT_OTHER);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	static _Atomic(void *) cache;
	recvmsg_fn *next = (recvmsg_fn *)next_of(&cache, "recvmsg");
	struct slot *slot = slot_of(fd);
	ssize_t n = next(fd, message, flags);

	if (n <= 0 || !slot || atomic_load_explicit(&slot->connection, memory_order_relaxed) == 0)
		return n;
	pay_for_time(slot);
	if (atomic_fetch_sub(&slot->credit, n) >= n)
		return n;
	count(&gate.cut);
	log_limited(LOG_LEVEL_WARNING, "a peer has sent too much that is no message: its connection is cut");
	(void)shutdown(fd, SHUT_RDWR);
	errno = ECONNRESET;
	return -1;
}

struct gate_ticket gate_find(const char *peer)
{
	const struct slot *slots = atomic_load(&gate.slots);
	unsigned int last = slots && peer ? atomic_load(&gate.max) + OTHER_DESCRIPTORS : 0, fd;
	uint64_t wanted = peer ? hash_of(peer) : 0;

	for (fd = 0; fd < last && fd < SLOTS; fd++) {
		uint64_t connection = atomic_load_explicit(&slots[fd].connection, memory_order_relaxed);

		if (connection != 0 && atomic_load_explicit(&slots[fd].peer, memory_order_relaxed) == wanted)
			return (struct gate_ticket){.fd = (int)fd, .connection = connection};
	}
	return (struct gate_ticket){.fd = -1};
}

static struct slot *redeem(struct gate_ticket ticket)
{
	struct slot *slot = slot_of(ticket.fd);

	return slot && atomic_load(&slot->connection) == ticket.connection ? slot : NULL;
}

void gate_raise(struct gate_ticket ticket)
{
	struct slot *slot = redeem(ticket);

	if (slot && !atomic_exchange(&slot->raised, true))
		atomic_store(&slot->credit, GATE_CREDIT_AGENT);
}

void gate_renew(struct gate_ticket ticket, long bytes)
{
	struct slot *slot = redeem(ticket);

	if (!slot)
		return;
	atomic_store(&slot->credit, bytes);
	atomic_store(&slot->raised, false);
}

void gate_lower(struct gate_ticket ticket)
{
	struct slot *slot = redeem(ticket);
	long credit = slot ? atomic_load(&slot->credit) : 0;

	if (credit > GATE_CREDIT_NEW)
		(void)atomic_compare_exchange_strong(&slot->credit, &credit, GATE_CREDIT_NEW);
}

void gate_sent(struct gate_ticket ticket)
{
	struct slot *slot = redeem(ticket);

	if (slot && atomic_load(&slot->credit) < GATE_CREDIT_OTHER)
		atomic_fetch_add(&slot->credit, GATE_PER_SENT);
}

/* ---- opening -------------------------------------------------------------------------------- */

static int make_slots(void)
{
	struct slot *none = NULL, *made;

	if (atomic_load(&gate.slots))
		return 0;
	made = calloc(SLOTS, sizeof(*made)); /* pages that no descriptor touches are never there */
	if (!made)
		return -ENOMEM;
	if (!atomic_compare_exchange_strong(&gate.slots, &none, made))
		free(made);
	return 0;
}

int gate_open(unsigned int max, struct metrics *metrics, struct err *e)
{
	struct rlimit limit;
	unsigned int allowed;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return err_set(e, -errno, "cannot read the limit of descriptors: %s", strerror(errno));
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	(void)getrlimit(RLIMIT_NOFILE, &limit);
	allowed = limit.rlim_cur < SLOTS ? (unsigned int)limit.rlim_cur : SLOTS;
	if (allowed < OTHER_DESCRIPTORS + LEAST_CONNECTIONS)
		return err_set(e, -EMFILE,
			       "only %u descriptors are allowed: raise the limit (ulimit -n) to %u at least",
			       allowed, OTHER_DESCRIPTORS + LEAST_CONNECTIONS);
	if (make_slots() < 0)
		return err_set(e, -ENOMEM, "cannot start the gRPC server: no memory");
	atomic_store(&gate.refused, metrics_counter(metrics, "nightjar_connections_refused_total", NULL,
						    "Connections closed at once because too many were open."));
	atomic_store(&gate.cut, metrics_counter(metrics, "nightjar_connections_cut_total", NULL,
						"Connections cut because the peer sent too much that is no "
						"message: resets, pings, headers."));
	allowed -= OTHER_DESCRIPTORS;
	atomic_store(&gate.max, max > 0 && max < allowed ? max : allowed);
	return 0;
}

void gate_close(void)
{
	atomic_store(&gate.max, 0);
	atomic_store(&gate.refused, NULL);
	atomic_store(&gate.cut, NULL);
}
