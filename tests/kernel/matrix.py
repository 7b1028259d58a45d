#!/usr/bin/env python3
"""Reads the consoles of all guests (DIR/KERNEL.JOB.log), prints what failed, writes the class matrix
(which kind of event was awaited and came: kernel × provider → tests) and ends with the closing line.

usage: matrix.py DIR MATRIX
"""
import collections
import glob
import os
import re
import sys


class Guest:
    """What one console tells. A test's kinds count when the test has passed."""

    def __init__(self, path):
        self.kernel, self.job = os.path.basename(path).removesuffix(".log").rsplit(".", 1)
        self.passed, self.failed, self.skipped = [], [], []
        self.probe, self.fired = [], []
        self.provider = {}
        self.program, self.pending, self.ended = "", [], None
        with open(path, errors="replace") as console:
            for line in console:
                self.line(line.rstrip("\n"))
        if self.ended is None:
            self.failed.append("the guest did not end by itself")
        elif self.ended and not self.failed:
            self.failed.append("the guest ended with %d" % self.ended)

    def line(self, text):
        for pattern, handle in HANDLERS:
            found = re.search(pattern, text)
            if found:
                handle(self, *found.groups())
                return

    def begin(self, program):
        self.program, self.pending = program, []

    def ok(self, test):
        name = "%s %s" % (self.program, test)
        self.passed.append(name)
        self.fired += [(cls, kind, self.provider.get(cls, "?"), name) for cls, kind in self.pending]
        self.pending = []

    def bad(self, test):
        self.failed.append("%s %s" % (self.program, test))
        self.pending = []

    def status(self, status):
        if status == "77":
            self.skipped.append(self.program)
        elif status != "0" and not any(name.startswith(self.program + " ") for name in self.failed):
            self.failed.append("%s exit status %s" % (self.program, status))


HANDLERS = [
    (r"^NJ probe (.*)", lambda g, text: g.probe.append(text)),
    (r"^NJ program (\S+)", Guest.begin),
    (r"^NJ covers (\S+) (\S+)", lambda g, cls, provider: g.provider.__setitem__(cls, provider)),
    (r"^NJ fired (\S+) (\S+)", lambda g, cls, kind: g.pending.append((cls, kind))),
    (r"^NJ status (\d+)", Guest.status),
    (r"^NJ passed (.*)", Guest.ok),
    (r"^NJ failed (.*)", Guest.bad),
    (r"^NJ (module .* refused)", Guest.bad),
    (r"^\[       OK \] (\S+)$", Guest.ok),
    (r"^\[  FAILED  \] ([^\s.:]+)$", lambda g, test: g.bad(test) if "%s %s" % (g.program, test) not in g.failed else None),
    (r"^EXIT:(\d+)", lambda g, status: setattr(g, "ended", int(status))),
]


def matrix(guests):
    tests = collections.defaultdict(set)
    for guest in guests:
        for cls, kind, provider, name in guest.fired:
            tests[(cls, kind, guest.kernel, provider)].add(name)
    yield "%-12s %-14s %-12s %-28s %5s  %s" % ("class", "kind", "kernel", "provider", "tests", "one of them")
    for (cls, kind, kernel, provider), names in sorted(tests.items()):
        yield "%-12s %-14s %-12s %-28s %5d  %s" % (cls, kind, kernel, provider, len(names), min(names))


def main():
    guests = [Guest(path) for path in sorted(glob.glob(sys.argv[1] + "/*.*.log"))]
    with open(sys.argv[2], "w") as out:
        for guest in guests:
            for line in guest.probe:
                out.write("%-12s %s\n" % (guest.kernel, line))
        out.write("\n" + "".join(line + "\n" for line in matrix(guests)))
    for guest in guests:
        for name in guest.failed:
            print("kernel %s %s: FAILED %s" % (guest.kernel, guest.job, name))
        print("kernel %-12s %-12s %3d passed, %d failed, %d skipped: %s/%s.%s.log" % (
            guest.kernel, guest.job, len(guest.passed), len(guest.failed), len(guest.skipped), sys.argv[1],
            guest.kernel, guest.job))
    sums = [sum(len(getattr(g, word)) for g in guests) for word in ("passed", "failed", "skipped")]
    print("%d passed, %d failed, %d skipped" % tuple(sums))
    sys.exit(1 if sums[1] or not guests else 0)


main()
