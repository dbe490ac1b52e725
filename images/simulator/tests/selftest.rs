//! The program's self test, on the program as it is built.

use std::process::{Command, Output};

fn selftest(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_agent"))
        .arg("selftest")
        .args(arguments)
        .output()
        .expect("the program starts")
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

#[test]
fn all_checks_pass_natively_and_say_so_last() {
    let output = selftest(&["--thorough"]);
    let log = text(&output);
    assert!(output.status.success(), "{log}");
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    assert!(log.starts_with(&format!("arch {arch} ")), "{log}");
    assert!(log.ends_with("\nselftest ok\n"), "{log}");
    assert!(
        log.contains("\nok missing_program refused at once"),
        "{log}"
    );
}

#[test]
fn every_figure_is_a_positive_rate() {
    let output = selftest(&["--measure"]);
    let log = text(&output);
    let rates: Vec<f64> = log
        .lines()
        .filter_map(|line| line.strip_prefix("measured "))
        .map(|rest| rest.split_once(' ').expect("name and value").1)
        .map(|value| value.parse().expect("a number"))
        .collect();
    assert_eq!(rates.len(), 4, "{log}");
    assert!(rates.iter().all(|rate| *rate > 0.0), "{log}");
    assert!(log.ends_with("\nselftest ok\n"), "{log}");
}

#[test]
fn an_unknown_option_is_refused() {
    let output = selftest(&["--verbose"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
}
