/* Written for definitions of some hundred bytes, once per container and epoch; see wire_container.h. */
#include "common/wire_container.h"

#include <errno.h>

#include "common/pb.h"
#include "common/utf8.h"

#define LABEL_MAX (3 * PB_HEAD_MAX)
#define MOUNT_MAX (4 * PB_HEAD_MAX + PB_FIELD_MAX)
#define FIXED_MAX (15 * PB_FIELD_MAX)
/* A byte that is no UTF-8 travels as U+FFFD, which takes three. */
#define MENDED_BYTES_MAX (3 * (size_t)CONTAINER_BYTES_MAX)

bool wire_container_definable(const struct container_def *c)
{
	return c->label_count <= CONTAINER_LABELS_MAX && c->mount_count <= CONTAINER_MOUNTS_MAX &&
	       container_def_bytes(c) <= CONTAINER_BYTES_MAX;
}

size_t wire_container_bound(const struct container_def *c)
{
	return FIXED_MAX + c->label_count * LABEL_MAX + c->mount_count * MOUNT_MAX +
	       3 * container_def_bytes(c);
}

static uint8_t *put_text(uint8_t *p, uint32_t field, const char *text, struct buf *scratch)
{
	struct bytes raw = bytes_of_text(text);

	if (utf8_valid_prefix(raw) == raw.len)
		return pb_bytes(p, field, raw);
	buf_truncate(scratch, 0);
	utf8_add(scratch, raw);
	return pb_bytes(p, field, buf_bytes(scratch));
}

static uint8_t *put_label(uint8_t *p, const struct container_label *label, struct buf *scratch)
{
	uint8_t *mark;

	p = pb_open(p, 10, &mark);
	p = put_text(p, 1, label->key, scratch);
	p = put_text(p, 2, label->value, scratch);
	return pb_close(p, mark);
}

static uint8_t *put_mount(uint8_t *p, const struct container_mount *mount, struct buf *scratch)
{
	uint8_t *mark;

	p = pb_open(p, 12, &mark);
	p = put_text(p, 1, mount->source, scratch);
	p = put_text(p, 2, mount->destination, scratch);
	p = pb_uint(p, 3, mount->readonly);
	p = put_text(p, 4, mount->propagation, scratch);
	return pb_close(p, mark);
}

uint8_t *wire_container_put(uint8_t *p, const struct container_def *c, struct buf *scratch)
{
	p = put_text(p, 2, c->container_id, scratch);
	p = put_text(p, 3, c->pod_uid, scratch);
	p = put_text(p, 4, c->name, scratch);
	p = put_text(p, 5, c->image, scratch);
	p = put_text(p, 6, c->pod, scratch);
	p = put_text(p, 7, c->namespace, scratch);
	p = put_text(p, 8, c->cgroup, scratch);
	p = put_text(p, 9, c->image_id, scratch);
	for (uint16_t i = 0; i < c->label_count; i++)
		p = put_label(p, &c->labels[i], scratch);
	p = pb_uint(p, 11, c->privileged);
	for (uint16_t i = 0; i < c->mount_count; i++)
		p = put_mount(p, &c->mounts[i], scratch);
	p = pb_uint(p, 13, c->cap_bounding);
	p = pb_uint(p, 14, c->start_ns);
	return put_text(p, 15, c->workload, scratch);
}
static size_t packed_bytes(const Nightjar__V1__ContainerDef *def)
{
	size_t bytes = strlen(def->container_id) + strlen(def->pod_uid) + strlen(def->name) +
		       strlen(def->image) + strlen(def->pod) + strlen(def->namespace_) +
		       strlen(def->cgroup) + strlen(def->image_id) + strlen(def->workload);

	for (size_t i = 0; i < def->n_labels; i++)
		bytes += strlen(def->labels[i]->key) + strlen(def->labels[i]->value);
	for (size_t i = 0; i < def->n_mounts; i++)
		bytes += strlen(def->mounts[i]->source) + strlen(def->mounts[i]->destination) +
			 strlen(def->mounts[i]->propagation);
	return bytes;
}

bool wire_container_fits(const Nightjar__V1__ContainerDef *def)
{
	return def->n_labels <= CONTAINER_LABELS_MAX && def->n_mounts <= CONTAINER_MOUNTS_MAX &&
	       packed_bytes(def) <= MENDED_BYTES_MAX;
}

static int copy_labels(struct arena *arena, const Nightjar__V1__ContainerDef *def, struct container_def *c)
{
	struct container_label *labels;

	if (def->n_labels == 0)
		return 0;
	labels = arena_alloc(arena, def->n_labels * sizeof(*labels));
	if (!labels)
		return -ENOMEM;
	for (size_t i = 0; i < def->n_labels; i++) {
		labels[i].key = arena_strdup(arena, def->labels[i]->key);
		labels[i].value = arena_strdup(arena, def->labels[i]->value);
		if (!labels[i].key || !labels[i].value)
			return -ENOMEM;
	}
	c->labels = labels;
	c->label_count = (uint16_t)def->n_labels;
	return 0;
}

static int copy_mounts(struct arena *arena, const Nightjar__V1__ContainerDef *def, struct container_def *c)
{
	struct container_mount *mounts;

	if (def->n_mounts == 0)
		return 0;
	mounts = arena_alloc(arena, def->n_mounts * sizeof(*mounts));
	if (!mounts)
		return -ENOMEM;
	for (size_t i = 0; i < def->n_mounts; i++) {
		const Nightjar__V1__Mount *mount = def->mounts[i];

		mounts[i] = (struct container_mount){
			.source = arena_strdup(arena, mount->source),
			.destination = arena_strdup(arena, mount->destination),
			.propagation = arena_strdup(arena, mount->propagation),
			.readonly = mount->readonly,
		};
		if (!mounts[i].source || !mounts[i].destination || !mounts[i].propagation)
			return -ENOMEM;
	}
	c->mounts = mounts;
	c->mount_count = (uint16_t)def->n_mounts;
	return 0;
}

int wire_container_copy(struct arena *arena, const Nightjar__V1__ContainerDef *def, struct container_def *c)
{
	*c = (struct container_def){
		.container_id = arena_strdup(arena, def->container_id),
		.pod_uid = arena_strdup(arena, def->pod_uid),
		.name = arena_strdup(arena, def->name),
		.image = arena_strdup(arena, def->image),
		.pod = arena_strdup(arena, def->pod),
		.namespace = arena_strdup(arena, def->namespace_),
		.cgroup = arena_strdup(arena, def->cgroup),
		.image_id = arena_strdup(arena, def->image_id),
		.workload = arena_strdup(arena, def->workload),
		.privileged = def->privileged,
		.cap_bounding = def->cap_bounding,
		.start_ns = def->start_ns,
	};
	if (!c->container_id || !c->pod_uid || !c->name || !c->image || !c->pod || !c->namespace ||
	    !c->cgroup || !c->image_id || !c->workload)
		return -ENOMEM;
	return copy_labels(arena, def, c) < 0 ? -ENOMEM : copy_mounts(arena, def, c);
}

