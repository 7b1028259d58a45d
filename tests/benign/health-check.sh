#!/bin/sh
# A monitor asks three hosts whether they are well, five times.
set -e
setsid /usr/bin/python3 -u -m http.server -b 0.0.0.0 -d /proc/sys/kernel 0 > server.log 2>&1 &
server=$!
until port=$(sed -n 's/.*port \([0-9]*\).*/\1/p' server.log | grep .); do :; done
for round in 1 2 3 4 5; do
	for host in 127.0.0.1 127.0.0.2 127.0.0.3; do
		curl -sf -o /dev/null "http://$host:$port/ostype"
	done
done
kill $server
