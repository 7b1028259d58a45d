/* nightjar nodes, nodes get: the nodes that a collector knows, whether they speak, and what they
 * watch. */
#include <string.h>

#include "common/alert_text.h"
#include "common/clock.h"
#include "common/proto_json.h"
#include "nightjar/v1/query.pb-c.h"
#include "tools/nightjar/columns.h"
#include "tools/nightjar/command.h"
#include "tools/nightjar/connect.h"

struct nodes_settings {
	struct connect_settings connect;
	char *output;
};

static const struct opt opts[] = {
	{.key = "output", .type = OPT_CHOICE, .offset = offsetof(struct nodes_settings, output),
	 .fallback = "table", .choices = "table|json", .help = "table for people, or one JSON object a line"},
	CONNECT_ROWS(struct nodes_settings),
};

static const struct optable table = {
	.program = "nightjar nodes",
	.summary = "print the nodes, what they watch and what they lost",
	.opts = opts,
	.count = sizeof(opts) / sizeof(*opts),
	.command = true,
};

static const struct optable get_table = {
	.program = "nightjar nodes get NODE",
	.summary = "print one node, class by class of what it watches",
	.opts = opts,
	.count = sizeof(opts) / sizeof(*opts),
	.command = true,
};

static const struct column columns[] = {
	{"NODE", 10}, {"STATE", 0}, {"KERNEL", 8}, {"AGENT", 0}, {"EVENTS", 0}, {"LOST", 0}, {"RSS", 0}, {"COVERAGE", COLUMN_BELOW},
};
#define COLUMN_COUNT (sizeof(columns) / sizeof(*columns))

/* "connected", or how long ago it last spoke. */
static const char *state_text(struct arena *arena, const Nightjar__V1__Node *n)
{
	int64_t ago = n->last_seen ? (int64_t)(clock_wall_ns() / NS_PER_SEC) - n->last_seen->seconds : -1;
	const char *text;

	if (n->connected)
		return "connected";
	if (ago < 0)
		return "silent";
	text = ago < 120 ? arena_printf(arena, "silent %d s", (int)ago) :
			   arena_printf(arena, "silent %d min", (int)(ago / 60));
	return text ? text : "";
}

/* "19 full, file degraded, cpu missing": what is full needs no name. */
static const char *coverage_text(struct arena *arena, const Nightjar__V1__Node *n)
{
	_cleanup_buf_ struct buf text = {0};
	size_t full = 0;
	const char *copy;

	for (size_t i = 0; i < n->n_coverage; i++)
		full += strcmp(n->coverage[i]->state, "full") == 0;
	if (n->n_coverage > 0)
		buf_printf(&text, "%zu full", full);
	for (size_t i = 0; i < n->n_coverage; i++)
		if (strcmp(n->coverage[i]->state, "full") != 0)
			buf_printf(&text, ", %s %s", n->coverage[i]->class_, n->coverage[i]->state);
	copy = arena_strdup(arena, buf_text(&text));
	return copy ? copy : "";
}

static const char *number_text(struct arena *arena, uint64_t number, const char *unit)
{
	const char *text = arena_printf(arena, "%llu%s", (unsigned long long)number, unit);

	return text ? text : "";
}

static void write_table(struct buf *out, const Nightjar__V1__ListNodesResponse *page, struct arena *arena)
{
	const char **cells = arena_alloc(arena, (page->n_nodes * COLUMN_COUNT + 1) * sizeof(*cells));

	for (size_t i = 0; cells && i < page->n_nodes; i++) {
		const Nightjar__V1__Node *n = page->nodes[i];
		const char **row = cells + i * COLUMN_COUNT;

		row[0] = n->name;
		row[1] = state_text(arena, n);
		row[2] = n->kernel;
		row[3] = n->agent_version;
		row[4] = number_text(arena, n->events, "");
		row[5] = number_text(arena, n->events_lost, "");
		row[6] = n->agent_rss_bytes ? number_text(arena, n->agent_rss_bytes >> 20, " MiB") : "-";
		row[7] = coverage_text(arena, n);
	}
	if (cells)
		columns_write(out, columns, COLUMN_COUNT, cells, page->n_nodes,
			      alert_text_style_of(STDOUT_FILENO).width);
}

static int print_page(const struct nodes_settings *s, const Nightjar__V1__ListNodesResponse *page)
{
	_cleanup_(arena_freep) struct arena *arena = arena_new(0);
	_cleanup_buf_ struct buf out = {0};

	if (!arena)
		return command_fail(EXIT_STATUS_FAILED, "nodes", "out of memory");
	if (strcmp(s->output, "table") == 0)
		write_table(&out, page, arena);
	else
		for (size_t i = 0; i < page->n_nodes; i++)
			if (proto_json_write(&out, &page->nodes[i]->base) == 0)
				buf_add_byte(&out, '\n');
	return command_print(&out, "nodes");
}

