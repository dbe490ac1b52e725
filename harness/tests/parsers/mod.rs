//! Every reader of a file that a user gives, as a function of the file's text: what `mutations.rs` and the
//! fuzz targets throw at them must be refused or taken, and never end the program.

#![allow(
    dead_code,
    missing_docs,
    reason = "each of those who include this uses a part"
)]

use std::collections::BTreeMap;
use std::path::Path;

use nomad_harness::job_check::{self, Ground};
use nomad_harness::parity::{Side, Tolerances, compare};
use nomad_harness::terraform::aws::{AgentFiles, AwsCluster};
use nomad_harness::terraform::{self, Inputs};
use nomad_harness::{lint, matrix, scenario, settings};

/// A reader.
pub struct Parser {
    /// Its name, which is its fuzz target's.
    pub name: &'static str,
    /// Files of the source tree that it takes: a folder below the top, and how their names end.
    pub corpus: &'static [(&'static str, &'static str)],
    /// Reads a text; the folder is its own.
    pub read: fn(&str, &Path),
}

pub const PARSERS: &[Parser] = &[
    Parser {
        name: "scenario",
        corpus: &[("scenarios", ".scenario.hcl")],
        read: read_scenario,
    },
    Parser {
        name: "job",
        corpus: &[("jobs", ".nomad.hcl")],
        read: read_job,
    },
    Parser {
        name: "terraform",
        corpus: &[
            ("terraform", ".tf"),
            ("harness/tests/fixtures/terraform/expressions", ".tf"),
        ],
        read: read_terraform,
    },
    Parser {
        name: "told",
        corpus: &[("fuzz/seeds/told", ".json")],
        read: read_told,
    },
    Parser {
        name: "agent_configuration",
        corpus: &[("fuzz/seeds/agent_configuration", ".hcl")],
        read: read_agent_configuration,
    },
    Parser {
        name: "report",
        corpus: &[("harness/src/report/html/fixtures", "result.json")],
        read: read_report,
    },
    Parser {
        name: "matrix",
        corpus: &[("ci", "matrix.hcl")],
        read: read_matrix,
    },
    Parser {
        name: "settings",
        corpus: &[("fuzz/seeds/settings", ".hcl")],
        read: read_settings,
    },
    Parser {
        name: "policy",
        corpus: &[("fuzz/seeds/policy", ".hcl")],
        read: read_policy,
    },
];

fn read_scenario(text: &str, folder: &Path) {
    drop(scenario::read(
        "x.scenario.hcl",
        text,
        Some(folder),
        &BTreeMap::new(),
    ));
    drop(scenario::format("x.scenario.hcl", text));
}

fn read_job(text: &str, _: &Path) {
    drop(job_check::check("x.nomad.hcl", text, &Ground::default()));
    drop(agent::jobspec::parse(text, &BTreeMap::new()));
}

fn read_terraform(text: &str, folder: &Path) {
    write(folder, "main.tf", text);
    let inputs = Inputs {
        missing_is_unknown: true,
        ..Inputs::default()
    };
    if let Ok(configuration) = terraform::read(folder, &inputs) {
        let cluster = AwsCluster::of(&configuration, folder);
        drop(cluster.to_text(true));
        drop(lint::check(&configuration, &cluster, &[]));
    }
}

fn read_told(text: &str, folder: &Path) {
    let path = write(folder, "plan.json", text);
    if let Ok(configuration) = terraform::read_told(&path) {
        drop(AwsCluster::of(&configuration, folder).to_text(true));
    }
}

fn read_agent_configuration(text: &str, folder: &Path) {
    let path = write(folder, "nomad.hcl", text);
    drop(agent::config::load(&[path]));
    drop(AgentFiles::of(&[("nomad.hcl".to_owned(), text.to_owned())]).settings());
}

fn read_report(text: &str, folder: &Path) {
    write(folder, "result.json", text);
    if let Ok(side) = Side::read(folder) {
        let other = side.clone();
        drop(nomad_harness::parity::to_text(&compare(
            &[side, other],
            &Tolerances::default(),
        )));
    }
}

fn read_matrix(text: &str, _: &Path) {
    drop(matrix::read(
        "matrix.hcl",
        text,
        &["leader-failover".to_owned()],
    ));
}

fn read_settings(text: &str, _: &Path) {
    drop(settings::read("rehearse.hcl", text, &command(), &|_| None));
    drop(settings::top_level_text(text, settings::CLUSTER));
}

/// A command line with an option of each kind that ours has: its own is the binary's.
fn command() -> clap::Command {
    use clap::{Arg, ArgAction, Command, value_parser};
    let timeout = Arg::new("timeout").long("timeout");
    let options = [
        Arg::new("engine")
            .long("engine")
            .value_parser(["auto", "simulator"]),
        Arg::new("clients")
            .long("clients")
            .value_parser(value_parser!(u16)),
        Arg::new("keep").long("keep").action(ArgAction::SetTrue),
        Arg::new("set").long("set").action(ArgAction::Append),
        timeout.value_parser(scenario::duration_or_seconds),
    ];
    let cluster = Arg::new("cluster").long("cluster").conflicts_with("file");
    let run = Command::new("run")
        .arg(Arg::new("file").required(true))
        .arg(cluster);
    let format = Arg::new("format")
        .long("format")
        .value_parser(["text", "json"]);
    Command::new("rehearse")
        .arg(format.global(true))
        .subcommand(Command::new("up").args(options))
        .subcommand(Command::new("job").subcommand(run))
}

fn read_policy(text: &str, _: &Path) {
    drop(agent::acl::Policy::parse(text));
}

fn write(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a folder of its own");
    path
}

/// Puts a text to a reader, in a folder that goes again: what a fuzz target does.
pub fn run(name: &str, text: &str) {
    let parser = PARSERS.iter().find(|parser| parser.name == name);
    let folder = tempfile::tempdir().expect("a folder");
    (parser.expect("a reader").read)(text, folder.path());
}
