#!/usr/bin/env python3
"""Reads the consoles of all guests (DIR/KERNEL.JOB.log), prints what failed, writes MATRIX: what --probe says on
each kernel, the class matrix of test_matrix (class × kernel × provider), and what else the tests awaited and saw.
Ends with the closing line. A cell of the matrix that is not there fails unless limits.tsv knows it.

usage: matrix.py DIR MATRIX [PAGE]     PAGE: the part of it between the marks is written anew
"""
import collections
import fnmatch
import glob
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PROVIDERS = ("sys_exit", "function", "per_call")
MARKS = ("<!-- tests/kernel/run --table writes from here -->\n", "<!-- to here -->\n")


class Guest:
    """What one console tells. A test's kinds count when the test has passed."""

    def __init__(self, path):
        self.kernel, self.job = os.path.basename(path).removesuffix(".log").rsplit(".", 1)
        self.passed, self.failed, self.skipped = [], [], []
        self.probe, self.fired = [], []
        self.cells = {}  # (class, provider) → (passed, refused or failed, why)
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
    (r"^NJ cell (\S+) (\S+) (\S+) ?(.*)",
     lambda g, cls, provider, state, why: g.cells.__setitem__((cls, provider), (state, why))),
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


def in_order(items):
    return list(dict.fromkeys(items))


class Cells:
    """The class matrix of all guests, and which of its holes are known."""

    def __init__(self, guests):
        self.cells = {(g.kernel, *key): value for g in guests for key, value in g.cells.items()}
        self.kernels = in_order(kernel for kernel, _, _ in self.cells)
        self.classes = in_order(cls for _, cls, _ in self.cells)
        with open(HERE + "/limits.tsv") as rows:
            self.limits = [line.rstrip("\n").split("\t") for line in rows if line.strip() and line[0] != "#"]

    def state(self, kernel, cls, provider):
        return self.cells.get((kernel, cls, provider), ("absent", "not run"))

    def is_known(self, kernel, cls, provider, why):
        return any(all(fnmatch.fnmatchcase(text, pattern) for text, pattern in zip((kernel, cls, provider, why), row))
                   for row in self.limits)

    def bad(self):
        for kernel in self.kernels:
            for cls in self.classes:
                for provider in PROVIDERS:
                    state, why = self.state(kernel, cls, provider)
                    if state != "passed" and (state == "failed" or not self.is_known(kernel, cls, provider, why)):
                        yield "%s × %s × %s: %s, %s" % (cls, kernel, provider, state, why)

    def count(self, wanted):
        return sum(state == wanted for state, _ in self.cells.values())

    def table(self):
        """Markdown: what passed, and notes on what did not or only in part."""
        yield "| class | %s |" % " | ".join(self.kernels)
        yield "|---%s|" % ("|---" * len(self.kernels))
        notes = collections.OrderedDict()
        for cls in self.classes:
            row = []
            for kernel in self.kernels:
                names = []
                for provider in PROVIDERS:
                    state, why = self.state(kernel, cls, provider)
                    if state == "passed":
                        names.append(provider)
                    if why:
                        note = re.sub(r"^call_\S+ refused: ", "refused: ", why)
                        notes.setdefault((provider, kernel, state, note), []).append(cls)
                row.append(", ".join(names) or "–")
            yield "| %s | %s |" % (cls, " | ".join(row))
        yield ""
        for (provider, kernel, state, why), classes in notes.items():
            which = "every class of system calls" if len(classes) > 8 else ", ".join(classes)
            yield "* %s with `%s`: %s %s (%s)" % (kernel, provider, which, "is seen in part" if state == "passed" else
                                                  "is not", why)


def probes(guests):
    """What --probe printed, once for kernels that say the same."""
    said = collections.OrderedDict()
    for guest in guests:
        if guest.probe:
            said.setdefault("\n".join(guest.probe[1:]), []).append(guest)
    for text, same in said.items():
        yield "```"
        for guest in same:
            yield guest.probe[0]
        yield from text.split("\n")
        yield "```"


def write_page(path, lines):
    with open(path) as page:
        before, rest = page.read().split(MARKS[0])
        after = rest.split(MARKS[1])[1]
    with open(path, "w") as page:
        page.write(before + MARKS[0] + "\n".join(lines) + "\n" + MARKS[1] + after)


def main():
    guests = [Guest(path) for path in sorted(glob.glob(sys.argv[1] + "/*.*.log"))]
    cells = Cells(guests)
    tables = ["### What `--probe` says", "", *probes(guests), "", "### Class × kernel × provider", "", *cells.table()]
    with open(sys.argv[2], "w") as out:
        out.write("\n".join(tables) + "\n\n" + "".join(line + "\n" for line in matrix(guests)))
    if len(sys.argv) > 3:
        write_page(sys.argv[3], tables)
    bad = list(cells.bad())
    for cell in bad:
        print("kernel matrix: FAILED %s" % cell)
    print("kernel matrix: %d cells passed, %d refused and known" % (
        cells.count("passed"), cells.count("refused") - len(bad)))
    for guest in guests:
        for name in guest.failed:
            print("kernel %s %s: FAILED %s" % (guest.kernel, guest.job, name))
        print("kernel %-12s %-12s %3d passed, %d failed, %d skipped: %s/%s.%s.log" % (
            guest.kernel, guest.job, len(guest.passed), len(guest.failed), len(guest.skipped), sys.argv[1],
            guest.kernel, guest.job))
    sums = [sum(len(getattr(g, word)) for g in guests) for word in ("passed", "failed", "skipped")]
    sums[0] += cells.count("passed")
    sums[1] += len(bad)
    print("%d passed, %d failed, %d skipped" % tuple(sums))
    sys.exit(1 if sums[1] or not guests else 0)


main()
