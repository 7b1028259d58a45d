/* The store of the cluster's objects: chains of owners, what is missing and comes later, deletions,
 * addresses that change hands, lists that replace what was there, and caps. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "collector/kube/apistore.h"
#include "tests/unit/counter.h"
#include "tests/unit/kube_sample.h"

struct world {
	struct metrics *metrics;
	struct apistore *store;
};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->metrics = metrics_new();
	w->store = apistore_new(16, w->metrics);
	assert_non_null(w->store);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	apistore_free(w->store);
	metrics_free(w->metrics);
	free(w);
	return 0;
}

static void put_sample(struct apistore *s)
{
	json_t *json = kube_json(POD_JSON);
	struct api_pod pod;

	assert_int_equal(apiobject_pod(json, &pod), 0);
	apistore_put_pod(s, &pod);
	json_decref(json);
}

static struct api_meta meta(const char *uid, const char *name, const char *owner_kind, const char *owner)
{
	return (struct api_meta){.uid = uid,
				 .namespace = "shop",
				 .name = name,
				 .owner = {.kind = owner_kind, .name = owner, .uid = ""}};
}

static struct api_pod small_pod(const char *uid, const char *name, const char *ip)
{
	struct api_pod pod = {.meta = meta(uid, name, "", ""),
			      .cgroup_uid = uid,
			      .node = "node-1",
			      .service_account = "default",
			      .ip_count = ip[0] != '\0'};

	if (ip[0])
		pod.ips[0] = kube_ip(ip);
	return pod;
}

static void what_is_not_there_is_not_found(void **state)
{
	struct apistore *s = ((struct world *)*state)->store;
	struct api_ip ip = kube_ip("10.0.0.1");
	struct api_port port = {.number = 80, .protocol = IPPROTO_TCP};
	struct apistore_service service = {.namespace = "n", .name = "s"};
	struct apistore_pod pod;
	char name[API_NAME_MAX];

	assert_int_equal(apistore_find_container(s, "", "", &pod), -ENOENT);
	assert_int_equal(apistore_find_container(s, ID_A, "", &pod), -ENOENT);
	assert_int_equal(apistore_find_container(s, "no id", "no uid", &pod), -ENOENT);
	assert_int_equal(apistore_find_address(s, &ip, &pod), -ENOENT);
	assert_int_equal(apistore_find_node(s, &ip, name), -ENOENT);
	assert_int_equal(apistore_find_service(s, &ip, &port, &service), -ENOENT);
	assert_false(apistore_is_endpoint(s, &service, &ip, &port));
	apistore_delete(s, API_PODS, "nobody", 1);
}

static void a_pod_waits_for_the_owner_of_its_owner(void **state)
{
	struct apistore *s = ((struct world *)*state)->store;
	struct api_meta owner = meta("rs-uid", "web-5d4f8c7b9", "Deployment", "web");
	uint64_t before = apistore_version(s);
	struct apistore_pod pod;

	put_sample(s);
	assert_true(apistore_version(s) > before);
	assert_int_equal(apistore_find_container(s, ID_A, "", &pod), -EAGAIN);
	assert_string_equal(pod.workload, "web-5d4f8c7b9");
	assert_string_equal(pod.workload_kind, "ReplicaSet");
	apistore_put_owner(s, API_REPLICASETS, &owner);
	assert_int_equal(apistore_find_container(s, ID_A, "", &pod), 0);
	assert_string_equal(pod.workload_kind, "Deployment");
	assert_string_equal(pod.workload, "web");
	assert_string_equal(pod.container, "nginx");
	assert_string_equal(pod.image, "nginx:1.27");
	assert_string_equal(pod.service_account, "web");
	assert_string_equal(pod.node, "node-1");
	assert_int_equal(pod.label_count, 2);
	assert_memory_equal(pod.labels, "app\0web\0tier\0front", 19);
}

static void a_replica_set_of_nobody_is_the_workload(void **state)
{
	struct apistore *s = ((struct world *)*state)->store;
	struct api_meta owner = meta("rs-uid", "web-5d4f8c7b9", "", "");
	struct apistore_pod pod;

	put_sample(s);
	apistore_put_owner(s, API_REPLICASETS, &owner);
	assert_int_equal(apistore_find_container(s, ID_A, "", &pod), 0);
	assert_string_equal(pod.workload_kind, "ReplicaSet");
	assert_string_equal(pod.workload, "web-5d4f8c7b9");
}

static void a_job_belongs_to_its_cron_job(void **state)
{
	struct apistore *s = ((struct world *)*state)->store;
	struct api_meta job = meta("job-uid", "backup-28", "CronJob", "backup");
	struct api_pod pod = small_pod("p", "backup-28-abcde", "");
	struct apistore_pod found;

	pod.meta.owner = (struct api_owner){.kind = "Job", .name = "backup-28", .uid = "job-uid"};
	apistore_put_pod(s, &pod);
	apistore_put_owner(s, API_JOBS, &job);
	assert_int_equal(apistore_find_container(s, "", "p", &found), 0);
	assert_string_equal(found.workload_kind, "CronJob");
	assert_string_equal(found.workload, "backup");
}

static void other_owners_are_workloads_themselves(void **state)
{
	struct apistore *s = ((struct world *)*state)->store;
	struct api_pod pod = small_pod("p", "proxy-abcde", "");
	struct apistore_pod found;

	pod.meta.owner = (struct api_owner){.kind = "DaemonSet", .name = "proxy", .uid = "ds"};
	apistore_put_pod(s, &pod);
	assert_int_equal(apistore_find_container(s, "", "p", &found), 0);
	assert_string_equal(found.workload_kind, "DaemonSet");
	assert_string_equal(found.workload, "proxy");
}

static void a_pod_of_nobody_and_a_static_one_are_workloads_themselves(void **state)
{
	struct apistore *s = ((struct world *)*state)->store;
	struct api_pod alone = small_pod("a", "debug", ""), fixed = small_pod("b", "etcd-node-1", "");
	struct apistore_pod found;

	fixed.meta.owner = (struct api_owner){.kind = "Node", .name = "node-1", .uid = "n"};
	apistore_put_pod(s, &alone);
	apistore_put_pod(s, &fixed);
	assert_int_equal(apistore_find_container(s, "", "a", &found), 0);
	assert_string_equal(found.workload_kind, "Pod");
	assert_string_equal(found.workload, "debug");
	assert_int_equal(apistore_find_container(s, "", "b", &found), 0);
	assert_string_equal(found.workload, "etcd");
}

static void a_container_that_the_api_does_not_name_yet_is_said_to_be_missing(void **state)
{
	struct apistore *s = ((struct world *)*state)->store;
	struct api_pod pod = small_pod("p", "debug", "");
	struct apistore_pod found;

	apistore_put_pod(s, &pod);
	assert_int_equal(apistore_find_container(s, ID_A, "p", &found), -EAGAIN);
	assert_string_equal(found.name, "debug");
	assert_string_equal(found.container, "");
	pod.containers[0] = (struct api_container){.id = ID_A, .name = "sh", .image = "busybox"};
	pod.container_count = 1;
	apistore_put_pod(s, &pod);
	assert_int_equal(apistore_find_container(s, ID_A, "p", &found), 0);
	assert_string_equal(found.container, "sh");
}

static void a_deleted_pod_names_its_last_events_and_goes_later(void **state)
{
	struct apistore *s = ((struct world *)*state)->store;
	struct api_pod pod = small_pod("p", "debug", "10.0.0.1");
	struct api_ip ip = kube_ip("10.0.0.1");
	struct apistore_pod found;

	apistore_put_pod(s, &pod);
	apistore_delete(s, API_PODS, "p", 1000);
	apistore_sweep(s, APISTORE_LINGER_NS + 999);
	assert_int_equal(apistore_find_container(s, "", "p", &found), 0);
	apistore_sweep(s, APISTORE_LINGER_NS + 1000);
	assert_int_equal(apistore_find_container(s, "", "p", &found), -ENOENT);
	assert_int_equal(apistore_find_address(s, &ip, &found), -ENOENT);
}

static void an_address_belongs_to_whoever_had_it_last(void **state)
{
	struct apistore *s = ((struct world *)*state)->store;
	struct api_pod old = small_pod("a", "old", "10.0.0.1"), fresh = small_pod("b", "fresh", "10.0.0.1");
	struct api_ip ip = kube_ip("10.0.0.1");
	struct apistore_pod found;

	apistore_put_pod(s, &old);
	apistore_put_pod(s, &fresh);
	apistore_delete(s, API_PODS, "a", 1);
	apistore_sweep(s, APISTORE_LINGER_NS + 1);
	assert_int_equal(apistore_find_address(s, &ip, &found), 0);
	assert_string_equal(found.name, "fresh");
}

static void a_pod_on_the_nodes_network_has_no_address_of_its_own(void **state)
{
	struct apistore *s = ((struct world *)*state)->store;
	struct api_pod pod = small_pod("a", "proxy", "192.168.0.1");
	struct api_node node = {.meta = meta("n", "node-1", "", ""), .ips = {kube_ip("192.168.0.1")}, .ip_count = 1};
	struct apistore_pod found;
	char name[API_NAME_MAX];

	pod.host_network = true;
	apistore_put_pod(s, &pod);
	apistore_put_node(s, &node);
	assert_int_equal(apistore_find_address(s, &node.ips[0], &found), -ENOENT);
	assert_int_equal(apistore_find_node(s, &node.ips[0], name), 0);
	assert_string_equal(name, "node-1");
	apistore_delete(s, API_NODES, "n", 1);
	assert_int_equal(apistore_find_node(s, &node.ips[0], name), -ENOENT);
}

static void a_list_replaces_what_was_there(void **state)
{
	struct apistore *s = ((struct world *)*state)->store;
	struct api_pod a = small_pod("a", "a", ""), b = small_pod("b", "b", "");
	struct api_node node = {.meta = meta("n", "node-1", "", ""), .ips = {kube_ip("192.168.0.1")}, .ip_count = 1};
	struct apistore_pod found;
	char name[API_NAME_MAX];

	apistore_put_pod(s, &a);
	apistore_put_pod(s, &b);
	apistore_put_node(s, &node);
	apistore_begin_list(s, API_PODS);
	apistore_put_pod(s, &b);
	apistore_end_list(s, API_PODS, 1000);
	apistore_sweep(s, APISTORE_LINGER_NS + 1000);
	assert_int_equal(apistore_find_container(s, "", "a", &found), -ENOENT);
	assert_int_equal(apistore_find_container(s, "", "b", &found), 0);
	assert_int_equal(apistore_find_node(s, &node.ips[0], name), 0);
	apistore_begin_list(s, API_NODES);
	apistore_end_list(s, API_NODES, 1);
	assert_int_equal(apistore_find_node(s, &node.ips[0], name), -ENOENT);
}

static struct api_service service_of(const char *uid, const char *name, const char *ip)
{
	struct api_service service = {.meta = meta(uid, name, "", ""),
				      .ips = {kube_ip(ip)},
				      .ip_count = 1,
				      .ports = {{.number = 53, .protocol = IPPROTO_UDP},
						{.number = 53, .protocol = IPPROTO_TCP}},
				      .port_count = 2};

	return service;
}

static void a_service_is_found_by_address_port_and_protocol(void **state)
{
	struct apistore *s = ((struct world *)*state)->store;
	struct api_service service = service_of("s", "dns", "10.96.0.10");
	struct api_port port = {.number = 53, .protocol = IPPROTO_UDP};
	struct apistore_service found;

	apistore_put_service(s, &service);
	assert_int_equal(apistore_find_service(s, &service.ips[0], &port, &found), 0);
	assert_string_equal(found.name, "dns");
	assert_string_equal(found.namespace, "shop");
	port.protocol = IPPROTO_SCTP;
	assert_int_equal(apistore_find_service(s, &service.ips[0], &port, &found), -ENOENT);
	service.port_count = 1;
	apistore_put_service(s, &service);
	port.protocol = IPPROTO_TCP;
	assert_int_equal(apistore_find_service(s, &service.ips[0], &port, &found), -ENOENT);
	port.protocol = IPPROTO_UDP;
	apistore_delete(s, API_SERVICES, "s", 1);
	assert_int_equal(apistore_find_service(s, &service.ips[0], &port, &found), -ENOENT);
}

static void an_endpoint_counts_until_no_slice_has_it(void **state)
{
	struct apistore *s = ((struct world *)*state)->store;
	struct api_slice slice = {.meta = meta("one", "one", "", ""),
				  .service = "web",
				  .ips = {kube_ip("10.1.0.5"), kube_ip("10.1.0.6")},
				  .ip_count = 2,
				  .ports = {{.number = 8080, .protocol = IPPROTO_TCP}},
				  .port_count = 1};
	struct apistore_service web = {.namespace = "shop", .name = "web"}, other = {.namespace = "shop", .name = "o"};

	apistore_put_slice(s, &slice);
	slice.meta.uid = "two";
	slice.ip_count = 1;
	apistore_put_slice(s, &slice);
	assert_true(apistore_is_endpoint(s, &web, &slice.ips[0], &slice.ports[0]));
	assert_true(apistore_is_endpoint(s, &web, &slice.ips[1], &slice.ports[0]));
	assert_false(apistore_is_endpoint(s, &other, &slice.ips[0], &slice.ports[0]));
	apistore_delete(s, API_SLICES, "one", 1);
	assert_true(apistore_is_endpoint(s, &web, &slice.ips[0], &slice.ports[0]));
	assert_false(apistore_is_endpoint(s, &web, &slice.ips[1], &slice.ports[0]));
	apistore_delete(s, API_SLICES, "two", 1);
	assert_false(apistore_is_endpoint(s, &web, &slice.ips[0], &slice.ports[0]));
}

static void beyond_the_cap_the_oldest_pod_gives_way_and_is_counted(void **state)
{
	struct world *w = *state;
	struct apistore_pod found;
	char uid[16];

	for (int i = 0; i < 20; i++) {
		struct api_pod pod;

		(void)snprintf(uid, sizeof(uid), "pod-%d", i);
		pod = small_pod(uid, uid, "");
		apistore_put_pod(w->store, &pod);
	}
	assert_int_equal(apistore_find_container(w->store, "", "pod-3", &found), -ENOENT);
	assert_int_equal(apistore_find_container(w->store, "", "pod-4", &found), 0);
	assert_int_equal(apistore_find_container(w->store, "", "pod-19", &found), 0);
	assert_int_equal(counter_value(w->metrics, "nightjar_kube_objects_evicted_total{kind=\"pods\"}"), 4);
}

static void labels_beyond_their_room_are_left_out_whole(void **state)
{
	struct apistore *s = ((struct world *)*state)->store;
	struct api_pod pod = small_pod("p", "debug", "");
	struct apistore_pod found;
	char key[300];

	memset(key, 'k', sizeof(key) - 1);
	key[sizeof(key) - 1] = '\0';
	for (pod.label_count = 0; pod.label_count < API_LABELS_MAX; pod.label_count++)
		pod.labels[pod.label_count] = (struct api_label){.key = key, .value = "v"};
	apistore_put_pod(s, &pod);
	assert_int_equal(apistore_find_container(s, "", "p", &found), 0);
	assert_int_equal(found.label_count, sizeof(found.labels) / (sizeof(key) + 2));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_not_there_is_not_found),
		TEST(a_pod_waits_for_the_owner_of_its_owner),
		TEST(a_replica_set_of_nobody_is_the_workload),
		TEST(a_job_belongs_to_its_cron_job),
		TEST(other_owners_are_workloads_themselves),
		TEST(a_pod_of_nobody_and_a_static_one_are_workloads_themselves),
		TEST(a_container_that_the_api_does_not_name_yet_is_said_to_be_missing),
		TEST(a_deleted_pod_names_its_last_events_and_goes_later),
		TEST(an_address_belongs_to_whoever_had_it_last),
		TEST(a_pod_on_the_nodes_network_has_no_address_of_its_own),
		TEST(a_list_replaces_what_was_there),
		TEST(a_service_is_found_by_address_port_and_protocol),
		TEST(an_endpoint_counts_until_no_slice_has_it),
		TEST(beyond_the_cap_the_oldest_pod_gives_way_and_is_counted),
		TEST(labels_beyond_their_room_are_left_out_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
