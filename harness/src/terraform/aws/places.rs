//! Where a line of rendered user data comes from: the line of a template, or of a heredoc, that has the
//! same text around its interpolations. It says where to look, never what the value is.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::terraform::Configuration;
use crate::terraform::functions::cleaned;
use crate::terraform::source::Site;

/// Lines of every file from which user data may come.
#[derive(Debug, Default)]
pub struct Places {
    files: BTreeMap<PathBuf, Lines>,
}

/// The lines of a file, alike ones together.
#[derive(Debug, Default)]
struct Lines {
    /// What a line of the file has to look like, one per text.
    kinds: Vec<Pieces>,
    /// For each kind, the numbers of its lines, in order.
    numbers: Vec<Vec<usize>>,
    /// Line number → kind.
    kind_of: HashMap<usize, usize>,
    /// Kinds without interpolations, by their text.
    whole: HashMap<String, usize>,
    /// The others, by their first character, if that is no interpolation.
    open: HashMap<Option<char>, Vec<usize>>,
}

/// How well a place fits: see [`Fits::rank`].
type Rank = (usize, usize, bool, usize);
/// The text of a line between its interpolations, in order.
type Pieces = Vec<String>;

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
        self.files.insert(path.to_owned(), Lines::of(text));
    }

    /// Returns the place of each line of a rendered text; `None` for lines that no file has.
    #[must_use]
    pub fn locate(&self, text: &str) -> Vec<Option<Site>> {
        let texts: Vec<&str> = text.lines().map(str::trim).collect();
        let fits = { self.files.iter() }.map(|(path, known)| Fits::of(path, known, &texts));
        let mut fits: Vec<Fits<'_>> = fits.collect();
        let mut alone: Vec<bool> = Vec::with_capacity(texts.len());
        for index in 0..texts.len() {
            let files = fits.iter().filter(|fits| !fits.kinds[index].is_empty());
            alone.push(files.take(2).count() == 1);
        }
        fits.iter_mut().for_each(|fits| fits.count(&alone));
        let mut before: Option<(usize, usize)> = None;
        let mut places = Vec::with_capacity(texts.len());
        for index in 0..texts.len() {
            let mut best: Option<(Rank, usize, usize)> = None;
            for (file, fits) in fits.iter().enumerate() {
                let next = before.filter(|(last, _)| *last == file);
                let next = next.map(|(_, line)| line + 1);
                for line in fits.candidates(index, next) {
                    let rank = fits.rank(line, index, next == Some(line));
                    if best.as_ref().is_none_or(|(known, ..)| rank > *known) {
                        best = Some((rank, file, line));
                    }
                }
            }
            before = best.map(|(_, file, line)| (file, line));
            places.push(before.map(|(file, line)| Site {
                file: fits[file].path.clone(),
                line,
                column: 1,
            }));
        }
        places
    }
}

impl Lines {
    fn of(text: &str) -> Self {
        let mut lines = Self::default();
        let mut known: HashMap<Pieces, usize> = HashMap::new();
        for (index, line) in text.lines().enumerate() {
            let pieces = pieces(line.trim());
            // A line of almost nothing but interpolations, or a lone brace, could come from anywhere.
            let letters: usize = pieces.iter().map(|piece| piece.trim().len()).sum();
            if letters < 3 {
                continue;
            }
            let kind = *known.entry(pieces).or_insert_with_key(|pieces| {
                let kind = lines.kinds.len();
                lines.kinds.push(pieces.clone());
                lines.numbers.push(Vec::new());
                match pieces.as_slice() {
                    [whole] => drop(lines.whole.insert(whole.clone(), kind)),
                    _ => lines
                        .open
                        .entry(pieces[0].chars().next())
                        .or_default()
                        .push(kind),
                }
                kind
            });
            lines.numbers[kind].push(index + 1);
            lines.kind_of.insert(index + 1, kind);
        }
        lines
    }

    /// The kinds of lines that a text may come from.
    fn kinds_of(&self, text: &str) -> Vec<usize> {
        let whole = self.whole.get(text).copied();
        let begins = [text.chars().next(), None];
        let open = { begins.iter().take(if text.is_empty() { 1 } else { 2 }) }
            .filter_map(|begin| self.open.get(begin))
            .flatten()
            .copied();
        whole
            .into_iter()
            .chain(open.filter(|kind| fits(&self.kinds[*kind], text)))
            .collect()
    }
}

/// Of more lines of a file that are alike, only these are looked at, and the one that follows the last place.
const ALIKE_MAX: usize = 32;
/// How many lines on both sides tell which file it is, where the nearest ones do not.
const NEIGHBOURS: usize = 24;

/// Which lines of a text fit which lines of one file.
struct Fits<'a> {
    path: &'a PathBuf,
    known: &'a Lines,
    /// For each line of the text, the kinds of lines of the file.
    kinds: Vec<Rc<[usize]>>,
    /// For each line of the text, how many before it fit no other file.
    alone: Vec<usize>,
    /// How much of the file stands in the text.
    used_permille: usize,
}

