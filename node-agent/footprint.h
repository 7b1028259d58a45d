/* Memory that only the start needed, given back once the agent is under way. */
#pragma once

/* Unmaps the resident pages of program text, which come back from the page cache one by one as they
 * are run again, and returns free heap to the kernel. Any thread, at any time; about 1 ms. */
void footprint_trim(void);
