#!/bin/sh
# A package manager at work, as far as it goes without changing anything, and a look at what runs.
set -e
dpkg -l > list
apt-get -qq -s -o Debug::NoLocking=1 install bash
apt-cache policy bash coreutils | grep -q Installed
dpkg --verify bash
test -s list
ps -ef > processes
ps auxe >> processes
top -bn1 >> processes
grep -q packages.sh processes
