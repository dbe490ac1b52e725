//! What Nomad's servers refuse at registration, at the field or the block that it is about.

use agent::jobspec::{self, Refusal};
use agent::types::Job;
use hcl_edit::Span as _;
use hcl_edit::structure::{Block, Body};

use super::{About, Notes};

/// How Nomad's words begin, and what they are about: blocks, and at the end an attribute or a block.
const ABOUT: &[(&str, &[&str])] = &[
    ("Auto Promote", &["update", "auto_promote"]),
    ("Canary count", &["update", "canary"]),
    ("Delay cannot", &["reschedule", "delay"]),
    ("Healthy deadline", &["update", "healthy_deadline"]),
    ("Interval can not", &["restart", "interval"]),
    ("Interval cannot", &["reschedule", "interval"]),
    ("Invalid HealthCheck", &["migrate", "health_check"]),
    ("Invalid delay function", &["reschedule", "delay_function"]),
    ("Invalid health check", &["update", "health_check"]),
    ("Job ID", &["id"]),
    ("Job Name", &["name"]),
    ("Job datacenter", &["datacenters"]),
    ("Job priority", &["priority"]),
    ("Job type \"batch\" does not allow migrate", &["migrate"]),
    ("Job type \"batch\" does not allow update", &["update"]),
    ("Job type \"sysbatch\" does not allow migrate", &["migrate"]),
    ("Job type \"sysbatch\" does not allow update", &["update"]),
    ("Job type \"system\" does not allow migrate", &["migrate"]),
    ("KillTimeout", &["kill_timeout"]),
    ("Max Delay", &["reschedule", "max_delay"]),
    ("Max parallel", &["update", "max_parallel"]),
    ("MaxParallel", &["migrate", "max_parallel"]),
    ("MinHealthyTime", &["migrate", "min_healthy_time"]),
    ("Minimum healthy time", &["update", "min_healthy_time"]),
    ("Nomad can only make", &["reschedule", "attempts"]),
    ("Nomad can't restart", &["restart", "attempts"]),
    ("Parameterized job", &["parameterized"]),
    ("Periodic", &["periodic"]),
    ("Progress deadline", &["update", "progress_deadline"]),
    ("Restart policy", &["restart", "attempts"]),
    ("Set the interval", &["reschedule", "interval"]),
    ("ShutdownDelay", &["shutdown_delay"]),
    ("Stagger", &["update", "stagger"]),
    ("System jobs may not have a spread", &["spread"]),
    ("System jobs may not have an affinity", &["affinity"]),
    ("System jobs should not have a reschedule", &["reschedule"]),
    ("Task group count", &["count"]),
    ("Task group network", &["network"]),
    ("Unknown payload", &["parameterized", "payload"]),
    ("Unsupported restart mode", &["restart", "mode"]),
    ("lost_after", &["disconnect", "lost_after"]),
    ("max_client_disconnect", &["max_client_disconnect"]),
    ("maximum count", &["scaling", "max"]),
    ("minimum CPU", &["resources", "cpu"]),
    ("minimum MemoryMB", &["resources", "memory"]),
    ("minimum count", &["scaling", "min"]),
    ("minimum file size", &["logs", "max_file_size"]),
    ("minimum number of files", &["logs", "max_files"]),
    (
        "stop_after_client_disconnect",
        &["stop_after_client_disconnect"],
    ),
    (
        "stop_on_client_after",
        &["disconnect", "stop_on_client_after"],
    ),
];

/// Blocks that Nomad's words count, and from which number on.
const COUNTED: &[(&str, &str, usize)] = &[
    ("Affinity ", "affinity", 1),
    ("Constraint ", "constraint", 1),
    ("Service[", "service", 0),
    ("Spread ", "spread", 1),
    ("Template ", "template", 1),
    ("service[", "service", 0),
];

