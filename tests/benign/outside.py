#!/usr/bin/python3
"""A service of somebody else: a process in a session of its own that a scenario may talk to.

usage: outside.py database | jobs FILE    prints its port, then serves until it is ended
  database  keeps connections open and answers every line
  jobs      hands the script FILE to the first runner that asks, then collects its output
"""
import os
import socket
import sys


def database(connection):
    with connection, connection.makefile("rwb") as stream:
        for line in stream:
            stream.write(b"row " + line)
            stream.flush()


def jobs(connection):
    with connection, connection.makefile("rwb") as stream:
        script = open(sys.argv[2], "rb").read()
        stream.write(b"%d\n" % len(script) + script)
        stream.flush()
        for line in stream:
            sys.stderr.write("job: " + line.decode())
        sys.stderr.flush()


os.setsid()
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    accepted, _ = listener.accept()
    if os.fork() == 0:
        {"database": database, "jobs": jobs}[sys.argv[1]](accepted)
        os._exit(0)
