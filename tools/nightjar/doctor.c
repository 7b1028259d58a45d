/* nightjar doctor: does this host have what Nightjar needs? One row a check, each ending in ok, warn or
 * fail with what to do about it. Looks and connects, changes nothing. */
#include <errno.h>
#include <linux/capability.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timex.h>
#include <sys/utsname.h>

#include "common/alert_text.h"
#include "common/clock.h"
#include "common/proto_json.h"
#include "common/tls.h"
#include "common/tls_diagnose.h"
#include "tools/nightjar/command.h"
#include "tools/nightjar/connect.h"
#include "tools/nightjar/programs.h"

#define KERNEL_MAJOR 5
#define KERNEL_MINOR 15
#define CONNECT_MS   2000
#define INDENT	     20 /* where the sentences begin */
#define YEAR_2024_S  1704067200ULL /* a clock before this was never set */

struct doctor_settings {
	struct connect_settings connect;
	char *output;
	struct opt_list kafka;
};

enum state { STATE_OK, STATE_WARN, STATE_FAIL };
static const char *const state_words[] = {"ok", "warn", "fail"};
static const char *const state_colors[] = {"\x1b[32m", "\x1b[33m", "\x1b[1;31m"};

/* Each leaves one sentence in text: what is there, or what to do. */
typedef enum state (*check_fn)(const struct doctor_settings *s, struct err *text);

static enum state say(struct err *text, enum state state, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static enum state say(struct err *text, enum state state, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text->text, sizeof(text->text), fmt, ap);
	va_end(ap);
	return state;
}

/* ---- this host ------------------------------------------------------------------------------ */

static enum state check_kernel(const struct doctor_settings *s, struct err *text)
{
	struct utsname u;
	unsigned int major = 0, minor = 0;

	(void)s;
	if (uname(&u) < 0 || sscanf(u.release, "%u.%u", &major, &minor) != 2)
		return say(text, STATE_WARN, "the kernel's version cannot be read");
	if (major < KERNEL_MAJOR || (major == KERNEL_MAJOR && minor < KERNEL_MINOR))
		return say(text, STATE_FAIL, "%s is older than %d.%d; a newer kernel is needed", u.release,
			   KERNEL_MAJOR, KERNEL_MINOR);
	return say(text, STATE_OK, "%s", u.release);
}

static enum state check_btf(const struct doctor_settings *s, struct err *text)
{
	static const char path[] = "/sys/kernel/btf/vmlinux";

	(void)s;
	if (access(path, R_OK) == 0)
		return say(text, STATE_OK, "%s", path);
	return say(text, STATE_FAIL, "%s: %s; a kernel built with CONFIG_DEBUG_INFO_BTF is needed", path,
		   strerror(errno));
}

static uint64_t effective_capabilities(void)
{
	_cleanup_(fclosep) FILE *in = fopen("/proc/self/status", "re");
	char line[256];

	while (in && fgets(line, sizeof(line), in))
		if (strncmp(line, "CapEff:", 7) == 0)
			return strtoull(line + 7, NULL, 16);
	return 0;
}

static enum state check_capabilities(const struct doctor_settings *s, struct err *text)
{
	static const struct {
		int bit;
		const char *name;
	} needed[] = {{CAP_BPF, "CAP_BPF"}, {CAP_PERFMON, "CAP_PERFMON"}, {CAP_SYS_PTRACE, "CAP_SYS_PTRACE"}};
	uint64_t have = effective_capabilities();

	(void)s;
	if (have >> CAP_SYS_ADMIN & 1)
		return say(text, STATE_OK, "all that the agent needs");
	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++)
		if (!(have >> needed[i].bit & 1))
			return say(text, STATE_FAIL, "%s is missing; run the agent as root", needed[i].name);
	return say(text, STATE_OK, "all that the agent needs");
}

static enum state check_tracefs(const struct doctor_settings *s, struct err *text)
{
	(void)s;
	if (access("/sys/kernel/tracing/events", F_OK) == 0)
		return say(text, STATE_OK, "/sys/kernel/tracing");
	return say(text, STATE_WARN,
		   "not mounted; only some kernels need it: mount -t tracefs tracefs /sys/kernel/tracing");
}

