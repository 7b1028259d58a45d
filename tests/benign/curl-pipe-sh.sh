#!/bin/sh
# An installer: a script that comes over the network into a shell, whose output stays here. One
# direction only.
set -e
mkdir web
echo 'uname -s; echo installed' > web/install.sh
setsid /usr/bin/python3 -u -m http.server -b 127.0.0.1 -d web 0 > server.log 2>&1 &
server=$!
until port=$(sed -n 's/.*port \([0-9]*\).*/\1/p' server.log | grep .); do :; done
curl -sf "http://127.0.0.1:$port/install.sh" | sh > log
kill $server
grep -q installed log
