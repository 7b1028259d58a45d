"""A ServiceAccount token with one claim changed, signed again: forge.py KEY TOKEN CLAIM=VALUE"""
import base64
import json
import subprocess
import sys

key, token, change = sys.argv[1:4]
head, claims, _ = token.split(".")
name, value = change.split("=", 1)


def decode(text):
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def encode(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


changed = decode(claims)
changed[name] = int(value) if value.isdigit() else value
signed = head + "." + encode(json.dumps(changed).encode())
signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=signed.encode(),
                           capture_output=True, check=True).stdout
print(signed + "." + encode(signature))
