//! Variables of a script that say the same wherever they are used: `CONFIGDIR=/etc/nomad.d`.
//!
//! This is not execution: what a script assigns twice, reads or computes is not known, and stays as it is
//! written.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// An assignment where a command may stand; the value may be quoted in part.
static ASSIGNMENT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?:^|[;&|({]|\b(?:then|do|else)\s)\s*(?:(?:export|readonly|local|declare|typeset)\s+(?:-\w+\s+)*)?(?<name>[A-Za-z_]\w*)(?<more>\+?)=(?<value>(?:"[^"]*"|'[^']*'|[^\s;&|()"'])*)"#,
    )
    .expect("a valid pattern")
});
/// What gives a variable values that are not written out here.
static READ: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b(?:read\s+(?:-\w+\s+)*|printf\s+-v\s+|unset\s+)(?<name>[A-Za-z_]\w*)")
        .expect("a valid pattern")
});
/// A loop over words: each of them in its turn.
static LOOP: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\bfor\s+(?<name>[A-Za-z_]\w*)\s+in\s+(?<words>[^;]*)").expect("a valid pattern")
});
static USE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\$(?:\{(?<braced>[A-Za-z_]\w*)\}|(?<plain>[A-Za-z_]\w*))")
        .expect("a valid pattern")
});

/// The variables of one script.
#[derive(Debug, Default)]
pub(super) struct Variables {
    /// Name → value; nothing where it has several, or one that is not known.
    known: BTreeMap<String, Option<String>>,
}

impl Variables {
    /// Reads the assignments of a script's commands, in their order.
    pub(super) fn of<'c>(commands: impl IntoIterator<Item = &'c str>) -> Self {
        let mut variables = Self::default();
        for command in commands {
            for found in ASSIGNMENT.captures_iter(command) {
                let value = found["more"].is_empty().then(|| &found["value"]);
                let value = value.and_then(|value| variables.value(value));
                variables.assign(&found["name"], value);
            }
            for found in LOOP.captures_iter(command) {
                let words = variables.value(&found["words"].replace('"', ""));
                variables.assign(&found["name"], words);
            }
            for found in READ.captures_iter(command) {
                variables.assign(&found["name"], None);
            }
        }
        variables
    }

    /// What is assigned, where it is wholly known.
    fn value(&self, written: &str) -> Option<String> {
        let literal = written.contains('\'') && written.contains('$');
        let value = self.expand(&written.replace(['"', '\''], ""));
        let open = literal || value.contains(['$', '`', '\\', '(']);
        (!open).then(|| value.trim().to_owned())
    }

    fn assign(&mut self, name: &str, value: Option<String>) {
        let known = self.known.entry(name.to_owned()).or_insert(value.clone());
        if *known != value {
            *known = None;
        }
    }

    /// Puts the values that are known in their variables' places.
    pub(super) fn expand(&self, text: &str) -> String {
        let value = |found: &Captures<'_>| {
            let name = found.name("braced").or(found.name("plain"));
            let known = name.and_then(|name| self.known.get(name.as_str()));
            known
                .cloned()
                .flatten()
                .unwrap_or_else(|| found[0].to_owned())
        };
        USE.replace_all(text, value).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_assigned_once_and_written_out_is_known() {
        let script = [
            "CONFIGDIR=/etc/nomad.d",
            "export FILE=\"$CONFIGDIR\"/nomad.hcl; OTHER='/srv'",
            "if true; then DATA=/a; else DATA=/b; fi",
            "HOST=$(hostname)",
            "TWICE=/a",
            "TWICE=/a",
            "LIST=a",
            "LIST+=b",
            "KEY=x",
            "read -r KEY",
            "run --with NOT=/here",
            "for file in $CONFIGDIR/a.hcl /b.hcl; do cat $file; done",
        ];
        let variables = Variables::of(script);
        for (text, expected) in [
            ("$CONFIGDIR/x", "/etc/nomad.d/x"),
            ("${FILE}", "/etc/nomad.d/nomad.hcl"),
            ("${OTHER}_x $CONFIGDIRS", "/srv_x $CONFIGDIRS"),
            ("$DATA $HOST $LIST $KEY $NOT", "$DATA $HOST $LIST $KEY $NOT"),
            ("$TWICE", "/a"),
            ("cat $file", "cat /etc/nomad.d/a.hcl /b.hcl"),
            ("${CONFIGDIR:-/x}", "${CONFIGDIR:-/x}"),
        ] {
            assert_eq!(variables.expand(text), expected);
        }
    }
}
