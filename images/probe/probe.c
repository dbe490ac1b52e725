/*
 * Does emulation of this program's architecture really work here?
 *
 * A registered emulator proves little: some pass every look from outside and then break the
 * first Go program that lists network interfaces. So this program *does* what a Nomad agent
 * does, and ends with a line that only success prints:
 *
 *   - it walks the attributes of raw netlink answers as strictly as Go does (a C library's
 *     getifaddrs() is lenient and passes on emulators that Go cannot live with),
 *   - it forks and executes itself, and ends a child of its own by a signal,
 *   - it takes a timer's signal in a handler, and a timer's tick through epoll,
 *   - it says for which architecture it was compiled and which byte order it sees, for a
 *     program of this machine's own architecture under a foreign label runs unnoticed,
 *   - it measures how often a second it can start itself, read a JSON text, and multiply as the
 *     curve of a TLS handshake does: beside a native program's rates they say how much longer
 *     everything takes here.
 *
 * No C library, so that it is a few kilobytes and has no part that it does not test.
 * `build.sh` compiles it; the harness carries the results. Exit code: 0 when all is well,
 * else 1. A hang is a verdict too: whoever runs it sets the deadline.
 */

typedef signed long word; /* as wide as a register on each of our architectures */
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;

#if defined(__s390x__)
#include "arch/s390x.h"
#elif defined(__x86_64__)
#include "arch/amd64.h"
#elif defined(__aarch64__)
#include "arch/arm64.h"
#else
#error "no arch/ header for this architecture"
#endif

/* Error numbers, the same on our architectures. */
enum { EINTR = 4, ENOSYS = 38 };
enum { SIGALRM = 14, SIGTERM = 15 };

/* ---- Saying what was found ------------------------------------------------------------ */

static char text[4096];
static u32 text_len;
static int failures;

static void say(const char *s) {
    while (*s && text_len < sizeof text - 32)
        text[text_len++] = *s++;
}

static void say_number(word value) {
    char digits[24];
    int count = 0;
    if (value < 0) {
        say("-");
        value = -value;
    }
    do {
        digits[count++] = '0' + value % 10;
        value /= 10;
    } while (value);
    while (count && text_len < sizeof text - 1)
        text[text_len++] = digits[--count];
}

static void say_pair(const char *label, word value) {
    say(label);
    say_number(value);
}

/* What was said so far must survive a crash in the next check. */
static void flush(void) {
    call(NR_write, 1, (word)text, text_len, 0, 0, 0);
    text_len = 0;
}

static void end_line(void) {
    say("\n");
    flush();
}

/* Begins a check's line; the caller adds the details and ends it. */
static void verdict(const char *check, int good) {
    say(good ? "ok " : "FAIL ");
    say(check);
    failures += !good;
}

static void exit_with(int code) {
    for (;;)
        call(NR_exit, code, 0, 0, 0, 0, 0);
}

static word microseconds(void) {
    word now[2] = {0, 0};
    call(NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, (word)now, 0, 0, 0, 0);
    return now[0] * 1000000 + now[1] / 1000;
}

/* ---- Netlink, as strict as Go's syscall.ParseNetlinkRouteAttr ------------------------- */

struct message {
    u32 length;
    u16 type;
    u16 flags;
    u32 sequence;
    u32 port;
};
struct attribute {
    u16 length;
    u16 type;
};
enum { NLMSG_ERROR = 2, NLMSG_DONE = 3, RTM_GETLINK = 18, RTM_GETADDR = 22, RTM_GETROUTE = 26 };
enum { REQUEST_DUMP = 0x301 };

static u8 answer[65536] __attribute__((aligned(8)));

static word aligned4(word length) {
    return (length + 3) & ~3L;
}

/* Counts the attributes from `at` to `end`, or says what is wrong with one and returns -1. */
static int walk_attributes(const char *check, word at, word end, int good_before) {
    int count = 0;
    while (at + (word)sizeof(struct attribute) <= end) {
        struct attribute *a = (struct attribute *)(answer + at);
        if (a->length < sizeof *a || at + a->length > end) {
            verdict(check, 0);
            say_pair(" attribute len ", a->length);
            say_pair(" type ", a->type);
            say_pair(" with ", end - at);
            say_pair(" bytes left, after ", good_before + count);
            say(" good attributes (Go: parsenetlinkrouteattr: invalid argument)");
            end_line();
            return -1;
        }
        count++;
        at += aligned4(a->length);
    }
    return count;
}

/* Reads one answer of `size` bytes. Returns 1 when the dump is complete, 0 when more
 * follows, -1 when a fault was said. */
