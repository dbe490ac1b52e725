/* AArch64, little-endian. Numbers: include/uapi/asm-generic/unistd.h. */
#define ARCH "arm64"

enum {
    NR_epoll_create1 = 20, NR_epoll_ctl = 21, NR_epoll_pwait = 22, NR_dup3 = 24, NR_close = 57,
    NR_pipe2 = 59, NR_read = 63, NR_write = 64, NR_ppoll = 73, NR_timerfd_create = 85,
    NR_timerfd_settime = 86, NR_exit = 93, NR_nanosleep = 101, NR_setitimer = 103,
    NR_clock_gettime = 113, NR_kill = 129, NR_rt_sigaction = 134, NR_socket = 198,
    NR_sendto = 206, NR_recvfrom = 207, NR_clone = 220, NR_execve = 221, NR_wait4 = 260,
};

__asm__(".globl _start\n"
        "_start:\n"
        "  mov x0, sp\n"
        "  and sp, x0, #-16\n"
        "  bl probe_main\n");

static word call(word number, word a, word b, word c, word d, word e, word f) {
    register word x8 __asm__("x8") = number;
    register word x0 __asm__("x0") = a;
    register word x1 __asm__("x1") = b;
    register word x2 __asm__("x2") = c;
    register word x3 __asm__("x3") = d;
    register word x4 __asm__("x4") = e;
    register word x5 __asm__("x5") = f;
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory", "cc");
    return x0;
}

static word sys_fork(void) {
    return call(NR_clone, 17 /* SIGCHLD */, 0, 0, 0, 0, 0);
}

struct sigaction {
    void (*handler)(int);
    word flags;
    void (*restorer)(void);
    word mask;
};

/* Without a restorer the kernel provides the way back from a handler. */
static void complete_sigaction(struct sigaction *action) {
    (void)action;
}

struct epoll_event {
    u32 events;
    u32 padding;
    u32 data[2];
};
