//! Every command of the README and the documents is typed as it stands there, on simulated agents and
//! where `REHEARSE_NOMAD_BINARY` names a Nomad on that, too, and what is shown of its output is compared
//! with what it says. What is not run says why. With `REHEARSE_DOCUMENTS_SHOW=1` all that is said is
//! printed: for those who write a document.

mod agents;
mod page;
mod shell;
mod shown;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use agents::Agents;
use page::Step;
use regex::Regex;
use shell::Shell;
use shown::Eye;

use super::Stage;

/// Documents that belong together have one terminal, and where they need one, one cluster.
const SESSIONS: &[&[&str]] = &[
    &["README.md"],
    &[
        "docs/nomad-101/README.md",
        "docs/nomad-101/1-what-nomad-is.md",
        "docs/nomad-101/2-servers-and-clients.md",
        "docs/nomad-101/3-jobs.md",
        "docs/nomad-101/4-drivers.md",
        "docs/nomad-101/5-job-file.md",
        "docs/nomad-101/6-security.md",
        "docs/nomad-101/7-ways-to-deploy.md",
        "docs/nomad-101/8-to-aws.md",
    ],
    &[
        "docs/writing-scenarios.md",
        "docs/reports.md",
        "docs/simulator.md",
        "docs/s390x.md",
        "docs/platforms.md",
        "CONTRIBUTING.md",
        // The last: it changes what is typed after it.
        "docs/configuration.md",
    ],
    &["docs/aws.md"],
];

/// Documents that are about the simulated agent, or ask for it: they are not typed on Nomad itself.
const OF_THE_SIMULATOR: &[&str] = &[
    "docs/simulator.md",
    "docs/s390x.md",
    "docs/configuration.md",
];

/// What the documents call clusters, and they get names of their own here: a cluster of the user's
/// is not to be touched.
const CLUSTERS: &[&str] = &["default", "demo", "aws"];

/// Stands in for `cargo run --release`, which would build everything a second time.
const CARGO: &str =
    "#!/bin/sh\n[ \"$1 $2 $3\" = 'run --release --' ] || exit 127\nshift 3\nexec rehearse \"$@\"\n";

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Reads the commands of a document.
fn steps(document: &str) -> Result<Vec<Step>, String> {
    let text = std::fs::read_to_string(source().join(document)).expect("the document is there");
    page::read(&text).map_err(|problems| {
        let lines = problems.lines().map(|line| format!("{document}:{line}\n"));
        lines.collect()
    })
}

fn all_documents() -> Vec<String> {
    let top = source();
    let mut found = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    let mut folders = vec![top.join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "md") {
                let name = path.strip_prefix(&top).expect("below the top");
                found.push(name.display().to_string());
            }
        }
    }
    found
}

#[test]
fn no_document_with_commands_is_forgotten() {
    let mut problems = String::new();
    for document in all_documents() {
        match steps(&document) {
            Err(told) => problems.push_str(&told),
            Ok(steps) => {
                let typed = SESSIONS.concat().contains(&document.as_str());
                if !steps.is_empty() && !typed {
                    let _ = writeln!(problems, "{document} is in no session");
                }
            }
        }
    }
    assert!(problems.is_empty(), "{problems}");
}

