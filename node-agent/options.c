/* The agent's option table; see options.h. */
#include "node-agent/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/tls.h"
#include "node-agent/certificate.h"

#define AT(field) offsetof(struct agent_settings, field)
#define MS	  1000000ULL
#define SEC	  (1000 * MS)

static const struct opt rows[] = {
	{.key = "node.name", .type = OPT_TEXT, .offset = AT(node_name), .fallback = "",
	 .help = "name of this node; empty: as in its certificate, another is refused"},
	{.key = "node.cluster", .type = OPT_TEXT, .offset = AT(node_cluster), .fallback = "",
	 .help = "name of the cluster; empty: as in the certificate, another is refused"},
	{.key = "collector.address", .type = OPT_TEXT, .offset = AT(collector_address), .fallback = "",
	 .help = "HOST:PORT of the collector"},
	{.key = "collector.server_name", .type = OPT_TEXT, .offset = AT(collector_server_name), .fallback = "",
	 .help = "name that the collector's certificate must carry; empty: HOST of the address"},
	{.key = "tls.ca", .type = OPT_PATH, .offset = AT(tls_ca), .fallback = "",
	 .help = "PEM file with the CA that signed the collector's certificate"},
	{.key = "tls.cert", .type = OPT_PATH, .offset = AT(tls_cert), .fallback = "",
	 .help = "PEM file with this node's certificate"},
	{.key = "tls.key", .type = OPT_PATH, .offset = AT(tls_key), .fallback = "",
	 .help = "PEM file with this node's key"},
	{.key = "enroll.address", .type = OPT_TEXT, .offset = AT(enroll_address), .fallback = "",
	 .help = "HOST:PORT of the collector's enroll.listen, where this node gets tls.cert and tls.key and renews them; "
		 "empty: somebody else puts them there"},
	{.key = "enroll.token_file", .type = OPT_PATH, .offset = AT(enroll_token_file),
	 .fallback = "/var/run/secrets/nightjar/token",
	 .help = "file with this pod's projected ServiceAccount token for the collector's enroll.audience"},
	{.key = "capture.ring_bytes", .type = OPT_SIZE, .offset = AT(ring_bytes), .fallback = "2MiB",
	 .min = 64 << 10, .max = 256 << 20,
	 .help = "kernel rings of all CPUs together, in bytes; all of it is resident memory"},
	{.key = "capture.cpus", .type = OPT_COUNT, .offset = AT(cpus), .fallback = "0", .max = 4096,
	 .help = "CPUs that rings and tables are laid out for when the machine has fewer: what a larger one would take"},
	{.key = "capture.provider", .type = OPT_CHOICE, .offset = AT(provider), .fallback = "auto",
	 .choices = "auto|sys_exit|per_call|function",
	 .help = "hook that sees system calls; auto: the first that this kernel allows, see docs/kernels.md"},
	{.key = "capture.processes", .type = OPT_COUNT, .offset = AT(max_processes), .fallback = "16384",
	 .min = 256, .max = 1 << 20, .help = "processes that are known at a time"},
	{.key = "capture.env_names", .type = OPT_LIST, .offset = AT(env_names),
	 .fallback = "LD_PRELOAD,LD_LIBRARY_PATH,HISTFILE,SSH_CONNECTION",
	 .help = "environment variables whose values are reported with an exec"},
	CAPTURE_ROWS(struct agent_settings, capture, false),
	{.key = "capture.cpu_period", .type = OPT_DURATION, .offset = AT(cpu_period_ns), .fallback = "5s",
	 .max = 3600 * SEC, .help = "time between two looks at who uses the CPUs; 0: none"},
	{.key = "capture.cpu_percent", .type = OPT_COUNT, .offset = AT(cpu_percent), .fallback = "10",
	 .min = 1, .max = 100, .help = "processes that use at least so much of one CPU are reported"},
	{.key = "capture.cpu_host", .type = OPT_BOOL, .offset = AT(cpu_host), .fallback = "false",
	 .help = "whether processes outside of containers are"},
	{.key = "container.cri_socket", .type = OPT_TEXT, .offset = AT(cri_socket), .fallback = "auto",
	 .help = "UNIX socket of the container runtime, which is asked for pods and images; auto: where runtimes "
		 "have it; off: containers keep their ids only"},
	{.key = "batch.events", .type = OPT_COUNT, .offset = AT(batch_events), .reloadable = true, .fallback = "1024",
	 .min = 1, .max = 4096, .help = "events in a full batch"},
	{.key = "batch.bytes", .type = OPT_SIZE, .offset = AT(batch_bytes), .reloadable = true, .fallback = "256KiB",
	 .min = 1024, .max = 1 << 20, .help = "bytes in a full batch"},
	{.key = "batch.interval", .type = OPT_DURATION, .offset = AT(batch_interval_ns), .reloadable = true, .fallback = "5ms",
	 .max = SEC, .help = "time between two batches that are not full; after a rest sixteen may follow each other at once"},
	{.key = "batch.age", .type = OPT_DURATION, .offset = AT(batch_age_ns), .reloadable = true, .fallback = "5ms",
	 .min = 1, .max = 10 * SEC, .help = "longest time that an event waits for its batch to fill"},
	{.key = "uplink.memory", .type = OPT_SIZE, .offset = AT(uplink_memory_bytes), .fallback = "2MiB",
	 .min = 64 << 10, .max = 1 << 30,
	 .help = "bytes of batches that wait for an acknowledgement; beyond it the oldest are dropped and counted"},
	{.key = "uplink.in_flight", .type = OPT_COUNT, .offset = AT(uplink_in_flight), .fallback = "64",
	 .min = 1, .max = 4096, .help = "batches that are sent ahead of their acknowledgement"},
	{.key = "uplink.heartbeat", .type = OPT_DURATION, .offset = AT(heartbeat_ns), .fallback = "500ms",
	 .min = 10 * MS, .max = 60 * SEC, .help = "time between two signs of life, which say what the agent costs"},
	{.key = "uplink.backoff_min", .type = OPT_DURATION, .offset = AT(backoff_min_ns), .fallback = "100ms",
	 .min = MS, .max = 60 * SEC, .help = "wait before the second attempt to connect; doubles with each"},
	{.key = "uplink.backoff_max", .type = OPT_DURATION, .offset = AT(backoff_max_ns), .fallback = "10s",
	 .min = MS, .max = 3600 * SEC, .help = "longest wait between two attempts to connect"},
	{.key = "uplink.drain", .type = OPT_DURATION, .offset = AT(drain_ns), .fallback = "5s",
	 .max = 60 * SEC, .help = "longest wait for the last acknowledgements when the agent stops"},
	{.key = "log.level", .type = OPT_CHOICE, .offset = AT(log_level), .reloadable = true, .fallback = "info",
	 .choices = "error|warning|info|debug", .help = "most detailed lines on stderr"},
};

