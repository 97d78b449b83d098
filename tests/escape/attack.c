/* Tries, from inside a build, what a build must not be able to do. One line for each attack, on standard output:
 * `NAME: done`, the name of the error, or the signal that ended it.
 *
 *   attack reach TCP-PORT SOCKET-PATH ABSTRACT-NAME   sockets of every family
 *   attack kernel                                     calls that escapes begin with, and what of the host can be seen
 *
 * Each attack has a process of its own, so that one which is killed for trying is one line like the others. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/vm_sockets.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Runs the rest of the statement in a process of its own; its value is below zero when errno says why. */
#define TRY(name, expression)                                                                                          \
    do {                                                                                                               \
        if (begin(name)) {                                                                                             \
            errno = 0;                                                                                                 \
            long value = (long)(expression);                                                                           \
            end(value);                                                                                                \
        }                                                                                                              \
    } while (0)

static int answer[2];

static void end(long value) {
    char line[64];
    int length = value < 0 ? snprintf(line, sizeof line, "%s", errno ? strerrorname_np(errno) : "failed")
                           : snprintf(line, sizeof line, "done");
    if (write(answer[1], line, length) < 0) _exit(1);
    _exit(0);
}

/* Nonzero in the child, which tries; the parent tells what came of it. */
static int begin(const char *name) {
    char line[64] = "";
    fflush(stdout);
    if (pipe(answer) < 0) exit(1);
    pid_t child = fork();
    if (child < 0) exit(1);
    if (child == 0) {
        alarm(5);
        return 1;
    }
    close(answer[1]);
    long length = 0, n;
    while ((n = read(answer[0], line + length, sizeof line - 1 - length)) > 0) length += n;
    close(answer[0]);
    int status;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) snprintf(line, sizeof line, "SIG%s", sigabbrev_np(WTERMSIG(status)));
    printf("%s: %s\n", name, line);
    return 0;
}

/* What is masked is /dev/null, which takes all and tells nobody. */
static int put(const char *path, const char *text) {
    struct stat found;
    int file = open(path, O_WRONLY);
    if (file < 0 || fstat(file, &found) < 0) return -1;
    errno = ENODATA;
    if (S_ISCHR(found.st_mode) && found.st_rdev == makedev(1, 3)) return -1;
    return (int)write(file, text, strlen(text));
}

static int joined(int family, int type, const void *address, socklen_t length) {
    int s = socket(family, type, 0);
    if (s < 0) return -1;
    if (type == SOCK_DGRAM) return sendto(s, "x", 1, 0, address, length);
    return connect(s, address, length);
}

static int unix_socket(const char *name, int abstract) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    strncpy(to.sun_path + abstract, name, sizeof to.sun_path - 2);
    return joined(AF_UNIX, SOCK_STREAM, &to, offsetof(struct sockaddr_un, sun_path) + abstract + strlen(name));
}

/* Asks the kernel for a change of the network, and hears its answer. */
static int ask_netlink(int type, void *body, size_t size) {
    struct { struct nlmsghdr header; char body[64]; } message = {0};
    message.header = (struct nlmsghdr){NLMSG_LENGTH(size), type, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, 1, 0};
    memcpy(message.body, body, size);
    int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    if (s < 0 || send(s, &message, message.header.nlmsg_len, 0) < 0) return -1;
    struct { struct nlmsghdr header; struct nlmsgerr error; char rest[256]; } heard = {0};
    if (recv(s, &heard, sizeof heard, 0) < 0) return -1;
    errno = -heard.error.error;
    return errno ? -1 : 0;
}

