//! Times as Nomad writes them: `15s`, `1m30s`, `250ms`.

use std::time::Duration;

use crate::grammar::suggest;

/// Each unit, and how many nanoseconds it is.
const UNITS: [(&str, f64); 6] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// Reads a time.
///
/// # Errors
/// What is wrong with it, and what was perhaps meant.
pub fn parse(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    let mut nanos = 0.0;
    if rest.is_empty() {
        return Err("an empty text is no duration (expected one as `15s`)".to_owned());
    }
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let number: f64 = rest[..end]
            .parse()
            .map_err(|_| format!("`{text}` is no duration (expected one as `15s`)"))?;
        rest = &rest[end..];
        let end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let unit = &rest[..end];
        rest = &rest[end..];
        if unit.is_empty() {
            return Err(format!("`{text}` has no unit (did you mean `{text}s`?)"));
        }
        match UNITS.iter().find(|(known, _)| *known == unit) {
            Some((_, size)) => nanos += number * size,
            None => return Err(format!("`{unit}` is no unit of time{}", meant(unit))),
        }
    }
    Duration::try_from_secs_f64(nanos / 1e9).map_err(|_| format!("`{text}` is too long a time"))
}

/// Reads a time; a bare number is one of seconds, as command lines have it.
///
/// # Errors
/// As [`parse`].
pub fn parse_or_seconds(text: &str) -> Result<Duration, String> {
    match text.trim().parse() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => parse(text),
    }
}

fn meant(unit: &str) -> String {
    let near = match unit {
        "sec" | "secs" | "second" | "seconds" | "S" => "s",
        "min" | "mins" | "minute" | "minutes" | "M" => "m",
        "hour" | "hours" | "H" => "h",
        "msec" | "millis" | "milliseconds" | "MS" => "ms",
        _ => return suggest(unit, ["ms", "s", "m", "h"]),
    };
    format!(" (did you mean `{near}`?)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_nomad_writes_them() {
        assert_eq!(parse("15s"), Ok(Duration::from_secs(15)));
        assert_eq!(parse("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse("1.5h"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
    }

    #[test]
    fn a_bare_number_is_one_of_seconds_where_that_is_allowed() {
        assert_eq!(parse_or_seconds("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_or_seconds("2m"), Ok(Duration::from_secs(120)));
        assert!(
            parse_or_seconds("-5")
                .unwrap_err()
                .contains("is no duration")
        );
    }

    #[test]
    fn a_wrong_unit_is_told_with_what_was_meant() {
        let told = |text| parse(text).unwrap_err();
        assert_eq!(told("15"), "`15` has no unit (did you mean `15s`?)");
        assert_eq!(
            told("15sec"),
            "`sec` is no unit of time (did you mean `s`?)"
        );
        assert!(told("15 parsecs").contains("expected `ms`, `s`, `m`, `h`"));
        assert!(told("soon").contains("is no duration"));
        assert!(told("").contains("is no duration"));
    }
}
