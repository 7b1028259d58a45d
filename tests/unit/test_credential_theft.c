/* Reads of credentials by those who should not, and by those who do it every day. */
#include "tests/unit/story.h"

#include <errno.h>
#include <fcntl.h>

#include "collector/detect/detectors.h"
#include "collector/detect/secret.h"

#define STORY	   _cleanup_(story_freep) struct story *s = story_new()
#define USER_SHELL story_start(s, NULL, "/usr/bin/bash", ARGS("-bash"), FDS())

static const struct container_def pod = {
	.container_id = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
	.pod_uid = "uid", .name = "web", .image = "img", .pod = "web-5d4f8c7b9-x2x7k",
	.namespace = "shop", .cgroup = "/kubepods/pod1/0011", .image_id = "", .workload = ""};
static const char token[] =
	"/run/secrets/kubernetes.io/serviceaccount/..2026_11_24_20_00_00.1/token";

static uint32_t reads(const char *exe, const char *const *args, const char *path)
{
	STORY;
	struct actor *a = story_spawn(s, USER_SHELL, exe, args, FDS());

	story_open(s, a, path, 3);
	story_tell(s, 64);
	return s->alert_count;
}

/* ---- silent ---- */

static void who_has_business_is_silent(void **state)
{
	(void)state;
	assert_int_equal(reads("/usr/bin/passwd", ARGS("passwd"), "/etc/shadow"), 0);
	assert_int_equal(reads("/usr/sbin/sshd", ARGS("sshd"), "/etc/shadow"), 0);
	assert_int_equal(reads("/usr/bin/ssh", ARGS("ssh"), "/root/.ssh/id_rsa"), 0);
	assert_int_equal(reads("/usr/local/bin/kubectl", ARGS("kubectl"), "/home/ann/.kube/config"),
			 0);
	assert_int_equal(reads("/usr/bin/docker", ARGS("docker"), "/root/.docker/config.json"), 0);
	assert_int_equal(reads("/usr/bin/python3.11", ARGS("python3", "/usr/bin/aws"),
			       "/root/.aws/credentials"),
			 0);
	assert_int_equal(reads("/usr/bin/busybox", ARGS("login"), "/etc/shadow"), 0);
}

static void files_with_similar_names_are_silent(void **state)
{
	static const char *const paths[] = {
		"/srv/app/config",
		"/home/ann/.config/git/config",
		"/root/.ssh/config",
		"/root/.ssh/id_rsa.pub",
		"/etc/shadow.d/x",
		"/home/ann/src/token",
		"/proc/self/environ",
		"/home/a/b/.kube/config",
		"shadow",
		"",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		assert_int_equal(reads("/usr/bin/cat", ARGS("cat"), paths[i]), 0);
}

static void a_file_that_is_not_there_or_only_written_is_silent(void **state)
{
	STORY;
	struct actor *cat = story_spawn(s, USER_SHELL, "/usr/bin/cat", ARGS("cat"), FDS());

	(void)state;
	story_open(s, cat, "/root/.aws/credentials", -ENOENT);
	story_open(s, cat, "/root/.ssh/id_rsa", 3);
	s->events[s->event_count - 1].flags = O_WRONLY | O_CREAT;
	story_open(s, cat, "/etc/shadow", 3);
	s->events[s->event_count - 1].flags = O_PATH;
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 0);
}

static void a_package_s_script_may_read_shadow(void **state)
{
	STORY;
	struct actor *dpkg = story_spawn(s, USER_SHELL, "/usr/bin/dpkg", ARGS("dpkg", "-i"), FDS());
	struct actor *script = story_spawn(s, dpkg, "/usr/bin/dash",
					   ARGS("sh", "/var/lib/dpkg/info/x.postinst"), FDS());

	(void)state;
	story_open(s, story_spawn(s, script, "/usr/bin/grep", ARGS("grep"), FDS()), "/etc/shadow",
		   3);
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 0);
}

static void one_s_own_environment_is_silent(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL,
		     *child = story_spawn(s, sh, "/usr/bin/sleep", ARGS("sleep"), FDS());
	char own[64], of_child[64];

	(void)state;
	(void)snprintf(own, sizeof(own), "/proc/%u/environ", sh->def.pid);
	(void)snprintf(of_child, sizeof(of_child), "/proc/%u/environ", child->def.pid);
	story_open(s, sh, own, 3);
	story_open(s, sh, of_child, 3);
	story_open(s, sh, own, 3);
	s->events[s->event_count - 1].raw_path = "/proc/self/environ";
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 0);
}

