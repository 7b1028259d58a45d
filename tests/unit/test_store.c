/* The store on disk: files it must refuse, a disk that is full, what survives a restart. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collector/store/store.h"
#include "tests/unit/alert_sample.h"

struct place {
	char dir[32];
	char path[64];
	struct alert_sample sample;
};

static int set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	strcpy(p->dir, "/tmp/nj-store-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	(void)snprintf(p->path, sizeof(p->path), "%s/alerts.db", p->dir);
	alert_sample_fill(&p->sample);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;
	static const char *const names[] = {"", "-wal", "-shm"};
	char file[80];

	for (int i = 0; i < 3; i++) {
		(void)snprintf(file, sizeof(file), "%s%s", p->path, names[i]);
		(void)unlink(file);
	}
	assert_int_equal(rmdir(p->dir), 0);
	free(p);
	return 0;
}

static struct store *opened(const struct place *p)
{
	struct store *s = NULL;
	struct err e = {0};

	if (store_open(p->path, &s, &e) < 0)
		fail_msg("%s", e.text);
	return s;
}

static int put(struct store *s, const Nightjar__V1__Alert *a)
{
	struct err e = {0};

	return store_put(s, a, NULL, &e);
}

static void write_file(const char *path, const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	(void)close(fd);
}

static void a_folder_that_is_missing_is_told(void **state)
{
	struct store *s = NULL;
	struct err e = {0};

	(void)state;
	assert_int_equal(store_open("/nonexistent/alerts.db", &s, &e), -ENOENT);
	assert_string_equal(
		e.text,
		"cannot use the alert store '/nonexistent/alerts.db': No such file or directory");
	assert_null(s);
}

/* Root may write everywhere, so a child that is nobody tries. */
static void a_folder_without_write_permission_is_told(void **state)
{
	struct place *p = *state;
	int status;
	pid_t child;

	assert_int_equal(chmod(p->dir, 0555), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct store *s = NULL;
		struct err e = {0};

		if (geteuid() == 0 && setuid(65534) < 0)
			_exit(2);
		_exit(store_open(p->path, &s, &e) == -EACCES && strstr(e.text, "Permission denied")
			      ? 0
			      : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(chmod(p->dir, 0755), 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_file_that_is_no_database_is_told(void **state)
{
	struct place *p = *state;
	struct store *s = NULL;
	char junk[4096];
	struct err e = {0};

	memset(junk, 'x', sizeof(junk));
	write_file(p->path, junk, sizeof(junk));
	assert_int_equal(store_open(p->path, &s, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "file is not a database; move the file away"));
}

static void the_database_of_another_program_is_left_alone(void **state)
{
	struct place *p = *state;
	struct store *s = NULL;
	sqlite3 *db;
	struct err e = {0};

	assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "CREATE TABLE theirs (x)", NULL, NULL, NULL), SQLITE_OK);
	(void)sqlite3_close(db);
	assert_int_equal(store_open(p->path, &s, &e), -EEXIST);
	assert_non_null(strstr(e.text, "another program"));
}

static void a_newer_schema_is_refused(void **state)
{
	struct place *p = *state;
	struct store *s = opened(p);
	sqlite3 *db;
	struct err e = {0};

	store_close(s);
	s = NULL;
	assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 1000", NULL, NULL, NULL),
			 SQLITE_OK);
	(void)sqlite3_close(db);
	assert_int_equal(store_open(p->path, &s, &e), -EPROTO);
	assert_non_null(strstr(e.text, "a newer nightjar wrote it (schema 1000"));
}

static void a_file_damaged_in_the_middle_fails_and_does_not_crash(void **state)
{
	struct place *p = *state;
	struct store *s = opened(p);
	_cleanup_(arena_freep) struct arena *arena = arena_new(0);
	Nightjar__V1__Alert *got = NULL;
	char junk[4096];
	struct err e = {0};
	int fd, r;

	assert_int_equal(put(s, &p->sample.alert), 1);
	store_close(s);
	fd = open(p->path, O_WRONLY);
	memset(junk, 0xa5, sizeof(junk));
	for (off_t at = 4096; at < lseek(fd, 0, SEEK_END); at += 4096)
		assert_int_equal(pwrite(fd, junk, sizeof(junk), at), sizeof(junk));
	(void)close(fd);
	r = store_open(p->path, &s, &e);
	if (r == 0) {
		assert_int_equal(store_get(s, ALERT_SAMPLE_ID, arena, &got), -EBADMSG);
		assert_int_equal(store_put(s, &p->sample.alert, NULL, &e), -EBADMSG);
		store_close(s);
	}
	assert_non_null(strstr(e.text, "move the file away"));
}

/* A file size limit stands in for a full disk. */
static int fill_up(struct place *p)
{
	struct rlimit limit = {.rlim_cur = 256 << 10, .rlim_max = RLIM_INFINITY};
	struct store *s = NULL;
	char id[32] = "";
	struct err e = {0};
	int r = 1, stored = 0;

	(void)signal(SIGXFSZ, SIG_IGN);
	if (store_open(p->path, &s, &e) < 0 || setrlimit(RLIMIT_FSIZE, &limit) < 0)
		return 10;
	p->sample.alert.id = id;
	for (; r == 1 && stored < 10000; stored += r == 1) {
		(void)snprintf(id, sizeof(id), "%026d", stored);
		r = store_put(s, &p->sample.alert, NULL, &e);
	}
	if (r >= 0 || !strstr(e.text, "the alert"))
		return 11;
	limit.rlim_cur = RLIM_INFINITY;
	if (setrlimit(RLIMIT_FSIZE, &limit) < 0 || store_put(s, &p->sample.alert, NULL, &e) != 1)
		return 12;
	r = store_count(s) == (uint64_t)stored + 1 ? 0 : 13;
	store_close(s);
	return r;
}

static void a_full_disk_is_told_and_forgotten_when_there_is_room(void **state)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0)
		_exit(fill_up(*state));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void an_alert_without_an_id_is_refused(void **state)
{
	struct place *p = *state;
	struct store *s = opened(p);
	char longer[STORE_ID_MAX + 1];

	memset(longer, 'a', STORE_ID_MAX);
	longer[STORE_ID_MAX] = '\0';
	p->sample.alert.id = sample_text("");
	assert_int_equal(put(s, &p->sample.alert), -EINVAL);
	p->sample.alert.id = longer;
	assert_int_equal(put(s, &p->sample.alert), -EINVAL);
	assert_int_equal(store_count(s), 0);
	store_close(s);
}

