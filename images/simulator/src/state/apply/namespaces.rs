//! Namespaces.

use std::sync::Arc;

use super::Refusal;
use crate::state::{State, Table};
use crate::types::{JobStatus, Namespace};

impl State {
    pub(super) fn put_namespaces(
        &mut self,
        index: u64,
        namespaces: &[Namespace],
    ) -> Result<(), Refusal> {
        for namespace in namespaces {
            let mut stored = namespace.clone();
            let old = self.namespace(&stored.name);
            stored.create_index = old.map_or(index, |old| old.create_index);
            stored.modify_index = index;
            let name = stored.name.clone();
            self.namespaces.insert(name, Arc::new(stored));
        }
        self.touch(Table::Namespaces, index);
        Ok(())
    }

    /// Whoever asked has looked already; what came in meanwhile is found here.
    pub(super) fn delete_namespaces(
        &mut self,
        index: u64,
        names: &[String],
    ) -> Result<(), Refusal> {
        for name in names {
            if !self.namespaces.contains_key(name) {
                return Err("namespace not found".to_owned());
            }
            let mut jobs = self.jobs.values().filter(|job| job.namespace == *name);
            if let Some(job) = jobs.find(|job| job.status != JobStatus::Dead) {
                return Err(format!(
                    "namespace {name:?} contains at least one non-terminal job {:?}. All jobs must \
                     be terminal in namespace before it can be deleted",
                    job.id
                ));
            }
            if self.variables.values().any(|one| one.namespace == *name) {
                return Err(format!(
                    "namespace {name:?} contains at least one variable. All variables in namespace \
                     must be deleted before it can be deleted"
                ));
            }
        }
        self.namespaces.retain(|name, _| !names.contains(name));
        self.touch(Table::Namespaces, index);
        Ok(())
    }
}
