/* Two network namespaces joined by a veth pair whose packets are received on another CPU than they
 * were sent on, so that a connection changes state in somebody else's context: loopback hides that.
 * Addresses 10.231.77.1 (client) and 10.231.77.2 (server). */
#pragma once

#define NETNS_CLIENT_IP "10.231.77.1"
#define NETNS_SERVER_IP "10.231.77.2"

int netns_up(void); /* 0, or -1 when ip(8) fails */
void netns_down(void);
/* Moves the calling process into a side. 0 or -1. */
int netns_enter_client(void);
int netns_enter_server(void);