static enum state check_cgroup(const struct doctor_settings *s, struct err *text)
{
	(void)s;
	if (access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0)
		return say(text, STATE_OK, "version 2");
	if (access("/sys/fs/cgroup/unified/cgroup.controllers", F_OK) == 0)
		return say(text, STATE_OK, "version 1 with 2 beside it");
	return say(text, STATE_WARN, "version 1 alone; containers are named by its paths");
}

static enum state check_clock(const struct doctor_settings *s, struct err *text)
{
	struct timex t = {0};
	int r = adjtimex(&t);

	(void)s;
	if (clock_wall_ns() < YEAR_2024_S * NS_PER_SEC)
		return say(text, STATE_FAIL, "it was never set; certificates will not be valid: set it");
	if (r < 0 || r == TIME_ERROR || t.status & STA_UNSYNC)
		return say(text, STATE_WARN,
			   "nothing keeps it right; alerts of several nodes may seem out of order: run NTP");
	return say(text, STATE_OK, "kept right by NTP");
}

static enum state check_programs(const struct doctor_settings *s, struct err *text)
{
	char path[PATH_MAX];

	(void)s;
	if (programs_find("nightjar-agent", path, text) < 0 || programs_find("nightjar-collector", path, text) < 0)
		return STATE_FAIL;
	return say(text, STATE_OK, "%s and nightjar-agent", path);
}

/* ---- what it talks to ----------------------------------------------------------------------- */

static enum state check_certificates(const struct doctor_settings *s, struct err *text)
{
	__attribute__((cleanup(tls_files_done))) struct tls_files files = {0};
	struct connect_target t;

	connect_resolve(&s->connect, &t);
	if (access(t.ca, F_OK) < 0 && !*s->connect.ca)
		return say(text, STATE_WARN, "none in " CONNECT_CERTS
					     " and no dev runs; make some with: nightjar certs init");
	if (tls_load(t.ca, t.cert, t.key, clock_wall_ns(), &files, text) < 0)
		return STATE_FAIL;
	if (tls_key_is_exposed(t.key))
		return say(text, STATE_WARN, "others may read the key '%s': chmod 600", t.key);
	return say(text, STATE_OK, "%s", t.cert);
}

static enum state check_collector(const struct doctor_settings *s, struct err *text)
{
	__attribute__((cleanup(tls_files_done))) struct tls_files files = {0};
	struct connect_target t;
	const char *name = *s->connect.server_name ? s->connect.server_name : NULL;

	connect_resolve(&s->connect, &t);
	if (tls_load(t.ca, t.cert, t.key, clock_wall_ns(), &files, NULL) < 0)
		return say(text, STATE_WARN, "not asked: there are no good certificates to show");
	if (tls_diagnose(t.server, name, &files, CONNECT_MS, text) < 0)
		return STATE_FAIL;
	return say(text, STATE_OK, "%s answers", t.server);
}

static int connect_within(const struct addrinfo *at, int timeout_ms)
{
	_cleanup_(closep) int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	socklen_t len = sizeof(int);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, at->ai_addr, at->ai_addrlen) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return -errno;
	if (poll(&p, 1, timeout_ms) <= 0)
		return -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}

static int reach(const char *broker, struct err *text)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
	char host[256], port[8];
	int r = tls_split_target(broker, host, port, text);

	if (r < 0)
		return r;
	r = getaddrinfo(host, port, &hints, &found);
	if (r != 0)
		return err_set(text, -EHOSTUNREACH, "%s: %s", broker, gai_strerror(r));
	r = -EHOSTUNREACH;
	for (const struct addrinfo *at = found; at && r < 0; at = at->ai_next)
		r = connect_within(at, CONNECT_MS);
	freeaddrinfo(found);
	return r < 0 ? err_set(text, r, "%s: %s; is the broker up, is the port right?", broker, strerror(-r)) : 0;
}