/// What came of a session.
#[derive(Debug, Default)]
struct Book {
    run: usize,
    compared: usize,
    not_run: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

/// A terminal, and how clusters are called there.
struct Desk {
    agents: Agents,
    shell: Shell,
    prefix: String,
    nomad: bool,
    names: Regex,
}

impl Desk {
    fn set(top: &Path, prefix: &str, agents: Agents) -> Self {
        let programs = top.join("programs");
        std::fs::create_dir_all(&programs).expect("a folder");
        let script = |name: &str, text: &str| {
            let path = programs.join(name);
            std::fs::write(&path, text).expect("a file");
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(path, mode).expect("a file of ours");
        };
        script("cargo", CARGO);
        script("xdg-open", "#!/bin/sh\nexit 0\n");
        let program = env!("CARGO_BIN_EXE_rehearse");
        std::os::unix::fs::symlink(program, programs.join("rehearse")).expect("a link");
        let nomad = agents.command();
        if let Some(nomad) = &nomad {
            std::os::unix::fs::symlink(nomad, programs.join("nomad")).expect("a link");
        }
        let path = std::env::var("PATH").unwrap_or_default();
        let state = top.join("state").display().to_string();
        let mut environment = vec![
            ("PATH", format!("{}:{path}", programs.display())),
            ("XDG_STATE_HOME", state),
            ("REHEARSE_AGENT", program.to_owned()),
            ("REHEARSE_CLUSTER", format!("{prefix}-default")),
        ];
        environment.extend(agents.environment());
        let names = CLUSTERS.join("|");
        let names =
            format!(r"(^|[ (])(rehearse up|down|status|compare|--on|--cluster) ({names})\b");
        Self {
            agents,
            shell: Shell::open(top, &source(), environment),
            prefix: prefix.to_owned(),
            nomad: nomad.is_some(),
            names: Regex::new(&names).expect("a constant"),
        }
    }

    /// Returns what is wrong with what came of a command.
    fn judge(&self, step: &Step, code: i32, said: &str, book: &mut Book) -> Option<String> {
        if code != step.code {
            return Some(format!("exit code {code}, expected {}", step.code));
        }
        if self.agents.are_nomad() && said.contains("SIMULATED") {
            return Some("says SIMULATED, and no agent is".to_owned());
        }
        let shown = step.shown.as_ref()?;
        book.compared += 1;
        Eye::of(step, &self.agents).compare(shown, said).err()
    }

