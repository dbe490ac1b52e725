//! `rehearse man`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::CommandFactory as _;

use super::examples::with_examples;
use super::failure::Failure;
use super::output;

/// Write manual pages into a folder: `rehearse.1`, and one for each command.
#[derive(clap::Args)]
pub struct Args {
    /// The folder; it is made where it is not there.
    dir: PathBuf,
}

/// Writes the pages.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let shown = args.dir.display();
    let made = std::fs::create_dir_all(&args.dir);
    let written = made
        .and_then(|()| clap_mangen::generate_to(with_examples(super::Cli::command()), &args.dir));
    written
        .map_err(|error| Failure::input(format!("cannot write pages into `{shown}`: {error}")))?;
    output::text(&format!(
        "wrote rehearse.1 and its commands' pages into `{shown}`"
    ));
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_page_for_every_command() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("man/man1");
        run(&Args {
            dir: folder.clone(),
        })
        .unwrap();
        for command in super::super::Cli::command().get_subcommands() {
            let page = folder.join(format!("rehearse-{}.1", command.get_name()));
            let text = std::fs::read_to_string(&page).unwrap();
            assert!(text.contains(".SH NAME"), "{text}");
        }
    }
}
