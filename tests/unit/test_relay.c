/* The search from a descriptor to the parties beyond: each rule that lets it on or stops it. */
#include "tests/unit/story.h"

#include "collector/detect/relay.h"

#define SHELL	1
#define OUTSIDE ((struct peer){.cookie = 77, .ip = "203.0.113.9", .port = 4444})

struct net {
	struct entities *en;
	uint32_t node;
	const struct container_def *container;
	struct relay_search search;
};

static int begin(void **state)
{
	struct net *n = calloc(1, sizeof(*n));

	assert_non_null(n);
	n->en = entities_new();
	assert_non_null(n->en);
	n->node = entities_node(n->en, &(struct node_ref){"c", "n", "b"})->id;
	n->container = &story_host;
	*state = n;
	return 0;
}

static int end(void **state)
{
	struct net *n = *state;

	entities_free(n->en);
	free(n);
	return 0;
}

static struct process *act(struct net *n, enum event_kind kind, uint32_t pid, const char *exe,
			   const struct endpoint *fds)
{
	struct process_def def = {.exec_id = pid,
				  .pid = pid,
				  .start_ns = pid,
				  .exe = {.path = exe, .mode = 0100755, .inode = 1},
				  .cwd = "/",
				  .comm = "",
				  .exe_raw = "",
				  .session = pid,
				  .container = n->container};
	struct event event = {
		.kind = kind, .process = &def, .endpoints = fds, .raw_path = "", .file.path = ""};
	struct process *p;

	while (fds[event.endpoint_count].kind != ENDPOINT_KIND_MAX)
		event.endpoint_count++;
	p = entities_apply(n->en, n->node, &event);
	entities_after(n->en, n->node, p, &event);
	return p;
}

static struct process *runs(struct net *n, uint32_t pid, const struct endpoint *fds)
{
	return act(n, EVENT_KIND_EXEC, pid, "/bin/x", fds);
}

/* Searches from descriptor fd of the shell; returns the number of parties. */
static int search(struct net *n, struct process *shell, int fd, bool input)
{
	n->search = (struct relay_search){
		.entities = n->en, .interpreter = shell, .hops_max = 4, .input = input};
	assert_non_null(descriptor_find(shell, fd));
	relay_run(&n->search, descriptor_find(shell, fd));
	return n->search.party_count;
}

static struct endpoint in_state(struct endpoint e, uint8_t state)
{
	e.state = state;
	return e;
}

/* ---- the interpreter's own sockets ---- */

static void an_outgoing_connection_is_a_party_at_once(void **state)
{
	struct net *n = *state;
	struct process *shell = runs(n, SHELL, FDS(tcp(0, &OUTSIDE)));

	assert_int_equal(search(n, shell, 0, true), 1);
	assert_int_equal(n->search.parties[0].step, RELAY_NONE);
	assert_int_equal(n->search.parties[0].socket->remote_port, 4444);
	assert_int_equal(n->search.step_count, 0);
}

static void a_connection_that_came_in_or_is_not_made_yet_is_none(void **state)
{
	const struct peer client = {
		.cookie = 5, .ip = "203.0.113.9", .port = 50000, .local_port = 22};
	const struct peer nobody = {.cookie = 6, .ip = "0.0.0.0", .port = 9};
	const struct peer evil = OUTSIDE;
	struct net *n = *state;
	struct process *shell = runs(
		n, SHELL,
		FDS(tcp(0, &client), in_state(tcp(1, &evil), 2), in_state(tcp(2, &nobody), 1)));

	for (int fd = 0; fd <= 2; fd++)
		assert_int_equal(search(n, shell, fd, true), 0);
}

static void udp_is_a_party_only_of_the_interpreter_itself(void **state)
{
	struct net *n = *state;
	struct process *shell = runs(n, SHELL, FDS(udp(0, &OUTSIDE), pipe_w(1, 5)));

	(void)runs(n, 2, FDS(pipe_r(0, 5), udp(3, &OUTSIDE)));
	assert_int_equal(search(n, shell, 0, true), 1);
	assert_int_equal(search(n, shell, 1, false), 0);
	assert_int_equal(n->search.step_count, 1);
}

/* ---- pipes ---- */

static void a_pipe_leads_the_way_that_its_bytes_go(void **state)
{
	struct net *n = *state;
	struct process *shell = runs(n, SHELL, FDS(pipe_r(0, 5), pipe_w(1, 6)));

	(void)runs(n, 2, FDS(pipe_w(1, 5), tcp(3, &OUTSIDE)));
	(void)runs(n, 3, FDS(pipe_w(1, 6), tcp(3, &OUTSIDE))); /* writes there as well */
	assert_int_equal(search(n, shell, 0, true), 1);
	assert_int_equal(search(n, shell, 0, false), 0);
	assert_int_equal(search(n, shell, 1, false), 0);
}

