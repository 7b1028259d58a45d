#!/bin/sh
# socat holds the connection and relays it to the shell over a pseudo-terminal.
socat "TCP:127.0.0.1:$NJ_PORT" EXEC:/bin/sh,pty,stderr,setsid,sigint,sane
