#!/usr/bin/python3
"""A terminal inside a terminal: script(1), as tmux or sudo would, gives the shell of an ssh login a
pseudo-terminal of its own."""
import os
import pty
import shlex

if "NJ_SSH" not in os.environ:
    helper = os.environ["NJ_TESTS"] + "/benign/with-sshd.sh"
    os.execv(helper, [helper, os.path.abspath(__file__)])
pid, terminal = pty.fork()
if pid == 0:
    command = shlex.split(os.environ["NJ_SSH"]) + ["-tt", "pat@127.0.0.1"]
    os.execvp(command[0], command)
seen = b""
for words, answer in ((b"echo outer-$((6*7))", b"outer-42"),
                      (b"script -q -c 'echo inner-$((6*7)); exec bash -i' /dev/null; echo left-$((6*7))", b"inner-42"),
                      (b"echo marker-$((6*7)); id", b"marker-42"), (b"exit", b"left-42"), (b"exit", None)):
    os.write(terminal, words + b"\n")
    seen = b""
    try:
        while not (answer and answer in seen):
            seen += os.read(terminal, 4096)
    except OSError:  # the far side has hung up
        assert answer is None, seen
os.waitpid(pid, 0)
