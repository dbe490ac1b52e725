//! The one place where the agent reads a clock or waits.
//!
//! Nomad's own timers are scaled here (`time_scale`), so that a scenario which waits for
//! minutes can be rehearsed in seconds, consistently on every agent.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::types::Nanos;

static SCALE: OnceLock<f64> = OnceLock::new();

/// Sets how many times faster than Nomad's own the timers run; once, at start.
pub fn set_scale(scale: f64) {
    SCALE
        .set(scale)
        .expect("the time scale is set once, before anything runs");
}

/// How many times faster than Nomad's own the timers run.
#[must_use]
pub fn scale() -> f64 {
    SCALE.get().copied().unwrap_or(1.0)
}

/// A timer of Nomad's, scaled.
#[must_use]
pub fn scaled(timer: Duration) -> Duration {
    timer.div_f64(scale())
}

/// A timer of Nomad's in nanoseconds (job files carry them so), scaled; negative is zero.
#[must_use]
pub fn scaled_nanos(timer: Nanos) -> Duration {
    scaled(Duration::from_nanos(u64::try_from(timer).unwrap_or(0)))
}

/// As [`scaled_nanos`], for reckoning with times.
#[must_use]
pub fn scaled_time(timer: Nanos) -> Nanos {
    Nanos::try_from(scaled_nanos(timer).as_nanos()).unwrap_or(Nanos::MAX)
}

/// Nanoseconds since the epoch.
#[must_use]
pub fn now() -> Nanos {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Nanos::try_from(since.as_nanos()).unwrap_or(Nanos::MAX)
}

/// Waits for a duration that is *not* one of Nomad's timers, or was scaled already.
pub async fn sleep(duration: Duration) {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    tokio::time::sleep(duration).await;
}

/// RFC 3339 in UTC with nanoseconds, as Go prints times in JSON; the zero time for 0.
#[must_use]
pub fn rfc3339(at: Nanos) -> String {
    if at == 0 {
        return "0001-01-01T00:00:00Z".to_owned();
    }
    let secs = at.div_euclid(1_000_000_000);
    let nanos = at.rem_euclid(1_000_000_000);
    let days = secs.div_euclid(86_400);
    let rest = secs.rem_euclid(86_400);
    let (year, month, day) = civil_from_days(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    let fraction = match nanos {
        0 => String::new(),
        n => format!(".{n:09}").trim_end_matches('0').to_owned(),
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// Nanoseconds since the epoch of a time in RFC 3339; `None` for anything else.
#[must_use]
pub fn from_rfc3339(text: &str) -> Option<Nanos> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let marks = [(4, '-'), (7, '-'), (10, 'T'), (13, ':'), (16, ':')];
    let is_marked = |(at, mark): &(usize, char)| text.get(*at..at + 1) == Some(&mark.to_string());
    if !marks.iter().all(is_marked) {
        return None;
    }
    let days = days_from_civil(number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let secs = number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
    let rest = text.get(19..)?;
    let at = rest.find(['Z', 'z', '+', '-'])?;
    let (fraction, zone) = rest.split_at(at);
    let digits = fraction.strip_prefix('.').unwrap_or_default();
    let digits = format!("{digits:0<9}");
    let nanos: i64 = digits.get(..9)?.parse().ok()?;
    let offset = if zone.eq_ignore_ascii_case("z") {
        0
    } else {
        let (hours, minutes) = zone.get(1..)?.split_once(':')?;
        let minutes = hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?;
        if zone.starts_with('-') {
            -minutes
        } else {
            minutes
        }
    };
    let secs = days * 86_400 + secs - offset * 60;
    secs.checked_mul(1_000_000_000)?.checked_add(nanos)
}

/// The reverse of [`civil_from_days`].
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let yoe = year - era * 400;
    let doy = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

/// Gregorian date of a day counted from 1970-01-01 (Howard Hinnant's algorithm).
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_printed_is_read_back() {
        for at in [
            951_782_400_000_000_000,
            1_704_714_145_567_062_938,
            1_704_714_145_500_000_000,
        ] {
            assert_eq!(from_rfc3339(&rfc3339(at)), Some(at));
        }
        let east = from_rfc3339("2024-01-08T12:42:25.5+01:00");
        assert_eq!(east, Some(1_704_714_145_500_000_000));
        for wrong in ["", "tomorrow", "2024-01-08", "2024-01-08T12:42:25"] {
            assert_eq!(from_rfc3339(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_are_printed_as_go_prints_them() {
        assert_eq!(rfc3339(0), "0001-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400_000_000_000), "2000-02-29T00:00:00Z");
        assert_eq!(
            rfc3339(1_704_714_145_567_062_938),
            "2024-01-08T11:42:25.567062938Z"
        );
        assert_eq!(rfc3339(1_704_714_145_500_000_000), "2024-01-08T11:42:25.5Z");
    }
}