/* The container's first program, and what that one starts of its own, may read its token. */
static void a_workload_s_own_token_is_silent(void **state)
{
	STORY;
	struct actor *shim =
		story_start(s, NULL, "/usr/bin/containerd-shim-runc-v2", ARGS("shim"), FDS());
	struct actor *entry, *app, *script;

	(void)state;
	s->container = &pod;
	entry = story_start(s, shim, "/bin/dash", ARGS("sh", "/entrypoint.sh"), FDS());
	app = story_spawn(s, entry, "/app/server", ARGS("server"), FDS());
	script = story_spawn(s, entry, "/usr/local/bin/python3.11", ARGS("python3", "/app/main.py"),
			     FDS());
	story_open(s, app, token, 3);
	story_open(s, script, token, 3);
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 0);
}

/* TOKEN=$(cat …) of an entry script: the shell forks, and the child becomes cat. */
static void an_entry_script_that_reads_its_token_is_silent(void **state)
{
	STORY;
	struct actor *shim =
		story_start(s, NULL, "/usr/bin/containerd-shim-runc-v2", ARGS("shim"), FDS());
	struct actor *entry, *cat;

	(void)state;
	s->container = &pod;
	entry = story_start(s, shim, "/bin/dash", ARGS("sh", "/entrypoint.sh"), FDS());
	cat = story_spawn(s, story_fork(s, entry), "/bin/cat", ARGS("cat", token), FDS());
	story_open(s, cat, token, 3);
	story_wait(s, 3600 * 1000000000ULL); /* a loop that asks the API server again */
	cat = story_spawn(s, story_fork(s, entry), "/bin/cat", ARGS("cat", token), FDS());
	story_open(s, cat, token, 3);
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 0);
}

/* ---- reported ---- */

/* Code execution in an application: its shell is not the container's. */
static void a_shell_of_the_application_that_reads_the_token_is_reported(void **state)
{
	static const struct {
		const char *exe;
		const char *args[3];
	} entries[] = {
		{"/bin/dash", {"sh", "/entrypoint.sh"}},
		{"/usr/local/bin/python3.11", {"python3", "/app/main.py"}},
		{"/app/server", {"server"}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		STORY;
		struct actor *entry, *app, *sh, *cat;

		s->container = &pod;
		entry = story_start(s, NULL, entries[i].exe, entries[i].args, FDS());
		app = story_spawn(s, entry, "/opt/java/bin/java", ARGS("java"), FDS());
		sh = story_spawn(s, i ? entry : app, "/bin/dash", ARGS("sh", "-c", "cat"), FDS());
		cat = story_spawn(s, sh, "/bin/cat", ARGS("cat", token), FDS());
		story_open(s, cat, token, 3);
		story_tell(s, 64);
		assert_int_equal(s->alert_count, 1);
		assert_string_equal(s->alerts[0]->msg.severity, "high");
	}
}

static void a_program_that_an_application_starts_itself_is_reported(void **state)
{
	STORY;
	struct actor *entry;

	(void)state;
	s->container = &pod;
	entry = story_start(s, NULL, "/usr/local/bin/python3.11", ARGS("python3", "/app/main.py"),
			    FDS());
	story_open(s, story_spawn(s, entry, "/bin/cat", ARGS("cat", token), FDS()), token, 3);
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 1);
}

static void a_theft_below_a_reverse_shell_is_critical(void **state)
{
	static const struct peer evil = {.cookie = 77, .ip = "203.0.113.9", .port = 4444};
	STORY;
	struct actor *sh;

	(void)state;
	sh = story_spawn(s, USER_SHELL, "/usr/bin/bash", ARGS("bash", "-i"),
			 FDS(tcp(0, &evil), tcp(1, &evil), tcp(2, &evil)));
	story_open(s, story_spawn(s, sh, "/usr/bin/cat", ARGS("cat"), FDS()), "/etc/shadow", 3);
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 2);
	assert_string_equal(s->alerts[1]->msg.rule, "credential_theft");
	assert_string_equal(s->alerts[1]->msg.severity, "critical");
	story_open(s, story_spawn(s, sh, "/usr/bin/cat", ARGS("cat"), FDS()), "/etc/gshadow",
		   -EACCES);
	story_tell(s, 64);
	assert_string_equal(s->alerts[2]->msg.severity, "high");
	story_open(s, story_spawn(s, sh, "/usr/bin/ps", ARGS("ps", "e"), FDS()), "/proc/1/environ", 3);
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 4);
}

