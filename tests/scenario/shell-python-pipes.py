#!/usr/bin/python3
"""python relays between the connection and two pipes; the shell was there first."""
import os
import socket
import subprocess
import threading

shell = subprocess.Popen(["/bin/sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, bufsize=0)
s = socket.create_connection(("127.0.0.1", int(os.environ["NJ_PORT"])))


def answers():
    while data := shell.stdout.read(4096):
        s.sendall(data)


threading.Thread(target=answers, daemon=True).start()
while words := s.recv(4096):
    shell.stdin.write(words)
