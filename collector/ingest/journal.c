/* Segments on disk and the thread that writes them.
 *
 * Two buffers: append fills one under the lock while the thread writes the other. The thread alone
 * touches files once it runs. Sizes: a segment 64 MiB, all of them 512 MiB, a buffer 16 MiB unless
 * the configuration says otherwise. */
#include "collector/ingest/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "collector/ingest/journal_format.h"
#include "common/clock.h"
#include "common/log.h"

#define SEGMENT_NAME "%016" PRIx64 ".njj"
#define RETRY_MS     200
#define PACE_NS	     (5 * NS_PER_MS) /* between two groups, while records come without a pause */

struct segment {
	uint64_t number;
	uint64_t bytes;
};

struct journal {
	struct journal_config config;
	char *dir;
	int dir_fd;
	struct segment *segments; /* oldest first; owned by the thread once it runs */
	size_t segment_count;
	uint64_t total_bytes;
	uint64_t next_number;
	int fd; /* of the last segment, -1 before the first write */
	struct buf writing;
	uint64_t written_ns; /* when the last group was on disk */
	bool rotated;	     /* the group that was written last began a segment after another */

	struct metric *records, *bytes, *syncs, *failures, *deleted, *torn, *damaged;

	pthread_t thread;
	bool running;
	pthread_mutex_t lock; /* all below */
	pthread_cond_t wake;
	struct buf pending;
	uint64_t position; /* bytes appended since the start */
	bool stopping;
};

/* Lock held. Half of the buffer is used: whoever appends must not be made to wait. */
static bool is_urgent(const struct journal *j)
{
	return j->stopping || j->pending.len >= j->config.buffer_bytes / 2;
}

/* ---- opening ----------------------------------------------------------------------------- */

static void segment_path(uint64_t number, char ret_name[32])
{
	(void)snprintf(ret_name, 32, SEGMENT_NAME, number);
}

static int by_number(const void *a, const void *b)
{
	const struct segment *x = (const struct segment *)a, *y = (const struct segment *)b;

	return x->number < y->number ? -1 : x->number > y->number;
}

