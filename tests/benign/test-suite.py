#!/usr/bin/python3
"""A test suite with 60 servers, each on a port of its own, and a short connection to each, which is
answered."""
import socket

servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(60)]
for server in servers:
    with socket.create_connection(server.getsockname()) as client, server.accept()[0] as accepted:
        client.sendall(b"one test\n")
        assert accepted.recv(16) == b"one test\n"
