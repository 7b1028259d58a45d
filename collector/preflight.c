/* Questions in the order in which a person would set things up. */
#include "collector/preflight.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/kube/apiclient.h"
#include "common/cleanup.h"
#include "common/tls.h"

static int check_set(const struct options *o, struct err *e)
{
	const struct {
		const char *key, *value;
	} needed[] = {
		{"tls.ca", o->tls_ca},		 {"tls.cert", o->tls_cert}, {"tls.key", o->tls_key},
		{"grpc.listen", o->grpc_listen}, {"data.dir", o->data_dir},
	};
	size_t i;

	for (i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (needed[i].value[0] == '\0')
			return err_set(e, -EINVAL,
				       "%s is not set: the collector serves over mutual TLS only; 'nightjar "
				       "certs' makes certificates, 'nightjar dev' runs without any set-up",
				       needed[i].key);
	return 0;
}

static int check_certificates(const struct options *o, uint64_t now_wall_ns, struct err *e)
{
	struct tls_files files = {0};
	struct err why = {0};
	int r = tls_load(o->tls_ca, o->tls_cert, o->tls_key, now_wall_ns, &files, &why);

	tls_files_done(&files);
	return r < 0 ? err_set(e, r,
			       "%s; mend tls.ca, tls.cert and tls.key, or make certificates with 'nightjar "
			       "certs'",
			       why.text) :
		       0;
}

static int check_enrolment(const struct options *o, struct err *e)
{
	_cleanup_(tls_signer_freep) struct tls_signer *signer = NULL;
	struct err why = {0};
	int r;

	if (!o->enroll_listen || !o->enroll_listen[0])
		return 0;
	if (!o->cluster[0])
		return err_set(e, -EINVAL, "cluster is not set: enroll.listen needs it for the certificates it gives");
	r = tls_signer_load(o->tls_ca, o->enroll_ca_key, &signer, &why);
	return r < 0 ? err_set(e, r, "%s; mend enroll.ca_key, or leave enroll.listen out", why.text) : 0;
}

static int check_kubernetes(const struct options *o, struct err *e)
{
	const struct apiclient_config config = {.server = o->kubernetes_server,
						.token_file = o->kubernetes_token_file,
						.ca_file = o->kubernetes_ca_file};
	struct apiclient *client = NULL;
	int r;

	if (!o->kubernetes_enabled || !collector_options_kubernetes(o))
		return 0;
	r = apiclient_new(&config, &client, e);
	apiclient_free(client);
	return r;
}

/* The directory, or the one in which it will be made. */
static int check_data_dir(const struct options *o, struct err *e)
{
	_cleanup_(freep) char *copy = strdup(o->data_dir);
	const char *dir = o->data_dir;
	struct stat st;

	if (!copy)
		return err_set(e, -ENOMEM, "no memory");
	if (stat(dir, &st) < 0 && errno == ENOENT)
		dir = dirname(copy);
	if (stat(dir, &st) == 0 && !S_ISDIR(st.st_mode))
		errno = ENOTDIR;
	else if (faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) == 0)
		return 0;
	return err_set(e, -errno,
		       "cannot write to data.dir '%s': %s: %s; give this user the directory or set another "
		       "data.dir",
		       o->data_dir, dir, strerror(errno));
}

int preflight_check(const struct options *o, uint64_t now_wall_ns, struct err *e)
{
	int r = check_set(o, e);

	if (r == 0)
		r = capture_options_check(&o->capture, e);
	if (r == 0)
		r = check_certificates(o, now_wall_ns, e);
	if (r == 0)
		r = check_enrolment(o, e);
	if (r == 0)
		r = check_kubernetes(o, e);
	return r == 0 ? check_data_dir(o, e) : r;
}
