/* The agent on a node with a real containerd and real pods: who each container is, whatever happens to
 * containers, runtime and agent meanwhile. Times that are printed are figures, not assertions, but for the
 * five seconds within which everything must be known. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "common/rpc.h"
#include "tests/containers/node.h"

#define KNOWN_MS   5000
#define SKIP	   77
#define CAP_NET_ADMIN 12
#define CAP_SYS_ADMIN 21

struct fixture {
	struct runtime rt;
	struct kubelet kubelet;
	struct node node;
};

static int set_up(void **state)
{
	static struct fixture f;

	log_init("test", LOG_LEVEL_ERROR);
	rpc_log_quietly();
	rpc_init();
	*state = &f;
	runtime_init(&f.rt);
	runtime_start(&f.rt);
	kubelet_init(&f.kubelet, &f.rt);
	node_init(&f.node);
	node_start_agent(&f.node, f.rt.socket);
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	if (f->kubelet.client)
		kubelet_done(&f->kubelet);
	runtime_done(&f->rt);
	if (f->node.fake)
		node_done(&f->node);
	rpc_done();
	return 0;
}

static void assert_known(struct fixture *f, const char *id, const struct pod *pod, const char *name)
{
	struct told t = {0};

	if (!node_resolves(&f->node, id, KNOWN_MS)) {
		bool heard = node_told(&f->node, id, &t);

		fail_msg("container %s of pod %s: %s after %d ms", name, pod->name,
			 heard ? "no name" : "never heard of", KNOWN_MS);
	}
	assert_true(node_told(&f->node, id, &t));
	assert_string_equal(t.pod, pod->name);
	assert_string_equal(t.pod_uid, pod->uid);
	assert_string_equal(t.namespace, "shop");
	assert_string_equal(t.name, name);
	assert_string_equal(t.app, pod->name);
}

/* ---- */

static void a_pod_is_known_with_all_that_the_runtime_tells(void **state)
{
	struct fixture *f = *state;
	struct pod pod, strong;
	char id[65], strong_id[65];
	struct told t;

	kubelet_run_pod(&f->kubelet, "web", false, &pod);
	kubelet_start(&f->kubelet, &pod, "front", "sleep 1000", id);
	kubelet_run_pod(&f->kubelet, "root", true, &strong);
	kubelet_start(&f->kubelet, &strong, "all", "sleep 1000", strong_id);
	assert_known(f, pod.id, &pod, "POD");
	assert_known(f, strong_id, &strong, "all");
	assert_known(f, id, &pod, "front");
	assert_true(node_told(&f->node, id, &t));
	assert_string_equal(t.image, APP_IMAGE);
	assert_non_null(strstr(t.image_id, "sha256:"));
	assert_true(t.host_etc);
	assert_false(t.privileged);
	assert_true(t.cap_bounding & 1ULL << CAP_NET_ADMIN);
	assert_false(t.cap_bounding & 1ULL << CAP_SYS_ADMIN);
	assert_true(node_told(&f->node, strong_id, &t));
	assert_true(t.privileged);
	assert_true(t.cap_bounding & 1ULL << CAP_SYS_ADMIN);
	kubelet_remove_pod(&f->kubelet, &pod);
	kubelet_remove_pod(&f->kubelet, &strong);
}

#define PODS	 10
#define PER_POD	 20
#define MANY	 (PODS * PER_POD)

static int compare_times(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void two_hundred_containers_come_and_go_and_none_stays_unknown(void **state)
{
	struct fixture *f = *state;
	static struct pod pods[PODS];
	static char ids[MANY][65];
	static uint64_t took_ms[MANY];
	struct told t;

	for (int i = 0; i < PODS; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "many-%d", i);
		kubelet_run_pod(&f->kubelet, name, false, &pods[i]);
		for (int j = 0; j < PER_POD; j++) {
			(void)snprintf(name, sizeof(name), "c%d", j);
			kubelet_start(&f->kubelet, &pods[i], name, "cat /etc/none; exec sleep 1000",
				      ids[i * PER_POD + j]);
		}
		if (i > 0)
			kubelet_remove_pod(&f->kubelet, &pods[i - 1]);
	}
	kubelet_remove_pod(&f->kubelet, &pods[PODS - 1]);
	for (int i = 0; i < MANY; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "c%d", i % PER_POD);
		assert_known(f, ids[i], &pods[i / PER_POD], name);
		assert_true(node_told(&f->node, ids[i], &t));
		assert_true(t.events > 0);
		took_ms[i] = (t.resolved_ns - t.first_ns) / NS_PER_MS;
	}
	qsort(took_ms, MANY, sizeof(took_ms[0]), compare_times);
	printf("%d containers: name known %llu ms after the first event (median), %llu ms at most; agent %llu kB\n",
	       MANY, (unsigned long long)took_ms[MANY / 2], (unsigned long long)took_ms[MANY - 1],
	       (unsigned long long)node_agent_rss_kb(&f->node));
	assert_int_equal(f->node.lost, 0);
}

