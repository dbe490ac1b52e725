//! The small policy blocks: `update`, `restart`, `reschedule`, `migrate`, `constraint`,
//! `affinity`, `spread`, `logs`.
//!
//! A policy may be written in parts on the job and on the group; what is unset comes from the
//! outer one, then from Nomad's defaults for the job's type.

use super::reader::BlockReader;
use crate::types::{
    Affinity, Constraint, Disconnect, JobType, LogConfig, MigrateStrategy, Nanos, ReschedulePolicy,
    RestartPolicy, SECOND, Spread, SpreadTarget, UpdateStrategy,
};

/// `update` as far as it is written.
#[derive(Clone, Debug, Default)]
pub(super) struct PartialUpdate {
    stagger: Option<Nanos>,
    max_parallel: Option<i64>,
    health_check: Option<String>,
    min_healthy_time: Option<Nanos>,
    healthy_deadline: Option<Nanos>,
    progress_deadline: Option<Nanos>,
    auto_revert: Option<bool>,
    auto_promote: Option<bool>,
    canary: Option<i64>,
}

impl PartialUpdate {
    /// Reads the block of `parent`, if there is one.
    pub(super) fn read(parent: &BlockReader<'_>) -> Option<Self> {
        let block = parent.block("update")?;
        block.no_label();
        let read = Self {
            stagger: block.duration("stagger"),
            max_parallel: block.int("max_parallel"),
            health_check: block.string("health_check"),
            min_healthy_time: block.duration("min_healthy_time"),
            healthy_deadline: block.duration("healthy_deadline"),
            progress_deadline: block.duration("progress_deadline"),
            auto_revert: block.bool("auto_revert"),
            auto_promote: block.bool("auto_promote"),
            canary: block.int("canary"),
        };
        block.finish();
        Some(read)
    }

    /// What is set here, and below it what `outer` set.
    pub(super) fn or(self, outer: Option<&Self>) -> Self {
        let Some(outer) = outer.cloned() else {
            return self;
        };
        Self {
            stagger: self.stagger.or(outer.stagger),
            max_parallel: self.max_parallel.or(outer.max_parallel),
            health_check: self.health_check.or(outer.health_check),
            min_healthy_time: self.min_healthy_time.or(outer.min_healthy_time),
            healthy_deadline: self.healthy_deadline.or(outer.healthy_deadline),
            progress_deadline: self.progress_deadline.or(outer.progress_deadline),
            auto_revert: self.auto_revert.or(outer.auto_revert),
            auto_promote: self.auto_promote.or(outer.auto_promote),
            canary: self.canary.or(outer.canary),
        }
    }

    /// The rest from Nomad's defaults.
    pub(super) fn complete(self) -> UpdateStrategy {
        let d = UpdateStrategy::default();
        UpdateStrategy {
            stagger: self.stagger.unwrap_or(d.stagger),
            max_parallel: self.max_parallel.unwrap_or(d.max_parallel),
            health_check: self.health_check.unwrap_or(d.health_check),
            min_healthy_time: self.min_healthy_time.unwrap_or(d.min_healthy_time),
            healthy_deadline: self.healthy_deadline.unwrap_or(d.healthy_deadline),
            progress_deadline: self.progress_deadline.unwrap_or(d.progress_deadline),
            auto_revert: self.auto_revert.unwrap_or(d.auto_revert),
            auto_promote: self.auto_promote.unwrap_or(d.auto_promote),
            canary: self.canary.unwrap_or(d.canary),
        }
    }
}

/// `restart`, completed from `outer` (a task's from its group's).
pub(super) fn restart(parent: &BlockReader<'_>, outer: &RestartPolicy) -> Option<RestartPolicy> {
    let block = parent.block("restart")?;
    block.no_label();
    block.refuse(&["render_templates"]);
    let policy = RestartPolicy {
        attempts: block.int("attempts").unwrap_or(outer.attempts),
        interval: block.duration("interval").unwrap_or(outer.interval),
        delay: block.duration("delay").unwrap_or(outer.delay),
        mode: block.string("mode").unwrap_or_else(|| outer.mode.clone()),
    };
    block.finish();
    Some(policy)
}

