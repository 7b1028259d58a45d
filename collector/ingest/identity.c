/* The certificate's names come from outside: bounded before they are read. */
#include "collector/ingest/identity.h"

#include <errno.h>

#define URI_MAX 2048 /* the SPIFFE standard's own limit */

int identity_from_names(const struct bytes *names, size_t count, struct tls_identity *ret_identity,
			struct err *e)
{
	static const char prefix[] = "spiffe://";
	struct tls_identity found;
	unsigned int ids = 0;
	size_t i;

	for (i = 0; i < count; i++) {
		char uri[URI_MAX + 1];

		if (names[i].len < sizeof(prefix) - 1 || names[i].len > URI_MAX ||
		    memcmp(names[i].data, prefix, sizeof(prefix) - 1) != 0)
			continue;
		memcpy(uri, names[i].data, names[i].len);
		uri[names[i].len] = '\0';
		if (strlen(uri) != names[i].len || ++ids > 1)
			return err_set(e, -EACCES, "the certificate carries more than one SPIFFE id");
		if (tls_parse_spiffe(uri, &found) != 0)
			return err_set(e, -EACCES,
				       "the certificate's SPIFFE id is not one of Nightjar's: "
				       "spiffe://CLUSTER/ns/NAMESPACE/node/NODE or …/role/ROLE");
	}
	if (ids == 0)
		return err_set(e, -EACCES, "the certificate carries no SPIFFE id: issue one with "
					   "'nightjar certs'");
	*ret_identity = found;
	return 0;
}
