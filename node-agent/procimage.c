/* Layout of the one allocation: struct image, the spans of arguments and environment, the bytes. */
#include "node-agent/procimage.h"

#include <stdlib.h>
#include <string.h>

static bool env_wanted(struct bytes variable, const char *const *names)
{
	for (size_t i = 0; names && names[i]; i++) {
		size_t len = strlen(names[i]);

		if (variable.len > len && variable.data[len] == '=' && memcmp(variable.data, names[i], len) == 0)
			return true;
	}
	return false;
}

static uint16_t choose_env(struct bytes area, const char *const *names, struct bytes *ret_env)
{
	struct bytes all[EVENT_ARGS_MAX];
	uint16_t found = names ? decode_split(area, all, EVENT_ARGS_MAX, NULL) : 0;
	uint16_t kept = 0;

	for (uint16_t i = 0; i < found && kept < EVENT_ENV_MAX; i++)
		if (env_wanted(all[i], names))
			ret_env[kept++] = all[i];
	return kept;
}

static size_t total(const struct bytes *pieces, uint16_t count)
{
	size_t sum = 0;

	for (uint16_t i = 0; i < count; i++)
		sum += pieces[i].len;
	return sum;
}

/* Copies the pieces to *at and the spans of the copies to ret_spans; moves *at on. */
static void copy_pieces(const struct bytes *pieces, uint16_t count, struct bytes *ret_spans, uint8_t **at)
{
	for (uint16_t i = 0; i < count; i++) {
		if (pieces[i].len)
			memcpy(*at, pieces[i].data, pieces[i].len);
		ret_spans[i] = bytes_of(*at, pieces[i].len);
		*at += pieces[i].len;
	}
}

static const char *copy_text(const char *text, uint8_t **at)
{
	size_t size = strlen(text) + 1;
	char *copy = memcpy(*at, text, size);

	*at += size;
	return copy;
}

struct image *procimage_new(const struct decoded *d, const char *const *env_names, size_t max_args)
{
	struct bytes args[EVENT_ARGS_MAX], env[EVENT_ENV_MAX];
	bool cut = d->args.len > max_args, more;
	uint16_t arg_count = decode_split(bytes_of(d->args.data, cut ? max_args : d->args.len), args,
					  EVENT_ARGS_MAX, &more);
	uint16_t env_count = choose_env(d->env, env_names, env);
	size_t spans = (size_t)(arg_count + env_count) * sizeof(struct bytes);
	size_t size = sizeof(struct image) + spans + total(args, arg_count) + total(env, env_count) +
		      strlen(d->file.path) + strlen(d->cwd) + strlen(d->exe_raw) + 3;
	struct image *image = malloc(size);
	struct bytes *span;
	uint8_t *at;

	if (!image)
		return NULL;
	span = (struct bytes *)(image + 1);
	at = (uint8_t *)(span + arg_count + env_count);
	*image = (struct image){
		.refs = 1,
		.truncated = d->truncated | (cut || more ? PROCESS_ARGS_TRUNCATED : 0),
		.size = size,
		.exe = d->file,
		.exe_flags = d->exe_flags,
		.exe_ctime_ns = d->exe_ctime_ns,
		.exe_mtime_ns = d->exe_mtime_ns,
		.args = span,
		.env = span + arg_count,
		.arg_count = arg_count,
		.env_count = env_count,
	};
	copy_pieces(args, arg_count, span, &at);
	copy_pieces(env, env_count, span + arg_count, &at);
	image->exe.path = copy_text(d->file.path, &at);
	image->cwd = copy_text(d->cwd, &at);
	image->exe_raw = copy_text(d->exe_raw, &at);
	return image;
}

struct image *procimage_ref(struct image *image)
{
	image->refs++;
	return image;
}

size_t procimage_unref(struct image *image)
{
	size_t size;

	if (!image || --image->refs > 0)
		return 0;
	size = image->size;
	free(image);
	return size;
}
