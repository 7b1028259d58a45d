/* One answer; see api.h. */
#include "collector/api/api.h"

#include <errno.h>

#include "common/buf.h"
#include "common/wire.h"

static int send_packed(struct listen_call *call, const ProtobufCMessage *message)
{
	_cleanup_buf_ struct buf out = buf_with_max(WIRE_MESSAGE_MAX);
	size_t size = protobuf_c_message_get_packed_size(message);
	uint8_t *room = buf_extend(&out, size);

	if (!room)
		return size == 0 ? listen_send(call, (struct bytes){0}) : buf_error(&out);
	(void)protobuf_c_message_pack(message, room);
	return listen_send(call, buf_bytes(&out));
}

void api_send(struct listen_call *call, const ProtobufCMessage *message)
{
	int r = send_packed(call, message);

	if (r == -EMSGSIZE)
		listen_finish(call, LISTEN_RESOURCE_EXHAUSTED, "the answer is too large: ask for less");
	else if (r < 0)
		listen_finish(call, LISTEN_RESOURCE_EXHAUSTED, "the answers are not read fast enough");
}

void api_answer(struct listen_call *call, const ProtobufCMessage *message)
{
	api_send(call, message);
	listen_finish(call, LISTEN_OK, "");
}
