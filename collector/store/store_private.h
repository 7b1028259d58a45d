/* What store.c and store_list.c share. */
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
	struct store_conn *reader; /* &read; &write for ":memory:", which a second connection cannot see */
	sqlite3_stmt *insert;	   /* of write */
	sqlite3_stmt *supersede;
	sqlite3_stmt *technique;
	sqlite3_stmt *get; /* of *reader */
	sqlite3_stmt *count;
	struct buf packed; /* write lock */
};

/* Negative errno for an SQLite result code. */
int store_errno(int rc);
/* The message in column of the present row, unpacked into arena. 0, -EBADMSG, -ENOMEM. */
int store_unpack_row(sqlite3_stmt *stmt, int column, struct arena *arena, Nightjar__V1__Alert **ret_alert) must_check;
