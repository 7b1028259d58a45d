/* Makes certificates: the CA of a cluster and what it signs; see tls.h. Keys are EC P-256, signatures
 * ECDSA with SHA-256, serial numbers 127 random bits. Files appear whole or not at all: each is written
 * under another name and renamed. */
#include "common/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define SKEW_S	   300 /* a CA is valid a little before it was made: clocks differ */
#define CERT_MODE  0644
#define KEY_MODE   0600
#define SECS_A_DAY 86400

DEFINE_CLEANUP(X509 *, X509_free)
DEFINE_CLEANUP(X509_REQ *, X509_REQ_free)
DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(BIO *, BIO_free)
DEFINE_CLEANUP(BIGNUM *, BN_free)
DEFINE_CLEANUP(GENERAL_NAMES *, GENERAL_NAMES_free)
DEFINE_CLEANUP(GENERAL_NAME *, GENERAL_NAME_free)
DEFINE_CLEANUP(X509_EXTENSION *, X509_EXTENSION_free)

static int refuse_openssl(const char *act, struct err *e)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());
	int r = err_set(e, -EIO, "%s: %s", act, reason ? reason : "OpenSSL gives no reason");

	ERR_clear_error();
	return r;
}

/* ---- files ---------------------------------------------------------------------------------- */

static int write_all(const char *path, mode_t mode, const char *data, size_t len)
{
	_cleanup_(closep) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	int raw;

	if (fd < 0)
		return -errno;
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	if (fchmod(fd, mode) < 0) /* the umask may be anything */
		return -errno;
	raw = take_fd(&fd);
	return close(raw) < 0 ? -errno : 0;
}

static int write_path(const char *path, mode_t mode, const char *data, size_t len, struct err *e)
{
	const char *slash = strrchr(path, '/');
	int dir_len = slash ? (int)(slash - path) + 1 : 0;
	char fresh[PATH_MAX];
	int r;

	if ((size_t)snprintf(fresh, sizeof(fresh), "%.*s.%s.new", dir_len, path, path + dir_len) >= sizeof(fresh))
		return err_set(e, -ENAMETOOLONG, "cannot write '%s': the path is too long", path);
	(void)unlink(fresh);
	r = write_all(fresh, mode, data, len);
	if (r >= 0 && rename(fresh, path) < 0)
		r = -errno;
	if (r < 0)
		(void)unlink(fresh);
	return r < 0 ? err_set(e, r, "cannot write '%s': %s", path, strerror(-r)) : 0;
}

static int write_file(const char *dir, const char *file, mode_t mode, BIO *content, struct err *e)
{
	char path[PATH_MAX];
	char *data;
	long len = BIO_get_mem_data(content, &data);

	(void)snprintf(path, sizeof(path), "%s/%s", dir, file);
	return write_path(path, mode, data, (size_t)len, e);
}

int tls_write_pair(const char *cert_path, const char *cert, const char *key_path, const char *key, struct err *e)
{
	int r = write_path(key_path, KEY_MODE, key, strlen(key), e);

	return r < 0 ? r : write_path(cert_path, CERT_MODE, cert, strlen(cert), e);
}

static int write_pair(const char *dir, const char *name, X509 *cert, EVP_PKEY *key, struct err *e)
{
	_cleanup_(BIO_freep) BIO *cert_text = BIO_new(BIO_s_mem());
	_cleanup_(BIO_freep) BIO *key_text = BIO_new(BIO_s_secmem());
	char file[NAME_MAX + 1];
	int r;

	if (!cert_text || !key_text || !PEM_write_bio_X509(cert_text, cert) ||
	    !PEM_write_bio_PrivateKey(key_text, key, NULL, NULL, 0, NULL, NULL))
		return refuse_openssl("cannot encode a certificate", e);
	(void)snprintf(file, sizeof(file), "%s-key.pem", name);
	r = write_file(dir, file, KEY_MODE, key_text, e);
	if (r < 0)
		return r;
	(void)snprintf(file, sizeof(file), "%s.pem", name);
	return write_file(dir, file, CERT_MODE, cert_text, e);
}

