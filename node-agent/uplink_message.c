/* Hello, heartbeat and the collector's messages; see uplink_message.h. */
#include "node-agent/uplink_message.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/utsname.h>

#include "common/version.h"
#include "common/wire_check.h"
#include "nightjar/v1/agent.pb-c.h"

#define COVERAGE_MAX 32

static char *unconst(const char *text)
{
	return (char *)(uintptr_t)text; /* protobuf-c's structs are not const; packing changes nothing */
}

static int write_message(const Nightjar__V1__AgentMessage *message, struct buf *out)
{
	uint8_t *room = buf_extend(out, nightjar__v1__agent_message__get_packed_size(message));

	if (room)
		(void)nightjar__v1__agent_message__pack(message, room);
	return buf_error(out);
}

static size_t list_coverage(const struct uplink_config *config, Nightjar__V1__Coverage *rows,
			    Nightjar__V1__Coverage **list)
{
	size_t count = 0;

	for (; count < config->coverage_count && count < COVERAGE_MAX; count++) {
		nightjar__v1__coverage__init(&rows[count]);
		rows[count].class_ = unconst(config->coverage[count].class);
		rows[count].state = unconst(config->coverage[count].state);
		rows[count].reason = unconst(config->coverage[count].reason);
		list[count] = &rows[count];
	}
	return count;
}

int uplink_write_hello(const struct uplink_config *config, uint64_t resume_seq, struct buf *out)
{
	Nightjar__V1__AgentMessage message = NIGHTJAR__V1__AGENT_MESSAGE__INIT;
	Nightjar__V1__Hello hello = NIGHTJAR__V1__HELLO__INIT;
	Nightjar__V1__Coverage rows[COVERAGE_MAX], *list[COVERAGE_MAX];
	struct utsname name = {0};

	(void)uname(&name);
	message.body_case = NIGHTJAR__V1__AGENT_MESSAGE__BODY_HELLO;
	message.hello = &hello;
	hello.cluster = unconst(config->cluster);
	hello.node = unconst(config->node);
	hello.boot_id = unconst(config->boot_id);
	hello.kernel = name.release;
	hello.agent_version = unconst(NIGHTJAR_VERSION);
	hello.n_coverage = list_coverage(config, rows, list);
	hello.coverage = list;
	hello.resume_seq = resume_seq;
	return write_message(&message, out);
}

static void fill_lookups(Nightjar__V1__ContainerLookups *out, const struct cri_stats *stats)
{
	nightjar__v1__container_lookups__init(out);
	out->answered = stats->answered;
	out->unknown = stats->unknown;
	out->failed = stats->failed;
	out->cut = stats->cut;
	out->problem = unconst(stats->problem);
}

int uplink_write_heartbeat(uint64_t boot_ns, int64_t wall_offset_ns, const struct selfstats *stats,
			   const struct cri_stats *lookups, struct buf *out)
{
	Nightjar__V1__AgentMessage message = NIGHTJAR__V1__AGENT_MESSAGE__INIT;
	Nightjar__V1__Heartbeat beat = NIGHTJAR__V1__HEARTBEAT__INIT;
	Nightjar__V1__ContainerLookups asked;

	message.body_case = NIGHTJAR__V1__AGENT_MESSAGE__BODY_HEARTBEAT;
	message.heartbeat = &beat;
	beat.boot_ns = boot_ns;
	beat.wall_offset_ns = wall_offset_ns;
	beat.rss_bytes = stats->rss_bytes;
	beat.cpu_ns = stats->cpu_ns;
	if (lookups) {
		fill_lookups(&asked, lookups);
		beat.container_lookups = &asked;
	}
	return write_message(&message, out);
}

static void handle_policy(const Nightjar__V1__Policy *in, const struct uplink_handlers *handlers)
{
	struct uplink_policy *policy;
	struct err e = {0};

	if (uplink_policy_read(in, &policy, &e) < 0)
		handlers->refused(handlers->ctx, in->generation, e.text);
	else
		handlers->policy(handlers->ctx, policy);
}

int uplink_read(struct bytes message, const struct uplink_handlers *handlers)
{
	Nightjar__V1__CollectorMessage *in;

	if (wire_check(&nightjar__v1__collector_message__descriptor, message) < 0)
		return -EBADMSG;
	in = nightjar__v1__collector_message__unpack(NULL, message.len, message.data);
	if (!in)
		return -EBADMSG;
	switch (in->body_case) {
	case NIGHTJAR__V1__COLLECTOR_MESSAGE__BODY_ACK:
		handlers->ack(handlers->ctx, in->ack->seq);
		break;
	case NIGHTJAR__V1__COLLECTOR_MESSAGE__BODY_NEED_EPOCH:
		handlers->need_epoch(handlers->ctx);
		break;
	case NIGHTJAR__V1__COLLECTOR_MESSAGE__BODY_POLICY:
		handle_policy(in->policy, handlers);
		break;
	case NIGHTJAR__V1__COLLECTOR_MESSAGE__BODY_THROTTLE:
		handlers->throttle(handlers->ctx, in->throttle->max_batches_in_flight);
		break;
	default:
		break;
	}
	nightjar__v1__collector_message__free_unpacked(in, NULL);
	return 0;
}
