//! Logs as they were seen, word for word.

use super::*;

/// QEMU 10.0.13 on kernel 6.18.
const GOOD: &str = "arch s390x big-endian\n\
    ok netlink_link messages 1 attributes 38\n\
    ok netlink_addr messages 1 attributes 5\n\
    ok netlink_route messages 3 attributes 12\n\
    ok fork_exec status 1792 took_us 17793\n\
    ok signal status 15\n\
    ok timer_signal set 0 slept -4 taken 1\n\
    ok epoll_timerfd set 0 events 1\n\
    measured starts 98\n\
    measured json 20000\n\
    measured multiplications 67892\n\
    probe ok\n";

/// QEMU 7.2.22 and 10.0.2 on kernel 6.18.
const GARBLED: &str = "arch s390x big-endian\n\
    FAIL netlink_link attribute len 1024 type 16768 with 4 bytes left, after 37 good attributes \
    (Go: parsenetlinkrouteattr: invalid argument)\n\
    ok netlink_addr messages 6 attributes 28\n\
    ok netlink_route messages 17 attributes 81\n\
    ok fork_exec status 1792 took_us 17793\n\
    ok signal status 15\n\
    ok timer_signal set 0 slept -4 taken 1\n\
    ok epoll_timerfd set 0 events 1\n\
    probe FAIL\n";

fn fault(log: &str, end: End) -> Fault {
    judge(Arch::S390x, log, end)
        .expect_err("it does not work")
        .fault
}

#[test]
fn a_full_log_of_the_right_architecture_is_proof() {
    let working = judge(Arch::S390x, GOOD, End::Exited(0)).expect("all is well");
    let native = Rates {
        starts: 2127,
        json: 60_000,
        multiplications: 469_870,
    };
    let slower = working.rates.slowness_beside(&native);
    assert!((slower - 7.66).abs() < 0.01, "{slower}");
    let itself = native.slowness_beside(&native);
    assert!((itself - 1.0).abs() < 1e-9, "{itself}");
}

#[test]
fn every_single_sign_of_success_is_needed() {
    assert_eq!(fault(GOOD, End::Exited(1)), Fault::Unproved { code: 1 });
    let unfinished = GOOD.replace("probe ok\n", "");
    assert_eq!(
        fault(&unfinished, End::Exited(0)),
        Fault::Unproved { code: 0 }
    );
    let unmeasured = GOOD.replace("measured json 20000\n", "");
    assert_eq!(
        fault(&unmeasured, End::Exited(0)),
        Fault::Unproved { code: 0 }
    );
    let headless = GOOD.replace("arch s390x big-endian\n", "");
    assert_eq!(
        fault(&headless, End::Exited(0)),
        Fault::Unproved { code: 0 }
    );
    assert_eq!(fault("", End::Exited(0)), Fault::Unproved { code: 0 });
}

#[test]
fn garbled_netlink_is_named_with_its_line() {
    let told = judge(Arch::S390x, GARBLED, End::Exited(1)).expect_err("it does not work");
    assert_eq!(told.fault, Fault::Netlink);
    let text = told.to_string();
    assert!(text.contains("no Go program gets past that"), "{text}");
    assert!(text.contains("type 16768 with 4 bytes left"), "{text}");
}

#[test]
fn an_unregistered_architecture_is_told_from_one_without_f() {
    // Engine 20.10 exits with 1, Engine 28.5 with 255.
    for code in [1, 255] {
        let end = End::Exited(code);
        assert_eq!(
            fault("exec /probe: exec format error\n", end),
            Fault::NotRegistered
        );
        assert_eq!(
            fault("exec /probe: no such file or directory\n", end),
            Fault::WithoutF
        );
    }
    let older = "standard_init_linux.go:228: exec user process caused: exec format error\n";
    assert_eq!(fault_in_log(older), Some(Fault::NotRegistered));
    assert_eq!(
        fault_in_log("open /etc/nomad.d: no such file or directory\n"),
        None
    );
}

#[test]
fn a_native_program_under_a_foreign_label_is_no_proof() {
    let native = GOOD.replace("s390x big", "amd64 little");
    let seen = "amd64 little-endian".to_owned();
    assert_eq!(fault(&native, End::Exited(0)), Fault::OtherArch { seen });
    let half = GOOD.replace("s390x big", "s390x little");
    let seen = "s390x little-endian".to_owned();
    assert_eq!(fault(&half, End::Exited(0)), Fault::OtherArch { seen });
}

#[test]
fn a_crash_and_a_hang_are_verdicts() {
    // QEMU 5.2: SIGSEGV right away. An instruction that it does not know: SIGILL.
    assert_eq!(fault("", End::Exited(139)), Fault::Crash { signal: 11 });
    assert_eq!(
        fault("arch s390x big-endian\n", End::Exited(132)),
        Fault::Crash { signal: 4 }
    );
    let after = Duration::from_secs(20);
    let told = judge(
        Arch::S390x,
        "arch s390x big-endian\n",
        End::StillRunning(after),
    );
    let told = told.expect_err("it hangs");
    assert_eq!(told.fault, Fault::Hang { after });
    assert_eq!(told.last_seen.as_deref(), Some("arch s390x big-endian"));
}

#[test]
fn a_failed_check_tells_more_than_the_crash_that_follows() {
    assert_eq!(fault(GARBLED, End::Exited(139)), Fault::Netlink);
    let after = Duration::from_secs(20);
    assert_eq!(fault(GARBLED, End::StillRunning(after)), Fault::Netlink);
}

#[test]
fn each_check_has_a_fault_of_its_own() {
    for (line, expected) in [
        ("FAIL fork_exec status 25344 took_us 989", Fault::Processes),
        ("FAIL signal status 0", Fault::Signals),
        ("FAIL timer_signal set 0 slept 0 taken 0", Fault::Timers),
        ("FAIL epoll_timerfd set 0 events 0", Fault::Timers),
        ("FAIL netlink_addr socket call answered -97", Fault::Netlink),
    ] {
        let log = format!("arch s390x big-endian\n{line}\nprobe FAIL\n");
        assert_eq!(fault(&log, End::Exited(1)), expected, "{line}");
    }
}
