//! What HashiCorp has published, as far as it was known when this was written: which versions,
//! for which architectures, and which of them not to run. It answers before any network is
//! asked, so that a wrong version or architecture costs no download; what it does not know
//! (a version newer than the table) is left for the server to say.
//!
//! Sources: the directories of releases.hashicorp.com, Nomad's changelog, and its issues 17440
//! and 18069 (s390x).

use semver::Version;

use crate::spec::Arch;

/// Last patch of each minor version that HashiCorp published as Community Edition. Later
/// patches of a closed line exist only as Enterprise builds. There is no 1.12.
const LAST_PATCHES: &[(u64, u64, u64)] = &[
    (1, 1, 18),
    (1, 2, 16),
    (1, 3, 16),
    (1, 4, 14),
    (1, 5, 17),
    (1, 6, 10),
    (1, 7, 7),
    (1, 8, 4),
    (1, 9, 7),
    (1, 10, 5),
    (1, 11, 3),
    (2, 0, 5),
];

/// Lines that may still grow: a patch above the table's is the server's to judge.
const OPEN_LINES: &[(u64, u64)] = &[(1, 11), (2, 0)];

/// First version with an s390x build (Enterprise only).
const FIRST_S390X: Version = Version::new(1, 7, 0);

/// The build metadata of Enterprise versions.
const ENTERPRISE: &str = "ent";

/// A release that is not to be had, or not to be run; known without asking the network.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unavailable {
    /// Older than the harness knows.
    #[error("Nomad `{version}` is older than the oldest that can be rehearsed, `1.1.0`")]
    TooOld {
        /// The version asked for.
        version: Version,
    },
    /// No such version was ever published.
    #[error("Nomad `{version}` does not exist; there is {nearest}")]
    NoSuchVersion {
        /// The version asked for.
        version: Version,
        /// What there is around it.
        nearest: String,
    },
    /// The line went on as Enterprise only.
    #[error(
        "Nomad `{version}` exists only as Enterprise build; the last of that line without a licence is `{last}`"
    )]
    EnterpriseOnly {
        /// The version asked for.
        version: Version,
        /// Last Community Edition patch of the same minor.
        last: Version,
    },
    /// HashiCorp withdrew it.
    #[error("Nomad `{version}` was withdrawn by HashiCorp: {reason}; use `{instead}`")]
    Withdrawn {
        /// The version asked for.
        version: Version,
        /// Why.
        reason: &'static str,
        /// The version that mended it.
        instead: Version,
    },
    /// Not built for that architecture.
    #[error("HashiCorp publishes no Nomad `{version}` for `{arch}`: {exists}")]
    NoBuild {
        /// The version asked for.
        version: Version,
        /// The architecture asked for.
        arch: Arch,
        /// What exists instead.
        exists: String,
    },
}

impl Unavailable {
    /// Returns a command to type instead.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoBuild { arch, .. } => format!(
                "rehearse up --nomad-binary {arch}=PATH    # a self-compiled Nomad; or --engine simulator"
            ),
            Self::EnterpriseOnly { last, .. } => format!("rehearse up --nomad-version {last}"),
            Self::Withdrawn { instead, .. } => format!("rehearse up --nomad-version {instead}"),
            Self::TooOld { .. } | Self::NoSuchVersion { .. } => {
                format!("rehearse up --nomad-version {}", newest())
            }
        }
    }
}

/// Returns the newest Community Edition version known here.
#[must_use]
pub fn newest() -> Version {
    let (major, minor, patch) = LAST_PATCHES[LAST_PATCHES.len() - 1];
    Version::new(major, minor, patch)
}

/// Returns the last known Community Edition patch of every minor version, oldest first.
#[must_use]
pub fn last_patches() -> Vec<Version> {
    LAST_PATCHES
        .iter()
        .map(|&(major, minor, patch)| Version::new(major, minor, patch))
        .collect()
}

/// Returns whether a version is an Enterprise build (`1.8.3+ent`, `1.8.3+ent.hsm`).
#[must_use]
pub fn is_enterprise(version: &Version) -> bool {
    version.build.as_str().split('.').next() == Some(ENTERPRISE)
}

/// Returns whether a version is of a line that was known when this was written. A newer one may
/// exist all the same: only the server can say.
#[must_use]
pub fn is_known(version: &Version) -> bool {
    let mut lines = LAST_PATCHES.iter();
    lines.any(|&(major, minor, _)| (major, minor) == (version.major, version.minor))
}

/// Checks that a release can exist.
///
/// # Errors
/// [`Unavailable`] when it is known not to, with what exists instead.
pub fn available(version: &Version, arch: Arch) -> Result<(), Unavailable> {
    check_version(version)?;
    check_withdrawn(version)?;
    check_arch(version, arch)
}

/// Returns what a user must know before running that release: known defects.
#[must_use]
pub fn cautions(version: &Version) -> Vec<String> {
    let mut cautions = Vec::new();
    let known = match (version.major, version.minor, version.patch) {
        (1, 2, 0 | 1) => Some(("its scheduler panics (issue 11563)", Version::new(1, 2, 2))),
        (1, 4, 0) => Some((
            "it panics on the keyring of an older server (rolling upgrades fail)",
            Version::new(1, 4, 1),
        )),
        (1, 7, 0 | 1) => Some((
            "keyring replication and the CPU fingerprint are broken",
            Version::new(1, 7, 2),
        )),
        _ => None,
    };
    if let Some((defect, instead)) = known {
        cautions.push(format!(
            "Nomad {version} is best avoided: {defect}; mended in {instead}"
        ));
    }
    cautions
}

