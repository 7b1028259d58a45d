/* Objects of the Kubernetes API: what is absent, of another type, too long or too many never breaks
 * anything; what is there is found. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "tests/unit/kube_sample.h"

static void what_is_no_object_is_refused(void **state)
{
	static const char *const bad[] = {
		"{}", "[]", "{\"metadata\":7}", "{\"metadata\":{\"uid\":\"u\"}}", "{\"metadata\":{\"name\":\"n\"}}",
		"{\"metadata\":{\"uid\":1,\"name\":\"n\"}}",
		"{\"metadata\":{\"uid\":\"u\",\"name\":[]}}",
		"{\"metadata\":{\"uid\":\"a-uid-that-is-longer-than-any-uid-ever-is\",\"name\":\"n\"}}"};
	struct api_meta meta;
	struct api_pod pod;
	struct api_service service;
	struct api_slice slice;
	struct api_node node;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		json_t *json = kube_json(bad[i]);

		assert_int_equal(apiobject_meta(json, &meta), -EBADMSG);
		assert_int_equal(apiobject_pod(json, &pod), -EBADMSG);
		assert_int_equal(apiobject_service(json, &service), -EBADMSG);
		assert_int_equal(apiobject_slice(json, &slice), -EBADMSG);
		assert_int_equal(apiobject_node(json, &node), -EBADMSG);
		json_decref(json);
	}
	assert_int_equal(apiobject_meta(NULL, &meta), -EBADMSG);
}

static void a_pod_without_a_namespace_is_refused(void **state)
{
	json_t *json = kube_json("{\"metadata\":{\"uid\":\"u\",\"name\":\"n\"}}");
	struct api_pod pod;

	(void)state;
	assert_int_equal(apiobject_pod(json, &pod), -EBADMSG);
	json_decref(json);
}

static void fields_of_a_wrong_type_are_absent(void **state)
{
	json_t *json = kube_json("{\"metadata\":{\"uid\":\"u\",\"namespace\":\"n\",\"name\":\"p\",\"labels\":[1],"
				 "\"ownerReferences\":{\"controller\":true},\"annotations\":3},\"spec\":\"x\",\"status\":{"
				 "\"podIPs\":\"10.0.0.1\",\"containerStatuses\":[7,{\"containerID\":[]},{\"lastState\":1}]}}");
	struct api_pod pod;

	(void)state;
	assert_int_equal(apiobject_pod(json, &pod), 0);
	assert_int_equal(pod.container_count + pod.label_count + pod.ip_count, 0);
	assert_string_equal(pod.node, "");
	assert_string_equal(pod.meta.owner.kind, "");
	assert_string_equal(pod.cgroup_uid, "u");
	json_decref(json);
}

static void a_container_id_must_be_one(void **state)
{
	static const char *const bad[] = {"", "containerd://", "containerd://short", ID_A, "x://" ID_A "a",
					  "x://AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
	struct api_pod pod;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		json_t *json = json_pack("{s{ssssss}s{s[{ssss}]}}", "metadata", "uid", "u", "namespace", "n", "name",
					 "p", "status", "containerStatuses", "name", "c", "containerID", bad[i]);

		assert_int_equal(apiobject_pod(json, &pod), 0);
		assert_int_equal(pod.container_count, 0);
		json_decref(json);
	}
}

static void a_pod_gives_all_that_names_its_containers(void **state)
{
	json_t *json = kube_json(POD_JSON);
	struct api_ip v4 = kube_ip("10.1.0.5"), v6 = kube_ip("fd00::5");
	struct api_pod pod;

	(void)state;
	assert_int_equal(apiobject_pod(json, &pod), 0);
	assert_string_equal(pod.meta.namespace, "shop");
	assert_string_equal(pod.meta.owner.kind, "ReplicaSet");
	assert_string_equal(pod.meta.owner.uid, "rs-uid");
	assert_string_equal(pod.node, "node-1");
	assert_string_equal(pod.service_account, "web");
	assert_int_equal(pod.container_count, 3);
	assert_string_equal(pod.containers[0].id, ID_A);
	assert_string_equal(pod.containers[0].image, "nginx:1.27");
	assert_string_equal(pod.containers[1].id, ID_B);
	assert_string_equal(pod.containers[1].name, "nginx");
	assert_string_equal(pod.containers[2].image, "busybox");
	assert_int_equal(pod.label_count, 2);
	assert_string_equal(pod.labels[0].key, "app");
	assert_int_equal(pod.ip_count, 2);
	assert_memory_equal(&pod.ips[0], &v4, sizeof(v4));
	assert_memory_equal(&pod.ips[1], &v6, sizeof(v6));
	json_decref(json);
}

static void a_static_pod_is_known_by_the_hash_in_its_cgroup(void **state)
{
	json_t *json = kube_json("{\"metadata\":{\"uid\":\"mirror\",\"namespace\":\"kube-system\",\"name\":\"etcd-n\","
				 "\"annotations\":{\"kubernetes.io/config.mirror\":\"0123456789abcdef0123456789abcdef\"}}}");
	struct api_pod pod;

	(void)state;
	assert_int_equal(apiobject_pod(json, &pod), 0);
	assert_string_equal(pod.cgroup_uid, "0123456789abcdef0123456789abcdef");
	json_decref(json);
}

static void a_pod_that_has_ended_has_no_address(void **state)
{
	json_t *json = kube_json("{\"metadata\":{\"uid\":\"u\",\"namespace\":\"n\",\"name\":\"p\"},\"status\":{\"phase\":"
				 "\"Succeeded\",\"podIPs\":[{\"ip\":\"10.1.0.5\"}]}}");
	struct api_pod pod;

	(void)state;
	assert_int_equal(apiobject_pod(json, &pod), 0);
	assert_int_equal(pod.ip_count, 0);
	json_decref(json);
}

static void more_than_fits_is_cut(void **state)
{
	json_t *labels = json_object(), *ports = json_array(), *json;
	struct api_pod pod;
	struct api_service service;
	char key[16];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i);
		json_object_set_new(labels, key, json_string("v"));
		json_array_append_new(ports, json_pack("{si}", "port", i + 1));
	}
	json = json_pack("{s{sssssssO}s{sO}}", "metadata", "uid", "u", "namespace", "n", "name", "p", "labels", labels,
			 "spec", "ports", ports);
	assert_int_equal(apiobject_pod(json, &pod), 0);
	assert_int_equal(pod.label_count, API_LABELS_MAX);
	assert_int_equal(apiobject_service(json, &service), 0);
	assert_int_equal(service.port_count, API_PORTS_MAX);
	json_decref(json);
	json_decref(labels);
	json_decref(ports);
}

static void a_service_gives_its_addresses_and_ports(void **state)
{
	json_t *json = kube_json("{\"metadata\":{\"uid\":\"u\",\"namespace\":\"n\",\"name\":\"dns\"},\"spec\":{\"clusterIPs\":"
				 "[\"10.96.0.10\",\"None\"],\"ports\":[{\"port\":53,\"protocol\":\"UDP\"},{\"port\":53},{\"port\":0},"
				 "{\"port\":70000},{\"port\":\"x\"},{\"port\":9,\"protocol\":\"SCTP\"}]}}");
	struct api_service service;

	(void)state;
	assert_int_equal(apiobject_service(json, &service), 0);
	assert_int_equal(service.ip_count, 1);
	assert_int_equal(service.port_count, 3);
	assert_int_equal(service.ports[0].protocol, IPPROTO_UDP);
	assert_int_equal(service.ports[1].protocol, IPPROTO_TCP);
	assert_int_equal(service.ports[2].protocol, IPPROTO_SCTP);
	json_decref(json);
}

static void a_slice_gives_its_service_and_endpoints(void **state)
{
	json_t *json = kube_json("{\"metadata\":{\"uid\":\"u\",\"namespace\":\"n\",\"name\":\"s\",\"labels\":{"
				 "\"kubernetes.io/service-name\":\"web\"}},\"endpoints\":[{\"addresses\":[\"10.1.0.5\"]},{},"
				 "{\"addresses\":[\"10.1.0.6\",\"host.example\"]}],\"ports\":[{\"port\":8080}]}");
	struct api_slice slice;

	(void)state;
	assert_int_equal(apiobject_slice(json, &slice), 0);
	assert_string_equal(slice.service, "web");
	assert_int_equal(slice.ip_count, 2);
	assert_int_equal(slice.ports[0].number, 8080);
	json_decref(json);
}

static void a_node_gives_its_addresses_and_not_its_host_name(void **state)
{
	json_t *json = kube_json("{\"metadata\":{\"uid\":\"u\",\"name\":\"node-1\"},\"status\":{\"addresses\":[{\"address\":"
				 "\"node-1\"},{\"address\":\"192.168.0.1\"}]}}");
	struct api_node node;

	(void)state;
	assert_int_equal(apiobject_node(json, &node), 0);
	assert_int_equal(node.ip_count, 1);
	json_decref(json);
}

static void addresses_of_events_and_of_texts_are_the_same(void **state)
{
	static const uint8_t v4[4] = {10, 1, 0, 5};
	struct api_ip text = kube_ip("10.1.0.5"), event = apiobject_ip(false, v4), mapped = kube_ip("::ffff:10.1.0.5");
	struct api_ip none;

	(void)state;
	assert_memory_equal(&text, &event, sizeof(text));
	assert_memory_equal(&text, &mapped, sizeof(text));
	assert_false(apiobject_parse_ip("", &none));
	assert_false(apiobject_parse_ip("10.1.0", &none));
	assert_false(apiobject_parse_ip("10.1.0.5/24", &none));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_object_is_refused),
		cmocka_unit_test(a_pod_without_a_namespace_is_refused),
		cmocka_unit_test(fields_of_a_wrong_type_are_absent),
		cmocka_unit_test(a_container_id_must_be_one),
		cmocka_unit_test(a_pod_gives_all_that_names_its_containers),
		cmocka_unit_test(a_static_pod_is_known_by_the_hash_in_its_cgroup),
		cmocka_unit_test(a_pod_that_has_ended_has_no_address),
		cmocka_unit_test(more_than_fits_is_cut),
		cmocka_unit_test(a_service_gives_its_addresses_and_ports),
		cmocka_unit_test(a_slice_gives_its_service_and_endpoints),
		cmocka_unit_test(a_node_gives_its_addresses_and_not_its_host_name),
		cmocka_unit_test(addresses_of_events_and_of_texts_are_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
