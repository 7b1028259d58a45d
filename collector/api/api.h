/* What the services share: who may call what, and answering with a protobuf message. */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "collector/ingest/listen.h"

#define API_READERS  ((unsigned int)(TLS_ROLE_READER | TLS_ROLE_OPERATOR))
#define API_EVERYONE (API_READERS | (unsigned int)(TLS_ROLE_AGENT | TLS_ROLE_UPSTREAM | TLS_ROLE_COLLECTOR))

/* Packs and sends; ends the call with a status when that fails. */
void api_send(struct listen_call *call, const ProtobufCMessage *message);
/* The one answer of a unary call. */
void api_answer(struct listen_call *call, const ProtobufCMessage *message);