static BIO *open_text(const char *dir, const char *file, struct err *e)
{
	char path[PATH_MAX];
	BIO *in;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, file);
	in = BIO_new_file(path, "r");
	ERR_clear_error();
	if (!in)
		(void)err_set(e, -ENOENT, "cannot read '%s': %s", path, strerror(errno));
	return in;
}

static int read_ca(const char *dir, X509 **ret_cert, EVP_PKEY **ret_key, struct err *e)
{
	_cleanup_(BIO_freep) BIO *cert_text = open_text(dir, "ca.pem", e);
	_cleanup_(BIO_freep) BIO *key_text = cert_text ? open_text(dir, "ca-key.pem", e) : NULL;
	_cleanup_(X509_freep) X509 *cert = NULL;
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
	char no_passphrase[] = "";

	if (!cert_text || !key_text)
		return -ENOENT;
	cert = PEM_read_bio_X509(cert_text, NULL, NULL, no_passphrase);
	key = PEM_read_bio_PrivateKey(key_text, NULL, NULL, no_passphrase);
	ERR_clear_error();
	if (!cert || !key)
		return err_set(e, -EINVAL, "'%s' does not hold ca.pem and ca-key.pem as PEM texts", dir);
	if (X509_check_private_key(cert, key) != 1) {
		ERR_clear_error();
		return err_set(e, -EINVAL, "ca-key.pem does not belong to ca.pem in '%s'", dir);
	}
	*ret_cert = take_ptr(cert);
	*ret_key = take_ptr(key);
	return 0;
}

/* ---- parts of a certificate ----------------------------------------------------------------- */

static int set_serial(X509 *cert)
{
	_cleanup_(BN_freep) BIGNUM *number = BN_new();

	return number && BN_rand(number, 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) &&
	       BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
}

static int set_name(X509_NAME *name, const char *common_name)
{
	return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1,
					  -1, 0);
}

static int set_dates(X509 *cert, int64_t from_s, int64_t until_s)
{
	time_t now = time(NULL);

	return ASN1_TIME_set(X509_getm_notBefore(cert), now + (time_t)from_s) &&
	       ASN1_TIME_set(X509_getm_notAfter(cert), now + (time_t)until_s);
}

static int add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	_cleanup_(X509_EXTENSION_freep) X509_EXTENSION *extension = NULL;
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	return extension && X509_add_ext(cert, extension, -1);
}

/* A name as OpenSSL holds it: an address, or a text of the given type. */
static GENERAL_NAME *make_name(int type, const char *text)
{
	_cleanup_(GENERAL_NAME_freep) GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_STRING *value = NULL;

	if (!name)
		return NULL;
	if (type == GEN_IPADD)
		value = a2i_IPADDRESS(text);
	else
		value = ASN1_IA5STRING_new();
	if (!value || (type != GEN_IPADD && !ASN1_STRING_set(value, text, -1))) {
		ASN1_STRING_free(value);
		return NULL;
	}
	GENERAL_NAME_set0_value(name, type, value);
	return take_ptr(name);
}

static int push_name(GENERAL_NAMES *names, int type, const char *text)
{
	_cleanup_(GENERAL_NAME_freep) GENERAL_NAME *name = make_name(type, text);

	if (!name || !sk_GENERAL_NAME_push(names, name))
		return 0;
	name = NULL;
	return 1;
}

static int type_of_host(const char *host)
{
	unsigned char address[16];
	bool is_address = inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;

	return is_address ? GEN_IPADD : GEN_DNS;
}

static int add_names(X509 *cert, const char *uri, const char *const *hosts)
{
	_cleanup_(GENERAL_NAMES_freep) GENERAL_NAMES *names = GENERAL_NAMES_new();

	if (!names || !push_name(names, GEN_URI, uri))
		return 0;
	for (; hosts && *hosts; hosts++)
		if (!push_name(names, type_of_host(*hosts), *hosts))
			return 0;
	return X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0) == 1;
}

/* Version 3, serial, subject and key: what the CA and its certificates share. NULL on failure. */
static X509 *start_cert(const char *common_name, EVP_PKEY *key)
{
	_cleanup_(X509_freep) X509 *cert = X509_new();

	if (!cert || !X509_set_version(cert, X509_VERSION_3) || !set_serial(cert) ||
	    !set_name(X509_get_subject_name(cert), common_name) || !X509_set_pubkey(cert, key))
		return NULL;
	return take_ptr(cert);
}

