//! The agent's log, in Nomad's format on standard output:
//! `2024-01-08T11:42:25.543Z [INFO]  nomad.raft: entering leader state: leader="..."`.

use std::fmt::{self, Write as _};
use std::io::Write as _;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use crate::clock;

/// Crates whose own lines are not Nomad's: heard at TRACE only.
const FOREIGN: [&str; 6] = ["openraft", "foca", "hyper", "hyper_util", "rustls", "axum"];

/// Changes the level of a running log.
pub type Levels = reload::Handle<Targets, tracing_subscriber::Registry>;

/// Starts the log with one of Nomad's levels; once in a process.
#[must_use]
pub fn start(level: &str) -> Levels {
    let (filter, levels) = reload::Layer::new(targets(level));
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .event_format(Line)
        .with_writer(std::io::stdout);
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .init();
    levels
}

/// Changes the level.
pub fn set_level(levels: &Levels, level: &str) {
    if let Err(problem) = levels.reload(targets(level)) {
        tracing::error!(target: "agent", %problem, "cannot change the log level");
    }
}

/// Writes a line that is not a log line: what Nomad prints before its log starts.
pub fn print(text: &str) {
    // With standard output gone there is nobody to tell.
    drop(writeln!(std::io::stdout(), "{text}"));
}

fn targets(level: &str) -> Targets {
    let filter = match level {
        "TRACE" => LevelFilter::TRACE,
        "DEBUG" => LevelFilter::DEBUG,
        "WARN" => LevelFilter::WARN,
        "ERROR" => LevelFilter::ERROR,
        "OFF" => LevelFilter::OFF,
        _ => LevelFilter::INFO,
    };
    let foreign = if filter == LevelFilter::TRACE {
        LevelFilter::INFO
    } else {
        LevelFilter::OFF
    };
    Targets::new()
        .with_default(filter)
        .with_targets(FOREIGN.map(|name| (name, foreign)))
}

struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = match *event.metadata().level() {
            Level::TRACE => "[TRACE]",
            Level::DEBUG => "[DEBUG]",
            Level::INFO => "[INFO] ",
            Level::WARN => "[WARN] ",
            Level::ERROR => "[ERROR]",
        };
        let mut parts = Parts::default();
        event.record(&mut parts);
        let name = event.metadata().target();
        write!(
            writer,
            "{} {level} {name}: {}",
            stamp(clock::now()),
            parts.message
        )?;
        if !parts.fields.is_empty() {
            write!(writer, ":{}", parts.fields)?;
        }
        writeln!(writer)
    }
}

/// RFC 3339 in UTC, with milliseconds.
fn stamp(now: i64) -> String {
    let millis = now.rem_euclid(1_000_000_000) / 1_000_000;
    let seconds = clock::rfc3339(now - now.rem_euclid(1_000_000_000));
    format!("{}.{millis:03}Z", seconds.trim_end_matches('Z'))
}

#[derive(Default)]
struct Parts {
    message: String,
    fields: String,
}

impl Parts {
    fn add(&mut self, field: &Field, text: &str) {
        if field.name() == "message" {
            text.clone_into(&mut self.message);
            return;
        }
        // Quoted as HashiCorp's logger does where it would not be one word.
        let quote = text.is_empty() || text.contains(|c: char| c.is_whitespace() || c == '"');
        let written = if quote {
            write!(self.fields, " {}={text:?}", field.name())
        } else {
            write!(self.fields, " {}={text}", field.name())
        };
        written.expect("writing to a string does not fail");
    }
}

impl Visit for Parts {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_of_a_second() {
        assert_eq!(stamp(1_704_714_145_543_000_000), "2024-01-08T11:42:25.543Z");
        assert_eq!(stamp(1_704_714_145_000_999_999), "2024-01-08T11:42:25.000Z");
    }
}
