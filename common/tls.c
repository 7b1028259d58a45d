/* Identities, and the certificates that a program is given; see tls.h. Making them is tls_make.c.
 * Files are read whole, at most TLS_FILE_MAX bytes; OpenSSL's error queue is left empty, for gRPC
 * looks at it too. */
#include "common/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/buf.h"
#include "common/clock.h"

#define TLS_FILE_MAX (1UL << 20)
#define DATE_SIZE    32

DEFINE_CLEANUP(X509 *, X509_free)
DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(BIO *, BIO_free)
DEFINE_CLEANUP(X509_STORE *, X509_STORE_free)
DEFINE_CLEANUP(X509_STORE_CTX *, X509_STORE_CTX_free)
DEFINE_CLEANUP(GENERAL_NAMES *, GENERAL_NAMES_free)

static void free_chain(STACK_OF(X509) *chain)
{
	sk_X509_pop_free(chain, X509_free);
}
DEFINE_CLEANUP(STACK_OF(X509) *, free_chain)

/* ---- identities ----------------------------------------------------------------------------- */

static const struct {
	enum tls_role role;
	const char *name;
} roles[] = {
	{TLS_ROLE_AGENT, "agent"},	 {TLS_ROLE_READER, "reader"},	    {TLS_ROLE_OPERATOR, "operator"},
	{TLS_ROLE_UPSTREAM, "upstream"}, {TLS_ROLE_COLLECTOR, "collector"},
};

const char *tls_role_name(enum tls_role role)
{
	for (size_t i = 0; i < sizeof(roles) / sizeof(*roles); i++)
		if (roles[i].role == role)
			return roles[i].name;
	return "none";
}

enum tls_role tls_role_of_name(const char *name)
{
	for (size_t i = 0; i < sizeof(roles) / sizeof(*roles); i++)
		if (strcmp(roles[i].name, name) == 0)
			return roles[i].role;
	return TLS_ROLE_NONE;
}

/* Takes one part up to the next slash: letters, digits, "-", "_" and ".", as SPIFFE allows, but not
 * "." or "..". *at is behind the slash then, or at the end. */
static int take_part(const char **at, char *ret, size_t size)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	size_t len = strspn(*at, allowed);
	char end = (*at)[len];

	if (len == 0 || len >= size || (end != '/' && end != '\0'))
		return -EINVAL;
	memcpy(ret, *at, len);
	ret[len] = '\0';
	if (strcmp(ret, ".") == 0 || strcmp(ret, "..") == 0)
		return -EINVAL;
	*at += len;
	if (end == '/' && *++*at == '\0')
		return -EINVAL; /* a slash at the end */
	return 0;
}

static int take_word(const char **at, const char *word)
{
	char part[16];
	int r = take_part(at, part, sizeof(part));

	if (r < 0)
		return r;
	return strcmp(part, word) == 0 ? 0 : -EINVAL;
}

/* "node/NODE" or "role/ROLE"; an agent's role is its node. */
static int take_holder(const char **at, struct tls_identity *id)
{
	char kind[8], role[16];

	if (take_part(at, kind, sizeof(kind)) < 0)
		return -EINVAL;
	if (strcmp(kind, "node") == 0) {
		id->role = TLS_ROLE_AGENT;
		return take_part(at, id->node, sizeof(id->node));
	}
	if (strcmp(kind, "role") != 0 || take_part(at, role, sizeof(role)) < 0)
		return -EINVAL;
	id->role = tls_role_of_name(role);
	return id->role == TLS_ROLE_NONE || id->role == TLS_ROLE_AGENT ? -EINVAL : 0;
}