static int walk_answer(const char *check, word size, word header, int *messages, int *attributes) {
    word at = 0;
    while (at + (word)sizeof(struct message) <= size) {
        struct message *m = (struct message *)(answer + at);
        if (m->length < sizeof *m || at + m->length > size) {
            verdict(check, 0);
            say_pair(" bad nlmsg_len ", m->length);
            end_line();
            return -1;
        }
        if (m->type == NLMSG_DONE)
            return 1;
        if (m->type == NLMSG_ERROR) {
            verdict(check, 0);
            say_pair(" NLMSG_ERROR ", *(int *)(m + 1));
            end_line();
            return -1;
        }
        int found = walk_attributes(check, at + sizeof *m + header, at + m->length, *attributes);
        if (found < 0)
            return -1;
        *attributes += found;
        *messages += 1;
        at += aligned4(m->length);
    }
    return 0;
}

/* `header`: bytes between a message's head and its first attribute. */
static void check_netlink(const char *check, u16 request_type, word header) {
    static u8 request[32] __attribute__((aligned(8)));
    static u16 kernel_address[6] = {16 /* AF_NETLINK */};
    struct message *head = (struct message *)request;
    *head = (struct message){sizeof request, request_type, REQUEST_DUMP, 1, 0};

    word fd = call(NR_socket, 16, 3 /* SOCK_RAW */, 0, 0, 0, 0);
    word failed = fd;
    if (fd >= 0)
        failed = call(NR_sendto, fd, (word)request, sizeof request, 0, (word)kernel_address, 12);
    int messages = 0, attributes = 0, complete = 0;
    while (failed >= 0 && !complete) {
        word size = call(NR_recvfrom, fd, (word)answer, sizeof answer, 0, 0, 0);
        if (size <= 0) {
            failed = size ? size : -1;
            break;
        }
        complete = walk_answer(check, size, header, &messages, &attributes);
    }
    if (failed < 0) {
        verdict(check, 0);
        say_pair(" socket call answered ", failed);
        end_line();
    } else if (complete == 1) {
        verdict(check, 1);
        say_pair(" messages ", messages);
        say_pair(" attributes ", attributes);
        end_line();
    }
    if (fd >= 0)
        call(NR_close, fd, 0, 0, 0, 0, 0);
}

/* ---- Processes ------------------------------------------------------------------------ */

static char **arguments;
static char **environment;

/* Starts this program again with one argument; returns the child's process id. */
static word spawn_self(char *role) {
    /* The path first: no /proc is promised. A relative one is not looked up on PATH. */
    char *path = arguments[0][0] == '/' ? arguments[0] : "/proc/self/exe";
    char *child[] = {arguments[0], role, 0};
    word pid = sys_fork();
    if (pid == 0) {
        call(NR_execve, (word)path, (word)child, (word)environment, 0, 0, 0);
        exit_with(99);
    }
    return pid;
}

static void check_fork_exec(void) {
    word begin = microseconds();
    word pid = spawn_self("exit-7");
    int status = 0;
    word waited = call(NR_wait4, pid, (word)&status, 0, 0, 0, 0);
    verdict("fork_exec", pid > 0 && waited == pid && status == 7 << 8);
    say_pair(" status ", status);
    say_pair(" took_us ", microseconds() - begin);
    end_line();
}

/* A child that reports through a pipe and waits for ever must die of SIGTERM. */
static void check_signal(void) {
    int ends[2];
    word piped = call(NR_pipe2, (word)ends, 0, 0, 0, 0, 0);
    call(NR_dup3, ends[1], 9, 0, 0, 0, 0);
    call(NR_close, ends[1], 0, 0, 0, 0, 0);
    word pid = spawn_self("wait");
    call(NR_close, 9, 0, 0, 0, 0, 0); /* now the child's end alone keeps the pipe open */
    char byte = 0;
    word got = call(NR_read, ends[0], (word)&byte, 1, 0, 0, 0);
    word killed = call(NR_kill, pid, SIGTERM, 0, 0, 0, 0);
    int status = 0;
    word waited = call(NR_wait4, pid, (word)&status, 0, 0, 0, 0);
    verdict("signal", piped == 0 && got == 1 && killed == 0 && waited == pid && status == SIGTERM);
    say_pair(" status ", status);
    end_line();
}

/* ---- Timers --------------------------------------------------------------------------- */

static volatile int alarms;

static void on_alarm(int number) {
    alarms += number == SIGALRM;
}

static void check_handler(void) {
    struct sigaction action = {.handler = on_alarm};
    complete_sigaction(&action);
    word set = call(NR_rt_sigaction, SIGALRM, (word)&action, 0, 8, 0, 0);
    word timer[4] = {0, 0, 0, 20000}; /* once, after 20 ms */
    set |= call(NR_setitimer, 0 /* ITIMER_REAL */, (word)timer, 0, 0, 0, 0);
    word limit[2] = {3, 0};
    word slept = call(NR_nanosleep, (word)limit, 0, 0, 0, 0, 0);
    verdict("timer_signal", set == 0 && slept == -EINTR && alarms == 1);
    say_pair(" set ", set);
    say_pair(" slept ", slept);
    say_pair(" taken ", alarms);
    end_line();
}

