/* Objects as the Kubernetes API gives them, small. */
#pragma once

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>

#include "collector/kube/apiobject.h"
#include "tests/unit/unit.h"

#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define ID_C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

/* A pod of a ReplicaSet, with one container that was started again. */
#define POD_JSON                                                                                                       \
	"{\"metadata\":{\"uid\":\"pod-uid\",\"namespace\":\"shop\",\"name\":\"web-5d4f8c7b9-x2x7k\","                  \
	"\"labels\":{\"app\":\"web\",\"tier\":\"front\"},\"ownerReferences\":[{\"kind\":\"Other\",\"name\":\"o\","     \
	"\"uid\":\"o\"},{\"controller\":true,\"kind\":\"ReplicaSet\",\"name\":\"web-5d4f8c7b9\",\"uid\":\"rs-uid\"}]},"  \
	"\"spec\":{\"nodeName\":\"node-1\",\"serviceAccountName\":\"web\",\"containers\":[{\"name\":\"nginx\","        \
	"\"image\":\"nginx:1.27\"}],\"initContainers\":[{\"name\":\"init\",\"image\":\"busybox\"}]},\"status\":{"      \
	"\"phase\":\"Running\",\"podIPs\":[{\"ip\":\"10.1.0.5\"},{\"ip\":\"fd00::5\"}],\"containerStatuses\":[{"       \
	"\"name\":\"nginx\",\"image\":\"sha256:1\",\"containerID\":\"containerd://" ID_A "\",\"lastState\":{"          \
	"\"terminated\":{\"containerID\":\"containerd://" ID_B "\"}}}],\"initContainerStatuses\":[{\"name\":\"init\"," \
	"\"containerID\":\"containerd://" ID_C "\"}]}}"

static inline json_t *kube_json(const char *text)
{
	json_error_t error;
	json_t *json = json_loads(text, 0, &error);

	if (!json)
		fail_msg("%s: %s", text, error.text);
	return json;
}

static inline struct api_ip kube_ip(const char *text)
{
	struct api_ip ip = {{0}};

	assert_true(apiobject_parse_ip(text, &ip));
	return ip;
}