static void a_container_that_lives_50_ms_is_known(void **state)
{
	struct fixture *f = *state;
	char ids[20][65], name[32];
	struct pod pod;

	kubelet_run_pod(&f->kubelet, "brief", false, &pod);
	for (int i = 0; i < 20; i++) {
		(void)snprintf(name, sizeof(name), "b%d", i);
		kubelet_start(&f->kubelet, &pod, name, "sleep 0.05", ids[i]);
	}
	for (int i = 0; i < 20; i++) {
		(void)snprintf(name, sizeof(name), "b%d", i);
		assert_known(f, ids[i], &pod, name);
	}
	kubelet_remove_pod(&f->kubelet, &pod);
}

/* ---- pids ---- */

/* The first process in the container's cgroup whose executable is that; waits for it. */
static uint32_t process_of(const char *container_id, const char *comm)
{
	char command[256], line[32] = "";
	uint64_t until = clock_monotonic_ns() + KNOWN_MS * NS_PER_MS;

	(void)snprintf(command, sizeof(command),
		       "for p in $(grep -l %s /proc/[0-9]*/cgroup 2>/dev/null | cut -d/ -f3); do "
		       "[ \"$(cat /proc/$p/comm 2>/dev/null)\" = %s ] && echo $p && break; done",
		       container_id, comm);
	while (line[0] == '\0') {
		FILE *f = popen(command, "re");

		assert_non_null(f);
		(void)!fgets(line, sizeof(line), f);
		(void)pclose(f);
		if (clock_monotonic_ns() > until)
			fail_msg("no process '%s' in the container", comm);
	}
	return (uint32_t)atoi(line);
}

/* Moves the caller into the cgroups of a process. */
static int enter_cgroups_of(uint32_t pid)
{
	char path[512], line[512];
	FILE *f;
	int moved = 0;

	(void)snprintf(path, sizeof(path), "/proc/%u/cgroup", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		char *controllers = strchr(line, ':') + 1, *at = strchr(controllers, ':');
		const char *folder;
		FILE *procs;

		*at = '\0';
		at[1 + strcspn(at + 1, "\n")] = '\0';
		folder = controllers[0] ? controllers : access("/sys/fs/cgroup/unified", F_OK) == 0 ? "unified" : ".";
		(void)snprintf(path, sizeof(path), "/sys/fs/cgroup/%s%s/cgroup.procs",
			       strncmp(folder, "name=", 5) == 0 ? folder + 5 : folder, at + 1);
		procs = fopen(path, "we");
		if (procs && fprintf(procs, "0\n") > 0 && fclose(procs) == 0)
			moved++;
	}
	if (f)
		(void)fclose(f);
	return moved;
}

/* A child with exactly this pid, in the cgroups of another process, that executes sleep; 0: the pid went to
 * somebody else. */
static uint32_t child_with_pid(uint32_t pid, uint32_t cgroups_of)
{
	FILE *last = fopen("/proc/sys/kernel/ns_last_pid", "we");
	pid_t child;

	assert_non_null(last);
	(void)fprintf(last, "%u", pid - 1);
	(void)fclose(last);
	child = fork();
	if (child == 0) {
		if ((uint32_t)getpid() == pid && enter_cgroups_of(cgroups_of) > 0)
			(void)execl("/bin/busybox", "sleep", "1000", (char *)NULL);
		_exit(1);
	}
	if ((uint32_t)child == pid)
		return pid;
	(void)waitpid(child, NULL, 0);
	return 0;
}

