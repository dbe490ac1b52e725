//! A fact and the place that says it.

use serde::Serialize;

use crate::terraform::source::Site;
use crate::terraform::value::Value;

/// What is said about something, and where.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Fact<T> {
    /// It is known.
    Known {
        /// What it is.
        value: T,
        /// Where it is said.
        site: Site,
    },
    /// It is said, but what it says is known to AWS alone.
    Unknown {
        /// How the configuration writes it.
        expression: String,
        /// Where it is said.
        site: Site,
    },
    /// Nothing is said: AWS's or the provider's default holds.
    Absent,
}

impl<T> Fact<T> {
    /// Reads a fact from a value.
    pub(super) fn read(
        value: Option<&Value>,
        site: &Site,
        convert: impl Fn(&Value) -> Option<T>,
    ) -> Self {
        match value {
            None | Some(Value::Null) => Self::Absent,
            Some(value) => match convert(value) {
                Some(value) => Self::Known {
                    value,
                    site: site.clone(),
                },
                None => {
                    let expression = value
                        .unknown("a part of it")
                        .map_or_else(|| value.to_json().to_string(), |unknown| unknown.expression);
                    Self::Unknown {
                        expression,
                        site: site.clone(),
                    }
                }
            },
        }
    }

    /// Returns what is known.
    #[must_use]
    pub fn known(&self) -> Option<&T> {
        if let Self::Known { value, .. } = self {
            Some(value)
        } else {
            None
        }
    }

    /// Returns where it is said.
    #[must_use]
    pub fn site(&self) -> Option<&Site> {
        match self {
            Self::Known { site, .. } | Self::Unknown { site, .. } => Some(site),
            Self::Absent => None,
        }
    }
}

impl Fact<String> {
    pub(super) fn text(value: Option<&Value>, site: &Site) -> Self {
        Self::read(value, site, Value::to_text)
    }
}

impl<T: std::fmt::Display> std::fmt::Display for Fact<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Known { value, .. } => write!(f, "{value}"),
            Self::Unknown { expression, .. } => write!(f, "<{expression}>"),
            Self::Absent => f.write_str("-"),
        }
    }
}