static void what_it_passes_is_marked(void **state)
{
	struct net *n = *state;
	struct process *shell = runs(n, SHELL, FDS(pipe_r(0, 5)));
	struct process *relay = runs(n, 2, FDS(pipe_w(1, 5), tcp(3, &OUTSIDE)));

	assert_int_equal(search(n, shell, 0, true), 1);
	assert_true(relay->marks & PROCESS_RELAY);
	assert_false(shell->marks & PROCESS_RELAY);
	assert_true(endpoint_find(n->en, &shell->fds[0].key)->flags & ENDPOINT_ON_PATH);
	assert_ptr_equal(n->search.steps[0].process, relay);
	assert_int_equal(n->search.steps[0].via, ENDPOINT_KIND_PIPE);
	assert_int_equal(n->search.parties[0].step, 0);
}

static void a_pipe_that_nobody_holds_any_more_ends_it(void **state)
{
	struct net *n = *state;
	struct endpoint dead = pipe_r(0, 5);
	struct process *shell;

	dead.writers = 0;
	(void)runs(n, 2, FDS(pipe_w(1, 5), tcp(3, &OUTSIDE)));
	shell = runs(n, SHELL, FDS(dead));
	assert_int_equal(search(n, shell, 0, true), 0);
}

static void who_has_exited_passes_nothing_on(void **state)
{
	struct net *n = *state;
	struct process *shell = runs(n, SHELL, FDS(pipe_r(0, 5)));

	(void)runs(n, 2, FDS(pipe_w(1, 5), tcp(3, &OUTSIDE)));
	(void)act(n, EVENT_KIND_EXIT, 2, "/bin/x", FDS());
	assert_int_equal(search(n, shell, 0, true), 0);
}

/* ---- bounds ---- */

/* 1 ← 2 ← 3 …, the last one holds the connection. */
static struct process *chain(struct net *n, uint32_t relays)
{
	struct process *shell = runs(n, SHELL, FDS(pipe_r(0, 100)));

	for (uint32_t i = 0; i + 1 < relays; i++)
		(void)runs(n, 2 + i, FDS(pipe_w(1, 100 + i), pipe_r(0, 101 + i)));
	(void)runs(n, 1 + relays, FDS(pipe_w(1, 99 + relays), tcp(3, &OUTSIDE)));
	return shell;
}

static void four_hops_are_followed(void **state)
{
	struct net *n = *state;

	assert_int_equal(search(n, chain(n, 4), 0, true), 1);
	assert_int_equal(n->search.steps[n->search.parties[0].step].hops, 4);
}

static void a_fifth_hop_is_not(void **state)
{
	struct net *n = *state;

	assert_int_equal(search(n, chain(n, 5), 0, true), 0);
}

static void a_ring_ends(void **state)
{
	struct net *n = *state;
	struct process *shell = runs(n, SHELL, FDS(pipe_r(0, 5), pipe_w(1, 6)));

	(void)runs(n, 2, FDS(pipe_w(1, 5), pipe_r(0, 6)));
	assert_int_equal(search(n, shell, 0, true), 0);
	assert_int_equal(n->search.step_count, 1);
}

static void parties_and_processes_are_bounded(void **state)
{
	struct net *n = *state;
	struct process *shell = runs(n, SHELL, FDS(pipe_r(0, 5), pipe_r(3, 6)));

	for (uint64_t i = 0; i < 20; i++) {
		struct peer p = {.cookie = 200 + i, .ip = "203.0.113.9", .port = 80};

		(void)act(n, EVENT_KIND_DUP, 2, "/bin/x", FDS(tcp(10 + (int)i, &p)));
	}
	(void)act(n, EVENT_KIND_DUP, 2, "/bin/x", FDS(pipe_w(1, 5)));
	assert_int_equal(search(n, shell, 0, true), RELAY_PARTIES);
	/* Fans of six holders each, over three hops: more than are visited. */
	for (uint32_t i = 0; i < 6; i++)
		(void)runs(n, 10 + i, FDS(pipe_w(1, 6), pipe_r(0, 300 + i)));
	for (uint32_t i = 0; i < 36; i++)
		(void)runs(n, 20 + i, FDS(pipe_w(1, 300 + i / 6)));
	assert_int_equal(search(n, shell, 3, true), 0);
	assert_int_equal(n->search.step_count, RELAY_PROCESSES);
}