static void reach(int port, const char *path, const char *abstract) {
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_in far = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr = {htonl(0xc0000201)}};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_vm hypervisor = {.svm_family = AF_VSOCK, .svm_port = port, .svm_cid = VMADDR_CID_HOST};
    struct ifinfomsg up = {.ifi_index = 1, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    struct rtmsg route = {.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_STATIC,
                          .rtm_scope = RT_SCOPE_LINK, .rtm_type = RTN_UNICAST};
    TRY("tcp", joined(AF_INET, SOCK_STREAM, &four, sizeof four));
    TRY("tcp far away", joined(AF_INET, SOCK_STREAM, &far, sizeof far));
    TRY("tcp6", joined(AF_INET6, SOCK_STREAM, &six, sizeof six));
    TRY("udp", joined(AF_INET, SOCK_DGRAM, &four, sizeof four));
    TRY("udp far away", joined(AF_INET, SOCK_DGRAM, &far, sizeof far));
    TRY("udp6", joined(AF_INET6, SOCK_DGRAM, &six, sizeof six));
    TRY("ping", socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
    TRY("raw ip", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    TRY("raw ip6", socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));
    TRY("unix path", unix_socket(path, 0));
    TRY("unix abstract", unix_socket(abstract, 1));
    TRY("vsock", joined(AF_VSOCK, SOCK_STREAM, &hypervisor, sizeof hypervisor));
    TRY("link up", ask_netlink(RTM_NEWLINK, &up, sizeof up));
    TRY("route", ask_netlink(RTM_NEWROUTE, &route, sizeof route));
    for (int protocol = 1; protocol < 23; protocol++) {
        char name[32];
        snprintf(name, sizeof name, "netlink %d", protocol);
        TRY(name, socket(AF_NETLINK, SOCK_RAW, protocol));
    }
    /* The kernel looks at the low half of the number alone; a filter might not. */
    TRY("vsock behind high bits", syscall(SYS_socket, 0x100000000L | AF_VSOCK, SOCK_STREAM, 0));
    for (int family = 0; family < 64; family++) {
        int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_RDM}, had = -1;
        char name[32];
        for (int i = 0; i < 5 && had < 0; i++) had = socket(family, types[i], 0);
        snprintf(name, sizeof name, "family %d", family);
        TRY(name, (errno = had < 0 ? EAFNOSUPPORT : 0, had));
        if (had >= 0) close(had);
    }
}

static int old_call(long number, long first) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(0), "d"(0) : "memory");
    errno = result < 0 ? -result : 0;
    return result < 0 ? -1 : 0;
}

/* A setuid program: a copy of this one, started by an id that is not its owner's. */
static int setuid_program(int capable) {
    char cap[20] = {1, 0, 0, 2, (char)0xff, (char)0xff, (char)0xff, (char)0xff};
    int from = open("/proc/self/exe", O_RDONLY), to = open("/tmp/su", O_CREAT | O_TRUNC | O_WRONLY, 0755), status;
    char piece[65536];
    long n;
    while ((n = read(from, piece, sizeof piece)) > 0)
        if (write(to, piece, n) != n) return -1;
    close(to);
    if (!capable && chmod("/tmp/su", 06755) < 0) return -1;
    if (capable && setxattr("/tmp/su", "security.capability", cap, sizeof cap, 0) < 0) return -1;
    if (!capable && (setresgid(1, 1, 1) < 0 || setresuid(1, 1, 1) < 0)) return -1;
    if (fork() == 0) execl("/tmp/su", "su", capable ? "capabilities" : "ids", (char *)0);
    wait(&status);
    errno = WIFEXITED(status) ? WEXITSTATUS(status) : EFAULT;
    return errno ? -1 : 0;
}

static int exceeds(int capable) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    if (!capable) return geteuid() == 0 || getegid() == 0 ? 0 : EPERM;
    if (syscall(SYS_capget, &header, data) < 0) return errno;
    return data[0].effective & ~0x800000fbU || data[1].effective ? 0 : EPERM;
}

static int raise_capabilities(void) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{~0U, ~0U, ~0U}, {0x1ff, 0x1ff, 0x1ff}};
    return syscall(SYS_capset, &header, data);
}

/* Whether a descriptor was left open that no build was given: a folder of the host's would be a way out. */
static int leaked(void) {
    for (int fd = 3; fd < 4096; fd++)
        if (fd != answer[0] && fd != answer[1] && fcntl(fd, F_GETFD) >= 0) return fd;
    errno = EBADF;
    return -1;
}

/* Whether climbing from here ends anywhere but at this root. */
static int climb(void) {
    struct stat top, root;
    for (int i = 0; i < 64; i++)
        if (chdir("..") < 0) return -1;
    if (stat(".", &top) < 0 || stat("/", &root) < 0) return -1;
    errno = EXDEV;
    return top.st_ino == root.st_ino && top.st_dev == root.st_dev ? -1 : 0;
}

static int core_limit(void) {
    struct rlimit none = {0, 0}, now;
    setrlimit(RLIMIT_CORE, &none);
    prlimit(0, RLIMIT_CORE, &none, 0);
    syscall(SYS_prlimit64, 0, 0x100000000L | RLIMIT_CORE, &none, 0);
    getrlimit(RLIMIT_CORE, &now);
    errno = EPERM;
    return now.rlim_max == 1 ? -1 : 0;
}

static int more_than(int resource) {
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    return setrlimit(resource, &all);
}

