//! Which combinations of architecture, Nomad version, engine and scenarios CI runs, and when.
//! One file says it (`ci/matrix.hcl`), this expands it, and the workflows read only the result:
//! what runs on a laptop and what runs in CI is the same list.

mod read;

use std::collections::BTreeMap;

use semver::Version;
use serde::Serialize;

use crate::spec::Arch;

pub use read::{MatrixError, Problem, read};

/// On which occasion a cell runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Occasion {
    /// For every change that is offered.
    Change,
    /// Once a night.
    Nightly,
}

impl Occasion {
    /// All, by name.
    pub const ALL: [(&'static str, Self); 2] =
        [("change", Self::Change), ("nightly", Self::Nightly)];
}

/// One job of CI.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// Unique, as `releases-1.8.4-arm64`.
    pub name: String,
    /// On which occasions it runs.
    pub when: Vec<Occasion>,
    /// `simulator` or `release`.
    pub engine: String,
    /// The release's version.
    pub version: Option<Version>,
    /// Architecture of the agents.
    pub arch: Arch,
    /// Whether they run under QEMU there.
    pub emulated: bool,
    /// Label of the machine that runs it.
    pub runner: String,
    /// Names of the scenarios.
    pub scenarios: Vec<String>,
}

/// All cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matrix {
    /// In the file's order.
    pub cells: Vec<Cell>,
}

impl Matrix {
    /// Returns the cells of an occasion.
    #[must_use]
    pub fn on(&self, occasion: Occasion) -> Vec<&Cell> {
        self.cells
            .iter()
            .filter(|cell| cell.when.contains(&occasion))
            .collect()
    }
}

/// One block of the file, checked.
pub(crate) struct Group {
    name: String,
    when: Vec<Occasion>,
    engine: String,
    versions: Vec<Version>,
    archs: Vec<Arch>,
    emulated: Vec<Arch>,
    scenarios: Vec<String>,
}

/// Multiplies a group out.
fn expand(group: &Group, runners: &BTreeMap<Arch, String>) -> Vec<Cell> {
    // An engine without versions is one cell an architecture.
    let versions: Vec<Option<&Version>> = if group.versions.is_empty() {
        vec![None]
    } else {
        group.versions.iter().map(Some).collect()
    };
    let mut cells = Vec::new();
    for version in versions {
        for &arch in &group.archs {
            let emulated = group.emulated.contains(&arch);
            let runs_on = if emulated { Arch::Amd64 } else { arch };
            let infix = version.map(|v| format!("-{v}")).unwrap_or_default();
            cells.push(Cell {
                name: format!("{}{infix}-{arch}", group.name),
                when: group.when.clone(),
                engine: group.engine.clone(),
                version: version.cloned(),
                arch,
                emulated,
                runner: runners.get(&runs_on).cloned().unwrap_or_default(),
                scenarios: group.scenarios.clone(),
            });
        }
    }
    cells
}

#[cfg(test)]
mod tests;
