/* One connection made by hand; see tls_diagnose.h. */
#include "common/tls_diagnose.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

DEFINE_CLEANUP(SSL *, SSL_free)
DEFINE_CLEANUP(SSL_CTX *, SSL_CTX_free)
DEFINE_CLEANUP(BIO *, BIO_free_all)
DEFINE_CLEANUP(struct addrinfo *, freeaddrinfo)

int tls_split_target(const char *target, char ret_host[256], char ret_port[8], struct err *e)
{
	const char *colon = strrchr(target, ':');
	size_t host_len, port_len;
	const char *host = target;

	if (!colon || colon == target || !colon[1])
		return err_set(e, -EINVAL, "'%s' is no address: HOST:PORT is expected", target);
	host_len = (size_t)(colon - target);
	port_len = strlen(colon + 1);
	if (host[0] == '[' && colon[-1] == ']') {
		host++;
		host_len -= 2;
	}
	if (host_len == 0 || host_len > 255 || port_len > 5)
		return err_set(e, -EINVAL, "'%s' is no address: HOST:PORT is expected", target);
	memcpy(ret_host, host, host_len);
	ret_host[host_len] = '\0';
	memcpy(ret_port, colon + 1, port_len + 1);
	return 0;
}

/* ---- TCP ---- */

static int wait_for(int fd, short events, int timeout_ms)
{
	struct pollfd pfd = {.fd = fd, .events = events};
	int r;

	do
		r = poll(&pfd, 1, timeout_ms);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r == 0 ? -ETIMEDOUT : 0;
}

static int connect_one(const struct addrinfo *address, int timeout_ms, int *ret_fd)
{
	_cleanup_(closep) int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error = 0, r;
	socklen_t len = sizeof(error);

	if (fd < 0)
		return -errno;
	if (connect(fd, address->ai_addr, address->ai_addrlen) < 0) {
		if (errno != EINPROGRESS)
			return -errno;
		r = wait_for(fd, POLLOUT, timeout_ms);
		if (r < 0)
			return r;
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error)
			return -error;
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

static int connect_any(const char *target, const char *host, const char *port, int timeout_ms,
		       int *ret_fd, struct err *e)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	_cleanup_(freeaddrinfop) struct addrinfo *list = NULL;
	int r = getaddrinfo(host, port, &hints, &list);

	if (r != 0)
		return err_set(e, -EHOSTUNREACH, "cannot find the host of '%s': %s", target, gai_strerror(r));
	for (const struct addrinfo *a = list; a; a = a->ai_next) {
		r = connect_one(a, timeout_ms, ret_fd);
		if (r >= 0)
			return 0;
	}
	if (r == -ECONNREFUSED)
		return err_set(e, r, "cannot connect to %s: connection refused (nothing listens there)", target);
	if (r == -ETIMEDOUT)
		return err_set(e, r, "cannot connect to %s: no answer within %d ms", target, timeout_ms);
	return err_set(e, r, "cannot connect to %s: %s", target, strerror(-r));
}

/* ---- TLS ---- */

static int use_ca(SSL_CTX *ctx, const char *pem)
{
	_cleanup_(BIO_free_allp) BIO *bio = BIO_new_mem_buf(pem, -1);
	int count = 0;
	X509 *cert;

	while (bio && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		count += X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), cert) == 1;
		X509_free(cert);
	}
	ERR_clear_error(); /* the end of the text counts as an error there */
	return count ? 0 : -EINVAL;
}

static int use_pair(SSL_CTX *ctx, const struct tls_files *files)
{
	_cleanup_(BIO_free_allp) BIO *cert_bio = BIO_new_mem_buf(files->cert, -1);
	_cleanup_(BIO_free_allp) BIO *key_bio = BIO_new_mem_buf(files->key, -1);
	X509 *cert = cert_bio ? PEM_read_bio_X509(cert_bio, NULL, NULL, NULL) : NULL;
	EVP_PKEY *key = key_bio ? PEM_read_bio_PrivateKey(key_bio, NULL, NULL, NULL) : NULL;
	int ok = cert && key && SSL_CTX_use_certificate(ctx, cert) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1;

	X509_free(cert);
	EVP_PKEY_free(key);
	return ok ? 0 : -EINVAL;
}

static int new_context(const struct tls_files *files, SSL_CTX **ret_ctx, struct err *e)
{
	_cleanup_(SSL_CTX_freep) SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (!ctx)
		return -ENOMEM;
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1)
		return err_set(e, -EPROTO, "cannot ask for TLS 1.3");
	if (use_ca(ctx, files->ca) < 0)
		return err_set(e, -EINVAL, "the CA file holds no certificate");
	if (files->cert && files->cert[0] && use_pair(ctx, files) < 0)
		return err_set(e, -EINVAL, "our certificate and key do not fit together");
	*ret_ctx = take_ptr(ctx);
	return 0;
}

