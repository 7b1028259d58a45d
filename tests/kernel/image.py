#!/usr/bin/env python3
"""Writes a guest's whole file system as an initramfs (newc cpio, not compressed: an emulated CPU
unpacks slowly), so that neither cpio(1) nor a disk is needed.

usage: image.py OUT ROOT [MODULES]  <list

ROOT is where libraries are taken from: / or the sysroot of another architecture. The list says what
is in the guest, one a line:
    dir PATH | link PATH TARGET | file PATH SOURCE | program PATH SOURCE | module NAME
A program brings the shared objects that it needs along. A module is found below MODULES
(…/lib/modules/RELEASE) and brings the modules that it needs: /modules lists them in their order.
"""
import lzma
import os
import re
import stat
import subprocess
import sys

LIBRARY_DIRS = [base + "/" + triple for triple in ("x86_64-linux-gnu", "aarch64-linux-gnu", "")
                for base in ("lib", "usr/lib", "lib64", "usr/local/lib")]


class Archive:
    def __init__(self, path):
        self.out = open(path, "wb")
        self.inode = 0
        self.paths = set()

    def entry(self, path, mode, data=b""):
        path = path.strip("/")
        if path in self.paths:
            return
        parent = os.path.dirname(path)
        if parent:
            self.entry(parent, stat.S_IFDIR | 0o755)
        self.paths.add(path)
        self.inode += 1
        name = path.encode() + b"\0"
        fields = [self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0]
        self.out.write(b"070701" + b"".join(b"%08X" % f for f in fields))
        self.padded(name, 110)
        self.padded(data, 0)

    def padded(self, data, before):
        self.out.write(data + b"\0" * (-(before + len(data)) % 4))

    def done(self):
        self.entry("TRAILER!!!", 0)
        self.out.close()


def read(path):
    with open(path, "rb") as f:
        return f.read()


class Guest:
    def __init__(self, archive, root, modules):
        self.archive, self.root, self.modules = archive, root, modules
        self.loaded = []
        self.needs = {}
        if modules:
            for line in open(modules + "/modules.dep"):
                path, deps = line.split(":")
                self.needs[path] = deps.split()

    def file(self, path, source):
        mode = os.stat(source).st_mode & 0o777
        self.archive.entry(path, stat.S_IFREG | mode, read(source))

    def link(self, path, target):
        self.archive.entry(path, stat.S_IFLNK | 0o777, target.encode())

    def library(self, name):
        for directory in LIBRARY_DIRS:
            path = os.path.join(self.root, directory, name)
            if os.path.exists(path):
                return path
        sys.exit("image.py: no %s below %s" % (name, self.root))

    def program(self, path, source):
        self.file(path, source)
        for name in elf_needs(source):
            if "lib/" + name not in self.archive.paths:
                self.program("/lib/" + name, self.library(name))
            loader = re.match(r"ld-linux.*", name)
            if loader and name == "ld-linux-x86-64.so.2":
                self.link("/lib64/" + name, "/lib/" + name)

    def module(self, name):
        pattern = re.compile(r"(^|/)%s\.ko(\.xz)?$" % re.sub("[-_]", "[-_]", name))
        for path in self.needs:
            if pattern.search(path):
                self.load(path)

    def load(self, path):
        if path in self.loaded:
            return
        for need in reversed(self.needs[path]):
            self.load(need)
        data = read(os.path.join(self.modules, path))
        self.archive.entry("/mod/" + os.path.basename(path).removesuffix(".xz"), stat.S_IFREG | 0o644,
                           lzma.decompress(data) if path.endswith(".xz") else data)
        self.loaded.append(path)

    def finish(self):
        names = [os.path.basename(p).removesuffix(".xz") for p in self.loaded]
        self.archive.entry("/modules", stat.S_IFREG | 0o644, "".join(n + "\n" for n in names).encode())


def elf_needs(path):
    """The program's interpreter and shared objects."""
    text = subprocess.run(["readelf", "-ldW", path], capture_output=True, text=True, check=True).stdout
    needs = re.findall(r"\(NEEDED\).*\[(.*)\]", text)
    return needs + [os.path.basename(p) for p in re.findall(r"interpreter: (.*)\]", text)]


def main():
    out, root = sys.argv[1:3]
    archive = Archive(out)
    guest = Guest(archive, root, sys.argv[3] if len(sys.argv) > 3 else None)
    for line in sys.stdin:
        word, *args = line.split()
        if word == "dir":
            archive.entry(args[0], stat.S_IFDIR | 0o755)
        else:
            {"link": guest.link, "file": guest.file, "program": guest.program, "module": guest.module}[word](*args)
    guest.finish()
    archive.done()


main()
