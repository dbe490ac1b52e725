//! The program that agents may be upgraded to: another version of what they run.
//!
//! With a simulated agent only the number is another: what an upgrade does to a cluster (agents
//! that stop and start one after the other, a mixed gossip) is rehearsed, and what a new version
//! of Nomad changes is not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use semver::Version;
use serde::{Deserialize, Serialize};

use super::{EngineError, EngineKind, EngineRequest, Program, provide_each};
use crate::docker::DockerEngine;
use crate::environment::Environment;
use crate::progress::Progress;
use crate::spec::Arch;

/// What agents may be upgraded to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Next {
    /// The version that upgraded agents say they are.
    pub version: Version,
    /// The programs, for every architecture of the cluster.
    pub programs: BTreeMap<Arch, Program>,
}

/// Gets what agents that run the programs of `now` may be upgraded to; `None` where nothing was
/// asked for and nothing can be had.
///
/// # Errors
/// [`EngineError`].
pub async fn provide_next(
    request: &EngineRequest,
    now: &BTreeMap<Arch, Program>,
    environment: &Environment,
    docker: &dyn DockerEngine,
    progress: &Progress,
) -> Result<Option<Next>, EngineError> {
    let asked = request.upgrade_to.as_deref();
    let Some(first) = now.values().next() else {
        return Ok(None);
    };
    if first.info.simulated {
        let version = match asked {
            Some(text) => text.parse().map_err(|_| EngineError::SimulatedUpgrade {
                asked: text.to_owned(),
            })?,
            None => Version::new(
                first.version.major,
                first.version.minor,
                first.version.patch + 1,
            ),
        };
        let mut programs = now.clone();
        for program in programs.values_mut() {
            program.env.push(format!("{}={version}", agent::ANNOUNCED));
        }
        return Ok(Some(Next { version, programs }));
    }
    let Some(asked) = asked else {
        return Ok(None);
    };
    let archs = now.keys().copied().collect();
    let other = other(request, first, &archs, asked);
    let programs = provide_each(&other, &archs, environment, docker, progress).await?;
    let first = programs.values().next();
    let version = first.map(|program| program.version.clone());
    Ok(version.map(|version| Next { version, programs }))
}

/// Returns the request for another version of the same kind of program.
fn other(
    request: &EngineRequest,
    now: &Program,
    archs: &BTreeSet<Arch>,
    asked: &str,
) -> EngineRequest {
    let blank = EngineRequest {
        version: None,
        binaries: BTreeMap::new(),
        image: None,
        upgrade_to: None,
        ..request.clone()
    };
    if now.info.kind == EngineKind::Image.to_string() {
        return EngineRequest {
            kind: EngineKind::Image,
            image: Some(asked.to_owned()),
            ..blank
        };
    }
    match asked.parse() {
        Ok(version) => EngineRequest {
            kind: EngineKind::Release,
            version: Some(version),
            ..blank
        },
        // One file serves one architecture; for another it says what it is built for.
        Err(_) => EngineRequest {
            kind: EngineKind::Binary,
            binaries: archs
                .iter()
                .map(|arch| (*arch, PathBuf::from(asked)))
                .collect(),
            ..blank
        },
    }
}