static void a_pid_that_is_used_again_is_another_process(void **state)
{
	struct fixture *f = *state;
	char first_id[65], second_id[65];
	uint32_t pid, holder, again = 0;
	uint64_t first_exec, second_exec;
	struct image image;
	struct pod first, second;

	kubelet_run_pod(&f->kubelet, "first", false, &first);
	kubelet_start(&f->kubelet, &first, "a", "exec sleep 1000", first_id);
	kubelet_run_pod(&f->kubelet, "second", false, &second);
	kubelet_start(&f->kubelet, &second, "b", "exec sleep 1000", second_id);
	pid = process_of(first_id, "sleep");
	holder = process_of(second_id, "sleep");
	assert_true(node_process(&f->node, pid, "/bin/busybox", &first_exec, &image, KNOWN_MS));
	assert_string_equal(image.container_id, first_id);
	kubelet_remove_pod(&f->kubelet, &first);
	for (int i = 0; i < 200 && !again; i++)
		again = child_with_pid(pid, holder);
	assert_int_equal(again, pid);
	assert_true(node_process(&f->node, pid, "/usr/bin/busybox", &second_exec, &image, KNOWN_MS));
	assert_int_not_equal(second_exec, first_exec);
	assert_string_equal(image.container_id, second_id);
	(void)kill((pid_t)pid, SIGKILL);
	(void)waitpid((pid_t)pid, NULL, 0);
	kubelet_remove_pod(&f->kubelet, &second);
}

/* ---- restarts ---- */

static void the_agent_is_started_again_and_every_exec_id_stays(void **state)
{
	struct fixture *f = *state;
	struct image image;
	struct pod pod;
	struct told t;
	char ids[8][65];
	uint32_t pids[8];
	uint64_t before[8], after;

	kubelet_run_pod(&f->kubelet, "steady", false, &pod);
	for (int i = 0; i < 8; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "s%d", i);
		kubelet_start(&f->kubelet, &pod, name, i % 2 ? "exec sleep 1000" : "sleep 1000 & wait", ids[i]);
		pids[i] = process_of(ids[i], "sleep");
		assert_true(node_process(&f->node, pids[i], "/bin/busybox", &before[i], &image, KNOWN_MS));
	}
	node_stop_agent(&f->node);
	node_forget_processes(&f->node);
	node_start_agent(&f->node, f->rt.socket);
	for (int i = 0; i < 8; i++) {
		assert_true(node_process(&f->node, pids[i], "/bin/busybox", &after, &image, KNOWN_MS));
		assert_int_equal(after, before[i]);
		assert_string_equal(image.container_id, ids[i]);
		assert_true(node_told(&f->node, ids[i], &t));
		assert_string_equal(t.pod, "steady");
	}
	kubelet_remove_pod(&f->kubelet, &pod);
}

static void the_runtime_is_started_again_and_its_containers_are_known(void **state)
{
	struct fixture *f = *state;
	static const char sentence[] = "containers stay without pod and image";
	char old_id[65], new_id[65];
	struct pod pod;
	struct told t;

	kubelet_run_pod(&f->kubelet, "patient", false, &pod);
	kubelet_start(&f->kubelet, &pod, "old", "exec sleep 1000", old_id);
	assert_known(f, old_id, &pod, "old");
	kubelet_done(&f->kubelet);
	node_stop_agent(&f->node);
	runtime_stop(&f->rt);
	(void)pthread_mutex_lock(&f->node.fake->lock);
	table_clear(f->node.told);
	(void)pthread_mutex_unlock(&f->node.fake->lock);
	/* The agent meets containers that nobody can tell it of. */
	node_start_agent(&f->node, f->rt.socket);
	assert_true(product_count(&f->node.agent, sentence) > 0 ||
		    product_says(&f->node.agent, sentence, PRODUCT_SAY_MS));
	assert_true(node_hears_of(&f->node, old_id, KNOWN_MS));
	assert_true(node_told(&f->node, old_id, &t));
	assert_int_equal(t.resolved_ns, 0);
	FAKE_AWAIT(f->node.fake, strstr(f->node.fake->problem, f->rt.socket));
	runtime_start(&f->rt);
	kubelet_init(&f->kubelet, &f->rt);
	/* Within the agent's back-off. */
	assert_true(node_resolves(&f->node, old_id, 35000));
	assert_known(f, old_id, &pod, "old");
	FAKE_AWAIT(f->node.fake, f->node.fake->problem[0] == '\0' && f->node.fake->answered > 0);
	/* And now in its face. */
	kubelet_done(&f->kubelet);
	runtime_stop(&f->rt);
	runtime_start(&f->rt);
	kubelet_init(&f->kubelet, &f->rt);
	kubelet_start(&f->kubelet, &pod, "new", "exec sleep 1000", new_id);
	assert_known(f, new_id, &pod, "new");
	kubelet_remove_pod(&f->kubelet, &pod);
	assert_int_equal(f->node.lost, 0);
}

