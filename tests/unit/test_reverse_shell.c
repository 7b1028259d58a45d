/* Reverse shells by every mechanism that the detector claims, the same acts one edge short of it,
 * and what ordinary days do that looks alike. */
#include "tests/unit/story.h"

#define USER_SHELL	 story_start(s, NULL, "/usr/bin/bash", ARGS("-bash"), FDS())
#define STORY		 _cleanup_(story_freep) struct story *s = story_new()
#define assert_one(s)	 assert_int_equal(story_count(s, "reverse_shell"), 1)
#define assert_silent(s) assert_int_equal((s)->alert_count, 0)

static const struct peer evil = {.cookie = 77, .ip = "203.0.113.9", .port = 4444};
static const struct peer database = {.cookie = 78, .ip = "10.0.0.9", .port = 5432};

#define ON_SOCKET FDS(tcp(0, &evil), tcp(1, &evil), tcp(2, &evil))

/* ---- near misses ---- */

/* inetd, Accept=yes, tcpserver: the service's language does not matter. */
static void a_service_on_an_accepted_connection_is_silent(void **state)
{
	static const struct peer client = {
		.cookie = 5, .ip = "203.0.113.9", .port = 50000, .local_port = 2222};
	STORY;
	struct actor *inetd = story_start(s, NULL, "/usr/bin/inetd", ARGS("inetd"), FDS());
	struct actor *service;

	(void)state;
	story_act(s, EVENT_KIND_ACCEPT, inetd, FDS(tcp(7, &client)));
	service = story_spawn(s, inetd, "/usr/bin/python3.11", ARGS("python3", "-c", "serve()"),
			      FDS(tcp(0, &client), tcp(1, &client), tcp(2, &client)));
	story_spawn(s, service, "/opt/service/hook", ARGS("hook"),
		    FDS(tcp(0, &client), tcp(1, &client), tcp(2, &client)));
	story_tell(s, 64);
	assert_silent(s);
}

/* It was there before the agent, so nobody knows who made the connection. */
static void a_service_whose_connection_was_not_seen_being_made_is_silent(void **state)
{
	STORY;

	(void)state;
	(void)story_start(s, NULL, "/opt/service/run", ARGS("run"), ON_SOCKET);
	story_tell(s, 64);
	assert_silent(s);
}

/* A client that hands its connection on, but has its errors elsewhere; three different ones. */
static void a_program_with_another_way_to_talk_is_silent(void **state)
{
	static const struct peer other = {.cookie = 79, .ip = "203.0.113.9", .port = 4444};
	STORY;
	struct actor *sh = USER_SHELL;

	(void)state;
	story_connected(s, sh, &evil);
	story_connected(s, sh, &other);
	story_spawn(s, sh, "/opt/a", ARGS("a"), FDS(tcp(0, &evil), tcp(1, &evil), pty_s(2, 1)));
	story_spawn(s, sh, "/opt/a", ARGS("a"), FDS(tcp(0, &evil), tcp(1, &evil)));
	story_spawn(s, sh, "/opt/a", ARGS("a"), FDS(tcp(0, &evil), tcp(1, &other), tcp(2, &evil)));
	story_spawn(s, sh, "/opt/a", ARGS("a"), FDS(pty_s(0, 1), tcp(1, &evil), tcp(2, &evil)));
	story_tell(s, 64);
	assert_silent(s);
}

static void a_socket_on_input_only_is_silent(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL;

	(void)state;
	story_spawn(s, sh, "/usr/bin/bash", ARGS("bash"),
		    FDS(tcp(0, &evil), pty_s(1, 1), pty_s(2, 1)));
	story_tell(s, 64);
	assert_silent(s);
}

static void a_socket_on_output_only_is_silent(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL;

	(void)state;
	story_spawn(s, sh, "/usr/bin/bash", ARGS("bash"),
		    FDS(pty_s(0, 1), tcp(1, &evil), tcp(2, &evil)));
	story_tell(s, 64);
	assert_silent(s);
}

