//! Against what a real Nomad 1.1.2 answered to `PUT /v1/validate/job`
//! (`nomad-1.1.2.json`: each job with the errors, as they came).

use serde::Deserialize;

use super::*;
use crate::jobspec::canonicalize;

#[derive(Deserialize)]
struct Case {
    case: String,
    job: serde_json::Value,
    errors: Vec<String>,
}

/// Cases in which later versions, which the simulator follows, answer otherwise.
const CHANGED_SINCE: &[&str] = &[
    // 1.5: no datacenter means all.
    "no dcs",
    // Refused when read.
    "type",
    // Names an unknown port of a service.
    "service port",
];

#[test]
fn jobs_are_refused_in_nomads_words() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("nomad-1.1.2.json")).expect("JSON");
    assert!(cases.len() > 40);
    let mut wrong = Vec::new();
    for case in cases
        .iter()
        .filter(|c| !CHANGED_SINCE.contains(&c.case.as_str()))
    {
        let mut job: Job = serde_json::from_value(case.job.clone()).expect(&case.case);
        canonicalize(&mut job);
        let found: Vec<String> = validate(&job).iter().map(|e| comparable(e)).collect();
        let expected: Vec<String> = case.errors.iter().map(|e| comparable(e)).collect();
        if found != expected {
            wrong.push(format!(
                "{}:\n  expected {expected:?}\n  found    {found:?}",
                case.case
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What 1.1.2 was not asked for, by the code of 1.8.3.
#[test]
fn names_of_services_and_times_of_lost_clients_are_judged() {
    let errors = |kind: &str, group: &str| {
        let text = format!(
            "job \"j\" {{\n type = \"{kind}\"\n group \"g\" {{\n {group}\n task \"t\" {{\n driver = \
             \"raw_exec\"\n }}\n }}\n}}\n"
        );
        let mut job = crate::jobspec::parse(&text, &Default::default()).expect("it parses");
        canonicalize(&mut job);
        validate(&job)
    };
    let service = |name: &str| {
        let name = name.replace("${", "$${");
        format!("service {{\n name = \"{name}\"\n provider = \"nomad\"\n }}")
    };
    let longest = "a".repeat(63);
    for name in ["a", "whoami-2", "${NOMAD_JOB_NAME}-web", "A1", &longest] {
        assert_eq!(errors("service", &service(name)), [""; 0], "{name}");
    }
    let too_long = "a".repeat(64);
    for name in [
        "a.b",
        "-a",
        "a-",
        "my_service",
        "${NOMAD_JOB_NAME",
        &too_long,
    ] {
        let told = errors("service", &service(name)).join("\n");
        let wanted = format!("no longer than 63 characters: {name:?}");
        assert!(told.contains(&wanted), "{name}: {told}");
    }
    let twice = format!("{}\n{}", service("a"), service("a"));
    let told = errors("service", &twice).join("\n");
    assert!(told.contains("Services are not unique: group->a"), "{told}");
    let other = format!("{}\n{}", service("a"), service("b"));
    assert_eq!(errors("service", &other), [""; 0]);
    let stop = |after: &str| format!("stop_after_client_disconnect = \"{after}\"");
    assert_eq!(errors("service", &stop("1m")), [""; 0]);
    assert_eq!(
        errors("batch", &stop("-1m")),
        ["stop_after_client_disconnect must be a positive value"]
    );
    assert_eq!(
        errors("system", &stop("1m")),
        ["stop_after_client_disconnect can only be set in batch and service jobs"]
    );
    let told = errors("service", "max_client_disconnect = \"-1m\"").join("\n");
    assert!(
        told.contains("max_client_disconnect cannot be negative"),
        "{told}"
    );
}

/// As real servers do: the client runs them in their order.
#[test]
fn a_group_may_have_tasks_with_hooks_alone() {
    let text = "job \"j\" {\n group \"g\" {\n task \"t\" {\n driver = \"raw_exec\"\n leader = true\n \
                lifecycle {\n hook = \"poststart\"\n }\n }\n }\n}\n";
    let mut job = crate::jobspec::parse(text, &Default::default()).expect("it parses");
    canonicalize(&mut job);
    assert_eq!(validate(&job), [""; 0]);
}

/// Without what differs for good: a word that later versions changed, the text of another
/// engine of regular expressions.
fn comparable(error: &str) -> String {
    let error = error.replace("stanza", "block");
    match error.split_once("failed to compile: ") {
        Some((before, _)) => before.to_owned(),
        None => error,
    }
}
