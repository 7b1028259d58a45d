/* Kernel records to values: what is cut, too long or of no known type is refused. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

#include "bpf/calls.h"
#include "node-agent/decode.h"

/* An exec record with one endpoint and every variable part. */
static size_t make_exec(uint8_t *record)
{
	static const char parts[] = "/bin/sh\0/tmp\0./sh\0sh\0-c\0id\0A=1\0B=2";
	struct nj_exec exec = {
		.head = {.type = NJ_EXEC, .time = 7, .tid = 9, .task = {.start_ns = 1, .tgid = 9, .exec_count = 2}},
		.parent = {.tgid = 3},
		.creds = {.uid = 10, .egid = 11, .suid = 13, .cap_effective = 12, .cap_inheritable = 14},
		.exe = {.inode = 5, .device = 8 << 20 | 3, .mode = 0100755, .nlink = 1},
		.loginuid = 1000,
		.session = 4,
		.tty = 136 << 20 | 2,
		.flags = NJ_ARGS_TRUNCATED,
		.comm = "sixteen letters!",
		.pgid = 20,
		.vpid = 21,
		.vpgid = 22,
		.exe_flags = NJ_EXE_UPPER,
		.exe_ctime_ns = 23,
		.exe_mtime_ns = 24,
		.namespaces = {1, 2, 3, 4, 5, 6, 7, 8},
		.endpoints = 1,
		.exe_len = 8,
		.cwd_len = 5,
		.raw_len = 5,
		.args_len = 9,
		.env_len = 8,
	};
	struct nj_endpoint ep = {.kind = NJ_EP_PTY_SLAVE, .mode = 3, .fd = 0, .id = 2, .id2 = 22};

	exec.head.size = (uint16_t)(sizeof(exec) + sizeof(ep) + sizeof(parts));
	memcpy(record, &exec, sizeof(exec));
	memcpy(record + sizeof(exec), &ep, sizeof(ep));
	memcpy(record + sizeof(exec) + sizeof(ep), parts, sizeof(parts));
	return exec.head.size;
}

static void nothing_is_refused_without_reading_it(void **state)
{
	struct decoded d;

	(void)state;
	assert_int_equal(decode_record(bytes_of(NULL, 0), &d), -EBADMSG);
}

/* Each beginning stands in memory of exactly its size, so that a read past it is found by ASan. */
static void a_record_cut_at_any_byte_is_refused(void **state)
{
	uint8_t whole[512];
	size_t len = make_exec(whole);

	(void)state;
	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *part = malloc(cut ? cut : 1);
		uint16_t size = (uint16_t)cut;
		struct decoded d;

		memcpy(part, whole, cut);
		assert_int_equal(decode_record(bytes_of(part, cut), &d), -EBADMSG);
		/* The same with a head that claims to be whole. */
		if (cut >= sizeof(size))
			memcpy(part, &size, sizeof(size));
		assert_int_equal(decode_record(bytes_of(part, cut), &d), -EBADMSG);
		free(part);
	}
}

static size_t add_part(uint8_t *record, size_t at, uint8_t type, const void *data, uint16_t len)
{
	struct nj_part part = {.len = len, .type = type};

	memcpy(record + at, &part, sizeof(part));
	memcpy(record + at + sizeof(part), data, len);
	return at + sizeof(part) + len;
}