static int name_server(SSL *ssl, const char *name)
{
	uint8_t ip[16];

	if (inet_pton(AF_INET, name, ip) == 1 || inet_pton(AF_INET6, name, ip) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1 ? 0 : -EINVAL;
	if (SSL_set_tlsext_host_name(ssl, name) != 1 || SSL_set1_host(ssl, name) != 1)
		return -EINVAL;
	return 0;
}

/* What the peer's alert says about our certificate; NULL when it says something else. */
static const char *refusal(unsigned long code)
{
	if (ERR_GET_LIB(code) != ERR_LIB_SSL)
		return NULL;
	switch (ERR_GET_REASON(code) - SSL_AD_REASON_OFFSET) {
	case TLS13_AD_CERTIFICATE_REQUIRED:
		return "it asks for a client certificate and got none";
	case SSL_AD_CERTIFICATE_EXPIRED:
		return "our certificate has expired";
	case SSL_AD_UNKNOWN_CA:
		return "its CA did not sign our certificate";
	case SSL_AD_BAD_CERTIFICATE:
	case SSL_AD_CERTIFICATE_UNKNOWN:
	case SSL_AD_UNSUPPORTED_CERTIFICATE:
	case SSL_AD_ACCESS_DENIED:
		return "it does not accept our certificate";
	case SSL_AD_PROTOCOL_VERSION:
		return "it does not speak TLS 1.3";
	default:
		return NULL;
	}
}

static int explain_verification(const char *target, const char *name, long verify, struct err *e)
{
	switch (verify) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return err_set(e, -EKEYEXPIRED, "the certificate of %s has expired", target);
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return err_set(e, -EKEYREJECTED, "the certificate of %s is not valid yet: compare the clocks", target);
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return err_set(e, -EKEYREJECTED, "the certificate of %s is not made out for '%s'", target, name);
	default:
		return err_set(e, -EKEYREJECTED, "the certificate of %s is not signed by our CA: %s", target,
			       X509_verify_cert_error_string(verify));
	}
}

static int explain(SSL *ssl, const char *target, const char *name, struct err *e)
{
	long verify = SSL_get_verify_result(ssl);
	unsigned long code = ERR_peek_last_error();
	const char *why = refusal(code);

	ERR_clear_error();
	if (verify != X509_V_OK)
		return explain_verification(target, name, verify, e);
	if (why)
		return err_set(e, -EKEYREJECTED, "%s refuses us: %s", target, why);
	if (code && ERR_GET_REASON(code) == SSL_R_WRONG_VERSION_NUMBER)
		return err_set(e, -EPROTO, "%s does not speak TLS", target);
	return err_set(e, -ECONNRESET,
		       "%s closes the connection during the TLS handshake: it does not speak TLS 1.3, or "
		       "refuses our certificate without saying why",
		       target);
}

/* Repeats one step of OpenSSL until it is done; 1 done, 0 the time is up, negative failed. */
static int drive(SSL *ssl, int (*step)(SSL *ssl), int fd, int timeout_ms)
{
	for (;;) {
		int r, error;

		ERR_clear_error();
		r = step(ssl);
		if (r > 0)
			return 1;
		error = SSL_get_error(ssl, r);
		if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
			return -EPROTO;
		if (wait_for(fd, error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, timeout_ms) < 0)
			return 0;
	}
}

/* In TLS 1.3 the server judges our certificate after our handshake is over: its verdict is the first
 * thing to read. An HTTP/2 server that accepts it sends settings at once. */
static int read_one(SSL *ssl)
{
	char byte;

	return SSL_read(ssl, &byte, 1);
}

static int shake_hands(int fd, const char *target, const char *name, const struct tls_files *files,
		       int timeout_ms, struct err *e)
{
	static const unsigned char h2[] = "\x02h2";
	_cleanup_(SSL_CTX_freep) SSL_CTX *ctx = NULL;
	_cleanup_(SSL_freep) SSL *ssl = NULL;
	int r = new_context(files, &ctx, e);

	if (r < 0)
		return r;
	ssl = SSL_new(ctx);
	if (!ssl || SSL_set_fd(ssl, fd) != 1 || name_server(ssl, name) < 0 ||
	    SSL_set_alpn_protos(ssl, h2, sizeof(h2) - 1) != 0)
		return err_set(e, -ENOMEM, "cannot look at %s: out of memory", target);
	r = drive(ssl, SSL_connect, fd, timeout_ms);
	if (r == 0)
		return err_set(e, -ETIMEDOUT, "%s accepts connections and does not answer: no TLS there", target);
	if (r > 0)
		r = drive(ssl, read_one, fd, timeout_ms);
	return r < 0 ? explain(ssl, target, name, e) : 0;
}

int tls_diagnose(const char *target, const char *server_name, const struct tls_files *files,
		 int timeout_ms, struct err *e)
{
	char host[256], port[8];
	_cleanup_(closep) int fd = -1;
	int r = tls_split_target(target, host, port, e);

	if (r < 0)
		return r;
	r = connect_any(target, host, port, timeout_ms, &fd, e);
	if (r < 0)
		return r;
	return shake_hands(fd, target, server_name ? server_name : host, files, timeout_ms, e);
}
