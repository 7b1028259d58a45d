#!/usr/bin/python3
"""A shell on a pseudo-terminal that python relays to the connection on its own descriptors."""
import os
import pty
import socket

s = socket.create_connection(("127.0.0.1", int(os.environ["NJ_PORT"])))
for fd in (0, 1, 2):
    os.dup2(s.fileno(), fd)
pty.spawn("/bin/sh")
