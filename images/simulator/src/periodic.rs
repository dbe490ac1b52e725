//! A periodic job's calendar: when it is to be launched next, and what is launched then.

use chrono::{DateTime, TimeZone, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::CronParser;

use crate::types::{Job, Nanos, Periodic, SECOND};

/// What is wrong with a calendar, in Nomad's words.
#[must_use]
pub fn problems(periodic: &Periodic) -> Vec<String> {
    let mut found = Vec::new();
    if periodic.spec_type != "cron" {
        let kind = &periodic.spec_type;
        found.push(format!("Unknown periodic specification type {kind:?}"));
        return found;
    }
    let all = specs(periodic);
    if all.is_empty() {
        found.push("Must specify a spec".to_owned());
    }
    if !periodic.spec.is_empty() && periodic.specs.as_ref().is_some_and(|s| !s.is_empty()) {
        found.push("Only cron or crons may be used".to_owned());
    }
    for spec in all {
        if let Err(why) = parse(spec) {
            found.push(format!("Invalid cron spec {spec:?}: {why}"));
        }
    }
    if zone(periodic).is_none() {
        found.push(format!(
            "Invalid time zone {:?}: unknown time zone {}",
            periodic.time_zone, periodic.time_zone
        ));
    }
    found
}

fn specs(periodic: &Periodic) -> Vec<&str> {
    let many = periodic.specs.iter().flatten().map(String::as_str);
    let one = Some(periodic.spec.as_str()).filter(|spec| !spec.is_empty());
    one.into_iter().chain(many).collect()
}

/// Six fields are minutes to years, as in Nomad's library; with seconds there are seven.
fn parse(spec: &str) -> Result<Cron, String> {
    let fields = spec.split_whitespace().count();
    let seconds = if fields == 6 { "0 " } else { "" };
    let parser = CronParser::builder().sloppy_ranges(true).build();
    parser
        .parse(&format!("{seconds}{spec}"))
        .map_err(|error| error.to_string())
}

fn zone(periodic: &Periodic) -> Option<Tz> {
    match periodic.time_zone.as_str() {
        "" => Some(Tz::UTC),
        name => name.parse().ok(),
    }
}

/// The first launch after a time (both [`Nanos`] since the epoch); `None` where there is none.
#[must_use]
pub fn next(periodic: &Periodic, after: Nanos) -> Option<Nanos> {
    let zone = zone(periodic)?;
    let after: DateTime<Tz> = Utc.timestamp_nanos(after).with_timezone(&zone);
    let times = specs(periodic).into_iter().filter_map(|spec| {
        let found = parse(spec).ok()?.find_next_occurrence(&after, false).ok()?;
        Some(found.timestamp() * SECOND)
    });
    times.min()
}

/// The job that a periodic one launches at a time.
#[must_use]
pub fn child(parent: &Job, at: Nanos) -> Job {
    let id = format!("{}/periodic-{}", parent.id, at / SECOND);
    Job {
        periodic: None,
        ..offspring(parent, id)
    }
}

/// A job of another's making.
#[must_use]
pub fn offspring(parent: &Job, id: String) -> Job {
    Job {
        parent_id: parent.id.clone(),
        name: id.clone(),
        id,
        status: crate::types::JobStatus::default(),
        status_description: String::new(),
        stable: false,
        ..parent.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cron(spec: &str, zone: &str) -> Periodic {
        Periodic {
            spec: spec.to_owned(),
            time_zone: zone.to_owned(),
            ..Periodic::default()
        }
    }

    fn at(text: &str) -> Nanos {
        let parsed = DateTime::parse_from_rfc3339(text).expect("a time");
        parsed.timestamp() * SECOND
    }

    #[test]
    fn launches_follow_the_calendar_of_their_time_zone() {
        let from = at("2026-03-01T12:00:00Z");
        for (spec, zone, expected) in [
            ("*/15 * * * *", "UTC", "2026-03-01T12:15:00Z"),
            ("0 3 * * *", "UTC", "2026-03-02T03:00:00Z"),
            ("0 3 * * *", "America/New_York", "2026-03-02T08:00:00Z"),
            ("@daily", "Europe/Berlin", "2026-03-01T23:00:00Z"),
            ("0 0 * * 1", "UTC", "2026-03-02T00:00:00Z"),
            ("*/10 * * * * * *", "UTC", "2026-03-01T12:00:10Z"),
            ("30 4 1 1 * 2028", "UTC", "2028-01-01T04:30:00Z"),
        ] {
            let found = next(&cron(spec, zone), from);
            assert_eq!(found, Some(at(expected)), "{spec} {zone}");
        }
        assert_eq!(next(&cron("30 4 1 1 * 2020", "UTC"), from), None);
    }

    #[test]
    fn the_earliest_of_several_calendars_counts() {
        let mut both = cron("", "UTC");
        both.specs = Some(vec!["0 3 * * *".to_owned(), "0 2 * * *".to_owned()]);
        let from = at("2026-03-01T00:00:00Z");
        assert_eq!(next(&both, from), Some(at("2026-03-01T02:00:00Z")));
    }

    #[test]
    fn a_launch_time_that_the_clock_skips_comes_to_no_harm() {
        // 02:30 did not exist in Berlin on that day.
        let found = next(
            &cron("30 2 * * *", "Europe/Berlin"),
            at("2026-03-29T00:00:00Z"),
        );
        assert!(
            found.is_some_and(|found| found < at("2026-03-30T01:00:00Z")),
            "{found:?}"
        );
    }

    #[test]
    fn a_bad_calendar_is_named() {
        for (spec, zone, text) in [
            ("99 * * * *", "UTC", "Invalid cron spec \"99 * * * *\""),
            ("", "UTC", "Must specify a spec"),
            ("@daily", "Mars/Base", "Invalid time zone \"Mars/Base\""),
        ] {
            let found = problems(&cron(spec, zone));
            assert!(found.len() == 1 && found[0].starts_with(text), "{found:?}");
        }
    }

    #[test]
    fn a_child_runs_once() {
        let parent = Job {
            id: "report".to_owned(),
            periodic: Some(cron("@daily", "UTC")),
            ..Job::default()
        };
        let child = child(&parent, 1_700_000_000 * SECOND);
        assert_eq!(child.id, "report/periodic-1700000000");
        assert_eq!((child.parent_id.as_str(), child.periodic), ("report", None));
    }
}
