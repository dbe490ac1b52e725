//! Keeps the arrows of `docs/architecture.md` §3: which module of the library may use which, and
//! that no file is forgotten in its folder's `mod.rs`. Reads the sources; runs nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Each module and those that it may use. A new module is drawn here and in the document.
const ARROWS: &[(&str, &[&str])] = &[
    ("spec", &[]),
    ("environment", &[]),
    ("causes", &[]),
    // Makes text only.
    ("soak", &[]),
    ("owner", &[]),
    ("measure", &[]),
    ("nomad", &[]),
    ("grammar", &[]),
    ("time_scale", &[]),
    ("settings", &["grammar"]),
    ("slowness", &[]),
    ("progress", &["spec"]),
    ("tls", &["spec"]),
    ("agent_config", &["grammar", "spec", "tls"]),
    ("pki", &["spec", "tls"]),
    ("docker", &["environment", "owner", "poll", "spec"]),
    ("boot", &["docker", "engine", "spec", "terraform"]),
    ("emulation", &["docker", "spec"]),
    ("matrix", &["engine", "spec"]),
    ("job_check", &["grammar", "spec", "terraform"]),
    ("lint", &["agent_config", "job_check", "spec", "terraform"]),
    ("timeline", &["measure", "spec"]),
    ("target", &["nomad", "slowness", "spec", "time_scale"]),
    (
        "engine",
        &[
            "agent_config",
            "docker",
            "environment",
            "owner",
            "progress",
            "spec",
            "target",
            "time_scale",
        ],
    ),
    (
        "target::docker",
        &[
            "agent_config",
            "causes",
            "docker",
            "emulation",
            "engine",
            "environment",
            "nomad",
            "owner",
            "poll",
            "progress",
            "slowness",
            "spec",
            "target",
            "tls",
        ],
    ),
    ("spent", &["timeline"]),
    ("poll", &["nomad", "spent"]),
    ("aws", &["environment", "poll"]),
    ("target::aws", &["aws", "nomad", "poll", "spec", "target"]),
    ("directory", &["nomad", "spec", "target"]),
    ("probe", &["directory", "grammar", "nomad", "poll", "spec"]),
    ("pick", &["directory", "grammar", "poll", "probe", "spec"]),
    ("fault", &["directory", "nomad", "spec", "target"]),
    (
        "workload",
        &[
            "directory",
            "grammar",
            "measure",
            "nomad",
            "poll",
            "probe",
            "spec",
            "timeline",
        ],
    ),
    (
        "step",
        &[
            "causes",
            "directory",
            "fault",
            "grammar",
            "measure",
            "nomad",
            "pick",
            "poll",
            "probe",
            "slowness",
            "spec",
            "spent",
            "target",
            "time_scale",
            "timeline",
            "tls",
            "workload",
        ],
    ),
    (
        "scenario",
        &[
            "fault",
            "grammar",
            "pick",
            "probe",
            "spec",
            "step",
            "target",
            "time_scale",
            "workload",
        ],
    ),
    (
        "conformance",
        &["directory", "nomad", "poll", "spec", "target", "tls"],
    ),
    (
        "report",
        &["measure", "spec", "spent", "target", "timeline"],
    ),
    (
        "runner",
        &[
            "agent_config",
            "causes",
            "directory",
            "emulation",
            "nomad",
            "poll",
            "probe",
            "report",
            "scenario",
            "spec",
            "spent",
            "step",
            "target",
            "timeline",
            "workload",
        ],
    ),
    (
        "cluster",
        &[
            "docker",
            "engine",
            "environment",
            "nomad",
            "progress",
            "spec",
            "target",
            "target::docker",
            "time_scale",
        ],
    ),
    (
        "dev_agent",
        &[
            "agent_config",
            "docker",
            "engine",
            "environment",
            "nomad",
            "poll",
            "progress",
            "spec",
            "target",
        ],
    ),
    (
        "doctor",
        &[
            "causes",
            "docker",
            "emulation",
            "engine",
            "environment",
            "owner",
            "progress",
            "spec",
        ],
    ),
    ("terraform", &["agent_config", "spec"]),
    (
        "parity",
        &["measure", "report", "spec", "terraform", "timeline"],
    ),
    ("lib", &[]),
];

