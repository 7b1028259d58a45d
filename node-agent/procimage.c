/* A node has thousands of images, most of which nobody asks for in a day: so the texts stand in a row, without
 * pointers to them, and whoever defines one walks along. */
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

static void put_piece(struct bytes piece, char **at)
{
	if (piece.len)
		memcpy(*at, piece.data, piece.len);
	(*at)[piece.len] = '\0';
	*at += piece.len + 1;
}

static void put_pieces(const struct bytes *pieces, uint16_t count, char **at)
{
	for (uint16_t i = 0; i < count; i++)
		put_piece(pieces[i], at);
}

struct image *procimage_new(const struct decoded *d, const char *const *env_names, size_t max_args)
{
	struct bytes args[EVENT_ARGS_MAX], env[EVENT_ENV_MAX];
	bool cut = d->args.len > max_args, more;
	uint16_t arg_count = decode_split(bytes_of(d->args.data, cut ? max_args : d->args.len), args,
					  EVENT_ARGS_MAX, &more);
	uint16_t env_count = choose_env(d->env, env_names, env);
	size_t size = sizeof(struct image) + total(args, arg_count) + arg_count + total(env, env_count) + env_count +
		      strlen(d->file.path) + strlen(d->cwd) + strlen(d->exe_raw) + 3;
	struct image *image = malloc(size);
	char *at;

	if (!image)
		return NULL;
	*image = (struct image){
		.refs = 1,
		.truncated = d->truncated | (cut || more ? PROCESS_ARGS_TRUNCATED : 0),
		.size = (uint32_t)size,
		.exe = d->file,
		.exe_flags = d->exe_flags,
		.exe_ctime_ns = d->exe_ctime_ns,
		.exe_mtime_ns = d->exe_mtime_ns,
		.arg_count = arg_count,
		.env_count = env_count,
	};
	at = image->text;
	image->exe.path = at;
	put_piece(bytes_of_text(d->file.path), &at);
	put_piece(bytes_of_text(d->cwd), &at);
	put_piece(bytes_of_text(d->exe_raw), &at);
	put_pieces(args, arg_count, &at);
	put_pieces(env, env_count, &at);
	return image;
}

static const char *next_text(const char *text)
{
	return text + strlen(text) + 1;
}

/* No piece has a NUL in it: that is where they were cut. */
void procimage_define(const struct image *image, struct bytes *spans, struct process_def *ret_def)
{
	const char *at = image->text;

	ret_def->exe = image->exe;
	ret_def->exe_flags = image->exe_flags;
	ret_def->exe_ctime_ns = image->exe_ctime_ns;
	ret_def->exe_mtime_ns = image->exe_mtime_ns;
	ret_def->truncated = image->truncated;
	ret_def->arg_count = image->arg_count;
	ret_def->env_count = image->env_count;
	ret_def->args = spans;
	ret_def->env = spans + image->arg_count;
	ret_def->cwd = at = next_text(at);
	ret_def->exe_raw = at = next_text(at);
	for (unsigned int i = 0; i < (unsigned int)image->arg_count + image->env_count; i++) {
		at = next_text(at);
		spans[i] = bytes_of_text(at);
	}
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
