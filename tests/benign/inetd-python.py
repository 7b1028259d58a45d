#!/usr/bin/python3
"""An inetd style service in python: the accepted connection is all that python -c has to talk to, and
it runs commands on it."""
import socket
import subprocess

SERVICE = "import subprocess; subprocess.run(['/usr/bin/uname', '-s'], check=True)"
listener = socket.create_server(("127.0.0.1", 0))
client = ("import socket, sys; s = socket.create_connection(('127.0.0.1', %d));"
          "sys.exit(s.makefile().read() != 'Linux\\n')" % listener.getsockname()[1])
for _ in range(3):
    customer = subprocess.Popen(["/usr/bin/python3", "-c", client], start_new_session=True)
    accepted, _ = listener.accept()
    subprocess.run(["/usr/bin/python3", "-c", SERVICE], stdin=accepted, stdout=accepted,
                   stderr=accepted, check=True)
    accepted.close()
    assert customer.wait() == 0
