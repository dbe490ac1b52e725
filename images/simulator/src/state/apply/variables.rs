//! Variables.

use std::sync::Arc;

use super::Refusal;
use crate::plant::{self, Plant};
use crate::state::{Command, State, Table};

impl State {
    pub(super) fn change_variables(
        &mut self,
        index: u64,
        command: &Command,
    ) -> Result<(), Refusal> {
        match command {
            Command::VariableSet { variable, cas } => {
                let key = Self::job_key(&variable.namespace, &variable.path);
                self.is_unchanged(&key, *cas)?;
                let mut stored = variable.clone();
                stored.create_index = index;
                stored.modify_index = index;
                if let Some(old) = self.variables.get(&key) {
                    stored.create_index = old.create_index;
                    stored.create_time = old.create_time;
                }
                self.variables.insert(key, Arc::new(stored));
            }
            Command::VariableDelete {
                namespace,
                path,
                cas,
            } => {
                let key = Self::job_key(namespace, path);
                self.is_unchanged(&key, *cas)?;
                self.variables.remove(&key);
            }
            other => unreachable!("not about variables: {other:?}"),
        }
        self.touch(Table::Variables, index);
        Ok(())
    }

    /// Check-and-set: the index that the asker knows must be the stored one, 0 where none is.
    fn is_unchanged(&self, key: &str, cas: Option<u64>) -> Result<(), Refusal> {
        let stored = self.variables.get(key).map_or(0, |v| v.modify_index);
        let cas = cas.filter(|_| !plant::is(Plant::CasIgnored));
        match cas.filter(|cas| *cas != stored) {
            Some(cas) => Err(format!("cas error: expected {cas}, stored at {stored}")),
            None => Ok(()),
        }
    }
}
