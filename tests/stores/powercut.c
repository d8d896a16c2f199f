/* Records what a process asks of the kernel for the files of one folder, so that a power cut can be played afterwards.
 *
 * Loaded by LD_PRELOAD. POWERCUT_FOLDER names the folder, POWERCUT_LOG the log, POWERCUT_DROP (optional) the end of the
 * names of files whose syncs are swallowed. A record is one line, `OP ID NUMBER LENGTH`, and LENGTH bytes:
 *
 *   N  a name now leads to a file (bytes: the name)      U  a name is gone (bytes: the name)
 *   R  a name was changed (bytes: old NUL new)           L  a second name (bytes: old NUL new)
 *   W  written at an offset (NUMBER; bytes: the data)    T  cut to a length (NUMBER)
 *   S  the file was synced                               D  the folder was synced
 *   A  the workload's word (bytes)
 *
 * Files that end in -shm are left out: SQLite maps them, and makes them anew from the log. So are locks.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILES 4096
#define FOLDER (-1)
#define WORDS (-2)

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1, files;
static int id_of[FILES];                /* by descriptor; 0 for none of ours */
static ino_t inode_of[FILES];           /* by id; 0 once its last name is gone */
static int dropped[FILES];              /* by id: syncs are swallowed */

static const char *base(const char *path) {
    const char *folder = getenv("POWERCUT_FOLDER");
    size_t length = folder ? strlen(folder) : 0;
    if (!length || !path || strncmp(path, folder, length)) return NULL;
    return path[length] == '/' ? path + length + 1 : path[length] ? NULL : "";
}

static int ends(const char *name, const char *end) {
    size_t n = strlen(name), m = strlen(end);
    return m && n >= m && !strcmp(name + n - m, end);
}

static int is_ours(const char *name) {
    return name && *name && !ends(name, "-shm") && !ends(name, ".lock");
}

