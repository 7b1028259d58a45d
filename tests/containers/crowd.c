/* A crowd of idle processes: crowd N forks N children, says "ready", and ends with them at the end of its
 * input. They end with it in any case. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void idle(void)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0)
		(void)pause();
	_exit(0);
}

int main(int argc, char **argv)
{
	int wanted = argc > 1 ? atoi(argv[1]) : 0, count = 0;
	pid_t *pids = calloc((size_t)wanted + 1, sizeof(*pids));
	char byte;

	(void)setvbuf(stdout, NULL, _IONBF, 0);
	while (pids && count < wanted) {
		pids[count] = fork();
		if (pids[count] < 0)
			break;
		if (pids[count++] == 0)
			idle();
	}
	if (count == wanted)
		printf("ready\n");
	else
		printf("only %d processes\n", count);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	while (count > 0)
		(void)kill(pids[--count], SIGKILL);
	while (wait(NULL) > 0)
		;
	free(pids);
	return 0;
}