static int add_segment(struct journal *j, uint64_t number, uint64_t bytes)
{
	struct segment *grown = reallocarray(j->segments, j->segment_count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	j->segments = grown;
	grown[j->segment_count++] = (struct segment){.number = number, .bytes = bytes};
	j->total_bytes += bytes;
	if (number >= j->next_number)
		j->next_number = number + 1;
	return 0;
}

static int find_segments(struct journal *j)
{
	int fd = fcntl(j->dir_fd, F_DUPFD_CLOEXEC, 0);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	int r = 0;

	if (!dir) {
		r = -errno;
		if (fd >= 0)
			(void)close(fd);
		return r;
	}
	while (r == 0 && (entry = readdir(dir))) {
		uint64_t number;
		char name[32];
		struct stat st;

		if (sscanf(entry->d_name, "%16" SCNx64, &number) != 1)
			continue;
		segment_path(number, name);
		if (strcmp(name, entry->d_name) == 0 && fstatat(j->dir_fd, name, &st, 0) == 0)
			r = add_segment(j, number, (uint64_t)st.st_size);
	}
	(void)closedir(dir);
	if (j->segment_count > 0)
		qsort(j->segments, j->segment_count, sizeof(*j->segments), by_number);
	return r;
}

static void register_counters(struct journal *j)
{
	struct metrics *m = j->config.metrics;

	j->records =
		metrics_counter(m, "nightjar_journal_records_total", NULL, "Records appended.");
	j->bytes = metrics_counter(m, "nightjar_journal_bytes_total", NULL, "Bytes written.");
	j->syncs = metrics_counter(m, "nightjar_journal_syncs_total", NULL, "Groups made durable.");
	j->failures = metrics_counter(m, "nightjar_journal_failures_total", NULL,
				      "Writes that the disk refused; each is tried again.");
	j->deleted = metrics_counter(m, "nightjar_journal_segments_deleted_total", NULL,
				     "Segments deleted because the journal reached its cap.");
	j->torn = metrics_counter(m, "nightjar_journal_torn_bytes_total", NULL,
				  "Bytes cut off at start: the tail that a crash had left.");
	j->damaged = metrics_counter(m, "nightjar_journal_damaged_segments_total", NULL,
				     "Segments whose rest could not be read back.");
}

/* ---- reading ----------------------------------------------------------------------------- */

struct reader {
	FILE *file;
	struct buf body;
	uint64_t good; /* bytes of the file up to the end of the last whole record */
};

static int reader_open(struct journal *j, uint64_t number, struct reader *ret_reader)
{
	char name[32], magic[JOURNAL_HEADER_BYTES];
	int fd;

	segment_path(number, name);
	fd = openat(j->dir_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_reader =
		(struct reader){.file = fdopen(fd, "r"), .body = buf_with_max(JOURNAL_BODY_MAX)};
	if (!ret_reader->file) {
		(void)close(fd);
		return -ENOMEM;
	}
	if (fread(magic, sizeof(magic), 1, ret_reader->file) == 1 &&
	    memcmp(magic, JOURNAL_MAGIC, sizeof(magic)) == 0)
		ret_reader->good = sizeof(magic);
	return 0;
}

static void reader_close(struct reader *r)
{
	(void)fclose(r->file);
	buf_done(&r->body);
}

/* 1: a record; 0: no further whole one. */
static int reader_next(struct reader *r, char names[768], struct journal_record *ret_record)
{
	uint8_t prefix[JOURNAL_PREFIX_BYTES];
	uint32_t length;
	uint8_t *body;

	if (r->good == 0 || fread(prefix, sizeof(prefix), 1, r->file) != 1)
		return 0;
	length = journal_body_length(prefix);
	buf_clear(&r->body);
	body = length ? buf_extend(&r->body, length) : NULL;
	if (!body || fread(body, length, 1, r->file) != 1 ||
	    journal_decode(prefix, bytes_of(body, length), names, ret_record) < 0)
		return 0;
	r->good += sizeof(prefix) + length;
	return 1;
}

static int cut_tail(struct journal *j, struct segment *last)
{
	struct journal_record record;
	char names[768], name[32];
	struct reader reader;
	uint64_t good;
	int r = reader_open(j, last->number, &reader);

	if (r < 0)
		return r;
	while (reader_next(&reader, names, &record) == 1)
		;
	good = reader.good;
	reader_close(&reader);
	if (good == last->bytes)
		return 0;
	segment_path(last->number, name);
	{
		_cleanup_(closep) int fd = openat(j->dir_fd, name, O_WRONLY | O_CLOEXEC);

		if (fd < 0 || ftruncate(fd, (off_t)good) < 0 || fsync(fd) < 0)
			return -errno;
	}
	log_warning(
		"the journal's last segment '%s/%s' ended in the middle of a record: cut %" PRIu64
		" bytes that no agent has an acknowledgement for",
		j->dir, name, last->bytes - good);
	metric_add(j->torn, last->bytes - good);
	j->total_bytes -= last->bytes - good;
	last->bytes = good;
	return 0;
}

static int open_dir(struct journal *j, struct err *e)
{
	if (mkdir(j->dir, 0700) < 0 && errno != EEXIST)
		return err_set(e, -errno,
			       "cannot make the journal's directory '%s': %s; set data.dir to a "
			       "directory that this user may write",
			       j->dir, strerror(errno));
	j->dir_fd = open(j->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (j->dir_fd < 0 || faccessat(j->dir_fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
		return err_set(
			e, -errno,
			"cannot write to '%s': %s; set data.dir to a directory that this user may "
			"write",
			j->dir, strerror(errno));
	return 0;
}

int journal_open(const struct journal_config *config, struct journal **ret_journal, struct err *e)
{
	struct journal *j = calloc(1, sizeof(*j));
	int r;

	if (!j || !(j->dir = strdup(config->dir))) {
		free(j);
		return err_set(e, -ENOMEM, "cannot open the journal: no memory");
	}
	j->config = *config;
	j->dir_fd = -1;
	j->fd = -1;
	j->next_number = 1;
	if (j->config.buffer_bytes < 2 * JOURNAL_BODY_MAX) /* the largest record must fit */
		j->config.buffer_bytes = 2 * JOURNAL_BODY_MAX;
	j->pending = buf_with_max(j->config.buffer_bytes);
	j->writing = buf_with_max(j->config.buffer_bytes);
	(void)pthread_mutex_init(&j->lock, NULL);
	clock_cond_init(&j->wake);
	register_counters(j);
	r = open_dir(j, e);
	if (r == 0) {
		r = find_segments(j);
		if (r == 0 && j->segment_count > 0)
			r = cut_tail(j, &j->segments[j->segment_count - 1]);
		if (r < 0)
			(void)err_set(e, r, "cannot read the journal in '%s': %s", j->dir,
				      strerror(-r));
	}
	if (r < 0) {
		journal_close(j);
		return r;
	}
	*ret_journal = j;
	return 0;
}

int journal_replay(struct journal *j, void (*visit)(void *ctx, const struct journal_record *record),
		   void *ctx, struct err *e)
{
	size_t i;

	for (i = 0; i < j->segment_count; i++) {
		struct journal_record record;
		struct reader reader;
		char names[768];
		int r = reader_open(j, j->segments[i].number, &reader);

		if (r < 0)
			return err_set(e, r, "cannot read the journal in '%s': %s", j->dir,
				       strerror(-r));
		while (reader_next(&reader, names, &record) == 1)
			visit(ctx, &record);
		if (reader.good != j->segments[i].bytes) {
			metric_add(j->damaged, 1);
			log_warning("segment " SEGMENT_NAME
				    " of the journal is damaged at byte %" PRIu64
				    ": the rest of it is not replayed",
				    j->segments[i].number, reader.good);
		}
		reader_close(&reader);
	}
	return 0;
}

/* ---- writing: the journal's thread -------------------------------------------------------- */

static int write_all(int fd, struct bytes data)
{
	while (data.len > 0) {
		ssize_t n = write(fd, data.data, data.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data = bytes_of(data.data + n, data.len - (size_t)n);
	}
	return 0;
}

static int begin_segment(struct journal *j)
{
	_cleanup_(closep) int fd = -1;
	char name[32];
	int r;

	segment_path(j->next_number, name);
	fd = openat(j->dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = write_all(fd, bytes_of(JOURNAL_MAGIC, JOURNAL_HEADER_BYTES));
	if (r == 0 && fsync(j->dir_fd) < 0)
		r = -errno;
	if (r == 0)
		r = add_segment(j, j->next_number, JOURNAL_HEADER_BYTES);
	if (r < 0)
		return r;
	closep(&j->fd);
	j->fd = take_fd(&fd);
	return 0;
}

/* The newest segment stays, whatever its size. */
static void delete_oldest(struct journal *j)
{
	while (j->segment_count > 1 && j->total_bytes > j->config.cap_bytes) {
		char name[32];

		segment_path(j->segments[0].number, name);
		if (unlinkat(j->dir_fd, name, 0) < 0 && errno != ENOENT) {
			log_limited(LOG_LEVEL_ERROR, "cannot delete '%s/%s': %s", j->dir, name,
				    strerror(errno));
			return;
		}
		metric_add(j->deleted, 1);
		j->total_bytes -= j->segments[0].bytes;
		j->segment_count--;
		memmove(j->segments, j->segments + 1, j->segment_count * sizeof(*j->segments));
	}
}

static int write_group(struct journal *j)
{
	struct bytes group = buf_bytes(&j->writing);
	struct segment *last = j->segment_count ? &j->segments[j->segment_count - 1] : NULL;
	int r = 0;

	if (j->fd < 0 || (last->bytes > JOURNAL_HEADER_BYTES &&
			  last->bytes + group.len > j->config.segment_bytes)) {
		j->rotated = j->fd >= 0;
		r = begin_segment(j);
	}
	if (r < 0)
		return r;
	last = &j->segments[j->segment_count - 1];
	/* An attempt that failed half-way is overwritten by the next. */
	if (ftruncate(j->fd, (off_t)last->bytes) < 0 ||
	    lseek(j->fd, (off_t)last->bytes, SEEK_SET) < 0)
		return -errno;
	r = write_all(j->fd, group);
	if (r == 0 && fdatasync(j->fd) < 0)
		r = -errno;
	if (r < 0)
		return r;
	last->bytes += group.len;
	j->total_bytes += group.len;
	metric_add(j->bytes, group.len);
	metric_add(j->syncs, 1);
	delete_oldest(j);
	return 0;
}

/* Waits for records, and while they come without a pause for as many as come within PACE_NS; false
 * once stopped and empty. *ret_position: the end of the group. */
static bool take_group(struct journal *j, uint64_t *ret_position)
{
	const struct timespec next = clock_timespec(j->written_ns + PACE_NS);
	struct buf empty = j->writing;

	(void)pthread_mutex_lock(&j->lock);
	while (j->pending.len == 0 && !j->stopping)
		(void)pthread_cond_wait(&j->wake, &j->lock);
	while (!is_urgent(j))
		if (pthread_cond_timedwait(&j->wake, &j->lock, &next) != 0)
			break;
	j->writing = j->pending;
	j->pending = empty;
	buf_clear(&j->pending);
	*ret_position = j->position;
	(void)pthread_mutex_unlock(&j->lock);
	return j->writing.len > 0;
}

/* True when the journal is to stop: what the disk still refuses is given up then. */
static bool wait_to_retry(struct journal *j)
{
	const struct timespec at = clock_timespec(clock_monotonic_ns() + RETRY_MS * NS_PER_MS);
	bool stopping;

	(void)pthread_mutex_lock(&j->lock);
	while (!j->stopping)
		if (pthread_cond_timedwait(&j->wake, &j->lock, &at) != 0)
			break;
	stopping = j->stopping;
	(void)pthread_mutex_unlock(&j->lock);
	return stopping;
}

static void *run(void *ctx)
{
	struct journal *j = (struct journal *)ctx;
	uint64_t position;

	while (take_group(j, &position)) {
		int r = write_group(j);

		while (r < 0) {
			metric_add(j->failures, 1);
			log_limited(LOG_LEVEL_ERROR,
				    "cannot write the journal in '%s': %s; agents wait until it "
				    "works again",
				    j->dir, strerror(-r));
			if (wait_to_retry(j))
				return NULL;
			r = write_group(j);
		}
		j->written_ns = clock_monotonic_ns();
		if (j->config.synced)
			j->config.synced(j->config.ctx, position);
		if (j->rotated && j->config.rotated)
			j->config.rotated(j->config.ctx);
		j->rotated = false;
	}
	return NULL;
}

int journal_start(struct journal *j, struct err *e)
{
	int r = pthread_create(&j->thread, NULL, run, j);

	if (r != 0)
		return err_set(e, -r, "cannot start the journal's thread: %s", strerror(r));
	(void)pthread_setname_np(j->thread, "nj-journal");
	j->running = true;
	return 0;
}

int journal_append(struct journal *j, const struct journal_record *record, uint64_t *ret_position)
{
	size_t before;
	int r;

	(void)pthread_mutex_lock(&j->lock);
	before = j->pending.len;
	r = journal_encode(record, &j->pending);
	if (r < 0) {
		buf_truncate(&j->pending, before);
		r = r == -EINVAL ? r : -EAGAIN;
	} else {
		j->position += j->pending.len - before;
		*ret_position = j->position;
		metric_add(j->records, 1);
		if (before == 0 || is_urgent(j))
			(void)pthread_cond_signal(&j->wake);
	}
	(void)pthread_mutex_unlock(&j->lock);
	return r;
}

void journal_stop(struct journal *j)
{
	if (!j->running)
		return;
	(void)pthread_mutex_lock(&j->lock);
	j->stopping = true;
	(void)pthread_cond_signal(&j->wake);
	(void)pthread_mutex_unlock(&j->lock);
	(void)pthread_join(j->thread, NULL);
	j->running = false;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	closep(&j->fd);
	closep(&j->dir_fd);
	free(j->segments);
	free(j->dir);
	buf_done(&j->pending);
	buf_done(&j->writing);
	(void)pthread_cond_destroy(&j->wake);
	(void)pthread_mutex_destroy(&j->lock);
	free(j);
}
