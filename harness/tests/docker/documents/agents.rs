//! What the documents' commands are typed on: simulated agents, which every reader has and whose output the
//! documents show, or Nomad itself.

use std::fmt;
use std::path::PathBuf;

use nomad_harness::environment::Environment;
use regex::Regex;
use semver::Version;

use super::page::Step;

/// The agents of a session.
pub enum Agents {
    /// Simulated ones. Their timers run so many times faster: with 1, what is shown are Nomad's own times.
    Simulated { time_scale: u32 },
    /// Nomad itself, in its own time.
    Nomad { binary: PathBuf, version: Version },
}

impl Agents {
    /// Returns the Nomad that `REHEARSE_NOMAD_BINARY` names; `None` where it names none.
    pub fn nomad() -> Option<Self> {
        let Some(named) = std::env::var_os("REHEARSE_NOMAD_BINARY") else {
            eprintln!(
                "\n*** SKIPPED, nothing was tested: REHEARSE_NOMAD_BINARY names no Nomad ***\n"
            );
            return None;
        };
        let binary = std::fs::canonicalize(named).expect("REHEARSE_NOMAD_BINARY names a file");
        let output = std::process::Command::new(&binary).arg("version").output();
        let said = output.expect("REHEARSE_NOMAD_BINARY can be run").stdout;
        let said = String::from_utf8_lossy(&said);
        let version = said.strip_prefix("Nomad v").and_then(|rest| {
            let word = rest.split_whitespace().next()?;
            Version::parse(word).ok()
        });
        let version =
            version.unwrap_or_else(|| panic!("`{}` is no Nomad: {said}", binary.display()));
        Some(Self::Nomad { binary, version })
    }

    pub fn are_nomad(&self) -> bool {
        matches!(self, Self::Nomad { .. })
    }

    /// Returns what the command `nomad` is in this session, if anything.
    pub fn command(&self) -> Option<PathBuf> {
        match self {
            Self::Simulated { .. } => crate::a_nomad(&Environment::of_process()),
            Self::Nomad { binary, .. } => Some(binary.clone()),
        }
    }

    /// Returns how `rehearse` is told of them.
    pub fn environment(&self) -> [(&'static str, String); 2] {
        match self {
            Self::Simulated { time_scale } => [
                ("REHEARSE_ENGINE", "simulator".to_owned()),
                ("REHEARSE_TIME_SCALE", time_scale.to_string()),
            ],
            Self::Nomad { binary, .. } => [
                ("REHEARSE_ENGINE", "binary".to_owned()),
                ("REHEARSE_NOMAD_BINARY", binary.display().to_string()),
            ],
        }
    }

    /// Returns why they cannot do what a command wants, if so.
    pub fn lack(&self, step: &Step) -> Option<String> {
        let Self::Nomad { version, .. } = self else {
            return None;
        };
        let from = step.from.as_ref().filter(|from| version < from)?;
        Some(format!("Nomad {}.{} or later", from.major, from.minor))
    }

    /// Returns what is shown of simulated agents only, and what these say in its place.
    pub fn in_place(&self) -> Vec<(Regex, String)> {
        let Self::Nomad { version, .. } = self else {
            return Vec::new();
        };
        let pairs = [
            (
                r"SIMULATED agent \(follows Nomad [0-9.]+\)",
                format!("Nomad {version} (binary)"),
            ),
            (r"^SIMULATED [0-9.]+", format!("nomad {version}")),
            (r" \(SIMULATED: [^)]*\)", String::new()),
        ];
        pairs
            .map(|(pattern, by)| (Regex::new(pattern).expect("a constant"), by))
            .into()
    }
}

impl fmt::Display for Agents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simulated { .. } => f.write_str("simulated agents"),
            Self::Nomad { version, .. } => write!(f, "Nomad {version}"),
        }
    }
}
