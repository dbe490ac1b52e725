//! The scenarios and jobs that come with the program, and a user's own: by path, or from a folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::problem::ScriptError;
use super::{ENDING, Scenario, script};
use crate::grammar::suggest;

/// The scripts that the program carries, by the names of their files.
const SCRIPTS: &[(&str, &str)] = &[
    (
        "acl-default-deny.scenario.hcl",
        include_str!("../../carried/scenarios/acl-default-deny.scenario.hcl"),
    ),
    (
        "autopilot-cleanup.scenario.hcl",
        include_str!("../../carried/scenarios/autopilot-cleanup.scenario.hcl"),
    ),
    (
        "batch-periodic-dispatch.scenario.hcl",
        include_str!("../../carried/scenarios/batch-periodic-dispatch.scenario.hcl"),
    ),
    (
        "blue-green.scenario.hcl",
        include_str!("../../carried/scenarios/blue-green.scenario.hcl"),
    ),
    (
        "canary-fails-auto-revert.scenario.hcl",
        include_str!("../../carried/scenarios/canary-fails-auto-revert.scenario.hcl"),
    ),
    (
        "canary-promote.scenario.hcl",
        include_str!("../../carried/scenarios/canary-promote.scenario.hcl"),
    ),
    (
        "certificate-rotation.scenario.hcl",
        include_str!("../../carried/scenarios/certificate-rotation.scenario.hcl"),
    ),
    (
        "client-loss.scenario.hcl",
        include_str!("../../carried/scenarios/client-loss.scenario.hcl"),
    ),
    (
        "client-reconnects.scenario.hcl",
        include_str!("../../carried/scenarios/client-reconnects.scenario.hcl"),
    ),
    (
        "cluster-stop-start.scenario.hcl",
        include_str!("../../carried/scenarios/cluster-stop-start.scenario.hcl"),
    ),
    (
        "corrupt-raft-log.scenario.hcl",
        include_str!("../../carried/scenarios/corrupt-raft-log.scenario.hcl"),
    ),
    (
        "engine-restart.scenario.hcl",
        include_str!("../../carried/scenarios/engine-restart.scenario.hcl"),
    ),
    (
        "follower-loss.scenario.hcl",
        include_str!("../../carried/scenarios/follower-loss.scenario.hcl"),
    ),
    (
        "full-disk.scenario.hcl",
        include_str!("../../carried/scenarios/full-disk.scenario.hcl"),
    ),
    (
        "gossip-key-rotation.scenario.hcl",
        include_str!("../../carried/scenarios/gossip-key-rotation.scenario.hcl"),
    ),
    (
        "job-revert.scenario.hcl",
        include_str!("../../carried/scenarios/job-revert.scenario.hcl"),
    ),
    (
        "job-rollout.scenario.hcl",
        include_str!("../../carried/scenarios/job-rollout.scenario.hcl"),
    ),
    (
        "leader-and-client-die-together.scenario.hcl",
        include_str!("../../carried/scenarios/leader-and-client-die-together.scenario.hcl"),
    ),
    (
        "leader-failover.scenario.hcl",
        include_str!("../../carried/scenarios/leader-failover.scenario.hcl"),
    ),
    (
        "leader-full-disk.scenario.hcl",
        include_str!("../../carried/scenarios/leader-full-disk.scenario.hcl"),
    ),
    (
        "leader-isolated.scenario.hcl",
        include_str!("../../carried/scenarios/leader-isolated.scenario.hcl"),
    ),
    (
        "leader-pause.scenario.hcl",
        include_str!("../../carried/scenarios/leader-pause.scenario.hcl"),
    ),
    (
        "leadership-transfer.scenario.hcl",
        include_str!("../../carried/scenarios/leadership-transfer.scenario.hcl"),
    ),
    (
        "mutual-tls-refusals.scenario.hcl",
        include_str!("../../carried/scenarios/mutual-tls-refusals.scenario.hcl"),
    ),
    (
        "node-drain.scenario.hcl",
        include_str!("../../carried/scenarios/node-drain.scenario.hcl"),
    ),
    (
        "progress-deadline.scenario.hcl",
        include_str!("../../carried/scenarios/progress-deadline.scenario.hcl"),
    ),
    (
        "quorum-loss-and-recovery.scenario.hcl",
        include_str!("../../carried/scenarios/quorum-loss-and-recovery.scenario.hcl"),
    ),
    (
        "rolling-restart.scenario.hcl",
        include_str!("../../carried/scenarios/rolling-restart.scenario.hcl"),
    ),
    (
        "scale-up-down.scenario.hcl",
        include_str!("../../carried/scenarios/scale-up-down.scenario.hcl"),
    ),
    (
        "server-upgrade.scenario.hcl",
        include_str!("../../carried/scenarios/server-upgrade.scenario.hcl"),
    ),
    (
        "slow-follower.scenario.hcl",
        include_str!("../../carried/scenarios/slow-follower.scenario.hcl"),
    ),
    (
        "snapshot-and-disaster-recovery.scenario.hcl",
        include_str!("../../carried/scenarios/snapshot-and-disaster-recovery.scenario.hcl"),
    ),
    (
        "spread-and-constraints.scenario.hcl",
        include_str!("../../carried/scenarios/spread-and-constraints.scenario.hcl"),
    ),
    (
        "system-job-and-new-client.scenario.hcl",
        include_str!("../../carried/scenarios/system-job-and-new-client.scenario.hcl"),
    ),
    (
        "thousand-dispatches.scenario.hcl",
        include_str!("../../carried/scenarios/thousand-dispatches.scenario.hcl"),
    ),
    (
        "two-regions.scenario.hcl",
        include_str!("../../carried/scenarios/two-regions.scenario.hcl"),
    ),
    (
        "wrong-gossip-key.scenario.hcl",
        include_str!("../../carried/scenarios/wrong-gossip-key.scenario.hcl"),
    ),
];