/// What only some files may name: the word, and where it may stand.
const CONFINED: [(&str, &[&str]); 4] = [
    // A development agent's port binding is a type of bollard's that testcontainers hands on.
    ("bollard::", &["src/docker/", "src/dev_agent.rs"]),
    (
        "reqwest::",
        &[
            "src/nomad/api.rs",
            "src/engine/release/download.rs",
            "src/aws/wire.rs",
        ],
    ),
    ("println!(", &["src/bin/"]),
    ("tokio::time::sleep(", &["src/poll.rs"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

/// Returns all files under `src`, as `(src/fault/kill.rs, text)`.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of this crate") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                let text = fs::read_to_string(&path).expect("a source is text");
                let name = path.strip_prefix(root()).expect("it is below");
                found.push((name.display().to_string(), text));
            }
        }
    }
    found.sort();
    found
}

/// Returns the module that a file belongs to, `None` for tests and what only tests use.
fn module_of(file: &str) -> Option<String> {
    let path = file.strip_prefix("src/")?;
    let parts: Vec<_> = path.trim_end_matches(".rs").split('/').collect();
    if parts[0] == "bin" || parts[0] == "fake" || parts.contains(&"tests") {
        return None;
    }
    if parts.contains(&"fake") {
        return None;
    }
    Some(match parts.as_slice() {
        ["target", "docker", ..] => "target::docker".to_owned(),
        ["target", "aws", ..] => "target::aws".to_owned(),
        [first, ..] => (*first).to_owned(),
        [] => return None,
    })
}

/// Returns the modules that a text uses: what follows `crate::`, tests and comments left out.
fn used_by(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text);
    let mut used = Vec::new();
    for line in code.lines() {
        let line = line.trim_start();
        if line.starts_with("//") {
            continue;
        }
        for rest in line.split("crate::").skip(1) {
            let path: Vec<_> = rest.split("::").collect();
            let word = |part: &str| -> String {
                let end = part.find(|c: char| !c.is_alphanumeric() && c != '_');
                part[..end.unwrap_or(part.len())].to_owned()
            };
            let first = word(path[0]);
            let second = path.get(1).map(|part| word(part)).unwrap_or_default();
            used.push(match (first.as_str(), second.as_str()) {
                ("target", "docker" | "aws") => format!("target::{second}"),
                _ => first,
            });
        }
    }
    used
}

fn wrong_arrows(files: &[(String, String)]) -> Vec<String> {
    let arrows: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let mut wrong = Vec::new();
    for (file, text) in files {
        let Some(module) = module_of(file) else {
            continue;
        };
        let Some(may_use) = arrows.get(module.as_str()) else {
            wrong.push(format!("{file}: module `{module}` is not drawn"));
            continue;
        };
        for used in used_by(text) {
            // A folder's own parts, and the parent of a part drawn apart.
            if used != module && !may_use.contains(&used.as_str()) {
                wrong.push(format!("{file}: `{module}` may not use `{used}`"));
            }
        }
    }
    wrong
}

