/* An index of the embedded FileDescriptorSet: file names, and fully qualified symbols with the file
 * that defines each. Built once; about 10 files and 200 symbols. v1 and v1alpha have the same
 * messages, so one set of types serves both. */
#include "collector/api/reflection.h"

#include <errno.h>
#include <stdio.h>
#include <stdbool.h>
#include <stdlib.h>

#include "collector/api/api.h"
#include "common/arena.h"
#include "common/wire_check.h"
#include "descriptors.h"
#include "grpc/reflection/v1/reflection.pb-c.h"

#define FILES_MAX    64U
#define SYMBOLS_MAX  2048U
#define NESTING_MAX  8
#define ARENA_BYTES  (1UL << 20)

/* Field numbers of google/protobuf/descriptor.proto. */
enum { SET_FILE = 1 };
enum { FILE_NAME = 1, FILE_PACKAGE = 2, FILE_MESSAGE = 4, FILE_ENUM = 5, FILE_SERVICE = 6 };
enum { MESSAGE_NAME = 1, MESSAGE_FIELD = 2, MESSAGE_NESTED = 3, MESSAGE_ENUM = 4 };
enum { SERVICE_NAME = 1, SERVICE_METHOD = 2 };

struct file {
	const char *name;
	struct bytes data;
};

struct symbol {
	const char *name;
	const struct file *file;
	bool service;
};

struct reflection {
	struct arena *arena; /* of all names */
	struct file files[FILES_MAX];
	size_t file_count;
	struct symbol symbols[SYMBOLS_MAX];
	size_t symbol_count;
	struct listen_method methods[3];
};

/* ---- the index ----------------------------------------------------------------------------- */

/* The first field of that number; false: none. */
static bool find_field(struct bytes message, uint32_t number, struct bytes *ret_data)
{
	struct wire_field field;

	while (wire_next_field(&message, &field) == 1)
		if (field.number == number) {
			*ret_data = field.data;
			return true;
		}
	return false;
}

/* "scope.NAME" with the name that stands in field 1 of message; NULL: there is none. */
static const char *qualify(struct reflection *r, const char *scope, struct bytes message)
{
	struct bytes name;

	if (!find_field(message, 1, &name))
		return NULL;
	return arena_printf(r->arena, "%s%s%.*s", scope, scope[0] ? "." : "", (int)name.len,
			    (const char *)name.data);
}

static const char *add_symbol(struct reflection *r, const struct file *file, const char *scope,
			      struct bytes message)
{
	const char *name = qualify(r, scope, message);

	if (!name || r->symbol_count == SYMBOLS_MAX)
		return NULL;
	r->symbols[r->symbol_count++] = (struct symbol){.name = name, .file = file};
	return name;
}

static int index_message(struct reflection *r, const struct file *file, const char *scope,
			 struct bytes message, int depth)
{
	const char *name = add_symbol(r, file, scope, message);
	struct wire_field field;
	int result;

	if (!name || depth > NESTING_MAX)
		return -EBADMSG;
	while ((result = wire_next_field(&message, &field)) == 1) {
		if (field.number == MESSAGE_NESTED &&
		    index_message(r, file, name, field.data, depth + 1) < 0)
			return -EBADMSG;
		if ((field.number == MESSAGE_ENUM || field.number == MESSAGE_FIELD) &&
		    !add_symbol(r, file, name, field.data))
			return -EBADMSG;
	}
	return result;
}

static int index_service(struct reflection *r, const struct file *file, const char *scope,
			 struct bytes service)
{
	size_t at = r->symbol_count;
	const char *name = add_symbol(r, file, scope, service);
	struct wire_field field;
	int result;

	if (!name)
		return -EBADMSG;
	r->symbols[at].service = true;
	while ((result = wire_next_field(&service, &field)) == 1)
		if (field.number == SERVICE_METHOD && !add_symbol(r, file, name, field.data))
			return -EBADMSG;
	return result;
}

static int index_file(struct reflection *r, struct bytes data)
{
	struct file *file = &r->files[r->file_count];
	struct bytes package = {0};
	struct wire_field field;
	const char *scope;
	int result = 0;

	if (r->file_count == FILES_MAX)
		return -EBADMSG;
	*file = (struct file){.name = qualify(r, "", data), .data = data};
	(void)find_field(data, FILE_PACKAGE, &package);
	scope = arena_strndup(r->arena, package.len ? (const char *)package.data : "", package.len);
	if (!file->name || !scope)
		return -EBADMSG;
	r->file_count++;
	while (result >= 0 && wire_next_field(&data, &field) == 1) {
		if (field.number == FILE_MESSAGE)
			result = index_message(r, file, scope, field.data, 0);
		else if (field.number == FILE_SERVICE)
			result = index_service(r, file, scope, field.data);
		else if (field.number == FILE_ENUM)
			result = add_symbol(r, file, scope, field.data) ? 0 : -EBADMSG;
	}
	return result;
}

static int index_set(struct reflection *r, struct bytes set)
{
	struct wire_field field;
	int result;

	while ((result = wire_next_field(&set, &field)) == 1)
		if (field.number == SET_FILE && index_file(r, field.data) < 0)
			return -EBADMSG;
	return result;
}

static const struct file *find_file(const struct reflection *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->file_count; i++)
		if (strcmp(r->files[i].name, name) == 0)
			return &r->files[i];
	return NULL;
}

