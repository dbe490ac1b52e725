//! `rehearse matrix`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use nomad_harness::matrix::{self, Cell, Occasion};
use nomad_harness::scenario;
use serde_json::json;

use super::Context;
use super::failure::Failure;
use super::output::{self, Format};

/// Show what CI runs: architectures, Nomad versions, engines and scenarios, multiplied out.
#[derive(clap::Args)]
pub struct Args {
    /// The file that says it.
    #[arg(long, default_value = "ci/matrix.hcl")]
    file: PathBuf,
    /// Only what runs then.
    #[arg(long, value_enum)]
    when: Option<When>,
    /// Print the one line that a GitHub workflow takes as its matrix.
    #[arg(long)]
    github: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum When {
    Change,
    Nightly,
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let text = std::fs::read_to_string(&args.file).map_err(|error| {
        Failure::input(format!("`{}` cannot be read: {error}", args.file.display()))
    })?;
    let names: Vec<String> = scenario::built_in().into_iter().map(|s| s.name).collect();
    let file = args.file.display().to_string();
    let matrix = matrix::read(&file, &text, &names).map_err(Failure::input)?;
    let cells: Vec<&Cell> = match args.when {
        None => matrix.cells.iter().collect(),
        Some(When::Change) => matrix.on(Occasion::Change),
        Some(When::Nightly) => matrix.on(Occasion::Nightly),
    };
    match context.format {
        _ if args.github => output::text(&json!({ "include": cells }).to_string()),
        Format::Text => output::text(&table(&cells)),
        Format::Json => output::json(&cells),
    }
    Ok(ExitCode::SUCCESS)
}

fn table(cells: &[&Cell]) -> String {
    let rows: Vec<Vec<String>> = cells
        .iter()
        .map(|cell| {
            let version = cell
                .version
                .as_ref()
                .map_or("-".to_owned(), ToString::to_string);
            let arch = if cell.emulated {
                format!("{} (emulated)", cell.arch)
            } else {
                cell.arch.to_string()
            };
            vec![
                cell.name.clone(),
                arch,
                cell.engine.clone(),
                version,
                cell.runner.clone(),
                cell.scenarios.join(" "),
            ]
        })
        .collect();
    let head = [
        "Cell",
        "Architecture",
        "Engine",
        "Nomad",
        "Runner",
        "Scenarios",
    ];
    output::table(&head, &rows)
}