static void a_command_string_or_a_script_is_an_edge_only(void **state)
{
	const char *const *const command_lines[] = {
		ARGS("bash", "-c", "id"),
		ARGS("bash", "-lic", "id"),
		ARGS("bash", "job.sh"),
		ARGS("bash", "-e", "-o", "pipefail", "job.sh"),
		ARGS("bash", "--norc", "job.sh"),
		ARGS("bash", "--", "job.sh"),
		ARGS("bash", "--rcfile", "rc", "job.sh"),
	};
	STORY;
	struct actor *sh = USER_SHELL;

	(void)state;
	for (size_t i = 0; i < sizeof(command_lines) / sizeof(command_lines[0]); i++)
		story_spawn(s, sh, "/usr/bin/bash", command_lines[i],
			    FDS(tcp(0, &evil), tcp(1, &evil)));
	story_tell(s, 64);
	assert_silent(s);
}

static void a_program_that_is_no_interpreter_is_silent(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL;

	(void)state;
	story_spawn(s, sh, "/usr/bin/git", ARGS("git", "upload-pack"),
		    FDS(tcp(0, &evil), tcp(1, &evil)));
	story_tell(s, 64);
	assert_silent(s);
}

static void an_accepted_connection_is_no_reverse_shell(void **state)
{
	static const struct peer client = {
		.cookie = 5, .ip = "203.0.113.9", .port = 50000, .local_port = 2222};
	STORY;
	struct actor *srv = story_start(s, NULL, "/usr/bin/inetd", ARGS("inetd"), FDS());

	(void)state;
	story_act(s, EVENT_KIND_ACCEPT, srv, FDS(tcp(7, &client)));
	story_spawn(s, srv, "/usr/bin/bash", ARGS("bash"), FDS(tcp(0, &client), tcp(1, &client)));
	story_tell(s, 64);
	assert_silent(s);
}

static void input_and_output_of_different_parties_are_silent(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL;

	(void)state;
	story_spawn(s, sh, "/usr/bin/bash", ARGS("bash"), FDS(tcp(0, &evil), tcp(1, &database)));
	story_tell(s, 64);
	assert_silent(s);
}

static void a_refused_connection_is_silent(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL;
	struct actor *nc =
		story_spawn(s, sh, "/usr/bin/nc", ARGS("nc"), FDS(pipe_r(0, 2), pipe_w(1, 1)));

	(void)state;
	story_spawn(s, sh, "/usr/bin/bash", ARGS("bash"), FDS(pipe_r(0, 1), pipe_w(1, 2)));
	story_connect(s, nc, &evil);
	story_close(s, nc, &evil, -111);
	story_tell(s, 64);
	assert_silent(s);
}

/* ---- positives ---- */

static void bash_over_dev_tcp_is_reported(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL, *child;

	(void)state;
	child = story_fork(s, sh);
	story_connected(s, child, &evil);
	story_act(s, EVENT_KIND_DUP, child, FDS(tcp(1, &evil)));
	story_act(s, EVENT_KIND_DUP, child, FDS(tcp(2, &evil)));
	story_act(s, EVENT_KIND_DUP, child, FDS(tcp(0, &evil)));
	story_exec(s, child, "/usr/bin/bash", ARGS("bash", "-i"),
		   FDS(tcp(0, &evil), tcp(1, &evil), tcp(2, &evil)));
	story_tell(s, 64);
	assert_one(s);
	assert_string_equal(s->alerts[0]->msg.remote->ip, "203.0.113.9");
	assert_int_equal(s->alerts[0]->msg.remote->port, 4444);
	assert_int_equal(s->alerts[0]->msg.process->pid, child->def.pid);
	assert_int_equal(s->alerts[0]->msg.process->parent->pid, sh->def.pid);
	assert_string_equal(s->alerts[0]->msg.severity, "critical");
	assert_true(s->alerts[0]->msg.n_steps >= 3);
}

static void a_running_shell_that_turns_its_own_descriptors_is_reported(void **state)
{
	STORY;
	struct actor *sh = story_start(s, NULL, "/usr/bin/bash", ARGS("bash"), FDS(pipe_r(0, 1)));

	(void)state;
	story_connected(s, sh, &evil);
	story_act(s, EVENT_KIND_DUP, sh, FDS(tcp(0, &evil)));
	story_tell(s, 64);
	assert_silent(s);
	story_act(s, EVENT_KIND_DUP, sh, FDS(tcp(1, &evil)));
	story_act(s, EVENT_KIND_DUP, sh, FDS(tcp(2, &evil)));
	story_tell(s, 64);
	assert_one(s);
}

