//! `periodic`, `parameterized` and `scaling`.

use super::reader::BlockReader;
use crate::types::{Parameterized, Periodic, Scaling};

/// `periodic` of a job.
pub(super) fn periodic(job: &BlockReader<'_>) -> Option<Periodic> {
    let block = job.block("periodic")?;
    block.no_label();
    let default = Periodic::default();
    let read = Periodic {
        enabled: block.bool("enabled").unwrap_or(default.enabled),
        spec: block.string("cron").unwrap_or_default(),
        specs: block.strings("crons"),
        prohibit_overlap: block.bool("prohibit_overlap").unwrap_or(false),
        time_zone: block.string("time_zone").unwrap_or(default.time_zone),
        spec_type: default.spec_type,
    };
    block.finish();
    Some(read)
}

/// `parameterized` of a job.
pub(super) fn parameterized(job: &BlockReader<'_>) -> Option<Parameterized> {
    let block = job.block("parameterized")?;
    block.no_label();
    let read = Parameterized {
        payload: block
            .string("payload")
            .unwrap_or(Parameterized::default().payload),
        meta_required: block.strings("meta_required"),
        meta_optional: block.strings("meta_optional"),
    };
    block.finish();
    Some(read)
}

/// `scaling` of a group. Its `policy` is an autoscaler's own.
pub(super) fn scaling(group: &BlockReader<'_>) -> Option<Scaling> {
    let block = group.block("scaling")?;
    block.no_label();
    let read = Scaling {
        min: block.int("min"),
        max: block.int("max"),
        enabled: block.bool("enabled"),
        policy: block.json("policy"),
        ..Scaling::default()
    };
    block.finish();
    Some(read)
}
