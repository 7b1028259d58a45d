/* One loop thread: kernel records in, batches out; the uplink is the only other thread of ours.
 *
 *   epoll: capture → (every turn) capture_turn → batch_add
 *          signal  → draining: what is captured is sent, then everything is freed in reverse;
 *                    or SIGHUP: options are read again
 *          mail    → what the collector said, policy and snapshot (the uplink's thread puts it there)
 *
 * The loop never blocks on the network, and bounds its work per turn by RECORDS_PER_TURN. */
#include "node-agent/agent.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/event_json.h"
#include "common/log.h"
#include "common/ready.h"
#include "common/rpc.h"
#include "common/tls13.h"
#include "node-agent/accounts.h"
#include "node-agent/batch.h"
#include "node-agent/capture.h"
#include "node-agent/certificate.h"
#include "node-agent/enrich.h"
#include "node-agent/footprint.h"
#include "node-agent/policy.h"
#include "node-agent/privilege.h"
#include "node-agent/uplink.h"

#define RECORDS_PER_TURN 4096
#define TICK_NS		 (NS_PER_SEC / 2) /* of losses and of the wall clock */
#define REPORTS_PER_ACCOUNT 4 /* it only finds mistakes of ours */
#define EPOCH_NS	 (60 * NS_PER_SEC)
#define SETTLE_NS	 (5 * NS_PER_SEC) /* until a snapshot is acknowledged and its batches are gone */
#define DRAIN_TURNS	 64
#define LOSSES_MAX	 128 /* a reason of a class each */

/* What the uplink's thread leaves for the loop. */
struct mail {
	pthread_mutex_t lock;
	bool unknown;
	struct uplink_policy *policy; /* NULL: no new one */
};

struct agent {
	const struct agent_settings *settings;
	char **argv; /* for SIGHUP */
	char boot_id[64];
	uint64_t first_seq; /* of batches and events: as agent.proto has it */
	char **env_names; /* NULL-terminated; capture borrows them */
	struct capture *capture;
	struct uplink_policy *policy; /* in force */
	struct spool *spool;
	struct batch *batch;
	struct uplink *uplink;
	struct certificate *certificate; /* NULL: somebody else renews it */
	struct enrich *enrich;
	bool has_rpc;
	struct mail mail;
	int epoll_fd, signal_fd, mail_fd;
	bool stopping;
	bool prints; /* events, of every class, instead of sending them */
	bool said_ready; /* uplink's thread */
	uint64_t now_ns; /* of this turn, boot clock */
	uint64_t tick_ns;
	uint64_t reports; /* of losses so far */
	uint64_t trim_ns; /* when what a snapshot has taken may go back; 0: nothing has */
	uint64_t batches; /* that the uplink has been woken for */
	struct buf line;  /* --print-events */
	int print_error;
};

/* ---- mail ---- */

static void free_names(char **names)
{
	for (size_t i = 0; names && names[i]; i++)
		free(names[i]);
	free(names);
}

static char **copy_names(char *const *names, size_t count)
{
	char **copies = calloc(count + 1, sizeof(*copies));

	for (size_t i = 0; copies && i < count; i++) {
		copies[i] = strdup(names[i]);
		if (!copies[i]) {
			free_names(copies);
			return NULL;
		}
	}
	return copies;
}