static void udp_is_reported(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL;

	(void)state;
	story_spawn(s, sh, "/usr/bin/bash", ARGS("bash", "-i"), FDS(udp(0, &evil), udp(1, &evil)));
	story_tell(s, 64);
	assert_one(s);
}

static void a_shell_on_a_pty_of_an_interpreter_is_reported(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL, *py, *child;

	(void)state;
	py = story_spawn(s, sh, "/usr/bin/python3.11", ARGS("python3", "-c", "…"),
			 FDS(pty_s(0, 1)));
	story_connected(s, py, &evil);
	story_act(s, EVENT_KIND_DUP, py, FDS(tcp(0, &evil)));
	story_act(s, EVENT_KIND_DUP, py, FDS(tcp(1, &evil)));
	story_act(s, EVENT_KIND_DUP, py, FDS(tcp(2, &evil)));
	story_act(s, EVENT_KIND_OPEN, py, FDS(pty_m(4, 7)));
	story_act(s, EVENT_KIND_OPEN, py, FDS(pty_s(5, 7)));
	child = story_fork(s, py);
	child->def.session = child->def.pid;
	story_exec(s, child, "/usr/bin/dash", ARGS("/bin/sh"),
		   FDS(pty_s(0, 7), pty_s(1, 7), pty_s(2, 7)));
	story_tell(s, 64);
	assert_one(s);
	assert_true(story_has_evidence(s->alerts[0], "input", "python3.11"));
}

static void a_shell_behind_a_socket_pair_is_reported(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL, *socat, *child;

	(void)state;
	socat = story_spawn(s, sh, "/usr/bin/socat", ARGS("socat"), FDS(pty_s(0, 1)));
	story_act(s, EVENT_KIND_PIPE, socat, FDS(unix_s(6, 60, 61), unix_s(7, 61, 60)));
	child = story_fork(s, socat);
	child->def.session = child->def.pid;
	story_exec(s, child, "/usr/bin/bash", ARGS("bash", "-li"),
		   FDS(unix_s(0, 61, 60), unix_s(1, 61, 60)));
	story_tell(s, 64);
	assert_silent(s);
	story_connected(s, socat, &evil);
	story_tell(s, 64);
	assert_one(s);
}

static void a_renamed_hard_link_of_a_shell_is_still_one(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL, *child = story_fork(s, sh);
	struct process_def *def;

	(void)state;
	story_exec(s, child, "/tmp/editor", ARGS("editor"), FDS(tcp(0, &evil), tcp(1, &evil)));
	def = (struct process_def *)s->events[s->event_count - 1].process;
	def->exe.inode = sh->def.exe.inode;
	story_tell(s, 64);
	assert_one(s);
}

/* A copy under another name and inode: what nc -e starts, or what becomes of dup2 and execve. */
static void a_program_with_nothing_but_the_connection_is_reported(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL, *implant;

	(void)state;
	implant = story_spawn(s, sh, "/tmp/implant", ARGS("implant"), FDS());
	story_connected(s, implant, &evil);
	story_exec(s, implant, "/tmp/editor", ARGS("editor"), ON_SOCKET);
	story_spawn(s, implant, "/usr/bin/id", ARGS("id"), ON_SOCKET);
	story_spawn(s, implant, "/usr/bin/bash", ARGS("bash", "-i"), ON_SOCKET);
	story_tell(s, 64);
	assert_one(s);
	assert_string_equal(s->alerts[0]->msg.severity, "high");
	assert_string_equal(s->alerts[0]->msg.process->exe, "/tmp/editor");
	assert_string_equal(s->alerts[0]->msg.remote->ip, "203.0.113.9");
	assert_int_equal(s->alerts[0]->msg.remote->port, 4444);
}

/* python -c 'code.interact()' on its own connection: seen with the first command. */
static void commands_of_a_program_on_the_command_line_are_one_alert(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL, *python;

	(void)state;
	python = story_spawn(s, sh, "/usr/bin/python3.11", ARGS("python3", "-c", "x"), FDS());
	story_connected(s, python, &evil);
	for (int fd = 0; fd <= 2; fd++)
		story_act(s, EVENT_KIND_DUP, python, FDS(tcp(fd, &evil)));
	for (int i = 0; i < 3; i++)
		story_exit(s, story_spawn(s, python, "/usr/bin/dash", ARGS("sh", "-c", "id"),
					  ON_SOCKET));
	story_tell(s, 64);
	assert_one(s);
	assert_string_equal(s->alerts[0]->msg.process->parent->exe, "/usr/bin/python3.11");
}