static void root_s_scheduled_copies_are_medium(void **state)
{
	static const struct container_def cron = {
		.container_id = "", .pod_uid = "", .name = "", .image = "", .pod = "",
		.namespace = "", .cgroup = "/system.slice/cron.service", .image_id = "",
		.workload = ""};
	STORY;
	struct actor *daemon, *sh, *scheduler;

	(void)state;
	scheduler = story_start(s, NULL, "/usr/sbin/crond", ARGS("crond"), FDS());
	s->container = &cron;
	daemon = story_start(s, NULL, "/usr/sbin/cron", ARGS("cron"), FDS());
	sh = story_spawn(s, daemon, "/usr/bin/dash", ARGS("sh", "-c", "tar"), FDS());
	story_open(s, story_spawn(s, sh, "/usr/bin/tar", ARGS("tar"), FDS()), "/etc/shadow", 3);
	story_open(s, story_spawn(s, scheduler, "/usr/bin/rsync", ARGS("rsync"), FDS()),
		   "/root/.ssh/id_rsa", 3);
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 2);
	assert_string_equal(s->alerts[0]->msg.severity, "medium");
	assert_string_equal(s->alerts[1]->msg.severity, "medium");
}

static void copies_by_other_users_programs_and_lineages_stay_high(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL, *cron, *job;

	(void)state;
	cron = story_start(s, NULL, "/usr/sbin/cron", ARGS("cron"), FDS());
	story_open(s, story_spawn(s, sh, "/usr/bin/cp", ARGS("cp"), FDS()), "/root/.ssh/id_rsa", 3);
	story_open(s, story_spawn(s, cron, "/tmp/tar", ARGS("tar"), FDS()), "/etc/shadow", 3);
	story_open(s, story_spawn(s, cron, "/usr/bin/curl", ARGS("curl"), FDS()), "/etc/gshadow",
		   3);
	job = story_fork(s, cron);
	job->def.creds.uid = job->def.creds.euid = 1000;
	story_exec(s, job, "/usr/bin/tar", ARGS("tar"), FDS());
	story_open(s, job, "/home/ann/.aws/credentials", 3);
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 4);
	for (uint32_t i = 0; i < 4; i++)
		assert_string_equal(s->alerts[i]->msg.severity, "high");
}

static void who_has_none_is_reported(void **state)
{
	static const char *const paths[] = {
		"/etc/shadow",
		"/root/.ssh/id_ed25519",
		"/home/ann/.ssh/id_rsa",
		"/root/.aws/credentials",
		"/home/ann/.config/gcloud/application_default_credentials.json",
		"/home/ann/.kube/config",
		"/etc/kubernetes/admin.conf",
		"/root/.docker/config.json",
		"/proc/1/environ",
		token,
		"/var/run/secrets/kubernetes.io/serviceaccount/token",
		"/etc/ssh/ssh_host_rsa_key",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		assert_int_equal(reads("/usr/bin/cat", ARGS("cat"), paths[i]), 1);
}

static void a_person_s_ps_is_silent(void **state)
{
	(void)state;
	assert_int_equal(reads("/usr/bin/ps", ARGS("ps", "-ef"), "/proc/1/environ"), 0);
	assert_int_equal(reads("/usr/bin/systemctl", ARGS("systemctl"), "/proc/1/environ"), 0);
	assert_int_equal(reads("/tmp/ps", ARGS("ps"), "/proc/1/environ"), 1);
	assert_int_equal(reads("/usr/bin/ps", ARGS("ps"), "/etc/shadow"), 1);
}

static void a_trusted_name_elsewhere_is_reported(void **state)
{
	(void)state;
	assert_int_equal(reads("/tmp/passwd", ARGS("passwd"), "/etc/shadow"), 1);
	assert_int_equal(
		reads("/usr/bin/python3.11", ARGS("python3", "/tmp/aws"), "/root/.aws/credentials"),
		1);
	assert_int_equal(reads("/usr/bin/python3.11", ARGS("python3", "/usr/../tmp/aws"),
			       "/root/.aws/credentials"),
			 1);
	assert_int_equal(reads("/usr/bin/busybox", ARGS("cat"), "/etc/shadow"), 1);
	assert_int_equal(reads("/usr/bin/busybox", ARGS("busybox", "cat"), "/etc/shadow"), 1);
}

static void a_trusted_path_that_a_user_owns_is_reported(void **state)
{
	STORY;

	(void)state;
	s->exe_uid = 1000;
	story_open(s, story_spawn(s, USER_SHELL, "/usr/bin/passwd", ARGS("passwd"), FDS()),
		   "/etc/shadow", 3);
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 1);
}

static void a_refused_attempt_is_reported_as_low(void **state)
{
	STORY;
	struct actor *cat = story_spawn(s, USER_SHELL, "/usr/bin/cat", ARGS("cat"), FDS());

	(void)state;
	story_open(s, cat, "/etc/shadow", -EACCES);
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 1);
	assert_string_equal(s->alerts[0]->msg.severity, "low");
}

