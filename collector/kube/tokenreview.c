/* One JSON object out, one in; see tokenreview.h. */
#include "collector/kube/tokenreview.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define NODE_CLAIM "authentication.kubernetes.io/node-name"
#define POD_CLAIM  "authentication.kubernetes.io/pod-name"
#define SAID_MAX   200

int tokenreview_write(const char *token, const char *audience, struct buf *out)
{
	json_t *body = json_pack("{s:s, s:s, s:{s:s, s:[s]}}", "apiVersion", "authentication.k8s.io/v1", "kind",
				 "TokenReview", "spec", "token", token, "audiences", audience);
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	size_t len = text ? strlen(text) : 0;

	json_decref(body);
	if (!text)
		return -EINVAL; /* not UTF-8, so no token either; or no memory */
	buf_add(out, text, len);
	explicit_bzero(text, len);
	free(text);
	return buf_error(out);
}

static void clean(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || (unsigned char)*text >= 0x7f)
			*text = '?';
}

static const char *text_at(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* The one value of a claim; NULL when there is none, or more. */
static const char *claim(const json_t *user, const char *name)
{
	const json_t *values = json_object_get(json_object_get(user, "extra"), name);

	return json_array_size(values) == 1 ? json_string_value(json_array_get(values, 0)) : NULL;
}

static bool has_audience(const json_t *status, const char *audience)
{
	const json_t *list = json_object_get(status, "audiences"), *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		if (json_is_string(one) && strcmp(json_string_value(one), audience) == 0)
			return true;
	}
	return false;
}

static int check_genuine(const json_t *status, const struct tokenreview_rules *rules, struct err *e)
{
	char said[SAID_MAX];

	(void)snprintf(said, sizeof(said), "%s", text_at(status, "error"));
	clean(said);
	if (!json_is_true(json_object_get(status, "authenticated")))
		return err_set(e, -EACCES, "the Kubernetes API does not accept the token for the audience '%s'%s%s",
			       rules->audience, said[0] ? ": " : "", said);
	if (!has_audience(status, rules->audience))
		return err_set(e, -EACCES, "the token is not for the audience '%s'", rules->audience);
	return 0;
}

static int check_account(const json_t *user, const struct tokenreview_rules *rules, struct err *e)
{
	char wanted[512], found[256];

	(void)snprintf(wanted, sizeof(wanted), "system:serviceaccount:%s:%s", rules->namespace,
		       rules->service_account);
	if (strcmp(text_at(user, "username"), wanted) == 0)
		return 0;
	(void)snprintf(found, sizeof(found), "%s", text_at(user, "username"));
	clean(found);
	return err_set(e, -EPERM, "the token is of '%s', and only '%s' may enrol", found, wanted);
}

static int read_node(const json_t *user, const struct tokenreview_rules *rules, struct tokenreview *out, struct err *e)
{
	const char *node = claim(user, NODE_CLAIM), *pod = claim(user, POD_CLAIM);
	struct tls_identity *id = &out->identity;
	char uri[TLS_SPIFFE_MAX];

	if (!node || !node[0])
		return err_set(e, -EACCES,
			       "the token is bound to no node: it must be projected into a pod, and the cluster "
			       "must be of version 1.30 or newer");
	*out = (struct tokenreview){.identity = {.role = TLS_ROLE_AGENT}};
	(void)snprintf(id->cluster, sizeof(id->cluster), "%s", rules->cluster);
	(void)snprintf(id->namespace, sizeof(id->namespace), "%s", rules->namespace);
	(void)snprintf(id->node, sizeof(id->node), "%s", node);
	(void)snprintf(out->pod, sizeof(out->pod), "%s", pod ? pod : "");
	clean(out->pod);
	if (strlen(node) >= sizeof(id->node) || tls_format_spiffe(id, uri, sizeof(uri)) < 0)
		return err_set(e, -EACCES, "the names of node, namespace or cluster do not fit into a certificate");
	return 0;
}

int tokenreview_read(struct bytes answer, const struct tokenreview_rules *rules, struct tokenreview *ret_review,
		     struct err *e)
{
	json_t *json = json_loadb((const char *)answer.data, answer.len, 0, NULL);
	const json_t *status = json_object_get(json, "status"), *user = json_object_get(status, "user");
	struct tokenreview review;
	int r;

	if (strcmp(text_at(json, "kind"), "TokenReview") != 0 || !json_is_object(status))
		r = err_set(e, -EBADMSG, "the Kubernetes API answers with something else than a TokenReview");
	else
		r = check_genuine(status, rules, e);
	if (r == 0)
		r = check_account(user, rules, e);
	if (r == 0)
		r = read_node(user, rules, &review, e);
	if (r == 0)
		*ret_review = review;
	json_decref(json);
	return r;
}