/* The shell that follows is the better witness, and comes before any command. */
static void a_shell_started_by_such_a_program_is_reported_as_itself(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL, *python;

	(void)state;
	python = story_spawn(s, sh, "/usr/bin/python3.11", ARGS("python3", "-c", "x"), FDS());
	story_connected(s, python, &evil);
	for (int fd = 0; fd <= 2; fd++)
		story_act(s, EVENT_KIND_DUP, python, FDS(tcp(fd, &evil)));
	sh = story_spawn(s, python, "/usr/bin/dash", ARGS("sh", "-i"), ON_SOCKET);
	story_spawn(s, sh, "/usr/bin/id", ARGS("id"), ON_SOCKET);
	story_tell(s, 64);
	assert_one(s);
	assert_string_equal(s->alerts[0]->msg.process->exe, "/usr/bin/dash");
	assert_string_equal(s->alerts[0]->msg.severity, "critical");
}

static void a_live_shell_in_the_snapshot_is_reported(void **state)
{
	STORY;

	(void)state;
	(void)story_start(s, NULL, "/usr/bin/nc", ARGS("x"),
			  FDS(pipe_r(0, 2), pipe_w(1, 1), tcp(3, &evil)));
	(void)story_start(s, NULL, "/usr/bin/bash", ARGS("bash"), FDS(pipe_r(0, 1), pipe_w(1, 2)));
	story_tell(s, 64);
	assert_one(s);
}

static void a_loopback_listener_of_another_session_is_outside(void **state)
{
	static const struct peer out = {.cookie = 1,
					.ip = "127.0.0.1",
					.port = 4444,
					.local_ip = "127.0.0.1",
					.local_port = 40000};
	static const struct peer in = {.cookie = 2,
				       .ip = "127.0.0.1",
				       .port = 40000,
				       .local_ip = "127.0.0.1",
				       .local_port = 4444};
	STORY;
	struct actor *nc = story_start(s, NULL, "/usr/bin/nc", ARGS("nc", "-l"), FDS());
	struct actor *sh = USER_SHELL;

	(void)state;
	story_act(s, EVENT_KIND_ACCEPT, nc, FDS(tcp(4, &in)));
	story_spawn(s, sh, "/usr/bin/bash", ARGS("bash", "-i"), FDS(tcp(0, &out), tcp(1, &out)));
	story_tell(s, 64);
	assert_one(s);
}

/* The same, but the listener is of the shell's session: a hop, until it connects further. */
static void a_loopback_listener_of_the_same_session_is_a_hop(void **state)
{
	static const struct peer out = {.cookie = 1,
					.ip = "127.0.0.1",
					.port = 4444,
					.local_ip = "127.0.0.1",
					.local_port = 40000};
	static const struct peer in = {.cookie = 2,
				       .ip = "127.0.0.1",
				       .port = 40000,
				       .local_ip = "127.0.0.1",
				       .local_port = 4444};
	STORY;
	struct actor *sh = USER_SHELL;
	struct actor *proxy = story_spawn(s, sh, "/opt/proxy", ARGS("proxy"), FDS());

	(void)state;
	story_act(s, EVENT_KIND_ACCEPT, proxy, FDS(tcp(4, &in)));
	story_spawn(s, sh, "/usr/bin/bash", ARGS("bash", "-i"), FDS(tcp(0, &out), tcp(1, &out)));
	story_tell(s, 64);
	assert_silent(s);
	story_connected(s, proxy, &evil);
	story_tell(s, 64);
	assert_one(s);
	assert_string_equal(s->alerts[0]->msg.remote->ip, "203.0.113.9");
}

/* A program that talks to a proxy of its own side is the proxy's client, whatever that connects to.
 */