const struct optable agent_options = {
	.program = "nightjar-agent",
	.summary = "captures what containers do on this node and sends it to the collector",
	.usage = "  --probe         print what this kernel lets the agent capture, and exit\n"
		 "  --print-events  print events as JSON lines, without a collector\n",
	.opts = rows,
	.count = sizeof(rows) / sizeof(rows[0]),
};

static int read_modes(char *const *rest, enum agent_mode *ret_mode, struct err *e)
{
	*ret_mode = AGENT_RUN;
	for (; rest && *rest; rest++) {
		if (strcmp(*rest, "--probe") == 0)
			*ret_mode = AGENT_PROBE;
		else if (strcmp(*rest, "--print-events") == 0)
			*ret_mode = AGENT_PRINT_EVENTS;
		else
			return optable_refuse(&agent_options, *rest, e);
	}
	return 0;
}

int options_load(int argc, char **argv, struct agent_settings *ret_settings, enum agent_mode *ret_mode,
		 struct err *e)
{
	_cleanup_(freep) char **rest = NULL;
	_cleanup_(options_done) struct agent_settings settings = {0};
	int action = optable_load(&agent_options, &settings, argc, argv, NULL, &rest, e);
	int r;

	if (action < 0)
		return action;
	if (action == OPT_HELP || action == OPT_VERSION)
		return action;
	r = read_modes(rest, ret_mode, e);
	if (r < 0)
		return r;
	r = capture_options_check(&settings.capture, e);
	if (r < 0)
		return r;
	if (settings.backoff_min_ns > settings.backoff_max_ns)
		return err_set(e, -EINVAL, "uplink.backoff_min is more than uplink.backoff_max");
	*ret_settings = settings;
	settings = (struct agent_settings){0};
	return action;
}

void options_certificate(const struct agent_settings *settings, struct certificate_config *ret_config)
{
	*ret_config = (struct certificate_config){
		.address = settings->enroll_address,
		.server_name = settings->collector_server_name[0] ? settings->collector_server_name : NULL,
		.token_file = settings->enroll_token_file,
		.ca = settings->tls_ca,
		.cert = settings->tls_cert,
		.key = settings->tls_key,
		.backoff_min_ns = settings->backoff_min_ns,
		.backoff_max_ns = settings->backoff_max_ns,
	};
}

int options_check_uplink(const struct agent_settings *settings, struct err *e)
{
	const struct {
		const char *key, *value;
	} needed[] = {
		{"collector.address", settings->collector_address},
		{"tls.ca", settings->tls_ca},
		{"tls.cert", settings->tls_cert},
		{"tls.key", settings->tls_key},
	};

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (!needed[i].value[0])
			return err_set(e, -EINVAL, "%s is not set: the agent needs it to reach the collector",
				       needed[i].key);
	return 0;
}

/* What is set must be what the certificate says: the collector would refuse it at every attempt. */
static int agree(char **setting, const char *key, const char *name, const char *cert, struct err *e)
{
	if (!(*setting)[0]) {
		free(*setting);
		*setting = strdup(name);
		return *setting ? 0 : err_set(e, -ENOMEM, "out of memory");
	}
	if (strcmp(*setting, name) == 0)
		return 0;
	return err_set(e, -EINVAL, "%s is '%s', but the certificate '%s' is for '%s': leave %s out or issue another",
		       key, *setting, cert, name, key);
}

int options_identify(struct agent_settings *settings, struct err *e)
{
	const char *cert = settings->tls_cert;
	struct tls_identity id;
	int r = tls_identify_file(cert, &id, e);

	if (r >= 0 && id.role != TLS_ROLE_AGENT)
		r = err_set(e, -EINVAL,
			    "the certificate '%s' has the role %s; an agent needs one of nightjar certs issue NODE "
			    "--role agent",
			    cert, tls_role_name(id.role));
	if (r >= 0)
		r = agree(&settings->node_name, "node.name", id.node, cert, e);
	return r < 0 ? r : agree(&settings->node_cluster, "node.cluster", id.cluster, cert, e);
}

void options_done(struct agent_settings *settings)
{
	optable_done(&agent_options, settings);
}
