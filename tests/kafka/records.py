"""Reads records as `kcat -J` prints them and checks what tests/kafka/run asks for.

usage: records.py count FILE N              N alerts, none twice
       records.py all FILE N                N alerts, perhaps some of them more than once
       records.py contract FILE PUBLISH STORE   key, headers, and the JSON that the store has
       records.py order FILE                ids ascend within each partition
"""
import json
import subprocess
import sys

HEADERS = {
    "content-type": "application/json",
    "ce_specversion": "1.0",
    "ce_type": "nightjar.v1.Alert",
    "ce_source": "/nightjar/prod/node-1",
    "ce_time": "2025-11-24T20:43:16.123456789Z",
    "nightjar-severity": "critical",
    "nightjar-rule": "reverse_shell",
    "nightjar-revision": "0",
}


def read(path):
    with open(path, encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines if line.strip()]
    for record in records:
        record["alert"] = json.loads(record["payload"])
        flat = record["headers"]
        record["headers"] = dict(zip(flat[::2], flat[1::2]))
        assert len(flat) == 2 * len(record["headers"]), "a header came twice"
    return records


def every(path, wanted):
    records = read(path)
    ids = [(r["alert"]["id"], r["alert"].get("revision", 0)) for r in records]
    missing = int(wanted) - len(set(ids))
    assert missing == 0, f"{missing} alerts are missing"
    return ids


def count(path, wanted):
    ids = every(path, wanted)
    assert len(ids) == len(set(ids)), f"{len(ids) - len(set(ids))} alerts came twice"


def contract(path, publish, store):
    records = read(path)
    assert records, "no records"
    for record in records:
        alert = record["alert"]
        assert record["key"] == "prod/shop/web", record["key"]
        assert record["headers"] == {**HEADERS, "ce_id": alert["id"] + ".0"}, record["headers"]
        stored = subprocess.run([publish, "get", store, alert["id"]], capture_output=True, check=True)
        assert alert == json.loads(stored.stdout), f"{alert}\nis not\n{stored.stdout}"
        assert int(alert["timing"]["detected_ns"]) > int(alert["timing"]["event_ns"])


def order(path):
    last = {}
    for record in read(path):
        partition, ident = record["partition"], record["alert"]["id"]
        assert last.get(partition, "") < ident, f"{ident} after {last[partition]}"
        last[partition] = ident


{"count": count, "all": every, "contract": contract, "order": order}[sys.argv[1]](*sys.argv[2:])
