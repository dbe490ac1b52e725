//! Durations as Go writes them (`1h30m`, `250ms`), which is how job files and Nomad's messages
//! carry them.

use crate::types::Nanos;

const UNITS: &[(&str, f64)] = &[
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// Parses a Go duration.
///
/// # Errors
/// What was expected, with the text that was seen.
pub fn parse(text: &str) -> Result<Nanos, String> {
    let wrong = || format!("`{text}` is not a duration, expected one like `30s`, `5m` or `1h30m`");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let (_, scale) = UNITS
            .iter()
            .find(|(unit, _)| *unit == &rest[..end])
            .ok_or_else(wrong)?;
        total += number * scale;
        rest = &rest[end..];
    }
    #[allow(
        clippy::cast_possible_truncation,
        reason = "far from the limits, and saturating"
    )]
    let nanos = total.round() as Nanos;
    Ok(if negative { -nanos } else { nanos })
}

/// Prints a duration as Go does: `1m30s`, `2.5s`, `150ms`.
#[must_use]
pub fn format(nanos: Nanos) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let n = nanos.unsigned_abs();
    let fraction = |value: u64, unit: u64| {
        let whole = value / unit;
        let part = value % unit;
        if part == 0 {
            return whole.to_string();
        }
        let width = unit.to_string().len() - 1;
        let digits = format!("{part:0width$}");
        format!("{whole}.{}", digits.trim_end_matches('0'))
    };
    let text = match n {
        0 => "0s".to_owned(),
        1..1_000 => format!("{n}ns"),
        1_000..1_000_000 => format!("{}µs", fraction(n, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", fraction(n, 1_000_000)),
        _ => {
            let minutes = n / 60_000_000_000;
            let seconds = fraction(n % 60_000_000_000, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, m) => format!("{m}m{seconds}s"),
                (h, m) => format!("{h}h{m}m{seconds}s"),
            }
        }
    };
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_become_nanoseconds() {
        for (text, nanos) in [
            ("30s", 30_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1.5s", 1_500_000_000),
            ("250ms", 250_000_000),
            ("0", 0),
            ("-1m", -60_000_000_000),
        ] {
            assert_eq!(parse(text), Ok(nanos), "{text}");
        }
        for text in ["", "5", "s", "5 s", "1x", "1h2"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_printed_as_go_prints_them() {
        for (nanos, text) in [
            (0, "0s"),
            (1_500_000_000, "1.5s"),
            (15_123_456_789, "15.123456789s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (150_000_000, "150ms"),
            (1_500, "1.5µs"),
        ] {
            assert_eq!(format(nanos), text);
        }
    }
}
