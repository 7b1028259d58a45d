/* The C core of gRPC 1.51 asks OpenSSL for TLS 1.2 or newer and has no C function to ask for more.
 * It asks through SSL_CTX_ctrl, so this program defines that function itself: the linker prefers it
 * over libssl's, for a static and for a shared libgrpc alike. It raises the floor and passes
 * everything else on. A test negotiates TLS 1.2 with a real server and is refused. */
#include "common/tls13.h"

#include <dlfcn.h>
#include <errno.h>
#include <openssl/ssl.h>

typedef long ctrl_fn(SSL_CTX *ctx, int cmd, long larg, void *parg);

long SSL_CTX_ctrl(SSL_CTX *ctx, int cmd, long larg, void *parg)
{
	ctrl_fn *next = (ctrl_fn *)dlsym(RTLD_NEXT, "SSL_CTX_ctrl");

	if (!next)
		return 0; /* OpenSSL's "failed": no context is set up with less than was asked */
	if (cmd == SSL_CTRL_SET_MIN_PROTO_VERSION && larg < TLS1_3_VERSION)
		larg = TLS1_3_VERSION;
	return next(ctx, cmd, larg, parg);
}

int tls13_check(struct err *e)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());
	int in_force = 0;

	if (ctx && SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1)
		in_force = SSL_CTX_get_min_proto_version(ctx) == TLS1_3_VERSION;
	SSL_CTX_free(ctx);
	if (!in_force)
		return err_set(e, -EPROTO, "cannot make TLS 1.3 the least that is spoken");
	return 0;
}