/* An act with a part of every type. */
static size_t make_act(uint8_t *record)
{
	struct nj_act act = {
		.head = {.type = NJ_ACT, .time = 7, .tid = 9, .task = {.start_ns = 1, .tgid = 9}},
		.result = -13,
		.arg = {1, 2, 3, 4, 5, 6},
		.kind = NJ_KIND_RENAME,
		.call = NJ_NATIVE(82, 38),
		.marks = NJ_MARK_RACED,
		.arg_count = 6,
	};
	struct nj_endpoint ep = {.kind = NJ_EP_PIPE, .id = 2};
	struct nj_namespaces namespaces = {1, 2, 3, 4, 5, 6, 7, 8};
	struct nj_owner target = {.task = {.start_ns = 5, .tgid = 6, .exec_count = 7}, .cgroup = 8};
	struct nj_creds creds = {.uid = 77};
	struct nj_file file = {.inode = 99};
	size_t len = sizeof(act);

	len = add_part(record, len, NJ_PART_PATH, "/etc/old", 9);
	len = add_part(record, len, NJ_PART_RAW, "old", 4);
	len = add_part(record, len, NJ_PART_PATH2, "/etc/new", 9);
	len = add_part(record, len, NJ_PART_RAW2, "new", 4);
	len = add_part(record, len, NJ_PART_TEXT, "text", 5);
	len = add_part(record, len, NJ_PART_FILE, &file, sizeof(file));
	len = add_part(record, len, NJ_PART_ENDPOINT, &ep, sizeof(ep));
	len = add_part(record, len, NJ_PART_ENDPOINT, &ep, sizeof(ep));
	len = add_part(record, len, NJ_PART_TARGET, &target, sizeof(target));
	len = add_part(record, len, NJ_PART_CREDS, &creds, sizeof(creds));
	len = add_part(record, len, NJ_PART_NAMESPACES, &namespaces, sizeof(namespaces));
	len = add_part(record, len, NJ_PART_DATA, "\0\1\2", 3);
	act.head.size = (uint16_t)len;
	memcpy(record, &act, sizeof(act));
	return len;
}

/* Between two parts a cut act is a shorter one; anywhere else it is refused. */
static void an_act_cut_within_a_part_is_refused(void **state)
{
	uint8_t whole[1024];
	size_t len = make_act(whole);
	size_t accepted = 0;

	(void)state;
	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *part = malloc(cut ? cut : 1);
		uint16_t size = (uint16_t)cut;
		struct decoded d;

		memcpy(part, whole, cut);
		if (cut >= sizeof(size))
			memcpy(part, &size, sizeof(size));
		accepted += decode_record(bytes_of(part, cut), &d) == 0;
		free(part);
	}
	assert_int_equal(accepted, 12);
}

static void an_act_of_no_known_kind_or_part_is_refused(void **state)
{
	uint8_t record[1024];
	size_t len = make_act(record);
	uint16_t kind = EVENT_KIND_MAX;
	uint8_t count = 7;
	struct decoded d;

	(void)state;
	memcpy(record + offsetof(struct nj_act, kind), &kind, sizeof(kind));
	assert_int_equal(decode_record(bytes_of(record, len), &d), -EBADMSG);
	len = make_act(record);
	record[sizeof(struct nj_act) + offsetof(struct nj_part, type)] = NJ_PART_MAX;
	assert_int_equal(decode_record(bytes_of(record, len), &d), -EBADMSG);
	len = make_act(record);
	memcpy(record + offsetof(struct nj_act, arg_count), &count, sizeof(count));
	assert_int_equal(decode_record(bytes_of(record, len), &d), -EBADMSG);
}

static void an_act_gives_all_its_parts(void **state)
{
	uint8_t record[1024];
	size_t len = make_act(record);
	struct decoded d;

	(void)state;
	assert_int_equal(decode_record(bytes_of(record, len), &d), 0);
	assert_int_equal(d.kind, EVENT_KIND_RENAME);
	assert_int_equal(d.result, -13);
	assert_int_equal(d.marks, EVENT_MARK_RACED);
	assert_string_equal(d.detail.call, "rename");
	assert_int_equal(d.detail.arg_count, 6);
	assert_int_equal(d.detail.args[5], 6);
	assert_string_equal(d.file.path, "/etc/old");
	assert_string_equal(d.raw_path, "old");
	assert_string_equal(d.detail.path2, "/etc/new");
	assert_string_equal(d.detail.raw_path2, "new");
	assert_string_equal(d.detail.text, "text");
	assert_int_equal(d.file.inode, 99);
	assert_int_equal(d.endpoint_count, 2);
	assert_int_equal(d.endpoints[1].id, 2);
	assert_int_equal(d.target.task.tgid, 6);
	assert_int_equal(d.target.cgroup, 8);
	assert_int_equal(d.creds.uid, 77);
	assert_int_equal(d.detail.namespaces.time, 8);
	assert_int_equal(d.detail.data.len, 3);
}