static bool has_capital(const char *text)
{
	return text[strcspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")] != '\0';
}

int tls_parse_spiffe(const char *uri, struct tls_identity *ret_identity)
{
	static const char scheme[] = "spiffe://";
	struct tls_identity id = {0};

	if (!uri || strncmp(uri, scheme, strlen(scheme)) != 0)
		return -EINVAL;
	uri += strlen(scheme);
	if (take_part(&uri, id.cluster, sizeof(id.cluster)) < 0 || has_capital(id.cluster))
		return -EINVAL;
	if (take_word(&uri, "ns") < 0 || take_part(&uri, id.namespace, sizeof(id.namespace)) < 0)
		return -EINVAL;
	if (take_holder(&uri, &id) < 0 || *uri != '\0')
		return -EINVAL;
	*ret_identity = id;
	return 0;
}

int tls_format_spiffe(const struct tls_identity *id, char *ret_uri, size_t size)
{
	char uri[TLS_SPIFFE_MAX];
	struct tls_identity same;
	bool agent = id->role == TLS_ROLE_AGENT;
	int len;

	len = snprintf(uri, sizeof(uri), "spiffe://%s/ns/%s/%s/%s", id->cluster, id->namespace,
		       agent ? "node" : "role", agent ? id->node : tls_role_name(id->role));
	if (len < 0 || (size_t)len >= size || tls_parse_spiffe(uri, &same) < 0)
		return -EINVAL;
	memcpy(ret_uri, uri, (size_t)len + 1);
	return 0;
}

/* ---- files ---------------------------------------------------------------------------------- */

void tls_files_done(struct tls_files *files)
{
	free(files->ca);
	free(files->cert);
	if (files->key)
		OPENSSL_cleanse(files->key, strlen(files->key));
	free(files->key);
	*files = (struct tls_files){0};
}

/* what: "CA", "certificate" or "key", for the sentence. */
static int read_text(const char *path, const char *what, char **ret_text, struct err *e)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	_cleanup_(freep) char *text = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, -errno, "cannot read the %s '%s': %s", what, path, strerror(errno));
	if (!S_ISREG(st.st_mode) || (size_t)st.st_size > TLS_FILE_MAX)
		return err_set(e, -EINVAL, "cannot read the %s '%s': not a file of at most %lu bytes", what,
			       path, TLS_FILE_MAX);
	text = calloc(1, (size_t)st.st_size + 1);
	if (!text)
		return err_set(e, -ENOMEM, "out of memory");
	n = read(fd, text, (size_t)st.st_size);
	if (n < 0)
		return err_set(e, -errno, "cannot read the %s '%s': %s", what, path, strerror(errno));
	if (strlen(text) != (size_t)n)
		return err_set(e, -EINVAL, "the %s '%s' is not PEM text", what, path);
	*ret_text = take_ptr(text);
	return 0;
}

int tls_load_ca(const char *ca, struct tls_files *ret_files, struct err *e)
{
	struct tls_files files = {0};
	int r = read_text(ca, "CA", &files.ca, e);

	if (r >= 0)
		*ret_files = files;
	return r;
}

bool tls_key_is_exposed(const char *key)
{
	struct stat st;

	return stat(key, &st) == 0 && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0;
}

/* No passphrase is ever asked for. */
static int no_passphrase(char *buf, int size, int writing, void *ctx)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)ctx;
	return -1;
}

/* Every certificate of a PEM text, in order; an empty chain when there is none. */
static STACK_OF(X509) *parse_chain(const char *pem)
{
	_cleanup_(BIO_freep) BIO *in = BIO_new_mem_buf(pem, -1);
	_cleanup_(free_chainp) STACK_OF(X509) *chain = sk_X509_new_null();
	X509 *cert;

	if (!in || !chain)
		return NULL;
	while ((cert = PEM_read_bio_X509(in, NULL, no_passphrase, NULL))) {
		if (!sk_X509_push(chain, cert)) {
			X509_free(cert);
			return NULL;
		}
	}
	ERR_clear_error(); /* the end of the text counts as an error there */
	return take_ptr(chain);
}

static EVP_PKEY *parse_key(const char *pem)
{
	_cleanup_(BIO_freep) BIO *in = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL) : NULL;

	ERR_clear_error();
	return key;
}

/* ---- checks --------------------------------------------------------------------------------- */

static int64_t seconds_of(const ASN1_TIME *time)
{
	struct tm tm = {0};

	return ASN1_TIME_to_tm(time, &tm) ? (int64_t)timegm(&tm) : 0;
}

static void format_date(int64_t seconds, char *ret)
{
	time_t t = (time_t)seconds;
	struct tm tm = {0};

	(void)gmtime_r(&t, &tm);
	(void)strftime(ret, DATE_SIZE, "%Y-%m-%d %H:%M:%S UTC", &tm);
}