/* ---- the CA --------------------------------------------------------------------------------- */

static int build_ca(X509 *cert, EVP_PKEY *key, const char *cluster, int64_t days)
{
	char uri[TLS_SPIFFE_MAX];

	(void)snprintf(uri, sizeof(uri), "spiffe://%s", cluster);
	return set_dates(cert, -SKEW_S, days * SECS_A_DAY) &&
	       X509_set_issuer_name(cert, X509_get_subject_name(cert)) &&
	       add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
	       add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") &&
	       add_extension(cert, cert, NID_subject_key_identifier, "hash") && add_names(cert, uri, NULL) &&
	       X509_sign(cert, key, EVP_sha256()) > 0;
}

static int refuse_existing(const char *dir, struct err *e)
{
	static const char *const files[] = {"ca.pem", "ca-key.pem"};
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		if (access(path, F_OK) == 0)
			return err_set(e, -EEXIST,
				       "'%s' exists already: a new CA would void every certificate of the "
				       "old one; remove it first if that is meant",
				       path);
	}
	return 0;
}

int tls_make_ca(const char *dir, const char *cluster, unsigned int days, struct err *e)
{
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
	_cleanup_(X509_freep) X509 *cert = NULL;
	struct tls_identity probe = {.role = TLS_ROLE_COLLECTOR, .namespace = "n"};
	char common_name[64], uri[TLS_SPIFFE_MAX];
	int r;

	(void)snprintf(probe.cluster, sizeof(probe.cluster), "%s", cluster);
	if (strlen(cluster) >= sizeof(probe.cluster) || tls_format_spiffe(&probe, uri, sizeof(uri)) < 0)
		return err_set(e, -EINVAL,
			       "found the cluster name '%.64s', allowed: small letters, digits, '-', '_' and "
			       "'.'",
			       cluster);
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_set(e, -errno, "cannot make '%s': %s", dir, strerror(errno));
	r = refuse_existing(dir, e);
	if (r < 0)
		return r;
	(void)snprintf(common_name, sizeof(common_name), "Nightjar CA %s", cluster);
	key = EVP_EC_gen("P-256");
	cert = key ? start_cert(common_name, key) : NULL;
	if (!cert || !build_ca(cert, key, cluster, (int64_t)days))
		return refuse_openssl("cannot make a CA", e);
	return write_pair(dir, "ca", cert, key, e);
}

/* ---- what it signs -------------------------------------------------------------------------- */

struct signer {
	X509 *cert;
	EVP_PKEY *key;
};

static void signer_done(struct signer *s)
{
	X509_free(s->cert);
	EVP_PKEY_free(s->key);
}

static int build_cert(X509 *cert, const struct signer *ca, const struct tls_request *request, const char *uri)
{
	/* A collector is also the client of another one. */
	bool server = request->identity.role == TLS_ROLE_COLLECTOR;

	return set_dates(cert, request->not_before_s, request->not_after_s) &&
	       X509_set_issuer_name(cert, X509_get_subject_name(ca->cert)) &&
	       add_extension(cert, ca->cert, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_extension(cert, ca->cert, NID_key_usage, "critical,digitalSignature") &&
	       add_extension(cert, ca->cert, NID_ext_key_usage, server ? "serverAuth,clientAuth" : "clientAuth") &&
	       add_extension(cert, ca->cert, NID_subject_key_identifier, "hash") &&
	       add_extension(cert, ca->cert, NID_authority_key_identifier, "keyid:always") &&
	       add_names(cert, uri, request->hosts) && X509_sign(cert, ca->key, EVP_sha256()) > 0;
}

/* The cluster that a CA of tls_make_ca is for; another's CA may name none, and "" stays. */
static void take_cluster(const X509 *ca, struct tls_identity *identity)
{
	_cleanup_(GENERAL_NAMES_freep) GENERAL_NAMES *names =
		X509_get_ext_d2i(ca, NID_subject_alt_name, NULL, NULL);
	static const char scheme[] = "spiffe://";

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		const char *uri;

		if (name->type != GEN_URI)
			continue;
		uri = (const char *)ASN1_STRING_get0_data(name->d.uniformResourceIdentifier);
		if (strncmp(uri, scheme, strlen(scheme)) == 0 && strlen(uri) < sizeof(identity->cluster))
			(void)snprintf(identity->cluster, sizeof(identity->cluster), "%s", uri + strlen(scheme));
	}
}

