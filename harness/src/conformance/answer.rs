//! What an answer must be: status, words, JSON.

use serde_json::Value;

use super::case::{Broken, Law};
use crate::nomad::Answer;

/// Longest part of a body that is told.
const TOLD_MAX: usize = 300;

/// Expectations of an answer.
pub(super) trait Expect: Sized {
    /// It has this status.
    fn status(self, expected: u16) -> Result<Self, Broken>;
    /// It has this status and is one line of text with these words in it.
    fn refuses(self, expected: u16, words: &str) -> Law;
    /// It is a success, in JSON.
    fn value(self) -> Result<Value, Broken>;
    /// It is a success without a body.
    fn empty(self) -> Law;
    /// It is a success, whatever its body.
    fn good(self) -> Law;
}

impl Expect for Answer {
    fn status(self, expected: u16) -> Result<Self, Broken> {
        if self.status == expected {
            return Ok(self);
        }
        Err(Broken {
            not_simulated: self.status == 501,
            seen: format!(
                "{}: expected HTTP {expected}, got {}: {}",
                self.call,
                self.status,
                told(&self.text())
            ),
        })
    }

    fn refuses(self, expected: u16, words: &str) -> Law {
        let answer = self.status(expected)?;
        let text = answer.text();
        if text.contains(words) {
            return Ok(());
        }
        let call = &answer.call;
        let told = told(&text);
        Err(Broken::new(format!(
            "{call}: expected the words `{words}`, got `{told}`"
        )))
    }

    fn value(self) -> Result<Value, Broken> {
        let answer = self.status(200)?;
        serde_json::from_slice(&answer.body).map_err(|error| {
            let (call, told) = (&answer.call, told(&answer.text()));
            Broken::new(format!("{call}: expected JSON ({error}), got `{told}`"))
        })
    }

    fn empty(self) -> Law {
        let answer = self.status(200)?;
        if answer.body.is_empty() {
            return Ok(());
        }
        let (call, told) = (&answer.call, told(&answer.text()));
        Err(Broken::new(format!(
            "{call}: expected no body, got `{told}`"
        )))
    }

    fn good(self) -> Law {
        self.status(200).map(drop)
    }
}

/// Shortens what is told of a body.
pub(super) fn told(text: &str) -> String {
    let text = text.trim();
    if text.chars().count() <= TOLD_MAX {
        return text.to_owned();
    }
    let start: String = text.chars().take(TOLD_MAX).collect();
    format!("{start}...")
}

/// Returns the texts of an array's elements under a key.
pub(super) fn texts<'v>(list: &'v Value, key: &str) -> Vec<&'v str> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(|item| item[key].as_str()).collect()
}

/// Returns an array's elements; none where it is no array.
pub(super) fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

/// Returns which of these fields an object lacks.
pub(super) fn lacks<'k>(object: &Value, keys: &[&'k str]) -> Vec<&'k str> {
    let absent = |key: &&&str| object.get(**key).is_none();
    keys.iter().filter(absent).copied().collect()
}
