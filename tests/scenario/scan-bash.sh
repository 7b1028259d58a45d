#!/bin/bash
# A sweep: one port on 60 addresses, with nothing but the shell.
for i in $(seq 1 60); do
	(exec 3<> "/dev/tcp/127.0.9.$i/$NJ_PORT") 2>/dev/null && echo "open 127.0.9.$i"
done
[ "$(grep -c '^open' output)" -eq 60 ]