static int check_request(const struct tls_request *request, char *ret_uri, struct err *e)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	const char *name = request->name;

	if (!*name || *name == '.' || name[strspn(name, allowed)] || strlen(name) > 64 ||
	    strcmp(name, "ca") == 0)
		return err_set(e, -EINVAL,
			       "found the name '%.64s', allowed: at most 64 letters, digits, '-', '_' and '.', "
			       "not 'ca'",
			       name);
	if (tls_format_spiffe(&request->identity, ret_uri, TLS_SPIFFE_MAX) < 0)
		return err_set(e, -EINVAL,
			       "'%s' has no usable identity: a cluster, a namespace and a role (for an agent "
			       "the node) of letters, digits, '-', '_' and '.' are needed",
			       name);
	if (request->not_after_s <= request->not_before_s)
		return err_set(e, -EINVAL, "'%s' would end before it begins", name);
	return 0;
}

int tls_make_cert(const char *dir, const struct tls_request *request, struct err *e)
{
	__attribute__((cleanup(signer_done))) struct signer ca = {0};
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
	_cleanup_(X509_freep) X509 *cert = NULL;
	struct tls_request full = *request;
	char uri[TLS_SPIFFE_MAX];
	int r = read_ca(dir, &ca.cert, &ca.key, e);

	if (r >= 0 && !*full.identity.cluster)
		take_cluster(ca.cert, &full.identity);
	if (r >= 0)
		r = check_request(&full, uri, e);
	if (r < 0)
		return r;
	key = EVP_EC_gen("P-256");
	cert = key ? start_cert(request->name, key) : NULL;
	if (!cert || !build_cert(cert, &ca, request, uri))
		return refuse_openssl("cannot make a certificate", e);
	return write_pair(dir, request->name, cert, key, e);
}

/* ---- what somebody else made the key for -------------------------------------------------------- */

/* The certificate of a CA file that belongs to the key: while a CA is replaced there are two. */
static int find_signer(const char *ca, EVP_PKEY *key, X509 **ret_cert, struct err *e)
{
	_cleanup_(BIO_freep) BIO *in = BIO_new_file(ca, "r");
	char no_passphrase[] = "";
	X509 *cert;

	ERR_clear_error();
	if (!in)
		return err_set(e, -ENOENT, "cannot read '%s': %s", ca, strerror(errno));
	while ((cert = PEM_read_bio_X509(in, NULL, NULL, no_passphrase))) {
		if (X509_check_private_key(cert, key) == 1) {
			*ret_cert = cert;
			return 0;
		}
		X509_free(cert);
	}
	ERR_clear_error();
	return err_set(e, -EINVAL, "no certificate in '%s' belongs to the key that is to sign", ca);
}

struct tls_signer {
	struct signer ca;
};

void tls_signer_free(struct tls_signer *s)
{
	if (!s)
		return;
	signer_done(&s->ca);
	free(s);
}

int tls_signer_load(const char *ca, const char *key, struct tls_signer **ret_signer, struct err *e)
{
	_cleanup_(tls_signer_freep) struct tls_signer *s = calloc(1, sizeof(*s));
	_cleanup_(BIO_freep) BIO *in = BIO_new_file(key, "r");
	char no_passphrase[] = "";
	int r;

	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	if (!in) {
		ERR_clear_error();
		return err_set(e, -ENOENT, "cannot read the CA's key '%s': %s", key, strerror(errno));
	}
	s->ca.key = PEM_read_bio_PrivateKey(in, NULL, NULL, no_passphrase);
	ERR_clear_error();
	if (!s->ca.key)
		return err_set(e, -EINVAL, "'%s' does not hold a key as PEM text", key);
	r = find_signer(ca, s->ca.key, &s->ca.cert, e);
	if (r < 0)
		return r;
	*ret_signer = take_ptr(s);
	return 0;
}

