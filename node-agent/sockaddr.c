/* Copies out before it looks: the bytes may stand anywhere and end anywhere. See sockaddr.h. */
#include "node-agent/sockaddr.h"

#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define PATH_AT offsetof(struct sockaddr_un, sun_path)

_Static_assert(sizeof(((struct sockaddr_un *)0)->sun_path) < SOCKADDR_TEXT_MAX, "a path and its NUL fit");

static uint16_t family_of(struct bytes address)
{
	sa_family_t family = AF_UNSPEC;

	if (address.len >= sizeof(family))
		memcpy(&family, address.data, sizeof(family));
	return family;
}

/* A path ends at its first NUL, an abstract name where its length says. */
static size_t unix_text(struct bytes address, char ret_text[static SOCKADDR_TEXT_MAX])
{
	size_t most = sizeof(((struct sockaddr_un *)0)->sun_path);
	size_t len = address.len - PATH_AT < most ? address.len - PATH_AT : most;
	bool abstract = len > 1 && address.data[PATH_AT] == '\0';

	memset(ret_text, 0, SOCKADDR_TEXT_MAX);
	memcpy(ret_text, address.data + PATH_AT, len);
	for (size_t i = 0; abstract && i < len; i++)
		if (ret_text[i] == '\0')
			ret_text[i] = '@';
	return strlen(ret_text);
}

static size_t vsock_text(struct bytes address, char ret_text[static SOCKADDR_TEXT_MAX])
{
	struct sockaddr_vm vm;
	char cid[16] = "*", port[16] = "*";

	memcpy(&vm, address.data, sizeof(vm));
	if (vm.svm_cid != VMADDR_CID_ANY)
		(void)snprintf(cid, sizeof(cid), "%u", vm.svm_cid);
	if (vm.svm_port != VMADDR_PORT_ANY)
		(void)snprintf(port, sizeof(port), "%u", vm.svm_port);
	return (size_t)snprintf(ret_text, SOCKADDR_TEXT_MAX, "%s:%s", cid, port);
}

size_t sockaddr_text(struct bytes address, char ret_text[static SOCKADDR_TEXT_MAX])
{
	ret_text[0] = '\0';
	if (family_of(address) == AF_UNIX && address.len > PATH_AT)
		return unix_text(address, ret_text);
	if (family_of(address) == AF_VSOCK && address.len >= sizeof(struct sockaddr_vm))
		return vsock_text(address, ret_text);
	return 0;
}

bool sockaddr_ip(struct bytes address, struct sockaddr_ip *ret_ip)
{
	struct sockaddr_ip ip = {.family = (uint8_t)family_of(address)};
	struct sockaddr_in6 in6;
	struct sockaddr_in in;

	if (ip.family == AF_INET && address.len >= sizeof(in)) {
		memcpy(&in, address.data, sizeof(in));
		ip.port = ntohs(in.sin_port);
		memcpy(ip.ip, &in.sin_addr, 4);
	} else if (ip.family == AF_INET6 && address.len >= offsetof(struct sockaddr_in6, sin6_scope_id)) {
		memcpy(&in6, address.data, offsetof(struct sockaddr_in6, sin6_scope_id));
		ip.port = ntohs(in6.sin6_port);
		memcpy(ip.ip, &in6.sin6_addr, 16);
	} else {
		return false;
	}
	*ret_ip = ip;
	return true;
}
