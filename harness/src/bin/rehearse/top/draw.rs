//! A picture on a terminal, 80 columns wide or more. Pure.

use ratatui::Frame;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Row, Table};

use super::picture::Picture;

/// Deployments that are shown at most: the newest say all.
const DEPLOYMENTS: usize = 4;
/// Events that a single print shows.
const EVENTS: usize = 12;
/// Lines above the sections.
const HEAD: u16 = 2;
/// Lines of a section beside its rows: its title.
const TITLE: usize = 1;

/// Columns of an allocation's line beside its name.
const ALLOCATION_REST: usize = 8 + 9 + 3 + 21 + 9 + 5;

/// A name of at most so many characters: its end tells one from the other.
fn shortened(name: &str, room: usize) -> String {
    let count = name.chars().count();
    if count <= room {
        return name.to_owned();
    }
    let end: String = name.chars().skip(count + 1 - room).collect();
    format!("…{end}")
}

fn lines(count: usize) -> u16 {
    u16::try_from(count + TITLE).unwrap_or(u16::MAX)
}

/// Draws all of it.
pub fn all(frame: &mut Frame<'_>, picture: &Picture) {
    let deployments = picture.deployments.len().clamp(1, DEPLOYMENTS);
    let parts = Layout::vertical([
        Constraint::Length(HEAD),
        Constraint::Length(lines(picture.agents.len())),
        Constraint::Max(lines(picture.allocations.len().max(1))),
        Constraint::Length(lines(deployments)),
        Constraint::Min(3),
    ])
    .split(frame.area());
    head(frame, parts[0], picture);
    agents(frame, parts[1], picture);
    allocations(frame, parts[2], picture);
    deployments_of(frame, parts[3], picture);
    events(frame, parts[4], picture);
}

/// As [`all`], as text of so many columns, with room for everything but old events.
pub fn text(picture: &Picture, width: u16) -> String {
    let rows = [
        picture.agents.len(),
        picture.allocations.len().max(1),
        picture.deployments.len().clamp(1, DEPLOYMENTS),
        picture.events.len().clamp(1, EVENTS),
    ];
    let height = HEAD + rows.iter().map(|count| lines(*count)).sum::<u16>();
    let backend = TestBackend::new(width, height.max(13));
    let Ok(mut terminal) = Terminal::new(backend);
    let Ok(_) = terminal.draw(|frame| all(frame, picture));
    let buffer = terminal.backend().buffer();
    let rows = buffer.content().chunks(usize::from(width));
    let line = |cells: &[ratatui::buffer::Cell]| {
        let text: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
        text.trim_end().to_owned()
    };
    rows.map(line)
        .collect::<Vec<_>>()
        .join("\n")
        .trim_end()
        .to_owned()
}

fn head(frame: &mut Frame<'_>, area: Rect, picture: &Picture) {
    let leader = match &picture.leader {
        Some(name) => Span::from(format!("leader {name}")),
        None => "no leader".red(),
    };
    let left = Line::from(vec![picture.cluster.clone().bold(), "  ".into(), leader]);
    // A line of its own: whatever it says of a simulation is never cut off.
    let text = vec![left, Line::from(picture.engine.clone())];
    frame.render_widget(Paragraph::new(text), area);
    let right = Line::from(picture.time.clone()).right_aligned();
    frame.render_widget(Paragraph::new(right), area);
}

fn titled(title: String) -> Block<'static> {
    Block::new()
        .borders(Borders::TOP)
        .title(title)
        .title_style(Style::new().add_modifier(Modifier::BOLD))
}

fn style(ill: bool) -> Style {
    if ill {
        Style::new().red()
    } else {
        Style::new()
    }
}

/// Rows that fit, and a last one that says how many did not.
fn fitting(rows: Vec<Row<'static>>, area: Rect) -> Vec<Row<'static>> {
    let room = usize::from(area.height).saturating_sub(TITLE);
    if rows.len() <= room || room == 0 {
        return rows;
    }
    let more = rows.len() + 1 - room;
    let mut rows = rows;
    rows.truncate(room - 1);
    rows.push(Row::new([format!("… {more} more")]));
    rows
}

fn agents(frame: &mut Frame<'_>, area: Rect, picture: &Picture) {
    let title = match &picture.trouble {
        None => "Agents ".to_owned(),
        Some(trouble) => format!("Agents (not all is known: {trouble}) "),
    };
    let rows = picture.agents.iter().map(|one| {
        let cells = [
            &one.name,
            &one.process,
            &one.platform,
            &one.status,
            &one.part,
            &one.health,
        ];
        Row::new(cells.map(Clone::clone)).style(style(one.ill))
    });
    let widths = [
        Constraint::Length(12),
        Constraint::Length(12),
        Constraint::Length(16),
        Constraint::Length(10),
        Constraint::Length(11),
        Constraint::Fill(1),
    ];
    let rows = fitting(rows.collect(), area);
    frame.render_widget(Table::new(rows, widths).block(titled(title)), area);
}

fn allocations(frame: &mut Frame<'_>, area: Rect, picture: &Picture) {
    let running = picture
        .allocations
        .iter()
        .filter(|one| one.status.starts_with("running"));
    let title = format!(
        "Allocations: {} of {} running ",
        running.count(),
        picture.allocations.len()
    );
    let room = usize::from(area.width)
        .saturating_sub(ALLOCATION_REST)
        .max(8);
    let rows = picture.allocations.iter().map(|one| {
        let cells = [
            shortened(&one.name, room),
            one.id.clone(),
            one.node.clone(),
            format!("v{}", one.version),
            one.status.clone(),
            one.health.clone(),
        ];
        Row::new(cells).style(style(one.ill))
    });
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(8),
        Constraint::Length(9),
        Constraint::Length(3),
        Constraint::Length(21),
        Constraint::Length(9),
    ];
    let rows = fitting(rows.collect(), area);
    frame.render_widget(Table::new(rows, widths).block(titled(title)), area);
}