static int list_all(const void *settings, char **arguments, struct connection *c, struct err *e)
{
	Nightjar__V1__ListNodesRequest request = NIGHTJAR__V1__LIST_NODES_REQUEST__INIT;
	Nightjar__V1__ListNodesResponse *page = NULL;
	ProtobufCMessage *reply = NULL;
	int r;

	(void)arguments;
	do {
		r = connect_call(c, "/nightjar.v1.Fleet/ListNodes", &request.base,
				 &nightjar__v1__list_nodes_response__descriptor, &reply, e);
		nightjar__v1__list_nodes_response__free_unpacked(page, NULL);
		if (r < 0)
			return r;
		page = (Nightjar__V1__ListNodesResponse *)reply;
		r = print_page(settings, page);
		request.page_token = page->next_page_token;
	} while (r == EXIT_STATUS_OK && *request.page_token);
	nightjar__v1__list_nodes_response__free_unpacked(page, NULL);
	return r;
}

/* ---- one node ------------------------------------------------------------------------------- */

static const struct column fact_columns[] = {{"FACT", 0}, {"VALUE", 16}};
static const struct column class_columns[] = {{"CLASS", 0}, {"STATE", 0}, {"REASON", 16}};

static void write_facts(struct buf *out, const Nightjar__V1__Node *n, struct arena *arena,
			unsigned int width)
{
	const char *const cells[] = {
		"node",
		n->name,
		"cluster",
		n->cluster,
		"state",
		state_text(arena, n),
		"boot",
		n->boot_id,
		"kernel",
		n->kernel,
		"agent",
		n->agent_version,
		"policy",
		number_text(arena, n->policy_generation, ""),
		"events",
		number_text(arena, n->events, ""),
		"events lost",
		number_text(arena, n->events_lost, ""),
		"agent's memory",
		number_text(arena, n->agent_rss_bytes >> 20, " MiB"),
		"agent's CPU time",
		number_text(arena, n->agent_cpu_ns / NS_PER_SEC, " s"),
	};

	columns_write(out, fact_columns, 2, cells, sizeof(cells) / sizeof(cells[0]) / 2, width);
}

static void write_classes(struct buf *out, const Nightjar__V1__Node *n, struct arena *arena,
			  unsigned int width)
{
	const char **cells = arena_alloc(arena, (n->n_coverage * 3 + 1) * sizeof(*cells));

	for (size_t i = 0; cells && i < n->n_coverage; i++) {
		cells[3 * i] = n->coverage[i]->class_;
		cells[3 * i + 1] = n->coverage[i]->state;
		cells[3 * i + 2] = n->coverage[i]->reason;
	}
	if (cells && n->n_coverage > 0)
		columns_write(out, class_columns, 3, cells, n->n_coverage, width);
}

static int print_node(const struct nodes_settings *s, const Nightjar__V1__Node *n)
{
	_cleanup_(arena_freep) struct arena *arena = arena_new(0);
	_cleanup_buf_ struct buf out = {0};
	unsigned int width = alert_text_style_of(STDOUT_FILENO).width;

	if (!arena)
		return command_fail(EXIT_STATUS_FAILED, "nodes get", "out of memory");
	if (strcmp(s->output, "table") == 0) {
		write_facts(&out, n, arena, width);
		buf_add_byte(&out, '\n');
		write_classes(&out, n, arena, width);
	} else if (proto_json_write(&out, &n->base) == 0) {
		buf_add_byte(&out, '\n');
	}
	return command_print(&out, "nodes get");
}

static int get_one(const void *settings, char **arguments, struct connection *c, struct err *e)
{
	Nightjar__V1__GetNodeRequest request = NIGHTJAR__V1__GET_NODE_REQUEST__INIT;
	ProtobufCMessage *reply = NULL;
	int r;

	request.name = arguments[0];
	r = connect_call(c, "/nightjar.v1.Fleet/GetNode", &request.base,
			 &nightjar__v1__node__descriptor, &reply, e);
	if (r < 0)
		return r;
	r = print_node(settings, (const Nightjar__V1__Node *)reply);
	protobuf_c_message_free_unpacked(reply, NULL);
	return r;
}

static int run_get(const void *settings, char **arguments)
{
	const struct nodes_settings *s = settings;

	return connect_run("nodes get", &s->connect, get_one, s, arguments);
}

static int run(const void *settings, char **arguments)
{
	const struct nodes_settings *s = settings;

	return connect_run("nodes", &s->connect, list_all, s, arguments);
}

const struct command command_nodes = {
	.words = "nodes",
	.table = &table,
	.settings_size = sizeof(struct nodes_settings),
	.run = run,
};

const struct command command_nodes_get = {
	.words = "nodes get",
	.table = &get_table,
	.settings_size = sizeof(struct nodes_settings),
	.arguments_min = 1,
	.arguments_max = 1,
	.run = run_get,
};
