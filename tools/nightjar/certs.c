/* nightjar certs init, issue, show: the CA of a cluster and its certificates, as files. */
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/tls.h"
#include "tools/nightjar/command.h"

#define DAY_S 86400
#define SKEW_S 300 /* valid a little before now: clocks differ */

struct certs_settings {
	char *dir;
	char *cluster;
	char *namespace;
	char *role;
	char *node;
	struct opt_list hosts;
	uint64_t days;
};

#define ROW(k, t, f, d, h)                                                                         \
	{.key = (k), .type = (t), .offset = offsetof(struct certs_settings, f), .fallback = (d), .help = (h)}
#define DIR_ROW	    ROW("dir", OPT_PATH, dir, ".", "directory of the CA and its certificates")
#define CLUSTER_ROW(d, h) ROW("cluster", OPT_TEXT, cluster, d, "name of the cluster, the SPIFFE trust domain" h)
#define DAYS_ROW(d)                                                                                \
	{.key = "days", .type = OPT_COUNT, .offset = offsetof(struct certs_settings, days), .fallback = (d), \
	 .min = 1, .max = 36500, .help = "how long it is valid, in days"}

static const struct opt init_opts[] = {DIR_ROW, CLUSTER_ROW("local", ""), DAYS_ROW("3650")};

static const struct opt issue_opts[] = {
	DIR_ROW,
	CLUSTER_ROW("", "; empty: the CA's"),
	ROW("namespace", OPT_TEXT, namespace, "nightjar", "Kubernetes namespace of the holder"),
	{.key = "role", .type = OPT_CHOICE, .offset = offsetof(struct certs_settings, role),
	 .fallback = "reader", .choices = "agent|collector|reader|operator|upstream",
	 .help = "what the holder may do"},
	ROW("node", OPT_TEXT, node, "", "node of an agent; empty: NAME"),
	ROW("hosts", OPT_LIST, hosts, "", "names and addresses of a collector, as clients call it"),
	DAYS_ROW("90"),
};

static const struct optable init_table = {
	.program = "nightjar certs init",
	.summary = "make a CA: ca.pem and ca-key.pem",
	.opts = init_opts,
	.count = sizeof(init_opts) / sizeof(*init_opts),
	.command = true,
};
static const struct optable issue_table = {
	.program = "nightjar certs issue NAME",
	.summary = "sign a certificate: NAME.pem and NAME-key.pem",
	.opts = issue_opts,
	.count = sizeof(issue_opts) / sizeof(*issue_opts),
	.command = true,
};
static const struct optable show_table = {
	.program = "nightjar certs show FILE...",
	.summary = "print who a certificate is for and until when",
	.command = true,
};

static int run_init(const void *settings, char **arguments)
{
	const struct certs_settings *s = settings;
	struct err e = {0};

	(void)arguments;
	if (tls_make_ca(s->dir, s->cluster, (unsigned int)s->days, &e) < 0)
		return command_fail(EXIT_STATUS_FAILED, "certs init", "%s", e.text);
	(void)printf("made %s/ca.pem and %s/ca-key.pem (keep the key to yourself)\n", s->dir, s->dir);
	return EXIT_STATUS_OK;
}

static bool copy_part(char *to, size_t size, const char *from)
{
	(void)snprintf(to, size, "%s", from);
	return strlen(from) < size;
}

static int run_issue(const void *settings, char **arguments)
{
	const struct certs_settings *s = settings;
	struct tls_request request = {
		.name = arguments[0],
		.identity.role = tls_role_of_name(s->role),
		.not_before_s = -SKEW_S,
		.not_after_s = (int64_t)s->days * DAY_S,
	};
	_cleanup_(freep) const char **hosts = calloc(s->hosts.count + 1, sizeof(*hosts));
	const char *node = request.identity.role != TLS_ROLE_AGENT ? "" : *s->node ? s->node : arguments[0];
	struct err e = {0};

	if (request.identity.role == TLS_ROLE_COLLECTOR && s->hosts.count == 0)
		return command_fail(EXIT_STATUS_USAGE, "certs issue",
				    "--hosts is missing: the names and addresses by which agents will call '%s'",
				    arguments[0]);
	if (!hosts)
		return command_fail(EXIT_STATUS_FAILED, "certs issue", "out of memory");
	for (size_t i = 0; i < s->hosts.count; i++)
		hosts[i] = s->hosts.items[i];
	request.hosts = hosts;
	if (!copy_part(request.identity.cluster, sizeof(request.identity.cluster), s->cluster) ||
	    !copy_part(request.identity.namespace, sizeof(request.identity.namespace), s->namespace) ||
	    !copy_part(request.identity.node, sizeof(request.identity.node), node))
		return command_fail(EXIT_STATUS_USAGE, "certs issue", "a name is too long");
	if (tls_make_cert(s->dir, &request, &e) < 0)
		return command_fail(EXIT_STATUS_FAILED, "certs issue", "%s", e.text);
	(void)printf("made %s/%s.pem and %s/%s-key.pem\n", s->dir, arguments[0], s->dir, arguments[0]);
	return EXIT_STATUS_OK;
}

static void print_date(const char *name, int64_t seconds)
{
	time_t t = (time_t)seconds;
	struct tm tm = {0};
	char date[32];

	(void)gmtime_r(&t, &tm);
	(void)strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S UTC", &tm);
	(void)printf("  %-8s %s\n", name, date);
}

static int show(const char *file, int64_t now_s)
{
	struct tls_summary s;
	struct err e = {0};

	if (tls_summarize(file, &s, &e) < 0)
		return command_fail(EXIT_STATUS_FAILED, "certs show", "%s", e.text);
	(void)printf("%s%s\n  %-8s %s\n  %-8s %s\n  %-8s %s\n", file, s.is_ca ? " (a CA)" : "", "subject", s.subject,
		     "issuer", s.issuer, "names", s.names);
	print_date("from", s.not_before_s);
	print_date("until", s.not_after_s);
	if (now_s > s.not_after_s)
		(void)printf("  expired: issue a new one\n");
	return now_s > s.not_after_s ? EXIT_STATUS_FAILED : EXIT_STATUS_OK;
}

static int run_show(const void *settings, char **arguments)
{
	int64_t now_s = (int64_t)(clock_wall_ns() / NS_PER_SEC);
	int status = EXIT_STATUS_OK;

	(void)settings;
	for (; *arguments; arguments++)
		if (show(*arguments, now_s) != EXIT_STATUS_OK)
			status = EXIT_STATUS_FAILED;
	return status;
}

const struct command command_certs_init = {
	.words = "certs init",
	.table = &init_table,
	.settings_size = sizeof(struct certs_settings),
	.run = run_init,
};
const struct command command_certs_issue = {
	.words = "certs issue",
	.table = &issue_table,
	.settings_size = sizeof(struct certs_settings),
	.arguments_min = 1,
	.arguments_max = 1,
	.run = run_issue,
};
const struct command command_certs_show = {
	.words = "certs show",
	.table = &show_table,
	.arguments_min = 1,
	.arguments_max = 1000,
	.run = run_show,
};
