/* What the agent gives up once its programs are loaded and before it parses a foreign byte. */
#pragma once

#include "common/err.h"

/* Keeps what later reading of /proc and later changes of the policy need (BPF, PERFMON, SYS_PTRACE,
 * DAC_READ_SEARCH), drops every other capability for good and forbids new ones. From then on the kernel
 * refuses what the agent never does: to start a program or a process, to touch another's memory, mounts,
 * namespaces, modules, keys. Threads inherit it: call before the first is started. A second call is no
 * harm. 0 or negative with the sentence; what could be dropped before stays dropped. */
int privilege_drop(struct err *e) must_check;
