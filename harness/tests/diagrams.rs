//! The drawings of `docs/nomad-101/`: text in `diagrams/*.txt`, made into SVG here, so that what is
//! shown is what the text says. `REHEARSE_WRITE=1 cargo test --test diagrams` writes them anew.
//!
//! A line is one of: `size W H`; `frame X Y W H TITLE` (what belongs together); `box NAME X Y W H TEXT`
//! with `|` between lines of text; `arrow FROM TO TEXT` between boxes; `note X Y TEXT`; `# ...`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Colours by class, for light and dark: a page's own background shows through.
const STYLE: &str = "<style>
text { font: 13px sans-serif; fill: #1f2328 }
.title, .note { fill: #59636e; font-size: 12px }
.frame { fill: none; stroke: #818b98; stroke-dasharray: 5 4 }
.box { fill: #ddf4ff; stroke: #0969da }
.arrow { stroke: #59636e; fill: none; marker-end: url(#head) }
.head { fill: #59636e }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .title, .note { fill: #9198a1 }
  .frame { stroke: #656c76 }
  .box { fill: #121d2f; stroke: #4493f8 }
  .arrow { stroke: #9198a1 }
  .head { fill: #9198a1 }
}
</style>
<defs><marker id=\"head\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto-start-reverse\"><path class=\"head\" d=\"M0 0L10 5L0 10z\"/></marker></defs>
";

#[derive(Clone, Copy)]
struct Rect {
    x: f64,
    y: f64,
    w: f64,
    h: f64,
}

impl Rect {
    fn middle(self) -> (f64, f64) {
        (self.x + self.w / 2.0, self.y + self.h / 2.0)
    }

    /// Where the line from the middle to a point leaves it.
    fn border(self, (tx, ty): (f64, f64)) -> (f64, f64) {
        let (mx, my) = self.middle();
        let (dx, dy) = (tx - mx, ty - my);
        let share = |half: f64, way: f64| {
            if way == 0.0 {
                f64::MAX
            } else {
                half / way.abs()
            }
        };
        let scale = share(self.w / 2.0, dx).min(share(self.h / 2.0, dy));
        (mx + dx * scale, my + dy * scale)
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// Takes the next words of a line as numbers.
fn numbers<const N: usize>(words: &mut std::str::SplitWhitespace<'_>) -> Option<[f64; N]> {
    let mut found = [0.0; N];
    for one in &mut found {
        *one = words.next()?.parse().ok()?;
    }
    Some(found)
}

fn rest(words: std::str::SplitWhitespace<'_>) -> String {
    words.collect::<Vec<_>>().join(" ")
}

/// A box with its lines of text.
fn draw_box(rect: Rect, text: &str, svg: &mut String) -> Option<()> {
    let Rect { x, y, w, h } = rect;
    writeln!(
        svg,
        "<rect class=\"box\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"4\"/>"
    )
    .ok()?;
    let (mx, my) = rect.middle();
    let lines: Vec<_> = text.split('|').collect();
    let top = my + 4.5 - 8.0 * (lines.len() - 1) as f64;
    for (i, line) in lines.iter().enumerate() {
        let (y, text) = (top + 16.0 * i as f64, escaped(line.trim()));
        writeln!(
            svg,
            "<text x=\"{mx}\" y=\"{y}\" text-anchor=\"middle\">{text}</text>"
        )
        .ok()?;
    }
    Some(())
}

/// An arrow from border to border with its text: beside a line that goes up or down, above one that
/// goes across.
fn draw_arrow(from: Rect, to: Rect, text: &str, svg: &mut String) -> Option<()> {
    let (x1, y1) = from.border(to.middle());
    let (x2, y2) = to.border(from.middle());
    writeln!(
        svg,
        "<path class=\"arrow\" d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\"/>"
    )
    .ok()?;
    let steep = (y2 - y1).abs() > (x2 - x1).abs();
    let (right, down, anchor) = if steep {
        (7.0, 4.0, "start")
    } else {
        (0.0, -5.0, "middle")
    };
    let (x, y) = ((x1 + x2) / 2.0 + right, (y1 + y2) / 2.0 + down);
    let text = escaped(text);
    writeln!(
        svg,
        "<text class=\"note\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
    )
    .ok()
}

/// Draws one line of the source; `None` where it is not understood.
fn draw(line: &str, boxes: &mut BTreeMap<String, Rect>, svg: &mut String) -> Option<()> {
    let mut words = line.split_whitespace();
    match words.next()? {
        "size" => {
            let [w, h] = numbers(&mut words)?;
            let head = "<svg xmlns=\"http://www.w3.org/2000/svg\"";
            writeln!(
                svg,
                "{head} viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" role=\"img\">\n{STYLE}"
            )
            .ok()
        }
        "frame" => {
            let [x, y, w, h] = numbers(&mut words)?;
            let (title, tx, ty) = (escaped(&rest(words)), x + 8.0, y + 17.0);
            writeln!(
                svg,
                "<rect class=\"frame\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"6\"/>\n<text class=\"title\" x=\"{tx}\" y=\"{ty}\">{title}</text>"
            )
            .ok()
        }
        "box" => {
            let name = words.next()?.to_owned();
            let [x, y, w, h] = numbers(&mut words)?;
            let rect = Rect { x, y, w, h };
            draw_box(rect, &rest(words), svg)?;
            boxes.insert(name, rect);
            Some(())
        }
        "arrow" => {
            let (from, to) = (*boxes.get(words.next()?)?, *boxes.get(words.next()?)?);
            draw_arrow(from, to, &rest(words), svg)
        }
        "note" => {
            let [x, y] = numbers(&mut words)?;
            let text = escaped(&rest(words));
            writeln!(
                svg,
                "<text class=\"note\" x=\"{x}\" y=\"{y}\">{text}</text>"
            )
            .ok()
        }
        _ => None,
    }
}

/// Makes the SVG of a source.
fn drawn(source: &str) -> Result<String, String> {
    let (mut boxes, mut svg) = (BTreeMap::new(), String::new());
    for (number, line) in source.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        draw(line, &mut boxes, &mut svg)
            .ok_or_else(|| format!("line {}: `{line}` is not understood", number + 1))?;
    }
    Ok(svg + "</svg>\n")
}

fn sources() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/nomad-101/diagrams");
    let entries = std::fs::read_dir(folder).expect("the drawings are there");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut found: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|ext| ext == "txt"))
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

#[test]
fn each_drawing_is_what_its_text_says() {
    for path in sources() {
        let source = std::fs::read_to_string(&path).expect("it is text");
        let svg = drawn(&source).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        let shown = path.with_extension("svg");
        if std::env::var_os("REHEARSE_WRITE").is_some() {
            std::fs::write(&shown, &svg).expect("it can be written");
        }
        let found = std::fs::read_to_string(&shown).unwrap_or_default();
        assert!(
            found == svg,
            "{}: REHEARSE_WRITE=1 cargo test --test diagrams",
            shown.display()
        );
    }
}

/// Pixels of a title's letter, on average, and of its height: a little more than browsers take.
const LETTER: (f64, f64) = (5.7, 14.0);

/// The titles that an arrow runs through.
fn struck_titles(source: &str) -> Vec<String> {
    let (mut boxes, mut titles, mut struck) = (BTreeMap::new(), Vec::new(), Vec::new());
    for line in source.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("frame") => {
                let [x, y, _, _] = numbers(&mut words).expect("a frame's place");
                let title = rest(words);
                let (x, y, w) = (x + 8.0, y + 6.0, LETTER.0 * title.chars().count() as f64);
                titles.push((
                    title,
                    Rect {
                        x,
                        y,
                        w,
                        h: LETTER.1,
                    },
                ));
            }
            Some("box") => {
                let name = words.next().expect("a box's name").to_owned();
                let [x, y, w, h] = numbers(&mut words).expect("a box's place");
                boxes.insert(name, Rect { x, y, w, h });
            }
            Some("arrow") => {
                let mut end = || boxes[words.next().expect("a box")];
                let (from, to): (Rect, Rect) = (end(), end());
                let ((x1, y1), (x2, y2)) = (from.border(to.middle()), to.border(from.middle()));
                let runs_through = |rect: &Rect| {
                    (0..=500).map(|step| f64::from(step) / 500.0).any(|way| {
                        let (x, y) = (x1 + (x2 - x1) * way, y1 + (y2 - y1) * way);
                        let across = rect.x <= x && x <= rect.x + rect.w;
                        across && rect.y <= y && y <= rect.y + rect.h
                    })
                };
                let hit = titles.iter().filter(|(_, rect)| runs_through(rect));
                struck.extend(hit.map(|(title, _)| title.clone()));
            }
            _ => {}
        }
    }
    struck
}

#[test]
fn no_arrow_runs_through_a_title() {
    for path in sources() {
        let source = std::fs::read_to_string(&path).expect("it is text");
        assert_eq!(struck_titles(&source), [""; 0], "{}", path.display());
    }
    let planted =
        "frame 0 50 200 90 a title\nbox a 10 0 40 20 a\nbox b 10 100 40 20 b\narrow a b x\n";
    assert_eq!(struck_titles(planted), ["a title"]);
}

#[test]
fn a_line_that_is_not_understood_is_named() {
    let told = drawn("size 10 10\narrow a b x\n");
    assert_eq!(
        told,
        Err("line 2: `arrow a b x` is not understood".to_owned())
    );
    assert!(drawn("size 10\n").is_err());
}
