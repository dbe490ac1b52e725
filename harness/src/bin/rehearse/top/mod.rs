//! `rehearse top`: a cluster as it goes, on a terminal.
//!
//! What is seen is gathered into a [`picture::Picture`], and drawing is a function of that alone, so that
//! a test can hold it against a snapshot. The picture is taken anew each second; events come by
//! themselves, over Nomad's event stream.

mod columns;
mod draw;
mod events;
mod look;
mod picture;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nomad_harness::target::docker::DockerCluster;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};

use super::Context;
use super::failure::Failure;
use super::words;
use super::{output, up};
use events::Heard;

/// Time from one look to the next.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long `--once` listens to what the event stream still has.
const LISTEN: Duration = Duration::from_millis(400);
/// Columns where there is no terminal to ask.
const WIDTH: u16 = 80;

/// Watch a cluster: agents, leader, nodes, allocations, deployments, events. `q` ends it.
#[derive(clap::Args)]
pub struct Args {
    /// The cluster.
    #[arg(default_value = words::default_cluster())]
    name: String,
    /// Print it once, and end: for pipes.
    #[arg(long)]
    once: bool,
}

/// Shows the cluster until the user has seen enough.
pub async fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let cluster = Arc::new(context.open(&args.name).await?);
    let heard = Arc::new(Mutex::new(Heard::default()));
    if args.once {
        // Whatever ends it: what was heard counts.
        drop(tokio::time::timeout(LISTEN, events::follow(&cluster, &heard)).await);
        let picture = look::at(&cluster, &heard).await;
        let columns = output::terminal_columns().and_then(|columns| u16::try_from(columns).ok());
        output::text(&draw::text(&picture, columns.unwrap_or(WIDTH)));
        return Ok(ExitCode::SUCCESS);
    }
    if !std::io::stdout().is_terminal() {
        return Err(Failure::input("standard output is no terminal").hint("rehearse top --once"));
    }
    let ears = tokio::spawn({
        let (cluster, heard) = (cluster.clone(), heard.clone());
        async move { events::follow(&cluster, &heard).await }
    });
    let mut terminal = ratatui::try_init().map_err(Failure::environment)?;
    let outcome = show(&cluster, &heard, &mut terminal).await;
    ratatui::restore();
    ears.abort();
    outcome.map(|()| ExitCode::SUCCESS)
}

async fn show(
    cluster: &DockerCluster,
    heard: &Mutex<Heard>,
    terminal: &mut ratatui::DefaultTerminal,
) -> Result<(), Failure> {
    let mut keys = keys();
    let mut interrupted = Box::pin(up::interrupted());
    let mut clock = tokio::time::interval(LOOK_EVERY);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut picture = None;
    loop {
        tokio::select! {
            () = &mut interrupted => return Ok(()),
            _ = clock.tick() => picture = Some(look::at(cluster, heard).await),
            key = keys.recv() => match key {
                Some(Key::Quit) | None => return Ok(()),
                Some(Key::Redraw) => {}
            },
        }
        if let Some(picture) = &picture {
            let drawn = terminal.draw(|frame| draw::all(frame, picture));
            drawn.map_err(Failure::environment)?;
        }
    }
}

/// What the user wants.
enum Key {
    Quit,
    Redraw,
}

/// Reads the keyboard on a thread of its own, which ends with the process.
fn keys() -> tokio::sync::mpsc::Receiver<Key> {
    let (sender, receiver) = tokio::sync::mpsc::channel(8);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            let key = match event {
                Event::Key(key) if key.kind == KeyEventKind::Press => {
                    let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
                    match key.code {
                        KeyCode::Char('q') | KeyCode::Esc => Key::Quit,
                        KeyCode::Char('c') if ctrl => Key::Quit,
                        _ => continue,
                    }
                }
                Event::Resize(..) => Key::Redraw,
                _ => continue,
            };
            if sender.blocking_send(key).is_err() {
                return;
            }
        }
    });
    receiver
}
