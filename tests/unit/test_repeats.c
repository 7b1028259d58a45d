/* Windows in plain memory: who closes them, with what, and never twice. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "common/clock.h"
#include "node-agent/repeats.h"

#define SLOTS  8
#define KEEP   4096
#define WINDOW (10 * NS_PER_SEC)

struct fixture {
	struct repeats *r;
	struct nj_window windows[SLOTS];
	struct repeat told[64];
	struct decoded decoded[64]; /* of each, before its record goes */
	char paths[64][64];
	uint32_t count;
};

static const struct nj_task task_a = {.start_ns = 1000, .tgid = 10, .exec_count = 1};
static const struct nj_task task_b = {.start_ns = 2000, .tgid = 20, .exec_count = 1};

static int set_up(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	f.r = repeats_new(f.windows, SLOTS, KEEP);
	assert_non_null(f.r);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	repeats_free(((struct fixture *)*state)->r);
	return 0;
}

static void take(void *ctx, const struct repeat *repeat)
{
	struct fixture *f = ctx;
	struct decoded *d = &f->decoded[f->count];

	assert_true(f->count < 64);
	assert_true(repeat->count > 0);
	assert_int_equal(repeats_decode(repeat, d), 0);
	(void)snprintf(f->paths[f->count], sizeof(f->paths[0]), "%s", d->file.path);
	f->told[f->count++] = *repeat;
}

static uint64_t id_of(uint32_t slot, uint64_t serial)
{
	return serial << 16 | slot;
}

/* The kernel opens a window, and its record comes. */
static void open_window(struct fixture *f, uint32_t slot, uint64_t serial, const struct nj_task *task, size_t padding)
{
	struct {
		struct nj_act open;
		uint8_t parts[2048];
	} record = {.open.kind = NJ_KIND_OPEN};
	struct nj_part path = {.len = 3, .type = NJ_PART_PATH}, raw = {.len = (uint16_t)padding, .type = NJ_PART_RAW};
	struct nj_window *window = &f->windows[slot];
	size_t len = sizeof(path) + path.len;

	memcpy(record.parts, &path, sizeof(path));
	memcpy(record.parts + sizeof(path), "/x", 3);
	if (padding > 0) {
		memcpy(record.parts + len, &raw, sizeof(raw));
		len += sizeof(raw);
		memset(record.parts + len, 'r', padding);
		len += padding;
		record.parts[len - 1] = '\0';
	}
	record.open.head = (struct nj_head){
		.type = NJ_ACT,
		.size = (uint16_t)(sizeof(record.open) + len),
		.task = *task,
		.window = id_of(slot, serial),
	};
	*window = (struct nj_window){.id = id_of(slot, serial), .opened_ns = 100};
	window->key = (struct nj_key){.task = *task, .kind = NJ_KIND_OPEN, .class = NJ_CLASS_FILE, .inode = 5};
	repeats_keep(f->r, bytes_of(&record, record.open.head.size));
}

static void repeat_act(struct fixture *f, uint32_t slot, uint64_t times)
{
	f->windows[slot].count += times;
	f->windows[slot].first_ns = 200;
	f->windows[slot].last_ns = 300;
}

static struct nj_repeat told_by_kernel(const struct nj_window *window)
{
	return (struct nj_repeat){
		.head = {.type = NJ_REPEAT, .size = sizeof(struct nj_repeat), .task = window->key.task, .window = window->id},
		.first_ns = window->first_ns,
		.last_ns = window->last_ns,
		.count = window->count,
		.key = window->key,
	};
}

static void a_record_that_is_no_repeat_is_refused(void **state)
{
	struct fixture *f = *state;
	struct nj_repeat told;

	open_window(f, 1, 1, &task_a, 0);
	repeat_act(f, 1, 1);
	told = told_by_kernel(&f->windows[1]);
	for (size_t len = 0; len < sizeof(told); len++)
		assert_int_equal(repeats_told(f->r, bytes_of(&told, len), take, f), -EBADMSG);
	told.head.window = 0;
	assert_int_equal(repeats_told(f->r, bytes_of(&told, sizeof(told)), take, f), -EBADMSG);
	told.head.window = id_of(SLOTS, 1);
	assert_int_equal(repeats_told(f->r, bytes_of(&told, sizeof(told)), take, f), -EBADMSG);
	assert_int_equal(f->count, 0);
}

static void a_record_without_a_window_is_not_kept(void **state)
{
	struct fixture *f = *state;
	struct nj_head head = {.size = sizeof(head)};
	struct repeats_stats stats;

	repeats_keep(f->r, bytes_of(&head, sizeof(head) - 1));
	repeats_keep(f->r, bytes_of(&head, sizeof(head)));
	head.window = id_of(SLOTS, 3);
	repeats_keep(f->r, bytes_of(&head, sizeof(head)));
	repeats_stats(f->r, &stats);
	assert_int_equal(stats.open, 0);
}

