/* Alerts in SQLite: opening, the schema and its versions, writing one alert, reading one; see
 * store.h. Lists are in store_list.c, rows as a queue in store_queue.c, retention in store_trim.c.
 *
 * An alert is its packed message plus the columns that lists filter by. All revisions are kept;
 * `latest` marks the newest one of each id, and the indexes hold only those. Working sizes: an
 * alert of 1 to 3 kB; storing one takes about 0.06 ms, store_sync 0.2 ms on a local disk. */
#include "collector/store/store_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"

#define APPLICATION_ID	0x4e4a5352 /* "NJSR" */
#define BUSY_TIMEOUT_MS 5000
#define FOLD_PUTS	128 /* about 1.5 MiB of WAL */

/* Entry n turns schema version n into n + 1. Entries are never changed, only added. */
static const char *const migrations[] = {
	"CREATE TABLE alert (row INTEGER PRIMARY KEY, id TEXT NOT NULL, revision INTEGER NOT NULL,"
	" latest INTEGER NOT NULL, time_ns INTEGER NOT NULL, severity TEXT NOT NULL, rule TEXT NOT NULL,"
	" namespace TEXT NOT NULL, workload TEXT NOT NULL, node TEXT NOT NULL, message BLOB NOT NULL);"
	"CREATE UNIQUE INDEX alert_revision ON alert (id, revision);"
	"CREATE INDEX alert_time ON alert (time_ns, id) WHERE latest = 1;"
	"CREATE INDEX alert_severity ON alert (severity, time_ns, id) WHERE latest = 1;"
	"CREATE INDEX alert_rule ON alert (rule, time_ns, id) WHERE latest = 1;"
	"CREATE INDEX alert_workload ON alert (namespace, workload, time_ns, id) WHERE latest = 1;"
	"CREATE INDEX alert_node ON alert (node, time_ns, id) WHERE latest = 1;"
	"CREATE TABLE technique (technique TEXT NOT NULL, alert INTEGER NOT NULL,"
	" PRIMARY KEY (technique, alert)) WITHOUT ROWID;",

	"ALTER TABLE alert ADD COLUMN stored_ns INTEGER NOT NULL DEFAULT 0;"
	"UPDATE alert SET stored_ns = time_ns;"
	"CREATE INDEX technique_alert ON technique (alert);"
	"CREATE TABLE sink_cursor (sink TEXT PRIMARY KEY, row INTEGER NOT NULL) WITHOUT ROWID;",
};

#define SCHEMA_VERSION ((int)(sizeof(migrations) / sizeof(migrations[0])))

int store_errno(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EBADMSG;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	default:
		return -EIO;
	}
}

int store_fail(sqlite3 *db, struct err *e, const char *act)
{
	int rc = sqlite3_extended_errcode(db);
	const char *hint = "";

	if ((rc & 0xff) == SQLITE_NOTADB || (rc & 0xff) == SQLITE_CORRUPT)
		hint = "; move the file away and a new one is made";
	return err_set(e, store_errno(rc) ?: -EIO, "%s: %s%s", act, sqlite3_errmsg(db), hint);
}

static int run(sqlite3 *db, const char *sql, struct err *e, const char *act)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : store_fail(db, e, act);
}

/* ---- opening ---- */

static int read_number(sqlite3 *db, const char *sql, int *ret_value, struct err *e)
{
	sqlite3_stmt *stmt;
	int r = 0;

	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
		return store_fail(db, e, "cannot read it");
	if (sqlite3_step(stmt) == SQLITE_ROW)
		*ret_value = sqlite3_column_int(stmt, 0);
	else
		r = store_fail(db, e, "cannot read it");
	(void)sqlite3_finalize(stmt);
	return r;
}

static int migrate(sqlite3 *db, int version, struct err *e)
{
	_cleanup_buf_ struct buf sql = {0};

	buf_add_text(&sql, "BEGIN IMMEDIATE;");
	for (int i = version; i < SCHEMA_VERSION; i++)
		buf_add_text(&sql, migrations[i]);
	buf_printf(&sql, "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT;", APPLICATION_ID,
		   SCHEMA_VERSION);
	return run(db, buf_text(&sql), e, "cannot make its tables");
}

