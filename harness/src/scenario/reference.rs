//! The reference of the language, made from the tables: what `docs/writing-scenarios.md` shows.

use crate::fault::FAULTS;
use crate::grammar::{Arg, Need, Word};
use crate::pick::PICKS;
use crate::probe::PROBES;
use crate::step::{Choice, FORMS, Form, Label};
use crate::target::Capability;
use crate::workload::WORKLOADS;

use super::library;

/// Returns the reference in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut text = String::new();
    steps(&mut text);
    probes(&mut text);
    faults(&mut text);
    workloads(&mut text);
    picks(&mut text);
    text.push_str("### Built-in jobs\n\n");
    let jobs: Vec<_> = library::job_names()
        .map(|name| format!("`builtin.{name}`"))
        .collect();
    text.push_str(&format!("{}\n\n", jobs.join(", ")));
    text.push_str("### Capabilities\n\n");
    let words = Capability::ALL
        .iter()
        .map(|one| format!("`{}`", one.word()));
    let words: Vec<_> = words.collect();
    text.push_str(&format!("{}\n", words.join(", ")));
    text
}

fn steps(text: &mut String) {
    text.push_str("### Steps\n\n");
    for form in FORMS {
        text.push_str(&format!(
            "#### `{}`\n\n{}.\n\n",
            heading(form),
            first_upper(form.about)
        ));
        text.push_str(&format!("```hcl\n{}\n```\n\n", form.example));
        arguments(text, form.args);
        match form.choice {
            Choice::Free => {}
            Choice::ExactlyOne(names) => {
                text.push_str(&format!("Exactly one of {} is given.\n\n", listed(names)));
            }
            Choice::AtLeastOne(names) => {
                text.push_str(&format!("At least one of {} is given.\n\n", listed(names)));
            }
        }
    }
}

fn heading(form: &Form) -> String {
    let label = match form.label {
        Label::None => "",
        Label::Probe => " \"PROBE\"",
        Label::Fault => " \"FAULT\"",
        Label::Workload => " \"WORKLOAD\"",
        Label::Measure => " \"NUMBER\"",
        Label::Region => " \"REGION\"",
    };
    format!("{}{label}", form.name)
}

fn probes(text: &mut String) {
    text.push_str("### Probes\n\nWhat `expect` can look at.\n\n");
    for word in PROBES {
        described(text, word);
        arguments(text, word.args);
    }
}

fn faults(text: &mut String) {
    text.push_str("### Faults\n\nWhat `inject` can do and `heal` undoes.\n\n");
    text.push_str("| fault | what it does | capability |\n|---|---|---|\n");
    for fault in FAULTS {
        let needs = fault.needs().map(|one| format!("`{}`", one.word()));
        text.push_str(&format!(
            "| `{}` | {} | {} |\n",
            fault.name(),
            cell(fault.about()),
            needs.unwrap_or_default()
        ));
    }
    text.push('\n');
}

fn workloads(text: &mut String) {
    text.push_str("### Workloads and watches\n\nWhat `start` can run beside the steps.\n\n");
    for word in WORKLOADS {
        described(text, word);
        arguments(text, word.args);
        text.push_str("| number | what it says |\n|---|---|\n");
        for number in word.takes {
            text.push_str(&format!("| `{}` | {} |\n", number.name, cell(number.about)));
        }
        text.push('\n');
    }
}

fn picks(text: &mut String) {
    text.push_str("### Picks\n\nWhich agents a step is about. Random ones come from `--seed`.\n\n");
    text.push_str("| pick | who |\n|---|---|\n");
    for word in PICKS {
        let arg = word
            .args
            .first()
            .map_or_else(String::new, |arg| format!("({})", arg.name));
        text.push_str(&format!(
            "| `{}{arg}` | {} |\n",
            word.name,
            cell(word.about)
        ));
    }
    text.push_str("| `\"server-1\"` | the agent of that name |\n");
    text.push_str("| `[\"server-1\", \"client-2\"]` | the agents of these names |\n\n");
}

fn described<T>(text: &mut String, word: &Word<T>) {
    text.push_str(&format!(
        "#### `{}`\n\n{}.\n\n",
        word.name,
        first_upper(word.about)
    ));
}

fn arguments(text: &mut String, args: &[Arg]) {
    if args.is_empty() {
        return;
    }
    text.push_str("| argument | takes | what for |\n|---|---|---|\n");
    for arg in args {
        let mark = match arg.need {
            Need::Required => " (required)",
            Need::Optional => "",
        };
        text.push_str(&format!(
            "| `{}`{mark} | {} | {} |\n",
            arg.name,
            cell(&arg.of.to_string()),
            cell(arg.about)
        ));
    }
    text.push('\n');
}

fn listed(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn first_upper(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => format!("{}{}", first.to_uppercase(), chars.as_str()),
        None => String::new(),
    }
}
