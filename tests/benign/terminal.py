#!/usr/bin/python3
"""Somebody types into a shell on a pseudo-terminal: a terminal window, no network."""
import os
import pty

pid, terminal = pty.fork()
if pid == 0:
    os.execv("/bin/bash", ["bash", "--norc", "-i"])
os.write(terminal, b"ls / | head -3\nid; sh -c 'echo marker-$((6*7))'\nexit\n")
seen = b""
try:
    while data := os.read(terminal, 4096):
        seen += data
except OSError:
    pass
os.waitpid(pid, 0)
assert b"marker-42" in seen, seen
