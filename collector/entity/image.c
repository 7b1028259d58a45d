/* Packing of a definition's text; see image.h. */
#include "collector/entity/image.h"

#include <stdlib.h>
#include <string.h>

#define EXE_MAX	 512U /* the end is kept: it has the name */
#define CWD_MAX	 256U
#define ARGS_MAX 1024U /* all together, terminators included */

static const char *const system_dirs[] = {
	"/usr/bin/",   "/usr/sbin/",	"/bin/", "/sbin/",	    "/usr/lib/",
	"/usr/lib64/", "/usr/libexec/", "/lib/", "/usr/local/bin/", "/usr/local/sbin/",
	NULL,
};

static size_t args_size(const struct process_def *def, uint16_t *ret_count)
{
	size_t size = 0;
	uint16_t n = 0;

	while (n < def->arg_count && size + def->args[n].len + 1 <= ARGS_MAX)
		size += def->args[n++].len + 1;
	*ret_count = n;
	return size;
}

static uint16_t put(struct image *image, const void *data, size_t len)
{
	uint16_t at = image->len;

	if (len)
		memcpy(image->text + at, data, len);
	image->text[at + len] = '\0';
	image->len = (uint16_t)(at + len + 1);
	return at;
}

struct image *image_new(const struct process_def *def)
{
	size_t exe_len = strlen(def->exe.path), cwd_len = strnlen(def->cwd, CWD_MAX);
	size_t exe_skip = exe_len > EXE_MAX ? exe_len - EXE_MAX : 0;
	uint16_t count;
	size_t args = args_size(def, &count);
	struct image *image = malloc(sizeof(*image) + exe_len - exe_skip + cwd_len + args + 2);

	if (!image)
		return NULL;
	*image = (struct image){
		.refs = 1,
		.arg_count = count,
		.args_cut = count < def->arg_count || (def->truncated & PROCESS_ARGS_TRUNCATED),
		.exec_ns = def->exec_ns ? def->exec_ns : def->start_ns,
		.device = def->exe.device,
		.inode = def->exe.inode,
		.mode = def->exe.mode,
		.uid = def->exe.uid,
	};
	(void)put(image, def->exe.path + exe_skip, exe_len - exe_skip);
	image->cwd_at = put(image, def->cwd, cwd_len);
	image->args_at = image->len;
	for (uint16_t i = 0; i < count; i++)
		(void)put(image, def->args[i].data, def->args[i].len);
	return image;
}

struct image *image_ref(struct image *image)
{
	if (image)
		image->refs++;
	return image;
}

void image_unref(struct image *image)
{
	if (image && --image->refs == 0)
		free(image);
}

const char *image_exe(const struct image *image)
{
	return image ? image->text : "";
}

const char *image_name(const struct image *image)
{
	const char *exe = image_exe(image), *slash = strrchr(exe, '/');

	return slash ? slash + 1 : exe;
}

const char *image_cwd(const struct image *image)
{
	return image ? image->text + image->cwd_at : "";
}

/* An argument may hold no NUL itself: the kernel's area is split at them. */
const char *image_arg(const struct image *image, const char *arg)
{
	const char *next;

	if (!image)
		return NULL;
	next = arg ? arg + strlen(arg) + 1 : image->text + image->args_at;
	return next < image->text + image->len ? next : NULL;
}

bool image_trusted(const struct image *image)
{
	const char *exe = image_exe(image);

	if (!image || image->uid != 0 || image->mode == 0 || (image->mode & 022))
		return false;
	for (const char *const *dir = system_dirs; *dir; dir++)
		if (strncmp(exe, *dir, strlen(*dir)) == 0)
			return true;
	return false;
}
