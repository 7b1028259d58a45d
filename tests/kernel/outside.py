#!/usr/bin/env python3
"""What a guest streams to: a collector on this host's loopback, which the guest reaches as 10.0.2.2 through the
emulator, and the attacker's end of a reverse shell. Reads the guest's console from a FIFO until its end and then
says what came: lines for matrix.py.

usage: outside.py DIR       makes DIR/pki for both sides, DIR/arguments for the guest's kernel when all listens, and
                            reads DIR/console
"""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

NAMED = "nj-seen-from-outside"  # a program that the attacker makes and runs in the guest
ANSWER = "guest-42"
LIMIT_S = 300


def certificates(directory):
    def certs(*args):
        subprocess.run(["build/bin/nightjar", "certs", *args, "--dir", directory], check=True, stdout=subprocess.DEVNULL)

    certs("init", "--cluster", "kernels")
    certs("issue", "collector", "--role", "collector", "--hosts", "localhost,127.0.0.1")
    certs("issue", "guest", "--role", "agent")


class Collector:
    def __init__(self, work):
        pki = work + "/pki/"
        self.alerts = work + "/alerts"
        self.log = work + "/collector.log"
        with open(self.alerts, "w") as out, open(self.log, "w") as err:
            self.process = subprocess.Popen(
                ["build/bin/nightjar-collector", "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
                 "--data-dir", work + "/data", "--tls-ca", pki + "ca.pem", "--tls-cert", pki + "collector.pem",
                 "--tls-key", pki + "collector-key.pem"], stdout=out, stderr=err)
        ready = self.await_line(r": ready .*grpc=\S*:(\d+).*http=(\S+)")
        self.port, self.http = ready.groups()

    def await_line(self, pattern):
        end = time.monotonic() + 30
        while time.monotonic() < end and self.process.poll() is None:
            with open(self.log) as log:
                found = re.search(pattern, log.read())
            if found:
                return found
            time.sleep(0.05)
        sys.exit("outside.py: the collector does not start: %s" % self.log)

    def events(self):
        with urllib.request.urlopen("http://%s/metrics" % self.http) as page:
            found = re.search(r"^nightjar_events_total(?:{.*})? (\d+)", page.read().decode(), re.M)
        return int(found.group(1)) if found else 0

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        with open(self.alerts) as lines:
            return [line for line in lines if NAMED in line or "10.0.2.2" in line]


class Attacker(threading.Thread):
    """Takes one shell, has it run a program of its own making, and keeps what that said."""

    def __init__(self):
        super().__init__(daemon=True)
        self.said = b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(LIMIT_S)
        self.port = self.listener.getsockname()[1]

    def run(self):
        try:
            shell, _ = self.listener.accept()
            shell.settimeout(60)
            shell.sendall(b"cp /bin/busybox /tmp/%s; /tmp/%s echo guest-$((6*7)); exit\n" % (2 * (NAMED.encode(),)))
            while ANSWER.encode() not in self.said:
                got = shell.recv(4096)
                if not got:
                    return
                self.said += got
        except OSError as e:
            self.said += str(e).encode()


def judge(name, good, otherwise):
    print("NJ %s %s" % ("passed" if good else "failed", name))
    if not good:
        print("NJ note %s" % otherwise)


def main():
    work = sys.argv[1]
    certificates(work + "/pki")
    collector, attacker = Collector(work), Attacker()
    attacker.start()
    with open(work + "/arguments.new", "w") as out:
        out.write("collector=%s attacker=%d" % (collector.port, attacker.port))
    os.rename(work + "/arguments.new", work + "/arguments")
    with open(work + "/console", errors="replace") as console:
        for line in console:
            sys.stdout.write(line)
    print("NJ program stream")
    events = collector.events()
    alerts = collector.stop()
    judge("the_attackers_command_ran_in_the_guest", ANSWER.encode() in attacker.said, attacker.said)
    judge("events_of_the_guest_reach_the_collector", events > 0, "%d events" % events)
    judge("the_alert_names_what_ran_in_the_guest_and_where_it_led",
          any(NAMED in alert and ":%d" % attacker.port in alert for alert in alerts), "%d alerts" % len(alerts))
    for alert in alerts:
        print("NJ note alert: %s" % json.dumps(json.loads(alert))[:600] if alert.startswith("{") else
              "NJ note alert: %s" % alert[:600])


main()
