//! One side of a comparison: the runs that a path leads to, whatever form it has.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::measure::{Measure, quantile};
use crate::report::{Report, SCHEMA, Verdict};
use crate::timeline::Timeline;

/// The runs of one side.
#[derive(Clone, Debug)]
pub struct Side {
    /// How it is called: its path.
    pub name: String,
    /// By scenario; a scenario that ran several times has several.
    pub runs: BTreeMap<String, Vec<Run>>,
}

/// A run, read back.
#[derive(Clone, Debug)]
pub struct Run {
    /// What it proved.
    pub report: Report,
    /// What happened; `None` where its file is not there.
    pub timeline: Option<Timeline>,
}

/// A side cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SideError {
    /// A file, or a folder.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is no report.
    #[error("`{}` is no report of a run: line {}, column {}: {source}", path.display(), source.line(), source.column())]
    Json {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A newer program wrote it.
    #[error("`{}` has schema {found}; this program reads {SCHEMA}", path.display())]
    Schema {
        /// Which.
        path: PathBuf,
        /// Its schema.
        found: u32,
    },
    /// There is no report.
    #[error("no report of a run in `{}` (expected `result.json` or folders that hold one)", path.display())]
    Empty {
        /// Where.
        path: PathBuf,
    },
}

impl Side {
    /// Reads a run's folder, a folder of such folders, a `result.json`, or what
    /// `rehearse run --format json` printed.
    ///
    /// # Errors
    /// [`SideError`].
    pub fn read(path: &Path) -> Result<Self, SideError> {
        let runs = if path.is_dir() {
            folder(path)?
        } else {
            file(path)?
        };
        if runs.is_empty() {
            return Err(SideError::Empty {
                path: path.to_owned(),
            });
        }
        let mut side = Self {
            name: path.display().to_string(),
            runs: BTreeMap::new(),
        };
        for run in runs {
            let same = side.runs.entry(run.report.scenario.clone());
            same.or_default().push(run);
        }
        Ok(side)
    }

    /// Every run's report.
    pub fn reports(&self) -> impl Iterator<Item = &Report> {
        self.runs.values().flatten().map(|run| &run.report)
    }

    /// On what the side ran, in a line: engines and architectures.
    #[must_use]
    pub fn ground(&self) -> String {
        let mut all: Vec<String> = self
            .reports()
            .map(|report| match report.arch_label() {
                none if none.is_empty() => report.engine_label.clone(),
                arch => format!("{}, {arch}", report.engine_label),
            })
            .collect();
        all.sort();
        all.dedup();
        all.join("; ")
    }

    /// Whether anything of it ran on the simulator.
    #[must_use]
    pub fn is_simulated(&self) -> bool {
        self.reports().any(|report| report.engine.simulated)
    }
}

fn folder(path: &Path) -> Result<Vec<Run>, SideError> {
    let result = path.join("result.json");
    if result.is_file() {
        return file(&result);
    }
    let failed = |source| SideError::Read {
        path: path.to_owned(),
        source,
    };
    let mut below: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        below.push(entry.map_err(failed)?.path());
    }
    below.sort();
    let mut runs = Vec::new();
    for path in below {
        let result = path.join("result.json");
        if result.is_file() {
            runs.extend(file(&result)?);
        }
    }
    Ok(runs)
}

fn file(path: &Path) -> Result<Vec<Run>, SideError> {
    let text = text_of(path)?;
    let is_many = text.trim_start().starts_with('[');
    let reports: Vec<Report> = if is_many {
        json(path, &text)?
    } else {
        vec![json(path, &text)?]
    };
    if let Some(newer) = reports.iter().find(|report| report.schema > SCHEMA) {
        return Err(SideError::Schema {
            path: path.to_owned(),
            found: newer.schema,
        });
    }
    let beside = path.with_file_name("timeline.json");
    let timeline = if !is_many && beside.is_file() {
        Some(json(&beside, &text_of(&beside)?)?)
    } else {
        None
    };
    let run = |report| Run {
        report,
        timeline: timeline.clone(),
    };
    Ok(reports.into_iter().map(run).collect())
}

fn text_of(path: &Path) -> Result<String, SideError> {
    std::fs::read_to_string(path).map_err(|source| SideError::Read {
        path: path.to_owned(),
        source,
    })
}

fn json<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, SideError> {
    serde_json::from_str(text).map_err(|source| SideError::Json {
        path: path.to_owned(),
        source,
    })
}

/// The worst of several runs' verdicts.
pub(super) fn verdict(runs: &[Run]) -> Verdict {
    Verdict::of_all(runs.iter().map(|run| run.report.verdict))
}

/// The middle of several runs' values of each measure, in the order of the first run. A name
/// that a run took several times is the middle of those.
pub(super) fn measures(runs: &[Run]) -> Vec<Measure> {
    let all = || runs.iter().flat_map(|run| &run.report.measures);
    let mut middle: Vec<Measure> = Vec::new();
    for measure in all() {
        if middle.iter().any(|known| known.name == measure.name) {
            continue;
        }
        let mut values: Vec<f64> = all()
            .filter(|one| one.name == measure.name)
            .map(|one| one.value)
            .collect();
        values.sort_by(f64::total_cmp);
        middle.push(Measure {
            value: quantile(&values, 0.5).unwrap_or(f64::NAN),
            ..measure.clone()
        });
    }
    middle
}
