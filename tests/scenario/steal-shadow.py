#!/usr/bin/python3
"""A web application that was talked into printing /etc/shadow: the request goes to a shell."""
import http.client
import http.server
import subprocess
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = subprocess.run("cat " + self.path, shell=True, capture_output=True).stdout
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = http.client.HTTPConnection("127.0.0.1", server.server_port)
client.request("GET", "/etc/shadow")
raise SystemExit(b"root:" not in client.getresponse().read())