static void a_token_read_by_who_was_let_in_later_is_reported(void **state)
{
	STORY;
	struct actor *shim =
		story_start(s, NULL, "/usr/bin/containerd-shim-runc-v2", ARGS("shim"), FDS());
	struct actor *shell;

	(void)state;
	s->container = &pod;
	(void)story_start(s, shim, "/app/server", ARGS("server"), FDS());
	shell = story_start(s, shim, "/bin/bash", ARGS("bash"), FDS());
	story_open(s, story_spawn(s, shell, "/bin/cat", ARGS("cat", token), FDS()), token, 3);
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 1);
	assert_string_equal(s->alerts[0]->msg.workload, "web");
	assert_string_equal(s->alerts[0]->msg.namespace_, "shop");
	assert_string_equal(s->alerts[0]->msg.container->image, "img");
	assert_string_equal(s->alerts[0]->msg.attack->techniques[0], "T1552.007");
}

static void a_sweep_of_environments_is_one_alert_with_revisions(void **state)
{
	STORY;
	struct actor *sh = USER_SHELL;

	(void)state;
	for (int i = 0; i < 8; i++) {
		char path[64];

		(void)snprintf(path, sizeof(path), "/proc/%d/environ", i + 1);
		story_open(s, story_spawn(s, sh, "/usr/bin/cat", ARGS("cat"), FDS()),
			   arena_strdup(s->arena, path), 3);
	}
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 4); /* 1, 2, 4, 8 */
	assert_string_equal(s->alerts[3]->msg.id, s->alerts[0]->msg.id);
	assert_int_equal(s->alerts[3]->msg.revision, 3);
	assert_int_equal(s->alerts[3]->msg.count, 8);
}

static void a_window_of_repeats_counts_as_many_as_it_says(void **state)
{
	_cleanup_(story_freep) struct story *s = story_new();
	struct actor *thief = story_start(s, NULL, "/home/u/thief", ARGS("thief"), FDS());

	(void)state;
	story_open(s, thief, "/etc/shadow", 3);
	story_open(s, thief, "/etc/shadow", 3);
	s->events[s->event_count - 1].repeats = 41;
	story_tell(s, 64);
	assert_int_equal(s->alert_count, 2);
	assert_int_equal(s->alerts[1]->msg.count, 42);
}

/* ---- the table ---- */

static void each_known_path_s_last_component_is_asked_for(void **state)
{
	const char *const *names = credential_theft_detector.needs.open_names;
	static const char *const paths[] = {
		"/etc/shadow-",
		"/etc/gshadow",
		"/root/.azure/msal_token_cache.bin",
		"/root/.config/gcloud/legacy_credentials/ann/adc.json",
		"/etc/rancher/k3s/k3s.yaml",
		"/proc/7/task/8/environ",
		"/root/.ssh/identity",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		const struct secret *secret = secret_of(paths[i]);

		assert_non_null(secret);
		for (const char *const *p = secret->paths; *p; p++)
			assert_true(secret_in(names, strrchr(*p, '/') + 1));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_has_business_is_silent),
		cmocka_unit_test(files_with_similar_names_are_silent),
		cmocka_unit_test(a_file_that_is_not_there_or_only_written_is_silent),
		cmocka_unit_test(a_package_s_script_may_read_shadow),
		cmocka_unit_test(one_s_own_environment_is_silent),
		cmocka_unit_test(a_person_s_ps_is_silent),
		cmocka_unit_test(a_workload_s_own_token_is_silent),
		cmocka_unit_test(an_entry_script_that_reads_its_token_is_silent),
		cmocka_unit_test(a_shell_of_the_application_that_reads_the_token_is_reported),
		cmocka_unit_test(a_program_that_an_application_starts_itself_is_reported),
		cmocka_unit_test(a_theft_below_a_reverse_shell_is_critical),
		cmocka_unit_test(root_s_scheduled_copies_are_medium),
		cmocka_unit_test(copies_by_other_users_programs_and_lineages_stay_high),
		cmocka_unit_test(who_has_none_is_reported),
		cmocka_unit_test(a_trusted_name_elsewhere_is_reported),
		cmocka_unit_test(a_trusted_path_that_a_user_owns_is_reported),
		cmocka_unit_test(a_refused_attempt_is_reported_as_low),
		cmocka_unit_test(a_token_read_by_who_was_let_in_later_is_reported),
		cmocka_unit_test(a_sweep_of_environments_is_one_alert_with_revisions),
		cmocka_unit_test(a_window_of_repeats_counts_as_many_as_it_says),
		cmocka_unit_test(each_known_path_s_last_component_is_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
