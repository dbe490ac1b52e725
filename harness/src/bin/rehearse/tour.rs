//! `rehearse tour`: the first five minutes, each step a command that the reader could have typed.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;

use clap::FromArgMatches as _;

use super::failure::Failure;
use super::{Context, dispatch, output, up};

/// How the tour's cluster is called unless it is said otherwise.
const NAME: &str = "tour";
/// The job that is run.
const JOB: &str = "whoami";
/// Its text.
const JOB_TEXT: &str = include_str!("../../../carried/jobs/whoami.nomad.hcl");
/// 128 + SIGINT, as shells have it.
const INTERRUPTED: u8 = 130;

/// Walk through a cluster's life in five minutes: up, a job, a failover, down.
///
/// Waits for Enter before each step. Nothing is left in the end, however it ends.
#[derive(clap::Args)]
pub struct Args {
    /// The cluster's name.
    #[arg(default_value = NAME)]
    name: String,
    /// Do not wait: for those who only watch, and for scripts.
    #[arg(long)]
    yes: bool,
}

/// A step: what is to be seen, and the command that shows it.
struct Step {
    about: &'static str,
    command: &'static [&'static str],
}

/// `NAME` stands for the cluster, `JOB` for the job's file, `REPORTS` for a folder that goes again.
const STEPS: &[Step] = &[
    Step {
        about: "A cluster: three servers that agree by Raft, three clients that work,\n\
                each a container. Mutual TLS, a gossip key and ACLs are on, as they\n\
                should be in production.",
        command: &["up", "NAME"],
    },
    Step {
        about: "What there is. A server has a state in gossip and a vote in Raft; a node is\n\
                a client's registration. One of the servers leads.",
        command: &["status", "NAME"],
    },
    Step {
        about: "A job: three instances of a small web server, one on each client. Nomad's\n\
                event stream tells what becomes of it: an evaluation, allocations, and the\n\
                deployment that waits for them.",
        command: &["job", "run", "JOB", "--cluster", "NAME"],
    },
    Step {
        about: "Now the leader is killed, as a machine dies, while somebody writes and\n\
                somebody reads. The others notice within 1 to 2 s and elect another one; the\n\
                service answers all along.",
        command: &[
            "run",
            "leader-failover",
            "--on",
            "NAME",
            "--report",
            "REPORTS",
        ],
    },
    Step {
        about: "The same as it looks afterwards. Without `--once` it goes on until you press\n\
                q.",
        command: &["top", "NAME", "--once"],
    },
];

const LAST: Step = Step {
    about: "All of it goes again: containers, network, volumes, keys.",
    command: &["down", "NAME"],
};

/// Walks.
pub async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    if !args.yes && !std::io::stdin().is_terminal() {
        return Err(Failure::input("nobody is there to press Enter").hint("rehearse tour --yes"));
    }
    let folder = std::env::temp_dir().join(format!("rehearse-tour-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(Failure::environment)?;
    let walked = Walk {
        args: &args,
        context,
        folder: &folder,
    };
    let outcome = walked.all().await;
    // A file that stays there is in nobody's way.
    drop(std::fs::remove_dir_all(&folder));
    outcome
}

struct Walk<'a> {
    args: &'a Args,
    context: &'a Context,
    folder: &'a Path,
}

impl Walk<'_> {
    async fn all(&self) -> Result<ExitCode, Failure> {
        let job = self.folder.join(format!("{JOB}.nomad.hcl"));
        std::fs::write(&job, JOB_TEXT).map_err(Failure::environment)?;
        let (first, rest) = STEPS.split_first().expect("there are steps");
        output::text(&format!(
            "{} steps; ctrl-C ends it at any time.",
            STEPS.len() + 1
        ));
        // Where it does not come up it leaves nothing, and a cluster of that name is somebody's.
        match self.step(1, first, true).await? {
            Some(code) if code == ExitCode::SUCCESS => {}
            Some(code) => return Ok(code),
            None => return Ok(ExitCode::from(INTERRUPTED)),
        }
        let mut outcome = Ok(Some(ExitCode::SUCCESS));
        for (number, step) in rest.iter().enumerate() {
            outcome = self.step(number + 2, step, false).await;
            if !matches!(&outcome, Ok(Some(code)) if *code == ExitCode::SUCCESS) {
                break;
            }
        }
        let gone = self.step_at_once(STEPS.len() + 1, &LAST).await;
        match outcome? {
            None => {
                gone?;
                Ok(ExitCode::from(INTERRUPTED))
            }
            Some(code) if code != ExitCode::SUCCESS => {
                gone?;
                Ok(code)
            }
            Some(_) => {
                output::text("\nThat was it. From here: `rehearse up`, and docs/nomad-101.");
                gone
            }
        }
    }

    /// Waits for the reader, and takes the step; `None` where the user has had enough. A step that
    /// minds interrupts itself is left to end in its own way.
    async fn step(
        &self,
        number: usize,
        step: &Step,
        minds: bool,
    ) -> Result<Option<ExitCode>, Failure> {
        self.tell(number, step);
        if !self.args.yes {
            tokio::select! {
                () = enter() => {}
                () = up::interrupted() => return Ok(None),
            }
        }
        let work = self.take(step);
        if minds {
            return work.await.map(Some);
        }
        tokio::select! {
            outcome = work => outcome.map(Some),
            () = up::interrupted() => Ok(None),
        }
    }

    async fn step_at_once(&self, number: usize, step: &Step) -> Result<ExitCode, Failure> {
        self.tell(number, step);
        self.take(step).await
    }

    fn words(&self, step: &Step) -> Vec<String> {
        let word = |word: &&str| match *word {
            "NAME" => self.args.name.clone(),
            "JOB" => self
                .folder
                .join(format!("{JOB}.nomad.hcl"))
                .display()
                .to_string(),
            "REPORTS" => self.folder.join("reports").display().to_string(),
            word => word.to_owned(),
        };
        step.command.iter().map(word).collect()
    }

    fn tell(&self, number: usize, step: &Step) {
        let command = self.words(step).join(" ");
        let asks = if self.args.yes || number > STEPS.len() {
            ""
        } else {
            "    (Enter)"
        };
        output::text(&format!(
            "\n[{number}/{}] {}\n\n$ rehearse {command}{asks}",
            STEPS.len() + 1,
            step.about
        ));
    }

    /// Runs the command by the command line's own reader.
    async fn take(&self, step: &Step) -> Result<ExitCode, Failure> {
        let words = std::iter::once("rehearse".to_owned()).chain(self.words(step));
        let folder = std::env::current_dir().unwrap_or_default();
        let (command, _) = super::settings::command_line(&folder);
        let matches = command
            .try_get_matches_from(words)
            .map_err(Failure::input)?;
        let cli = super::Cli::from_arg_matches(&matches).map_err(Failure::input)?;
        Box::pin(dispatch(cli.command, self.context)).await
    }
}

/// Ends when Enter is pressed, or when nobody is there any more.
async fn enter() {
    let read = || std::io::stdin().read_line(&mut String::new());
    drop(tokio::task::spawn_blocking(read).await);
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[test]
    fn every_step_is_a_command_that_is_taken() {
        for step in STEPS.iter().chain([&LAST]) {
            let words = std::iter::once("rehearse").chain(step.command.iter().copied());
            let parsed = super::super::Cli::try_parse_from(words);
            assert!(
                parsed.is_ok(),
                "{:?}: {}",
                step.command,
                parsed.err().unwrap()
            );
        }
    }
}
