//! The sample jobs: good, laid out alike, and of the versions that they say.

use std::path::{Path, PathBuf};

use nomad_harness::job_check::{self, Ground};
use nomad_harness::scenario;
use semver::Version;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../jobs")
}

/// Name and text of every job file.
fn jobs() -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder()).expect("the jobs are there");
    let mut found: Vec<_> = entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a file").to_string_lossy();
            let text = std::fs::read_to_string(&path).expect("a job is text");
            (name.into_owned(), text)
        })
        .collect();
    found.sort();
    assert!(found.len() > 10, "{found:?}");
    found
}

/// The version in `Takes Nomad 1.3.0 or later`.
fn stated(text: &str) -> Option<Version> {
    let head = text.split("\njob \"").next()?;
    let after = head.split("Takes Nomad ").nth(1)?;
    Version::parse(after.split(' ').next()?).ok()
}

#[test]
fn every_job_is_good_and_states_the_first_version_that_takes_it() {
    for (name, text) in jobs() {
        let checked = job_check::check(&name, &text, &Ground::default());
        assert!(!checked.is_refused(), "{:?}", checked.findings);
        assert_eq!(checked.until, None, "{name}");
        assert_eq!(stated(&text), Some(checked.from), "{name}");
    }
}

#[test]
fn every_job_is_laid_out_alike() {
    for (name, text) in jobs() {
        let laid_out = scenario::format(&name, &text).expect("it is HCL");
        assert_eq!(laid_out, text, "{name}");
    }
}

/// What a job means, whatever runs it: without the driver and what is the driver's own.
fn meaning(text: &str) -> serde_json::Value {
    let job = agent::jobspec::parse(text, &std::collections::BTreeMap::new());
    let mut job = job.expect("the sample jobs are good");
    job.id = "whoami".to_owned();
    job.name = "whoami".to_owned();
    for group in &mut job.task_groups {
        for network in group.networks.iter_mut().flatten() {
            for port in network.dynamic_ports.iter_mut().flatten() {
                port.to = 0;
            }
        }
        for task in &mut group.tasks {
            task.driver.clear();
            task.config = None;
            task.templates = None;
            // A Java machine wants more.
            task.resources = None;
        }
    }
    serde_json::to_value(&job).expect("plain data")
}

#[test]
fn a_job_means_the_same_by_every_driver() {
    let jobs = jobs();
    let text = |name: &str| {
        let found = jobs
            .iter()
            .find(|(file, _)| file == &format!("{name}.nomad.hcl"));
        found.map(|(_, text)| text.as_str()).expect("it is there")
    };
    for (driver, name) in [
        ("exec", "whoami-exec"),
        ("docker", "whoami-docker"),
        ("java", "whoami-java"),
    ] {
        let checked = job_check::check(name, text(name), &Ground::default());
        assert_eq!(checked.drivers, [driver]);
        assert_eq!(meaning(text(name)), meaning(text("whoami")), "{name}");
    }
}

/// Every scenario and every chapter.
fn users() -> String {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folders = [top.join("scenarios"), top.join("docs/nomad-101")];
    let entries = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).expect("the folder is there"));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let files = paths.filter(|path| path.is_file());
    files
        .map(|path| std::fs::read_to_string(path).expect("it is text"))
        .collect()
}

/// Whether a text uses a job: by its path, or as the built-in one.
fn uses(text: &str, name: &str) -> bool {
    let built_in = format!("builtin.{name}");
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-');
    let mut places = text.match_indices(&built_in);
    text.contains(&format!("jobs/{name}.nomad.hcl"))
        || places.any(|(at, _)| ends(&text[at + built_in.len()..]))
}

#[test]
fn every_job_is_used_by_a_scenario_or_a_chapter() {
    let users = users();
    for (file, _) in jobs() {
        let name = file.trim_end_matches(".nomad.hcl");
        assert!(uses(&users, name), "nothing uses `{name}`");
    }
    assert!(!uses("job = builtin.whoami-v2\n", "whoami"));
}

#[test]
fn every_job_that_a_chapter_names_is_there() {
    let users = users();
    for (at, _) in users.match_indices("jobs/") {
        let name = users[at + 5..]
            .split(".nomad.hcl")
            .next()
            .unwrap_or_default();
        if name.chars().all(|c| c.is_alphanumeric() || c == '-') {
            let path = folder().join(format!("{name}.nomad.hcl"));
            assert!(path.is_file(), "`{}` is named", path.display());
        }
    }
}