static const struct file *find_symbol(const struct reflection *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->symbol_count; i++)
		if (strcmp(r->symbols[i].name, name) == 0)
			return r->symbols[i].file;
	return NULL;
}

/* ---- answers --------------------------------------------------------------------------------- */

typedef Grpc__Reflection__V1__ServerReflectionRequest request_t;
typedef Grpc__Reflection__V1__ServerReflectionResponse response_t;
#define REQUEST(name)  GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name
#define RESPONSE(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##name

static void send_error(struct listen_call *call, response_t *response, int code, const char *text)
{
	Grpc__Reflection__V1__ErrorResponse error = GRPC__REFLECTION__V1__ERROR_RESPONSE__INIT;

	error.error_code = code;
	error.error_message = (char *)(uintptr_t)text;
	response->message_response_case = RESPONSE(ERROR_RESPONSE);
	response->error_response = &error;
	api_send(call, &response->base);
}

static void send_file(struct listen_call *call, response_t *response, const struct file *file)
{
	Grpc__Reflection__V1__FileDescriptorResponse files =
		GRPC__REFLECTION__V1__FILE_DESCRIPTOR_RESPONSE__INIT;
	ProtobufCBinaryData data;

	if (!file) {
		send_error(call, response, LISTEN_NOT_FOUND, "no such file or symbol");
		return;
	}
	data = (ProtobufCBinaryData){.len = file->data.len,
				     .data = (uint8_t *)(uintptr_t)file->data.data};
	files.n_file_descriptor_proto = 1;
	files.file_descriptor_proto = &data;
	response->message_response_case = RESPONSE(FILE_DESCRIPTOR_RESPONSE);
	response->file_descriptor_response = &files;
	api_send(call, &response->base);
}

static void send_services(const struct reflection *r, struct listen_call *call, response_t *response)
{
	Grpc__Reflection__V1__ListServiceResponse list = GRPC__REFLECTION__V1__LIST_SERVICE_RESPONSE__INIT;
	Grpc__Reflection__V1__ServiceResponse services[FILES_MAX], *pointers[FILES_MAX];
	size_t i;

	for (i = 0; i < r->symbol_count && list.n_service < FILES_MAX; i++) {
		if (!r->symbols[i].service)
			continue;
		grpc__reflection__v1__service_response__init(&services[list.n_service]);
		services[list.n_service].name = (char *)(uintptr_t)r->symbols[i].name;
		pointers[list.n_service] = &services[list.n_service];
		list.n_service++;
	}
	list.service = pointers;
	response->message_response_case = RESPONSE(LIST_SERVICES_RESPONSE);
	response->list_services_response = &list;
	api_send(call, &response->base);
}

static void answer(const struct reflection *r, struct listen_call *call, request_t *request)
{
	response_t response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;

	response.valid_host = request->host;
	response.original_request = request;
	switch (request->message_request_case) {
	case REQUEST(FILE_BY_FILENAME):
		send_file(call, &response, find_file(r, request->file_by_filename));
		break;
	case REQUEST(FILE_CONTAINING_SYMBOL):
		send_file(call, &response, find_symbol(r, request->file_containing_symbol));
		break;
	case REQUEST(LIST_SERVICES):
		send_services(r, call, &response);
		break;
	case REQUEST(FILE_CONTAINING_EXTENSION):
	case REQUEST(ALL_EXTENSION_NUMBERS_OF_TYPE):
		send_error(call, &response, LISTEN_NOT_FOUND, "there are no extensions");
		break;
	default:
		send_error(call, &response, LISTEN_INVALID_ARGUMENT, "the request asks for nothing");
	}
}

static void on_message(void *ctx, struct listen_call *call, void *state, struct bytes message)
{
	request_t *request = grpc__reflection__v1__server_reflection_request__unpack(NULL, message.len,
										     message.data);

	(void)state;
	if (!request) {
		listen_finish(call, LISTEN_INVALID_ARGUMENT,
			      "the message is no ServerReflectionRequest");
		return;
	}
	answer((const struct reflection *)ctx, call, request);
	grpc__reflection__v1__server_reflection_request__free_unpacked(request, NULL);
}

static void on_half_closed(void *ctx, struct listen_call *call, void *state)
{
	(void)ctx;
	(void)state;
	listen_finish(call, LISTEN_OK, "");
}

int reflection_new(struct reflection **ret_reflection, struct err *e)
{
	static const char *const paths[] = {
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
		"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
	};
	struct reflection *r = calloc(1, sizeof(*r));
	size_t i;

	if (r)
		r->arena = arena_new(ARENA_BYTES);
	if (!r || !r->arena) {
		reflection_free(r);
		return err_set(e, -ENOMEM, "cannot start reflection: no memory");
	}
	if (index_set(r, bytes_of(descriptor_set, sizeof(descriptor_set))) < 0) {
		reflection_free(r);
		return err_set(e, -EBADMSG, "the embedded protocol descriptors cannot be read");
	}
	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		r->methods[i] = (struct listen_method){.path = paths[i],
						       .roles = API_EVERYONE,
						       .message = on_message,
						       .half_closed = on_half_closed,
						       .ctx = r};
	*ret_reflection = r;
	return 0;
}

void reflection_free(struct reflection *r)
{
	if (!r)
		return;
	arena_free(r->arena);
	free(r);
}

const struct listen_method *reflection_methods(struct reflection *r)
{
	return r->methods;
}
