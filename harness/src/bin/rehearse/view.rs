//! What is shown while something takes its time: one line that changes on a terminal, plain lines
//! elsewhere. All of it goes to standard error; standard output is for data.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use nomad_harness::progress::{Event, Progress};

/// How often the line turns its wheel.
const TICK: Duration = Duration::from_millis(100);

/// Shows progress until it is dropped.
pub struct View {
    bar: Option<ProgressBar>,
    progress: Progress,
}

impl View {
    /// Begins to show.
    pub fn new() -> Self {
        if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new_spinner();
            let style = ProgressStyle::with_template("{spinner} {wide_msg}")
                .expect("the template is a constant");
            bar.set_style(style);
            bar.enable_steady_tick(TICK);
            let shown = bar.clone();
            let waiting = Mutex::new(BTreeMap::new());
            let progress = Progress::new(move |event| changing(&shown, &waiting, event));
            return Self {
                bar: Some(bar),
                progress,
            };
        }
        Self::lines()
    }

    /// Begins to show in plain lines, which may come mixed with others.
    pub fn lines() -> Self {
        let download = Mutex::new(0);
        Self {
            bar: None,
            progress: Progress::new(move |event| plain(&download, &event)),
        }
    }

    /// Returns whom to tell.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn changing(bar: &ProgressBar, waiting: &Mutex<BTreeMap<String, String>>, event: Event) {
    let mut waiting = waiting.lock().expect("nobody panics while holding it");
    match event {
        Event::Engine {
            label,
            arch,
            reason,
        } => bar.println(format!("engine: {label} for {arch}: {reason}")),
        Event::Note(note) => bar.println(format!("note: {note}")),
        Event::Download { received, total } => bar.set_message(download_text(received, total)),
        Event::Image { name, bytes } => bar.set_message(image_text(&name, bytes)),
        Event::Started { agent } => bar.set_message(format!("started {agent}")),
        Event::Waiting { condition, seen } => {
            waiting.insert(condition, seen);
        }
        Event::Met { condition, .. } => {
            waiting.remove(&condition);
        }
        Event::TearingDown { cluster } => {
            waiting.clear();
            bar.set_message(format!("removing {cluster}"));
        }
    }
    if let Some((condition, seen)) = waiting.first_key_value() {
        let more = match waiting.len() - 1 {
            0 => String::new(),
            more => format!(" (+{more})"),
        };
        bar.set_message(format!("waiting: {condition}: {seen}{more}"));
    }
}

fn plain(download: &Mutex<u64>, event: &Event) {
    match event {
        Event::Engine {
            label,
            arch,
            reason,
        } => eprintln!("engine: {label} for {arch}: {reason}"),
        Event::Note(note) => eprintln!("note: {note}"),
        Event::Download { received, total } => {
            // A line per tenth: a log is no place for a bar.
            let tenth = total.map_or(0, |total| received * 10 / total.max(1));
            let mut told = download.lock().expect("nobody panics while holding it");
            if tenth > *told {
                *told = tenth;
                eprintln!("{}", download_text(*received, *total));
            }
        }
        Event::Image { name, bytes } => eprintln!("{}", image_text(name, *bytes)),
        Event::Met { condition, after } => {
            eprintln!("{:>5.1} s  {condition}", after.as_secs_f64());
        }
        Event::TearingDown { cluster } => eprintln!("removing cluster `{cluster}`"),
        Event::Started { .. } | Event::Waiting { .. } => {}
    }
}

fn download_text(received: u64, total: Option<u64>) -> String {
    match total {
        Some(total) => format!(
            "download: {} of {}",
            HumanBytes(received),
            HumanBytes(total)
        ),
        None => format!("download: {}", HumanBytes(received)),
    }
}

fn image_text(name: &str, bytes: Option<u64>) -> String {
    match bytes {
        Some(bytes) => format!("making image {name} ({})", HumanBytes(bytes)),
        None => format!("pulling image {name}"),
    }
}
