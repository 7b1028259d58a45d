#!/bin/sh
# The environment of another program, where a secret lies.
DB_PASSWORD=planted-secret setsid sleep 60 &
victim=$!
until [ "$(cat /proc/$victim/comm)" = sleep ]; do :; done
cat "/proc/$victim/environ" | tr '\0' '\n' | grep '^DB_PASSWORD=planted-secret'
status=$?
kill "$victim"
exit $status
