/* Programs of the product as children, and an agent made of the product's own client and encoder. */
#include "tests/unit/unit.h"

#include "tests/e2e/harness.h"
#include "tests/e2e/product.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/wire.h"
#include "nightjar/v1/agent.pb-c.h"
#include "tests/await.h"

static int remaining_ms(uint64_t deadline_ns)
{
	uint64_t now = clock_monotonic_ns();

	return now >= deadline_ns ? 0 : (int)((deadline_ns - now) / NS_PER_MS) + 1;
}

/* ---- certificates ---- */

void site_cert(const struct site *s, const char *name, enum tls_role role, const char *node,
	       int64_t not_after_s)
{
	static const char *const hosts[] = {"localhost", "127.0.0.1", NULL};
	struct tls_request request = {.name = name,
				      .identity = {.role = role, .cluster = "e2e", .namespace = "n"},
				      .hosts = role == TLS_ROLE_COLLECTOR ? hosts : NULL,
				      .not_before_s = -7200,
				      .not_after_s = not_after_s};
	struct err e = {0};

	(void)snprintf(request.identity.node, sizeof(request.identity.node), "%s", node);
	if (tls_make_cert(s->dir, &request, &e) != 0)
		fail_msg("%s", e.text);
}

void site_init(struct site *s)
{
	struct err e = {0};

	(void)snprintf(s->dir, sizeof(s->dir), "/tmp/nightjar-bad-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	if (tls_make_ca(s->dir, "e2e", 1, &e) != 0)
		fail_msg("%s", e.text);
	site_cert(s, "collector", TLS_ROLE_COLLECTOR, "", 86400);
	site_cert(s, "agent", TLS_ROLE_AGENT, "n1", 86400);
	site_cert(s, "reader", TLS_ROLE_READER, "", 86400);
}

void site_done(struct site *s)
{
	char command[128];

	if (!s->dir[0] || getenv("NJ_KEEP"))
		return;
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", s->dir);
	(void)!system(command);
	s->dir[0] = '\0';
}

/* ---- programs ---- */

static void exec_product(const char *const *argv, int out, bool (*prepare)(void *ctx), void *ctx)
{
	const char *build = getenv("NJ_BUILD");
	char program[PATH_MAX];
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC), fd;

	(void)snprintf(program, sizeof(program), "%s/bin/%s", build ? build : "build", argv[0]);
	fd = open(program, O_PATH); /* whoever the child becomes may not walk there */
	if (fd < 0 || null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		_exit(126);
	if (prepare && !prepare(ctx))
		_exit(125);
	(void)fexecve(fd, (char *const *)argv, environ);
	_exit(127);
}

void product_start(struct product *p, const char *const *argv, bool (*prepare)(void *ctx), void *ctx)
{
	int fds[2];

	*p = (struct product)PRODUCT_NONE;
	p->text = buf_with_max(64UL << 20);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	p->pid = fork();
	assert_true(p->pid >= 0);
	if (p->pid == 0)
		exec_product(argv, fds[1], prepare, ctx);
	(void)close(fds[1]);
	p->out_fd = fds[0];
	(void)fcntl(p->out_fd, F_SETFL, O_NONBLOCK);
	p->pidfd = pidfd_open(p->pid, 0);
	assert_true(p->pidfd >= 0);
}

/* False at the end of the text. */
static bool read_text(struct product *p)
{
	ssize_t n;

	do {
		uint8_t *room = buf_extend(&p->text, 4096);

		assert_non_null(room);
		n = read(p->out_fd, room, 4096);
		buf_truncate(&p->text, p->text.len - 4096 + (size_t)(n > 0 ? n : 0));
	} while (n > 0);
	return n < 0 && errno == EAGAIN;
}

bool product_says(struct product *p, const char *text, int timeout_ms)
{
	uint64_t deadline = clock_monotonic_ns() + (uint64_t)timeout_ms * NS_PER_MS;

	for (;;) {
		bool more = read_text(p);
		const char *from = buf_text(&p->text) + p->seen, *found = strstr(from, text);
		struct pollfd fd = {.fd = p->out_fd, .events = POLLIN};

		if (found) {
			p->seen += (size_t)(found - from) + strlen(text);
			return true;
		}
		if (!more || remaining_ms(deadline) == 0) {
			fprintf(stderr, "never said '%s', but:\n%.2000s\n", text, from);
			return false;
		}
		(void)poll(&fd, 1, remaining_ms(deadline));
	}
}

unsigned int product_count(struct product *p, const char *text)
{
	unsigned int n = 0;

	(void)read_text(p);
	for (const char *at = strstr(buf_text(&p->text), text); at; at = strstr(at + 1, text))
		n++;
	return n;
}

static int reap(struct product *p, int flags)
{
	if (p->status < 0)
		(void)waitpid(p->pid, &p->status, flags);
	if (p->status < 0)
		return -ETIMEDOUT;
	return WIFEXITED(p->status) ? WEXITSTATUS(p->status) : 128 + WTERMSIG(p->status);
}

bool product_is_alive(struct product *p)
{
	return reap(p, WNOHANG) == -ETIMEDOUT;
}

/* Goes on reading, so that a full pipe holds nobody up. */
int product_wait(struct product *p, int timeout_ms)
{
	uint64_t deadline = clock_monotonic_ns() + (uint64_t)timeout_ms * NS_PER_MS;

	while (product_is_alive(p) && remaining_ms(deadline) > 0) {
		struct pollfd fds[] = {{.fd = p->pidfd, .events = POLLIN}, {.fd = p->out_fd, .events = POLLIN}};

		(void)poll(fds, 2, remaining_ms(deadline));
		if (fds[1].revents && !read_text(p))
			(void)poll(fds, 1, remaining_ms(deadline));
	}
	(void)read_text(p);
	return reap(p, WNOHANG);
}

int product_stop(struct product *p)
{
	if (product_is_alive(p))
		(void)kill(p->pid, SIGTERM);
	return product_wait(p, PRODUCT_STOP_MS);
}

void product_done(struct product *p)
{
	bool spoke;

	if (p->pid > 0 && product_is_alive(p)) {
		(void)kill(p->pid, SIGKILL);
		(void)reap(p, 0);
	}
	spoke = harness_sanitizer_spoke_in((const char *)p->text.data, p->text.len);
	closep(&p->pidfd);
	closep(&p->out_fd);
	buf_done(&p->text);
	*p = (struct product)PRODUCT_NONE;
	assert_false(spoke);
}

/* ---- a collector ---- */

static void read_ready(struct collected *c)
{
	if (!product_says(&c->product, "ready grpc=", PRODUCT_READY_MS) ||
	    sscanf(buf_text(&c->product.text) + c->product.seen, "%63s http=%63s", c->grpc, c->http) != 2)
		fail_msg("the collector is not ready");
}

void collected_start(struct collected *c, struct site *site, const char *const *flags,
		     bool (*prepare)(void *ctx), void *ctx)
{
	char ca[128], cert[128], key[128], data[128];
	const char *argv[32] = {"nightjar-collector", ca, cert, key, data, "--grpc-listen=127.0.0.1:0",
				"--http-listen=127.0.0.1:0", "--log-format=json"};
	size_t n = 8;

	*c = (struct collected){.site = site, .product = PRODUCT_NONE};
	(void)snprintf(ca, sizeof(ca), "--tls-ca=%s/ca.pem", site->dir);
	(void)snprintf(cert, sizeof(cert), "--tls-cert=%s/collector.pem", site->dir);
	(void)snprintf(key, sizeof(key), "--tls-key=%s/collector-key.pem", site->dir);
	(void)snprintf(data, sizeof(data), "--data-dir=%s/data", site->dir);
	for (; flags && *flags && n < 30; flags++)
		argv[n++] = *flags;
	product_start(&c->product, argv, prepare, ctx);
	read_ready(c);
}

void collected_stop(struct collected *c)
{
	int status = product_stop(&c->product);

	if (status != 0)
		fail_msg("the collector ended with %d and said:\n%.2000s", status, buf_text(&c->product.text));
	product_done(&c->product);
}

void collected_get(const struct collected *c, const char *path, struct buf *out)
{
	_cleanup_(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const char *colon = strrchr(c->http, ':');
	char request[256];
	ssize_t n;

	assert_non_null(colon);
	to.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	(void)snprintf(request, sizeof(request), "GET %s HTTP/1.0\r\nHost: nightjar\r\n\r\n", path);
	assert_true(send(fd, request, strlen(request), MSG_NOSIGNAL) > 0);
	do {
		uint8_t *room = buf_extend(out, 16384);

		assert_non_null(room);
		n = read(fd, room, 16384);
		buf_truncate(out, out->len - 16384 + (size_t)(n > 0 ? n : 0));
	} while (n > 0);
}

uint64_t collected_metric(const struct collected *c, const char *sample)
{
	_cleanup_buf_ struct buf page = {0};
	size_t len = strlen(sample);
	char *save = NULL;

	collected_get(c, "/metrics", &page);
	for (char *line = strtok_r((char *)(uintptr_t)buf_text(&page), "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		if (strncmp(line, sample, len) == 0 && line[len] == ' ')
			return strtoull(line + len + 1, NULL, 10);
	return 0;
}

bool collected_counts(const struct collected *c, const char *sample, uint64_t least)
{
	uint64_t value = 0;

	if (AWAIT((value = collected_metric(c, sample)) >= least, PRODUCT_SAY_MS * NS_PER_MS))
		return true;
	fprintf(stderr, "%s is %llu, not %llu\n", sample, (unsigned long long)value, (unsigned long long)least);
	return false;
}

uint64_t collected_rss_kb(const struct collected *c)
{
	_cleanup_(fclosep) FILE *f = NULL;
	char path[64], line[256];
	unsigned long long kb = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", c->product.pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmRSS: %llu", &kb) == 1)
			break;
	assert_true(kb > 0);
	return kb;
}

/* ---- an agent ---- */

struct rpc_client *agent_client(const struct collected *c, const char *name)
{
	char ca[128], cert[128], key[128];
	_cleanup_(tls_files_done) struct tls_files files = {0};
	struct rpc_client *client = NULL;
	struct err e = {0};

	(void)snprintf(ca, sizeof(ca), "%s/ca.pem", c->site->dir);
	(void)snprintf(cert, sizeof(cert), "%s/%s.pem", c->site->dir, name);
	(void)snprintf(key, sizeof(key), "%s/%s-key.pem", c->site->dir, name);
	if (tls_load(ca, cert, key, clock_wall_ns(), &files, &e) != 0 ||
	    rpc_client_new(c->grpc, NULL, &files, &client, &e) != 0)
		fail_msg("%s", e.text);
	return client;
}

struct rpc_stream *agent_stream(struct rpc_client *client)
{
	struct rpc_stream *stream = NULL;
	struct err e = {0};

	if (rpc_stream_open(client, "/nightjar.v1.Ingest/Stream", &stream, &e) != 0)
		fail_msg("%s", e.text);
	return stream;
}

void agent_send(struct rpc_stream *s, struct bytes message)
{
	struct rpc_event event;

	while (rpc_stream_send(s, message) == -EAGAIN) {
		rpc_stream_wait(s, PRODUCT_SAY_MS, &event);
		if (event.kind == RPC_EVENT_TIMEOUT)
			fail_msg("the stream takes nothing more");
		if (event.kind == RPC_EVENT_CLOSED)
			return; /* whoever reads on will see it */
	}
}

void agent_hello(struct rpc_stream *s, const char *node)
{
	Nightjar__V1__AgentMessage message = NIGHTJAR__V1__AGENT_MESSAGE__INIT;
	Nightjar__V1__Hello hello = NIGHTJAR__V1__HELLO__INIT;
	uint8_t room[512];
	size_t len;

	hello.node = (char *)(uintptr_t)node;
	hello.boot_id = (char *)(uintptr_t)"boot-1";
	hello.resume_seq = 1;
	message.body_case = NIGHTJAR__V1__AGENT_MESSAGE__BODY_HELLO;
	message.hello = &hello;
	len = nightjar__v1__agent_message__get_packed_size(&message);
	assert_true(len <= sizeof(room));
	(void)nightjar__v1__agent_message__pack(&message, room);
	agent_send(s, bytes_of(room, len));
}

int agent_ended(struct rpc_stream *s, char ret_text[256])
{
	struct rpc_event event;

	do {
		rpc_stream_wait(s, PRODUCT_SAY_MS, &event);
		if (event.kind == RPC_EVENT_TIMEOUT)
			fail_msg("the stream has not ended");
	} while (event.kind != RPC_EVENT_CLOSED);
	(void)snprintf(ret_text, 256, "%s", event.text ? event.text : "");
	return event.status;
}

static struct endpoint outside(int fd, uint16_t port)
{
	struct endpoint end = {.kind = ENDPOINT_KIND_TCP,
			       .mode = ENDPOINT_READ | ENDPOINT_WRITE,
			       .fd = (int16_t)fd,
			       .state = 1,
			       .family = AF_INET,
			       .id = 1000U + port,
			       .id2 = 1,
			       .remote_port = port,
			       .local_port = 40000};

	(void)inet_pton(AF_INET, "10.0.0.5", end.local_ip);
	(void)inet_pton(AF_INET, "198.51.100.7", end.remote_ip);
	return end;
}

/* What no compression makes smaller, for those who fill disks. */
static const char *noise(void)
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-";
	static char text[1001];
	uint64_t x = clock_monotonic_ns() | 1;

	for (size_t i = 0; i + 1 < sizeof(text); i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		text[i] = digits[x >> 58];
	}
	return text;
}

void agent_batch(uint64_t seq, uint16_t port, const char *node, struct buf *out)
{
	static const struct container_def host = {.container_id = "", .pod_uid = "", .name = "", .image = "", .pod = "",
						 .namespace = "", .cgroup = "/user.slice", .image_id = "", .workload = ""};
	static const struct bytes args[] = {{(const uint8_t *)"bash", 4}, {(const uint8_t *)"-i", 2}};
	const struct process_def shell = {
		.exec_id = 0x10000ULL + port,
		.pid = 1000U + port,
		.ppid = 1,
		.start_ns = 1,
		.exec_ns = 2,
		.exe = {.path = "/usr/bin/bash", .inode = 5, .mode = 0100755, .nlink = 1},
		.args = args,
		.arg_count = 2,
		.cwd = "/",
		.comm = "bash",
		.exe_raw = "",
		.loginuid = LOGINUID_NONE,
		.session = 1000U + port,
		.container = &host};
	const struct endpoint ends[] = {outside(0, port), outside(1, port), outside(2, port)};
	const struct event exec = {.seq = seq,
				   .time_ns = seq * NS_PER_MS,
				   .kind = EVENT_KIND_EXEC,
				   .tid = shell.pid,
				   .process = &shell,
				   .endpoints = ends,
				   .endpoint_count = 3,
				   .old_fd = -1,
				   .file = {.path = ""},
				   .raw_path = noise()};
	const struct wire_batch_head head = {
		.seq = seq, .wall_offset_ns = (int64_t)(clock_wall_ns() - clock_boot_ns()), .node = node};
	_cleanup_(wire_encoder_freep) struct wire_encoder *encoder = wire_encoder_new(64);

	assert_non_null(encoder);
	wire_encode_begin(encoder);
	assert_int_equal(wire_encode_event(encoder, &exec), 0);
	assert_int_equal(wire_encode_end(encoder, &head, out), 0);
}

bool agent_acked(struct rpc_stream *s, uint64_t seq)
{
	struct rpc_event event;

	for (;;) {
		Nightjar__V1__CollectorMessage *in;
		bool acked;

		rpc_stream_wait(s, PRODUCT_SAY_MS, &event);
		if (event.kind == RPC_EVENT_TIMEOUT || event.kind == RPC_EVENT_CLOSED) {
			fprintf(stderr, "no acknowledgement: %s\n",
				event.kind == RPC_EVENT_CLOSED ? event.text : "nothing came");
			return false;
		}
		if (event.kind != RPC_EVENT_MESSAGE)
			continue;
		in = nightjar__v1__collector_message__unpack(NULL, event.data.len, event.data.data);
		assert_non_null(in);
		acked = in->body_case == NIGHTJAR__V1__COLLECTOR_MESSAGE__BODY_ACK && in->ack->seq >= seq;
		nightjar__v1__collector_message__free_unpacked(in, NULL);
		if (acked)
			return true;
	}
}

void collected_canary(struct collected *c)
{
	static uint16_t next_port = 20000;
	uint16_t port = next_port++;
	struct rpc_client *client = agent_client(c, "agent");
	struct rpc_stream *stream = agent_stream(client);
	_cleanup_buf_ struct buf batch = {0};
	char wanted[64];

	agent_hello(stream, "n1");
	agent_batch(1, port, "", &batch);
	agent_send(stream, buf_bytes(&batch));
	assert_true(agent_acked(stream, 1));
	(void)snprintf(wanted, sizeof(wanted), "\"remote\":{\"ip\":\"198.51.100.7\",\"port\":%u}", port);
	assert_true(product_says(&c->product, wanted, PRODUCT_SAY_MS));
	rpc_stream_free(stream);
	rpc_client_free(client);
}
