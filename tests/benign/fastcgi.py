#!/usr/bin/python3
"""A FastCGI-like responder: requests come over a UNIX socket from the web server, which got them
over TCP; the responder runs commands through popen."""
import http.client
import os
import socket
import subprocess
import threading

PATH = "fcgi.sock"
responder = socket.socket(socket.AF_UNIX)
responder.bind(PATH)
responder.listen()
if os.fork() == 0:
    os.setsid()
    os.dup2(responder.fileno(), 0)  # FastCGI: the listening socket is descriptor 0
    for _ in range(3):
        request, _ = socket.socket(fileno=os.dup(0)).accept()
        name = request.recv(4096).decode().strip()
        with os.popen("echo page for %s; sh -c 'date +%%s'" % name) as pipe:
            request.sendall(pipe.read().encode())
        request.close()
    os._exit(0)
responder.close()


def web(server):
    for _ in range(3):
        client, _ = server.accept()
        path = client.makefile("rb").readline().split()[1]
        upstream = socket.socket(socket.AF_UNIX)
        upstream.connect(PATH)
        upstream.sendall(path + b"\n")
        body = upstream.makefile("rb").read()
        client.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        client.close()


server = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=web, args=(server,)).start()
client = ("import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', %d); c.request('GET',"
          "'/page'); sys.exit(b'page for /page' not in c.getresponse().read())"
          % server.getsockname()[1])
for _ in range(3):
    subprocess.run(["/usr/bin/python3", "-c", client], start_new_session=True, check=True)