/// The jobs that the program carries.
const JOBS: &[(&str, &str)] = &[
    ("apart", include_str!("../../carried/jobs/apart.nomad.hcl")),
    ("batch", include_str!("../../carried/jobs/batch.nomad.hcl")),
    (
        "blue-green",
        include_str!("../../carried/jobs/blue-green.nomad.hcl"),
    ),
    (
        "canary",
        include_str!("../../carried/jobs/canary.nomad.hcl"),
    ),
    ("even", include_str!("../../carried/jobs/even.nomad.hcl")),
    (
        "everywhere",
        include_str!("../../carried/jobs/everywhere.nomad.hcl"),
    ),
    (
        "ingress",
        include_str!("../../carried/jobs/ingress.nomad.hcl"),
    ),
    (
        "parameterized",
        include_str!("../../carried/jobs/parameterized.nomad.hcl"),
    ),
    (
        "periodic",
        include_str!("../../carried/jobs/periodic.nomad.hcl"),
    ),
    (
        "placement",
        include_str!("../../carried/jobs/placement.nomad.hcl"),
    ),
    (
        "sysbatch",
        include_str!("../../carried/jobs/sysbatch.nomad.hcl"),
    ),
    (
        "template",
        include_str!("../../carried/jobs/template.nomad.hcl"),
    ),
    (
        "whoami",
        include_str!("../../carried/jobs/whoami.nomad.hcl"),
    ),
    (
        "whoami-docker",
        include_str!("../../carried/jobs/whoami-docker.nomad.hcl"),
    ),
    (
        "whoami-exec",
        include_str!("../../carried/jobs/whoami-exec.nomad.hcl"),
    ),
    (
        "whoami-java",
        include_str!("../../carried/jobs/whoami-java.nomad.hcl"),
    ),
    (
        "whoami-service",
        include_str!("../../carried/jobs/whoami-service.nomad.hcl"),
    ),
    (
        "whoami-v2",
        include_str!("../../carried/jobs/whoami-v2.nomad.hcl"),
    ),
    (
        "whoami-v2-fails",
        include_str!("../../carried/jobs/whoami-v2-fails.nomad.hcl"),
    ),
    (
        "yearly",
        include_str!("../../carried/jobs/yearly.nomad.hcl"),
    ),
];

/// Returns a built-in job's text.
pub(super) fn job(name: &str) -> Option<&'static str> {
    let found = JOBS.iter().find(|(known, _)| *known == name);
    found.map(|(_, text)| *text)
}

/// Returns the names of the built-in jobs.
pub fn job_names() -> impl Iterator<Item = &'static str> + Clone {
    JOBS.iter().map(|(name, _)| *name)
}

/// A script, found but not read yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The scenario's name: the file's without its ending.
    pub name: String,
    /// How messages name the file.
    pub file: String,
    /// Its text.
    pub text: String,
    /// Its folder; `None` for one that is built in.
    pub folder: Option<PathBuf>,
}

/// A script cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// The file, or the folder of scripts, cannot be read.
    #[error("`{}` cannot be read", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No script is called so.
    #[error("no scenario matches `{pattern}`{hint}")]
    Unmatched {
        /// What was asked for.
        pattern: String,
        /// What was perhaps meant.
        hint: String,
    },
}

impl Script {
    /// Reads a script's file.
    ///
    /// # Errors
    /// [`LibraryError::Read`].
    pub fn at(path: &Path) -> Result<Self, LibraryError> {
        let text = std::fs::read_to_string(path).map_err(|source| LibraryError::Read {
            path: path.to_owned(),
            source,
        })?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.strip_suffix(ENDING).unwrap_or(&name).to_owned();
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Self {
            name,
            file: path.display().to_string(),
            text,
            folder: Some(folder),
        })
    }

    /// Reads the scenario in it, with these values for its variables.
    ///
    /// # Errors
    /// [`ScriptError`], with every problem.
    pub fn read(&self, given: &BTreeMap<String, String>) -> Result<Scenario, ScriptError> {
        script::read(&self.file, &self.text, self.folder.as_deref(), given)
    }
}