static void a_program_on_a_connection_to_its_own_proxy_is_silent(void **state)
{
	static const struct peer out = {.cookie = 1,
					.ip = "127.0.0.1",
					.port = 4444,
					.local_ip = "127.0.0.1",
					.local_port = 40000};
	static const struct peer in = {.cookie = 2,
				       .ip = "127.0.0.1",
				       .port = 40000,
				       .local_ip = "127.0.0.1",
				       .local_port = 4444};
	STORY;
	struct actor *sh = USER_SHELL;
	struct actor *proxy = story_spawn(s, sh, "/opt/proxy", ARGS("proxy"), FDS());

	(void)state;
	story_act(s, EVENT_KIND_ACCEPT, proxy, FDS(tcp(4, &in)));
	story_connected(s, proxy, &evil);
	story_connected(s, sh, &out);
	story_spawn(s, sh, "/opt/client", ARGS("client"),
		    FDS(tcp(0, &out), tcp(1, &out), tcp(2, &out)));
	story_tell(s, 64);
	assert_silent(s);
}

static void two_connections_to_one_host_are_one_party(void **state)
{
	static const struct peer other_port = {.cookie = 80, .ip = "203.0.113.9", .port = 4445};
	STORY;
	struct actor *sh = USER_SHELL, *a, *b;

	(void)state;
	a = story_spawn(s, sh, "/usr/bin/nc", ARGS("nc"), FDS(pty_s(0, 1), pipe_w(1, 1)));
	b = story_spawn(s, sh, "/usr/bin/nc", ARGS("nc"), FDS(pipe_r(0, 2), pty_s(1, 1)));
	story_spawn(s, sh, "/usr/bin/sh", ARGS("sh"), FDS(pipe_r(0, 1), pipe_w(1, 2)));
	story_connected(s, a, &evil);
	story_connected(s, b, &other_port);
	story_tell(s, 64);
	assert_one(s);
}

static void a_shell_within_the_shell_is_no_news(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL, *child;

	(void)state;
	child = story_spawn(s, sh, "/usr/bin/bash", ARGS("bash", "-i"),
			    FDS(tcp(0, &evil), tcp(1, &evil)));
	story_spawn(s, child, "/usr/bin/sh", ARGS("sh"), FDS(tcp(0, &evil), tcp(1, &evil)));
	story_tell(s, 64);
	assert_one(s);
}

/* ---- nc and a FIFO, in every order ---- */

#define STEPS 6

/* 0 cat executes, 1 cat opens the FIFO, 2 sh executes, 3 nc executes, 4 nc connects, 5 established
 */
static bool is_possible(const int order[STEPS])
{
	int at[STEPS];

	for (int i = 0; i < STEPS; i++)
		at[order[i]] = i;
	return at[0] < at[1] && at[3] < at[4] && at[4] < at[5];
}

static uint32_t nc_and_fifo(const int order[STEPS])
{
	STORY;
	struct actor *sh = USER_SHELL, *cat, *shell, *nc;
	struct event steps[STEPS];
	uint32_t first;

	story_act(s, EVENT_KIND_PIPE, sh, FDS(pipe_r(3, 1), pipe_w(4, 1)));
	cat = story_fork(s, sh);
	story_act(s, EVENT_KIND_PIPE, sh, FDS(pipe_r(5, 2), pipe_w(6, 2)));
	shell = story_fork(s, sh);
	nc = story_fork(s, sh);
	first = s->event_count;
	story_exec(s, cat, "/usr/bin/cat", ARGS("cat", "f"),
		   FDS(pty_s(0, 1), pipe_w(1, 1), pty_s(2, 1)));
	story_act(s, EVENT_KIND_OPEN, cat, FDS(fifo(3, 9, 1)));
	story_exec(s, shell, "/usr/bin/dash", ARGS("sh", "-i"),
		   FDS(pipe_r(0, 1), pipe_w(1, 2), pipe_w(2, 2)));
	story_exec(s, nc, "/usr/bin/nc.openbsd", ARGS("nc"),
		   FDS(pipe_r(0, 2), fifo(1, 9, 2), pty_s(2, 1)));
	story_connected(s, nc, &evil);
	memcpy(steps, &s->events[first], sizeof(steps));
	for (uint32_t i = 0; i < STEPS; i++) {
		s->events[first + i] = steps[order[i]];
		s->events[first + i].time_ns = steps[i].time_ns;
	}
	story_tell(s, 64);
	return story_count(s, "reverse_shell");
}

