//! Takes known keys out of a block and reports the rest: Nomad refuses keys it does not know.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::hcl::{Block, Item, Value};

/// What a reading found besides values.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// One line each, in the order of the file.
    pub(super) problems: Vec<String>,
    /// Known keys that this agent does not act on, with their path.
    pub(super) inert: BTreeSet<String>,
}

/// One block being read. Keys not asked for by the end are unexpected.
pub(super) struct Reader<'a> {
    block: &'a Block,
    path: String,
    known: BTreeSet<&'static str>,
    findings: &'a mut Findings,
}

impl<'a> Reader<'a> {
    pub(super) fn new(block: &'a Block, path: &str, findings: &'a mut Findings) -> Self {
        Self {
            block,
            path: path.to_owned(),
            known: BTreeSet::new(),
            findings,
        }
    }

    fn take(&mut self, key: &'static str) -> Option<&'a Item> {
        self.known.insert(key);
        self.block.items.iter().find(|item| item.key == key)
    }

    fn full(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }

    /// Reports something wrong with the value of `key`.
    pub(super) fn problem(&mut self, key: &str, problem: &str) {
        let at = self.block.items.iter().find(|item| item.key == key);
        let place = match at.map(|item| item.at) {
            Some(at) if at.line > 0 => format!("{}:{}: ", at.line, at.column),
            _ => String::new(),
        };
        let line = format!("{place}`{}`: {problem}", self.full(key));
        self.findings.problems.push(line);
    }

    fn wrong(&mut self, key: &str, wanted: &str) {
        self.problem(key, &format!("expected {wanted}"));
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        match &self.take(key)?.value {
            Value::Text(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => {
                self.wrong(key, "a text");
                None
            }
        }
    }

    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let value = match &self.take(key)?.value {
            Value::Bool(flag) => Some(*flag),
            Value::Text(text) => match text.as_str() {
                "1" | "true" => Some(true),
                "0" | "false" => Some(false),
                _ => None,
            },
            _ => None,
        };
        if value.is_none() {
            self.wrong(key, "`true` or `false`");
        }
        value
    }

    pub(super) fn float(&mut self, key: &'static str) -> Option<f64> {
        let value = match &self.take(key)?.value {
            Value::Number(number) => Some(*number),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        };
        if value.is_none() {
            self.wrong(key, "a number");
        }
        value
    }

    /// A whole number that is not negative.
    pub(super) fn count(&mut self, key: &'static str) -> Option<u64> {
        let value = self.float(key)?;
        // Any whole number below 2^53 is exact in a float.
        if value.fract() == 0.0 && (0.0..9e15).contains(&value) {
            return Some(value as u64);
        }
        self.wrong(key, "a whole number");
        None
    }

    pub(super) fn port(&mut self, key: &'static str) -> Option<u16> {
        let value = self.count(key)?;
        let port = u16::try_from(value).ok();
        if port.is_none() {
            self.wrong(key, "a port, 0 to 65535");
        }
        port
    }

    pub(super) fn duration(&mut self, key: &'static str) -> Option<Duration> {
        let duration = match &self.take(key)?.value {
            Value::Text(text) => parse_duration(text),
            // Bare numbers are nanoseconds, as in Go.
            Value::Number(nanos) if *nanos >= 0.0 => Some(Duration::from_nanos(*nanos as u64)),
            _ => None,
        };
        if duration.is_none() {
            self.wrong(key, "a duration like `10s` or `1m30s`");
        }
        duration
    }

    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        let list = match &self.take(key)?.value {
            Value::List(list) => list.clone(),
            single @ Value::Text(_) => vec![single.clone()],
            _ => Vec::new(),
        };
        let texts: Option<Vec<String>> = list
            .into_iter()
            .map(|value| match value {
                Value::Text(text) => Some(text),
                _ => None,
            })
            .collect();
        if texts.is_none() {
            self.wrong(key, "a list of texts");
        }
        texts
    }

    /// A block of freely named keys with plain values.
    pub(super) fn map(&mut self, key: &'static str) -> Option<BTreeMap<String, String>> {
        let Value::Block(block) = &self.take(key)?.value else {
            self.wrong(key, "a block");
            return None;
        };
        let mut map = BTreeMap::new();
        for item in &block.items {
            let text = match &item.value {
                Value::Text(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                Value::Bool(flag) => flag.to_string(),
                _ => {
                    self.wrong(key, "plain values");
                    continue;
                }
            };
            map.insert(item.key.clone(), text);
        }
        Some(map)
    }

    /// Reads an inner block, and reports its unexpected keys.
    pub(super) fn block<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Reader<'_>) -> T,
    ) -> Option<T> {
        let Value::Block(block) = &self.take(key)?.value else {
            self.wrong(key, "a block");
            return None;
        };
        let path = self.full(key);
        let mut inner = Reader::new(block, &path, self.findings);
        let value = read(&mut inner);
        inner.finish();
        Some(value)
    }

    /// The blocks `key "<label>" { ... }`, each read by `read` with its label.
    pub(super) fn labelled(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&str, &mut Reader<'_>),
    ) {
        let Some(item) = self.take(key) else { return };
        let Value::Block(labels) = &item.value else {
            self.wrong(key, "a block");
            return;
        };
        for label in &labels.items {
            if let Value::Block(block) = &label.value {
                let path = format!("{}.{}", self.full(key), label.key);
                let mut inner = Reader::new(block, &path, self.findings);
                read(&label.key, &mut inner);
                inner.finish();
            } else {
                self.wrong(key, "a label and a block");
            }
        }
    }

    /// Keys that Nomad knows and this agent does not act on.
    pub(super) fn inert(&mut self, keys: &[&'static str]) {
        for key in keys {
            if self.take(key).is_some() {
                let path = self.full(key);
                self.findings.inert.insert(path);
            }
        }
    }

    /// Reports the keys that nobody asked for, in Nomad's words.
    pub(super) fn finish(self) {
        let unexpected: Vec<&str> = self
            .block
            .items
            .iter()
            .map(|item| item.key.as_str())
            .filter(|key| !self.known.contains(key))
            .collect();
        if !unexpected.is_empty() {
            let path = if self.path.is_empty() {
                String::new()
            } else {
                format!("{} ", self.path)
            };
            let line = format!("{path}unexpected keys {}", unexpected.join(", "));
            self.findings.problems.push(line);
        }
    }
}

/// Go's durations: `10s`, `1h30m`, `1.5s`, `100ms`; not negative.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .filter(|length| *length > 0)?;
        let (number, after) = rest.split_at(digits);
        let letters = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * seconds;
        rest = after;
    }
    if text.is_empty() {
        return None;
    }
    Duration::try_from_secs_f64(total).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        let is = |text: &str| parse_duration(text);
        assert_eq!(is("10s"), Some(Duration::from_secs(10)));
        assert_eq!(is("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(is("200ms"), Some(Duration::from_millis(200)));
        assert_eq!(is("1.5s"), Some(Duration::from_millis(1500)));
        for wrong in ["", "10", "s", "10 s", "-1s", "1d"] {
            assert_eq!(is(wrong), None, "{wrong}");
        }
    }
}
