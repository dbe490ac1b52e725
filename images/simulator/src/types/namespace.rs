//! Namespaces: each has jobs, variables and services of its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct Namespace {
    pub name: String,
    pub description: String,
    pub capabilities: Option<NamespaceCapabilities>,
    pub meta: Option<BTreeMap<String, String>>,
    pub create_index: u64,
    pub modify_index: u64,
}

impl Namespace {
    /// The one that every cluster has from its start.
    #[must_use]
    pub fn of_the_start() -> Self {
        Self {
            name: "default".to_owned(),
            description: "Default shared namespace".to_owned(),
            create_index: 1,
            modify_index: 1,
            ..Self::default()
        }
    }

    /// Whether a task of this driver may be in it.
    #[must_use]
    pub fn takes_driver(&self, driver: &str) -> bool {
        let Some(rules) = &self.capabilities else {
            return true;
        };
        let names = |list: &Option<Vec<String>>| list.iter().flatten().any(|one| one == driver);
        let enabled = &rules.enabled_task_drivers;
        let allowed = enabled.as_ref().is_none_or(Vec::is_empty) || names(enabled);
        allowed && !names(&rules.disabled_task_drivers)
    }
}

/// What jobs of a namespace may use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct NamespaceCapabilities {
    pub enabled_task_drivers: Option<Vec<String>>,
    pub disabled_task_drivers: Option<Vec<String>>,
}
