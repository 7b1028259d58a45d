/* Compiling and numbering; see policy_compile.h. A few kilobytes, made at start. */
#include "collector/policy_compile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/arena.h"
#include "common/capture_class.h"
#include "nightjar/v1/agent.pb-c.h"

#define FIXED_CLASSES                                                                              \
	2 /* process and tcp, the first two, are always captured: no policy names them */
#define FILE_BYTES_MAX (256UL << 10)

/* Texts in the order in which they were asked for, each once. */
struct texts {
	const char *what;
	char **items;
	size_t count, max;
};

struct policy {
	Nightjar__V1__Policy msg;
	struct arena *arena;
	uint32_t classes, each; /* bits 1 << class */
	const char *names[CAPTURE_CLASS_MAX + 1]; /* of all that is captured */
	struct texts open_names, open_prefixes;
};

static int add_text(struct texts *t, const char *text, struct err *e)
{
	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->items[i], text) == 0)
			return 0;
	if (t->count == t->max)
		return err_set(e, -E2BIG, "detectors and options together name more than %zu %s",
			       t->max, t->what);
	t->items[t->count++] = (char *)(uintptr_t)text;
	return 0;
}

static int add_texts(struct texts *t, const char *const *texts, struct err *e)
{
	int r = 0;

	for (; r == 0 && texts && *texts; texts++)
		r = add_text(t, *texts, e);
	return r;
}

static uint32_t bits_of(const char *const *classes)
{
	uint32_t bits = 0;

	for (; classes && *classes; classes++) {
		int class = capture_class_find(*classes);

		bits |= class >= 0 ? 1U << class : 0; /* a test holds every detector's against the
							 table */
	}
	return bits;
}

static int add_needs(struct policy *p, const struct detect_needs *needs, struct err *e)
{
	int r = add_texts(&p->open_names, needs->open_names, e);

	p->classes |= bits_of(needs->classes);
	p->each |= bits_of(needs->each);
	return r < 0 ? r : add_texts(&p->open_prefixes, needs->open_prefixes, e);
}

static const char *copied(struct policy *p, const char *text)
{
	return arena_strdup(p->arena, text);
}

static int add_list(struct policy *p, struct texts *t, const struct opt_list *list, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < list->count; i++) {
		const char *text = copied(p, list->items[i]);

		r = text ? add_text(t, text, e) : err_set(e, -ENOMEM, "no memory");
	}
	return r;
}

static int add_ports(struct policy *p, const struct opt_list *list, struct err *e)
{
	uint32_t *ports = arena_zalloc(p->arena, (list->count + 1) * sizeof(*ports));

	if (!ports)
		return err_set(e, -ENOMEM, "no memory");
	for (size_t i = 0; i < list->count; i++)
		ports[i] = capture_port(list->items[i]);
	p->msg.ports = ports;
	p->msg.n_ports = list->count;
	return 0;
}

static int add_options(struct policy *p, const struct capture_options *o, struct err *e)
{
	int r = capture_options_check(o, e);

	if (r == 0)
		r = add_list(p, &p->open_names, &o->open_names, e);
	if (r == 0)
		r = add_list(p, &p->open_prefixes, &o->open_prefixes, e);
	if (r == 0)
		r = add_ports(p, &o->ports, e);
	p->classes |= capture_options_classes(o);
	p->each |= capture_options_each(o);
	p->msg.open_writes = o->open_writes;
	p->msg.open_all = o->open_all;
	/* Whoever names the class wants what it is made of. */
	p->msg.first_bytes = p->classes >> capture_class_find("payload") & 1;
	p->msg.repeat_window_ns = o->repeat_window_ns;
	return r;
}

static int name_classes(struct policy *p, uint32_t bits, char ***ret_names, size_t *ret_count)
{
	char **names = arena_zalloc(p->arena, CAPTURE_CLASS_MAX * sizeof(*names));

	if (!names)
		return -ENOMEM;
	for (unsigned int class = FIXED_CLASSES; class < CAPTURE_CLASS_MAX; class ++)
		if (bits >> class & 1)
			names[(*ret_count)++] = (char *)(uintptr_t)capture_class_name(class);
	*ret_names = names;
	return 0;
}

static int fill(struct policy *p, struct err *e)
{
	Nightjar__V1__Policy *msg = &p->msg;
	size_t count = 0;

	for (unsigned int class = 0; class < CAPTURE_CLASS_MAX; class ++)
		if (class < FIXED_CLASSES || p->classes >> class & 1)
			p->names[count++] = capture_class_name(class);

	if (name_classes(p, p->classes, &msg->classes, &msg->n_classes) < 0 ||
	    name_classes(p, p->each & p->classes, &msg->each, &msg->n_each) < 0)
		return err_set(e, -ENOMEM, "no memory");
	msg->open_names = p->open_names.items;
	msg->n_open_names = p->open_names.count;
	msg->open_prefixes = p->open_prefixes.items;
	msg->n_open_prefixes = p->open_prefixes.count;
	return 0;
}

static struct policy *policy_new(void)
{
	_cleanup_(policy_freep) struct policy *p = calloc(1, sizeof(*p));