    /// Types the commands, and writes down what came of them.
    async fn type_all(&self, document: &str, steps: &[Step], book: &mut Book) {
        for step in steps {
            let wants_nomad = step.command.starts_with("nomad ") && !self.nomad;
            let reason = wants_nomad.then(|| "no `nomad` at hand".to_owned());
            let reason = reason.or_else(|| self.agents.lack(step));
            if let Some(reason) = step.not_run.clone().or(reason) {
                *book.not_run.entry(reason).or_default() += 1;
                continue;
            }
            let by = format!("$1$2 {}-$3", self.prefix);
            let command = self.names.replace_all(&step.command, by);
            let begin = std::time::Instant::now();
            let (code, said) = self.shell.run(&command, step.interrupted).await;
            let said = said.replace(&format!("{}-", self.prefix), "");
            book.run += 1;
            eprintln!(
                "{document}:{}: {:.1?}: {command}",
                step.line,
                begin.elapsed()
            );
            if std::env::var_os("REHEARSE_DOCUMENTS_SHOW").is_some() {
                eprintln!("{said}");
            }
            let problem = self.judge(step, code, &said, book);
            if let Some(problem) = problem {
                let place = format!("{document}:{}", step.line);
                let said = said.lines().map(|line| format!("    {line}\n"));
                let said: String = said.collect();
                book.wrong
                    .push(format!("{place}: {command}\n  {problem}\n{said}"));
            }
        }
    }
}

/// Types one session, and sees that nothing of it is left.
async fn session(number: usize, agents: Option<Agents>) {
    let (Some(stage), Some(agents)) = (Stage::set().await, agents) else {
        return;
    };
    let prefix = format!("docs{}", std::process::id());
    let desk = Desk::set(stage.folder.path(), &prefix, agents);
    let mut book = Book::default();
    for document in SESSIONS[number] {
        let steps = steps(document).unwrap_or_else(|problems| panic!("{problems}"));
        if desk.agents.are_nomad() && OF_THE_SIMULATOR.contains(document) {
            let reason = "of the simulated agent".to_owned();
            *book.not_run.entry(reason).or_default() += steps.len();
            continue;
        }
        desk.type_all(document, &steps, &mut book).await;
    }
    for name in CLUSTERS {
        let cluster = format!("{prefix}-{name}");
        let left = stage.left_of(&cluster).await;
        if !left.is_empty() {
            desk.shell
                .run(&format!("rehearse down {cluster}"), false)
                .await;
            book.wrong.push(format!("`{name}` is left: {left:?}"));
        }
    }
    eprintln!(
        "{}: {} commands typed, of {} the output compared; not run: {:?}",
        desk.agents, book.run, book.compared, book.not_run
    );
    assert!(book.run > 0);
    assert!(book.wrong.is_empty(), "\n{}", book.wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readme_is_as_it_says() {
    session(0, Some(Agents::Simulated { time_scale: 1 })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nomad_101_is_as_it_says() {
    session(1, Some(Agents::Simulated { time_scale: 4 })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scenarios_reports_and_the_rest_are_as_they_say() {
    session(2, Some(Agents::Simulated { time_scale: 1 })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_aws_side_is_as_it_says() {
    session(3, Some(Agents::Simulated { time_scale: 1 })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readme_is_so_on_nomad_itself() {
    session(0, Agents::nomad()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nomad_101_is_so_on_nomad_itself() {
    session(1, Agents::nomad()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scenarios_and_reports_are_so_on_nomad_itself() {
    session(2, Agents::nomad()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_aws_side_is_so_on_nomad_itself() {
    session(3, Agents::nomad()).await;
}

/// Planted: a line that is not said, an exit code that is not so. Commands see what those before
/// them left.
#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_lies_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let desk = Desk::set(folder.path(), "docs", Agents::Simulated { time_scale: 1 });
    let lies = "```console\n$ export A=1 && cd jobs\n$ echo $A; basename \"$PWD\"\n1\njobs\n$ echo 2\n3\n```\n\
                <!-- not run: long -->\n```sh\nfalse\n```\n```sh\nfalse\n```\n\
                <!-- run: ends with 1 -->\n```sh\nfalse\n```\n<!-- run: interrupted: echo -->\n```sh\necho on; sleep 100\n```\n";
    let mut book = Book::default();
    let steps = page::read(lies).unwrap();
    desk.type_all("lies", &steps, &mut book).await;
    assert_eq!((book.run, book.compared), (6, 2), "{book:?}");
    assert_eq!(book.not_run["long"], 1);
    assert_eq!(book.wrong.len(), 2, "{:?}", book.wrong);
    assert!(book.wrong[0].contains("lies:6: echo 2\n  shown, and not seen: `3`"));
    assert!(book.wrong[1].contains("exit code 1, expected 0"));
}

/// Planted on Nomad itself: another version, a simulated agent, a line that is not said, an exit code that
/// is not so.
#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_lies_is_found_on_nomad_itself() {
    let (Some(stage), Some(agents)) = (Stage::set().await, Agents::nomad()) else {
        return;
    };
    let prefix = format!("docs{}", std::process::id());
    let desk = Desk::set(stage.folder.path(), &prefix, agents);
    let lies = "```console\n$ rehearse up --servers 1 --clients 1\n\
                engine: SIMULATED agent (follows Nomad 1.8.3) for amd64: asked for\n…\n\
                $ rehearse status\ncluster `default`: Nomad 0.0.1 (binary)\n…\n\
                $ rehearse status\n…\nleader server-2.global; 1 voter;…\n…\n$ echo SIMULATED\n```\n\
                <!-- run: ends with 3 -->\n```sh\nrehearse down\n```\n<!-- run: from 99.0 -->\n```sh\nfalse\n```\n";
    let mut book = Book::default();
    let steps = page::read(lies).unwrap();
    desk.type_all("lies", &steps, &mut book).await;
    assert_eq!((book.run, book.compared), (5, 3), "{book:?}");
    assert_eq!(book.not_run["Nomad 99.0 or later"], 1);
    let wrong = [
        "lies:5: rehearse status\n  shown, and not seen: `cluster `default`: Nomad 0.0.1 (binary)`",
        "lies:8: rehearse status\n  shown, and not seen: `leader server-2.global; 1 voter;…`",
        "lies:12: echo SIMULATED\n  says SIMULATED, and no agent is",
        "lies:16: rehearse down\n  exit code 0, expected 3",
    ];
    assert_eq!(book.wrong.len(), wrong.len(), "{:#?}", book.wrong);
    for (seen, wrong) in book.wrong.iter().zip(wrong) {
        assert!(seen.starts_with(wrong), "{seen}");
    }
    stage
        .assert_nothing_left(&format!("{prefix}-default"))
        .await;
}