/// Judges the job with Nomad's defaults.
pub(super) fn judge(body: &Body, job: &Job, notes: &mut Notes<'_>) {
    let mut job = job.clone();
    jobspec::canonicalize(&mut job);
    for refusal in jobspec::refusals(&job) {
        let (around, found) = around(body, &job, &refusal);
        for message in single(&refusal.message) {
            let inner = found.and_then(|block| within(block, &message));
            // What a group has not said itself it has from its job.
            let inherited = || around.and_then(|block| within(block, &message));
            let at = inner.or_else(inherited).or_else(|| found.map(start));
            notes.error(at.unwrap_or(0), About::Values, message);
        }
    }
}

/// The errors that Nomad tells in one text, each with the title of its list.
fn single(text: &str) -> Vec<String> {
    let mut title = String::new();
    let mut found = Vec::new();
    for part in text.split("\n\t* ") {
        let words: Vec<_> = part.split_whitespace().collect();
        let is_head = matches!(words.as_slice(), [.., _, "error" | "errors", "occurred:"]);
        if is_head {
            // `Task group service validation failed: 2 errors occurred:`
            for word in &words[..words.len() - 3] {
                title.push_str(word);
                title.push(' ');
            }
        } else {
            found.push(format!("{title}{}", words.join(" ")));
        }
    }
    found
}

/// Where that begins in a block which an error is about.
fn within(block: &Block, message: &str) -> Option<usize> {
    // `Task group service validation failed: Service[0] ...`
    let own = message
        .rsplit("Task group service validation failed: ")
        .next()?;
    for (starts, name, first) in COUNTED {
        let Some(rest) = own.strip_prefix(starts) else {
            continue;
        };
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let number: usize = digits.parse().ok()?;
        let mut blocks = block.body.get_blocks(name);
        return blocks.nth(number.checked_sub(*first)?).map(start);
    }
    let (_, path) = ABOUT.iter().find(|(starts, _)| own.starts_with(starts))?;
    let (last, blocks) = path.split_last()?;
    let mut block = block;
    for name in blocks {
        block = block.body.get_blocks(name).next()?;
    }
    match block.body.get_attribute(last) {
        Some(attribute) => attribute.value.span().map(|span| span.start),
        None => Some(start(block.body.get_blocks(last).next()?)),
    }
}

fn start(block: &Block) -> usize {
    block.ident.span().map_or(0, |span| span.start)
}

/// The job's block, and the innermost one that is written in the file: what `dynamic` makes is not, and
/// has the place of what is around it.
fn around<'b>(
    body: &'b Body,
    job: &Job,
    refusal: &Refusal,
) -> (Option<&'b Block>, Option<&'b Block>) {
    let around = body.get_blocks("job").next();
    let (Some(block), Some(number)) = (around, refusal.group) else {
        return (around, around);
    };
    let groups = job.task_groups.iter();
    let names: Vec<&str> = groups.map(|one| one.name.as_str()).collect();
    // A task without a group is one of its own.
    let group = numbered(block, "group", &names, number);
    let Some(group) = group.or_else(|| numbered(block, "task", &names, number)) else {
        return (around, around);
    };
    let task = refusal.task.and_then(|task| {
        let tasks = job.task_groups[number].tasks.iter();
        let names: Vec<&str> = tasks.map(|one| one.name.as_str()).collect();
        numbered(group, "task", &names, task)
    });
    (around, Some(task.unwrap_or(group)))
}

/// The block of such a number among all of the kind; of several with the same name, the one that is
/// as far back among them.
fn numbered<'b>(
    around: &'b Block,
    kind: &'b str,
    names: &[&str],
    number: usize,
) -> Option<&'b Block> {
    let name = *names.get(number)?;
    let before = names[..number].iter().filter(|one| **one == name).count();
    let labelled = |block: &&Block| {
        let label = block.labels.first().map(|label| label.as_str());
        label.unwrap_or_default() == name
    };
    around.body.get_blocks(kind).filter(labelled).nth(before)
}