impl<'a> Fits<'a> {
    fn of(path: &'a PathBuf, known: &'a Lines, texts: &[&str]) -> Self {
        let mut seen: HashMap<&str, Rc<[usize]>> = HashMap::new();
        let kinds = texts.iter().map(|text| {
            let kinds = seen.entry(text);
            Rc::clone(kinds.or_insert_with(|| known.kinds_of(text).into()))
        });
        let kinds: Vec<Rc<[usize]>> = kinds.collect();
        let used: HashSet<usize> = seen
            .values()
            .flat_map(|kinds| kinds.iter().copied())
            .collect();
        let used: usize = used.iter().map(|kind| known.numbers[*kind].len()).sum();
        Self {
            path,
            used_permille: used * 1000 / known.kind_of.len().max(1),
            kinds,
            alone: Vec::new(),
            known,
        }
    }

    /// Counts the lines that fit this file; `alone` tells those that fit one file only.
    fn count(&mut self, alone: &[bool]) {
        let mut number = 0;
        self.alone.push(number);
        for (kinds, alone) in self.kinds.iter().zip(alone) {
            number += usize::from(*alone && !kinds.is_empty());
            self.alone.push(number);
        }
    }

    /// Lines of the file that a line of the text may come from; `next` is the one after the last place.
    fn candidates(&self, index: usize, next: Option<usize>) -> impl Iterator<Item = usize> {
        let next = next.filter(|line| self.fits(Some(index), Some(*line)));
        let all = self.kinds[index].iter().flat_map(|kind| {
            let alike = self.known.numbers[*kind].iter().copied();
            alike.take(ALIKE_MAX)
        });
        all.chain(next)
    }

    /// How well a place fits: by the nearest lines, by whether it goes on where the last one was, by which file the
    /// lines around are from, and by the file of which most is used.
    fn rank(&self, line: usize, index: usize, follows: bool) -> Rank {
        let first = index.saturating_sub(NEIGHBOURS);
        let last = (index + NEIGHBOURS).min(self.kinds.len());
        let here = self.alone[last] - self.alone[first];
        (self.around(line, index), here, follows, self.used_permille)
    }

    fn fits(&self, index: Option<usize>, line: Option<usize>) -> bool {
        let kinds = index.and_then(|index| self.kinds.get(index));
        let kind = line.and_then(|line| self.known.kind_of.get(&line));
        kinds
            .zip(kind)
            .is_some_and(|(kinds, kind)| kinds.contains(kind))
    }

    /// How many of the lines around also fit.
    fn around(&self, line: usize, index: usize) -> usize {
        (1..=6_usize)
            .map(|step| {
                let before = self.fits(index.checked_sub(step), line.checked_sub(step));
                usize::from(before) + usize::from(self.fits(Some(index + step), Some(line + step)))
            })
            .sum()
    }
}

/// Whether a trimmed text may be what a line with interpolations becomes.
fn fits(pieces: &[String], text: &str) -> bool {
    let Some((first, rest)) = pieces.split_first() else {
        return false;
    };
    let Some(mut remaining) = text.strip_prefix(first.as_str()) else {
        return false;
    };
    for (index, piece) in rest.iter().enumerate() {
        let found = match index + 1 == rest.len() {
            true => remaining.rfind(piece.as_str()),
            false => remaining.find(piece.as_str()),
        };
        match found {
            Some(at) => remaining = &remaining[at + piece.len()..],
            None => return false,
        }
    }
    remaining.is_empty()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn located(files: &[(&str, &str)], text: &str) -> Vec<String> {
        let mut places = Places::default();
        for (name, text) in files {
            places.add(Path::new(name), text);
        }
        let place = |site: Option<Site>| {
            site.map_or_else(String::new, |site| {
                format!("{}:{}", site.file.display(), site.line)
            })
        };
        places.locate(text).into_iter().map(place).collect()
    }

    #[test]
    fn a_line_of_several_templates_is_of_the_one_that_its_neighbours_are_from() {
        let shared = "addresses {\n  rpc = \"${ip}\"\n}\n";
        let client = format!("client = \"yes\"\n\n\n\n\n\n\n\n{shared}");
        let server = format!("server = \"yes\"\n{shared}\n");
        let text = client.replace("${ip}", "10.0.0.1");
        // Of the right template less is used than of the other one.
        let client = client + &"a branch that was not taken\n".repeat(9);
        let found = located(&[("client", &client), ("server", &server)], &text);
        assert_eq!(found[8..], ["client:9", "client:10", ""]);
        let text = server.replace("${ip}", "10.0.0.1");
        let found = located(&[("server", &server), ("client", &client)], &text);
        assert_eq!(found[1..3], ["server:2", "server:3"]);
    }

    #[test]
    fn a_line_is_found_whatever_its_interpolations_became() {
        let template = "  a = \"${x}\" # ${y}\n${z}-end\n$${kept} ${x}\n}\n";
        let text = "a = \"1\" # 2\nthe-end\n${kept} 1\n}\nother\n";
        assert_eq!(
            located(&[("t", template)], text),
            ["t:1", "t:2", "t:3", "", ""]
        );
    }

    #[test]
    fn many_equal_lines_are_placed_one_after_the_other_in_little_time() {
        let lines = 4000;
        let text = "echo ready\n".repeat(lines);
        let begun = std::time::Instant::now();
        let found = located(&[("t", &text)], &text);
        assert!(begun.elapsed() < std::time::Duration::from_secs(2));
        assert_eq!(found[lines - 1], format!("t:{lines}"));
        assert_eq!(found[lines / 2], format!("t:{}", lines / 2 + 1));
    }
}
