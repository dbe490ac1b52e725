//! No text that a user can give ends the program: the files here, changed at random, are thrown at each
//! reader. The changes come from a seed, so that what is found is found again.
//!
//! `REHEARSE_MUTATIONS=100000` throws more; `fuzz/` has the same readers as targets of `cargo fuzz`.

mod parsers;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use parsers::{PARSERS, Parser};

/// Texts a reader gets unless it is said otherwise.
const EACH: u64 = 2_000;

/// What is put in: what the languages are made of, and what is hard to hold.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "\"",
    "\\",
    "${",
    "%{",
    "}\"",
    "<<EOT\n",
    "\nEOT\n",
    "=",
    ":",
    ",",
    ".",
    "*",
    "?",
    "!",
    "&&",
    "==",
    "-",
    "/",
    "\n",
    "\r\n",
    "\t",
    " ",
    "#",
    "//",
    "/*",
    "*/",
    "null",
    "true",
    "0",
    "-1",
    "1e400",
    "99999999999999999999",
    "0.0000000001",
    "\u{0}",
    "\u{feff}",
    "ä",
    "\u{1f600}",
    "\\u0000",
    "\\ud800",
    "var.x",
    "each.key",
    "count.index",
    "for",
    "in",
    "if",
    "dynamic \"x\" {",
    "variable \"x\" {",
    "job \"x\" {",
    "\"5s\"",
    "\"-5s\"",
    "\"99999999999h\"",
    "18446744073709551616",
    "jsondecode(",
    "templatefile(",
];

/// SplitMix64: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let z = z ^ (z >> 31);
        usize::try_from(z % (sides.max(1) as u64)).expect("below `sides`")
    }

    fn place(&mut self, text: &str) -> usize {
        let mut at = self.roll(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }

    fn part<'t>(&mut self, text: &'t str) -> (usize, &'t str) {
        let (one, other) = (self.place(text), self.place(text));
        let (start, end) = (one.min(other), one.max(other));
        let mut end = end.min(start + 200);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        (start, &text[start..end])
    }

    fn change(&mut self, text: &str, others: &[String]) -> String {
        let mut text = text.to_owned();
        for _ in 0..=self.roll(5) {
            let at = self.place(&text);
            match self.roll(7) {
                0 => text.insert_str(at, PIECES[self.roll(PIECES.len())]),
                1 => {
                    let (start, part) = self.part(&text);
                    let end = start + part.len();
                    text.replace_range(start..end, "");
                }
                2 => {
                    let part = self.part(&text).1.to_owned();
                    text.insert_str(at, &part);
                }
                3 => {
                    let other = &others[self.roll(others.len())];
                    let part = self.part(other).1.to_owned();
                    text.insert_str(at, &part);
                }
                4 => {
                    let (start, part) = self.part(&text);
                    let end = start + part.len();
                    let piece = PIECES[self.roll(PIECES.len())];
                    text.replace_range(start..end, piece);
                }
                5 => text.truncate(at),
                _ => {
                    let piece = PIECES[self.roll(PIECES.len())];
                    text.insert_str(at, &piece.repeat(self.roll(40)));
                }
            }
        }
        text
    }
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn corpus(parser: &Parser) -> Vec<String> {
    let mut texts = Vec::new();
    for (folder, end) in parser.corpus {
        let entries = std::fs::read_dir(top().join(folder)).expect("a folder of the source tree");
        let mut paths: Vec<_> = entries
            .map(|entry| entry.expect("an entry").path())
            .collect();
        paths.sort();
        let wanted = paths
            .iter()
            .filter(|path| path.display().to_string().ends_with(end));
        texts.extend(wanted.map(|path| std::fs::read_to_string(path).expect("text")));
    }
    assert!(!texts.is_empty(), "{} has no corpus", parser.name);
    texts
}

/// Returns the text that ended a reader, and how it did.
fn throw(parser: &Parser, seed: u64, count: u64) -> Option<(String, String)> {
    let texts = corpus(parser);
    let folder = tempfile::tempdir().expect("a folder");
    let mut dice = Dice(seed);
    for _ in 0..count {
        let text = texts[dice.roll(texts.len())].clone();
        let text = dice.change(&text, &texts);
        let read = AssertUnwindSafe(|| (parser.read)(&text, folder.path()));
        if let Err(panic) = catch_unwind(read) {
            let said = panic.downcast_ref::<String>().cloned();
            let said = said.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            return Some((text, said.unwrap_or_default()));
        }
    }
    None
}

fn each() -> u64 {
    let asked = std::env::var("REHEARSE_MUTATIONS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(EACH)
}

fn seed() -> u64 {
    let asked = std::env::var("REHEARSE_MUTATIONS_SEED").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(7)
}

#[test]
fn no_text_ends_a_reader() {
    let mut ended = Vec::new();
    for parser in PARSERS {
        let begin = std::time::Instant::now();
        if let Some((text, said)) = throw(parser, seed(), each()) {
            ended.push(format!("{}: {said}\n----\n{text}\n----", parser.name));
        }
        eprintln!("{}: {:.1?}", parser.name, begin.elapsed());
    }
    assert!(ended.is_empty(), "{}", ended.join("\n"));
}

/// Planted: a reader that ends at a brace too many.
#[test]
fn a_reader_that_ends_is_found() {
    let planted = Parser {
        name: "planted",
        corpus: &[("jobs", ".nomad.hcl")],
        read: |text, _| {
            let (open, close) = (text.matches('{').count(), text.matches('}').count());
            assert!(open >= close, "one brace too many");
        },
    };
    let (text, said) = throw(&planted, 7, EACH).expect("it is found");
    assert!(text.contains('}'));
    assert_eq!(said, "one brace too many");
}

/// Deep nesting ends a process by its stack, which nothing can catch: so it is tried in a thread of the
/// main thread's usual size.
#[test]
fn deep_nesting_is_refused_and_ends_nothing() {
    let deep = |open: &str, close: &str| open.repeat(100_000) + &close.repeat(100_000);
    let texts = [
        format!("x = {}\n", deep("[", "]")),
        format!("x = {}\n", deep("(", ")")),
        format!("x = {}1\n", "-".repeat(100_000)),
        format!("x = {}true\n", "!".repeat(100_000)),
        format!("x = \"{}\"\n", deep("${\"", "\"}")),
        deep("a {\n", "}\n"),
        format!("{{\"x\": {}}}", deep("[", "]")),
        "a ".repeat(100_000) + "= 1\n",
        format!("job \"x\" {{\n{}}}\n", deep("group \"a\" {\n", "}\n")),
    ];
    for parser in PARSERS {
        let (read, texts) = (parser.read, texts.clone());
        let work = move || {
            let folder = tempfile::tempdir().expect("a folder");
            for text in &texts {
                read(text, folder.path());
            }
        };
        let thread = std::thread::Builder::new().stack_size(8 << 20).spawn(work);
        assert!(thread.expect("a thread").join().is_ok(), "{}", parser.name);
    }
}
