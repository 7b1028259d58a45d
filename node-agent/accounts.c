/* See accounts.h. */
#include "node-agent/accounts.h"

#include <sys/sysinfo.h>

#include "common/buf.h"
#include "common/log.h"
#include "node-agent/event_class.h"

void accounts_say_cpus(struct capture *c)
{
	_cleanup_buf_ struct buf text = {0};
	struct nj_counts counts;

	for (int cpu = 0; capture_counts(c, cpu, &counts) == 0; cpu++)
		for (int class = 0; class < NJ_CLASS_MAX; class++)
			if (counts.lost[class])
				buf_printf(&text, "%scpu=%d class=%s lost=%llu", text.len ? " " : "", cpu,
					   event_class_name((enum nj_class)class),
					   (unsigned long long)counts.lost[class]);
	if (text.len > 0)
		log_limited(LOG_LEVEL_WARNING, "rings were full, since the start: %s", buf_text(&text));
}

int64_t accounts_off(const struct capture_account *a, uint32_t in_flight)
{
	int64_t acts = (int64_t)(a->seen - a->shipped - a->suppressed - a->lost);
	int64_t repeats = (int64_t)(a->suppressed - a->repeated - a->waiting);

	if (acts < 0 || acts > (int64_t)in_flight)
		return acts;
	return a->moved ? 0 : repeats;
}

void accounts_check(struct capture *c)
{
	struct capture_account rows[NJ_CLASS_MAX];
	uint32_t cpus; /* asked once: it is a file that is read */

	if (capture_account(c, rows) < 0)
		return;
	cpus = (uint32_t)get_nprocs_conf();
	for (int class = 0; class < NJ_CLASS_MAX; class++) {
		int64_t off = accounts_off(&rows[class], cpus);

		if (off)
			log_limited(LOG_LEVEL_ERROR, "%lld events of class %s are not accounted for", (long long)off,
				    rows[class].class);
	}
}

void accounts_say(struct capture *c)
{
	struct capture_account rows[NJ_CLASS_MAX];
	_cleanup_buf_ struct buf text = {0};

	if (capture_account(c, rows) < 0)
		return;
	for (int class = 0; class < NJ_CLASS_MAX; class++)
		if (rows[class].seen)
			buf_printf(&text, "%sclass=%s seen=%llu told=%llu summed_up=%llu lost=%llu", text.len ? ", " : "",
				   rows[class].class, (unsigned long long)rows[class].seen,
				   (unsigned long long)rows[class].shipped,
				   (unsigned long long)rows[class].suppressed, (unsigned long long)rows[class].lost);
	log_debug("captured since the start: %s", buf_text(&text));
	if (capture_overtaken(c))
		log_info("the order of acts gave way %llu times to a CPU that stood still",
			 (unsigned long long)capture_overtaken(c));
}
