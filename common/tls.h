/* Certificates and keys: the only door to OpenSSL. Makes the certificates of Nightjar's own CA,
 * reads those a program is given, and says in one sentence what is wrong with them.
 *
 * Identity is the URI in the certificate's subject alternative name:
 *   agent      spiffe://CLUSTER/ns/NAMESPACE/node/NODE
 *   the rest   spiffe://CLUSTER/ns/NAMESPACE/role/ROLE   ROLE: collector reader operator upstream
 * with the person or program in the common name. Keys are EC P-256, TLS 1.3 only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/cleanup.h"
#include "common/err.h"

/* For a program that counts its memory, before it does anything else with OpenSSL: the texts of its errors,
 * thousands of sentences for developers, are never loaded. Our own sentences come from the codes. */
void tls_leave_out_texts(void);

enum tls_role {
	TLS_ROLE_NONE = 0,
	TLS_ROLE_AGENT = 1 << 0,
	TLS_ROLE_READER = 1 << 1,
	TLS_ROLE_OPERATOR = 1 << 2,
	TLS_ROLE_UPSTREAM = 1 << 3,
	TLS_ROLE_COLLECTOR = 1 << 4,
};

struct tls_identity {
	enum tls_role role;
	char cluster[128];
	char namespace[128];
	char node[256]; /* agents only; "" otherwise */
};

/* Reads a SPIFFE id as above. -EINVAL for anything else; *ret untouched then. */
int tls_parse_spiffe(const char *uri, struct tls_identity *ret_identity) must_check;

/* The id of an identity; -EINVAL when tls_parse_spiffe would refuse it or it does not fit. */
int tls_format_spiffe(const struct tls_identity *identity, char *ret_uri, size_t size) must_check;
#define TLS_SPIFFE_MAX 768 /* bytes of any id above, terminator included */

/* "agent", "reader"; "none" for anything else. */
const char *tls_role_name(enum tls_role role);
enum tls_role tls_role_of_name(const char *name); /* TLS_ROLE_NONE when it is none */

/* PEM texts, terminated, owned; the key is wiped when it is released. */
struct tls_files {
	char *ca;
	char *cert;
	char *key;
};
void tls_files_done(struct tls_files *files);

/* Reads three PEM files and checks what a handshake would only hint at: readable, key and
 * certificate belong together, the CA signed it, dates. 0, or negative with the sentence. */
int tls_load(const char *ca, const char *cert, const char *key, uint64_t now_wall_ns,
	     struct tls_files *ret_files, struct err *e) must_check;

/* Whether others than its owner may read or write the file: worth a warning about a key, no more,
 * since volumes are mounted with modes that a program does not choose. */
bool tls_key_is_exposed(const char *key);

/* The identity in a certificate's PEM text, for a program that must know its own name. */
int tls_identify(const char *cert_pem, struct tls_identity *ret_identity, struct err *e) must_check;
/* The same of a file; the sentence names it. */
int tls_identify_file(const char *cert, struct tls_identity *ret_identity, struct err *e) must_check;

/* What a person wants to know of the first certificate of a file; texts are cut to fit. */
struct tls_summary {
	char subject[256];
	char issuer[256];
	char names[512]; /* subject alternative names, comma-separated */
	int64_t not_before_s;
	int64_t not_after_s; /* seconds since 1970 */
	bool is_ca;
};
int tls_summarize(const char *cert, struct tls_summary *ret_summary, struct err *e) must_check;

/* Makes DIR, if missing, DIR/ca.pem and DIR/ca-key.pem (0600). Refuses to overwrite. */
int tls_make_ca(const char *dir, const char *cluster, unsigned int days, struct err *e) must_check;

struct tls_request {
	const char *name;	    /* files NAME.pem and NAME-key.pem; common name */
	struct tls_identity identity;
	const char *const *hosts;   /* DNS names and addresses for servers; NULL-terminated, may be NULL */
	int64_t not_before_s;	    /* relative to now; negative for a clock that is behind */
	int64_t not_after_s;	    /* relative to now; in the past makes an expired one, for tests */
};
/* Signs a new key with DIR's CA and writes the pair into DIR, in place of an older one. An empty cluster
 * of the identity is the CA's own. */
int tls_make_cert(const char *dir, const struct tls_request *request, struct err *e) must_check;

/* ---- enrolment: a certificate for a key that somebody else holds ---- */

#define TLS_CSR_MAX 8192 /* bytes of a request */

struct tls_signer;
/* ca: PEM file, of which the certificate that belongs to key signs. */
int tls_signer_load(const char *ca, const char *key, struct tls_signer **ret_signer, struct err *e) must_check;
void tls_signer_free(struct tls_signer *s); /* NULL allowed */
/* A certificate for the public key of a request (PKCS #10, PEM; foreign bytes) and for this identity: nothing
 * else of the request counts. Valid from some minutes ago: clocks differ. *ret_pem is malloc'ed. Any
 * thread. 0, -EINVAL (the request's fault) or -EIO with the sentence. */
int tls_sign_request(const struct tls_signer *s, struct bytes csr, const struct tls_identity *identity,
		     int64_t valid_s, char **ret_pem, struct err *e) must_check;
/* A new key and the request that goes with it, both malloc'ed PEM texts. */
int tls_make_request(char **ret_key_pem, char **ret_csr_pem, struct err *e) must_check;
/* Writes both, each whole or not at all, key first. */
int tls_write_pair(const char *cert_path, const char *cert, const char *key_path, const char *key,
		   struct err *e) must_check;
/* Only the CA, for a client that has no certificate yet. */
int tls_load_ca(const char *ca, struct tls_files *ret_files, struct err *e) must_check;

DEFINE_CLEANUP(struct tls_signer *, tls_signer_free)
