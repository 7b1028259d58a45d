"""Makes many pods, each as large as pods are, through four connections: pods.py SERVER CA TOKEN NAMESPACE COUNT"""
import http.client
import json
import ssl
import sys
import threading
import urllib.parse

server, ca, token, namespace, count = sys.argv[1:6]
address = urllib.parse.urlparse(server)
failed = []


def pod(i):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "many-%05d" % i,
            "labels": {"app": "many", "number": str(i)},
            "annotations": {"note": "x" * 2000},
        },
        "spec": {
            "nodeName": "node-%d" % (i % 50),
            "containers": [{
                "name": "c%d" % n,
                "image": "registry.example/app:1",
                "env": [{"name": "NAME_%d" % v, "value": "y" * 50} for v in range(20)],
            } for n in range(2)],
        },
    }


def make(first):
    connection = http.client.HTTPSConnection(address.hostname, address.port,
                                             context=ssl.create_default_context(cafile=ca))
    for i in range(first, int(count), 4):
        connection.request("POST", "/api/v1/namespaces/%s/pods" % namespace, json.dumps(pod(i)),
                           {"Authorization": "Bearer " + token, "Content-Type": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 201:
            failed.append(body)
            return


threads = [threading.Thread(target=make, args=(n,)) for n in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if failed:
    sys.exit("cannot make pods: %s" % failed[0])
