//! What Nomad's servers refuse at registration, at the block that it is about.

use agent::jobspec::{self, Refusal};
use agent::types::Job;
use hcl_edit::Span as _;
use hcl_edit::structure::{Block, Body};

use super::{About, Notes};

/// Judges the job with Nomad's defaults.
pub(super) fn judge(body: &Body, job: &Job, notes: &mut Notes<'_>) {
    let mut job = job.clone();
    jobspec::canonicalize(&mut job);
    for refusal in jobspec::refusals(&job) {
        let words: Vec<_> = refusal.message.split_whitespace().collect();
        let message = words.join(" ");
        // A list of one is that one.
        let message = message.trim_start_matches("1 error occurred: * ");
        notes.error(place(body, &job, &refusal), About::Values, message);
    }
}

/// Where the innermost block begins that is written in the file: what `dynamic` makes is not, and has
/// the place of what is around it.
fn place(body: &Body, job: &Job, refusal: &Refusal) -> usize {
    let start = |block: &Block| block.ident.span().map_or(0, |span| span.start);
    let Some(around) = body.get_blocks("job").next() else {
        return 0;
    };
    let mut found = around;
    if let Some(number) = refusal.group {
        let names: Vec<&str> = job
            .task_groups
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        // A task without a group is one of its own.
        let group = numbered(around, "group", &names, number);
        found = match group.or_else(|| numbered(around, "task", &names, number)) {
            Some(block) => block,
            None => return start(found),
        };
        if let Some(task) = refusal.task {
            let tasks = job.task_groups[number].tasks.iter();
            let names: Vec<&str> = tasks.map(|one| one.name.as_str()).collect();
            found = numbered(found, "task", &names, task).unwrap_or(found);
        }
    }
    start(found)
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
