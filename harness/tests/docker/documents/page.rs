//! What a document says to type, and what it shows of the output.
//!
//! A block of commands is fenced as `sh` (each line is typed, and must end well) or as `console`
//! (lines after `$ ` are typed, the others are what is seen). How a block is run stands in comments
//! right before its fence, which no reader sees:
//!
//! ```text
//! <!-- not run: REASON -->            its commands are counted, and not run
//! <!-- not run: REASON: TEXT -->      only those that begin with this text
//! <!-- run: ends with 40 -->          the last command's exit code, where it is not 0
//! <!-- run: ends with 40: TEXT -->    the exit code of the command that begins so
//! <!-- run: interrupted: TEXT -->     what begins so runs for ever: once it has said something, it is ended
//! <!-- run: from 1.3 -->              an older Nomad cannot do this: there it is not run
//! <!-- run: from 1.3: TEXT -->        nor what begins with this text
//! <!-- run: numbers vary -->          whole numbers are not compared; also `agents vary`
//! <!-- run: A for B -->               A is typed in place of B: less of the same
//! <!-- unseen: COMMAND -->            is typed before the block: what a reader has done already
//! ```

use std::fmt::Write as _;

use semver::Version;

/// Why a command is not run. A new reason is a decision, so it stands here.
pub const REASONS: &[&str] = &[
    "an AWS account",
    "the internet",
    "another machine",
    "root",
    "long",
    "tests",
    "a real Nomad",
];

/// A line to type, and what is shown of its output.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// Line in the document, from 1.
    pub line: usize,
    /// What is typed.
    pub command: String,
    /// What is shown; `None` where nothing is.
    pub shown: Option<Vec<String>>,
    /// Why it is not run.
    pub not_run: Option<String>,
    /// The first Nomad that can do it.
    pub from: Option<Version>,
    /// The exit code that it must have.
    pub code: i32,
    /// Whether it is ended once it has said something.
    pub interrupted: bool,
    /// Whether whole numbers are compared.
    pub numbers_vary: bool,
    /// Whether agents' numbers are compared.
    pub agents_vary: bool,
    /// Whether a reader sees it.
    pub unseen: bool,
}

/// What the comments before a fence say.
#[derive(Default)]
struct Marks {
    not_run: Vec<(String, String)>,
    from: Vec<(String, Version)>,
    code: i32,
    codes: Vec<(String, i32)>,
    interrupted: Option<String>,
    numbers_vary: bool,
    agents_vary: bool,
    swaps: Vec<(String, String)>,
    unseen: Vec<(usize, String)>,
}

impl Marks {
    fn read(&mut self, line: usize, text: &str) -> Result<(), String> {
        let text = text.trim_start_matches("<!--").trim_end_matches("-->");
        let text = text.trim();
        if let Some(command) = text.strip_prefix("unseen: ") {
            self.unseen.push((line, command.to_owned()));
        } else if let Some(rest) = text.strip_prefix("not run: ") {
            let (reason, of) = rest.split_once(": ").unwrap_or((rest, ""));
            if !REASONS.contains(&reason) {
                return Err(format!("{line}: `{reason}` is no reason: {REASONS:?}"));
            }
            self.not_run.push((of.to_owned(), reason.to_owned()));
        } else if let Some(rest) = text.strip_prefix("run: ") {
            self.run(rest).ok_or_else(|| {
                format!("{line}: `{rest}` is not understood: the head of page.rs says what is")
            })?;
        }
        Ok(())
    }

    fn run(&mut self, how: &str) -> Option<()> {
        match how {
            "numbers vary" => self.numbers_vary = true,
            "agents vary" => self.agents_vary = true,
            _ if how.starts_with("from ") => {
                let (from, of) = how[5..].split_once(": ").unwrap_or((&how[5..], ""));
                let from = Version::parse(&format!("{from}.0")).ok()?;
                self.from.push((of.to_owned(), from));
            }
            _ if how.starts_with("ends with ") => match how[10..].split_once(": ") {
                Some((code, of)) => self.codes.push((of.to_owned(), code.parse().ok()?)),
                None => self.code = how[10..].parse().ok()?,
            },
            _ if how.starts_with("interrupted: ") => self.interrupted = Some(how[13..].to_owned()),
            _ => {
                let (typed, written) = how.split_once(" for ")?;
                self.swaps.push((typed.to_owned(), written.to_owned()));
            }
        }
        Some(())
    }

