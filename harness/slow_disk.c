/* Delays every sync of a process, as a disk does that is worn out, shared or far away.
 *
 * Loaded by LD_PRELOAD. SLOW_DISK names a file with the delay in milliseconds; it is read again while a sync waits, so
 * that one which hangs can be let go.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const long tick = 10; /* ms */

static long delay(void) {
    char text[32] = {0};
    const char *name = getenv("SLOW_DISK");
    int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return 0;
    if (read(file, text, sizeof text - 1) < 0) text[0] = 0;
    close(file);
    return atol(text);
}

static void wait_a_while(void) {
    struct timespec pause = {0, tick * 1000000};
    for (long waited = 0; waited < delay(); waited += tick) nanosleep(&pause, NULL);
}

int fsync(int file) {
    wait_a_while();
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(file);
}

int fdatasync(int file) {
    wait_a_while();
    return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(file);
}