static uint32_t try_orders(int order[STEPS], int from)
{
	uint32_t tried = 0;

	if (from == STEPS) {
		if (!is_possible(order))
			return 0;
		assert_int_equal(nc_and_fifo(order), 1);
		return 1;
	}
	for (int i = from; i < STEPS; i++) {
		int swap = order[from];

		order[from] = order[i];
		order[i] = swap;
		tried += try_orders(order, from + 1);
		order[i] = order[from];
		order[from] = swap;
	}
	return tried;
}

static void nc_and_a_fifo_are_reported_once_in_every_order(void **state)
{
	int order[STEPS] = {0, 1, 2, 3, 4, 5};

	(void)state;
	assert_int_equal(try_orders(order, 0), 60);
}

/* ---- ordinary days ---- */

static void popen_of_a_server_with_a_database_connection_is_silent(void **state)
{
	STORY;
	struct actor *srv =
		story_start(s, NULL, "/usr/bin/python3.11", ARGS("python3", "app.py"), FDS());

	(void)state;
	story_connected(s, srv, &database);
	story_act(s, EVENT_KIND_PIPE, srv, FDS(pipe_r(5, 1), pipe_w(6, 1)));
	story_spawn(s, srv, "/usr/bin/dash", ARGS("sh", "-c", "ls | wc"), FDS(pipe_w(1, 1)));
	story_act(s, EVENT_KIND_PIPE, srv, FDS(pipe_r(5, 2), pipe_w(6, 2)));
	story_spawn(s, srv, "/usr/bin/dash", ARGS("sh"), FDS(pipe_r(0, 2)));
	story_tell(s, 64);
	assert_silent(s);
}

static void a_runner_that_streams_a_script_s_output_is_silent(void **state)
{
	STORY;
	struct actor *runner = story_start(s, NULL, "/opt/runner", ARGS("runner"), FDS()), *job;

	(void)state;
	story_connected(s, runner, &evil);
	job = story_spawn(s, runner, "/usr/bin/bash", ARGS("bash", "-e", "script.sh"),
			  FDS(pipe_r(0, 1), pipe_w(1, 2), pipe_w(2, 2)));
	story_spawn(s, job, "/usr/bin/dash", ARGS("sh", "-c", "make"),
		    FDS(pipe_r(0, 1), pipe_w(1, 2)));
	story_tell(s, 64);
	assert_silent(s);
}

/* The runner closed its end of the job's input: nobody can send commands there. */
static void a_pipe_that_nobody_can_write_to_is_no_way_in(void **state)
{
	STORY;
	struct actor *runner = story_start(s, NULL, "/opt/runner", ARGS("runner"), FDS());
	struct endpoint in = pipe_r(0, 1);

	(void)state;
	story_connected(s, runner, &evil);
	story_act(s, EVENT_KIND_PIPE, runner, FDS(pipe_r(5, 1), pipe_w(6, 1)));
	story_act(s, EVENT_KIND_PIPE, runner, FDS(pipe_r(7, 2), pipe_w(8, 2)));
	in.writers = 0;
	story_spawn(s, runner, "/usr/bin/bash", ARGS("bash"), FDS(in, pipe_w(1, 2)));
	story_tell(s, 64);
	assert_silent(s);
}

static const struct peer ssh_in = {
	.cookie = 22, .ip = "198.51.100.7", .port = 50022, .local_port = 22};

/* sshd as it is: root accepts, the child becomes the user and starts the user's shell on a pty. A
 * forwarded port gives that sshd an outgoing connection too. */
static struct actor *login(struct story *s, const char *sshd_path, bool becomes)
{
	struct actor *sshd = story_start(s, NULL, sshd_path, ARGS("sshd", "-D"), FDS()), *session,
		     *user;

	story_act(s, EVENT_KIND_ACCEPT, sshd, FDS(tcp(4, &ssh_in)));
	session = story_spawn(s, sshd, sshd_path, ARGS("sshd", "-R"), FDS(tcp(4, &ssh_in)));
	session->def.session = session->def.pid;
	story_connected(s, session, &evil);
	story_act(s, EVENT_KIND_OPEN, session, FDS(pty_m(8, 3)));
	user = story_fork(s, session);
	if (becomes)
		story_becomes(s, user, 1000);
	user->def.session = user->def.pid;
	story_exec(s, user, "/usr/bin/bash", ARGS("-bash"),
		   FDS(pty_s(0, 3), pty_s(1, 3), pty_s(2, 3)));
	return user;
}

