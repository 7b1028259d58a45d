#!/bin/sh
# A command on another host over ssh, as a user and as root, with input and output.
if [ -z "$NJ_SSH" ]; then exec "$NJ_TESTS/benign/with-sshd.sh" "$0"; fi
set -e
[ "$($NJ_SSH pat@127.0.0.1 'id -u; hostname')" = "$(printf '54321\n%s' "$(hostname)")" ]
[ "$(echo words | $NJ_SSH root@127.0.0.1 'sh -c "cat; id -u"')" = "$(printf 'words\n0')" ]
# A script on standard input: a shell whose words come from another host and whose answers go there.
[ "$(echo 'echo $((6*7))' | $NJ_SSH pat@127.0.0.1 bash -s)" = 42 ]