static void a_window_in_which_nothing_came_again_is_not_told(void **state)
{
	struct fixture *f = *state;

	open_window(f, 1, 1, &task_a, 0);
	repeats_task(f->r, &task_a, take, f);
	assert_int_equal(f->count, 0);
}

static void the_end_of_a_process_closes_its_windows_and_no_others(void **state)
{
	struct fixture *f = *state;

	open_window(f, 1, 1, &task_a, 0);
	open_window(f, 2, 1, &task_b, 0);
	open_window(f, 3, 1, &task_a, 0);
	for (uint32_t slot = 1; slot < 4; slot++)
		repeat_act(f, slot, slot);
	repeats_task(f->r, &task_a, take, f);
	assert_int_equal(f->count, 2);
	assert_int_equal(f->told[0].count + f->told[1].count, 4);
	assert_string_equal(f->paths[0], "/x");
	assert_int_equal(f->told[0].first_ns, 200);
	assert_int_equal(f->told[0].last_ns, 300);
	repeats_task(f->r, &task_a, take, f);
	assert_int_equal(f->count, 2);
	repeats_task(f->r, &task_b, take, f);
	assert_int_equal(f->count, 3);
}

static void what_was_closed_here_is_not_told_again_when_the_kernel_does(void **state)
{
	struct fixture *f = *state;
	struct nj_repeat told;

	open_window(f, 1, 1, &task_a, 0);
	repeat_act(f, 1, 5);
	repeats_sweep(f->r, WINDOW * 2, WINDOW, 0, take, f);
	assert_int_equal(f->count, 1);
	told = told_by_kernel(&f->windows[1]);
	assert_int_equal(repeats_told(f->r, bytes_of(&told, sizeof(told)), take, f), 0);
	assert_int_equal(f->count, 1);
}

static void what_the_kernel_told_is_not_told_again_here(void **state)
{
	struct fixture *f = *state;
	struct nj_repeat told;

	open_window(f, 1, 1, &task_a, 0);
	repeat_act(f, 1, 5);
	told = told_by_kernel(&f->windows[1]);
	/* The slot is another window's by now, whose record comes next. */
	f->windows[1].id = id_of(1, 2);
	f->windows[1].count = 0;
	repeats_sweep(f->r, WINDOW * 2, WINDOW, 0, take, f);
	repeats_task(f->r, &task_a, take, f);
	assert_int_equal(f->count, 0);
	assert_int_equal(repeats_told(f->r, bytes_of(&told, sizeof(told)), take, f), 0);
	assert_int_equal(f->count, 1);
	assert_string_equal(f->paths[0], "/x");
	open_window(f, 1, 2, &task_b, 0);
	repeats_all(f->r, take, f);
	assert_int_equal(f->count, 1);
}

static void a_window_that_is_being_changed_is_left_alone(void **state)
{
	struct fixture *f = *state;

	open_window(f, 1, 1, &task_a, 0);
	repeat_act(f, 1, 5);
	f->windows[1].id = 0;
	repeats_sweep(f->r, WINDOW * 2, WINDOW, 0, take, f);
	repeats_all(f->r, take, f);
	assert_int_equal(f->count, 0);
}

static void a_sweep_closes_what_is_old_or_of_another_policy(void **state)
{
	struct fixture *f = *state;

	open_window(f, 1, 1, &task_a, 0);
	open_window(f, 2, 1, &task_a, 0);
	repeat_act(f, 1, 1);
	repeat_act(f, 2, 1);
	f->windows[2].opened_ns = WINDOW;
	repeats_sweep(f->r, WINDOW, WINDOW, 0, take, f);
	assert_int_equal(f->count, 0);
	repeats_sweep(f->r, WINDOW + NS_PER_SEC, WINDOW, 0, take, f);
	assert_int_equal(f->count, 1);
	repeats_sweep(f->r, WINDOW + NS_PER_SEC, WINDOW, 1, take, f);
	assert_int_equal(f->count, 2);
}

static void a_record_that_had_to_go_leaves_the_key(void **state)
{
	struct fixture *f = *state;
	struct repeats_stats stats;

	/* The circle holds two of these. */
	for (uint32_t slot = 0; slot < 4; slot++) {
		open_window(f, slot, 1, &task_a, 1500);
		repeat_act(f, slot, 1);
	}
	repeats_all(f->r, take, f);
	assert_int_equal(f->count, 4);
	assert_int_equal(f->told[0].record.len, 0);
	assert_int_equal(f->decoded[0].kind, EVENT_KIND_OPEN);
	assert_int_equal(f->decoded[0].file.inode, 5);
	assert_int_equal(f->decoded[0].head.task.tgid, task_a.tgid);
	assert_string_equal(f->paths[0], "");
	assert_string_equal(f->paths[3], "/x");
	repeats_stats(f->r, &stats);
	assert_true(stats.forgotten >= 1 && stats.forgotten < 4);
	assert_int_equal(stats.open, 0);
}

