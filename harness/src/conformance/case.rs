//! What a case is: a law with a name, a section of the facts, versions, and a check.

use std::fmt;

use futures::future::BoxFuture;
use semver::Version;

use super::ground::Ground;
use crate::nomad::ApiError;
use crate::poll::PollError;

/// A law was not kept, or could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// What was expected, and what was seen.
    pub seen: String,
    /// Whether the cluster said that it does not simulate this.
    pub not_simulated: bool,
}

impl Broken {
    /// Says what was expected and what was seen.
    pub(super) fn new(seen: impl Into<String>) -> Self {
        Self {
            seen: seen.into(),
            not_simulated: false,
        }
    }
}

impl From<ApiError> for Broken {
    fn from(error: ApiError) -> Self {
        Self {
            not_simulated: error.status() == Some(501),
            seen: error.to_string(),
        }
    }
}

impl From<PollError> for Broken {
    fn from(error: PollError) -> Self {
        Self::new(error.to_string())
    }
}

/// How a check ends.
pub type Law = Result<(), Broken>;

/// A check, as a table holds it.
type Check = for<'a> fn(&'a Ground) -> BoxFuture<'a, Law>;

/// One law, and how it is checked.
#[derive(Clone, Copy)]
pub struct Case {
    /// The law, as `a_stopped_job_is_dead`.
    pub name: &'static str,
    /// Its heading in `docs/nomad-facts.md`.
    pub section: &'static str,
    /// The first version of Nomad that keeps it, where not all do.
    pub since: Option<(u64, u64, u64)>,
    /// The first version that does not keep it any more.
    pub until: Option<(u64, u64, u64)>,
    /// Whether it disturbs others.
    pub alone: bool,
    pub(super) check: Check,
}

impl Case {
    pub(super) const fn new(section: &'static str, name: &'static str, check: Check) -> Self {
        Self {
            name,
            section,
            since: None,
            until: None,
            alone: false,
            check,
        }
    }

    /// Gates it: no older Nomad keeps it.
    pub(super) const fn since(mut self, major: u64, minor: u64, patch: u64) -> Self {
        self.since = Some((major, minor, patch));
        self
    }

    /// Gates it: from this version on Nomad does otherwise.
    pub(super) const fn until(mut self, major: u64, minor: u64, patch: u64) -> Self {
        self.until = Some((major, minor, patch));
        self
    }

    /// It changes what others see: nothing else runs beside it.
    pub(super) const fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// Returns why a version is not bound by this law; `None` where it is.
    #[must_use]
    pub fn exempt(&self, version: &Version) -> Option<String> {
        let of = |(major, minor, patch): (u64, u64, u64)| Version::new(major, minor, patch);
        if let Some(since) = self.since.map(of).filter(|since| version < since) {
            return Some(format!("holds from Nomad {since} on"));
        }
        let until = self.until.map(of).filter(|until| version >= until);
        until.map(|until| format!("held before Nomad {until}"))
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Case({})", self.name)
    }
}

/// A line of a table: the function's own name is the law's.
macro_rules! law {
    ($name:ident) => {
        $crate::conformance::case::Case::new(SECTION, stringify!($name), |ground| {
            Box::pin($name(ground))
        })
    };
}
pub(super) use law;

/// Breaks the law unless something is so; the rest says what was seen.
macro_rules! demand {
    ($so:expr, $($seen:tt)+) => {
        let so: bool = $so;
        if !so {
            return Err($crate::conformance::case::Broken::new(format!($($seen)+)));
        }
    };
}
pub(super) use demand;
