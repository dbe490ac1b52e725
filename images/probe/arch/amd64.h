/* x86-64, little-endian. Numbers: arch/x86/entry/syscalls/syscall_64.tbl. */
#define ARCH "amd64"

enum {
    NR_read = 0, NR_write = 1, NR_close = 3, NR_rt_sigaction = 13, NR_nanosleep = 35,
    NR_setitimer = 38, NR_socket = 41, NR_sendto = 44, NR_recvfrom = 45, NR_clone = 56,
    NR_execve = 59, NR_exit = 60, NR_wait4 = 61, NR_kill = 62, NR_clock_gettime = 228,
    NR_epoll_ctl = 233, NR_ppoll = 271, NR_epoll_pwait = 281, NR_timerfd_create = 283,
    NR_timerfd_settime = 286, NR_epoll_create1 = 291, NR_dup3 = 292, NR_pipe2 = 293,
};

__asm__(".globl _start\n"
        "_start:\n"
        "  mov %rsp, %rdi\n"
        "  and $-16, %rsp\n"
        "  call probe_main\n");

static word call(word number, word a, word b, word c, word d, word e, word f) {
    word result;
    register word r10 __asm__("r10") = d;
    register word r8 __asm__("r8") = e;
    register word r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
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

/* The way back from a handler: this kernel wants it from the program (15: rt_sigreturn). */
__asm__("restore_signal:\n"
        "  mov $15, %eax\n"
        "  syscall\n");
void restore_signal(void);

static void complete_sigaction(struct sigaction *action) {
    action->flags = 0x04000000; /* SA_RESTORER */
    action->restorer = restore_signal;
}

/* The one architecture where this struct has no padding. */
struct epoll_event {
    u32 events;
    u32 data[2];
};