static void a_key_alone_has_the_endpoint_that_its_kind_promises(void **state)
{
	struct repeat repeat = {.count = 1, .key = {.kind = NJ_KIND_SEND, .class = NJ_CLASS_MESSAGE, .family = 2,
						   .remote_port = 53, .remote_ip = {127, 0, 0, 1}, .inode = 7}};
	struct decoded d;

	(void)state;
	assert_int_equal(repeats_decode(&repeat, &d), 0);
	assert_int_equal(d.endpoint_count, 1);
	assert_int_equal(d.endpoints[0].remote_port, 53);
	assert_int_equal(d.endpoints[0].id, 7);
	assert_memory_equal(d.endpoints[0].remote_ip, "\x7f\0\0\x01", 4);
	repeat.key.kind = NJ_KIND_SPLICE;
	repeat.key.family = 0;
	assert_int_equal(repeats_decode(&repeat, &d), 0);
	assert_int_equal(d.endpoint_count, 2);
}

/* And no file, whose place in the key it has. */
static void a_key_alone_names_whom_it_was_done_to(void **state)
{
	static const uint16_t kinds[] = {NJ_KIND_SIGNAL, NJ_KIND_PTRACE, NJ_KIND_PROCESS_VM, NJ_KIND_PERF};

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct repeat repeat = {.count = 1, .key = {.kind = kinds[i], .device = 42, .raw_hash = 1234, .generation = 5}};
		struct decoded d;

		assert_int_equal(repeats_decode(&repeat, &d), 0);
		assert_int_equal(d.target.task.tgid, 42);
		assert_int_equal(d.target.task.start_ns, 1234);
		assert_int_equal(d.target.task.exec_count, 5);
		assert_int_equal(d.file.device, 0);
		assert_int_equal(d.file.generation, 0);
	}
}

static void what_waits_in_windows_is_counted_by_class(void **state)
{
	struct fixture *f = *state;
	uint64_t waiting[NJ_CLASS_MAX];

	open_window(f, 1, 1, &task_a, 0);
	open_window(f, 2, 1, &task_b, 0);
	repeat_act(f, 1, 3);
	repeat_act(f, 2, 4);
	f->windows[2].key.class = NJ_CLASS_DNS;
	repeats_waiting(f->r, waiting);
	assert_int_equal(waiting[NJ_CLASS_FILE], 3);
	assert_int_equal(waiting[NJ_CLASS_DNS], 4);
	repeats_all(f->r, take, f);
	repeats_waiting(f->r, waiting);
	assert_int_equal(waiting[NJ_CLASS_FILE], 0);
}

/* Any order of opening, repeating, telling, closing: what was counted is told once. */
static void whatever_the_order_every_count_is_told_once(void **state)
{
	struct fixture *f = *state;
	uint64_t random = 88172645463325252ULL, counted = 0, told = 0, serial[SLOTS] = {0};

	for (int step = 0; step < 20000; step++) {
		uint32_t slot;

		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		slot = random % SLOTS;
		f->count = 0;
		if (random >> 8 & 1 || f->windows[slot].id == 0) {
			struct nj_repeat record = told_by_kernel(&f->windows[slot]);

			if (f->windows[slot].count > 0)
				assert_int_equal(repeats_told(f->r, bytes_of(&record, sizeof(record)), take, f), 0);
			open_window(f, slot, ++serial[slot], random >> 9 & 1 ? &task_a : &task_b, random >> 20 & 511);
		} else if (random >> 10 & 3) {
			repeat_act(f, slot, random >> 12 & 7);
			/* A window that was closed here is over: the kernel counts no more. */
			counted += random >> 12 & 7;
		} else {
			/* What is closed must not be counted in again: the kernel opens anew. */
			repeats_task(f->r, random >> 9 & 1 ? &task_a : &task_b, take, f);
			for (uint32_t at = 0; at < SLOTS; at++)
				if (f->windows[at].key.task.tgid == (random >> 9 & 1 ? task_a : task_b).tgid)
					memset(&f->windows[at], 0, sizeof(f->windows[at]));
		}
		for (uint32_t i = 0; i < f->count; i++)
			told += f->told[i].count;
	}
	f->count = 0;
	repeats_all(f->r, take, f);
	for (uint32_t i = 0; i < f->count; i++)
		told += f->told[i].count;
	assert_int_equal(told, counted);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_record_that_is_no_repeat_is_refused),
		T(a_record_without_a_window_is_not_kept),
		T(a_window_in_which_nothing_came_again_is_not_told),
		T(the_end_of_a_process_closes_its_windows_and_no_others),
		T(what_was_closed_here_is_not_told_again_when_the_kernel_does),
		T(what_the_kernel_told_is_not_told_again_here),
		T(a_window_that_is_being_changed_is_left_alone),
		T(a_sweep_closes_what_is_old_or_of_another_policy),
		T(a_record_that_had_to_go_leaves_the_key),
		T(a_key_alone_has_the_endpoint_that_its_kind_promises),
		T(a_key_alone_names_whom_it_was_done_to),
		T(what_waits_in_windows_is_counted_by_class),
		T(whatever_the_order_every_count_is_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
