//! A picture on a terminal: at 80 columns all of it, on a narrower one what matters most. Pure.

use ratatui::Frame;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Row, Table};

use super::columns::{Column, fitted, shortened};
use super::picture::Picture;
use crate::output::wrap;

/// Deployments that are shown at most: the newest say all.
const DEPLOYMENTS: usize = 4;
/// Allocations beyond those that run or are about to: the newest say all, and older ones are counted.
const FINISHED: usize = 5;
/// Events that a single print shows.
const EVENTS: usize = 12;
/// Lines of a section beside its rows: its title.
const TITLE: usize = 1;

/// Agents: what each is and how it is matters most, where its program was built for least.
const AGENTS: [Column; 6] = [
    column(12, None),
    column(12, None),
    column(16, Some(1)),
    column(10, Some(3)),
    column(11, Some(2)),
    column(0, None),
];
/// Allocations: an ID only helps who types it, and what became of them matters most.
const ALLOCATIONS: [Column; 6] = [
    column(0, None),
    column(8, Some(1)),
    column(9, Some(3)),
    column(3, Some(2)),
    column(21, None),
    column(9, None),
];
/// Deployments.
const DEPLOYMENT: [Column; 4] = [
    column(24, None),
    column(10, Some(1)),
    column(12, None),
    column(0, None),
];

const fn column(ease: usize, left_out: Option<u8>) -> Column {
    Column { ease, left_out }
}

fn lines(count: usize) -> u16 {
    u16::try_from(count + TITLE).unwrap_or(u16::MAX)
}

/// Draws all of it.
pub fn all(frame: &mut Frame<'_>, picture: &Picture) {
    let deployments = picture.deployments.len().clamp(1, DEPLOYMENTS);
    let head_lines = head_of(picture, frame.area().width);
    let parts = Layout::vertical([
        Constraint::Length(u16::try_from(head_lines.len()).unwrap_or(u16::MAX)),
        Constraint::Length(lines(picture.agents.len())),
        Constraint::Max(lines(allocations_shown(picture))),
        Constraint::Length(lines(deployments)),
        Constraint::Min(3),
    ])
    .split(frame.area());
    frame.render_widget(Paragraph::new(head_lines), parts[0]);
    let right = Line::from(picture.time.clone()).right_aligned();
    frame.render_widget(Paragraph::new(right), parts[0]);
    agents(frame, parts[1], picture);
    allocations(frame, parts[2], picture);
    deployments_of(frame, parts[3], picture);
    events(frame, parts[4], picture);
}

/// As [`all`], as text of so many columns, with room for everything but old events.
pub fn text(picture: &Picture, width: u16) -> String {
    let rows = [
        picture.agents.len(),
        allocations_shown(picture),
        picture.deployments.len().clamp(1, DEPLOYMENTS),
        picture.events.len().clamp(1, EVENTS),
    ];
    let head = head_of(picture, width).len();
    let head = u16::try_from(head).unwrap_or(u16::MAX);
    let height = head + rows.iter().map(|count| lines(*count)).sum::<u16>();
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

/// The lines above the sections.
fn head_of(picture: &Picture, width: u16) -> Vec<Line<'static>> {
    let leader = match &picture.leader {
        Some(name) => Span::from(format!("leader {name}")),
        None => "no leader".red(),
    };
    let left = Line::from(vec![picture.cluster.clone().bold(), "  ".into(), leader]);
    // Lines of its own: whatever it says of a simulation is never cut off.
    let engine = wrap(&picture.engine, usize::from(width.max(1)));
    let mut lines = vec![left];
    lines.extend(engine.into_iter().map(Line::from));
    lines
}

/// How many lines there are of allocations: all that live come first.
fn allocations_shown(picture: &Picture) -> usize {
    let (live, finished): (Vec<_>, Vec<_>) =
        picture.allocations.iter().partition(|one| one.is_live);
    // With one line for those that are counted.
    (live.len() + finished.len().min(FINISHED + 1)).max(1)
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

/// A section that is a table, of cells and of whether they tell of something ill. What has no room is
/// left out: columns as they say, and of rows the last, which are counted.
fn section(
    frame: &mut Frame<'_>,
    area: Rect,
    title: String,
    columns: &[Column],
    rows: Vec<(Vec<String>, bool)>,
) {
    let (cells, ill): (Vec<Vec<String>>, Vec<bool>) = rows.into_iter().unzip();
    let shown = fitted(columns, &cells, usize::from(area.width));
    let row = |(cells, ill): (&Vec<String>, bool)| {
        let cells = shown.iter().map(|(at, width)| match at {
            0 => shortened(&cells[*at], *width),
            _ => cells[*at].clone(),
        });
        Row::new(cells.collect::<Vec<_>>()).style(style(ill))
    };
    let mut rows: Vec<Row<'static>> = cells.iter().zip(ill).map(row).collect();
    let room = usize::from(area.height).saturating_sub(TITLE);
    let more = rows.len().saturating_sub(room);
    let mut widths: Vec<Constraint> = shown
        .iter()
        .map(|(_, width)| Constraint::Length(u16::try_from(*width).unwrap_or(u16::MAX)))
        .collect();
    // The last has what is left.
    if let Some(last) = widths.last_mut() {
        *last = Constraint::Fill(1);
    }
    if more > 0 && room > 0 {
        rows.truncate(room - 1);
        rows.push(Row::new([format!("… {} more", more + 1)]));
    }
    frame.render_widget(Table::new(rows, widths).block(titled(title)), area);
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
        (cells.map(Clone::clone).to_vec(), one.ill)
    });
    section(frame, area, title, &AGENTS, rows.collect());
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
    let rows = picture.allocations.iter().map(|one| {
        let cells = [
            one.name.clone(),
            one.id.clone(),
            one.node.clone(),
            format!("v{}", one.version),
            one.status.clone(),
            one.health.clone(),
        ];
        (cells.to_vec(), one.ill)
    });
    section(frame, area, title, &ALLOCATIONS, rows.collect());
}

fn deployments_of(frame: &mut Frame<'_>, area: Rect, picture: &Picture) {
    let rows = picture.deployments.iter().map(|one| {
        let cells = [
            one.job.clone(),
            format!("version {}", one.version),
            one.status.clone(),
            one.groups.clone(),
        ];
        (cells.to_vec(), one.ill)
    });
    let title = "Deployments ".to_owned();
    section(frame, area, title, &DEPLOYMENT, rows.collect());
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
            is_live: status.starts_with("running"),
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
    fn many_finished_allocations_leave_room_for_the_events() {
        let mut picture = picture();
        let over = Allocation {
            status: "complete".to_owned(),
            is_live: false,
            ..picture.allocations[0].clone()
        };
        picture.allocations.extend(vec![over; 40]);
        let text = text(&picture, 80);
        // The failed one is over, too.
        assert!(text.contains("Allocations: 2 of 43 running"), "{text}");
        assert_eq!(text.matches("complete").count(), 4 + EVENTS, "{text}");
        assert!(text.contains("… 36 more"), "{text}");
    }

    #[test]
    fn at_60_columns_agents_differ_and_their_health_is_seen() {
        let mut picture = picture();
        for (agent, name) in picture
            .agents
            .iter_mut()
            .zip(["east", "north-west", "north-west-2"])
        {
            agent.platform = "s390x (emulated)".to_owned();
            agent.name = format!("{name}-{}", agent.name);
        }
        let text = text(&picture, 60);
        for health in ["not healthy", " healthy", "2 allocations"] {
            assert!(text.contains(health), "{text}");
        }
        insta::assert_snapshot!(text);
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
