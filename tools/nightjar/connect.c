/* From flags to a connection; see connect.h. */
#include "tools/nightjar/connect.h"

#include <errno.h>
#include <libgen.h>
#include <string.h>

#include "common/clock.h"
#include "tools/nightjar/command.h"
#include "tools/nightjar/run_file.h"

static void choose(const char *given, const char *dir, const char *file, char *ret)
{
	if (*given)
		(void)snprintf(ret, PATH_MAX, "%s", given);
	else
		(void)snprintf(ret, PATH_MAX, "%s/%s", dir, file);
}

void connect_resolve(const struct connect_settings *s, struct connect_target *ret_target)
{
	struct run_file dev = {.grpc = CONNECT_SERVER, .certs = CONNECT_CERTS};
	char ca[PATH_MAX];
	const char *dir;

	/* Another server than the dev's has another CA. */
	if (!*s->server)
		(void)run_file_read(s->run_dir, &dev);
	(void)snprintf(ret_target->server, sizeof(ret_target->server), "%s", *s->server ? s->server : dev.grpc);
	choose(s->ca, dev.certs, "ca.pem", ret_target->ca);
	(void)snprintf(ca, sizeof(ca), "%s", ret_target->ca);
	dir = dirname(ca);
	choose(s->cert, dir, "reader.pem", ret_target->cert);
	choose(s->key, dir, "reader-key.pem", ret_target->key);
}

int connect_open(const struct connect_settings *s, struct connection *ret_connection, struct err *e)
{
	struct connection c = {.timeout_ms = (int)(s->timeout_ns / NS_PER_MS)};
	struct connect_target target;
	int r;

	connect_resolve(s, &target);
	if (!*s->server && !*s->ca && access(target.ca, F_OK) < 0)
		return err_set(e, -ENOENT,
			       "no nightjar dev runs on this host and '%s' is not there: name a collector with "
			       "--server, --ca, --cert and --key",
			       target.ca);
	r = tls_load(target.ca, target.cert, target.key, clock_wall_ns(), &c.files, e);
	if (r < 0)
		return r;
	rpc_init();
	r = rpc_client_new(target.server, *s->server_name ? s->server_name : NULL, &c.files, &c.client, e);
	if (r < 0) {
		connect_close(&c);
		return err_prefix(e, r, "cannot reach '%s'", target.server);
	}
	*ret_connection = c;
	return 0;
}

void connect_close(struct connection *c)
{
	rpc_client_free(c->client);
	tls_files_done(&c->files);
	rpc_done();
}

int connect_run(const char *command, const struct connect_settings *s, connect_act act, const void *act_settings,
		char **arguments)
{
	struct connection c;
	struct err e = {0};
	int r = connect_open(s, &c, &e);

	if (r >= 0) {
		r = act(act_settings, arguments, &c, &e);
		connect_close(&c);
	}
	return r < 0 ? command_fail(EXIT_STATUS_FAILED, command, "%s", e.text) : r;
}

int connect_call(struct connection *c, const char *method, const ProtobufCMessage *request,
		 const ProtobufCMessageDescriptor *reply_type, ProtobufCMessage **ret_reply, struct err *e)
{
	size_t len = protobuf_c_message_get_packed_size(request);
	_cleanup_(freep) uint8_t *packed = malloc(len + 1);
	_cleanup_(freep) uint8_t *data = NULL;
	struct bytes reply = {0};
	int r;

	if (!packed)
		return err_set(e, -ENOMEM, "out of memory");
	(void)protobuf_c_message_pack(request, packed);
	r = rpc_client_call(c->client, method, bytes_of(packed, len), c->timeout_ms, &reply, NULL, e);
	if (r < 0)
		return r;
	data = (uint8_t *)(uintptr_t)reply.data; /* ours to free */
	*ret_reply = protobuf_c_message_unpack(reply_type, NULL, reply.len, reply.data);
	return *ret_reply ? 0 : err_set(e, -EBADMSG, "%s: the answer is not what this version understands", method);
}
