# For suites in shell: the whole product on this host, with an attack that it must report. Sourced.
# Wants $build, $tmp, complain.

# live_missing: why it cannot run here, nothing when it can.
live_missing() {
	[ "$(id -u)" -eq 0 ] || { echo "loading BPF programs needs root"; return; }
	[ -r /sys/kernel/btf/vmlinux ] || echo "this kernel has no BTF (/sys/kernel/btf/vmlinux)"
}

# live_start FLAG...: nightjar dev as process $live, its stdout the caller's; returns when it is ready.
# Sets grpc= and http=; certificates are in $tmp/live.
live_start() {
	"$build/bin/nightjar" dev --certs "$tmp/live" --run-dir "$tmp/run" "$@" 2>"$tmp/live.log" &
	live=$!
	until grep -qs '^nightjar: ready ' "$tmp/live.log"; do
		kill -0 "$live" 2>/dev/null || complain "nightjar dev ended:" "$(cat "$tmp/live.log")" || return
		sleep 0.05
	done
	grpc=$(sed -n 's/^nightjar: ready .*grpc=\([^ ]*\).*/\1/p' "$tmp/live.log")
	http=$(sed -n 's/^nightjar: ready .*http=\([^ ]*\).*/\1/p' "$tmp/live.log")
}

# live_attack: a web application gives /etc/shadow away.
live_attack() {
	python3 tests/scenario/steal-shadow.py || complain "the attack itself failed"
}

# live_query GRPCURL_ARGUMENT...: a reader's grpcurl, from $grpcurl.
live_query() {
	"$grpcurl" -cacert "$tmp/live/ca.pem" -cert "$tmp/live/reader.pem" -key "$tmp/live/reader-key.pem" "$@"
}

# live_metric NAME: a figure of the collector.
live_metric() {
	curl -s "http://$http/metrics" | sed -n "s/^$1 //p"
}

# live_stop: asks it to end; fails when that is not clean.
live_stop() {
	local pid=$live
	live=
	kill -TERM "$pid" && wait "$pid" || complain "nightjar dev did not end cleanly:" "$(cat "$tmp/live.log")"
}
