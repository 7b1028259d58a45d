#!/usr/bin/python3
"""A port scan: 200 ports of one address, of which one is open."""
import os
import socket

OPEN = int(os.environ["NJ_PORT"])
found = []
for port in [*range(2, 201), OPEN]:
    with socket.socket() as s:
        s.settimeout(5)
        if s.connect_ex(("127.0.0.1", port)) == 0:
            found.append(port)
print("open", *found)
raise SystemExit(OPEN not in found)
