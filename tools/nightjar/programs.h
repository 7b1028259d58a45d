/* Where the two programs that the command starts are: beside itself. */
#pragma once

#include <limits.h>

#include "common/err.h"

/* The path of a program in the directory of this one, into PATH_MAX bytes. */
int programs_find(const char *name, char *ret_path, struct err *e) must_check;
