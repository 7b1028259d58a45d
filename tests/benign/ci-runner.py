#!/usr/bin/python3
"""A CI runner: takes a script from a job server over TCP, writes it to a file, runs it with bash
and streams the output back over the same connection."""
import os
import socket
import subprocess

with open("job.sh", "w") as f:
    f.write("set -eu\necho building\nfor i in 1 2 3; do uname -s; done\nmkdir -p out\necho done\n")
outside = subprocess.Popen([os.environ["NJ_TESTS"] + "/benign/outside.py", "jobs", "job.sh"],
                           stdout=subprocess.PIPE)
server = socket.create_connection(("127.0.0.1", int(outside.stdout.readline())))
stream = server.makefile("rwb", buffering=0)
size = int(stream.readline())
with open("work.sh", "wb") as f:
    while size > 0:
        size -= f.write(stream.read(size))
job = subprocess.Popen(["bash", "-e", "work.sh"], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
log = b""
for line in job.stdout:
    stream.write(line)
    log += line
assert job.wait() == 0 and log.endswith(b"done\n"), log
outside.kill()