/* ---- a full node ---- */

#define CROWD	     5000
#define CROWD_INSIDE 60
#define SETTLE_BEATS 14 /* seven seconds */

static void start_crowd(int *ret_stdin, pid_t *ret_pid)
{
	const char *build = getenv("NJ_BUILD");
	char program[256], count[16], line[64] = "";
	int in[2], out[2];
	FILE *said;

	(void)snprintf(program, sizeof(program), "%s/tests/containers/crowd", build ? build : "build");
	(void)snprintf(count, sizeof(count), "%d", CROWD);
	assert_true(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
	*ret_pid = fork();
	if (*ret_pid == 0) {
		if (dup2(in[0], 0) == 0 && dup2(out[1], 1) == 1)
			(void)execl(program, "crowd", count, (char *)NULL);
		_exit(127);
	}
	(void)close(in[0]);
	(void)close(out[1]);
	said = fdopen(out[0], "r");
	assert_non_null(said);
	if (!fgets(line, sizeof(line), said) || strcmp(line, "ready\n") != 0)
		fail_msg("no crowd: %s", line);
	(void)fclose(said);
	*ret_stdin = in[1];
}

/* Lock held. */
static uint32_t image_count(const struct node *n)
{
	struct table_stats stats;

	table_stats(n->images, &stats);
	return stats.count;
}

/* The agent's memory once it has listed everybody and has given back what that took. */
static uint64_t settled_rss_kb(struct fixture *f, const char *socket)
{
	uint32_t beats;

	node_forget_processes(&f->node);
	node_start_agent(&f->node, socket);
	FAKE_AWAIT(f->node.fake, image_count(&f->node) > CROWD);
	beats = f->node.fake->heartbeats;
	FAKE_AWAIT(f->node.fake, f->node.fake->heartbeats >= beats + SETTLE_BEATS);
	return node_agent_rss_kb(&f->node);
}

static void a_node_of_5000_processes_is_listed_and_nothing_is_lost(void **state)
{
	struct fixture *f = *state;
	uint64_t lost = f->node.lost, without, with;
	struct pod pod;
	char id[65], name[32];
	pid_t crowd;
	int in;

	node_stop_agent(&f->node);
	start_crowd(&in, &crowd);
	kubelet_run_pod(&f->kubelet, "crowded", false, &pod);
	for (int i = 0; i < CROWD_INSIDE; i++) {
		(void)snprintf(name, sizeof(name), "in%d", i);
		kubelet_start(&f->kubelet, &pod, name, "exec sleep 1000", id);
	}
	without = settled_rss_kb(f, "off");
	node_stop_agent(&f->node);
	with = settled_rss_kb(f, f->rt.socket);
	assert_known(f, id, &pod, name);
	printf("%d processes and %d containers: agent %llu kB without asking the runtime, %llu kB with\n", CROWD, CROWD_INSIDE,
	       (unsigned long long)without, (unsigned long long)with);
	kubelet_remove_pod(&f->kubelet, &pod);
	(void)close(in);
	(void)waitpid(crowd, NULL, 0);
	node_stop_agent(&f->node);
	assert_int_equal(f->node.lost, lost);
}

/* A kernel that lets nothing be captured is no reason to fail, and the only one to skip. */
static void skip_without_permission(void)
{
	const char *build = getenv("NJ_BUILD");
	char command[256], text[1024] = "";
	FILE *f;

	(void)snprintf(command, sizeof(command), "%s/bin/nightjar-agent --probe 2>&1", build ? build : "build");
	f = popen(command, "re");
	if (f) {
		(void)!fread(text, 1, sizeof(text) - 1, f);
		(void)pclose(f);
	}
	if (!strstr(text, "may not load BPF"))
		return;
	printf("SKIP %s\n", text);
	exit(SKIP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pod_is_known_with_all_that_the_runtime_tells),
		cmocka_unit_test(two_hundred_containers_come_and_go_and_none_stays_unknown),
		cmocka_unit_test(a_container_that_lives_50_ms_is_known),
		cmocka_unit_test(a_pid_that_is_used_again_is_another_process),
		cmocka_unit_test(the_agent_is_started_again_and_every_exec_id_stays),
		cmocka_unit_test(the_runtime_is_started_again_and_its_containers_are_known),
		cmocka_unit_test(a_node_of_5000_processes_is_listed_and_nothing_is_lost),
	};

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	skip_without_permission();
	runtime_isolate();
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
