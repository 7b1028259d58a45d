/* Container ids and pod uids out of cgroup paths. */
#include "tests/unit/unit.h"

#include <stdio.h>

#include "node-agent/cgroup_id.h"

#define ID  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define UID "8c1f1f1e-3f0a-4d2b-9c57-0d6f0d4c2a11"
#define UID_SLICE "8c1f1f1e_3f0a_4d2b_9c57_0d6f0d4c2a11"
#define UID_BARE "8c1f1f1e3f0a4d2b9c570d6f0d4c2a11"

static void unknown_shapes_are_the_hosts(void **state)
{
	static const char *const paths[] = {
		"", "/", "//", "/user.slice/user-0.slice/session-1.scope", "/system.slice/ssh.service",
		/* long hexadecimal names that nobody promised to be containers */
		"/process_api/a601d98a88e60ecfcea8ed12abf6b359", "/process_api/" ID, "/" ID, "/build/job/" ID,
		"/system.slice/crio-conmon-" ID ".scope", "/system.slice/run-" ID ".scope",
		/* not quite an id */
		"/docker/0123456789abcdef", "/docker/" ID "0", "/docker/" ID ".scope",
		"/system.slice/docker-XYZ3456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope",
		"/docker/0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF",
		/* a pod without a container, and a pod that is no pod */
		"/kubepods/besteffort/pod" UID, "/kubepods/besteffort/podcast/" ID, "/kubepods/pod/" ID,
		"/kubepods.slice/kubepods-podnot_a_uid.slice/" ID,
		/* the id must stand right below the pod */
		"/kubepods/pod" UID "/other/" ID,
		"/kubepods-pod" UID_SLICE ".slice:cri-containerd:", ":cri-containerd:" ID,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct cgroup_id id = {.container_id = "untouched"};

		if (cgroup_id_parse(paths[i], &id))
			fail_msg("taken for a container: %s", paths[i]);
		assert_string_equal(id.container_id, "untouched");
	}
}

static void every_shape_of_kubernetes_is_known(void **state)
{
	static const char *const paths[] = {
		"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_SLICE ".slice/cri-containerd-" ID ".scope",
		"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" UID_SLICE ".slice/crio-" ID ".scope",
		"/kubepods.slice/kubepods-pod" UID_SLICE ".slice/docker-" ID ".scope",
		"/kubepods/burstable/pod" UID "/" ID,
		"/kubepods/pod" UID "/" ID,
		"/kubepods/besteffort/pod" UID "/crio-" ID,
		"/system.slice/containerd.service/kubepods-burstable-pod" UID_SLICE ".slice:cri-containerd:" ID,
		/* kind and nested nodes: below the container of the node */
		"/kubelet.slice/kubelet-kubepods.slice/pod" UID "/" ID,
		/* what a container makes below itself stays in it */
		"/kubepods/burstable/pod" UID "/" ID "/init.scope",
		"/kubepods/burstable/pod" UID "/" ID "/docker/ffff456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct cgroup_id id;

		if (!cgroup_id_parse(paths[i], &id))
			fail_msg("not known: %s", paths[i]);
		assert_string_equal(id.container_id, ID);
		assert_string_equal(id.pod_uid, UID);
	}
}

static void static_pods_have_a_uid_without_dashes(void **state)
{
	struct cgroup_id id;

	(void)state;
	assert_true(cgroup_id_parse("/kubepods/burstable/pod" UID_BARE "/" ID, &id));
	assert_string_equal(id.pod_uid, UID_BARE);
	assert_true(cgroup_id_parse("/kubepods.slice/kubepods-burstable-pod" UID_BARE ".slice/cri-containerd-" ID ".scope", &id));
	assert_string_equal(id.pod_uid, UID_BARE);
}

static void containers_without_kubernetes_are_known(void **state)
{
	static const char *const paths[] = {
		"/docker/" ID, "/system.slice/docker-" ID ".scope", "/machine.slice/libpod-" ID ".scope",
		"/machine.slice/libpod-" ID ".scope/container", "/libpod_parent/libpod-" ID, "/k8s.io/" ID,
		"/default/" ID, "/system.slice/nerdctl-" ID ".scope",
		"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct cgroup_id id;

		if (!cgroup_id_parse(paths[i], &id))
			fail_msg("not known: %s", paths[i]);
		assert_string_equal(id.container_id, ID);
		assert_string_equal(id.pod_uid, "");
	}
}

static void every_beginning_of_a_path_is_safe(void **state)
{
	const char *whole = "/kubepods.slice/kubepods-pod" UID_SLICE ".slice/cri-containerd-" ID ".scope";
	struct cgroup_id id;
	char cut[256];

	(void)state;
	for (size_t len = 0; len < strlen(whole) - strlen(".scope"); len++) {
		(void)snprintf(cut, sizeof(cut), "%.*s", (int)len, whole);
		assert_false(cgroup_id_parse(cut, &id));
	}
}

static void the_host_s_workload_is_the_innermost_unit(void **state)
{
	static const struct {
		const char *path, *workload;
	} rows[] = {
		{"", ""},
		{"/", "/"},
		{"/ci/job-77", "/ci/job-77"},
		{"/.service", "/.service"},
		{"/init.scope", "init.scope"},
		{"/system.slice", "system.slice"},
		{"/system.slice/nginx.service", "nginx.service"},
		{"/system.slice/nginx.service/workers/1", "nginx.service"},
		{"/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service"},
		{"/system.slice/ssh@7-10.0.0.1:22-10.0.0.2:999.service", "ssh@7-10.0.0.1:22-10.0.0.2:999.service"},
		{"/system.slice/srv\\x2ddata.mount", "srv\\x2ddata.mount"},
		{"/system.slice/docker.socket", "docker.socket"},
		{"/user.slice/user-1000.slice", "user-1000.slice"},
		{"/user.slice/user-1000.slice/session-3.scope", "session-3.scope"},
		{"/user.slice/user-1000.slice/user@1000.service/app.slice/app-shell.scope", "app-shell.scope"},
		{"/user.slice/user-1000.slice/user@1000.service/app.slice", "user@1000.service"},
		{"/machine.slice/vm.scope/libvirt/emulator", "vm.scope"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bytes got = cgroup_id_workload(rows[i].path);

		if (!bytes_equal(got, bytes_of_text(rows[i].workload)))
			fail_msg("'%s' is '%.*s'", rows[i].path, (int)got.len, (const char *)got.data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unknown_shapes_are_the_hosts),
		cmocka_unit_test(every_shape_of_kubernetes_is_known),
		cmocka_unit_test(static_pods_have_a_uid_without_dashes),
		cmocka_unit_test(containers_without_kubernetes_are_known),
		cmocka_unit_test(the_host_s_workload_is_the_innermost_unit),
		cmocka_unit_test(every_beginning_of_a_path_is_safe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
