/* See netns.h. Names carry our pid, so that two runs do not meet. */
#include "tests/bpf/netns.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int owner; /* the process that made them: actors are its children */

static int enter(char side)
{
	char path[64];
	int fd, r;

	(void)snprintf(path, sizeof(path), "/run/netns/nj%c%d", side, owner);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	r = fd < 0 ? -1 : setns(fd, CLONE_NEWNET);
	if (fd >= 0)
		(void)close(fd);
	return r;
}

int netns_enter_client(void)
{
	return enter('c');
}

int netns_enter_server(void)
{
	return enter('s');
}

int netns_up(void)
{
	char script[1024];

	owner = getpid();
	(void)snprintf(script, sizeof(script),
		       "set -e; c=njc%d s=njs%d; ip netns add $c; ip netns add $s;"
		       "ip link add vc netns $c type veth peer name vs netns $s;"
		       "ip -n $c addr add " NETNS_CLIENT_IP "/24 dev vc; ip -n $s addr add " NETNS_SERVER_IP "/24 dev vs;"
		       "ip -n $c link set vc up; ip -n $s link set vs up; ip -n $c link set lo up; ip -n $s link set lo up;"
		       "ip netns exec $c sh -c 'echo 2 > /sys/class/net/vc/queues/rx-0/rps_cpus' 2>/dev/null || true;"
		       "ip netns exec $s sh -c 'echo 1 > /sys/class/net/vs/queues/rx-0/rps_cpus' 2>/dev/null || true",
		       owner, owner);
	return system(script) == 0 ? 0 : -1;
}

void netns_down(void)
{
	char script[128];

	(void)snprintf(script, sizeof(script), "ip netns del njc%d; ip netns del njs%d", owner, owner);
	(void)!system(script);
}