/// Says which versions there are around one that does not exist.
#[must_use]
pub fn nearest(version: &Version) -> String {
    let wanted = (version.major, version.minor);
    let below = LAST_PATCHES
        .iter()
        .rev()
        .find(|&&(major, minor, _)| (major, minor) < wanted);
    let same = LAST_PATCHES
        .iter()
        .find(|&&(major, minor, _)| (major, minor) == wanted);
    let above = LAST_PATCHES
        .iter()
        .find(|&&(major, minor, _)| (major, minor) > wanted);
    let listed: Vec<String> = [below, same, above]
        .into_iter()
        .flatten()
        .map(|(major, minor, patch)| format!("`{major}.{minor}.{patch}`"))
        .collect();
    listed.join(", ")
}

fn check_version(version: &Version) -> Result<(), Unavailable> {
    if (version.major, version.minor) < (1, 1) {
        return Err(Unavailable::TooOld {
            version: version.clone(),
        });
    }
    let line = LAST_PATCHES
        .iter()
        .find(|&&(major, minor, _)| (major, minor) == (version.major, version.minor));
    match line {
        Some(&(major, minor, last))
            if version.patch > last
                && !is_enterprise(version)
                && !OPEN_LINES.contains(&(major, minor)) =>
        {
            Err(Unavailable::EnterpriseOnly {
                version: version.clone(),
                last: Version::new(major, minor, last),
            })
        }
        // A minor between two known ones was never made; one above all may come yet.
        None if version < &newest() => Err(Unavailable::NoSuchVersion {
            version: version.clone(),
            nearest: nearest(version),
        }),
        _ => Ok(()),
    }
}

fn check_withdrawn(version: &Version) -> Result<(), Unavailable> {
    if (version.major, version.minor, version.patch) == (1, 9, 2) {
        return Err(Unavailable::Withdrawn {
            version: version.clone(),
            reason: "it can lose the cluster's state",
            instead: Version::new(1, 9, 3),
        });
    }
    Ok(())
}

fn check_arch(version: &Version, arch: Arch) -> Result<(), Unavailable> {
    if arch != Arch::S390x {
        return Ok(());
    }
    let no_build = |exists: String| Unavailable::NoBuild {
        version: version.clone(),
        arch,
        exists,
    };
    let base = Version::new(version.major, version.minor, version.patch);
    if base < FIRST_S390X {
        return Err(no_build(format!(
            "s390x exists only as Enterprise build from `{FIRST_S390X}+ent` on (which needs a licence); Community Edition there must be compiled by yourself"
        )));
    }
    if !is_enterprise(version) {
        return Err(no_build(format!(
            "only `{base}+ent` is built for it (Enterprise, which needs a licence); Community Edition there must be compiled by yourself"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn every_known_last_patch_is_available_on_amd64_and_arm64() {
        for last in last_patches() {
            for arch in [Arch::Amd64, Arch::Arm64] {
                assert_eq!(available(&last, arch), Ok(()), "{last} {arch}");
            }
        }
    }

    #[test]
    fn s390x_is_enterprise_only_from_1_7() {
        for (text, exists) in [
            ("1.8.3", Some("`1.8.3+ent`")),
            ("1.6.10", Some("`1.7.0+ent`")),
            ("1.6.10+ent", Some("`1.7.0+ent`")),
            ("1.7.0+ent", None),
            ("2.0.5+ent", None),
        ] {
            let answer = available(&version(text), Arch::S390x);
            match exists {
                None => assert_eq!(answer, Ok(()), "{text}"),
                Some(named) => {
                    let error = answer.unwrap_err();
                    let said = error.to_string();
                    assert!(said.contains(named) && said.contains("licence"), "{said}");
                    assert!(error.hint().contains("--nomad-binary s390x="), "{error:?}");
                }
            }
        }
    }

    #[test]
    fn a_version_that_never_was_names_its_neighbours() {
        let said = available(&version("1.12.0"), Arch::Amd64)
            .unwrap_err()
            .to_string();
        assert_eq!(
            said,
            "Nomad `1.12.0` does not exist; there is `1.11.3`, `2.0.5`"
        );
    }

    #[test]
    fn a_patch_after_the_last_is_enterprise_where_the_line_is_closed() {
        let said = available(&version("1.8.5"), Arch::Amd64)
            .unwrap_err()
            .to_string();
        assert!(said.contains("`1.8.4`"), "{said}");
        assert_eq!(available(&version("1.8.5+ent"), Arch::Amd64), Ok(()));
    }

    #[test]
    fn what_is_newer_than_the_table_is_left_to_the_server() {
        for text in ["1.11.4", "2.0.6", "2.1.0", "3.0.0", "2.1.0-beta.1"] {
            assert_eq!(available(&version(text), Arch::Amd64), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_withdrawn_version_is_refused_and_a_bad_one_warned_of() {
        let error = available(&version("1.9.2"), Arch::Amd64).unwrap_err();
        assert!(matches!(error, Unavailable::Withdrawn { .. }), "{error}");
        for text in ["1.2.0", "1.2.1", "1.4.0", "1.7.0", "1.7.1"] {
            assert_eq!(available(&version(text), Arch::Amd64), Ok(()), "{text}");
            assert_eq!(cautions(&version(text)).len(), 1, "{text}");
        }
        assert!(cautions(&version("1.7.2")).is_empty());
    }

    #[test]
    fn before_1_1_nothing_is_offered() {
        let error = available(&version("1.0.18"), Arch::Amd64).unwrap_err();
        assert!(matches!(error, Unavailable::TooOld { .. }), "{error}");
    }
}
