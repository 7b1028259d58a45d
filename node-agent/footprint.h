/* Memory that only the start needed, given back once the agent is under way. */
#pragma once

/* Unmaps the resident pages of program text and read-only data, which come back from the page cache, a few at
 * a time, as they are used again, and returns free heap to the kernel. Any thread, at any time; about 1 ms. */
void footprint_trim(void);
