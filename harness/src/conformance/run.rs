//! Puts the cases to a cluster: those that disturb nobody side by side, the others one by one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream;
use semver::Version;

use super::case::{Broken, Case};
use super::ground::Ground;
use super::score::{Kept, Outcome, Score};
use crate::directory::Directory;
use crate::target::Target;

/// How long one case may take.
const CASE_MAX: Duration = Duration::from_secs(90);

/// How the suite is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Only cases whose name or section contains one of these; without any, all.
    pub filter: Vec<String>,
    /// How many cases run at once, at least 1.
    pub parallel: usize,
    /// The certificate of the cluster's authority, PEM; without it the cases on TLS break.
    pub authority: String,
    /// The clients' datacenter.
    pub datacenter: String,
    /// The region.
    pub region: String,
    /// Time that a cluster gets, in times of what a native one needs, at least 1.
    pub patience: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            filter: Vec::new(),
            parallel: 6,
            authority: String::new(),
            datacenter: "dc1".to_owned(),
            region: "global".to_owned(),
            patience: 1,
        }
    }
}

/// Puts the cases to a cluster, and tells each outcome as it comes.
///
/// `version` says which laws bind: the version of Nomad that the cluster runs or follows.
pub async fn run(
    target: &dyn Target,
    cases: &[Case],
    version: &Version,
    options: &Options,
    told: impl Fn(&Outcome),
) -> Score {
    let wanted = |case: &&Case| {
        let named = |text: &String| case.name.contains(text) || case.section.contains(text);
        options.filter.is_empty() || options.filter.iter().any(named)
    };
    let chosen: Vec<&Case> = cases.iter().filter(wanted).collect();
    let stand = Stand {
        directory: Directory::of(target),
        version,
        options,
        run: uuid::Uuid::new_v4().simple().to_string()[..6].to_owned(),
    };
    let (alone, together): (Vec<_>, Vec<_>) =
        chosen.iter().enumerate().partition(|(_, case)| case.alone);
    let mut outcomes: Vec<(usize, Outcome)> = Vec::new();
    for (cases, parallel) in [(together, options.parallel.max(1)), (alone, 1)] {
        let checks = cases
            .into_iter()
            .map(|(number, case)| stand.check(number, case));
        let mut ended = stream::iter(checks).buffer_unordered(parallel);
        while let Some((number, outcome)) = ended.next().await {
            told(&outcome);
            outcomes.push((number, outcome));
        }
    }
    outcomes.sort_by_key(|(number, _)| *number);
    Score {
        engine: target.engine().clone(),
        version: version.to_string(),
        outcomes: outcomes.into_iter().map(|(_, outcome)| outcome).collect(),
    }
}

/// What all cases of a run share.
struct Stand<'s> {
    directory: Directory,
    version: &'s Version,
    options: &'s Options,
    run: String,
}

impl Stand<'_> {
    async fn check(&self, number: usize, case: &Case) -> (usize, Outcome) {
        let outcome = |kept, took: Duration, left| Outcome {
            name: case.name,
            section: case.section,
            kept,
            took_ms: took.as_millis(),
            left,
        };
        if let Some(why) = case.exempt(self.version) {
            return (
                number,
                outcome(Kept::Exempt { why }, Duration::ZERO, Vec::new()),
            );
        }
        let start = Instant::now();
        let ground = Arc::new(Ground::new(
            self.directory.clone(),
            self.version.clone(),
            self.options,
            format!("conformance-{}-{number}", self.run),
        ));
        let after = CASE_MAX * self.options.patience;
        let checked = match tokio::time::timeout(after, (case.check)(&ground)).await {
            Ok(checked) => checked,
            Err(_) => Err(Broken::new(format!("not over within {after:?}"))),
        };
        let took = start.elapsed();
        let left = ground.undo().await;
        let kept = match checked {
            Ok(()) => Kept::Yes,
            Err(Broken {
                seen,
                not_simulated: true,
            }) => Kept::NotSimulated { seen },
            Err(Broken { seen, .. }) => Kept::No { seen },
        };
        (number, outcome(kept, took, left))
    }
}
