/* IBM Z, big-endian. Numbers: arch/s390/kernel/syscalls/syscall.tbl. */
#define ARCH "s390x"

enum {
    NR_exit = 1, NR_read = 3, NR_write = 4, NR_close = 6, NR_execve = 11, NR_kill = 37,
    NR_setitimer = 104, NR_wait4 = 114, NR_clone = 120, NR_nanosleep = 162,
    NR_rt_sigaction = 174, NR_epoll_ctl = 250, NR_clock_gettime = 260, NR_ppoll = 302,
    NR_epoll_pwait = 312, NR_timerfd_create = 319, NR_timerfd_settime = 320, NR_pipe2 = 325,
    NR_dup3 = 326, NR_epoll_create1 = 327, NR_socket = 359, NR_sendto = 369, NR_recvfrom = 371,
};

/* The stack grows down; 160 bytes above a callee's stack pointer are its register save area. */
__asm__(".globl _start\n"
        "_start:\n"
        "  lgr %r2, %r15\n"
        "  aghi %r15, -320\n"
        "  xc 0(8, %r15), 0(%r15)\n"
        "  brasl %r14, probe_main\n");

static word call(word number, word a, word b, word c, word d, word e, word f) {
    register word r1 __asm__("1") = number;
    register word r2 __asm__("2") = a;
    register word r3 __asm__("3") = b;
    register word r4 __asm__("4") = c;
    register word r5 __asm__("5") = d;
    register word r6 __asm__("6") = e;
    register word r7 __asm__("7") = f;
    __asm__ volatile("svc 0"
                     : "+d"(r2)
                     : "d"(r1), "d"(r3), "d"(r4), "d"(r5), "d"(r6), "d"(r7)
                     : "memory", "cc");
    return r2;
}

/* clone's first two arguments stand the other way round here. */
static word sys_fork(void) {
    return call(NR_clone, 0, 17 /* SIGCHLD */, 0, 0, 0, 0);
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