static enum state check_kafka(const struct doctor_settings *s, struct err *text)
{
	if (s->kafka.count == 0)
		return say(text, STATE_OK, "not asked: no brokers given (--kafka HOST:PORT,...)");
	for (size_t i = 0; i < s->kafka.count; i++)
		if (reach(s->kafka.items[i], text) < 0)
			return STATE_FAIL;
	return say(text, STATE_OK, "%zu of %zu answer", s->kafka.count, s->kafka.count);
}

static const struct {
	const char *name;
	check_fn check;
} checks[] = {
	{"kernel", check_kernel},	{"btf", check_btf},
	{"capabilities", check_capabilities}, {"tracefs", check_tracefs},
	{"cgroup", check_cgroup},	{"clock", check_clock},
	{"programs", check_programs},	{"certificates", check_certificates},
	{"collector", check_collector}, {"kafka", check_kafka},
};

/* ---- the list ------------------------------------------------------------------------------- */

static void write_json(struct buf *out, const char *name, enum state state, const char *text)
{
	buf_printf(out, "{\"check\":\"%s\",\"state\":\"%s\",\"text\":", name, state_words[state]);
	proto_json_string(out, bytes_of_text(text));
	buf_add_text(out, "}\n");
}

/* Between words, where the next one would leave the terminal. width 0: nowhere. */
static void write_words(struct buf *out, const char *text, unsigned int width)
{
	unsigned int used = INDENT;

	while (*text) {
		size_t len = strcspn(text, " ");
		char word[sizeof(((struct err *)0)->text)];

		(void)snprintf(word, sizeof(word), "%.*s", (int)len, text);
		if (used > INDENT && width && used + 1 + len > width) {
			buf_printf(out, "\n%*s", INDENT, "");
			used = INDENT;
		} else if (used > INDENT) {
			buf_add_byte(out, ' ');
			used++;
		}
		used += alert_text_safe(out, word, 0);
		text += len + (text[len] == ' ');
	}
}

static void write_line(struct buf *out, const char *name, enum state state, const char *text,
		       const struct alert_text_style *style)
{
	buf_printf(out, "%s%-4s%s  %-12s  ", style->color ? state_colors[state] : "", state_words[state],
		   style->color ? "\x1b[0m" : "", name);
	write_words(out, text, style->width);
	buf_add_byte(out, '\n');
}

static int run(const void *settings, char **arguments)
{
	const struct doctor_settings *s = settings;
	struct alert_text_style style = alert_text_style_of(STDOUT_FILENO);
	bool failed = false;
	int r = EXIT_STATUS_OK;

	(void)arguments;
	for (size_t i = 0; i < sizeof(checks) / sizeof(*checks) && r == EXIT_STATUS_OK; i++) {
		_cleanup_buf_ struct buf out = {0};
		struct err text = {0};
		enum state state = checks[i].check(s, &text);

		failed = failed || state == STATE_FAIL;
		if (strcmp(s->output, "json") == 0)
			write_json(&out, checks[i].name, state, text.text);
		else
			write_line(&out, checks[i].name, state, text.text, &style);
		r = command_print(&out, "doctor"); /* at once: the next check may wait */
	}
	return failed ? EXIT_STATUS_FAILED : r;
}

static const struct opt opts[] = {
	{.key = "output", .type = OPT_CHOICE, .offset = offsetof(struct doctor_settings, output),
	 .fallback = "table", .choices = "table|json", .help = "table for people, or one JSON object a line"},
	{.key = "kafka", .type = OPT_LIST, .offset = offsetof(struct doctor_settings, kafka), .fallback = "",
	 .help = "brokers to reach, HOST:PORT,..."},
	CONNECT_ROWS(struct doctor_settings),
};

static const struct optable table = {
	.program = "nightjar doctor",
	.summary = "say whether this host has what Nightjar needs",
	.opts = opts,
	.count = sizeof(opts) / sizeof(*opts),
	.command = true,
};

const struct command command_doctor = {
	.words = "doctor",
	.table = &table,
	.settings_size = sizeof(struct doctor_settings),
	.run = run,
};
