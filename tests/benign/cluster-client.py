#!/usr/bin/python3
"""A client of a cluster: one port on 40 addresses, connections that stay and are used. What tells it
from a sweep is how long they live, so this one takes three seconds."""
import os
import socket
import time

PORT = int(os.environ["NJ_PORT"])
ends = [socket.create_connection((f"127.0.14.{i}", PORT)) for i in range(1, 41)]
until = time.monotonic() + 3
while time.monotonic() < until:
    for end in ends:
        end.sendall(b"ping\n")
    time.sleep(0.1)