/* An act of that kind and result on a UDP socket whose peer is port 53, with the address 10.0.0.1:80 as it
 * was given. */
static struct endpoint turned_address(uint16_t kind, int64_t result, struct decoded *d)
{
	struct nj_act act = {.head = {.type = NJ_ACT}, .kind = kind, .result = result};
	struct nj_endpoint ep = {.kind = NJ_EP_UDP, .family = AF_INET, .remote_port = 53};
	uint8_t record[1024];
	size_t len = add_part(record, sizeof(act), NJ_PART_ADDRESS, "\2\0\0\x50\x0a\0\0\1\0\0\0\0\0\0\0", 16);

	len = add_part(record, len, NJ_PART_ENDPOINT, &ep, sizeof(ep));
	act.head.size = (uint16_t)len;
	memcpy(record, &act, sizeof(act));
	assert_int_equal(decode_record(bytes_of(record, len), d), 0);
	assert_int_equal(d->detail.data.len, 16);
	return d->endpoints[0];
}

static void an_address_is_the_peer_of_a_message_and_of_what_failed(void **state)
{
	struct decoded d;

	(void)state;
	assert_int_equal(turned_address(NJ_KIND_CONNECT, 0, &d).remote_port, 53);
	assert_int_equal(turned_address(NJ_KIND_CONNECT, -101, &d).remote_port, 80);
	assert_int_equal(turned_address(NJ_KIND_SEND, 5, &d).remote_port, 80);
	assert_memory_equal(d.endpoints[0].remote_ip, "\x0a\0\0\1\0", 5);
	assert_int_equal(turned_address(NJ_KIND_BIND, -98, &d).local_port, 80);
	assert_int_equal(d.endpoints[0].remote_port, 53);
}

static void an_open_has_its_flags_among_its_arguments(void **state)
{
	struct nj_act act = {
		.head = {.type = NJ_ACT, .size = sizeof(act)},
		.kind = NJ_KIND_OPEN,
		.result = 3,
		.arg = {(uint64_t)-100, 0, 0101, 0640, 8},
		.arg_count = 5,
	};
	struct decoded d;

	(void)state;
	assert_int_equal(decode_record(bytes_of(&act, sizeof(act)), &d), 0);
	assert_int_equal(d.kind, EVENT_KIND_OPEN);
	assert_int_equal(d.flags, 0101);
	assert_int_equal(d.detail.args[3], 0640);
	act.kind = NJ_KIND_CHMOD;
	assert_int_equal(decode_record(bytes_of(&act, sizeof(act)), &d), 0);
	assert_int_equal(d.flags, 0);
}

static void a_copy_has_its_old_number_among_its_arguments(void **state)
{
	struct nj_act act = {
		.head = {.type = NJ_ACT, .size = sizeof(act)},
		.kind = NJ_KIND_DUP,
		.result = 1,
		.arg = {7, 1},
		.arg_count = 2,
	};
	struct decoded d;

	(void)state;
	assert_int_equal(decode_record(bytes_of(&act, sizeof(act)), &d), 0);
	assert_int_equal(d.kind, EVENT_KIND_DUP);
	assert_int_equal(d.old_fd, 7);
	assert_int_equal(d.result, 1);
	act.kind = NJ_KIND_CHMOD;
	assert_int_equal(decode_record(bytes_of(&act, sizeof(act)), &d), 0);
	assert_int_equal(d.old_fd, -1);
}

