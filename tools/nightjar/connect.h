/* The connection of a command to a collector: its flags, and what they default to: a `nightjar dev`
 * that runs on this host, or else 127.0.0.1:7443 with the files of /etc/nightjar. */
#pragma once

#include <limits.h>
#include <protobuf-c/protobuf-c.h>

#include "common/optable.h"
#include "common/rpc.h"

#define CONNECT_SERVER "127.0.0.1:7443"
#define CONNECT_CERTS  "/etc/nightjar"

struct connect_settings {
	char *server;
	char *server_name;
	char *ca;
	char *cert;
	char *key;
	char *run_dir;
	uint64_t timeout_ns;
};

/* The rows of a table whose settings have a struct connect_settings named connect. */
#define CONNECT_ROWS(holder)                                                                        \
	{.key = "server", .type = OPT_TEXT, .offset = offsetof(holder, connect.server), .fallback = "", \
	 .help = "collector as HOST:PORT; empty: the nightjar dev that runs here, or " CONNECT_SERVER}, \
	{.key = "server_name", .type = OPT_TEXT, .offset = offsetof(holder, connect.server_name),    \
	 .fallback = "", .help = "name that the collector's certificate must carry; empty: HOST"}, \
	{.key = "ca", .type = OPT_PATH, .offset = offsetof(holder, connect.ca), .fallback = "",      \
	 .help = "CA of the collector; empty: ca.pem of that dev or of " CONNECT_CERTS},	    \
	{.key = "cert", .type = OPT_PATH, .offset = offsetof(holder, connect.cert), .fallback = "",  \
	 .help = "certificate to show; empty: reader.pem beside the CA"},			    \
	{.key = "key", .type = OPT_PATH, .offset = offsetof(holder, connect.key), .fallback = "",    \
	 .help = "its key; empty: reader-key.pem beside the CA"},				    \
	{.key = "run_dir", .type = OPT_PATH, .offset = offsetof(holder, connect.run_dir),		    \
	 .fallback = "/run/nightjar", .help = "where a running nightjar dev says how to reach it"}, \
	{.key = "timeout", .type = OPT_DURATION, .offset = offsetof(holder, connect.timeout_ns),	    \
	 .fallback = "10s", .min = 1000000, .max = 3600000000000, .help = "longest wait for an answer"}

/* What the settings come to. */
struct connect_target {
	char server[280];
	char ca[PATH_MAX], cert[PATH_MAX], key[PATH_MAX];
};
void connect_resolve(const struct connect_settings *settings, struct connect_target *ret_target);

struct connection {
	struct rpc_client *client;
	struct tls_files files;
	int timeout_ms;
};

int connect_open(const struct connect_settings *settings, struct connection *ret_connection,
		 struct err *e) must_check;
void connect_close(struct connection *c);

/* What a command asks, given its settings and arguments: an enum exit_status, or negative with the sentence. */
typedef int (*connect_act)(const void *settings, char **arguments, struct connection *c, struct err *e);
/* Connects, acts and says what went wrong. Returns an enum exit_status. */
int connect_run(const char *command, const struct connect_settings *settings, connect_act act,
		const void *act_settings, char **arguments);

/* Packs the request, calls and unpacks the answer; the caller frees it with
 * protobuf_c_message_free_unpacked. */
int connect_call(struct connection *c, const char *method, const ProtobufCMessage *request,
		 const ProtobufCMessageDescriptor *reply_type, ProtobufCMessage **ret_reply,
		 struct err *e) must_check;
