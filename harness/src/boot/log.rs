//! What the stand-ins wrote down: every program that would have changed the machine or talked to
//! somebody, with its arguments.

use serde::Serialize;

/// Between the fields of a record.
const FIELD: char = '\u{1f}';
/// After a record.
const RECORD: char = '\u{1e}';

/// What a call was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A package manager was to install or fetch something.
    Install,
    /// Something was to be downloaded.
    Download,
    /// Something downloaded was to be unpacked.
    Unpack,
    /// A checksum or signature was to be checked.
    Verify,
    /// A user or group was to be made or changed.
    Account,
    /// A service was to be started, enabled, ...
    Service,
    /// An agent was to be started, without the service manager.
    Start,
    /// AWS was asked.
    Cloud,
    /// The agent was asked, which does not run here.
    Agent,
    /// It was to wait.
    Wait,
    /// The machine itself was to be changed or asked.
    Machine,
}

/// A call of a program that a stand-in took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Call {
    /// In which run, from 1.
    pub run: usize,
    /// What it was for.
    pub kind: Kind,
    /// The program.
    pub program: String,
    /// Its arguments.
    pub words: Vec<String>,
    /// How many times: what a loop waits for and asks, or does again at once, is told once.
    pub times: usize,
}

impl Call {
    /// Returns it as a line for people.
    #[must_use]
    pub fn line(&self) -> String {
        let words: Vec<&str> = std::iter::once(self.program.as_str())
            .chain(self.words.iter().map(String::as_str))
            .collect();
        let line = words.join(" ").replace('\n', " ");
        if self.times == 1 {
            line
        } else {
            format!("{line} ({} times)", self.times)
        }
    }
}

/// Reads the stand-ins' record. A record cut short by the end of time is left out.
pub(super) fn read(text: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    for new in text.split_terminator(RECORD).filter_map(call) {
        // In which order it waited and asked says nothing; in which order it changed things does.
        let asks = matches!(new.kind, Kind::Wait | Kind::Agent | Kind::Download);
        let far = if asks { calls.len() } else { 1 };
        match calls
            .iter_mut()
            .rev()
            .take(far)
            .find(|call| same(call, &new))
        {
            Some(call) => call.times += 1,
            None => calls.push(new),
        }
    }
    calls
}

fn same(one: &Call, other: &Call) -> bool {
    (one.run, one.kind, &one.program, &one.words)
        == (other.run, other.kind, &other.program, &other.words)
}

fn call(record: &str) -> Option<Call> {
    // Every field has one behind it.
    let mut fields = record.strip_suffix(FIELD).unwrap_or(record).split(FIELD);
    let run = fields.next()?.trim().parse().ok()?;
    let kind = match fields.next()? {
        "install" => Kind::Install,
        "download" => Kind::Download,
        "unpack" => Kind::Unpack,
        "verify" => Kind::Verify,
        "account" => Kind::Account,
        "service" => Kind::Service,
        "start" => Kind::Start,
        "cloud" => Kind::Cloud,
        "agent" => Kind::Agent,
        "wait" => Kind::Wait,
        _ => Kind::Machine,
    };
    Some(Call {
        run,
        kind,
        program: fields.next()?.to_owned(),
        words: fields.map(str::to_owned).collect(),
        times: 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_with_whatever_their_words_hold() {
        let text = "1\u{1f}service\u{1f}systemctl\u{1f}restart\u{1f}nomad\u{1e}2\u{1f}cloud\u{1f}aws\u{1f}a b\nc\u{1e}3\u{1f}wa";
        let calls = read(text);
        assert_eq!(calls.len(), 2, "a record that was cut short is none");
        assert_eq!((calls[0].run, calls[0].kind), (1, Kind::Service));
        assert_eq!(calls[0].line(), "systemctl restart nomad");
        assert_eq!(calls[1].words, ["a b\nc"]);
        assert_eq!(calls[1].line(), "aws a b c");
    }

    #[test]
    fn what_a_loop_asks_is_one_record_and_changes_keep_their_order() {
        let record = |kind: &str, words: &str| format!("1\u{1f}{kind}\u{1f}p\u{1f}{words}\u{1e}");
        let turn = record("agent", "status") + &record("wait", "5");
        let calls = read(&turn.repeat(1000));
        let counts: Vec<_> = calls.iter().map(|call| (call.kind, call.times)).collect();
        assert_eq!(counts, [(Kind::Agent, 1000), (Kind::Wait, 1000)]);
        let service = record("service", "stop") + &record("service", "start");
        assert_eq!(read(&service.repeat(2)).len(), 4);
        assert_eq!(
            read(&record("service", "stop").repeat(2))[0].line(),
            "p stop (2 times)"
        );
    }
}