static void the_names_of_a_unix_socket_are_texts(void **state)
{
	struct nj_act act = {.head = {.type = NJ_ACT}, .kind = NJ_KIND_CONNECT};
	uint8_t record[1024];
	size_t len = add_part(record, sizeof(act), NJ_PART_ADDRESS, "\1\0./x\0junk", 10);
	struct decoded d;

	(void)state;
	len = add_part(record, len, NJ_PART_NAME, "\1\0/run/x", 8);
	len = add_part(record, len, NJ_PART_NAME2, "\1\0\0y", 4);
	act.head.size = (uint16_t)len;
	memcpy(record, &act, sizeof(act));
	assert_int_equal(decode_record(bytes_of(record, len), &d), 0);
	assert_string_equal(d.raw_path, "./x");
	assert_string_equal(d.detail.text, "/run/x");
	assert_string_equal(d.detail.path2, "@y");
	assert_int_equal(d.detail.data.len, 0);
	assert_int_equal(d.endpoint_count, 0);
}

static size_t make_packet(uint8_t *record, uint16_t kind, const char *data, uint16_t len, size_t room)
{
	struct nj_packet packet = {
		.head = {.type = NJ_PACKET, .size = (uint16_t)(sizeof(packet) + room)},
		.kind = kind,
		.data_len = len,
		.socket = {.kind = NJ_EP_UDP, .remote_port = 53},
	};

	memset(record, 0xee, sizeof(packet) + room);
	memcpy(record, &packet, sizeof(packet));
	memcpy(record + sizeof(packet), data, len);
	return packet.head.size;
}

static void a_packet_that_lies_about_its_length_or_kind_is_refused(void **state)
{
	uint8_t record[1024];
	struct decoded d;
	size_t len;

	(void)state;
	len = make_packet(record, NJ_KIND_DNS, "", 0, 128);
	((struct nj_packet *)(void *)record)->data_len = 129;
	assert_int_equal(decode_record(bytes_of(record, len), &d), -EBADMSG);
	len = make_packet(record, NJ_KIND_SEND, "", 0, 128);
	assert_int_equal(decode_record(bytes_of(record, len), &d), -EBADMSG);
	len = make_packet(record, NJ_KIND_DNS, "", 0, NJ_PACKET_LARGE + 1);
	assert_int_equal(decode_record(bytes_of(record, len), &d), -EBADMSG);
}

static void a_packet_tells_the_question_it_carries(void **state)
{
	uint8_t record[1024];
	struct decoded d;
	size_t len;

	(void)state;
	len = make_packet(record, NJ_KIND_DNS, "\x12\x34\1\0\0\1\0\0\0\0\0\0\1A\0\0\2\0\1", 19, 128);
	assert_int_equal(decode_record(bytes_of(record, len), &d), 0);
	assert_int_equal(d.kind, EVENT_KIND_DNS);
	assert_string_equal(d.detail.text, "a");
	assert_int_equal(d.detail.args[0], 2);
	assert_int_equal(d.detail.data.len, 19);
	assert_int_equal(d.endpoints[0].remote_port, 53);
	len = make_packet(record, NJ_KIND_FIRST_BYTES, "SSH-2.0", 7, 128);
	assert_int_equal(decode_record(bytes_of(record, len), &d), 0);
	assert_int_equal(d.kind, EVENT_KIND_FIRST_BYTES);
	assert_string_equal(d.detail.text, "");
	assert_int_equal(d.detail.data.len, 7);
}

static void a_cgroup_comes_and_goes_by_its_path(void **state)
{
	struct {
		struct nj_cgroup cgroup;
		char path[8];
	} record = {.cgroup = {.head = {.type = NJ_CGROUP, .size = sizeof(record), .hierarchy = 7},
			       .id = 42, .hierarchy = 3, .path_len = 8}, .path = "/ab/cde"};
	struct decoded d;

	(void)state;
	assert_int_equal(decode_record(bytes_of(&record, sizeof(record)), &d), 0);
	assert_int_equal(d.kind, EVENT_KIND_CGROUP);
	assert_string_equal(d.file.path, "/ab/cde");
	assert_string_equal(d.detail.text, "mkdir");
	assert_int_equal(d.cgroup_id, 42);
	assert_int_equal(d.cgroup_hierarchy, 3);
	assert_int_equal(d.head.hierarchy, 7);
	record.cgroup.removed = 1;
	assert_int_equal(decode_record(bytes_of(&record, sizeof(record)), &d), 0);
	assert_string_equal(d.detail.text, "rmdir");
	assert_true(d.cgroup_removed);
	record.cgroup.path_len = 9;
	assert_int_equal(decode_record(bytes_of(&record, sizeof(record)), &d), -EBADMSG);
}