static void put(char op, int id, long long number, const void *data, size_t length) {
    char head[64];
    if (log_fd < 0) log_fd = syscall(SYS_openat, AT_FDCWD, getenv("POWERCUT_LOG"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    int size = snprintf(head, sizeof head, "%c %d %lld %zu\n", op, id, number, length);
    if (syscall(SYS_write, log_fd, head, size) != size || syscall(SYS_write, log_fd, data, length) != (long)length) abort();
}

static void put_names(char op, const char *old, const char *later) {
    char both[8192];
    int size = snprintf(both, sizeof both, "%s%c%s", old, 0, later);
    put(op, 0, 0, both, size);
}

static int known(int fd) { return fd >= 0 && fd < FILES ? id_of[fd] : 0; }

#define REAL(name) static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
#define LOCK pthread_mutex_lock(&guard)
#define UNLOCK pthread_mutex_unlock(&guard)

static int opened(int fd, const char *path, int flags, int was_there) {
    const char *name = base(path);
    struct stat found;
    if (fd < 0 || fd >= FILES || !name) return fd;
    if (!*name) { id_of[fd] = FOLDER; return fd; }
    if (!strcmp(name, "words")) { id_of[fd] = WORDS; return fd; }
    if (!is_ours(name) || fstat(fd, &found)) return fd;
    int id = 0;
    if (was_there) for (int each = 1; each <= files; each++) if (inode_of[each] == found.st_ino) id = each;
    if (!id) {
        id = ++files;
        if (id >= FILES) abort();
        for (int each = 1; each < id; each++) if (inode_of[each] == found.st_ino) inode_of[each] = 0;
        inode_of[id] = found.st_ino;
        const char *end = getenv("POWERCUT_DROP");
        dropped[id] = end && ends(name, end);
        put('N', id, 0, name, strlen(name));
    }
    if (flags & O_TRUNC) put('T', id, 0, "", 0);
    id_of[fd] = id;
    return fd;
}

#define OPEN(name, parameters, call)                                                    \
    int name parameters {                                                               \
        REAL(name);                                                                     \
        va_list rest; va_start(rest, flags);                                            \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;       \
        va_end(rest);                                                                   \
        LOCK;                                                                           \
        int was_there = base(path) && !syscall(SYS_faccessat, AT_FDCWD, path, F_OK);    \
        int fd = opened(call, path, flags, was_there);                                  \
        UNLOCK;                                                                         \
        return fd;                                                                      \
    }
OPEN(open, (const char *path, int flags, ...), real(path, flags, mode))
OPEN(open64, (const char *path, int flags, ...), real(path, flags, mode))
OPEN(openat, (int at, const char *path, int flags, ...), real(at, path, flags, mode))
OPEN(openat64, (int at, const char *path, int flags, ...), real(at, path, flags, mode))

int close(int fd) {
    REAL(close);
    LOCK;
    if (fd >= 0 && fd < FILES) id_of[fd] = 0;
    int result = real(fd);
    UNLOCK;
    return result;
}

static ssize_t written(ssize_t result, int id, const void *data, off_t at) {
    if (result > 0) put(id == WORDS ? 'A' : 'W', id, at, data, result);
    return result;
}

ssize_t write(int fd, const void *data, size_t length) {
    REAL(write);
    int id = known(fd);
    if (!id || id == FOLDER) return real(fd, data, length);
    LOCK;
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t result = written(real(fd, data, length), id, data, at);
    UNLOCK;
    return result;
}

#define PWRITE(name)                                                                    \
    ssize_t name(int fd, const void *data, size_t length, off_t at) {                   \
        REAL(name);                                                                     \
        int id = known(fd);                                                             \
        if (id <= 0) return real(fd, data, length, at);                                 \
        LOCK;                                                                           \
        ssize_t result = written(real(fd, data, length, at), id, data, at);             \
        UNLOCK;                                                                         \
        return result;                                                                  \
    }
PWRITE(pwrite)
PWRITE(pwrite64)

#define TRUNCATE(name)                                                                  \
    int name(int fd, off_t length) {                                                    \
        REAL(name);                                                                     \
        int id = known(fd);                                                             \
        LOCK;                                                                           \
        int result = real(fd, length);                                                  \
        if (!result && id > 0) put('T', id, length, "", 0);                             \
        UNLOCK;                                                                         \
        return result;                                                                  \
    }
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)

/* Not carried out: the disk that counts is the one that is played from the log. */
#define SYNC(name)                                                                      \
    int name(int fd) {                                                                  \
        REAL(name);                                                                     \
        int id = known(fd);                                                             \
        if (!id) return real(fd);                                                       \
        LOCK;                                                                           \
        if (id == FOLDER) put('D', 0, 0, "", 0);                                        \
        else if (id > 0 && !dropped[id]) put('S', id, 0, "", 0);                        \
        UNLOCK;                                                                         \
        return 0;                                                                       \
    }
SYNC(fsync)
SYNC(fdatasync)

int unlink(const char *path) {
    REAL(unlink);
    LOCK;
    int result = real(path);
    if (!result && is_ours(base(path))) put('U', 0, 0, base(path), strlen(base(path)));
    UNLOCK;
    return result;
}

int unlinkat(int at, const char *path, int flags) {
    REAL(unlinkat);
    LOCK;
    int result = real(at, path, flags);
    if (!result && is_ours(base(path))) put('U', 0, 0, base(path), strlen(base(path)));
    UNLOCK;
    return result;
}

#define NAMES(name, op, parameters, call)                                               \
    int name parameters {                                                               \
        REAL(name);                                                                     \
        LOCK;                                                                           \
        int result = call;                                                              \
        if (!result && is_ours(base(later))) put_names(op, base(old), base(later));     \
        UNLOCK;                                                                         \
        return result;                                                                  \
    }
NAMES(rename, 'R', (const char *old, const char *later), real(old, later))
NAMES(renameat, 'R', (int from, const char *old, int to, const char *later), real(from, old, to, later))
NAMES(link, 'L', (const char *old, const char *later), real(old, later))
NAMES(linkat, 'L', (int from, const char *old, int to, const char *later, int flags), real(from, old, to, later, flags))
