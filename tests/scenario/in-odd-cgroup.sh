#!/bin/sh
# Enters cgroups whose path no runtime makes, though parts of it look like one's, and becomes the
# program that is named. Who runs this removes them: nightjar-odd-PID below every root.
for root in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/memory; do
	[ -w "$root/cgroup.procs" ] || continue
	dir="$root/nightjar-odd-$$/kubepods-strange.slice:pod~ä/cri-containerd-0123.scope"
	mkdir -p "$dir" && echo $$ > "$dir/cgroup.procs" || exit 1
	entered=yes
done
[ "$entered" ] || exit 1
exec "$NJ_BIN/$1"