static void a_call_has_its_name_in_the_table_it_came_from(void **state)
{
	(void)state;
	assert_string_equal(decode_call_name(NJ_NATIVE(257, 56), false), "openat");
	assert_string_equal(decode_call_name(5, true), "open");
	assert_string_equal(decode_call_name(NJ_CALLS_MAX, false), "");
	assert_string_equal(decode_call_name(511, true), "");
}

static void a_type_that_nobody_knows_is_refused(void **state)
{
	struct nj_exit record = {.head = {.size = sizeof(record)}};
	struct decoded d;

	(void)state;
	record.head.type = 0;
	assert_int_equal(decode_record(bytes_of(&record, sizeof(record)), &d), -EBADMSG);
	record.head.type = NJ_TYPE_MAX;
	assert_int_equal(decode_record(bytes_of(&record, sizeof(record)), &d), -EBADMSG);
	record.head.type = 255;
	assert_int_equal(decode_record(bytes_of(&record, sizeof(record)), &d), -EBADMSG);
}

static void bytes_behind_the_last_part_are_refused(void **state)
{
	struct {
		struct nj_exit exit;
		uint64_t more;
	} record = {.exit.head = {.size = sizeof(record), .type = NJ_EXIT}};
	struct decoded d;

	(void)state;
	assert_int_equal(decode_record(bytes_of(&record, sizeof(record)), &d), -EBADMSG);
}

static void too_many_endpoints_and_unknown_kinds_are_refused(void **state)
{
	static uint8_t record[sizeof(struct nj_exec) + 20 * sizeof(struct nj_endpoint)];
	struct nj_exec exec = {.head = {.type = NJ_EXEC, .size = sizeof(record)}, .endpoints = 20};
	struct nj_tcp tcp = {.head = {.type = NJ_TCP, .size = sizeof(tcp)}, .new_state = 1, .socket.kind = 9};
	struct decoded d;

	(void)state;
	memcpy(record, &exec, sizeof(exec));
	assert_int_equal(decode_record(bytes_of(record, sizeof(record)), &d), -EBADMSG);
	assert_int_equal(decode_record(bytes_of(&tcp, sizeof(tcp)), &d), -EBADMSG);
}

static void a_path_must_end_where_its_length_says(void **state)
{
	uint8_t record[512];
	size_t len = make_exec(record);
	uint8_t *path = record + sizeof(struct nj_exec) + sizeof(struct nj_endpoint);
	struct decoded d;

	(void)state;
	path[7] = 'x'; /* no NUL */
	assert_int_equal(decode_record(bytes_of(record, len), &d), -EBADMSG);
	path[7] = 0;
	path[3] = 0; /* one too early */
	assert_int_equal(decode_record(bytes_of(record, len), &d), -EBADMSG);
}