    fn step(&self, line: usize, command: &str) -> Step {
        let swapped = |command: String, (typed, written): &(String, String)| {
            command.replace(written.as_str(), typed)
        };
        let begins = |of: &String| command.starts_with(of.as_str());
        Step {
            line,
            command: self.swaps.iter().fold(command.to_owned(), swapped),
            shown: None,
            not_run: said_of(&self.not_run, command),
            from: said_of(&self.from, command),
            code: said_of(&self.codes, command).unwrap_or_default(),
            interrupted: self.interrupted.as_ref().is_some_and(begins),
            numbers_vary: self.numbers_vary,
            agents_vary: self.agents_vary,
            unseen: false,
        }
    }
}

/// Returns what the first mark that is about a command says.
fn said_of<T: Clone>(marks: &[(String, T)], command: &str) -> Option<T> {
    let mut marks = marks.iter();
    let own = marks.find(|(of, _)| command.starts_with(of.as_str()));
    own.map(|(_, said)| said.clone())
}

/// Reads a document.
///
/// # Errors
/// All that is not as the head of this file has it, a line each.
pub fn read(text: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut problems = String::new();
    let mut marks = Marks::default();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if line.starts_with("<!--") {
            if let Err(problem) = marks.read(number + 1, line) {
                let _ = writeln!(problems, "{problem}");
            }
            continue;
        }
        let Some(language) = line.strip_prefix("```") else {
            if !line.trim().is_empty() {
                marks = Marks::default();
            }
            continue;
        };
        let marks = std::mem::take(&mut marks);
        let inside: Vec<_> = lines
            .by_ref()
            .take_while(|(_, line)| !line.starts_with("```"))
            .map(|(number, line)| (number + 1, line))
            .collect();
        let mut found = match language {
            "sh" => typed(&marks, &inside),
            "console" => seen(&marks, &inside),
            "" => {
                let _ = writeln!(problems, "{}: a fence needs its language", number + 1);
                continue;
            }
            _ => continue,
        };
        for (line, command) in &marks.unseen {
            let unseen = Step {
                unseen: true,
                ..Marks::default().step(*line, command)
            };
            steps.push(unseen);
        }
        if let Some(last) = found.last_mut().filter(|_| marks.code != 0) {
            last.code = marks.code;
        }
        steps.append(&mut found);
    }
    if problems.is_empty() {
        Ok(steps)
    } else {
        Err(problems)
    }
}

/// The commands of an `sh` block; a line that ends in `\` goes on in the next.
fn typed(marks: &Marks, lines: &[(usize, &str)]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut begun = String::new();
    for (number, line) in lines {
        if let Some(start) = line.strip_suffix('\\') {
            begun.push_str(start);
        } else {
            let command = std::mem::take(&mut begun) + line;
            if !command.trim().is_empty() {
                steps.push(marks.step(*number, &command));
            }
        }
    }
    steps
}

/// The commands of a `console` block, each with what is shown after it.
fn seen(marks: &Marks, lines: &[(usize, &str)]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (number, line) in lines {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(marks.step(*number, command));
        } else if let Some(step) = steps.last_mut() {
            step.shown.get_or_insert_default().push((*line).to_owned());
        }
    }
    steps
}

#[test]
fn commands_output_and_marks_are_told_apart() {
    let text = "a\n<!-- unseen: cd x -->\n<!-- run: ends with 40 -->\n<!-- run: 5s for 30m -->\n```console\n\
                $ soak 30m\nseen\n\n$ two\n```\n<!-- not run: long: b -->\n<!-- run: ends with 3: a -->\n<!-- run: from 1.3: a -->\n```sh\na \\\n  c\nb\n```\n";
    let steps = read(text).unwrap();
    let commands: Vec<_> = steps.iter().map(|step| step.command.as_str()).collect();
    assert_eq!(commands, ["cd x", "soak 5s", "two", "a   c", "b"]);
    assert_eq!(steps[1].shown.as_deref().unwrap(), ["seen", ""]);
    assert!(steps[2].shown.is_none());
    let codes: Vec<_> = steps.iter().map(|step| step.code).collect();
    assert_eq!(codes, [0, 0, 40, 3, 0]);
    let reasons: Vec<_> = steps.iter().map(|step| step.not_run.is_some()).collect();
    assert_eq!(reasons, [false, false, false, false, true]);
    let from: Vec<_> = steps.iter().map(|step| step.from.clone()).collect();
    assert_eq!(from, [None, None, None, Some(Version::new(1, 3, 0)), None]);
}

#[test]
fn a_mark_that_means_nothing_and_a_fence_without_a_language_are_told() {
    let text = "<!-- not run: lazy -->\n```sh\na\n```\n<!-- run: sideways -->\n```\nb\n```\n";
    let problems = read(text).unwrap_err();
    assert_eq!(problems.lines().count(), 3, "{problems}");
    assert!(problems.contains("7: a fence") || problems.contains("6: a fence"));
}
