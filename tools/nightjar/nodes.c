/* nightjar nodes: the nodes that a collector knows, whether they speak, and what they watch. */
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

/* "process tcp file(degraded)": full is the rule and needs no word. */
static const char *coverage_text(struct arena *arena, const Nightjar__V1__Node *n)
{
	_cleanup_buf_ struct buf text = {0};
	const char *copy;

	for (size_t i = 0; i < n->n_coverage; i++) {
		const Nightjar__V1__Coverage *c = n->coverage[i];

		buf_printf(&text, "%s%s", i ? " " : "", c->class_);
		if (strcmp(c->state, "full") != 0)
			buf_printf(&text, "(%s)", c->state);
	}
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