static void an_id_that_nobody_stored_is_not_found(void **state)
{
	struct store *s = opened(*state);
	_cleanup_(arena_freep) struct arena *arena = arena_new(0);
	Nightjar__V1__Alert *got = NULL;

	assert_int_equal(store_get(s, ALERT_SAMPLE_ID, arena, &got), -ENOENT);
	assert_int_equal(store_get(s, "", arena, &got), -ENOENT);
	assert_int_equal(store_get(s, "' OR 1=1 --", arena, &got), -ENOENT);
	assert_null(got);
	store_close(s);
}

static void the_same_revision_is_stored_once(void **state)
{
	struct place *p = *state;
	struct store *s = opened(p);

	assert_int_equal(put(s, &p->sample.alert), 1);
	p->sample.alert.title = sample_text("made again by a replay");
	assert_int_equal(put(s, &p->sample.alert), 0);
	assert_int_equal(store_count(s), 1);
	store_close(s);
}

static void the_latest_revision_is_the_one_that_is_read(void **state)
{
	struct place *p = *state;
	struct store *s = opened(p);
	static const uint32_t order[] = {0, 2, 1};
	_cleanup_(arena_freep) struct arena *arena = arena_new(0);
	Nightjar__V1__Alert *got = NULL, **list = NULL;
	char *token = NULL;
	size_t count = 0;

	for (int i = 0; i < 3; i++) {
		p->sample.alert.revision = order[i];
		assert_int_equal(put(s, &p->sample.alert), 1);
	}
	assert_int_equal(store_get(s, ALERT_SAMPLE_ID, arena, &got), 0);
	assert_int_equal(got->revision, 2);
	assert_int_equal(store_list(s, NULL, 10, "", arena, &list, &count, &token), 0);
	assert_int_equal(count, 1);
	assert_int_equal(list[0]->revision, 2);
	store_close(s);
}

static void alerts_outlive_the_program(void **state)
{
	struct place *p = *state;
	struct store *s = opened(p);
	size_t size = protobuf_c_message_get_packed_size(&p->sample.alert.base);
	_cleanup_(arena_freep) struct arena *arena = arena_new(0);
	uint8_t *before = arena_alloc(arena, size), *after = arena_alloc(arena, size);
	Nightjar__V1__Alert *got = NULL;

	assert_int_equal(put(s, &p->sample.alert), 1);
	store_close(s);
	s = opened(p);
	assert_int_equal(store_count(s), 1);
	assert_int_equal(put(s, &p->sample.alert), 0);
	assert_int_equal(store_get(s, ALERT_SAMPLE_ID, arena, &got), 0);
	assert_int_equal(protobuf_c_message_get_packed_size(&got->base), size);
	(void)protobuf_c_message_pack(&p->sample.alert.base, before);
	(void)protobuf_c_message_pack(&got->base, after);
	assert_memory_equal(before, after, size);
	store_close(s);
}

/* What is committed must be there without a clean close: a child stores and dies. */
static void alerts_outlive_a_crash(void **state)
{
	struct place *p = *state;
	struct store *s;
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		struct err e = {0};

		if (store_open(p->path, &s, &e) == 0 &&
		    store_put(s, &p->sample.alert, NULL, &e) == 1)
			(void)raise(SIGKILL);
		_exit(1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	s = opened(p);
	assert_int_equal(store_count(s), 1);
	store_close(s);
}

static void the_file_is_readable_by_its_owner_only(void **state)
{
	struct place *p = *state;
	struct store *s = opened(p);
	struct stat st;

	assert_int_equal(stat(p->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	store_close(s);
}

static void closing_nothing_is_allowed(void **state)
{
	(void)state;
	store_close(NULL);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_folder_that_is_missing_is_told),
		test(a_folder_without_write_permission_is_told),
		test(a_file_that_is_no_database_is_told),
		test(the_database_of_another_program_is_left_alone),
		test(a_newer_schema_is_refused),
		test(a_file_damaged_in_the_middle_fails_and_does_not_crash),
		test(a_full_disk_is_told_and_forgotten_when_there_is_room),
		test(an_alert_without_an_id_is_refused),
		test(an_id_that_nobody_stored_is_not_found),
		test(the_same_revision_is_stored_once),
		test(the_latest_revision_is_the_one_that_is_read),
		test(alerts_outlive_the_program),
		test(alerts_outlive_a_crash),
		test(the_file_is_readable_by_its_owner_only),
		test(closing_nothing_is_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
