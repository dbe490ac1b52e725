//! `rehearse heal`.

use std::process::ExitCode;

use nomad_harness::causes::with_causes;
use nomad_harness::target::aws::{Done, Entry, Machines};

use super::Context;
use super::failure::Failure;
use super::live::{AttachArgs, Where};
use super::output::{self, Format};

/// What is not undone: nothing is proved about the cluster from here on.
const UNHEALED: u8 = 31;

/// Undo what an earlier process did to a live cluster and could not undo: it crashed, or AWS refused.
///
/// Every fault is in the cluster's heal journal before it is in a machine. This undoes what is left
/// there, the newest first; undoing twice does no harm. A terminated machine stays so: `terraform
/// apply` makes another, `--forget` takes its line out.
#[derive(clap::Args)]
pub struct Args {
    /// Where the cluster runs.
    #[arg(long, value_enum)]
    target: Where,
    #[command(flatten)]
    attach: AttachArgs,
    /// Take lines out of the journal that nothing here undoes: of machines that are gone.
    #[arg(long, requires = "yes")]
    forget: bool,
}

/// Heals.
pub async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    if args.target == Where::Docker {
        return Err(
            Failure::input("clusters on Docker heal at the end of each run")
                .hint("rehearse start NAME    # starts agents that are down"),
        );
    }
    let attached = args.attach.look(context).await?;
    let machines = attached.machines(context)?;
    let entries = machines.unhealed();
    if !args.attach.yes {
        let would: Vec<String> = entries.iter().map(told).collect();
        attached.show(context.format, &would);
        return Ok(ExitCode::SUCCESS);
    }
    // What may not be touched is left alone, what else there is to heal is healed.
    let refused = attached.discovery.refusals();
    let mut healed = Vec::new();
    let mut left = Vec::new();
    for entry in entries {
        let known = attached
            .attachment
            .agent(&entry.agent)
            .is_some_and(|agent| agent.instance_id == entry.instance_id);
        let mine = format!("`{}`:", entry.agent);
        let refusal = refused.iter().find(|why| why.starts_with(&mine));
        // One that is there and refused still has its fault: that is not to be forgotten.
        let gone = !known || attached.discovery.is_gone(&entry.agent);
        let undone = if !known {
            let id = &entry.instance_id;
            Err(format!(
                "`{}` is another machine now (it was `{id}`)",
                entry.agent
            ))
        } else if let Some(why) = refusal {
            Err(why.clone())
        } else {
            let undone = machines.undo(&entry).await;
            undone.map_err(|error| match error.hint() {
                Some(hint) => format!("{}\n  hint: {hint}", with_causes(&error)),
                None => with_causes(&error),
            })
        };
        let for_good = gone || entry.done == Done::Terminate;
        match undone {
            Ok(()) => healed.push(told(&entry)),
            Err(_) if args.forget && for_good => forget(&machines, &entry, &mut healed)?,
            Err(why) => left.push(format!("{}: {why}", told(&entry))),
        }
    }
    report(context.format, &healed, &left);
    Ok(if left.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(UNHEALED)
    })
}

fn forget(machines: &Machines, entry: &Entry, healed: &mut Vec<String>) -> Result<(), Failure> {
    machines.forget(entry)?;
    healed.push(format!("forget: {}", told(entry)));
    Ok(())
}

/// What a line of the journal asks for.
fn told(entry: &Entry) -> String {
    let how = entry.done.undoing().unwrap_or("nothing here undoes it");
    format!(
        "`{}` (`{}`, {} since {}): {how}",
        entry.agent,
        entry.instance_id,
        entry.done.verb(),
        entry.at
    )
}

fn report(format: Format, healed: &[String], left: &[String]) {
    match format {
        Format::Json => output::json(&serde_json::json!({ "healed": healed, "left": left })),
        Format::Text => {
            for line in healed {
                output::text(&format!("healed   {line}"));
            }
            for line in left {
                output::text(&format!("left     {line}"));
            }
            if healed.is_empty() && left.is_empty() {
                output::text("nothing to heal: the journal is empty");
            }
        }
    }
}