static void an_interactive_ssh_login_is_silent(void **state)
{
	STORY;

	(void)state;
	(void)login(s, "/usr/sbin/sshd", true);
	story_tell(s, 64);
	assert_silent(s);
}

/* Each of the three conditions is needed: another path, a file of somebody else, no new user. */
static void a_program_that_only_looks_like_sshd_is_reported(void **state)
{
	STORY;

	(void)state;
	(void)login(s, "/tmp/sshd", true);
	story_tell(s, 64);
	assert_one(s);
	(void)login(s, "/usr/sbin/sshd", false);
	story_tell(s, 64);
	assert_int_equal(story_count(s, "reverse_shell"), 2);
	s->exe_uid = 1000;
	(void)login(s, "/usr/sbin/sshd", true);
	story_tell(s, 64);
	assert_int_equal(story_count(s, "reverse_shell"), 3);
}

static void a_command_over_ssh_is_silent(void **state)
{
	STORY;
	struct actor *sshd = story_start(s, NULL, "/usr/sbin/sshd", ARGS("sshd"), FDS()), *user;

	(void)state;
	story_act(s, EVENT_KIND_ACCEPT, sshd, FDS(tcp(4, &ssh_in)));
	user = story_fork(s, sshd);
	story_becomes(s, user, 1000);
	story_exec(s, user, "/usr/bin/bash", ARGS("bash", "-c", "bash"),
		   FDS(unix_s(0, 1, 2), unix_s(1, 1, 2)));
	story_exec(s, user, "/usr/bin/bash", ARGS("bash"), FDS(unix_s(0, 1, 2), unix_s(1, 1, 2)));
	story_tell(s, 64);
	assert_silent(s);
}

static void git_over_ssh_is_silent(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL, *git, *ssh;

	(void)state;
	git = story_spawn(s, sh, "/usr/bin/git", ARGS("git", "pull"),
			  FDS(pty_s(0, 1), pty_s(1, 1)));
	ssh = story_spawn(s, git, "/usr/bin/ssh", ARGS("ssh", "host"),
			  FDS(pipe_r(0, 1), pipe_w(1, 2)));
	story_connected(s, ssh, &evil);
	story_spawn(s, git, "/usr/bin/git", ARGS("git", "fetch-pack"),
		    FDS(pipe_r(0, 2), pipe_w(1, 1)));
	story_tell(s, 64);
	assert_silent(s);
}

/* tmux: the server has the masters of all panes; ssh in one pane is not the shell's of another. */
static void a_neighbouring_pane_is_silent(void **state)
{
	STORY;
	struct actor *tmux =
		story_start(s, NULL, "/usr/bin/tmux", ARGS("tmux"), FDS(pty_m(5, 1), pty_m(6, 2)));
	struct actor *one =
		story_spawn(s, tmux, "/usr/bin/bash", ARGS("-bash"), FDS(pty_s(0, 1), pty_s(1, 1)));
	struct actor *ssh;

	(void)state;
	story_spawn(s, tmux, "/usr/bin/bash", ARGS("-bash"), FDS(pty_s(0, 2), pty_s(1, 2)));
	ssh = story_spawn(s, one, "/usr/bin/ssh", ARGS("ssh", "host"),
			  FDS(pty_s(0, 1), pty_s(1, 1)));
	story_connected(s, ssh, &evil);
	story_tell(s, 64);
	assert_silent(s);
}

/* kubectl exec: the terminal is held outside the container, by a process that talks to many. */
static void a_shell_that_the_container_runtime_holds_is_silent(void **state)
{
	static const struct container_def pod = {
		.container_id = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
		.pod_uid = "uid", .name = "web", .image = "img", .pod = "web-5d4f8c7b9-x2x7k",
		.namespace = "shop", .cgroup = "/kubepods/pod1/0011", .image_id = "",
		.workload = ""};
	STORY;
	struct actor *shim = story_start(s, NULL, "/usr/bin/containerd-shim-runc-v2", ARGS("shim"),
					 FDS(pty_m(5, 1)));

	(void)state;
	story_connected(s, shim, &evil);
	s->container = &pod;
	(void)story_start(s, shim, "/usr/bin/bash", ARGS("bash"), FDS(pty_s(0, 1), pty_s(1, 1)));
	story_tell(s, 64);
	assert_silent(s);
}