static int check_dates(const X509 *cert, const char *what, const char *path, int64_t now_s, struct err *e)
{
	int64_t from = seconds_of(X509_get0_notBefore(cert));
	int64_t until = seconds_of(X509_get0_notAfter(cert));
	char date[DATE_SIZE];

	if (now_s < from) {
		format_date(from, date);
		return err_set(e, -EKEYEXPIRED, "the %s '%s' is not valid before %s; is this clock right?",
			       what, path, date);
	}
	if (now_s > until) {
		format_date(until, date);
		return err_set(e, -EKEYEXPIRED, "the %s '%s' expired on %s; issue a new one", what, path,
			       date);
	}
	return 0;
}

/* 1: the chain ends at one of the authorities. Dates are judged by check_dates. */
static int is_signed(STACK_OF(X509) *authorities, STACK_OF(X509) *chain)
{
	_cleanup_(X509_STORE_freep) X509_STORE *store = X509_STORE_new();
	_cleanup_(X509_STORE_CTX_freep) X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	int ok;

	if (!store || !ctx)
		return -ENOMEM;
	for (int i = 0; i < sk_X509_num(authorities); i++)
		if (!X509_STORE_add_cert(store, sk_X509_value(authorities, i)))
			return -ENOMEM;
	if (!X509_STORE_CTX_init(ctx, store, sk_X509_value(chain, 0), chain))
		return -ENOMEM;
	/* An intermediate may be the authority that was given. */
	X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_NO_CHECK_TIME | X509_V_FLAG_PARTIAL_CHAIN);
	ok = X509_verify_cert(ctx) == 1;
	ERR_clear_error();
	return ok;
}

/* The three files as they were named, and what was read from them. */
struct loading {
	const char *ca, *cert, *key; /* paths */
	int64_t now_s;
	STACK_OF(X509) *authorities;
	STACK_OF(X509) *chain;
	EVP_PKEY *private_key;
};

static void loading_done(struct loading *l)
{
	free_chain(l->authorities);
	free_chain(l->chain);
	EVP_PKEY_free(l->private_key);
}

static int parse_all(struct loading *l, const struct tls_files *files, struct err *e)
{
	l->authorities = parse_chain(files->ca);
	l->chain = parse_chain(files->cert);
	if (!l->authorities || !l->chain)
		return err_set(e, -ENOMEM, "out of memory");
	if (sk_X509_num(l->authorities) == 0)
		return err_set(e, -EINVAL, "the CA '%s' holds no PEM certificate", l->ca);
	if (sk_X509_num(l->chain) == 0)
		return err_set(e, -EINVAL, "the certificate '%s' holds no PEM certificate", l->cert);
	l->private_key = parse_key(files->key);
	if (!l->private_key)
		return err_set(e, -EINVAL, "the key '%s' holds no PEM private key without a passphrase",
			       l->key);
	return 0;
}

static int check_all(const struct loading *l, struct err *e)
{
	X509 *leaf = sk_X509_value(l->chain, 0);
	int r;

	if (X509_check_private_key(leaf, l->private_key) != 1) {
		ERR_clear_error();
		return err_set(e, -EINVAL, "the key '%s' does not belong to the certificate '%s'", l->key,
			       l->cert);
	}
	r = is_signed(l->authorities, l->chain);
	if (r < 0)
		return err_set(e, r, "out of memory");
	if (r == 0)
		return err_set(e, -EINVAL, "the certificate '%s' was not signed by the CA '%s'", l->cert,
			       l->ca);
	r = check_dates(leaf, "certificate", l->cert, l->now_s, e);
	if (r < 0 || sk_X509_num(l->authorities) > 1)
		return r; /* of a bundle, old members may be out of date */
	return check_dates(sk_X509_value(l->authorities, 0), "CA", l->ca, l->now_s, e);
}

int tls_load(const char *ca, const char *cert, const char *key, uint64_t now_wall_ns,
	     struct tls_files *ret_files, struct err *e)
{
	__attribute__((cleanup(loading_done))) struct loading l = {
		.ca = ca,
		.cert = cert,
		.key = key,
		.now_s = (int64_t)(now_wall_ns / NS_PER_SEC),
	};
	__attribute__((cleanup(tls_files_done))) struct tls_files files = {0};
	int r = read_text(ca, "CA", &files.ca, e);

	if (r >= 0)
		r = read_text(cert, "certificate", &files.cert, e);
	if (r >= 0)
		r = read_text(key, "key", &files.key, e);
	if (r >= 0)
		r = parse_all(&l, &files, e);
	if (r >= 0)
		r = check_all(&l, e);
	if (r < 0)
		return r;
	*ret_files = files;
	files = (struct tls_files){0};
	return 0;
}