/* A new file gets our tables, an older schema is brought up to date, anything else is refused. */
static int check_schema(sqlite3 *db, struct err *e)
{
	int application, version, tables, r;

	r = read_number(db, "PRAGMA application_id", &application, e);
	if (r == 0)
		r = read_number(db, "PRAGMA user_version", &version, e);
	if (r == 0)
		r = read_number(db, "SELECT count(*) FROM sqlite_master", &tables, e);
	if (r < 0)
		return r;
	if (application != APPLICATION_ID && (application != 0 || tables > 0))
		return err_set(e, -EEXIST, "it is the database of another program; choose another path");
	if (version > SCHEMA_VERSION)
		return err_set(e, -EPROTO,
			       "a newer nightjar wrote it (schema %d, this one knows up to %d); run that version or "
			       "choose another path",
			       version, SCHEMA_VERSION);
	return version < SCHEMA_VERSION ? migrate(db, version, e) : 0;
}

/* SQLite says little about why a file cannot be opened, and makes it readable for everybody. */
static int touch(const char *path, struct err *e)
{
	_cleanup_(closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	return fd < 0 ? err_set(e, -errno, "%s", strerror(errno)) : 0;
}

static int open_conn(struct store_conn *conn, const char *path, struct err *e)
{
	int rc = sqlite3_open_v2(path, &conn->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
				 NULL);

	if (!conn->db)
		return err_set(e, -ENOMEM, "out of memory");
	if (rc != SQLITE_OK)
		return store_fail(conn->db, e, "cannot open it");
	(void)sqlite3_busy_timeout(conn->db, BUSY_TIMEOUT_MS);
	return run(conn->db,
		   "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 67108864;"
		   "PRAGMA wal_autocheckpoint = 8192; PRAGMA trusted_schema = OFF;",
		   e, "cannot use it");
}

static int prepare(struct store_conn *conn, const char *sql, sqlite3_stmt **ret_stmt, struct err *e)
{
	if (sqlite3_prepare_v3(conn->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_stmt, NULL) == SQLITE_OK)
		return 0;
	return store_fail(conn->db, e, "cannot prepare a statement");
}

static int prepare_all(struct store *s, struct err *e)
{
	const struct {
		struct store_conn *conn;
		sqlite3_stmt **stmt;
		const char *sql;
	} rows[] = {
		{&s->write, &s->insert,
		 "INSERT INTO alert (id, revision, latest, time_ns, severity, rule, namespace, workload, node,"
		 " message, stored_ns) VALUES (?1, ?2, NOT EXISTS (SELECT 1 FROM alert WHERE id = ?1 AND revision > ?2),"
		 " ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING"},
		{&s->write, &s->supersede, "UPDATE alert SET latest = 0 WHERE id = ?1 AND revision < ?2 AND latest = 1"},
		{&s->write, &s->technique, "INSERT OR IGNORE INTO technique (technique, alert) VALUES (?1, ?2)"},
		{&s->write, &s->set_cursor, "INSERT OR REPLACE INTO sink_cursor (sink, row) VALUES (?1, ?2)"},
		{&s->write, &s->cursor,
		 "SELECT coalesce((SELECT row FROM sink_cursor WHERE sink = ?1), (SELECT max(row) FROM alert), 0)"},
		{&s->write, &s->oldest, "SELECT row, stored_ns, (SELECT max(row) FROM alert) FROM alert ORDER BY row"},
		{&s->write, &s->erase, "DELETE FROM alert WHERE row = ?1"},
		{&s->write, &s->erase_techniques, "DELETE FROM technique WHERE alert = ?1"},
		{&s->write, &s->pages,
		 "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count,"
		 " pragma_page_size"},
		{s->reader, &s->get, "SELECT message FROM alert WHERE id = ?1 ORDER BY revision DESC LIMIT 1"},
		{s->reader, &s->count, "SELECT count(*) FROM alert WHERE row > ?1"},
		{s->reader, &s->next, "SELECT row, message FROM alert WHERE row > ?1 ORDER BY row LIMIT 1"},
		{s->reader, &s->last, "SELECT coalesce(max(row), 0) FROM alert"},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(rows) / sizeof(rows[0]); i++)
		r = prepare(rows[i].conn, rows[i].sql, rows[i].stmt, e);
	return r;
}

static int open_all(struct store *s, const char *path, struct err *e)
{
	bool memory = strcmp(path, ":memory:") == 0;
	int r = memory ? 0 : touch(path, e);

	if (r == 0)
		r = open_conn(&s->write, path, e);
	if (r == 0)
		r = check_schema(s->write.db, e);
	s->reader = memory ? &s->write : &s->read;
	if (r == 0 && !memory)
		r = open_conn(&s->read, path, e);
	return r < 0 ? r : prepare_all(s, e);
}

int store_open(const char *path, struct store **ret_store, struct err *e)
{
	struct store *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	(void)pthread_mutex_init(&s->write.lock, NULL);
	(void)pthread_mutex_init(&s->read.lock, NULL);
	r = open_all(s, path, e);
	if (r < 0) {
		store_close(s);
		return err_prefix(e, r, "cannot use the alert store '%s'", path);
	}
	*ret_store = s;
	return 0;
}

static void close_conn(struct store_conn *conn)
{
	for (sqlite3_stmt *stmt; conn->db && (stmt = sqlite3_next_stmt(conn->db, NULL));)
		(void)sqlite3_finalize(stmt);
	(void)sqlite3_close_v2(conn->db);
}

void store_close(struct store *s)
{
	if (!s)
		return;
	close_conn(&s->read);
	close_conn(&s->write); /* last: it folds the WAL into the file */
	(void)pthread_mutex_destroy(&s->read.lock);
	(void)pthread_mutex_destroy(&s->write.lock);
	buf_done(&s->packed);
	free(s);
}

/* ---- one alert ---- */

int store_step(sqlite3_stmt *stmt)
{
	int rc = sqlite3_step(stmt);

	(void)sqlite3_reset(stmt);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int64_t alert_time_ns(const Nightjar__V1__Alert *alert)
{
	uint64_t ns = alert->time ? (uint64_t)alert->time->seconds * NS_PER_SEC + (uint64_t)alert->time->nanos : 0;

	return (int64_t)ns;
}

/* Binds without copying: the statement is done before the alert goes. */
static void bind_text(sqlite3_stmt *stmt, int at, const char *text)
{
	(void)sqlite3_bind_text(stmt, at, text ? text : "", -1, SQLITE_STATIC);
}

static int insert_alert(struct store *s, const Nightjar__V1__Alert *a)
{
	bind_text(s->insert, 1, a->id);
	(void)sqlite3_bind_int64(s->insert, 2, a->revision);
	(void)sqlite3_bind_int64(s->insert, 3, alert_time_ns(a));
	bind_text(s->insert, 4, a->severity);
	bind_text(s->insert, 5, a->rule);
	bind_text(s->insert, 6, a->namespace_);
	bind_text(s->insert, 7, a->workload);
	bind_text(s->insert, 8, a->node);
	(void)sqlite3_bind_blob64(s->insert, 9, s->packed.data, s->packed.len, SQLITE_STATIC);
	(void)sqlite3_bind_int64(s->insert, 10, (int64_t)clock_wall_ns());
	return store_step(s->insert);
}

static int supersede_older(struct store *s, const Nightjar__V1__Alert *a)
{
	if (a->revision == 0)
		return SQLITE_OK;
	bind_text(s->supersede, 1, a->id);
	(void)sqlite3_bind_int64(s->supersede, 2, a->revision);
	return store_step(s->supersede);
}

static int insert_techniques(struct store *s, const Nightjar__V1__Alert *a, int64_t row)
{
	int rc = SQLITE_OK;

	for (size_t i = 0; a->attack && i < a->attack->n_techniques && rc == SQLITE_OK; i++) {
		bind_text(s->technique, 1, a->attack->techniques[i]);
		(void)sqlite3_bind_int64(s->technique, 2, row);
		rc = store_step(s->technique);
	}
	return rc;
}

/* Write lock held, within a transaction. 1: new. */
static int put_rows(struct store *s, const Nightjar__V1__Alert *a, int64_t *ret_row, struct err *e)
{
	sqlite3 *db = s->write.db;
	int rc = insert_alert(s, a);

	if (rc == SQLITE_OK && sqlite3_changes(db) == 0)
		return 0;
	*ret_row = sqlite3_last_insert_rowid(db);
	if (rc == SQLITE_OK)
		rc = insert_techniques(s, a, *ret_row);
	if (rc == SQLITE_OK)
		rc = supersede_older(s, a);
	return rc == SQLITE_OK ? 1 : store_fail(db, e, "cannot store the alert");
}

static int put_locked(struct store *s, const Nightjar__V1__Alert *a, int64_t *ret_row, struct err *e)
{
	size_t size = protobuf_c_message_get_packed_size(&a->base);
	uint8_t *room;
	int r;

	buf_clear(&s->packed);
	room = buf_extend(&s->packed, size);
	if (!room && size > 0)
		return err_set(e, buf_error(&s->packed), "cannot store the alert: %zu bytes", size);
	(void)protobuf_c_message_pack(&a->base, room);
	r = run(s->write.db, "BEGIN IMMEDIATE", e, "cannot store the alert");
	if (r < 0)
		return r;
	r = put_rows(s, a, ret_row, e);
	if (r == 1 && run(s->write.db, "COMMIT", e, "cannot commit the alert") == 0)
		return 1;
	if (r == 1)
		r = store_errno(sqlite3_errcode(s->write.db)) ?: -EIO;
	(void)sqlite3_exec(s->write.db, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

int store_put(struct store *s, const Nightjar__V1__Alert *alert, uint64_t *ret_row, struct err *e)
{
	int64_t row = 0;
	int r;

	if (!alert->id || !*alert->id || strlen(alert->id) >= STORE_ID_MAX)
		return err_set(e, -EINVAL, "cannot store the alert: its id is empty or longer than %d bytes",
			       STORE_ID_MAX - 1);
	(void)pthread_mutex_lock(&s->write.lock);
	r = put_locked(s, alert, &row, e);
	s->puts += r == 1;
	(void)pthread_mutex_unlock(&s->write.lock);
	if (r == 1 && ret_row)
		*ret_row = (uint64_t)row;
	return r;
}

/* Write lock held. SQLite itself syncs the WAL only before it folds it into the file. */
static int sync_wal(struct store *s)
{
	sqlite3_file *wal = NULL;
	int rc = sqlite3_file_control(s->write.db, "main", SQLITE_FCNTL_JOURNAL_POINTER, (void *)&wal);

	if (rc == SQLITE_OK && wal && wal->pMethods)
		rc = wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY);
	return rc;
}

/* Write lock held. Here and not within a commit, where some alert would wait for it. A reader may hold
 * it up: then the next time. */
static void fold_wal(struct store *s)
{
	if (s->puts < FOLD_PUTS)
		return;
	s->puts = 0;
	(void)sqlite3_wal_checkpoint_v2(s->write.db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

int store_sync(struct store *s, struct err *e)
{
	int rc;

	(void)pthread_mutex_lock(&s->write.lock);
	rc = sync_wal(s);
	fold_wal(s);
	(void)pthread_mutex_unlock(&s->write.lock);
	return rc == SQLITE_OK ? 0 : err_set(e, store_errno(rc), "cannot bring alerts to the disk: %s", sqlite3_errstr(rc));
}

static void *arena_take(void *arena, size_t size)
{
	return arena_alloc(arena, size);
}

static void arena_leave(void *arena, void *pointer)
{
	(void)arena;
	(void)pointer;
}

int store_unpack_row(sqlite3_stmt *stmt, int column, struct arena *arena, Nightjar__V1__Alert **ret_alert)
{
	ProtobufCAllocator allocator = {.alloc = arena_take, .free = arena_leave, .allocator_data = arena};
	const void *blob = sqlite3_column_blob(stmt, column);
	size_t len = (size_t)sqlite3_column_bytes(stmt, column);
	Nightjar__V1__Alert *alert = nightjar__v1__alert__unpack(&allocator, len, blob);

	if (!alert)
		return -EBADMSG;
	*ret_alert = alert;
	return 0;
}

int store_get(struct store *s, const char *id, struct arena *arena, Nightjar__V1__Alert **ret_alert)
{
	int rc, r;

	(void)pthread_mutex_lock(&s->reader->lock);
	bind_text(s->get, 1, id);
	rc = sqlite3_step(s->get);
	if (rc == SQLITE_ROW)
		r = store_unpack_row(s->get, 0, arena, ret_alert);
	else
		r = rc == SQLITE_DONE ? -ENOENT : store_errno(rc);
	(void)sqlite3_reset(s->get);
	(void)pthread_mutex_unlock(&s->reader->lock);
	return r;
}
