/* Attacks on this host: each one works, and each one is reported. */
#include "tests/e2e/suite.h"

#define SHELL(title, program)                                                                      \
	SUITE_TEST(title, suite_attack,                                                            \
		   {.argv = {program}, .rule = "reverse_shell", .attacker = ATTACKER_SHELL})
#define SCAN(title, program)                                                                       \
	SUITE_TEST(title, suite_attack,                                                            \
		   {.argv = {program}, .rule = "lateral_scan", .attacker = ATTACKER_SINK})
#define THEFT(title, program)                                                                      \
	SUITE_TEST(title, suite_attack, {.argv = {program}, .rule = "credential_theft"})

int main(void)
{
	const struct CMUnitTest tests[] = {
		SHELL("shell_of_bash_over_dev_tcp_is_reported", "scenario/shell-bash-dev-tcp.sh"),
		SHELL("shell_that_turns_its_own_descriptors_is_reported",
		      "scenario/shell-bash-redirect.sh"),
		SHELL("shell_behind_nc_and_a_fifo_is_reported", "scenario/shell-nc-fifo.sh"),
		SHELL("shell_on_a_pty_of_python_is_reported", "scenario/shell-python-pty.py"),
		SHELL("shell_as_child_of_python_is_reported",
		      "scenario/shell-python-subprocess.py"),
		SHELL("shell_that_perl_becomes_is_reported", "scenario/shell-perl.pl"),
		SHELL("shell_behind_socat_is_reported", "scenario/shell-socat.sh"),
		SHELL("shell_on_a_pty_of_socat_is_reported", "scenario/shell-socat-pty.sh"),
		SHELL("shell_behind_pipes_of_python_is_reported", "scenario/shell-python-pipes.py"),
		SHELL("shell_behind_node_is_reported", "scenario/shell-node.js"),
		SHELL("shell_by_dup2_and_execve_is_reported", "shell_dup2"),
		SHELL("shell_under_another_name_is_reported", "scenario/shell-renamed.sh"),
		SHELL("shell_behind_a_socket_pair_is_reported", "shell_relay"),
		SCAN("sweep_of_addresses_by_bash_is_reported", "scenario/scan-bash.sh"),
		SCAN("sweep_of_addresses_by_asyncio_is_reported", "scenario/scan-asyncio.py"),
		SCAN("sweep_of_addresses_by_many_processes_is_reported", "scenario/scan-nc.sh"),
		SCAN("scan_of_many_ports_is_reported", "scenario/scan-ports.py"),
		THEFT("shadow_read_through_a_web_application_is_reported",
		      "scenario/steal-shadow.py"),
		THEFT("environment_of_another_program_is_reported", "scenario/steal-environ.sh"),
		THEFT("service_account_token_is_reported", "scenario/steal-token.sh"),
		THEFT("private_ssh_key_is_reported", "scenario/steal-ssh-key.sh"),
		THEFT("cloud_credentials_are_reported", "scenario/steal-cloud-key.sh"),
		{.name = "the_product_ended_well", .test_func = suite_the_product_ended_well},
	};

	return cmocka_run_group_tests_name("attacks", tests, suite_begin, suite_end);
}
