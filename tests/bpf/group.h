/* Cgroups of the v2 hierarchy that a test makes for its actors. Where that is not allowed it skips. */
#pragma once

struct group {
	char folder[256];
	const char *path; /* below the hierarchy's root, a part of folder */
};

/* Where the v2 hierarchy is mounted. */
const char *group_root(void);
/* A new one below the root, of a name that no other run has. 0 or -1. */
int group_make(const char *name, struct group *ret_group);
void group_remove(const struct group *group);
/* Moves the calling process into that folder. 0 or -1. */
int group_enter(const char *folder);
