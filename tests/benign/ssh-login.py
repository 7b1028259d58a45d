#!/usr/bin/python3
"""Somebody logs in by ssh and types: an interactive shell on a pseudo-terminal of sshd, whose
connection comes from elsewhere."""
import os
import pty
import shlex
import sys

if "NJ_SSH" not in os.environ:
    helper = os.environ["NJ_TESTS"] + "/benign/with-sshd.sh"
    os.execv(helper, [helper, os.path.abspath(__file__)])


def login(user):
    pid, terminal = pty.fork()
    if pid == 0:
        command = shlex.split(os.environ["NJ_SSH"]) + ["-tt", user + "@127.0.0.1"]
        os.execvp(command[0], command)
    os.write(terminal, b"echo marker-$((6*7)); ls -la / | head -3; id; exit\n")
    seen = b""
    try:
        while data := os.read(terminal, 4096):
            seen += data
    except OSError:
        pass
    os.waitpid(pid, 0)
    sys.stdout.buffer.write(seen)
    assert b"marker-42" in seen, user


login("pat")
login("root")
