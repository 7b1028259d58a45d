#!/bin/sh
# git clones and pushes over ssh: git-upload-pack and git-receive-pack talk to the far side.
if [ -z "$NJ_SSH" ]; then exec "$NJ_TESTS/benign/with-sshd.sh" "$0"; fi
set -e
export GIT_SSH_COMMAND="$(echo "$NJ_SSH" | tr -d '\n')" GIT_CONFIG_GLOBAL=/dev/null
export GIT_AUTHOR_NAME=pat GIT_AUTHOR_EMAIL=pat@localhost GIT_COMMITTER_NAME=pat GIT_COMMITTER_EMAIL=pat@localhost
port=$(echo "$NJ_SSH" | sed -n 's/.* -p \([0-9]*\).*/\1/p')
git init -q --bare repo.git
printf '#!/bin/sh\nwhile read -r old new ref; do echo "got $ref"; done\n' > repo.git/hooks/post-receive
chmod +x repo.git/hooks/post-receive
git init -q -b main work
cd work
echo hello > a.txt
git add a.txt
git commit -q -m first
git push -q "ssh://root@127.0.0.1:$port$NJ_DIR/repo.git" main
git clone -q -b main "ssh://root@127.0.0.1:$port$NJ_DIR/repo.git" ../copy
test -s ../copy/a.txt
