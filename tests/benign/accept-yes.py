#!/usr/bin/python3
"""A systemd Accept=yes style service: each accepted connection becomes descriptors 0 and 1 of a
shell that runs the service's script file."""
import os
import socket
import subprocess

with open("service.sh", "w") as f:
    f.write('read -r name\necho "hello $name"\n')
listener = socket.create_server(("127.0.0.1", 0))
client = ("import socket, sys; s = socket.create_connection(('127.0.0.1', %d)); s.sendall(b'pat\\n');"
          "sys.exit(s.makefile().read() != 'hello pat\\n')" % listener.getsockname()[1])
for _ in range(3):
    customer = subprocess.Popen(["/usr/bin/python3", "-c", client], start_new_session=True)
    accepted, _ = listener.accept()
    if os.fork() == 0:
        os.setsid()
        os.dup2(accepted.fileno(), 0)
        os.dup2(accepted.fileno(), 1)
        os.execv("/bin/sh", ["sh", "service.sh"])
    accepted.close()
    assert customer.wait() == 0
    os.wait()
