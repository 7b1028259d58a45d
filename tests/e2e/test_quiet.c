/* Ordinary days on this host: each act works, its events arrive, and nothing is reported. */
#include "tests/e2e/suite.h"

#define EXEC(exe_, endpoint_, fd_)                                                                 \
	{                                                                                          \
		.exe = (exe_), .kind = EVENT_KIND_EXEC, .endpoint = (endpoint_), .fd = (fd_)       \
	}
#define CONNECT(exe_)                                                                              \
	{                                                                                          \
		.exe = (exe_), .kind = EVENT_KIND_CONNECT, .endpoint = ENDPOINT_KIND_TCP, .fd = -1 \
	}
#define PIPE ENDPOINT_KIND_PIPE
#define TCP  ENDPOINT_KIND_TCP

static const struct scenario popen_with_database = {
	.argv = {"benign/popen-with-database.py"},
	.decisive = {EXEC("dash", TCP, -1), EXEC("sort", PIPE, 0), EXEC("dash", PIPE, 0)},
};
static const struct scenario pip_install = {
	.argv = {"benign/pip-install.sh"},
	.decisive = {CONNECT("python3"), EXEC("uname", ENDPOINT_KIND_NONE, -1)},
};
static const struct scenario npm_install = {
	.argv = {"benign/npm-install.sh"},
	.decisive = {EXEC("node", ENDPOINT_KIND_NONE, -1), EXEC("uname", ENDPOINT_KIND_NONE, -1)},
};
static const struct scenario ci_runner = {
	.argv = {"benign/ci-runner.py"},
	.decisive = {CONNECT("python3"), EXEC("bash", PIPE, 1), EXEC("uname", PIPE, 1)},
};
static const struct scenario git_over_ssh = {
	.argv = {"benign/git-ssh.sh"},
	.decisive = {CONNECT("ssh"), EXEC("git", PIPE, 0), EXEC("dash", PIPE, 0)},
};
static const struct scenario ssh_command = {
	.argv = {"benign/ssh-command.sh"},
	.decisive = {CONNECT("ssh"), EXEC("bash", ENDPOINT_KIND_NONE, 0)},
};
static const struct scenario ssh_login = {
	.argv = {"benign/ssh-login.py"},
	.decisive = {CONNECT("ssh"), EXEC("bash", ENDPOINT_KIND_PTY_SLAVE, 0)},
};
static const struct scenario accept_yes = {
	.argv = {"benign/accept-yes.py"},
	.decisive = {EXEC("dash", TCP, 0), EXEC("dash", TCP, 1)},
};
static const struct scenario fastcgi = {
	.argv = {"benign/fastcgi.py"},
	.decisive = {EXEC("dash", ENDPOINT_KIND_UNIX, 0), EXEC("dash", PIPE, 1)},
};
static const struct scenario inetd_command = {
	.argv = {"benign/inetd-command.py"},
	.decisive = {EXEC("dash", TCP, 0), EXEC("dash", TCP, 1)},
};
static const struct scenario inetd_python = {
	.argv = {"benign/inetd-python.py"},
	.decisive = {EXEC("python3.11", TCP, 0), EXEC("uname", TCP, 1), EXEC("uname", TCP, 2)},
};
static const struct scenario curl_pipe_sh = {
	.argv = {"benign/curl-pipe-sh.sh"},
	.decisive = {CONNECT("curl"), EXEC("dash", PIPE, 0)},
};
static const struct scenario nested_terminal = {
	.argv = {"benign/ssh-nested-terminal.py"},
	.decisive = {CONNECT("ssh"), EXEC("script", ENDPOINT_KIND_PTY_SLAVE, 0),
		     EXEC("bash", ENDPOINT_KIND_PTY_SLAVE, 0)},
};
static const struct scenario cluster_client = {
	.argv = {"benign/cluster-client.py"},
	.attacker = ATTACKER_SINK,
	.decisive = {CONNECT("python3")},
};
static const struct scenario health_check = {
	.argv = {"benign/health-check.sh"},
	.decisive = {CONNECT("curl")},
};
static const struct scenario test_suite = {
	.argv = {"benign/test-suite.py"},
	.decisive = {CONNECT("python3")},
};
static const struct scenario terminal = {
	.argv = {"benign/terminal.py"},
	.decisive = {EXEC("bash", ENDPOINT_KIND_PTY_SLAVE, 0)},
};
static const struct scenario packages = {
	.argv = {"benign/packages.sh"},
	.decisive = {EXEC("dpkg", ENDPOINT_KIND_NONE, -1), EXEC("apt-get", ENDPOINT_KIND_NONE, -1),
		     EXEC("ps", ENDPOINT_KIND_NONE, -1)},
};
static const struct scenario build = {
	.argv = {"benign/build.sh"},
	.decisive = {EXEC("make", ENDPOINT_KIND_NONE, -1), EXEC("hello", PIPE, 1)},
};

#define QUIET(title, row)                                                                          \
	{                                                                                          \
		.name = (title), .test_func = suite_quiet, .teardown_func = suite_clean,           \
		.initial_state = (void *)&(row)                                                    \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		QUIET("popen_of_a_server_with_a_database_connection", popen_with_database),
		QUIET("pip_install", pip_install),
		QUIET("npm_install", npm_install),
		QUIET("ci_runner_that_streams_its_output", ci_runner),
		QUIET("git_over_ssh", git_over_ssh),
		QUIET("ssh_with_a_command", ssh_command),
		QUIET("interactive_ssh_login", ssh_login),
		QUIET("service_with_accept_yes", accept_yes),
		QUIET("service_that_runs_a_command_on_the_connection", inetd_command),
		QUIET("service_in_python_that_runs_commands_on_the_connection", inetd_python),
		QUIET("fastcgi_responder", fastcgi),
		QUIET("script_from_the_network_into_a_shell", curl_pipe_sh),
		QUIET("terminal_in_a_terminal_over_ssh", nested_terminal),
		QUIET("cluster_client_with_lasting_connections", cluster_client),
		QUIET("health_check_of_three_hosts", health_check),
		QUIET("test_suite_with_a_server_per_test", test_suite),
		QUIET("shell_in_a_terminal", terminal),
		QUIET("package_manager", packages),
		QUIET("build_with_make", build),
		{.name = "the_other_detectors_were_awake",
		 .test_func = suite_the_other_detectors_were_awake,
		 .teardown_func = suite_clean},
		{.name = "all_arrived_and_nothing_was_lost",
		 .test_func = suite_all_arrived_and_nothing_was_lost},
	};

	return cmocka_run_group_tests_name("quiet", tests, suite_begin, suite_end);
}
