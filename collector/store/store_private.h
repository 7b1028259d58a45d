/* What store.c, store_list.c, store_queue.c and store_trim.c share. */
#pragma once

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>

#include "collector/store/store.h"
#include "common/buf.h"

struct store_conn {
	sqlite3 *db;
	pthread_mutex_t lock;
};

struct store {
	struct store_conn write;
	struct store_conn read;
	struct store_conn
		*reader; /* &read; &write for ":memory:", which a second connection cannot see */
	sqlite3_stmt *insert; /* of write */
	sqlite3_stmt *supersede;
	sqlite3_stmt *technique;
	sqlite3_stmt *set_cursor;
	sqlite3_stmt *cursor;
	sqlite3_stmt *oldest;
	sqlite3_stmt *erase;
	sqlite3_stmt *erase_techniques;
	sqlite3_stmt *pages;
	sqlite3_stmt *get; /* of *reader */
	sqlite3_stmt *count;
	sqlite3_stmt *next;
	sqlite3_stmt *last;
	struct buf packed; /* write lock */
	unsigned int puts; /* write lock; since the WAL was folded into the file */
};

/* Negative errno for an SQLite result code. */
int store_errno(int rc);
/* The sentence for what the connection failed at last. */
int store_fail(sqlite3 *db, struct err *e, const char *act);
/* 0 or a result code; the statement is ready for the next use. */
int store_step(sqlite3_stmt *stmt);
/* The message in column of the present row, unpacked into arena. 0, -EBADMSG, -ENOMEM. */
int store_unpack_row(sqlite3_stmt *stmt, int column, struct arena *arena,
		     Nightjar__V1__Alert **ret_alert) must_check;