static void an_exec_gives_all_its_parts_at_any_alignment(void **state)
{
	uint8_t memory[513];
	uint8_t whole[512];
	size_t len = make_exec(whole);
	struct bytes args[8];
	struct decoded d;

	(void)state;
	memcpy(memory + 1, whole, len);
	assert_int_equal(decode_record(bytes_of(memory + 1, len), &d), 0);
	assert_int_equal(d.kind, EVENT_KIND_EXEC);
	assert_int_equal(d.head.time, 7);
	assert_string_equal(d.file.path, "/bin/sh");
	assert_string_equal(d.cwd, "/tmp");
	assert_int_equal(d.file.device, makedev(8, 3));
	assert_int_equal(d.tty, makedev(136, 2));
	assert_int_equal(d.creds.uid, 10);
	assert_int_equal(d.creds.suid, 13);
	assert_int_equal(d.creds.cap_inheritable, 14);
	assert_string_equal(d.exe_raw, "./sh");
	assert_string_equal(d.comm, "sixteen letters"); /* ended, whatever the record says */
	assert_int_equal(d.pgid, 20);
	assert_int_equal(d.vpid, 21);
	assert_int_equal(d.vpgid, 22);
	assert_int_equal(d.exe_flags, PROCESS_EXE_UPPER);
	assert_int_equal(d.exe_ctime_ns, 23);
	assert_int_equal(d.exe_mtime_ns, 24);
	assert_int_equal(d.namespaces.user, 4);
	assert_int_equal(d.truncated, PROCESS_ARGS_TRUNCATED);
	assert_int_equal(d.endpoint_count, 1);
	assert_int_equal(d.endpoints[0].id2, makedev(0, 22));
	assert_int_equal(decode_split(d.args, args, 8, NULL), 3);
	assert_true(bytes_equal(args[1], bytes_of_text("-c")));
	assert_int_equal(decode_split(d.env, args, 8, NULL), 2);
	assert_true(bytes_equal(args[1], bytes_of_text("B=2")));
}

static void a_split_keeps_empty_pieces_and_says_what_it_left_out(void **state)
{
	struct bytes pieces[4];
	bool more = true;

	(void)state;
	assert_int_equal(decode_split(bytes_of("", 0), pieces, 4, &more), 0);
	assert_false(more);
	assert_int_equal(decode_split(bytes_of("\0a\0\0cut", 7), pieces, 4, &more), 4);
	assert_false(more);
	assert_int_equal(pieces[0].len, 0);
	assert_int_equal(pieces[2].len, 0);
	assert_true(bytes_equal(pieces[3], bytes_of_text("cut")));
	assert_int_equal(decode_split(bytes_of("a\0b\0c", 5), pieces, 2, &more), 2);
	assert_true(more);
}

static void mapped_addresses_read_as_ipv4_and_others_stay(void **state)
{
	struct nj_tcp tcp = {
		.head = {.type = NJ_TCP, .size = sizeof(tcp)},
		.new_state = 2,
		.socket = {.kind = NJ_EP_TCP,
			   .family = AF_INET6,
			   .remote_ip = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1}},
	};
	struct decoded d;

	(void)state;
	assert_int_equal(decode_record(bytes_of(&tcp, sizeof(tcp)), &d), 0);
	assert_int_equal(d.endpoints[0].family, AF_INET);
	assert_memory_equal(d.endpoints[0].remote_ip, "\x0a\0\0\x01\0\0", 6);
	tcp.socket.remote_ip[0] = 0x20;
	assert_int_equal(decode_record(bytes_of(&tcp, sizeof(tcp)), &d), 0);
	assert_int_equal(d.endpoints[0].family, AF_INET6);
}

static void states_of_tcp_become_kinds_of_events(void **state)
{
	static const struct {
		uint8_t state;
		enum event_kind kind;
	} rows[] = {{1, EVENT_KIND_ESTABLISHED}, {2, EVENT_KIND_CONNECT}, {7, EVENT_KIND_CLOSE},
		    {10, EVENT_KIND_LISTEN},	 {4, 0},		 {255, 0}};
	struct nj_tcp tcp = {.head = {.type = NJ_TCP, .size = sizeof(tcp)}, .error = ECONNREFUSED,
			     .socket.kind = NJ_EP_TCP};
	struct decoded d;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		tcp.new_state = rows[i].state;
		assert_int_equal(decode_record(bytes_of(&tcp, sizeof(tcp)), &d), 0);
		assert_int_equal(d.kind, rows[i].kind);
		assert_int_equal(d.result, -ECONNREFUSED);
	}
}

