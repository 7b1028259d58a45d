/* What the agent gives up once its programs are loaded and before it parses a foreign byte. */
#pragma once

#include "common/err.h"

/* Keeps what later reading of /proc and later changes of the policy need (BPF, PERFMON, SYS_PTRACE,
 * DAC_READ_SEARCH), drops every other capability for good and forbids new ones. Threads inherit it:
 * call before the first is started. Call it again is no harm. 0 or negative with the sentence. */
int privilege_drop(struct err *e) must_check;
