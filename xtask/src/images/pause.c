/* The pod's first process where containers share its namespaces: it waits, reaps what is left to
   it, and ends when it is told to. */
#include <signal.h>
#include <sys/wait.h>

int main(void) {
    sigset_t waited;
    sigemptyset(&waited);
    sigaddset(&waited, SIGCHLD);
    sigaddset(&waited, SIGINT);
    sigaddset(&waited, SIGTERM);
    sigprocmask(SIG_BLOCK, &waited, 0);
    for (;;) {
        int signal = 0;
        sigwait(&waited, &signal);
        if (signal != SIGCHLD)
            return 0;
        while (waitpid(-1, 0, WNOHANG) > 0) {
        }
    }
}