static void check_epoll(void) {
    word epoll = call(NR_epoll_create1, 0, 0, 0, 0, 0, 0);
    word timer = call(NR_timerfd_create, 1 /* CLOCK_MONOTONIC */, 0, 0, 0, 0, 0);
    struct epoll_event wanted = {.events = 1 /* EPOLLIN */, .data = {1, 0x1234}};
    word set = call(NR_epoll_ctl, epoll, 1 /* ADD */, timer, (word)&wanted, 0, 0);
    word once[4] = {0, 0, 0, 20000000}; /* after 20 ms */
    set |= call(NR_timerfd_settime, timer, 0, (word)once, 0, 0, 0);
    struct epoll_event seen[2];
    word count = call(NR_epoll_pwait, epoll, (word)seen, 2, 3000, 0, 8);
    verdict("epoll_timerfd", set == 0 && count == 1 && seen[0].data[1] == 0x1234);
    say_pair(" set ", set);
    say_pair(" events ", count);
    end_line();
}

/* ---- How fast it is here -------------------------------------------------------------- */

enum { SPAN = 100000 /* microseconds for which each rate is taken */ };

/* Says how often a second `work` can be done; once before, since an emulator translates each
 * piece of code when it first runs. */
static void measure(const char *name, void (*work)(void)) {
    work();
    word begin = microseconds(), took, times = 0;
    do {
        work();
        times++;
        took = microseconds() - begin;
    } while (took < SPAN);
    say("measured ");
    say(name);
    say_pair(" ", times * 1000000 / took);
    end_line();
}

static void start(void) {
    int status = 0;
    call(NR_wait4, spawn_self("exit-7"), (word)&status, 0, 0, 0, 0);
}

/* What is made here must be made: nobody else reads it. */
static volatile word made;

/* Reads a node's text as a parser does: byte by byte, with a state. */
static void read_json(void) {
    static const char node[] =
        "{\"ID\":\"f7476465-4d6e-c0de-26d0-e383c49be941\",\"Attributes\":{\"cpu.arch\":\"s390x\","
        "\"kernel.name\":\"linux\",\"os.version\":\"13\"},\"Resources\":{\"CPU\":4000,\"MemoryMB\":"
        "1024.5},\"Drivers\":[{\"raw_exec\":true},{\"java\":null}],\"Meta\":{\"a\\\"b\":\"c\"}}";
    for (int turn = 0; turn < 20; turn++) {
        word depth = 0, strings = 0, digits = 0, quoted = 0;
        for (const char *at = node; *at; at++) {
            if (quoted) {
                at += *at == '\\';
                quoted = *at != '"';
                continue;
            }
            switch (*at) {
            case '{': case '[': depth++; break;
            case '}': case ']': depth--; break;
            case '"': quoted = 1; strings++; break;
            default: digits += *at >= '0' && *at <= '9';
            }
        }
        made += depth + strings + digits;
    }
}

/* Multiplies numbers of 256 bits, limb by limb. */
static void multiply(void) {
    static unsigned long a[4] = {~0UL, 12345678901UL, 0, 0x5ac635d8aa3a93e7UL}, b[4] = {3, ~5UL, 7, ~9UL};
    for (int turn = 0; turn < 50; turn++) {
        unsigned long product[8] = {0};
        for (int i = 0; i < 4; i++) {
            unsigned long carry = 0;
            for (int j = 0; j < 4; j++) {
                unsigned __int128 sum = (unsigned __int128)a[i] * b[j] + product[i + j] + carry;
                product[i + j] = (unsigned long)sum;
                carry = (unsigned long)(sum >> 64);
            }
            product[i + 4] = carry;
        }
        for (int i = 0; i < 4; i++)
            a[i] = product[i] ^ product[i + 4];
    }
    made += (word)a[0];
}

/* ---- All of it ------------------------------------------------------------------------ */

static void say_architecture(void) {
    union {
        u32 number;
        u8 bytes[4];
    } order = {.number = 1};
    say("arch " ARCH " ");
    say(order.bytes[0] ? "little" : "big");
    say("-endian");
    end_line();
}

/* What the children that check_fork_exec and check_signal start do. */
static void child_main(const char *role) {
    if (role[0] == 'e')
        exit_with(7);
    call(NR_write, 9, (word) "w", 1, 0, 0, 0);
    for (;;)
        call(NR_ppoll, 0, 0, 0, 0, 8, 0);
}

/* `stack`: where the kernel left the argument count, the arguments and the environment. */
void probe_main(word *stack) {
    word count = stack[0];
    arguments = (char **)(stack + 1);
    environment = arguments + count + 1;
    if (count > 1)
        child_main(arguments[1]);

    say_architecture();
    check_netlink("netlink_link", RTM_GETLINK, 16);
    check_netlink("netlink_addr", RTM_GETADDR, 8);
    check_netlink("netlink_route", RTM_GETROUTE, 12);
    check_fork_exec();
    check_signal();
    check_handler();
    check_epoll();
    measure("starts", start);
    measure("json", read_json);
    measure("multiplications", multiply);
    say(failures ? "probe FAIL" : "probe ok");
    end_line();
    exit_with(failures != 0);
}
