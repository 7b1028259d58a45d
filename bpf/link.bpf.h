/* What a symbolic link leads to. */
#pragma once

#include "bpf/walk.bpf.h"

/* The link at w->child. Returns the length of its text, now in w->link; 0 when it has none but leads to an
 * object, where the walk stands now; negative when neither is known here. */
int link_read(void);