/* ---- what else it goes through, and what stops it ---- */

static void a_terminal_leads_to_who_holds_its_master_and_no_further(void **state)
{
	struct net *n = *state;
	struct process *shell = runs(n, SHELL, FDS(pty_s(0, 1), pipe_r(3, 5)));

	(void)runs(n, 2, FDS(pty_m(3, 1), tcp(4, &OUTSIDE)));
	assert_int_equal(search(n, shell, 0, true), 1);
	/* A relay's own master leads to nobody. */
	(void)runs(n, 3, FDS(pipe_w(1, 5), pty_m(3, 2)));
	(void)runs(n, 4, FDS(pty_s(0, 2), tcp(4, &OUTSIDE)));
	assert_int_equal(search(n, shell, 3, true), 0);
}

static void another_container_stops_it(void **state)
{
	static const struct container_def other = {
		.container_id = "aa11", .pod_uid = "u", .name = "c", .image = "i", .pod = "p",
		.namespace = "n", .cgroup = "/pod", .image_id = "", .workload = ""};
	struct net *n = *state;
	struct process *shell = runs(n, SHELL, FDS(pipe_r(0, 5)));

	n->container = &other;
	(void)runs(n, 2, FDS(pipe_w(1, 5), tcp(3, &OUTSIDE)));
	assert_int_equal(search(n, shell, 0, true), 0);
}

/* Only what a login leaves behind makes an sshd one: the accepted connection, and the user's
 * change. */
static void a_terminal_server_stops_it_if_somebody_logged_in(void **state)
{
	static const struct {
		const char *exe;
		uint32_t server, shell;
		int parties;
	} cases[] = {
		{"/usr/sbin/sshd", PROCESS_ACCEPTED, PROCESS_CRED, 0},
		{"/usr/sbin/sshd", 0, PROCESS_CRED, 1},
		{"/usr/sbin/sshd", PROCESS_ACCEPTED, 0, 1},
		{"/tmp/sshd", PROCESS_ACCEPTED, PROCESS_CRED, 1},
		{"/usr/bin/nc", PROCESS_ACCEPTED, PROCESS_CRED, 1},
	};
	struct net *n = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct process *server = act(n, EVENT_KIND_EXEC, 2, cases[i].exe,
					     FDS(pty_m(3, 1), tcp(4, &OUTSIDE)));
		struct process *shell = runs(n, SHELL, FDS(pty_s(0, 1)));

		server->marks = cases[i].server | PROCESS_OWN_IMAGE;
		shell->marks = cases[i].shell | PROCESS_OWN_IMAGE;
		assert_int_equal(search(n, shell, 0, true), cases[i].parties);
	}
}

/* A socket pair joins families; a hub that serves many joins nobody. */
static void a_hub_of_unix_sockets_links_nobody(void **state)
{
	struct net *n = *state;
	struct process *shell = runs(n, SHELL, FDS(unix_s(0, 500, 501)));
	struct process *peer = runs(n, 2, FDS(unix_s(3, 501, 500), tcp(4, &OUTSIDE)));

	assert_int_equal(search(n, shell, 0, true), 0); /* of another session */
	peer->session = shell->session;
	assert_int_equal(search(n, shell, 0, true), 1);
	for (uint64_t i = 0; i < 15; i++)
		(void)act(n, EVENT_KIND_DUP, 2, "/bin/x",
			  FDS(unix_s(20 + (int)i, 600 + i, 700 + i)));
	peer->session = shell->session;
	assert_int_equal(search(n, shell, 0, true), 0);
	shell->parent = peer->key;
	assert_int_equal(search(n, shell, 0, true), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_outgoing_connection_is_a_party_at_once),
		TEST(a_connection_that_came_in_or_is_not_made_yet_is_none),
		TEST(udp_is_a_party_only_of_the_interpreter_itself),
		TEST(a_pipe_leads_the_way_that_its_bytes_go),
		TEST(what_it_passes_is_marked),
		TEST(a_pipe_that_nobody_holds_any_more_ends_it),
		TEST(who_has_exited_passes_nothing_on),
		TEST(four_hops_are_followed),
		TEST(a_fifth_hop_is_not),
		TEST(a_ring_ends),
		TEST(parties_and_processes_are_bounded),
		TEST(a_terminal_leads_to_who_holds_its_master_and_no_further),
		TEST(another_container_stops_it),
		TEST(a_terminal_server_stops_it_if_somebody_logged_in),
		TEST(a_hub_of_unix_sockets_links_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
