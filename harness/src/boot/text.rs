//! A first boot as text for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Again, Booted, Call, End, Kind, Run};

/// Calls of a kind that are shown; the rest is counted.
const CALLS_SHOWN: usize = 8;

/// Returns what user data did, as text.
#[must_use]
pub fn render(booted: &Booted) -> String {
    let mut text = String::new();
    write(booted, &mut text).expect("writing to memory does not fail");
    text
}

fn write(booted: &Booted, text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "{}: user data {}",
        booted.machine,
        ended(&booted.first)
    )?;
    if booted.is_well() {
        writeln!(text, "  second run   {}", again(&booted.again))?;
    } else {
        for line in &booted.first.said {
            writeln!(text, "    | {line}")?;
        }
    }
    let until = if booted.is_well() {
        "files"
    } else {
        "files until then"
    };
    writeln!(text, "  {until}")?;
    for file in &booted.files {
        let what = if file.program {
            "stand-in for a program".to_owned()
        } else {
            format!("{} bytes", file.bytes)
        };
        writeln!(
            text,
            "    {} {:<15} {}  {what}",
            file.mode, file.owner, file.path
        )?;
    }
    let mut kinds: BTreeMap<Kind, Vec<&Call>> = BTreeMap::new();
    for call in booted.calls.iter().filter(|call| call.run == 1) {
        kinds.entry(call.kind).or_default().push(call);
    }
    for (kind, calls) in kinds {
        writeln!(text, "  {}", heading(kind))?;
        if kind == Kind::Wait {
            writeln!(
                text,
                "    {} times, {} s in all",
                calls.iter().map(|call| call.times).sum::<usize>(),
                seconds(&calls)
            )?;
            continue;
        }
        for call in calls.iter().take(CALLS_SHOWN) {
            writeln!(text, "    {}", call.line())?;
        }
        if let Some(more) = calls
            .len()
            .checked_sub(CALLS_SHOWN)
            .filter(|more| *more > 0)
        {
            writeln!(text, "    and {more} more")?;
        }
    }
    for unread in &booted.unread {
        writeln!(text, "  not run: {unread}")?;
    }
    for note in &booted.notes {
        writeln!(text, "  note: {note}")?;
    }
    Ok(())
}

/// Returns how a run ended, in words.
#[must_use]
pub fn ended(run: &Run) -> String {
    let at = run.line.as_ref().map_or_else(String::new, |(line, text)| {
        format!(" in line {line}: `{text}`")
    });
    let took = run.millis as f64 / 1000.0;
    match run.end {
        End::Exited(0) => format!("ended well after {took:.1} s"),
        End::Exited(code) => format!("failed with exit code {code} after {took:.1} s{at}"),
        End::OverTime(limit) => format!("did not end within {limit} s{at}"),
    }
}

fn again(again: &Again) -> String {
    match again {
        Again::Harmless => "harmless: no file changes, no service is restarted".to_owned(),
        Again::Changes { files, restarts } => {
            let mut parts = Vec::new();
            if !files.is_empty() {
                parts.push(format!("changes {}", files.join(", ")));
            }
            if !restarts.is_empty() {
                parts.push(format!("does {}", restarts.join(", ")));
            }
            parts.join("; ")
        }
        Again::Fails(run) => ended(run),
        Again::NotTried => "not tried".to_owned(),
    }
}

fn heading(kind: Kind) -> &'static str {
    match kind {
        Kind::Install => "would install",
        Kind::Download => "would download",
        Kind::Unpack => "would unpack",
        Kind::Verify => "would verify",
        Kind::Account => "would make or change accounts",
        Kind::Service => "would tell the service manager",
        Kind::Start => "would start, without the service manager",
        Kind::Cloud => "would ask AWS (secrets here are stand-ins)",
        Kind::Agent => "would ask the agent, which does not run here",
        Kind::Wait => "would wait",
        Kind::Machine => "would ask or change the machine",
    }
}

fn seconds(calls: &[&Call]) -> f64 {
    let of = |call: &&Call| -> f64 {
        let texts = call.words.iter();
        let once: f64 = texts
            .filter_map(|word| word.trim_end_matches('s').parse::<f64>().ok())
            .sum();
        once * call.times as f64
    };
    calls.iter().map(of).sum()
}
