/* Memory that only the start needed, given back once the agent is under way. */
#pragma once

/* Once, before there are threads and before anything of OpenSSL: the threads share one heap, and large pieces
 * of it go back as they are freed (ours allocate little and at different times, so none waits for another);
 * OpenSSL does not load its error texts. */
void footprint_begin(void);
/* Unmaps the resident pages of program text and read-only data, which come back from the page cache, a few at
 * a time, as they are used again, and returns free heap to the kernel. Any thread, at any time; about 1 ms. */
void footprint_trim(void);
