/* A disk that fails at one write: preloaded, it counts what a process changes under one folder.

   gcc -O2 -shared -fPIC -o disk_faults.so disk_faults.c -ldl

   fault_arm(folder, at, kind) begins to count; the `at`-th operation under the folder fails:
     ENOSPC  it and every later one that needs room (write, making a file or folder, growing a file)
     EIO     it alone, whatever it is: also fsync, rename, truncation, close after a write
     SHORT   a write of half of what was asked, the next ones as usual
     FULL    a write of half, then as ENOSPC: a disk that fills up in the middle of a write
   fault_seen() tells how many operations there were, fault_what(n) of which sort the n-th was
   (0 needs room, 1 a write, 2 another), fault_fired() whether one failed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { ENOSPC_ = 1, EIO_ = 2, SHORT_ = 3, FULL_ = 4 };
enum { GROWS, WRITES, OTHER };
enum { FINE, FAILS, HALF };

static char folder[PATH_MAX];
static size_t length;
static long at, seen;
static int kind, fired;
static char sorts[1 << 16];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void fault_arm(const char *where, long when, int what) {
    pthread_mutex_lock(&lock);
    strncpy(folder, where, sizeof folder - 1);
    length = strlen(folder), at = when, kind = what, seen = fired = 0;
    pthread_mutex_unlock(&lock);
}
long fault_seen(void) { return seen; }
int fault_fired(void) { return fired; }
int fault_what(long n) { return n < (long)sizeof sorts ? sorts[n] : OTHER; }

static int under(const char *path) {
    return length && !strncmp(path, folder, length) && (path[length] == '/' || !path[length]);
}
static int names(int base, const char *path) {
    char whole[2 * PATH_MAX], link[64];
    if (!length || !path) return 0;
    if (path[0] == '/') return under(path);
    if (base == AT_FDCWD) {
        if (!getcwd(whole, PATH_MAX)) return 0;
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", base);
        ssize_t got = readlink(link, whole, PATH_MAX);
        if (got <= 0) return 0;
        whole[got] = 0;
    }
    strcat(whole, "/"), strncat(whole, path, PATH_MAX - 2);
    return under(whole);
}
static int open_at(int handle) {
    char link[64], path[PATH_MAX];
    if (!length) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t got = readlink(link, path, sizeof path - 1);
    if (got <= 0) return 0;
    path[got] = 0;
    return under(path);
}
static int next(int what) {
    int answer = FINE;
    pthread_mutex_lock(&lock);
    if (++seen < (long)sizeof sorts) sorts[seen] = what;
    if (at > 0) {
        if (seen == at) {
            if ((kind == SHORT_ || kind == FULL_) && what == WRITES) answer = HALF, fired = 1;
            else if (kind == EIO_) answer = FAILS, errno = EIO, fired = 1;
            else if (kind == ENOSPC_ && what != OTHER) answer = FAILS, errno = ENOSPC, fired = 1;
            else if (kind == ENOSPC_ || kind == FULL_) at++; /* the next that needs room */
        } else if (seen > at && fired && (kind == ENOSPC_ || kind == FULL_) && what != OTHER)
            answer = FAILS, errno = ENOSPC;
    }
    pthread_mutex_unlock(&lock);
    return answer;
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = dlsym(RTLD_NEXT, #name)

#define WRITE(name, parameters, arguments, halved, count)             \
    ssize_t name parameters {                                         \
        REAL(name);                                                   \
        if (open_at(fd)) switch (next(WRITES)) {                      \
            case FAILS: return -1;                                    \
            case HALF: if (count > 1) return real halved;             \
        }                                                             \
        return real arguments;                                        \
    }
WRITE(write, (int fd, const void *b, size_t n), (fd, b, n), (fd, b, n / 2), n)
WRITE(pwrite, (int fd, const void *b, size_t n, off_t o), (fd, b, n, o), (fd, b, n / 2, o), n)
WRITE(pwrite64, (int fd, const void *b, size_t n, off64_t o), (fd, b, n, o), (fd, b, n / 2, o), n)
WRITE(writev, (int fd, const struct iovec *v, int n), (fd, v, n), (fd, v, n / 2), n)
WRITE(pwritev, (int fd, const struct iovec *v, int n, off_t o), (fd, v, n, o), (fd, v, n / 2, o), n)

#define HANDLE(name, what, parameters, arguments)                     \
    int name parameters {                                             \
        REAL(name);                                                   \
        if (open_at(fd) && next(what) == FAILS) return -1;            \
        return real arguments;                                        \
    }
HANDLE(fsync, OTHER, (int fd), (fd))
HANDLE(fdatasync, OTHER, (int fd), (fd))
static off_t size_of(int fd) { struct stat found; return fstat(fd, &found) ? 0 : found.st_size; }
HANDLE(ftruncate, size_of(fd) < to ? GROWS : OTHER, (int fd, off_t to), (fd, to))
HANDLE(ftruncate64, size_of(fd) < to ? GROWS : OTHER, (int fd, off64_t to), (fd, to))
HANDLE(fallocate, GROWS, (int fd, int m, off_t o, off_t n), (fd, m, o, n))
HANDLE(posix_fallocate, GROWS, (int fd, off_t o, off_t n), (fd, o, n))

#define PATHS(name, what, base, path, parameters, arguments)          \
    int name parameters {                                             \
        REAL(name);                                                   \
        if (names(base, path) && next(what) == FAILS) return -1;      \
        return real arguments;                                        \
    }
PATHS(rename, OTHER, AT_FDCWD, b, (const char *a, const char *b), (a, b))
PATHS(renameat, OTHER, e, b, (int d, const char *a, int e, const char *b), (d, a, e, b))
PATHS(renameat2, OTHER, e, b, (int d, const char *a, int e, const char *b, unsigned f), (d, a, e, b, f))
PATHS(link, GROWS, AT_FDCWD, b, (const char *a, const char *b), (a, b))
PATHS(mkdir, GROWS, AT_FDCWD, p, (const char *p, mode_t m), (p, m))
PATHS(mkdirat, GROWS, d, p, (int d, const char *p, mode_t m), (d, p, m))
PATHS(truncate, OTHER, AT_FDCWD, p, (const char *p, off_t to), (p, to))

#define OPEN(name, base, before, parameters)                                         \
    int name parameters {                                                            \
        REAL(name);                                                                  \
        mode_t mode = 0;                                                             \
        if (flags & (O_CREAT | __O_TMPFILE)) {                                       \
            va_list rest;                                                            \
            va_start(rest, flags), mode = va_arg(rest, mode_t), va_end(rest);        \
            struct stat found;                                                       \
            int there = !fstatat(base, path, &found, 0);                             \
            if (names(base, path) && next(there ? OTHER : GROWS) == FAILS) return -1;\
        }                                                                            \
        return real before;                                                          \
    }
OPEN(open, AT_FDCWD, (path, flags, mode), (const char *path, int flags, ...))
OPEN(open64, AT_FDCWD, (path, flags, mode), (const char *path, int flags, ...))
OPEN(openat, base, (base, path, flags, mode), (int base, const char *path, int flags, ...))
OPEN(openat64, base, (base, path, flags, mode), (int base, const char *path, int flags, ...))

/* stdio of the C library writes without the functions above. */
size_t fwrite(const void *data, size_t size, size_t count, FILE *file) {
    REAL(fwrite);
    if (size && open_at(fileno(file))) switch (next(WRITES)) {
        case FAILS: return 0;
        case HALF: return real(data, size, count / 2, file);
    }
    return real(data, size, count, file);
}