/// Nomad's restart defaults per type (facts in its documentation of `restart`).
pub(super) fn default_restart(job_type: JobType) -> RestartPolicy {
    let (attempts, interval) = match job_type {
        JobType::Service | JobType::System => (2, 1800 * SECOND),
        JobType::Batch | JobType::Sysbatch => (3, 24 * 3600 * SECOND),
    };
    RestartPolicy {
        attempts,
        interval,
        delay: 15 * SECOND,
        mode: "fail".to_owned(),
    }
}

/// `reschedule`, completed from `outer`.
pub(super) fn reschedule(
    parent: &BlockReader<'_>,
    outer: &ReschedulePolicy,
) -> Option<ReschedulePolicy> {
    let block = parent.block("reschedule")?;
    block.no_label();
    let policy = ReschedulePolicy {
        attempts: block.int("attempts").unwrap_or(outer.attempts),
        interval: block.duration("interval").unwrap_or(outer.interval),
        delay: block.duration("delay").unwrap_or(outer.delay),
        delay_function: block
            .string("delay_function")
            .unwrap_or_else(|| outer.delay_function.clone()),
        max_delay: block.duration("max_delay").unwrap_or(outer.max_delay),
        unlimited: block.bool("unlimited").unwrap_or(outer.unlimited),
    };
    block.finish();
    Some(policy)
}

/// Nomad's reschedule defaults per type; system and sysbatch jobs are not rescheduled.
pub(super) fn default_reschedule(job_type: JobType) -> Option<ReschedulePolicy> {
    match job_type {
        JobType::Service => Some(ReschedulePolicy {
            attempts: 0,
            interval: 0,
            delay: 30 * SECOND,
            delay_function: "exponential".to_owned(),
            max_delay: 3600 * SECOND,
            unlimited: true,
        }),
        JobType::Batch => Some(ReschedulePolicy {
            attempts: 1,
            interval: 24 * 3600 * SECOND,
            delay: 5 * SECOND,
            delay_function: "constant".to_owned(),
            max_delay: 0,
            unlimited: false,
        }),
        JobType::System | JobType::Sysbatch => None,
    }
}

/// `migrate`, completed from `outer`.
pub(super) fn migrate(
    parent: &BlockReader<'_>,
    outer: &MigrateStrategy,
) -> Option<MigrateStrategy> {
    let block = parent.block("migrate")?;
    block.no_label();
    let policy = MigrateStrategy {
        max_parallel: block.int("max_parallel").unwrap_or(outer.max_parallel),
        health_check: block
            .string("health_check")
            .unwrap_or_else(|| outer.health_check.clone()),
        min_healthy_time: block
            .duration("min_healthy_time")
            .unwrap_or(outer.min_healthy_time),
        healthy_deadline: block
            .duration("healthy_deadline")
            .unwrap_or(outer.healthy_deadline),
    };
    block.finish();
    Some(policy)
}

/// `disconnect` of a group.
pub(super) fn disconnect(group: &BlockReader<'_>) -> Option<Disconnect> {
    let block = group.block("disconnect")?;
    block.no_label();
    let read = Disconnect {
        lost_after: block.duration("lost_after"),
        stop_on_client_after: block.duration("stop_on_client_after"),
        replace: block.bool("replace"),
        reconcile: block.string("reconcile").unwrap_or_default(),
    };
    block.finish();
    Some(read)
}

/// Nomad's default: one at a time, 10 s healthy, within 5 min; only service jobs have it.
pub(super) fn default_migrate() -> MigrateStrategy {
    MigrateStrategy {
        max_parallel: 1,
        health_check: "checks".to_owned(),
        min_healthy_time: 10 * SECOND,
        healthy_deadline: 300 * SECOND,
    }
}

