"""Compares grpcurl's Alerts.Get with the alert as the product writes it (proto3 JSON with the names
of the .proto files). grpcurl writes camel case: its field names are translated, map keys are not.

usage: same.py GRPCURL_FILE NIGHTJAR_FILE
"""
import json
import re
import sys

MAPS = {"fields", "evidence"}


def snake(value, in_map=False):
    if isinstance(value, list):
        return [snake(item) for item in value]
    if not isinstance(value, dict):
        return value
    if in_map:
        return value
    named = {re.sub("([A-Z])", lambda m: "_" + m.group(1).lower(), key): item for key, item in value.items()}
    return {key: snake(item, key in MAPS) for key, item in named.items()}


ours, theirs = json.load(open(sys.argv[2], encoding="utf-8")), json.load(open(sys.argv[1], encoding="utf-8"))
assert snake(theirs) == ours, f"{snake(theirs)}\nis not\n{ours}"