/* ---- identity ---- */

static void batches_of_any_size_give_the_same_alerts(void **state)
{
	static const uint32_t sizes[] = {1, 7, 64};
	uint8_t packed[3][8192];
	size_t len[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		STORY;
		struct actor *sh = USER_SHELL;

		(void)login(s, "/tmp/sshd", true);
		for (int k = 0; k < 20; k++)
			story_exit(s, story_spawn(s, sh, "/usr/bin/ls", ARGS("ls"),
						  FDS(pipe_w(1, (uint64_t)k))));
		story_tell(s, sizes[i]);
		assert_one(s);
		assert_true(nightjar__v1__alert__get_packed_size(&s->alerts[0]->msg) <=
			    sizeof(packed[i]));
		len[i] = nightjar__v1__alert__pack(&s->alerts[0]->msg, packed[i]);
		assert_int_equal(len[i], len[0]);
		assert_memory_equal(packed[i], packed[0], len[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_socket_on_input_only_is_silent),
		cmocka_unit_test(a_socket_on_output_only_is_silent),
		cmocka_unit_test(a_command_string_or_a_script_is_an_edge_only),
		cmocka_unit_test(a_program_that_is_no_interpreter_is_silent),
		cmocka_unit_test(an_accepted_connection_is_no_reverse_shell),
		cmocka_unit_test(input_and_output_of_different_parties_are_silent),
		cmocka_unit_test(a_refused_connection_is_silent),
		cmocka_unit_test(bash_over_dev_tcp_is_reported),
		cmocka_unit_test(a_running_shell_that_turns_its_own_descriptors_is_reported),
		cmocka_unit_test(udp_is_reported),
		cmocka_unit_test(a_shell_on_a_pty_of_an_interpreter_is_reported),
		cmocka_unit_test(a_shell_behind_a_socket_pair_is_reported),
		cmocka_unit_test(a_renamed_hard_link_of_a_shell_is_still_one),
		cmocka_unit_test(a_service_on_an_accepted_connection_is_silent),
		cmocka_unit_test(a_service_whose_connection_was_not_seen_being_made_is_silent),
		cmocka_unit_test(a_program_with_another_way_to_talk_is_silent),
		cmocka_unit_test(a_program_with_nothing_but_the_connection_is_reported),
		cmocka_unit_test(commands_of_a_program_on_the_command_line_are_one_alert),
		cmocka_unit_test(a_shell_started_by_such_a_program_is_reported_as_itself),
		cmocka_unit_test(a_live_shell_in_the_snapshot_is_reported),
		cmocka_unit_test(a_loopback_listener_of_another_session_is_outside),
		cmocka_unit_test(a_loopback_listener_of_the_same_session_is_a_hop),
		cmocka_unit_test(a_program_on_a_connection_to_its_own_proxy_is_silent),
		cmocka_unit_test(two_connections_to_one_host_are_one_party),
		cmocka_unit_test(a_shell_within_the_shell_is_no_news),
		cmocka_unit_test(nc_and_a_fifo_are_reported_once_in_every_order),
		cmocka_unit_test(popen_of_a_server_with_a_database_connection_is_silent),
		cmocka_unit_test(a_runner_that_streams_a_script_s_output_is_silent),
		cmocka_unit_test(a_pipe_that_nobody_can_write_to_is_no_way_in),
		cmocka_unit_test(an_interactive_ssh_login_is_silent),
		cmocka_unit_test(a_program_that_only_looks_like_sshd_is_reported),
		cmocka_unit_test(a_command_over_ssh_is_silent),
		cmocka_unit_test(git_over_ssh_is_silent),
		cmocka_unit_test(a_neighbouring_pane_is_silent),
		cmocka_unit_test(a_shell_that_the_container_runtime_holds_is_silent),
		cmocka_unit_test(batches_of_any_size_give_the_same_alerts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
