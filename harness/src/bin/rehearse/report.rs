//! `rehearse report`.

mod serve;

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use clap::Subcommand;
use nomad_harness::runner::PAGE;

use super::failure::Failure;
use super::output;

/// Where `run` and `soak` put their reports.
const FOLDER: &str = "target/rehearsals";
/// The page over several runs.
const INDEX: &str = "index.html";

/// Look at the reports of runs.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show a report in the browser; print where it is where there is none.
    Open {
        /// A run's folder, or the folder of all runs.
        #[arg(value_name = "DIR", default_value = FOLDER)]
        dir: PathBuf,
    },
    /// Serve reports to browsers on this machine, until interrupted.
    Serve {
        /// A run's folder, or the folder of all runs.
        #[arg(value_name = "DIR", default_value = FOLDER)]
        dir: PathBuf,
        /// The port; 0 takes a free one.
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
}

pub async fn run(args: Args) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Open { dir } => open(&page_of(&dir)?).await,
        Command::Serve { dir, port } => {
            let page = page_of(&dir)?;
            serve::serve(&dir, &page, port).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the page in a folder: of one run, or of all.
fn page_of(dir: &Path) -> Result<PathBuf, Failure> {
    let pages = [PAGE, INDEX].map(|name| dir.join(name));
    pages
        .into_iter()
        .find(|page| page.is_file())
        .ok_or_else(|| {
            let problem = format!(
                "no report in `{}` (expected `{PAGE}` or `{INDEX}`)",
                dir.display()
            );
            Failure::input(problem).hint("rehearse run")
        })
}

/// Asks the system to show a file; where nobody can, the path on standard output has to do.
async fn open(page: &Path) {
    let page = page.canonicalize().unwrap_or_else(|_| page.to_owned());
    output::text(&page.display().to_string());
    let program = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    let shown = tokio::process::Command::new(program)
        .arg(&page)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await;
    if !shown.is_ok_and(|status| status.success()) {
        eprintln!("no browser was found: open the file above in one");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_page_is_told() {
        let folder = tempfile::tempdir().expect("a folder of our own");
        assert!(page_of(folder.path()).is_err());
        std::fs::write(folder.path().join(INDEX), "").expect("it can be written");
        assert!(page_of(folder.path()).is_ok_and(|page| page.ends_with(INDEX)));
    }
}
