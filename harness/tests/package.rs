//! What cargo is told: the package holds all that the program embeds, so that it builds from that alone,
//! and no dependency wants a newer Rust than the crate that brings it states.
//!
//! What lies elsewhere in the source tree comes into the package by the links in `carried/`. Missing: that
//! the package builds, which would want a registry with the crate `agent` in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::process::Command;

fn cargo(args: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(args)
        .arg("--offline")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).expect("names are text")
}

fn packed() -> BTreeSet<PathBuf> {
    let listed = cargo(&[
        "package",
        "--list",
        "--allow-dirty",
        "--package",
        "nomad-harness",
    ]);
    listed.lines().map(PathBuf::from).collect()
}

/// Resolves `..` by name only: a link stays what it is called.
fn resolved(path: &Path) -> Option<PathBuf> {
    let mut parts: Vec<&std::ffi::OsStr> = Vec::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                parts.pop()?;
            }
            Component::Normal(name) => parts.push(name),
            _ => {}
        }
    }
    Some(parts.iter().collect())
}

/// What the sources embed, as paths below the package; those above it as they are written.
fn embedded(folder: &Path, found: &mut Vec<(PathBuf, Result<PathBuf, String>)>) {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            embedded(&path, found);
            continue;
        }
        // What only tests read need not be packed.
        if path.extension().is_none_or(|ext| ext != "rs") || path.ends_with("tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a source is text");
        let source = path.strip_prefix(top).expect("below").to_path_buf();
        for call in ["include_str!(", "include_bytes!("] {
            for (at, _) in text.match_indices(call) {
                let rest = text[at + call.len()..].trim_start();
                let Some(rest) = rest.strip_prefix('"') else {
                    continue;
                };
                let Some((name, _)) = rest.split_once('"') else {
                    continue;
                };
                let of = source.parent().expect("a folder").join(name);
                found.push((source.clone(), resolved(&of).ok_or_else(|| name.to_owned())));
            }
        }
    }
}

fn missing(packed: &BTreeSet<PathBuf>) -> Vec<String> {
    let mut found = Vec::new();
    embedded(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut found,
    );
    assert!(
        found.len() > 40,
        "only {} embedded files were found",
        found.len()
    );
    let bad = found.into_iter().filter_map(|(source, file)| match file {
        Ok(file) if packed.contains(&file) => None,
        Ok(file) => Some(format!(
            "{}: {} is not packed",
            source.display(),
            file.display()
        )),
        Err(name) => Some(format!(
            "{}: {name} lies outside of the package",
            source.display()
        )),
    });
    bad.collect()
}

#[test]
fn the_package_holds_what_the_program_embeds() {
    let packed = packed();
    assert_eq!(missing(&packed), Vec::<String>::new());
}

/// Planted: a package without one of the files.
#[test]
fn a_file_that_is_not_packed_is_told() {
    let mut packed = packed();
    assert!(packed.remove(Path::new("carried/jobs/whoami.nomad.hcl")));
    let told = missing(&packed);
    assert!(!told.is_empty());
    assert!(
        told.iter()
            .all(|line| line.ends_with("carried/jobs/whoami.nomad.hcl is not packed")),
        "{told:?}"
    );
}

/// The first two numbers of a version of Rust.
fn rust(version: &str) -> (u32, u32) {
    let mut parts = version
        .split('.')
        .map(|part| part.parse().expect("a number"));
    let mut next = || parts.next().unwrap_or(0);
    (next(), next())
}

/// The crates that `name` is built of, which state a newer Rust than `limit`.
fn too_new(metadata: &serde_json::Value, name: &str, limit: (u32, u32)) -> Vec<String> {
    let list = |value: &serde_json::Value| value.as_array().cloned().expect("a list");
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let packages: BTreeMap<String, serde_json::Value> = list(&metadata["packages"])
        .into_iter()
        .map(|package| (text(&package["id"]), package))
        .collect();
    let needs: BTreeMap<String, Vec<String>> = list(&metadata["resolve"]["nodes"])
        .iter()
        .map(|node| {
            let built = |dep: &&serde_json::Value| {
                list(&dep["dep_kinds"])
                    .iter()
                    .any(|kind| kind["kind"] != "dev")
            };
            let deps = list(&node["deps"]);
            let ids = deps.iter().filter(built).map(|dep| text(&dep["pkg"]));
            (text(&node["id"]), ids.collect())
        })
        .collect();
    let mut todo: Vec<&String> = packages
        .iter()
        .filter(|(_, package)| package["name"] == name && package["source"].is_null())
        .map(|(id, _)| id)
        .collect();
    assert_eq!(todo.len(), 1, "one crate of ours is called {name}");
    let mut seen = BTreeSet::new();
    while let Some(id) = todo.pop() {
        if seen.insert(id) {
            todo.extend(&needs[id]);
        }
    }
    assert!(
        seen.len() > 50,
        "{name} is built of {} crates only",
        seen.len()
    );
    let stated = |id: &&String| packages[*id]["rust_version"].as_str().map(rust);
    let newer = seen
        .into_iter()
        .filter(|id| stated(id).is_some_and(|wants| wants > limit));
    newer
        .map(|id| {
            let of = &packages[id];
            format!(
                "{} {} wants Rust {}",
                text(&of["name"]),
                text(&of["version"]),
                text(&of["rust_version"])
            )
        })
        .collect()
}

/// What a manifest states as `rust-version`.
fn stated(metadata: &serde_json::Value, name: &str) -> (u32, u32) {
    let packages = metadata["packages"].as_array().expect("a list");
    let own = packages
        .iter()
        .find(|package| package["name"] == name && package["source"].is_null())
        .expect("a crate of ours");
    rust(own["rust_version"].as_str().expect("it states its Rust"))
}

#[test]
fn no_dependency_wants_a_newer_rust_than_its_crate_states() {
    // Of this platform alone: others' crates were never fetched.
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let metadata = cargo(&[
        "metadata",
        "--format-version",
        "1",
        "--locked",
        "--filter-platform",
        &platform,
    ]);
    let metadata: serde_json::Value = serde_json::from_str(&metadata).expect("it is JSON");
    for name in ["agent", "nomad-harness"] {
        let bad = too_new(&metadata, name, stated(&metadata, name));
        assert_eq!(
            bad,
            Vec::<String>::new(),
            "of {name}; cargo update --precise takes an older one"
        );
    }
    // Planted: a crate that states an older Rust than what it is built of.
    assert!(!too_new(&metadata, "agent", (1, 60)).is_empty());
}
