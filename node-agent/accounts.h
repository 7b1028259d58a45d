/* What the log says of a capture's accounts. */
#pragma once

#include "node-agent/capture.h"

/* Where the records of the rings were lost, for who sizes them. */
void accounts_say_cpus(struct capture *c);
/* By how many acts a row is off; 0 when it is not, as far as can be said with so many under way. */
int64_t accounts_off(const struct capture_account *account, uint32_t in_flight);
/* Acts that are neither here nor counted as lost would be a mistake of ours, and are said to be. */
void accounts_check(struct capture *c);
/* What became of everything, at debug. */
void accounts_say(struct capture *c);