static void ring(struct agent *a)
{
	const uint64_t one = 1;

	if (write(a->mail_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: the loop is awake already */
}

/* Uplink's thread. The newest policy wins. */
static void on_policy(void *ctx, struct uplink_policy *policy)
{
	struct agent *a = ctx;

	(void)pthread_mutex_lock(&a->mail.lock);
	uplink_policy_free(a->mail.policy);
	a->mail.policy = policy;
	(void)pthread_mutex_unlock(&a->mail.lock);
	ring(a);
}

/* Uplink's thread. */
static void on_unknown(void *ctx)
{
	struct agent *a = ctx;

	(void)pthread_mutex_lock(&a->mail.lock);
	a->mail.unknown = true;
	(void)pthread_mutex_unlock(&a->mail.lock);
	ring(a);
}

/* A word of the ready line, see common/ready.h. */
static void add_coverage(struct buf *words, const struct capture_coverage *row)
{
	buf_printf(words, " %s=%s%s", row->class, row->state, row->reason[0] ? ":" : "");
	for (const char *c = row->reason; *c; c++)
		buf_add_byte(words, (uint8_t)(*c == ' ' || *c == '\n' ? '_' : *c));
}

/* Uplink's thread. */
static void on_connected(void *ctx)
{
	struct agent *a = ctx;
	const struct capture_coverage *rows;
	_cleanup_buf_ struct buf words = {0};
	uint32_t count = capture_coverages(a->capture, &rows);

	if (a->said_ready) {
		log_info("connected to %s again", a->settings->collector_address);
		return;
	}
	a->said_ready = true;
	for (uint32_t i = 0; i < count; i++)
		add_coverage(&words, &rows[i]);
	footprint_trim();
	ready_say("nightjar-agent", "collector=%s node=%s%s", a->settings->collector_address,
		  a->settings->node_name, buf_text(&words));
}

/* Uplink's thread. */
static bool on_lookups(void *ctx, struct cri_stats *ret_stats)
{
	struct agent *a = ctx;

	return enrich_stats(a->enrich, ret_stats);
}

static void on_event(void *ctx, const struct event *event)
{
	struct agent *a = ctx;

	batch_add(a->batch, event, a->now_ns);
}

/* Takes the policy over: capture borrows it until the next one is in force. */
static void apply_policy(struct agent *a, struct uplink_policy *policy)
{
	struct err e = {0};

	if (capture_set_policy(a->capture, policy, &e) < 0) {
		log_warning("policy %u is not in force: %s", policy->generation, e.text);
		uplink_policy_free(policy);
		return;
	}
	uplink_policy_free(a->policy);
	a->policy = policy;
	batch_set_generation(a->batch, policy->generation);
	log_debug("policy %u is in force", policy->generation);
}

static int read_mail(struct agent *a, struct err *e)
{
	struct mail mail;
	uint64_t rung;
	int r = 0;

	if (read(a->mail_fd, &rung, sizeof(rung)) < 0 && errno != EAGAIN)
		return err_set(e, -errno, "cannot read our own mail: %s", strerror(errno));
	(void)pthread_mutex_lock(&a->mail.lock);
	mail = a->mail;
	a->mail.unknown = false;
	a->mail.policy = NULL;
	(void)pthread_mutex_unlock(&a->mail.lock);
	if (mail.policy)
		apply_policy(a, mail.policy);
	if (mail.unknown) {
		r = capture_snapshot(a->capture, on_event, a);
		a->trim_ns = a->now_ns + SETTLE_NS;
	}
	return r < 0 ? err_set(e, r, "cannot list the processes that run: %s", strerror(-r)) : 0;
}

/* ---- the loop ---- */

static struct batch_config batch_limits(const struct agent_settings *settings)
{
	return (struct batch_config){
		.max_events = (uint32_t)settings->batch_events,
		.max_bytes = settings->batch_bytes,
		.interval_ns = settings->batch_interval_ns,
		.age_ns = settings->batch_age_ns,
	};
}

static void reload(struct agent *a)
{
	_cleanup_(options_done) struct agent_settings fresh = {0};
	struct batch_config limits;
	enum agent_mode mode;
	struct err e = {0};
	int argc = 0;

	while (a->argv[argc])
		argc++;
	if (options_load(argc, a->argv, &fresh, &mode, &e) < 0) {
		log_error("cannot reload, everything stays as it was: %s", e.text);
		return;
	}
	log_info("log.level and batch.* are in force as they are read now; certificates are read at each "
		 "connection; other options need a restart");
	log_set_level(log_level_of(fresh.log_level));
	limits = batch_limits(&fresh);
	if (a->batch)
		batch_set_limits(a->batch, &limits);
}

static void take_signal(struct agent *a)
{
	struct signalfd_siginfo info;

	if (read(a->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	if (info.ssi_signo == SIGHUP)
		reload(a);
	else
		a->stopping = true;
}

static void report_losses(struct agent *a)
{
	struct loss losses[LOSSES_MAX];
	uint32_t count = capture_losses(a->capture, losses, LOSSES_MAX);

	for (uint32_t i = 0; i < count; i++) {
		if (a->batch)
			batch_add_loss(a->batch, &losses[i]);
		log_limited(LOG_LEVEL_WARNING, "%llu events of class %s lost",
			    (unsigned long long)losses[i].count, losses[i].class);
	}
	if (count > 0)
		accounts_say_cpus(a->capture);
	if (++a->reports % REPORTS_PER_ACCOUNT == 0)
		accounts_check(a->capture);
}

static void tick(struct agent *a)
{
	report_losses(a);
	batch_set_wall_offset(a->batch, (int64_t)(clock_wall_ns() - a->now_ns));
	a->tick_ns = a->now_ns;
	if (a->trim_ns != 0 && a->now_ns >= a->trim_ns) {
		a->trim_ns = 0;
		batch_new_epoch(a->batch);
		footprint_trim();
	}
}

static int capture_records(struct agent *a, capture_event_fn handle, struct err *e)
{
	int r = capture_turn(a->capture, RECORDS_PER_TURN, handle, a);

	if (r < 0)
		return err_set(e, r, "cannot read the kernel's rings: %s", strerror(-r));
	return r;
}

static void end_turn(struct agent *a)
{
	struct batch_stats stats;

	batch_turn(a->batch, a->now_ns);
	batch_stats(a->batch, &stats);
	if (stats.batches == a->batches)
		return;
	a->batches = stats.batches;
	uplink_wakeup(a->uplink);
}

static struct timespec until_next(const struct agent *a)
{
	uint64_t due = a->tick_ns + TICK_NS;
	uint64_t deadline = a->batch ? batch_deadline_ns(a->batch) : 0;
	uint64_t most = capture_wait_ns(a->capture, a->batch ? batch_rest_ns(a->batch, a->now_ns) : 0);
	uint64_t wait;

	if (deadline != 0 && deadline < due)
		due = deadline;
	wait = due > a->now_ns ? due - a->now_ns : 0;
	if (wait > most)
		wait = most;
	return clock_timespec(wait);
}

struct ready {
	bool mail;
	bool answers; /* of the container runtime */
};

/* Waits, and tells which descriptors are ready. The clock is read here, once. */
static int wait_events(struct agent *a, struct ready *ret_ready, struct err *e)
{
	struct epoll_event events[4];
	struct timespec timeout = until_next(a);
	int n = epoll_pwait2(a->epoll_fd, events, 4, &timeout, NULL);

	if (n < 0 && errno != EINTR)
		return err_set(e, -errno, "cannot wait for events: %s", strerror(errno));
	a->now_ns = clock_boot_ns();
	for (int i = 0; i < n; i++) {
		if (events[i].data.fd == a->signal_fd)
			take_signal(a);
		else if (events[i].data.fd == a->mail_fd)
			ret_ready->mail = true;
		else if (a->enrich && events[i].data.fd == enrich_fd(a->enrich))
			ret_ready->answers = true;
	}
	return 0;
}

static int turn(struct agent *a, struct err *e)
{
	struct ready ready = {0};
	int r = wait_events(a, &ready, e);

	if (r < 0)
		return r;
	if (a->now_ns - a->tick_ns >= TICK_NS)
		tick(a);
	r = capture_records(a, on_event, e);
	if (r >= 0 && ready.mail)
		r = read_mail(a, e);
	enrich_turn(a->enrich, ready.answers, a->now_ns);
	end_turn(a);
	return r;
}

/* What has happened before the signal still goes out. */
static void drain(struct agent *a)
{
	struct err e = {0};
	int turns = 0;

	while (turns++ < DRAIN_TURNS && capture_records(a, on_event, &e) > 0)
		;
	if (capture_stop(a->capture, on_event, a) < 0)
		log_warning("some of what happened last is not reported");
	accounts_say(a->capture);
	tick(a);
	batch_flush(a->batch, a->now_ns);
	uplink_stop(a->uplink, (int)(a->settings->drain_ns / NS_PER_MS));
	if (spool_length(a->spool) > 0)
		log_warning("stopped with %zu batches that the collector did not acknowledge",
			    spool_length(a->spool));
}

/* ---- building and unbuilding ---- */

static int watch(struct agent *a, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(a->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int build_loop(struct agent *a, struct err *e)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return err_set(e, -errno, "cannot block signals: %s", strerror(errno));
	a->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	a->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	a->mail_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (a->epoll_fd < 0 || a->signal_fd < 0 || a->mail_fd < 0 || watch(a, a->signal_fd) < 0 ||
	    watch(a, a->mail_fd) < 0)
		return err_set(e, -errno, "cannot make the loop: %s", strerror(errno));
	return 0;
}

static int read_boot_id(char *out, size_t size, struct err *e)
{
	_cleanup_(fclosep) FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (!f || !fgets(out, (int)size, f))
		return err_set(e, -EIO, "cannot read /proc/sys/kernel/random/boot_id");
	out[strcspn(out, "\n")] = '\0';
	return 0;
}

static int build_capture(struct agent *a, struct err *e)
{
	const struct agent_settings *settings = a->settings;
	_cleanup_buf_ struct buf gaps = {0};
	struct capture_config config = {
		.boot_id = a->boot_id,
		.first_seq = a->first_seq,
		.ring_bytes = settings->ring_bytes,
		.cpus = (uint32_t)settings->cpus,
		.provider = settings->provider,
		.max_processes = (uint32_t)settings->max_processes,
		.cpu_period_ns = settings->cpu_period_ns,
		.cpu_percent = (uint32_t)settings->cpu_percent,
		.cpu_host = settings->cpu_host,
	};
	int r;

	/* optable's lists are counted; capture's end with NULL. */
	a->env_names = copy_names(settings->env_names.items, settings->env_names.count);
	if (!a->env_names || policy_asked(&settings->capture, a->prints, &a->policy) < 0)
		return err_set(e, -ENOMEM, "cannot start: out of memory");
	config.env_names = (const char *const *)a->env_names;
	config.policy = a->policy;
	/* Loading holds the kernel's types twice for a moment, 11 MB: the peak of all. */
	footprint_trim();
	r = capture_new(&config, &a->capture, e);
	if (r < 0)
		return r;
	r = watch(a, capture_fd(a->capture));
	if (r < 0)
		return err_set(e, r, "cannot watch the kernel's rings: %s", strerror(-r));
	if (capture_gaps(a->capture, &gaps))
		log_warning("not everything is captured: %s", buf_text(&gaps));
	/* Degraded is better than dead: a kernel that refuses is reported, not fatal. */
	if (privilege_drop(e) < 0)
		log_warning("running with more privileges than needed: %s", e->text);
	return 0;
}

static int build_batch(struct agent *a, struct err *e)
{
	const struct agent_settings *settings = a->settings;
	struct batch_config config = batch_limits(settings);

	config.epoch_ns = EPOCH_NS;
	config.max_definitions = WIRE_DEFINITIONS_MAX;
	a->spool = spool_new(settings->uplink_memory_bytes, a->first_seq);
	config.spool = a->spool;
	a->batch = a->spool ? batch_new(&config) : NULL;
	return a->batch ? 0 : err_set(e, -ENOMEM, "cannot start: out of memory");
}

static int build_rpc(struct agent *a, struct err *e)
{
	int r = tls13_check(e);

	if (r < 0)
		return r;
	footprint_trim(); /* libbpf is done, OpenSSL comes */
	rpc_log_quietly();
	rpc_init();
	a->has_rpc = true;
	return 0;
}

static int build_enrich(struct agent *a, struct err *e)
{
	const struct enrich_config config = {
		.socket = a->settings->cri_socket,
		.containers = capture_containers(a->capture),
		.batch = a->batch,
	};
	int r = enrich_new(&config, &a->enrich, e);

	if (r == 0 && enrich_fd(a->enrich) >= 0)
		r = watch(a, enrich_fd(a->enrich));
	return r;
}

static int build_uplink(struct agent *a, struct err *e)
{
	const struct agent_settings *settings = a->settings;
	struct uplink_config config = {
		.target = settings->collector_address,
		.server_name = settings->collector_server_name[0] ? settings->collector_server_name : NULL,
		.ca = settings->tls_ca,
		.cert = settings->tls_cert,
		.key = settings->tls_key,
		.cluster = settings->node_cluster,
		.node = settings->node_name,
		.boot_id = a->boot_id,
		.spool = a->spool,
		.max_in_flight = (uint32_t)settings->uplink_in_flight,
		.heartbeat_ns = settings->heartbeat_ns,
		.backoff_min_ns = settings->backoff_min_ns,
		.backoff_max_ns = settings->backoff_max_ns,
		.policy = on_policy,
		.connected = on_connected,
		.unknown = on_unknown,
		.lookups = on_lookups,
		.ctx = a,
	};
	int r;

	config.coverage_count = capture_coverages(a->capture, &config.coverage);
	r = uplink_new(&config, &a->uplink, e);
	return r < 0 ? r : uplink_start(a->uplink, e);
}

static int build_renewal(struct agent *a, struct err *e)
{
	struct certificate_config config;

	options_certificate(a->settings, &config);
	return config.address[0] ? certificate_start(&config, &a->certificate, e) : 0;
}

static void unbuild(struct agent *a)
{
	certificate_free(a->certificate);
	if (a->uplink)
		uplink_stop(a->uplink, 0);
	uplink_free(a->uplink);
	enrich_free(a->enrich);
	if (a->has_rpc)
		rpc_done();
	batch_free(a->batch);
	spool_free(a->spool);
	capture_free(a->capture);
	free_names(a->env_names);
	uplink_policy_free(a->mail.policy);
	uplink_policy_free(a->policy);
	closep(&a->mail_fd);
	closep(&a->signal_fd);
	closep(&a->epoll_fd);
	buf_done(&a->line);
	(void)pthread_mutex_destroy(&a->mail.lock);
}

static void init(struct agent *a, const struct agent_settings *settings, char **argv)
{
	*a = (struct agent){.settings = settings,
			    .argv = argv,
			    .epoll_fd = -1,
			    .signal_fd = -1,
			    .mail_fd = -1};
	a->first_seq = clock_boot_ns() / NS_PER_US + 1;
	(void)pthread_mutex_init(&a->mail.lock, NULL);
}

static int build(struct agent *a, struct err *e)
{
	int r = build_loop(a, e);

	if (r >= 0)
		r = read_boot_id(a->boot_id, sizeof(a->boot_id), e);
	return r < 0 ? r : build_capture(a, e);
}

int agent_run(const struct agent_settings *settings, char **argv, struct err *e)
{
	struct agent a;
	int r;

	init(&a, settings, argv);
	r = build(&a, e);
	if (r >= 0)
		r = build_batch(&a, e);
	if (r >= 0)
		r = build_rpc(&a, e);
	if (r >= 0)
		r = build_enrich(&a, e);
	if (r >= 0)
		r = build_uplink(&a, e);
	if (r >= 0)
		r = build_renewal(&a, e);
	if (r >= 0)
		log_info("capture is live");
	while (r >= 0 && !a.stopping)
		r = turn(&a, e);
	if (r >= 0)
		drain(&a);
	unbuild(&a);
	return r < 0 ? r : 0;
}

/* ---- without a collector ---- */

static void print_event(void *ctx, const struct event *event)
{
	struct agent *a = ctx;

	if (a->print_error == 0)
		a->print_error = event_json_write(event, (int64_t)(clock_wall_ns() - a->now_ns), &a->line);
}

static int write_lines(struct agent *a, struct err *e)
{
	size_t done = 0;

	if (a->print_error < 0)
		return err_set(e, a->print_error, "cannot print an event: %s", strerror(-a->print_error));
	while (done < a->line.len) {
		ssize_t n = write(STDOUT_FILENO, a->line.data + done, a->line.len - done);

		if (n < 0 && errno != EINTR)
			return err_set(e, -errno, "cannot write to stdout: %s", strerror(errno));
		done += n > 0 ? (size_t)n : 0;
	}
	buf_clear(&a->line);
	return 0;
}

static int print_turn(struct agent *a, struct err *e)
{
	struct ready ready = {0};
	int r = wait_events(a, &ready, e);

	if (r >= 0)
		r = capture_records(a, print_event, e);
	if (r >= 0 && a->now_ns - a->tick_ns >= TICK_NS) {
		report_losses(a);
		a->tick_ns = a->now_ns;
	}
	return r < 0 ? r : write_lines(a, e);
}

int agent_print_events(const struct agent_settings *settings, char **argv, struct err *e)
{
	struct agent a;
	int r;

	init(&a, settings, argv);
	a.prints = true;
	a.line = buf_with_max(1UL << 30); /* a turn's events, however long their arguments */
	r = build(&a, e);
	if (r >= 0)
		log_info("capture is live");
	while (r >= 0 && !a.stopping)
		r = print_turn(&a, e);
	if (r >= 0)
		r = capture_stop(a.capture, print_event, &a);
	if (r >= 0)
		r = write_lines(&a, e);
	unbuild(&a);
	return r < 0 ? r : 0;
}
