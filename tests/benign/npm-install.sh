#!/bin/sh
# npm installs a local package whose scripts run in shells.
set -e
mkdir -p pkg app
cat > pkg/package.json <<'JSON'
{"name": "nj-demo", "version": "1.0.0", "scripts": {"install": "sh -c 'uname -a > built.txt'"}}
JSON
echo '{"name": "app", "version": "1.0.0", "private": true}' > app/package.json
cd app
npm install --offline --no-audit --no-fund --no-update-notifier --install-links ../pkg
test -s node_modules/nj-demo/built.txt