	if (p)
		p->arena = arena_new(0);
	if (!p || !p->arena)
		return NULL;
	nightjar__v1__policy__init(&p->msg);
	p->open_names =
		(struct texts){.what = "files whose opening is reported",
			       .items = arena_zalloc(p->arena, CAPTURE_NAMES_MAX * sizeof(char *)),
			       .max = CAPTURE_NAMES_MAX};
	p->open_prefixes = (struct texts){
		.what = "paths below which every opening is reported",
		.items = arena_zalloc(p->arena, CAPTURE_PREFIXES_MAX * sizeof(char *)),
		.max = CAPTURE_PREFIXES_MAX};
	return p->open_names.items && p->open_prefixes.items ? take_ptr(p) : NULL;
}

int policy_compile(const struct capture_options *o, const struct detector *const *detectors,
		   struct policy **ret_policy, struct err *e)
{
	_cleanup_(policy_freep) struct policy *p = policy_new();
	int r;

	if (!p)
		return err_set(e, -ENOMEM, "no memory");
	r = add_needs(p, &detect_entity_needs, e);
	for (; r == 0 && *detectors; detectors++)
		r = add_needs(p, &(*detectors)->needs, e);
	if (r == 0)
		r = add_options(p, o, e);
	if (r == 0)
		r = fill(p, e);
	if (r == 0)
		*ret_policy = take_ptr(p);
	return r;
}

void policy_free(struct policy *p)
{
	if (!p)
		return;
	arena_free(p->arena);
	free(p);
}

uint32_t policy_generation(const struct policy *p)
{
	return p->msg.generation;
}

const char *const *policy_classes(const struct policy *p)
{
	return p->names;
}

bool policy_wants(const struct policy *p, const char *class)
{
	int number = capture_class_find(class);

	return number >= 0 && (number < FIXED_CLASSES || p->classes >> number & 1);
}

/* ---- bytes -------------------------------------------------------------------------------------
 */

int policy_pack(const struct policy *p, struct buf *out)
{
	uint8_t *room = buf_extend(out, nightjar__v1__policy__get_packed_size(&p->msg));

	if (room)
		(void)nightjar__v1__policy__pack(&p->msg, room);
	return buf_error(out);
}

int policy_pack_message(const struct policy *p, struct buf *out)
{
	Nightjar__V1__CollectorMessage message = NIGHTJAR__V1__COLLECTOR_MESSAGE__INIT;
	Nightjar__V1__Policy policy = p->msg;
	uint8_t *room;

	message.body_case = NIGHTJAR__V1__COLLECTOR_MESSAGE__BODY_POLICY;
	message.policy = &policy;
	room = buf_extend(out, nightjar__v1__collector_message__get_packed_size(&message));
	if (room)
		(void)nightjar__v1__collector_message__pack(&message, room);
	return buf_error(out);
}

/* ---- numbering ---------------------------------------------------------------------------------
 */

/* Whole, or empty: a file that is not there, cannot be read or is no policy's. */
static void read_file(const char *file, struct buf *out)
{
	_cleanup_(fclosep) FILE *f = fopen(file, "re");
	char piece[4096];
	size_t len;

	while (f && out->len < FILE_BYTES_MAX && (len = fread(piece, 1, sizeof(piece), f)) > 0)
		buf_add(out, piece, len);
}

static int write_all(int fd, struct bytes data)
{
	while (data.len > 0) {
		ssize_t n = write(fd, data.data, data.len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			data = bytes_of(data.data + n, data.len - (size_t)n);
	}
	return fsync(fd) < 0 ? -errno : 0;
}

/* The old one or the new one, whenever the machine stops. */
static int write_file(const char *file, struct bytes data)
{
	_cleanup_(freep) char *fresh = NULL;
	_cleanup_(closep) int fd = -1;
	int r;

	if (asprintf(&fresh, "%s.new", file) < 0)
		return -ENOMEM;
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	if (fd < 0)
		return -errno;
	r = write_all(fd, data);
	if (r == 0 && rename(fresh, file) < 0)
		r = -errno;
	if (r < 0)
		(void)unlink(fresh);
	return r;
}

/* The number of the last policy, 0: none; and whether that is this one. */
static uint32_t last_number(struct policy *p, struct bytes stored, bool *ret_same)
{
	Nightjar__V1__Policy *last = nightjar__v1__policy__unpack(NULL, stored.len, stored.data);
	_cleanup_buf_ struct buf own = {0};
	uint32_t number;

	*ret_same = false;
	if (!last)
		return 0;
	number = p->msg.generation = last->generation;
	if (policy_pack(p, &own) == 0)
		*ret_same = number > 0 && bytes_equal(buf_bytes(&own), stored);
	nightjar__v1__policy__free_unpacked(last, NULL);
	return number;
}

int policy_number(struct policy *p, const char *file, struct err *e)
{
	_cleanup_buf_ struct buf stored = {0}, fresh = {0};
	bool same;
	int r;

	read_file(file, &stored);
	p->msg.generation = last_number(p, buf_bytes(&stored), &same);
	if (same)
		return 0;
	p->msg.generation++;
	if (p->msg.generation == 0)
		p->msg.generation = 1;
	r = policy_pack(p, &fresh);
	if (r == 0)
		r = write_file(file, buf_bytes(&fresh));
	return r < 0 ? err_set(e, r, "cannot write %s: %s", file, strerror(-r)) : 0;
}
