/* What the files of `nightjar dev` share: its settings and the place where a run keeps its files.
 * dev.c runs it, dev_files.c makes what the two programs are given. */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/optable.h"

struct dev_settings {
	bool json;
	char *alerts;
	char *record;
	char *kafka;
	char *grpc;
	char *http;
	char *certs;
	struct opt_list rules;
	char *config;
	uint64_t duration_s;
	char *run_dir;
};

extern const struct optable dev_table;

struct dev_files {
	char dir[64];	       /* private, removed at the end; "" before it is made */
	int pid_fd;	       /* DIR/pid, locked while this dev lives; 0 none */
	char certs[PATH_MAX];  /* DIR/certs, or what --certs names; absolute */
	char collector[96];    /* configuration files */
	char agent[96];
	char node[256];	       /* names in the agent's certificate */
	char cluster[128];
};

/* Makes the directory and the certificates: fresh ones, unless --certs names a directory whose CA key is
 * not there; then they are used as they are. Removes the directories beside it that killed devs have left:
 * those of this user with a file "pid" that nobody holds locked any more. */
int dev_files_make(const struct dev_settings *s, struct dev_files *ret_files, struct err *e) must_check;
int dev_files_write_collector(const struct dev_files *f, const struct dev_settings *s, struct err *e) must_check;
/* target: the collector's HOST:PORT. */
int dev_files_write_agent(const struct dev_files *f, const char *target, struct err *e) must_check;
void dev_files_remove(struct dev_files *f);