static void names(void) {
    static const struct { const char *name; unsigned long flag; } spaces[] = {
        {"mount", CLONE_NEWNS}, {"cgroup", CLONE_NEWCGROUP}, {"uts", CLONE_NEWUTS}, {"ipc", CLONE_NEWIPC},
        {"user", CLONE_NEWUSER}, {"pid", CLONE_NEWPID}, {"net", CLONE_NEWNET}, {"time", 0x80}};
    char name[64], path[64];
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "unshare %s", spaces[i].name);
        TRY(name, unshare(spaces[i].flag));
        if (spaces[i].flag != 0x80) {
            snprintf(name, sizeof name, "clone %s", spaces[i].name);
            TRY(name, syscall(SYS_clone, spaces[i].flag | SIGCHLD, 0, 0, 0, 0));
            snprintf(name, sizeof name, "clone %s behind high bits", spaces[i].name);
            TRY(name, syscall(SYS_clone, 0x100000000L | spaces[i].flag | SIGCHLD, 0, 0, 0, 0));
        }
        snprintf(name, sizeof name, "setns %s", spaces[i].name);
        snprintf(path, sizeof path, "/proc/self/ns/%s", i == 0 ? "mnt" : spaces[i].name);
        TRY(name, setns(open(path, O_RDONLY), 0));
    }
    char arguments[88] = {0};
    *(unsigned long *)arguments = CLONE_NEWUSER;
    TRY("clone3 user", syscall(SYS_clone3, arguments, sizeof arguments));
    TRY("uid_map", put("/proc/self/uid_map", "0 0 4294967295\n"));
}

static void files(void) {
    static const char *const paths[] = {
        "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hostname",
        "/proc/sys/kernel/domainname", "/proc/sys/kernel/ns_last_pid", "/proc/sys/kernel/shmmax",
        "/proc/sys/vm/drop_caches", "/proc/sys/vm/overcommit_memory", "/proc/sys/fs/binfmt_misc/register",
        "/proc/sys/fs/file-max", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv4/ping_group_range",
        "/proc/sys/user/max_user_namespaces", "/proc/sysrq-trigger", "/proc/1/oom_score_adj",
        "/proc/self/oom_score_adj", "/proc/self/setgroups", "/proc/self/gid_map", "/proc/self/projid_map",
        "/proc/self/comm", "/proc/self/mem", "/proc/self/coredump_filter", "/proc/self/attr/current",
        "/proc/self/clear_refs", "/proc/1/mem", "/proc/kcore", "/proc/kmsg", "/proc/mtrr", "/proc/irq/default_smp_affinity",
        "/proc/bus/pci/00/00.0", "/proc/pressure/memory", "/proc/scsi/scsi", "/proc/keys", "/proc/acpi/wakeup",
        "/sys/kernel/uevent_helper", "/sys/fs/cgroup/release_agent", "/sys/fs/cgroup/memory/release_agent",
        "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/memory/cgroup.procs", "/sys/power/state",
        "/sys/kernel/debug/sched/debug", "/sys/kernel/security/lockdown", "/dev/mem", "/dev/kmsg", "/dev/console",
        "/dev/tty", "/dev/ptmx", "/dev/vsock", "/dev/kvm", "/dev/fuse", "/dev/net/tun", "/dev/loop-control",
        "/etc/passwd", "/bin/sh", "/dev/tty0"};
    char name[96];
    for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++) {
        snprintf(name, sizeof name, "write %s", paths[i]);
        TRY(name, put(paths[i], "1"));
    }
    TRY("read /proc/kmsg", open("/proc/kmsg", O_RDONLY));
    TRY("read /proc/1/root/etc/shadow", open("/proc/1/root/etc/shadow", O_RDONLY));
    TRY("read /proc/kcore", open("/proc/kcore", O_RDONLY));
    TRY("read /proc/keys", read(open("/proc/keys", O_RDONLY), name, 1) > 0 ? 0 : (errno = ENODATA, -1));
    TRY("new file in /", open("/new", O_CREAT | O_WRONLY, 0644));
    TRY("new file in /proc", open("/proc/new", O_CREAT | O_WRONLY, 0644));
    TRY("leaked descriptor", leaked());
    TRY("climb from here", climb());
    TRY("climb from /proc/self/cwd", chdir("/proc/self/cwd/../../../..") < 0 ? -1 : climb());
    TRY("hard link to /bin/sh", link("/bin/busybox", "/out/sh"));
    TRY("hard link to the source", link("./attack", "/out/attack"));
    TRY("replace $OUT", rename("/out", "/out2"));
    TRY("remove $OUT", rmdir("/out"));
    TRY("swap $OUT for a link", symlink("/", "/tmp/l") < 0 ? -1 : renameat2(AT_FDCWD, "/tmp/l", AT_FDCWD, "/out", RENAME_EXCHANGE));
    TRY("make $OUT immutable", ({ long on = 0x10; ioctl(open("/out", O_RDONLY), 0x40086602, &on); }));
    TRY("device mem", mknod("/tmp/mem", S_IFCHR | 0600, makedev(1, 1)));
    TRY("device disk", mknod("/tmp/disk", S_IFBLK | 0600, makedev(8, 0)));
    TRY("setuid program", setuid_program(0));
    TRY("capable program", setuid_program(1));
    TRY("setuid(1000000)", setuid(1000000));
}

