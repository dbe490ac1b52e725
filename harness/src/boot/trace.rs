//! Which line of a script was carried out last, by its trace.
//!
//! `bash` writes down numbers. Debian's `sh` knows none: there a line is found again by the words of the
//! command, which the trace shows as they were after expansion.

use std::sync::LazyLock;

use regex::Regex;

static TRACED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\++rehearse:(?:(?<part>[^:]*):)?(?<line>\d*):(?<words>.*)")
        .expect("a valid pattern")
});

/// Returns the last line of a part that a trace shows, from 1. Line 1 is where `bash` says that traps
/// are, and is the first line's.
pub(super) fn last_line(trace: &str, part: &str, script: &str) -> Option<usize> {
    let mut numbered = None;
    let mut commands: Vec<&str> = Vec::new();
    for line in trace.lines() {
        let Some(found) = TRACED.captures(line) else {
            continue;
        };
        if found
            .name("part")
            .is_some_and(|name| !name.is_empty() && name.as_str() != part)
        {
            continue;
        }
        match found["line"].parse::<usize>() {
            Ok(line) if line > 1 => numbered = Some(line),
            Ok(_) => {}
            Err(_) => commands.push(found.name("words").map_or("", |words| words.as_str())),
        }
    }
    numbered.or_else(|| by_words(&commands, script))
}

/// Whether a line is the trace's own.
pub(super) fn is_of_trace(line: &str) -> bool {
    TRACED.is_match(line)
}

/// Follows the commands through the script: each is at the next line that has most of its words, or, in
/// a loop, at the first one from the top.
fn by_words(commands: &[&str], script: &str) -> Option<usize> {
    let lines: Vec<String> = script.lines().map(plain).collect();
    let mut at = None;
    for command in commands {
        let words: Vec<&str> = command.split_whitespace().collect();
        let has =
            |count: usize, line: &str| !line.starts_with('#') && within(line, &words[..count]);
        let best = (1..=words.len())
            .rev()
            .find(|count| lines.iter().any(|line| has(*count, line)));
        let Some(best) = best else {
            continue;
        };
        let from = at.unwrap_or(0);
        let mut places = (from..lines.len()).chain(0..from);
        at = places.find(|place| has(best, &lines[*place])).or(at);
    }
    at.map(|line| line + 1)
}

/// Whether a line has these words, one behind the other.
fn within(line: &str, words: &[&str]) -> bool {
    let all: Vec<&str> = line.split_whitespace().collect();
    all.windows(words.len()).any(|window| {
        window
            .iter()
            .zip(words)
            .all(|(one, word)| one.trim_end_matches(';') == *word)
    })
}

/// A line without what the shell takes away.
fn plain(line: &str) -> String {
    line.trim()
        .chars()
        .filter(|c| !matches!(c, '"' | '\'' | '\\' | '(' | ')' | '`'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_of_the_script_itself() {
        let trace = "+rehearse:00.bash:3:set -e\n++rehearse:00.bash:7:date\n+rehearse:os-release:9:ID=x\n+rehearse:00.bash:1:rm -rf /tmp/x\n";
        assert_eq!(last_line(trace, "00.bash", ""), Some(7));
        assert_eq!(last_line("+rehearse:4:false\n", "00.sh", ""), Some(4));
        assert_eq!(last_line("", "00.sh", "false\n"), None);
    }

    #[test]
    fn a_shell_without_numbers_has_its_lines_found_by_their_words() {
        let script = "#!/bin/sh\n# sleep 5\nsleep 5\ncurl -o \"$TO\" x\nuntil nslookup 'a b' 2> /dev/null; do\n  sleep 5\ndone; date\n";
        let line = |commands: &[&str]| {
            let trace: String = commands
                .iter()
                .map(|command| format!("+rehearse::{command}\n"))
                .collect();
            last_line(&trace, "00.sh", script)
        };
        assert_eq!(line(&["sleep 5"]), Some(3));
        assert_eq!(line(&["sleep 5", "curl -o /tmp/x x"]), Some(4), "expanded");
        let looped = ["sleep 5", "curl -o /t x", "nslookup a b", "sleep 5"];
        assert_eq!(line(&looped), Some(6), "the second of two alike");
        assert_eq!(line(&["nslookup a b", "sleep 5", "nslookup a b"]), Some(5));
        assert_eq!(line(&["unheard of"]), None);
    }
}