/// Operands that have an attribute of their own (`distinct_hosts = true`, `version = ">= 1"`).
const OPERAND_ATTRIBUTES: &[&str] = &[
    "version",
    "semver",
    "regexp",
    "distinct_property",
    "set_contains",
    "set_contains_any",
    "set_contains_all",
];

/// Target, value and operand of a `constraint` or `affinity` block.
fn condition(block: &BlockReader<'_>) -> Constraint {
    block.no_label();
    let mut found = Constraint {
        l_target: block.string("attribute").unwrap_or_default(),
        r_target: block.string("value").unwrap_or_default(),
        operand: block.string("operator").unwrap_or_default(),
    };
    for name in OPERAND_ATTRIBUTES {
        let Some(value) = block.string(name) else {
            continue;
        };
        (*name).clone_into(&mut found.operand);
        if *name == "distinct_property" {
            found.l_target = value;
        } else {
            found.r_target = value;
        }
    }
    found
}

/// All `constraint` blocks of `parent`; `None` where there is none.
pub(super) fn constraints(parent: &BlockReader<'_>) -> Option<Vec<Constraint>> {
    let mut all = Vec::new();
    for block in parent.blocks("constraint") {
        let mut found = condition(&block);
        if let Some(wanted) = block.bool("distinct_hosts") {
            "distinct_hosts".clone_into(&mut found.operand);
            found.r_target = wanted.to_string();
        }
        if found.operand.is_empty() {
            "=".clone_into(&mut found.operand);
        }
        block.finish();
        all.push(found);
    }
    (!all.is_empty()).then_some(all)
}

/// All `affinity` blocks of `parent`.
pub(super) fn affinities(parent: &BlockReader<'_>) -> Option<Vec<Affinity>> {
    let mut all = Vec::new();
    for block in parent.blocks("affinity") {
        let found = condition(&block);
        let operand = match found.operand.as_str() {
            "" => "=".to_owned(),
            other => other.to_owned(),
        };
        let weight = block.int("weight").unwrap_or(50);
        block.finish();
        all.push(Affinity {
            l_target: found.l_target,
            r_target: found.r_target,
            operand,
            weight,
        });
    }
    (!all.is_empty()).then_some(all)
}

/// All `spread` blocks of `parent`.
pub(super) fn spreads(parent: &BlockReader<'_>) -> Option<Vec<Spread>> {
    let mut all = Vec::new();
    for block in parent.blocks("spread") {
        block.no_label();
        let attribute = block.string("attribute").unwrap_or_default();
        let weight = block.int("weight").unwrap_or(50);
        let mut targets = Vec::new();
        for target in block.blocks("target") {
            let label = target.label();
            let percent = target.int("percent").unwrap_or(0);
            let percent = u8::try_from(percent).unwrap_or_else(|_| {
                target.problem_at("percent", "`percent` must be between 0 and 100");
                0
            });
            targets.push(SpreadTarget {
                value: target.string("value").unwrap_or(label),
                percent,
            });
            target.finish();
        }
        block.finish();
        all.push(Spread {
            attribute,
            weight,
            spread_target: (!targets.is_empty()).then_some(targets),
        });
    }
    (!all.is_empty()).then_some(all)
}

/// `logs` of a task.
pub(super) fn logs(parent: &BlockReader<'_>) -> Option<LogConfig> {
    let block = parent.block("logs")?;
    block.no_label();
    block.refuse(&["disabled", "enabled"]);
    let default = default_logs();
    let config = LogConfig {
        max_files: block.int("max_files").unwrap_or(default.max_files),
        max_file_size_mb: block
            .int("max_file_size")
            .unwrap_or(default.max_file_size_mb),
    };
    block.finish();
    Some(config)
}

/// Nomad's default: ten files of 10 MiB.
pub(super) fn default_logs() -> LogConfig {
    LogConfig {
        max_files: 10,
        max_file_size_mb: 10,
    }
}
