//! Which lines of a script no machine ever runs: those of branches whose condition is written out, as a
//! template's `if ${TLS_ENABLED}` is once it is rendered.

use std::sync::LazyLock;

use regex::Regex;

use super::script::HereDocument;

/// One `if` that is open.
struct Open {
    /// Whether the lines that follow may run; `None` where only the machine knows.
    here: Option<bool>,
    /// Whether a branch before surely ran, so that no other does.
    over: bool,
}

impl Open {
    fn of(condition: &str) -> Self {
        let here = truth(condition);
        Self {
            here,
            over: here == Some(true),
        }
    }

    /// Goes to the next branch; `else` has no condition.
    fn next(&mut self, condition: Option<&str>) {
        // Where one before is not known, another that is true may run, or not.
        let unsure = self.here.is_none() && !self.over;
        self.here = match condition.map_or(Some(true), truth) {
            _ if self.over => Some(false),
            Some(true) if unsure => None,
            known => known,
        };
        self.over |= self.here == Some(true);
    }
}

/// Returns the text with empty lines for those that surely do not run: lines keep their numbers.
#[must_use]
pub(super) fn taken(text: &str) -> String {
    let mut open: Vec<Open> = Vec::new();
    let mut within: Option<HereDocument> = None;
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let before = open.len();
        let mut around = before;
        if let Some(document) = &within {
            if document.ends_with(line) {
                within = None;
            }
        } else {
            // The lines of an `if` itself are of the block around it.
            if branch(line, &mut open) {
                let after = open.len();
                around = before.min(after);
                around = around.saturating_sub(usize::from(before == after));
            }
            within = HereDocument::begin(line);
        }
        let mut around = open.iter().take(around);
        let dead = around.any(|one| one.here == Some(false));
        if !dead {
            out.push_str(line);
        }
        out.push('\n');
    }
    out
}

/// Follows `if`, `elif`, `else` and `fi`; whether the line is one of these.
fn branch(line: &str, open: &mut Vec<Open>) -> bool {
    let line = line.trim();
    let word = line.split([' ', '\t', ';']).next().unwrap_or_default();
    let condition = || {
        let rest = line[word.len()..].trim();
        let rest = rest.strip_suffix("then").unwrap_or(rest);
        rest.trim().trim_end_matches(';').trim().to_owned()
    };
    match word {
        // One that is closed in its own line is left alone.
        "if" if !CLOSED.is_match(line) => open.push(Open::of(&condition())),
        "elif" => {
            if let Some(one) = open.last_mut() {
                one.next(Some(&condition()));
            }
        }
        "else" => {
            if let Some(one) = open.last_mut() {
                one.next(None);
            }
        }
        "fi" => drop(open.pop()),
        _ => return false,
    }
    true
}

static CLOSED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?:^|[\s;])fi(?:$|[\s;&|)])").expect("a valid pattern"));

/// What a condition is where everything in it is written out.
fn truth(condition: &str) -> Option<bool> {
    if let Some(rest) = condition.strip_prefix("! ") {
        return truth(rest.trim()).map(|value| !value);
    }
    if condition.contains(['$', '`', '*', '?', '&', '|', ';', '<', '>', '(']) {
        return None;
    }
    let inner = ["[[", "["]
        .iter()
        .zip(["]]", "]"])
        .find_map(|(open, close)| {
            let inner = condition.strip_prefix(open)?.strip_suffix(close)?;
            inner.starts_with([' ', '\t']).then(|| inner.trim())
        });
    let Some(inner) = inner else {
        return match condition {
            "true" | ":" => Some(true),
            "false" => Some(false),
            _ => None,
        };
    };
    let words: Vec<&str> = WORD.find_iter(inner).map(|word| word.as_str()).collect();
    let bare = |word: &str| word.trim_matches(['"', '\'']).to_owned();
    match words.as_slice() {
        [left, "=" | "==", right] => Some(bare(left) == bare(right)),
        [left, "!=", right] => Some(bare(left) != bare(right)),
        ["-n", word] => Some(!bare(word).is_empty()),
        ["-z", word] => Some(bare(word).is_empty()),
        _ => None,
    }
}

static WORD: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#""[^"]*"|'[^']*'|[^\s"']+"#).expect("a valid pattern"));

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines that are left, without empty ones.
    fn left(text: &str) -> Vec<String> {
        let text = taken(text);
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty());
        let keyword = |line: &&str| {
            let word = line.split([' ', ';']).next().unwrap_or_default();
            !["if", "elif", "else", "fi", "then"].contains(&word)
        };
        lines.filter(keyword).map(str::to_owned).collect()
    }

    #[test]
    fn what_a_written_out_condition_excludes_is_left_out() {
        for (condition, yes) in [
            ("true", true),
            ("false", false),
            ("! false", true),
            ("[ \"true\" = \"true\" ]", true),
            ("[[ false == true ]]", false),
            ("[ 'a' != \"a\" ]", false),
            ("[ -n \"\" ]", false),
            ("[ -z \"\" ]", true),
            ("[ -n \"x y\" ]", true),
        ] {
            let kept = if yes { "a" } else { "b" };
            for script in [
                format!("if {condition}; then\na\nelse\nb\nfi\nc\n"),
                format!("if {condition}\nthen\n  a\nelse\n  b\nfi\nc\n"),
            ] {
                assert_eq!(left(&script), [kept, "c"], "{script}");
                assert_eq!(taken(&script).lines().count(), script.lines().count());
            }
        }
    }

    #[test]
    fn what_only_the_machine_knows_is_kept() {
        for condition in [
            "[ \"$X\" = \"true\" ]",
            "command -v nomad",
            "[ -f /etc/x ]",
            "true && test -f x",
            "[ `id -u` = 0 ]",
        ] {
            let script = format!("if {condition}; then\na\nelse\nb\nfi\n");
            assert_eq!(left(&script), ["a", "b"], "{condition}");
        }
    }

    #[test]
    fn branches_stand_in_each_other_and_end_where_they_end() {
        let script = "if false; then\na\nif [ -f x ]; then\nb\nelse\nc\nfi\nd\nelif true; then\ne\nelif $X; then\nf\nelse\ng\nfi\nh\n";
        assert_eq!(left(script), ["e", "h"]);
        let script = "if false; then\nif ! x; then\na\nfi\nfi\n";
        assert!(!taken(script).contains("! x"));
        let script = "if $X; then\na\nelif true; then\nb\nelse\nc\nfi\nif false; then x; fi\ny\n";
        assert_eq!(left(script), ["a", "b", "c", "y"]);
    }

    #[test]
    fn what_a_here_document_holds_is_no_branch() {
        let script = "if false; then\ncat > /etc/a <<EOF\nfi\nelse\nEOF\na\nfi\nb\ncat > /etc/b <<'EOF'\nif false; then\nc\nEOF\nd\n";
        let kept = ["b", "cat > /etc/b <<'EOF'", "c", "EOF", "d"];
        assert_eq!(left(script), kept);
    }
}
