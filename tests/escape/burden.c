/* Burdens the machine from inside a build: more of everything than a build may have.
 *
 *   burden forks N | ids N | many N | deep N | attributes N | memory MIB | malloc MIB | flood | stay */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static int deep(int depth) {
    char name[251];
    memset(name, 'd', 250);
    name[250] = 0;
    if (chdir(getenv("OUT")) < 0) return 1;
    for (int i = 0; i < depth; i++)
        if (mkdir(name, 0755) < 0 || chdir(name) < 0) return 1;
    return 0;
}

static int many(long count) {
    char name[32];
    if (chdir(getenv("OUT")) < 0) return 1;
    for (long i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%ld", i);
        if (mknod(name, S_IFREG | 0644, 0) < 0) return printf("after %ld files: %s\n", i, strerrorname_np(errno)), 1;
    }
    return 0;
}

static int attributes(int count) {
    char name[256];
    if (chdir(getenv("OUT")) < 0 || mkdir("attributes", 0755) < 0) return 1;
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "user.%0249d", i);
        if (setxattr("attributes", name, "", 0, 0) < 0) return printf("%s after %d\n", strerrorname_np(errno), i), 1;
    }
    return 0;
}

/* Tries to start so many processes, that sleep and take no hint; says how many it got, and leaves them. With ids each
 * becomes another user, so that a limit on one user's processes is none. */
static int forks(long wanted, int ids) {
    long had = 0, refused = 0;
    for (long i = 0; i < wanted; i++) {
        pid_t child = fork();
        if (child == 0) {
            signal(SIGTERM, SIG_IGN);
            setsid();
            close(1), close(2);
            if (ids && setuid(1 + i % 60000) < 0) _exit(1);
            for (;;) pause();
        }
        if (child > 0) had++; else refused++;
        if (ids && child > 0) usleep(50);
    }
    printf("%ld had, %ld refused\n", had, refused);
    return 0;
}

/* Touches so much memory, by a few processes of 64 MiB and one segment that belongs to none of them. */
static int memory(long mib) {
    int segment = shmget(IPC_PRIVATE, 64 << 20, 0600);
    char *shared = segment < 0 ? (char *)-1 : shmat(segment, 0, 0);
    if (shared != (char *)-1) memset(shared, 1, 64 << 20);
    for (long i = 64; i < mib; i += 64)
        if (fork() == 0) {
            char *own = malloc(64 << 20);
            if (own) memset(own, 1, 64 << 20);
            for (;;) pause();
        }
    sleep(2);
    int status, killed = 0;
    while (waitpid(-1, &status, WNOHANG) > 0) killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    printf("%d killed\n", killed);
    fflush(stdout);
    kill(0, SIGKILL);
    return 1;
}

int main(int count, char **words) {
    const char *what = count > 1 ? words[1] : "";
    long number = count > 2 ? atol(words[2]) : 0;
    if (!strcmp(what, "deep")) return deep(number);
    if (!strcmp(what, "many")) return many(number);
    if (!strcmp(what, "attributes")) return attributes(number);
    if (!strcmp(what, "forks")) return forks(number, 0);
    if (!strcmp(what, "ids")) return forks(number, 1);
    if (!strcmp(what, "memory")) return memory(number);
    if (!strcmp(what, "malloc")) return malloc(number << 20) ? 0 : puts(strerrorname_np(errno)), 0;
    if (!strcmp(what, "flood"))
        for (;;) puts("\033[2J\033]0;owned\007\xc2\x9b" "31m");
    if (!strcmp(what, "stay")) {
        signal(SIGTERM, SIG_IGN);
        if (fork() == 0 && setsid() > 0 && fork() == 0)
            for (;;) pause();
        for (;;) pause();
    }
    return 2;
}