fn deployments_of(frame: &mut Frame<'_>, area: Rect, picture: &Picture) {
    let rows = picture.deployments.iter().map(|one| {
        let cells = [
            one.job.clone(),
            format!("version {}", one.version),
            one.status.clone(),
            one.groups.clone(),
        ];
        Row::new(cells).style(style(one.ill))
    });
    let widths = [
        Constraint::Length(24),
        Constraint::Length(10),
        Constraint::Length(12),
        Constraint::Fill(1),
    ];
    let rows = fitting(rows.collect(), area);
    let title = titled("Deployments ".to_owned());
    frame.render_widget(Table::new(rows, widths).block(title), area);
}

/// The newest that fit, the newest last.
fn events(frame: &mut Frame<'_>, area: Rect, picture: &Picture) {
    let room = usize::from(area.height).saturating_sub(TITLE);
    let old = picture.events.len().saturating_sub(room);
    let lines = picture.events[old..]
        .iter()
        .map(|line| Line::from(line.clone()));
    let title = titled("Events ".to_owned());
    let lines: Vec<_> = lines.collect();
    frame.render_widget(Paragraph::new(lines).block(title), area);
}

#[cfg(test)]
mod tests {
    use super::super::picture::{Agent, Allocation, Deployment};
    use super::*;

    fn agent(name: &str, process: &str, rest: [&str; 3], ill: bool) -> Agent {
        let [status, part, health] = rest.map(str::to_owned);
        Agent {
            name: name.to_owned(),
            process: process.to_owned(),
            platform: "amd64".to_owned(),
            status,
            part,
            health,
            ill,
        }
    }

    fn picture() -> Picture {
        let allocation = |n: u64, status: &str, health: &str| Allocation {
            name: format!("a-service-with-a-long-name.web[{n}]"),
            id: format!("0123456{n}"),
            node: "client-1".to_owned(),
            version: n,
            status: status.to_owned(),
            health: health.to_owned(),
            ill: status == "failed",
        };
        Picture {
            cluster: "demo".to_owned(),
            engine: "SIMULATED agent (follows Nomad 1.8.3)".to_owned(),
            time: "12:34:56 UTC".to_owned(),
            leader: Some("server-2".to_owned()),
            trouble: None,
            agents: vec![
                agent(
                    "server-1",
                    "ended (137)",
                    ["alive", "voter", "not healthy"],
                    true,
                ),
                agent("server-2", "running", ["alive", "leader", "healthy"], false),
                agent(
                    "client-1",
                    "running",
                    ["ready", "eligible", "2 allocations"],
                    false,
                ),
            ],
            allocations: vec![
                allocation(0, "running", "healthy"),
                allocation(1, "running, told to stop", "healthy"),
                allocation(2, "failed", "unhealthy"),
            ],
            deployments: vec![Deployment {
                job: "a-service-with-a-long-name".to_owned(),
                version: 1,
                status: "running".to_owned(),
                groups: "web 1 of 3 healthy".to_owned(),
                ill: false,
            }],
            events: (1..20)
                .map(|n| {
                    format!(
                        "{n:>6}  evaluation 0123456{} (job-register): complete",
                        n % 10
                    )
                })
                .collect(),
        }
    }

    #[test]
    fn a_cluster_is_readable_at_80_columns() {
        insta::assert_snapshot!(text(&picture(), 80));
    }

    #[test]
    fn what_has_no_room_is_counted_and_what_is_ill_is_red() {
        let backend = TestBackend::new(80, 14);
        let mut terminal = Terminal::new(backend).unwrap();
        let mut picture = picture();
        picture.allocations = vec![picture.allocations[2].clone(); 30];
        picture.leader = None;
        terminal.draw(|frame| all(frame, &picture)).unwrap();
        insta::assert_snapshot!(terminal.backend());
        let buffer = terminal.backend().buffer();
        assert_eq!(buffer[(0, 3)].fg, ratatui::style::Color::Red);
        assert_eq!(buffer[(0, 4)].fg, ratatui::style::Color::Reset);
    }
}
