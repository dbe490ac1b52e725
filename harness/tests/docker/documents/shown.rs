//! Whether what a document shows is what was seen, but for what is another thing each time.

use regex::Regex;

use super::agents::Agents;
use super::page::Step;

/// Stands for any text in a line, and alone on a line for any number of lines.
const ELIDED: char = '…';

/// What is left out on both sides before they are compared, and what takes its place.
const VOLATILE: &[(&str, &str)] = &[
    (r"\x1b\[[0-9;?]*[a-zA-Z]", ""),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}", "ID"),
    (
        r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[0-9.]*(Z|[+-]\d\d:\d\d)?",
        "TIME",
    ),
    (r"\b\d{1,3}(\.\d{1,3}){3}(/\d+)?(:\d+)?\b", "ADDRESS"),
    (r"-[0-9a-f]{6,8}\b", "-ID"),
    (r"\b[0-9a-f]{8}\b", "ID"),
    (r"\bseed \d+", "seed N"),
    (r"\b\d+(\.\d+)? ?(ms|s|m|MB|kB|MiB|GiB|GB)\b", "N"),
    (r"(^|[^.\d])\d+\.\d+( |$)", "${1}N$2"),
    (r", at time scale \d+", ""),
    (r"\b(amd64|arm64|s390x)\b", "ARCH"),
    // Said the first time only, and of a busy machine, at any moment.
    (r"^making image .*", ""),
    (r"^.* this machine computes .* times slower$", ""),
    // Of a Nomad that was compiled without the tag `release`.
    (r"\bmock_driver, ", ""),
];

/// What the comparison knows of a step.
pub struct Eye {
    volatile: Vec<(Regex, &'static str)>,
    /// What is shown of other agents, and what is seen of these in its place.
    in_place: Vec<(Regex, String)>,
}

impl Eye {
    pub fn of(step: &Step, agents: &Agents) -> Self {
        let more = [
            (step.agents_vary, (r"\b(server|client)-\d", "$1-N")),
            (step.numbers_vary, (r"\b\d+\b", "N")),
        ];
        let more = more.iter().filter(|(wanted, _)| *wanted);
        let all = VOLATILE.iter().chain(more.map(|(_, pair)| pair));
        let regex =
            |(pattern, by): &(&str, &'static str)| (Regex::new(pattern).expect("a constant"), *by);
        Self {
            volatile: all.map(regex).collect(),
            in_place: agents.in_place(),
        }
    }

    fn plain(&self, line: &str) -> String {
        let redacted = self
            .volatile
            .iter()
            .fold(line.to_owned(), |line, (pattern, by)| {
                pattern.replace_all(&line, *by).into_owned()
            });
        let words: Vec<_> = redacted.split_whitespace().collect();
        words.join(" ")
    }

    /// Compares; the error says which shown line was not seen.
    pub fn compare(&self, shown: &[String], seen: &str) -> Result<(), String> {
        let seen: Vec<String> = seen
            .lines()
            .map(|line| self.plain(line))
            .filter(|line| !line.is_empty())
            .collect();
        let mut at = 0;
        let mut free = false;
        let mut group: Vec<(&String, Regex)> = Vec::new();
        let end = ELIDED.to_string();
        let closed = shown.last().is_none_or(|line| line.trim() != end);
        for line in shown.iter().chain([&end]) {
            let text = line.trim();
            if text != end {
                if !text.is_empty() {
                    group.push((line, self.pattern(text)));
                }
                continue;
            }
            if !group.is_empty() {
                at = find(&group, &seen, at, free)?;
                group.clear();
            }
            free = true;
        }
        match seen.get(at) {
            Some(line) if closed => Err(format!("seen, and not shown: `{line}`")),
            _ => Ok(()),
        }
    }

    fn pattern(&self, text: &str) -> Regex {
        let of_these = |line: String, (pattern, by): &(Regex, String)| {
            pattern.replace_all(&line, by.as_str()).into_owned()
        };
        let plain = self.plain(&self.in_place.iter().fold(text.to_owned(), of_these));
        let parts: Vec<_> = plain.split(ELIDED).map(regex::escape).collect();
        Regex::new(&format!("^{}$", parts.join(".*"))).expect("escaped")
    }
}

/// Finds lines that follow each other; returns where they end. `free`: lines may come before.
fn find(
    group: &[(&String, Regex)],
    seen: &[String],
    from: usize,
    free: bool,
) -> Result<usize, String> {
    let fits = |start: usize| {
        let lines = &seen[start..];
        let agree = lines.iter().zip(group);
        agree
            .take_while(|(line, (_, one))| one.is_match(line))
            .count()
    };
    let starts = if free { from..=seen.len() } else { from..=from };
    let mut best = 0;
    for start in starts {
        let count = fits(start);
        if count == group.len() {
            return Ok(start + count);
        }
        best = best.max(count);
    }
    Err(format!("shown, and not seen: `{}`", group[best].0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(shown: &str, seen: &str) -> Result<(), String> {
        let steps = super::super::page::read("```sh\nx\n```\n").unwrap();
        let shown: Vec<_> = shown.lines().map(str::to_owned).collect();
        Eye::of(&steps[0], &Agents::Simulated { time_scale: 1 }).compare(&shown, seen)
    }

    #[test]
    fn what_is_another_thing_each_time_is_not_compared() {
        let shown = "client-1  1f3a5b7c  ready   after 3.1 s at 127.0.0.1:4646\n…\npassed  x  12.0s  seed 1";
        let seen = "client-1 ab3a5b7d ready after 12.7 s at 127.0.0.1:39001\nmore\nmore\npassed x 8.1s seed 99";
        compare(shown, seen).unwrap();
    }

    #[test]
    fn what_is_said_at_some_times_only_is_left_out() {
        let seen = "making image a:b (2 MiB)\n1\n1.1.2  6.06s    this machine computes 4.1 times slower\n2";
        compare("1\n2", seen).unwrap();
    }

    #[test]
    fn a_wrong_line_a_missing_one_and_one_too_many_are_told() {
        let seen = "one\ntwo\nthree";
        compare("one\ntwo\nthree", seen).unwrap();
        compare("…\nt…e", seen).unwrap();
        compare("one\n…", seen).unwrap();
        let told = |shown: &str| compare(shown, seen).unwrap_err();
        assert_eq!(told("one\ntoo\nthree"), "shown, and not seen: `too`");
        assert_eq!(told("two\n…"), "shown, and not seen: `two`");
        assert_eq!(told("one\n…\nfour"), "shown, and not seen: `four`");
        assert_eq!(told("one\ntwo"), "seen, and not shown: `three`");
        assert_eq!(told("…\nthree\n…\ntwo"), "shown, and not seen: `two`");
    }
}
