//! What Nomad's servers refuse in blocks that the simulated agent does not read: disks, volumes,
//! artifacts, shares of a machine. Only values that are written out are judged.

use hcl_edit::Span as _;
use hcl_edit::expr::Expression;
use hcl_edit::structure::{Block, Body};

use super::meaning::{is_made, place, text};
use super::{About, Notes, Severity};

/// What a group's disk has unless it says otherwise (`DefaultEphemeralDisk`), in MB.
const DISK_MB: i64 = 300;

/// Files of a task's logs, and the size of each in MB, unless it says otherwise (`DefaultLogConfig`).
const LOG_FILES: i64 = 10;
const LOG_FILE_MB: i64 = 10;

/// Memory of a task unless it says otherwise (`DefaultResources`), in MB.
const MEMORY_MB: i64 = 300;

/// Judges a whole file.
pub(super) fn judge(body: &Body, notes: &mut Notes<'_>) {
    for job in body.get_blocks("job") {
        for group in job.body.get_blocks("group") {
            let disk = disk(group, notes);
            volumes(group, notes);
            for task in group.body.get_blocks("task") {
                mounts(group, task, notes);
                logs(group, task, disk, notes);
                of_task(task, notes);
            }
        }
        for task in job.body.get_blocks("task") {
            of_task(task, notes);
        }
    }
}

/// A whole number that is written out, the default where nothing is; none for an expression.
fn number(block: Option<&Block>, name: &str, default: i64) -> Option<i64> {
    let Some(attribute) = block.and_then(|block| block.body.get_attribute(name)) else {
        return Some(default);
    };
    match &attribute.value {
        Expression::Number(number) => number.value().as_i64(),
        Expression::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn start(block: &Block) -> usize {
    block.ident.span().map_or(0, |span| span.start)
}

fn refuse(block: &Block, name: &str, message: impl Into<String>, notes: &mut Notes<'_>) {
    notes.error(place(block, name), About::Values, message);
}

/// The size of a group's disk, if it is known.
fn disk(group: &Block, notes: &mut Notes<'_>) -> Option<i64> {
    let block = group.body.get_blocks("ephemeral_disk").next();
    let size = number(block, "size", DISK_MB)?;
    if let Some(block) = block
        && size < 10
    {
        let message = format!("minimum DiskMB value is 10; got {size}");
        refuse(block, "size", message, notes);
    }
    Some(size)
}

/// Whether a task's logs have room on the disk.
fn logs(group: &Block, task: &Block, disk: Option<i64>, notes: &mut Notes<'_>) {
    let block = task.body.get_blocks("logs").next();
    let files = number(block, "max_files", LOG_FILES);
    let size = number(block, "max_file_size", LOG_FILE_MB);
    let (Some(disk), Some(files), Some(size)) = (disk, files, size) else {
        return;
    };
    let logs = files.saturating_mul(size);
    if disk > logs {
        return;
    }
    let ephemeral = group.body.get_blocks("ephemeral_disk").next();
    let at = block.or(ephemeral).map_or_else(|| start(task), start);
    let message = format!(
        "log storage ({logs} MB) must be less than requested disk capacity ({disk} MB): \
         `max_files` times `max_file_size` in `logs`, and `size` in `ephemeral_disk`"
    );
    notes.error(at, About::Values, message);
}

fn volumes(group: &Block, notes: &mut Notes<'_>) {
    for volume in group.body.get_blocks("volume") {
        if is_dropped(volume) {
            let kind = text(volume, "type").unwrap_or_default();
            let message = format!(
                "Nomad drops a volume of type {kind:?} without a word, expected host or csi"
            );
            let at = place(volume, "type");
            notes.tell(at, Severity::Warning, About::Values, message);
            continue;
        }
        if text(volume, "source") == Some("") || !volume.body.has_attribute("source") {
            refuse(volume, "source", "volume has an empty source", notes);
        }
    }
}

/// Whether its type is none that Nomad knows.
fn is_dropped(volume: &Block) -> bool {
    match text(volume, "type") {
        Some(kind) => !matches!(kind, "host" | "csi"),
        None => !volume.body.has_attribute("type"),
    }
}

fn mounts(group: &Block, task: &Block, notes: &mut Notes<'_>) {
    let volumes = group.body.get_blocks("volume");
    let known: Vec<&str> = volumes
        .filter(|volume| !is_dropped(volume))
        .filter_map(|volume| Some(volume.labels.first()?.as_str()))
        .collect();
    if is_made(group, "volume") {
        return;
    }
    for mount in task.body.get_blocks("volume_mount") {
        let is_said = mount.body.has_attribute("volume");
        match text(mount, "volume") {
            Some(volume) if !volume.is_empty() && !known.contains(&volume) => {
                let hint = crate::grammar::suggest(volume, known.iter().copied());
                let message = format!("volume mount references undefined volume `{volume}`{hint}");
                refuse(mount, "volume", message, notes);
            }
            named if named == Some("") || !is_said => {
                let message = "volume mount references an empty volume";
                refuse(mount, "volume", message, notes);
            }
            _ => {}
        }
    }
}

fn of_task(task: &Block, notes: &mut Notes<'_>) {
    for artifact in task.body.get_blocks("artifact") {
        of_artifact(artifact, notes);
    }
    for resources in task.body.get_blocks("resources") {
        of_resources(resources, notes);
    }
}

fn of_artifact(artifact: &Block, notes: &mut Notes<'_>) {
    if text(artifact, "source") == Some("") || !artifact.body.has_attribute("source") {
        let message = "source must be specified in `artifact`";
        refuse(artifact, "source", message, notes);
    }
    if let Some(mode) = text(artifact, "mode")
        && !matches!(mode, "" | "any" | "file" | "dir")
    {
        let message = format!("invalid artifact mode {mode:?}; must be one of: any, file, dir");
        refuse(artifact, "mode", message, notes);
    }
    if text(artifact, "destination").is_some_and(agent::jobspec::escapes) {
        let message = "destination escapes allocation directory";
        refuse(artifact, "destination", message, notes);
    }
}

fn of_resources(resources: &Block, notes: &mut Notes<'_>) {
    let cores = number(Some(resources), "cores", 0);
    let cpu = number(Some(resources), "cpu", 0);
    if let (Some(1..), Some(1..)) = (cores, cpu) {
        let message = "Task can only ask for 'cpu' or 'cores' resource, not both.";
        refuse(resources, "cores", message, notes);
    }
    let most = number(Some(resources), "memory_max", 0);
    let least = number(Some(resources), "memory", MEMORY_MB);
    if let (Some(most @ 1..), Some(least)) = (most, least)
        && most < least
    {
        let message =
            format!("MemoryMaxMB value ({most}) should be larger than MemoryMB value ({least})");
        refuse(resources, "memory_max", message, notes);
    }
}
