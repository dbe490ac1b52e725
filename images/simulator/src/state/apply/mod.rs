//! Applying log entries: the only place where [`State`] changes.
//!
//! The rules are those of Nomad's state store (`nomad/state/state_store.go`): which indexes an
//! object gets, when a job's version goes up, how a deployment's counters follow its
//! allocations. A command that cannot be applied as it stands changes nothing and says why in
//! [`Applied::refused`].

mod acl;
mod allocs;
mod deployments;
mod evals;
mod jobs;
mod namespaces;
mod nodes;
mod root_keys;
mod services;
#[cfg(test)]
mod tests;
mod variables;

use super::{Applied, ArchiveError, Command, State, Table, unwrap};
use crate::plant::{self, Plant};

/// Why a command changed nothing.
type Refusal = String;

impl State {
    /// Applies one log entry. The same entries in the same order give the same state on every
    /// server: nothing here reads a clock, draws a number or looks outside.
    ///
    /// `raft_index` is the entry's own; the API's indexes are ahead of it after a restore.
    pub fn apply(&mut self, raft_index: u64, command: &Command) -> Applied {
        let index = self.pass(raft_index).index;
        if let Command::Restore { archive } = command {
            return self.restore(raft_index, unwrap(archive));
        }
        let refused = self.change(index, command).err();
        self.follow_services(index);
        Applied { index, refused }
    }

    /// Takes note of an entry that changes nothing.
    pub fn pass(&mut self, raft_index: u64) -> Applied {
        self.index = raft_index + self.index_shift;
        Applied {
            index: self.index,
            refused: None,
        }
    }

    /// Takes over all of a snapshot's tables. As in Raft's user restore, the next index is
    /// beyond all that the snapshot and this cluster have used, so none is used twice.
    ///
    /// Apart from [`Self::apply`], so that a large one can be unpacked before the state is held.
    pub fn restore(&mut self, raft_index: u64, snapshot: Result<Self, ArchiveError>) -> Applied {
        let passed = self.pass(raft_index);
        let snapshot = match snapshot {
            Ok(snapshot) => snapshot,
            Err(problem) => {
                return Applied {
                    refused: Some(problem.to_string()),
                    ..passed
                };
            }
        };
        let index = self.index.max(snapshot.index + 1);
        let restores = self.restores + 1;
        *self = snapshot;
        self.index = index;
        self.index_shift = index - raft_index;
        self.restores = restores;
        if plant::is(Plant::RestoreDropsJobs) {
            self.jobs.clear();
        }
        Applied {
            index,
            refused: None,
        }
    }

    fn change(&mut self, index: u64, command: &Command) -> Result<(), Refusal> {
        match command {
            // Restoring is no part of a batch: nothing proposes it so.
            Command::Barrier | Command::Restore { .. } => Ok(()),
            Command::Batch { commands } => {
                let mut first = Ok(());
                for command in commands {
                    first = first.and(self.change(index, command));
                }
                first
            }
            Command::NodeRegister { .. }
            | Command::NodeStatus { .. }
            | Command::NodeEligibility { .. }
            | Command::NodeDrain { .. }
            | Command::NodeDeregister { .. } => self.change_nodes(index, command),
            Command::JobRegister { .. }
            | Command::ScalingEvent { .. }
            | Command::JobDeregister { .. }
            | Command::JobStable { .. } => self.change_jobs(index, command),
            Command::EvalUpsert { evals } => {
                self.upsert_evals(index, evals);
                Ok(())
            }
            Command::PlanResult { plan, now } => self.apply_plan(index, plan, *now),
            Command::AllocClientUpdate { .. }
            | Command::AllocTransition { .. }
            | Command::AllocServerStatus { .. } => self.change_allocs(index, command),
            Command::DeploymentStatus { .. }
            | Command::DeploymentPromote { .. }
            | Command::DeploymentHealth { .. } => self.change_deployments(index, command),
            Command::AclBootstrap { .. }
            | Command::AclTokenUpsert { .. }
            | Command::AclTokenDelete { .. }
            | Command::AclPolicyUpsert { .. }
            | Command::AclPolicyDelete { .. }
            | Command::AclRoleUpsert { .. }
            | Command::AclRoleDelete { .. } => self.change_acl(index, command),
            Command::VariableSet { .. } | Command::VariableDelete { .. } => {
                self.change_variables(index, command)
            }
            Command::NamespaceUpsert { namespaces } => self.put_namespaces(index, namespaces),
            Command::NamespaceDelete { names } => self.delete_namespaces(index, names),
            Command::RootKeyRotate { key } => {
                self.rotate_root_key(index, key);
                Ok(())
            }
            Command::RootKeyDelete { id } => self.delete_root_key(index, id),
            Command::ServiceDelete { ids } => self.delete_services(index, ids),
            Command::Autopilot { config, cas } => {
                let stored = replaced(self.autopilot.as_ref(), config, *cas, index)?;
                self.autopilot = Some(stored);
                self.touch(Table::Autopilot, index);
                Ok(())
            }
            Command::SchedulerConfig { config, cas } => {
                let stored = replaced(self.scheduler_config.as_ref(), config, *cas, index)?;
                self.scheduler_config = Some(stored);
                self.touch(Table::SchedulerConfig, index);
                Ok(())
            }
            Command::Reap {
                evals,
                allocs,
                deployments,
                jobs,
            } => {
                self.reap(index, evals, allocs, deployments, jobs);
                Ok(())
            }
        }
    }

    /// Notes that `table` changed.
    fn touch(&mut self, table: Table, index: u64) {
        self.table_index.insert(table, index);
    }

    fn reap(
        &mut self,
        index: u64,
        evals: &[String],
        allocs: &[String],
        deployments: &[String],
        jobs: &[String],
    ) {
        let mut gone = [false; 4];
        for id in evals {
            gone[0] |= self.evals.remove(id).is_some();
        }
        for id in allocs {
            gone[1] |= self.allocs.remove(id).is_some();
        }
        for id in deployments {
            gone[2] |= self.deployments.remove(id).is_some();
        }
        for key in jobs {
            self.job_versions.remove(key);
            self.job_submissions.remove(key);
            self.periodic_launches.remove(key);
            self.scaling_events.remove(key);
            gone[3] |= self.jobs.remove(key).is_some();
        }
        let tables = [Table::Evals, Table::Allocs, Table::Deployments, Table::Jobs];
        for (table, gone) in tables.into_iter().zip(gone) {
            if gone {
                self.touch(table, index);
            }
        }
    }
}

/// A configuration with its indexes set, unless check-and-set says that somebody was faster.
fn replaced(
    old: Option<&serde_json::Value>,
    new: &serde_json::Value,
    cas: Option<u64>,
    index: u64,
) -> Result<serde_json::Value, Refusal> {
    let number = |key: &str| old.and_then(|old| old.get(key)?.as_u64());
    let seen = number("ModifyIndex").unwrap_or(0);
    if let Some(cas) = cas.filter(|cas| *cas != seen) {
        return Err(format!("check-and-set at {cas}, stored at {seen}"));
    }
    let mut stored = new.clone();
    if let Some(fields) = stored.as_object_mut() {
        let created = number("CreateIndex").unwrap_or(index);
        fields.insert("CreateIndex".to_owned(), created.into());
        fields.insert("ModifyIndex".to_owned(), index.into());
    }
    Ok(stored)
}
