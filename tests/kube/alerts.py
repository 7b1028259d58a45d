"""Alerts as JSON lines: alerts.py FILE KEY=VALUE… (one alert has all of them; an empty value: it lacks the key),
or alerts.py FILE same OTHER (the same alerts, times of delivery aside)"""
import json
import sys

path, checks = sys.argv[1], sys.argv[2:]


def read(name):
    with open(name) as lines:
        return [json.loads(line) for line in lines if line.endswith("\n")]


def value(alert, key):
    for part in key.split("."):
        alert = alert.get(part, {}) if isinstance(alert, dict) else {}
    return "" if alert == {} else str(alert)


def bare(alert):
    alert = dict(alert)
    timing = dict(alert.get("timing", {}))
    timing.pop("received_ns", None)
    timing.pop("detected_ns", None)
    return json.dumps(dict(alert, timing=timing), sort_keys=True)


alerts = read(path)
if checks[0] == "same":
    ours, others = sorted(map(bare, alerts)), sorted(map(bare, read(checks[1])))
    if ours != others:
        sys.exit("they differ:\n%s\n---\n%s" % ("\n".join(ours), "\n".join(others)))
else:
    wanted = [check.split("=", 1) for check in checks]
    # revision 0 is proto3's default, which JSON may leave out.
    if not any(all((value(a, k) or ("0" if k == "revision" else "")) == v for k, v in wanted) for a in alerts):
        sys.exit("no alert has %s: %s" % (" ".join(checks), json.dumps(alerts)))