static size_t random_record(unsigned int *seed, uint8_t *record)
{
	size_t len = make_exec(record);
	struct nj_head head;

	memcpy(&head, record, sizeof(head));
	if (rand_r(seed) % 2)
		head.type = (uint8_t)(rand_r(seed) % (NJ_TYPE_MAX + 1));
	if (rand_r(seed) % 2)
		len = sizeof(head) + (size_t)rand_r(seed) % (len - sizeof(head));
	head.size = (uint16_t)len;
	memcpy(record, &head, sizeof(head));
	for (int changes = rand_r(seed) % 8; changes > 0; changes--) {
		size_t at = sizeof(head) + (size_t)rand_r(seed) % (len - sizeof(head) + 1);

		record[at < len ? at : 0] ^= (uint8_t)rand_r(seed);
	}
	return len;
}

static void assert_inside(const uint8_t *record, size_t len, const char *text)
{
	const uint8_t *at = (const uint8_t *)text;

	assert_true(text[0] == '\0' || (at >= record && at + strlen(text) < record + len));
}

static void assert_all_inside(const uint8_t *record, size_t len, const struct decoded *d)
{
	assert_true(d->endpoint_count <= EVENT_ENDPOINTS_MAX);
	assert_inside(record, len, d->file.path);
	assert_inside(record, len, d->cwd);
	assert_inside(record, len, d->raw_path);
	assert_true(d->args.len == 0 || d->args.data + d->args.len <= record + len);
	assert_true(d->env.len == 0 || d->env.data + d->env.len <= record + len);
}

/* 100 000 changed, cut and retyped records: refused, or all that they point to is inside. */
static void any_record_is_refused_or_points_into_itself(void **state)
{
	unsigned int seed = 1;
	uint32_t taken = 0;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		uint8_t whole[512];
		size_t len = random_record(&seed, whole);
		uint8_t *record = malloc(len);
		struct decoded d;

		memcpy(record, whole, len);
		if (decode_record(bytes_of(record, len), &d) == 0) {
			assert_all_inside(record, len, &d);
			taken++;
		}
		free(record);
	}
	assert_true(taken > 100 && taken < 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_refused_without_reading_it),
		cmocka_unit_test(a_record_cut_at_any_byte_is_refused),
		cmocka_unit_test(an_act_cut_within_a_part_is_refused),
		cmocka_unit_test(an_act_of_no_known_kind_or_part_is_refused),
		cmocka_unit_test(an_act_gives_all_its_parts),
		cmocka_unit_test(an_address_is_the_peer_of_a_message_and_of_what_failed),
		cmocka_unit_test(an_open_has_its_flags_among_its_arguments),
		cmocka_unit_test(a_copy_has_its_old_number_among_its_arguments),
		cmocka_unit_test(the_names_of_a_unix_socket_are_texts),
		cmocka_unit_test(a_packet_that_lies_about_its_length_or_kind_is_refused),
		cmocka_unit_test(a_packet_tells_the_question_it_carries),
		cmocka_unit_test(a_cgroup_comes_and_goes_by_its_path),
		cmocka_unit_test(a_call_has_its_name_in_the_table_it_came_from),
		cmocka_unit_test(a_type_that_nobody_knows_is_refused),
		cmocka_unit_test(bytes_behind_the_last_part_are_refused),
		cmocka_unit_test(too_many_endpoints_and_unknown_kinds_are_refused),
		cmocka_unit_test(a_path_must_end_where_its_length_says),
		cmocka_unit_test(an_exec_gives_all_its_parts_at_any_alignment),
		cmocka_unit_test(a_split_keeps_empty_pieces_and_says_what_it_left_out),
		cmocka_unit_test(mapped_addresses_read_as_ipv4_and_others_stay),
		cmocka_unit_test(states_of_tcp_become_kinds_of_events),
		cmocka_unit_test(any_record_is_refused_or_points_into_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