static void mounts(void) {
    TRY("mount tmpfs", mount("x", "/tmp", "tmpfs", 0, 0));
    TRY("mount proc", mount("x", "/tmp", "proc", 0, 0));
    TRY("mount sysfs", mount("x", "/tmp", "sysfs", 0, 0));
    TRY("mount cgroup", mount("x", "/tmp", "cgroup", 0, "memory"));
    TRY("mount cgroup2", mount("x", "/tmp", "cgroup2", 0, 0));
    TRY("mount overlay", mount("x", "/tmp", "overlay", 0, "lowerdir=/,upperdir=/tmp,workdir=/tmp"));
    TRY("bind /", mount("/", "/tmp", 0, MS_BIND | MS_REC, 0));
    TRY("remount / writable", mount(0, "/", 0, MS_REMOUNT | MS_BIND, 0));
    TRY("remount /proc writable", mount(0, "/proc", 0, MS_REMOUNT, 0));
    TRY("shared /", mount(0, "/", 0, MS_SHARED | MS_REC, 0));
    TRY("unmount what masks /proc/keys", umount2("/proc/keys", MNT_DETACH));
    TRY("unmount what masks /proc/sys", umount2("/proc/sys", MNT_DETACH));
    TRY("unmount $OUT", umount2("/out", MNT_DETACH));
    TRY("pivot_root", syscall(SYS_pivot_root, ".", "."));
    TRY("chroot", chroot("."));
    TRY("fsopen", syscall(SYS_fsopen, "proc", 0));
    TRY("fspick", syscall(SYS_fspick, AT_FDCWD, "/", 0));
    TRY("fsconfig", syscall(SYS_fsconfig, -1, 0, 0, 0, 0));
    TRY("fsmount", syscall(SYS_fsmount, -1, 0, 0));
    TRY("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1));
    TRY("move_mount", syscall(SYS_move_mount, -1, "", -1, "", 0));
    TRY("mount_setattr", syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, 0, 0));
    TRY("statmount", syscall(457, 0, 0, 0, 0));
    TRY("listmount", syscall(458, 0, 0, 0, 0));
    TRY("open_tree_attr", syscall(467, AT_FDCWD, "/", 1, 0, 0));
    TRY("open_by_handle_at", syscall(SYS_open_by_handle_at, AT_FDCWD, "", 0));
    TRY("quotactl", syscall(SYS_quotactl, 0, 0, 0, 0));
    TRY("quotactl_fd", syscall(443, 0, 0, 0, 0));
    TRY("fanotify_init", syscall(SYS_fanotify_init, 0, 0));
    TRY("swapon", syscall(SYS_swapon, "/tmp/x", 0));
}

static int x32(long number) { return syscall(0x40000000L | number, CLONE_NEWUSER); }

