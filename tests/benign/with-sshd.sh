#!/bin/sh
# Runs a command beside an ssh server of our own: loopback, own keys, own user "pat", all in a mount
# namespace, so that nothing of the host's changes. The server is in a session of its own.
#
# usage: with-sshd.sh COMMAND...     with NJ_SSH: an ssh command line that reaches USER@127.0.0.1
set -e
if [ "${NJ_INSIDE:-}" != yes ]; then
	NJ_INSIDE=yes exec unshare -m "$0" "$@"
fi
mount -t tmpfs tmpfs /run
mkdir -p /run/sshd
{ cat /etc/passwd; echo "pat:x:54321:54321::$NJ_DIR/pat:/bin/bash"; } > passwd
printf '%s:*:19000:0:99999:7:::\n' root sshd pat > shadow
chmod 644 passwd
chmod 640 shadow
mount --bind passwd /etc/passwd
mount --bind shadow /etc/shadow
ssh-keygen -q -t ed25519 -N '' -f host_key
ssh-keygen -q -t ed25519 -N '' -f user_key
install -d -o 54321 -g 54321 pat
cp user_key.pub authorized
chmod 644 authorized
# The port is bound by sshd, which cannot say which one it was given: try until one is free.
port=$((20000 + $$ % 20000))
while :; do
	cat > sshd_config <<CONF
Port $port
ListenAddress 127.0.0.1
HostKey $NJ_DIR/host_key
AuthorizedKeysFile $NJ_DIR/authorized
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
CONF
	: > sshd.log
	setsid /usr/sbin/sshd -D -e -f "$NJ_DIR/sshd_config" > sshd.log 2>&1 &
	server=$!
	until grep -q 'Server listening' sshd.log || ! kill -0 $server 2>/dev/null; do :; done
	kill -0 $server 2>/dev/null && grep -q 'Server listening' sshd.log && break
	port=$((port + 1))
done
trap 'kill $server' EXIT
export NJ_SSH="ssh -F none -p $port -i $NJ_DIR/user_key -o IdentitiesOnly=yes -o BatchMode=yes
	-o StrictHostKeyChecking=no -o UserKnownHostsFile=$NJ_DIR/known_hosts -o LogLevel=ERROR"
"$@"
