//! The project's own matrix, and wrong ones.

use super::*;
use crate::scenario;

const FILE: &str = include_str!("../../../ci/matrix.hcl");

fn names() -> Vec<String> {
    scenario::built_in().into_iter().map(|s| s.name).collect()
}

fn problems(text: &str) -> Vec<String> {
    let error = read("m.hcl", text, &names()).expect_err("something is wrong");
    error.to_string().lines().map(str::to_owned).collect()
}

#[test]
fn the_projects_matrix_covers_each_architecture_on_every_change() {
    let matrix = read("ci/matrix.hcl", FILE, &names()).expect("it is right");
    let cells = matrix.on(Occasion::Change);
    for arch in [Arch::Amd64, Arch::Arm64, Arch::S390x] {
        assert!(cells.iter().any(|cell| cell.arch == arch), "{arch}");
    }
    let emulated: Vec<_> = cells.iter().filter(|cell| cell.emulated).collect();
    assert!(emulated.iter().all(|cell| cell.runner == "ubuntu-24.04"));
    assert!(emulated.iter().any(|cell| cell.arch == Arch::S390x));
    let nightly = matrix.on(Occasion::Nightly);
    let native = |cell: &&&Cell| cell.arch == Arch::S390x && !cell.emulated;
    assert!(nightly.iter().any(|cell| native(&cell)));
    for line in ["1.7", "1.8", "1.10", "1.11", "2.0"] {
        let of_line = |cell: &&Cell| {
            let version = cell.version.as_ref().map(ToString::to_string);
            version.is_some_and(|version| version.starts_with(&format!("{line}.")))
        };
        assert!(nightly.iter().any(of_line), "{line}");
    }
}

#[test]
fn a_group_is_the_product_of_its_versions_and_architectures() {
    let text = "runners = { amd64 = \"a\", arm64 = \"b\" }\n\
        cells \"r\" {\n  when = [\"nightly\"]\n  engine = \"release\"\n\
        \x20 versions = [\"1.7.7\", \"1.8.4\"]\n  archs = [\"amd64\", \"arm64\"]\n}\n";
    let matrix = read("m.hcl", text, &names()).expect("it is right");
    let cells: Vec<_> = matrix
        .cells
        .iter()
        .map(|cell| (cell.name.as_str(), cell.runner.as_str()))
        .collect();
    assert_eq!(
        cells,
        [
            ("r-1.7.7-amd64", "a"),
            ("r-1.7.7-arm64", "b"),
            ("r-1.8.4-amd64", "a"),
            ("r-1.8.4-arm64", "b"),
        ]
    );
    assert!(matrix.on(Occasion::Change).is_empty());
    // Left out means all.
    assert_eq!(matrix.cells[0].scenarios, names());
}

#[test]
fn all_that_is_wrong_is_told_at_once_with_its_place() {
    let text = "runners = { amd64 = \"a\" }\n\
        cells \"x\" {\n  when = [\"weekly\"]\n  engine = \"release\"\n\
        \x20 versions = [\"1.12.0\", \"one\", \"9.9.9\"]\n  archs = [\"amd64\", \"mips\"]\n\
        \x20 scenarios = [\"leader-failover\", \"nap\"]\n  colour = 1\n}\n";
    let told = problems(text);
    let starts = [
        "m.hcl:3:11: unknown occasion `weekly`",
        "m.hcl:5:15: Nomad `1.12.0` does not exist",
        "m.hcl:5:25: `one` is no version",
        "m.hcl:5:32: Nomad `9.9.9` is of a line that is not known here; there is `2.0.5`",
        "m.hcl:6:21: unknown architecture `mips`",
        "m.hcl:7:35: unknown scenario `nap`",
        "m.hcl:8:3: unknown entry",
    ];
    assert_eq!(told.len(), starts.len(), "{told:#?}");
    for (line, start) in told.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn a_version_without_a_build_for_the_architecture_is_refused() {
    let text = "runners = { s390x = \"z\" }\n\
        cells \"x\" {\n  when = [\"change\"]\n  engine = \"release\"\n\
        \x20 versions = [\"1.8.4\"]\n  archs = [\"s390x\"]\n}\n";
    let told = problems(text);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(
        told[0].starts_with("m.hcl:5:15: ") && told[0].contains("s390x"),
        "{told:?}"
    );
}

#[test]
fn a_matrix_that_runs_nothing_or_nowhere_is_refused() {
    assert!(problems("runners = {}\n")[0].contains("nothing would run"));
    let text = "runners = {}\ncells \"x\" {\n  when = [\"change\"]\n  engine = \"simulator\"\n  archs = [\"amd64\"]\n}\n";
    assert!(problems(text)[0].contains("cell `x-amd64` has no runner"));
    assert!(problems("cells \"x\" {")[0].starts_with("m.hcl:1:"));
}