static void calls(void) {
    struct sched_param now = {.sched_priority = 1};
    struct timespec zero = {0, 0};
    unsigned long on = 1;
    TRY("ptrace 1", ptrace(PTRACE_ATTACH, 1, 0, 0));
    TRY("ptrace traceme", ptrace(PTRACE_TRACEME, 0, 0, 0));
    TRY("process_vm_readv", syscall(SYS_process_vm_readv, 1, 0, 0, 0, 0, 0));
    TRY("process_vm_writev", syscall(SYS_process_vm_writev, 1, 0, 0, 0, 0, 0));
    TRY("process_madvise", syscall(SYS_process_madvise, -1, 0, 0, 0, 0));
    TRY("pidfd_getfd", syscall(SYS_pidfd_getfd, -1, 0, 0));
    TRY("kcmp", syscall(SYS_kcmp, 1, 1, 0, 0, 0));
    TRY("keyctl", syscall(SYS_keyctl, 0, -3, 0, 0, 0));
    TRY("add_key", syscall(SYS_add_key, "user", "x", "x", 1, -3));
    TRY("request_key", syscall(SYS_request_key, "user", "x", 0, 0));
    TRY("bpf", syscall(SYS_bpf, 0, 0, 0));
    TRY("io_uring_setup", syscall(SYS_io_uring_setup, 1, 0));
    TRY("io_uring_enter", syscall(SYS_io_uring_enter, -1, 0, 0, 0, 0, 0));
    TRY("io_uring_register", syscall(SYS_io_uring_register, -1, 0, 0, 0));
    TRY("perf_event_open", syscall(SYS_perf_event_open, 0, 0, -1, -1, 0));
    TRY("userfaultfd", syscall(SYS_userfaultfd, 1));
    TRY("kexec_load", syscall(SYS_kexec_load, 0, 0, 0, 0));
    TRY("kexec_file_load", syscall(SYS_kexec_file_load, -1, -1, 0, 0, 0));
    TRY("init_module", syscall(SYS_init_module, 0, 0, ""));
    TRY("finit_module", syscall(SYS_finit_module, -1, "", 0));
    TRY("delete_module", syscall(SYS_delete_module, "x", 0));
    TRY("move_pages", syscall(SYS_move_pages, 1, 0, 0, 0, 0, 0));
    TRY("migrate_pages", syscall(SYS_migrate_pages, 1, 0, 0, 0));
    TRY("modify_ldt", syscall(SYS_modify_ldt, 0, 0, 0));
    TRY("iopl", syscall(SYS_iopl, 3));
    TRY("ioperm", syscall(SYS_ioperm, 0x80, 1, 1));
    TRY("syslog", syscall(SYS_syslog, 3, 0, 0));
    TRY("acct", syscall(SYS_acct, 0));
    TRY("reboot", syscall(SYS_reboot, 0xfee1dead, 672274793, 0, 0));
    TRY("vhangup", syscall(SYS_vhangup));
    TRY("sethostname", sethostname("x", 1));
    TRY("setdomainname", setdomainname("x", 1));
    TRY("clock_settime", syscall(SYS_clock_settime, 0, &zero));
    TRY("settimeofday", syscall(SYS_settimeofday, &zero, 0));
    TRY("adjtimex", syscall(SYS_adjtimex, 0));
    TRY("nice", setpriority(PRIO_PROCESS, 0, -20));
    TRY("real time", sched_setscheduler(0, SCHED_FIFO, &now));
    TRY("ioprio", syscall(SYS_ioprio_set, 1, 0, 1 << 13));
    TRY("more processes", more_than(RLIMIT_NPROC));
    TRY("more files", more_than(RLIMIT_NOFILE));
    TRY("more memory", more_than(RLIMIT_DATA));
    TRY("larger files", more_than(RLIMIT_FSIZE));
    TRY("another core limit", core_limit());
    TRY("raise capabilities", raise_capabilities());
    TRY("ambient capability", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
    TRY("new privileges again", prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
    TRY("PR_SET_MM", prctl(PR_SET_MM, PR_SET_MM_BRK, 0, 0, 0));
    TRY("seccomp off", prctl(PR_SET_SECCOMP, 0, 0, 0, 0));
    TRY("type into a terminal", ioctl(1, 0x5412, "x"));
    TRY("type into a terminal behind high bits", syscall(SYS_ioctl, 1, 0x100005412L, "x"));
    TRY("paste into a terminal", ioctl(1, 0x541c, &on));
    TRY("32 bit call", old_call(20, 0));
    TRY("32 bit mount", old_call(21, 0));
    TRY("32 bit unshare", old_call(310, CLONE_NEWUSER));
    TRY("32 bit socket", old_call(359, AF_VSOCK));
    TRY("x32 getpid", x32(SYS_getpid));
    TRY("x32 unshare", x32(SYS_unshare));
    TRY("x32 ptrace", x32(521));
}

int main(int count, char **words) {
    const char *what = count > 1 ? words[1] : "";
    if (!strcmp(what, "reach") && count == 5) return reach(atoi(words[2]), words[3], words[4]), 0;
    if (!strcmp(what, "kernel")) return files(), mounts(), names(), calls(), 0;
    if (!strcmp(what, "ids")) return exceeds(0);
    if (!strcmp(what, "capabilities")) return exceeds(1);
    return 2;
}