/// Returns the scripts that the program carries.
#[must_use]
pub fn built_in_scripts() -> Vec<Script> {
    let script = |(file, text): &(&str, &str)| Script {
        name: file.trim_end_matches(ENDING).to_owned(),
        file: format!("builtin/{file}"),
        text: (*text).to_owned(),
        folder: None,
    };
    SCRIPTS.iter().map(script).collect()
}

/// Returns the scenarios that the program carries, their variables at their defaults.
///
/// # Panics
/// When one of them is not right, which the tests rule out.
#[must_use]
pub fn built_in() -> Vec<Scenario> {
    let read = |script: Script| {
        let scenario = script.read(&BTreeMap::new());
        scenario.unwrap_or_else(|error| panic!("a script of ours: {error}"))
    };
    built_in_scripts().into_iter().map(read).collect()
}

/// Returns the scripts that the program carries and those in a folder (which may be absent), by
/// name. One of the folder takes the place of a built-in one of the same name.
///
/// # Errors
/// [`LibraryError::Read`].
pub fn scripts(folder: &Path) -> Result<Vec<Script>, LibraryError> {
    let mut found = built_in_scripts();
    let failed = |source| LibraryError::Read {
        path: folder.to_owned(),
        source,
    };
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(ENDING) {
            let script = Script::at(&path)?;
            found.retain(|other| other.name != script.name);
            found.push(script);
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Returns the scripts that patterns mean, each once, in the patterns' order; without a pattern,
/// all that are known. A pattern is a path to a file, or a name in which `*` stands for any text
/// and `?` for any character.
///
/// # Errors
/// Every pattern that means nothing.
pub fn chosen(patterns: &[String], folder: &Path) -> Result<Vec<Script>, Vec<LibraryError>> {
    let known = scripts(folder).map_err(|error| vec![error])?;
    if patterns.is_empty() {
        return Ok(known);
    }
    let mut chosen: Vec<Script> = Vec::new();
    let mut errors = Vec::new();
    for pattern in patterns {
        let found = if is_path(pattern) {
            Script::at(Path::new(pattern)).map(|script| vec![script])
        } else {
            named(pattern, &known)
        };
        match found {
            Ok(found) => {
                for script in found {
                    if !chosen.contains(&script) {
                        chosen.push(script);
                    }
                }
            }
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        Ok(chosen)
    } else {
        Err(errors)
    }
}

fn is_path(pattern: &str) -> bool {
    pattern.contains('/') || pattern.ends_with(".hcl")
}

fn named(pattern: &str, known: &[Script]) -> Result<Vec<Script>, LibraryError> {
    let found: Vec<_> = known
        .iter()
        .filter(|script| matches(pattern, &script.name))
        .cloned()
        .collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let names = || known.iter().map(|script| script.name.as_str());
    let part = names().find(|name| name.contains(pattern));
    let hint = match part {
        Some(part) => format!(" (did you mean `{part}`?)"),
        None => suggest(pattern, names()),
    };
    Err(LibraryError::Unmatched {
        pattern: pattern.to_owned(),
        hint,
    })
}

/// Whether a name is of a pattern with `*` and `?`.
fn matches(pattern: &str, name: &str) -> bool {
    let mut pattern_chars = pattern.chars();
    match pattern_chars.next() {
        None => name.is_empty(),
        Some('*') => {
            let rest = pattern_chars.as_str();
            let starts = name.char_indices().map(|(at, _)| at).chain([name.len()]);
            starts.into_iter().any(|at| matches(rest, &name[at..]))
        }
        Some(wanted) => {
            let mut name_chars = name.chars();
            let fits = name_chars
                .next()
                .is_some_and(|c| wanted == '?' || c == wanted);
            fits && matches(pattern_chars.as_str(), name_chars.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text_and_a_question_mark_for_one_character() {
        for (pattern, name, fits) in [
            ("leader-*", "leader-failover", true),
            ("*", "leader-failover", true),
            ("*failover", "leader-failover", true),
            ("leader", "leader-failover", false),
            ("whoami-v?", "whoami-v2", true),
            ("whoami-v?", "whoami-v", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn every_pattern_that_means_nothing_is_told() {
        let folder = tempfile::tempdir().expect("a folder of our own");
        let patterns = ["leader-failovr", "no/such.scenario.hcl"].map(str::to_owned);
        let errors = chosen(&patterns, folder.path()).expect_err("neither is there");
        assert_eq!(errors.len(), 2);
        assert!(
            errors[0]
                .to_string()
                .contains("did you mean `leader-failover`?")
        );
        assert!(errors[1].to_string().contains("no/such.scenario.hcl"));
    }

    #[test]
    fn a_script_of_the_folder_takes_the_place_of_a_built_in_one() {
        let folder = tempfile::tempdir().expect("a folder of our own");
        let path = folder.path().join("job-rollout.scenario.hcl");
        std::fs::write(&path, "# mine").expect("it can be written");
        let found = chosen(&["job-rollout".to_owned()], folder.path()).expect("it is there");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].text, "# mine");
    }
}
