#!/bin/sh
# A sweep by many short processes of one tree: a netcat for each of 60 addresses.
for i in $(seq 1 60); do
	nc -z -w 5 "127.0.13.$i" "$NJ_PORT" && echo "open 127.0.13.$i"
done
[ "$(grep -c '^open' output)" -eq 60 ]
