#!/bin/sh
# socat holds the connection and relays it to the shell over a socket pair.
socat "TCP:127.0.0.1:$NJ_PORT" EXEC:/bin/sh,stderr