/* The public key of a request that was made with its private half. NULL with the sentence. */
static EVP_PKEY *read_request(struct bytes csr, struct err *e)
{
	_cleanup_(BIO_freep) BIO *in = BIO_new_mem_buf(csr.data, (int)csr.len);
	_cleanup_(X509_REQ_freep) X509_REQ *request = NULL;
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
	char no_passphrase[] = "", group[32] = "";

	request = in ? PEM_read_bio_X509_REQ(in, NULL, NULL, no_passphrase) : NULL;
	key = request ? X509_REQ_get_pubkey(request) : NULL;
	if (key)
		(void)EVP_PKEY_get_group_name(key, group, sizeof(group), NULL);
	ERR_clear_error();
	if (!key)
		(void)err_set(e, -EINVAL, "the certificate request is not PKCS #10 as PEM text");
	else if (strcmp(group, "prime256v1") != 0)
		(void)err_set(e, -EINVAL, "the key of the certificate request is not of the kind EC P-256");
	else if (X509_REQ_verify(request, key) != 1)
		(void)err_set(e, -EINVAL, "the certificate request is not signed with its own key");
	else
		return take_ptr(key);
	ERR_clear_error();
	return NULL;
}

static int print_cert(X509 *cert, char **ret_pem)
{
	_cleanup_(BIO_freep) BIO *out = BIO_new(BIO_s_mem());
	char *data;
	long len;

	if (!out || !PEM_write_bio_X509(out, cert))
		return -EIO;
	len = BIO_get_mem_data(out, &data);
	*ret_pem = strndup(data, (size_t)len);
	return *ret_pem ? 0 : -ENOMEM;
}

int tls_sign_request(const struct tls_signer *s, struct bytes csr, const struct tls_identity *identity,
		     int64_t valid_s, char **ret_pem, struct err *e)
{
	const struct tls_request request = {.identity = *identity, .not_before_s = -SKEW_S, .not_after_s = valid_s};
	char uri[TLS_SPIFFE_MAX], common_name[65];
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
	_cleanup_(X509_freep) X509 *cert = NULL;

	if (csr.len > TLS_CSR_MAX)
		return err_set(e, -EINVAL, "the certificate request is larger than %d bytes", TLS_CSR_MAX);
	if (tls_format_spiffe(identity, uri, sizeof(uri)) < 0)
		return err_set(e, -EINVAL, "the node's name '%.64s' does not fit into a certificate: allowed are "
					   "small letters, digits, '-' and '.'", identity->node);
	key = read_request(csr, e);
	if (!key)
		return -EINVAL;
	(void)snprintf(common_name, sizeof(common_name), "%s", identity->node);
	cert = start_cert(common_name, key);
	if (!cert || !build_cert(cert, &s->ca, &request, uri) || print_cert(cert, ret_pem) < 0)
		return refuse_openssl("cannot make a certificate", e);
	return 0;
}

/* ---- the other side of it ----------------------------------------------------------------------- */

/* Terminated, and wiped in the BIO's own memory when that is freed. */
static char *take_text(BIO *bio)
{
	char *data;
	long len = BIO_get_mem_data(bio, &data);

	return strndup(data, (size_t)len);
}

int tls_make_request(char **ret_key_pem, char **ret_csr_pem, struct err *e)
{
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = EVP_EC_gen("P-256");
	_cleanup_(X509_REQ_freep) X509_REQ *request = X509_REQ_new();
	_cleanup_(BIO_freep) BIO *key_text = BIO_new(BIO_s_secmem());
	_cleanup_(BIO_freep) BIO *request_text = BIO_new(BIO_s_mem());
	char *csr_pem, *key_pem;

	if (!key || !request || !key_text || !request_text || !X509_REQ_set_pubkey(request, key) ||
	    X509_REQ_sign(request, key, EVP_sha256()) <= 0 ||
	    !PEM_write_bio_X509_REQ(request_text, request) ||
	    !PEM_write_bio_PrivateKey(key_text, key, NULL, NULL, 0, NULL, NULL))
		return refuse_openssl("cannot make a certificate request", e);
	csr_pem = take_text(request_text);
	key_pem = take_text(key_text);
	if (!csr_pem || !key_pem) {
		free(csr_pem);
		free(key_pem);
		return err_set(e, -ENOMEM, "out of memory");
	}
	*ret_key_pem = key_pem;
	*ret_csr_pem = csr_pem;
	return 0;
}
