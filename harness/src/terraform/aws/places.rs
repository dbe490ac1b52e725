//! Where a line of rendered user data comes from: the line of a template, or of a heredoc, that has the
//! same text around its interpolations. It says where to look, never what the value is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::terraform::Configuration;
use crate::terraform::functions::cleaned;
use crate::terraform::source::Site;

/// Lines of every file from which user data may come.
#[derive(Debug, Default)]
pub struct Places {
    files: BTreeMap<PathBuf, Vec<Line>>,
}

#[derive(Debug)]
struct Line {
    number: usize,
    /// The text between interpolations, in order.
    pieces: Vec<String>,
}

/// Larger files are no templates.
const LARGEST: u64 = 256 * 1024;

impl Places {
    /// Reads the files of a configuration and its folder.
    #[must_use]
    pub fn of(configuration: &Configuration, dir: &Path) -> Self {
        let mut places = Self::default();
        places.walk(dir, 0);
        for source in &configuration.sources {
            places.add(&source.path, &source.text);
        }
        places
    }

    fn walk(&mut self, dir: &Path, depth: usize) {
        let Ok(entries) = std::fs::read_dir(dir) else {
            return;
        };
        for entry in entries.flatten() {
            let (path, name) = (cleaned(&entry.path()), entry.file_name());
            let name = name.to_string_lossy();
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if name.starts_with('.') {
                continue;
            }
            if metadata.is_dir() && depth < 4 {
                self.walk(&path, depth + 1);
            } else if metadata.is_file()
                && metadata.len() <= LARGEST
                && is_template(&name)
                && let Ok(text) = std::fs::read_to_string(&path)
            {
                self.add(&path, &text);
            }
        }
    }

    fn add(&mut self, path: &Path, text: &str) {
        let lines = text
            .lines()
            .enumerate()
            .map(|(index, line)| Line {
                number: index + 1,
                pieces: pieces(line),
            })
            // A line of almost nothing but interpolations, or a lone brace, could come from anywhere.
            .filter(|line| {
                line.pieces
                    .iter()
                    .map(|piece| piece.trim().len())
                    .sum::<usize>()
                    >= 3
            })
            .collect();
        self.files.insert(path.to_owned(), lines);
    }

    /// Returns the place of each line of a rendered text; `None` for lines that no file has.
    #[must_use]
    pub fn locate(&self, text: &str) -> Vec<Option<Site>> {
        let lines: Vec<&str> = text.lines().collect();
        let fits: Vec<Fits<'_>> = self
            .files
            .iter()
            .map(|(path, known)| Fits::of(path, known, &lines))
            .collect();
        (0..lines.len())
            .map(|index| {
                let candidates = fits
                    .iter()
                    .flat_map(|fits| fits.lines[index].iter().map(move |line| (fits, *line)));
                // The one whose neighbours fit best, then the one in the file of which most is used.
                let best = candidates
                    .max_by_key(|(fits, line)| (fits.around(*line, index), fits.used_permille));
                best.map(|(fits, line)| Site {
                    file: fits.path.clone(),
                    line,
                    column: 1,
                })
            })
            .collect()
    }
}

/// Which lines of a text fit which lines of one file.
struct Fits<'a> {
    path: &'a PathBuf,
    /// For each line of the text, the lines of the file.
    lines: Vec<Vec<usize>>,
    /// How much of the file stands in the text.
    used_permille: usize,
}

impl<'a> Fits<'a> {
    fn of(path: &'a PathBuf, known: &[Line], text: &[&str]) -> Self {
        let lines: Vec<Vec<usize>> = text
            .iter()
            .map(|line| {
                known
                    .iter()
                    .filter(|known| known.fits(line))
                    .map(|known| known.number)
                    .collect()
            })
            .collect();
        let used: std::collections::BTreeSet<usize> = lines.iter().flatten().copied().collect();
        Self {
            path,
            used_permille: used.len() * 1000 / known.len().max(1),
            lines,
        }
    }

    /// How many of the lines around also fit.
    fn around(&self, line: usize, index: usize) -> usize {
        let fits = |index: Option<usize>, line: Option<usize>| match (
            index.and_then(|index| self.lines.get(index)),
            line,
        ) {
            (Some(lines), Some(line)) => lines.contains(&line),
            _ => false,
        };
        (1..=6_usize)
            .map(|step| {
                let before = fits(index.checked_sub(step), line.checked_sub(step));
                usize::from(before) + usize::from(fits(Some(index + step), Some(line + step)))
            })
            .sum()
    }
}

impl Line {
    fn fits(&self, text: &str) -> bool {
        let text = text.trim();
        let (first, rest) = self
            .pieces
            .split_first()
            .map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        if rest.is_empty() {
            return text == first.trim();
        }
        let Some(mut remaining) = text.strip_prefix(first.trim_start()) else {
            return false;
        };
        for (index, piece) in rest.iter().enumerate() {
            let last = index + 1 == rest.len();
            let piece = if last { piece.trim_end() } else { piece };
            match if last {
                remaining.rfind(piece)
            } else {
                remaining.find(piece)
            } {
                Some(at) => remaining = &remaining[at + piece.len()..],
                None => return false,
            }
        }
        remaining.is_empty()
    }
}

/// The text of a line between its interpolations and directives.
fn pieces(line: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let escaped = rest.starts_with("$${") || rest.starts_with("%%{");
        if escaped {
            pieces
                .last_mut()
                .expect("begins with one")
                .push_str(&rest[1..3]);
            rest = &rest[3..];
        } else if rest.starts_with("${") || rest.starts_with("%{") {
            let end = rest.find('}').map_or(rest.len(), |end| end + 1);
            pieces.push(String::new());
            rest = &rest[end..];
        } else {
            pieces.last_mut().expect("begins with one").push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    pieces
}

fn is_template(name: &str) -> bool {
    [
        ".tpl", ".tftpl", ".tmpl", ".sh", ".hcl", ".yaml", ".yml", ".cfg", ".json", ".service",
    ]
    .iter()
    .any(|end| name.ends_with(end))
}
