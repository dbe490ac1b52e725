//! Every command of the README and the documents is typed as it stands there, on simulated agents,
//! and what is shown of its output is compared with what it says. What is not run says why. With
//! `REHEARSE_DOCUMENTS_SHOW=1` all that is said is printed: for those who write a document.

mod page;
mod shell;
mod shown;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use page::Step;
use regex::Regex;
use shell::Shell;
use shown::Eye;

use super::Stage;
use nomad_harness::environment::Environment;

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
    shell: Shell,
    prefix: String,
    nomad: bool,
    names: Regex,
}

impl Desk {
    fn set(top: &Path, prefix: &str, time_scale: u32) -> Self {
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
        let nomad = super::a_nomad(&Environment::of_process());
        if let Some(nomad) = &nomad {
            std::os::unix::fs::symlink(nomad, programs.join("nomad")).expect("a link");
        }
        let path = std::env::var("PATH").unwrap_or_default();
        let state = top.join("state").display().to_string();
        let environment = vec![
            ("PATH", format!("{}:{path}", programs.display())),
            ("XDG_STATE_HOME", state),
            ("REHEARSE_AGENT", program.to_owned()),
            ("REHEARSE_ENGINE", "simulator".to_owned()),
            ("REHEARSE_CLUSTER", format!("{prefix}-default")),
            ("REHEARSE_TIME_SCALE", time_scale.to_string()),
        ];
        let names = CLUSTERS.join("|");
        let names =
            format!(r"(^|[ (])(rehearse up|down|status|compare|--on|--cluster) ({names})\b");
        Self {
            shell: Shell::open(top, &source(), environment),
            prefix: prefix.to_owned(),
            nomad: nomad.is_some(),
            names: Regex::new(&names).expect("a constant"),
        }
    }

    /// Types the commands, and writes down what came of them.
    async fn type_all(&self, document: &str, steps: &[Step], book: &mut Book) {
        for step in steps {
            let wants_nomad = step.command.starts_with("nomad ") && !self.nomad;
            let reason = wants_nomad.then(|| "no `nomad` at hand".to_owned());
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
            let problem = if code == step.code {
                let shown = step.shown.as_ref();
                book.compared += usize::from(shown.is_some());
                shown.and_then(|shown| Eye::of(step).compare(shown, &said).err())
            } else {
                Some(format!("exit code {code}, expected {}", step.code))
            };
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

/// Types one session, and sees that nothing of it is left. Nomad's timers run so many times faster:
/// what is shown of a session of 1 are Nomad's own times.
async fn session(number: usize, time_scale: u32) {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let prefix = format!("docs{}", std::process::id());
    let desk = Desk::set(stage.folder.path(), &prefix, time_scale);
    let mut book = Book::default();
    for document in SESSIONS[number] {
        let steps = steps(document).unwrap_or_else(|problems| panic!("{problems}"));
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
        "{} commands typed, of {} the output compared; not run: {:?}",
        book.run, book.compared, book.not_run
    );
    assert!(book.run > 0);
    assert!(book.wrong.is_empty(), "\n{}", book.wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readme_is_as_it_says() {
    session(0, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nomad_101_is_as_it_says() {
    session(1, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scenarios_reports_and_the_rest_are_as_they_say() {
    session(2, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_aws_side_is_as_it_says() {
    session(3, 1).await;
}

/// Planted: a line that is not said, an exit code that is not so. Commands see what those before
/// them left.
#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_lies_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let desk = Desk::set(folder.path(), "docs", 1);
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
