#!/bin/sh
# pip fetches a source package from an index, builds it (python children) and installs it.
set -e
mkdir -p pkg/nj_demo index/nj-demo
echo 'VALUE = 42' > pkg/nj_demo/__init__.py
cat > pkg/setup.py <<'PY'
import subprocess
from setuptools import setup
subprocess.run(["sh", "-c", "uname -a"], check=True)
setup(name="nj-demo", version="1.0", packages=["nj_demo"])
PY
(cd pkg && /usr/bin/python3 setup.py -q sdist -d ../index/nj-demo)
setsid /usr/bin/python3 -u -m http.server -b 127.0.0.1 -d index 0 > server.log 2>&1 &
server=$!
until port=$(sed -n 's/.*port \([0-9]*\).*/\1/p' server.log | grep .); do :; done
/usr/bin/python3 -m pip install --no-cache-dir --disable-pip-version-check --no-build-isolation \
	--root-user-action ignore --index-url "http://127.0.0.1:$port/" --target out nj-demo
kill $server
PYTHONPATH=out /usr/bin/python3 -c 'import nj_demo; assert nj_demo.VALUE == 42'