/* ---- what a certificate says ---------------------------------------------------------------- */

static GENERAL_NAMES *names_of(const X509 *cert)
{
	return X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
}

/* The text of an ASN.1 string; NULL when it hides a zero byte. */
static const char *text_of(const ASN1_STRING *s)
{
	const char *text = (const char *)ASN1_STRING_get0_data(s);

	return strlen(text) == (size_t)ASN1_STRING_length(s) ? text : NULL;
}

int tls_identify(const char *cert_pem, struct tls_identity *ret_identity, struct err *e)
{
	_cleanup_(free_chainp) STACK_OF(X509) *chain = parse_chain(cert_pem);
	_cleanup_(GENERAL_NAMES_freep) GENERAL_NAMES *names = NULL;

	if (!chain || sk_X509_num(chain) == 0)
		return err_set(e, -EINVAL, "no PEM certificate");
	names = names_of(sk_X509_value(chain, 0));
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type == GEN_URI &&
		    tls_parse_spiffe(text_of(name->d.uniformResourceIdentifier), ret_identity) == 0)
			return 0;
	}
	return err_set(e, -EINVAL,
		       "the certificate names no identity (spiffe://CLUSTER/ns/NAMESPACE/node/NODE or "
		       ".../role/ROLE)");
}

int tls_identify_file(const char *cert, struct tls_identity *ret_identity, struct err *e)
{
	_cleanup_(freep) char *pem = NULL;
	int r = read_text(cert, "certificate", &pem, e);

	if (r < 0)
		return r;
	r = tls_identify(pem, ret_identity, e);
	return r < 0 ? err_prefix(e, r, "'%s'", cert) : 0;
}

static void add_name(struct buf *out, const GENERAL_NAME *name)
{
	const ASN1_OCTET_STRING *ip = name->type == GEN_IPADD ? name->d.iPAddress : NULL;
	const uint8_t *b = ip ? ASN1_STRING_get0_data(ip) : NULL;
	const char *text = NULL;

	if (name->type == GEN_URI)
		text = text_of(name->d.uniformResourceIdentifier);
	else if (name->type == GEN_DNS)
		text = text_of(name->d.dNSName);
	if (out->len)
		buf_add_text(out, ", ");
	if (text)
		buf_add_text(out, text);
	else if (b && ASN1_STRING_length(ip) == 4)
		buf_printf(out, "%d.%d.%d.%d", b[0], b[1], b[2], b[3]);
	else if (b && ASN1_STRING_length(ip) == 16)
		for (int i = 0; i < 16; i += 2)
			buf_printf(out, "%s%x", i ? ":" : "", b[i] << 8 | b[i + 1]);
	else
		buf_add_text(out, "?");
}

int tls_summarize(const char *cert, struct tls_summary *ret_summary, struct err *e)
{
	_cleanup_(freep) char *pem = NULL;
	_cleanup_(free_chainp) STACK_OF(X509) *chain = NULL;
	_cleanup_(GENERAL_NAMES_freep) GENERAL_NAMES *names = NULL;
	_cleanup_buf_ struct buf list = {0};
	struct tls_summary s = {0};
	X509 *first;
	int r = read_text(cert, "certificate", &pem, e);

	if (r < 0)
		return r;
	chain = parse_chain(pem);
	if (!chain || sk_X509_num(chain) == 0)
		return err_set(e, -EINVAL, "'%s' holds no PEM certificate", cert);
	first = sk_X509_value(chain, 0);
	(void)X509_NAME_oneline(X509_get_subject_name(first), s.subject, sizeof(s.subject));
	(void)X509_NAME_oneline(X509_get_issuer_name(first), s.issuer, sizeof(s.issuer));
	names = names_of(first);
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
		add_name(&list, sk_GENERAL_NAME_value(names, i));
	(void)snprintf(s.names, sizeof(s.names), "%s", buf_text(&list));
	s.not_before_s = seconds_of(X509_get0_notBefore(first));
	s.not_after_s = seconds_of(X509_get0_notAfter(first));
	s.is_ca = X509_check_ca(first) > 0;
	*ret_summary = s;
	return 0;
}

void tls_leave_out_texts(void)
{
	(void)OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS | OPENSSL_INIT_NO_LOAD_SSL_STRINGS, NULL);
}
