#!/usr/bin/python3
"""An inetd style service: the connection is input and output of sh -c with a fixed command."""
import os
import socket
import subprocess

listener = socket.create_server(("127.0.0.1", 0))
client = ("import socket, sys; s = socket.create_connection(('127.0.0.1', %d)); s.sendall(b'b\\na\\n');"
          "s.shutdown(1); sys.exit(s.makefile().read() != 'a\\nb\\n')" % listener.getsockname()[1])
for _ in range(3):
    customer = subprocess.Popen(["/usr/bin/python3", "-c", client], start_new_session=True)
    accepted, _ = listener.accept()
    subprocess.run(["/bin/sh", "-c", "sort; :"], stdin=accepted, stdout=accepted, check=True)
    accepted.close()
    assert customer.wait() == 0
