#!/usr/bin/python3
"""A server that holds a live database connection, which its children inherit, and runs commands:
their input and output are pipes to the server."""
import os
import socket
import subprocess

outside = subprocess.Popen([os.environ["NJ_TESTS"] + "/benign/outside.py", "database"],
                           stdout=subprocess.PIPE)
database = socket.create_connection(("127.0.0.1", int(outside.stdout.readline())))
database.set_inheritable(True)
stream = database.makefile("rwb", buffering=0)
for i in range(3):
    stream.write(b"select %d\n" % i)
    row = stream.readline()
    answer = subprocess.run("sort | sh -c 'cat; date'", shell=True, input=row, close_fds=False,
                            stdout=subprocess.PIPE, check=True).stdout
    assert answer.startswith(b"row select %d\n" % i), answer
    stream.write(b"insert " + answer.splitlines()[1] + b"\n")
    assert stream.readline().startswith(b"row insert")
outside.kill()