#[test]
fn no_arrow_points_up() {
    let wrong = wrong_arrows(&sources());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_arrow_that_points_up_is_seen() {
    let planted = [
        ("src/fault/new.rs", "use crate::docker::Engine;"),
        ("src/probe/new.rs", "fn f(x: crate::runner::Options) {}"),
        ("src/unheard_of.rs", ""),
        ("src/target/docker/mod.rs", "use crate::fault::Fault;"),
    ];
    let planted: Vec<_> = planted
        .iter()
        .map(|(file, text)| ((*file).to_owned(), (*text).to_owned()))
        .collect();
    assert_eq!(wrong_arrows(&planted).len(), 4);
}

const DOCUMENT: &str = "../docs/architecture.md";
const BEGIN: &str = "<!-- arrows -->\n";
const END: &str = "<!-- end of arrows -->";

/// The arrows as the document lists them.
fn listed() -> String {
    let arrows: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let line = |(module, used): (&&str, &&[&str])| {
        let used = match used.is_empty() {
            true => "nothing".to_owned(),
            false => used.join(", "),
        };
        format!("{module:<14} -> {used}\n")
    };
    let lines: String = arrows.iter().map(line).collect();
    format!("```text\n{lines}```\n")
}

#[test]
fn the_document_lists_the_arrows() {
    let path = root().join(DOCUMENT);
    let text = fs::read_to_string(&path).expect("it is there");
    let (before, rest) = text.split_once(BEGIN).expect("the list begins");
    let (list, after) = rest.split_once(END).expect("the list ends");
    if std::env::var_os("REHEARSE_UPDATE_DOCS").is_some() {
        let text = format!("{before}{BEGIN}{}{END}{after}", listed());
        fs::write(path, text).expect("it can be written");
    } else {
        let hint = "REHEARSE_UPDATE_DOCS=1 cargo test -p nomad-harness --test layers";
        assert_eq!(list, listed(), "stale; write it anew by: {hint}");
    }
}

/// What of the parts of the library (`spec.rs`, `fault/`) a document's tree lacks or invents.
fn wrong_parts(document: &str, parts: &[String]) -> Vec<String> {
    let drawn: Vec<&str> = document
        .lines()
        .filter_map(|line| line.strip_prefix("  src/")?.split(' ').next())
        .filter(|part| !part.starts_with("bin/"))
        .collect();
    let lacking = parts.iter().filter(|part| !drawn.contains(&part.as_str()));
    let gone = drawn
        .iter()
        .filter(|part| !parts.iter().any(|is| is == *part));
    let lacking = lacking.map(|part| format!("{part} is not drawn"));
    lacking
        .chain(gone.map(|part| format!("{part} is drawn, and is not there")))
        .collect()
}

#[test]
fn the_document_draws_every_part() {
    let text = fs::read_to_string(root().join(DOCUMENT)).expect("it is there");
    let mut parts = Vec::new();
    for entry in fs::read_dir(root().join("src")).expect("a folder of this crate") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("it has one").to_string_lossy();
        // What is a file and a folder of the same name is drawn as the file.
        match path.is_dir() {
            true if name == "bin" || path.with_extension("rs").exists() => {}
            true => parts.push(format!("{name}/")),
            false => parts.push(name.into_owned()),
        }
    }
    let wrong = wrong_parts(&text, &parts);
    assert!(wrong.is_empty(), "{DOCUMENT}: {}", wrong.join("\n"));

    let planted = ["  src/a.rs  x", "  src/gone/  y", "  src/bin/rehearse/  z"].join("\n");
    let parts = ["a.rs".to_owned(), "new/".to_owned()];
    let expected = ["new/ is not drawn", "gone/ is drawn, and is not there"];
    assert_eq!(wrong_parts(&planted, &parts), expected);
}

#[test]
fn the_arrows_make_no_circle() {
    let arrows: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let mut left: Vec<_> = arrows.keys().copied().collect();
    // Takes away, again and again, what uses nothing that is left.
    while !left.is_empty() {
        let free: Vec<_> = left
            .iter()
            .copied()
            .filter(|module| arrows[module].iter().all(|used| !left.contains(used)))
            .collect();
        assert!(!free.is_empty(), "these use each other: {left:?}");
        left.retain(|module| !free.contains(module));
    }
}

#[test]
fn what_is_confined_stays_where_it_belongs() {
    let mut strays = Vec::new();
    for (file, text) in sources() {
        for (word, places) in CONFINED {
            let named = text
                .lines()
                .any(|line| line.contains(word) && !line.trim_start().starts_with("//"));
            if named && !places.iter().any(|place| file.starts_with(place)) {
                strays.push(format!("{file} names `{word}`"));
            }
        }
    }
    assert!(strays.is_empty(), "{}", strays.join("\n"));
}

#[test]
fn no_file_is_forgotten_in_its_folders_table() {
    let files = sources();
    let mut forgotten = Vec::new();
    for (file, _) in &files {
        let path = Path::new(file);
        let stem = path.file_stem().expect("a file").to_string_lossy();
        let folder = path.parent().expect("it lies below src");
        // A folder's own file is declared one level up.
        let (name, above) = match stem.as_ref() {
            "lib" | "main" => continue,
            "mod" => (
                folder.file_name().expect("a folder").to_string_lossy(),
                folder.parent().expect("it lies below src"),
            ),
            _ => (stem, folder),
        };
        let declaring: Vec<_> = files
            .iter()
            .filter(|(other, _)| declares_for(Path::new(other), above))
            .collect();
        let word = format!("mod {name};");
        if !declaring.iter().any(|(_, text)| text.contains(&word)) {
            forgotten.push(format!("{file}: no `{word}` above it"));
        }
    }
    assert!(forgotten.is_empty(), "{}", forgotten.join("\n"));
}

/// Whether a file is the one that declares the modules of a folder.
fn declares_for(file: &Path, folder: &Path) -> bool {
    let name = file.file_name().expect("a file").to_string_lossy();
    let inside = file.parent() == Some(folder);
    (inside && ["mod.rs", "lib.rs", "main.rs"].contains(&name.as_ref()))
        || file.with_extension("") == folder
}
