//! The scripts that the program carries, and wrong ones.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::fault::{FAULTS, Fault};
use crate::pick::PICKS;
use crate::probe::PROBES;
use crate::step::FORMS;
use crate::workload::WORKLOADS;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package lies in the workspace")
}

/// Reads a script of these steps, after a submit of `whoami`; it needs two regions.
fn with_steps(steps: &str) -> Result<Scenario, ScriptError> {
    let text = format!(
        "scenario \"test\" {{\n  description = \"a law\"\n  submit {{\n    job = builtin.whoami\n  \
         }}\n{steps}\n  needs {{ regions = [\"east\", \"west\"] }}\n}}\n"
    );
    read("t.hcl", &text, None, &BTreeMap::new())
}

/// Returns what is said of steps that begin on line 6, without the file's name.
fn told(steps: &str) -> Vec<String> {
    let error = with_steps(steps).expect_err("something is wrong");
    let cut = |problem: &Problem| problem.to_string().trim_start_matches("t.hcl:").to_owned();
    error.problems.iter().map(cut).collect()
}

#[track_caller]
fn starts(told: &[String], starts: &[&str]) {
    assert_eq!(told.len(), starts.len(), "{told:#?}");
    for (line, start) in told.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}\nexpected {start}");
    }
}

#[test]
fn every_script_of_the_library_is_carried_right_straight_and_named_once() {
    let carried = built_in_scripts();
    let mut files: Vec<_> = std::fs::read_dir(root().join("scenarios"))
        .expect("the library's folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    files.sort();
    let mut known: Vec<_> = carried
        .iter()
        .map(|one| format!("{}{ENDING}", one.name))
        .collect();
    known.sort();
    assert_eq!(known, files, "every file is in the table, once");
    for script in carried {
        let scenario = script.read(&BTreeMap::new());
        let scenario = scenario.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(scenario.name, script.name);
        assert!(!scenario.steps.is_empty(), "{}", script.name);
        let laid_out = format(&script.file, &script.text).expect("it was read");
        assert_eq!(
            laid_out, script.text,
            "rehearse scenario fmt {}",
            script.name
        );
    }
}

#[test]
fn every_job_of_the_folder_is_carried() {
    let mut files: Vec<_> = std::fs::read_dir(root().join("jobs"))
        .expect("the jobs' folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    files.sort();
    let mut known: Vec<_> = job_names()
        .map(|name| format!("{name}.nomad.hcl"))
        .collect();
    known.sort();
    assert_eq!(known, files);
}

#[test]
fn faults_of_the_library_are_healed_before_its_scenarios_end() {
    for scenario in built_in() {
        let all = flat(&scenario.steps);
        for (place, step) in all.iter().enumerate() {
            if let Step::Inject { fault, .. } = step {
                let healed = all[place..].iter().any(
                    |later| matches!(later, Step::Heal { fault: healed, .. } if healed == fault),
                );
                assert!(healed, "{}: {fault} is never healed", scenario.name);
            }
        }
    }
}

/// The steps, and those inside them.
fn flat(steps: &[Step]) -> Vec<&Step> {
    steps
        .iter()
        .flat_map(|step| std::iter::once(step).chain(flat(step.inner())))
        .collect()
}

#[test]
fn every_word_of_the_tables_is_documented_with_an_example_that_is_right() {
    let reference = reference();
    for form in FORMS {
        let word = format!("`{}", form.name);
        assert!(reference.contains(&word), "{}", form.name);
        // What an example speaks of must have come before it.
        let before = match form.name {
            "stop" => "start \"leader_watch\" {}\n",
            "heal" => "inject \"kill\" {\n  on = leader\n}\n",
            "restore" => "snapshot {}\n",
            "measure" => "start \"leader_watch\" {}\nstop {}\n",
            _ => "",
        };
        let after = if form.name == "start" {
            "stop {}\n"
        } else {
            ""
        };
        let steps = format!("{before}{}\n{after}", form.example);
        let read = with_steps(&steps);
        let scenario = read.unwrap_or_else(|error| panic!("{}: {error}", form.name));
        assert!(scenario.steps.len() >= 2);
        let laid_out = format("x", form.example).expect("it is HCL");
        assert_eq!(laid_out.trim_end(), form.example, "{}", form.name);
    }
    let names = PROBES
        .iter()
        .map(|word| word.name)
        .chain(WORKLOADS.iter().map(|word| word.name))
        .chain(PICKS.iter().map(|word| word.name))
        .chain(FAULTS.iter().map(|fault| fault.name()));
    for name in names {
        assert!(reference.contains(&format!("`{name}")), "{name}");
    }
}

#[test]
fn every_probe_workload_fault_and_pick_can_be_written() {
    let job = "job = \"whoami\"\n";
    for (word, args) in [
        ("leader", ""),
        ("no_leader", ""),
        ("members", "alive = 3\n"),
        ("versions", "different = 2\n"),
        ("voters", "healthy = 2\n"),
        ("nodes", "ready = 3\n"),
        ("drained", "nodes = 1\n"),
        ("completed", "job = \"whoami\"\nallocations = 3\n"),
        ("allocations", "job = \"whoami\"\nrunning = 3\nnodes = 2\n"),
        ("deployment", "job = \"whoami\"\nstatus = \"failed\"\n"),
        ("canaries", "job = \"whoami\"\nhealthy = 1\n"),
        ("version", "job = \"whoami\"\nnumber = 1\n"),
        (
            "service",
            "job = \"whoami\"\nport = \"http\"\ninstances = 3\n",
        ),
    ] {
        assert!(PROBES.iter().any(|known| known.name == word));
        let steps = format!("expect \"{word}\" {{\n{args}within = \"1s\"\n}}");
        with_steps(&steps).unwrap_or_else(|error| panic!("{word}: {error}"));
    }
    assert_eq!(PROBES.len(), 13, "a new probe is tried here too");
    for word in WORKLOADS {
        let mut args = String::new();
        for arg in word.args {
            args.push_str(match arg.name {
                "job" => job,
                "port" => "port = \"http\"\n",
                "rate" => "rate = 5\n",
                "tolerant" => "tolerant = true\n",
                new => panic!("{}: a new argument is tried here too: {new}", word.name),
            });
        }
        let steps = format!("start \"{}\" {{\n{args}}}\nstop {{}}", word.name);
        with_steps(&steps).unwrap_or_else(|error| panic!("{}: {error}", word.name));
    }
    for fault in FAULTS {
        let on = match fault {
            Fault::WrongGossipKey => "any(server)",
            Fault::RestartEngine => "everyone",
            _ => "any(client)",
        };
        let steps = format!("inject \"{fault}\" {{\non = {on}\n}}\nheal \"{fault}\" {{}}");
        with_steps(&steps).unwrap_or_else(|error| panic!("{fault}: {error}"));
    }
    for pick in [
        "leader",
        "follower",
        "followers",
        "any(server)",
        "all(client)",
        "minority",
        "majority",
        "everyone",
        "node_running(\"whoami\")",
        "last",
        "\"server-3\"",
        "[\"server-1\", \"client-2\"]",
    ] {
        let steps = format!("restart {{\non = leader\n}}\nrestart {{\non = {pick}\n}}");
        with_steps(&steps).unwrap_or_else(|error| panic!("{pick}: {error}"));
    }
}

#[test]
fn unknown_words_are_told_with_what_was_meant() {
    let steps = "injct \"kill\" {}\ninject \"kil\" {\non = leader\n}\nexpect \"leadr\" {\nwithin = \
                 \"1s\"\n}\nstart \"lode\" {}\ninject \"kill\" {\non = leadr\n}\ninject \"kill\" \
                 {\non = leader\nto = 1\n}\nexpect \"leader\" {\nwithin = var.x\n}";
    starts(
        &told(steps),
        &[
            "6:1: unknown step `injct` (did you mean `inject`?)",
            "7:8: unknown fault `kil` (did you mean `kill`?)",
            "10:8: unknown probe `leadr` (did you mean `leader`?)",
            "13:7: unknown workload `lode` (did you mean `load`?)",
            "15:6: unknown pick `leadr` (did you mean `leader`?)",
            "19:1: unknown argument `to` of `inject \"kill\"` (expected `on`)",
            "22:10: unknown variable `x` (there is none)",
        ],
    );
}

#[test]
fn missing_arguments_wrong_units_and_wrong_types_are_told() {
    let steps = "inject \"kill\" {}\nexpect \"leader\" {\nwithin = 15\n}\nexpect \"leader\" \
                 {\nwithin = \"15sec\"\n}\nexpect \"leader\" {\n}\nexpect \"leader\" {\nwithin = \
                 \"1s\"\nnever = \"1s\"\n}\nexpect \"nodes\" {\nready = \"3\"\nwithin = \
                 \"1s\"\n}\nstart \"writer\" {\nrate = 0\n}\nstop {}\nmeasure \"write_gap_ms\" \
                 {\nat_most = 5\n}\nmeasure \"writes_failed\" {\nat_most = \"5s\"\n}\nhold {\nlasting \
                 = \"0s\"\n}";
    starts(
        &told(steps),
        &[
            "6:1: `inject \"kill\"` lacks `on`, to whom: a pick of agents",
            "8:10: `within` is a duration and needs a unit (did you mean `\"15s\"`?)",
            "11:10: `sec` is no unit of time (did you mean `s`?)",
            "13:1: `expect` takes one of `within`, `throughout`, `never`",
            "15:1: `expect` takes only one of `within`, `never`",
            "20:9: `ready` takes a whole number from 0, and this is a text",
            "24:8: `rate` takes a whole number from 1, and this is a number",
            "28:11: the measure is a time, and `at_most` needs a unit (did you mean `\"5ms\"`?)",
            "31:11: the measure is no time",
            "34:11: `lasting` must be longer than nothing",
        ],
    );
}

#[test]
fn what_does_not_fit_the_steps_before_is_told() {
    let steps = "expect \"deployment\" {\njob = \"whoamy\"\nwithin = \"9s\"\n}\nscale {\njob = \
                 \"whoami\"\ngroup = \"wep\"\ncount = 1\n}\nstart \"load\" {\njob = \
                 \"whoami\"\nport = \"htpp\"\nrate = 1\n}\nmeasure \"requests_lost\" {\nat_most = \
                 0\n}\nheal \"pause\" {}\nmeasure \"leaderless\" {\nat_most = 1\n}\nrestart {\non = \
                 each\n}\ninject \"drain\" {\non = leader\n}";
    starts(
        &told(steps),
        &[
            "7:7: no step before this submits job `whoamy` (did you mean `whoami`?)",
            "12:9: job `whoami` has no group `wep` (did you mean `web`?)",
            "15:7: this is never stopped and judged",
            "17:8: job `whoami` has no port `htpp` (did you mean `http`?)",
            "20:9: `requests_lost` is taken at `stop`, which must come before this",
            "23:1: no step before this injects `pause`",
            "24:9: no step before this takes `leaderless` (there is none)",
            "28:6: `each` means something inside `for_each` only",
            "31:6: `drain` is for clients",
        ],
    );
}

#[test]
fn a_region_is_one_of_those_needed_and_its_numbers_bear_its_name() {
    let in_west = |steps: &str| format!("region \"west\" {{\n{steps}\n}}");
    let watched = in_west("start \"leader_watch\" {}") + "\nstop {}\n";
    let measure = |name: &str| format!("{watched}measure \"{name}\" {{\nat_most = 1\n}}");
    let scenario = with_steps(&measure("west_leader_changes")).expect("it is right");
    assert_eq!(scenario.regions, ["east", "west"]);
    assert!(scenario.needs().contains(&Capability::Federation));
    starts(
        &told(&measure("leader_changes")),
        &["10:9: no step before this takes `leader_changes` (expected `west_leader_changes`, "],
    );
    starts(
        &told("region \"wets\" {\nstop {}\n}\nsubmit {\njob = builtin.whoami\nto = \"north\"\n}"),
        &[
            "6:8: `needs` names no region `wets` (did you mean `west`?)",
            "11:6: `needs` names no region `north` (expected `east`, `west`)",
        ],
    );
    starts(
        &told(&in_west(&in_west("restart {\non = leader\n}"))),
        &["7:1: `region` stands in no other `region`"],
    );
    with_steps("restart {\non = \"west-server-3\"\n}").expect("there is one");
    starts(
        &told("restart {\non = \"west-server-4\"\n}\nrestart {\non = \"east-server-1\"\n}"),
        &[
            "7:6: there may be no `west-server-4`",
            "10:6: `east-server-1` is no agent's name",
        ],
    );
    starts(
        &told("inject \"drain\" {\non = \"west-server-1\"\n}"),
        &["7:6: `drain` is for clients"],
    );
}

#[test]
fn regions_that_cannot_be_are_told() {
    let told = |regions: &str| {
        let text = format!(
            "scenario \"t\" {{\n  description = \"d\"\n  needs {{\n    regions = {regions}\n  }}\n  \
             snapshot {{}}\n}}\n"
        );
        let read = read("t.hcl", &text, None, &BTreeMap::new());
        read.expect_err("something is wrong").to_string()
    };
    assert!(told("[]").starts_with("t.hcl:4:15: `regions` takes a list of names"));
    assert!(told("[1]").starts_with("t.hcl:4:15: `regions` takes a list of names"));
    let said = told("[\"a.b\", \"West\", \"x\", \"x\"]");
    for part in [
        "t.hcl:4:15: region `a.b` is not allowed",
        "t.hcl:4:15: further region `West` is not allowed",
        "t.hcl:4:15: further region `x` is not allowed",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
}

#[test]
fn agents_that_cannot_be_there_are_told() {
    let steps = "restart {\non = \"server-9\"\n}\nrestart {\non = \"leader\"\n}\nrestart {\non = \
                 \"srv1\"\n}\nrestart {\non = any\n}\nrestart {\non = any(servr)\n}\nrestart {\non = \
                 node_running(\"web\")\n}";
    starts(
        &told(steps),
        &[
            "7:6: there may be no `server-9`: the scenario needs 3 servers and 3 clients",
            "10:6: `leader` is a word, not a name: write it without quotes",
            "13:6: `srv1` is no agent's name",
            "16:6: `any` takes `server` or `client`: `any(server)`",
            "19:10: unknown role `servr` (did you mean `server`?)",
            "22:19: no step before this submits job `web`",
        ],
    );
}

#[test]
fn job_files_are_found_from_the_scripts_folder_and_read() {
    let folder = tempfile::tempdir().expect("a folder of our own");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("it can be written");
    };
    write("web.nomad.hcl", "job \"web\" {\n");
    write("none.nomad.hcl", "# nothing\n");
    write(
        "good.nomad.hcl",
        "variable \"v\" {\n  type = string\n}\njob \"good\" {\n  group \"g\" {}\n}\n",
    );
    let script = |steps: &str| {
        let text = format!("scenario \"t\" {{\ndescription = \"d\"\n{steps}\n}}\n");
        read("t.hcl", &text, Some(folder.path()), &BTreeMap::new())
    };
    let told = |steps: &str| script(steps).expect_err("something is wrong").to_string();
    let said = told("submit {\njob = \"wep.nomad.hcl\"\n}");
    assert!(said.starts_with("t.hcl:4:7: job file `"), "{said}");
    assert!(
        said.ends_with("does not exist (did you mean `web.nomad.hcl`?)"),
        "{said}"
    );
    let said = told("submit {\njob = \"web.nomad.hcl\"\n}\nscale {\njob = \"x\"\n}");
    assert!(said.contains("web.nomad.hcl:1:"), "{said}");
    assert!(
        !said.contains("submits job"),
        "what follows from it is not told: {said}"
    );
    let said = told("submit {\njob = \"none.nomad.hcl\"\n}");
    assert!(said.contains("expected one `job \"NAME\""), "{said}");
    let said = told("submit {\njob = \"good.nomad.hcl\"\n}");
    assert!(
        said.contains("good.nomad.hcl:1:1: job variable `v` has no default"),
        "{said}"
    );
    let said = told("submit {\njob = \"good.nomad.hcl\"\nvariables = { w = 1 }\n}");
    assert!(
        said.contains("has no variable `w` (expected `v`)"),
        "{said}"
    );
    let said = told("submit {\njob = builtin.whoam\n}");
    assert!(
        said.contains("unknown built-in job `whoam` (did you mean `whoami`?)"),
        "{said}"
    );
    let read = script("submit {\njob = \"good.nomad.hcl\"\nvariables = { v = \"2\" }\n}");
    let Some(Step::Submit { name, hcl, .. }) = read.expect("it is right").steps.pop() else {
        panic!("a submit");
    };
    assert_eq!(name, "good");
    assert!(hcl.contains("default = \"2\""), "{hcl}");
}

#[test]
fn variables_have_types_and_are_given_from_outside() {
    let text = "scenario \"t\" {\n  description = \"d\"\n  hold {\n    lasting = var.time\n  }\n  \
                start \"writer\" {\n    rate = var.rate * 2\n  }\n  stop {}\n}\nvariable \"time\" \
                {\n  type = duration\n  default = \"1s\"\n}\nvariable \"rate\" {\n  type = number\n  \
                default = 5\n}\n";
    let given = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    };
    let scenario = read("t.hcl", text, None, &given(&[("time", "3s")])).expect("it is right");
    assert_eq!(scenario.steps[0].to_string(), "let 3 s pass");
    assert_eq!(
        scenario.steps[1].to_string(),
        "start 10 writes/s through all servers"
    );
    let error = read("t.hcl", text, None, &given(&[("time", "3"), ("rate", "x")]));
    let error = error.expect_err("both are wrong").to_string();
    assert!(error.contains("`3` has no unit"), "{error}");
    assert!(error.contains("`x` is no number"), "{error}");
}

#[test]
fn a_script_that_proves_nothing_or_is_none_is_refused() {
    let told = |text: &str| {
        let read = read("t.hcl", text, None, &BTreeMap::new());
        read.expect_err("something is wrong").to_string()
    };
    assert!(told("").contains("expected `scenario \"NAME\""));
    assert!(told("scenario \"x\" {").starts_with("t.hcl:1:"));
    let text = "scenario \"x\" {\n  description = \"d\"\n}\n";
    assert!(told(text).contains("no step"));
    assert!(
        told("scenario \"X y\" {\n  hold {\n    lasting = \"1s\"\n  }\n}\n").contains("lower case")
    );
    let text = "scenario \"a\" {\n description = \"d\"\n needs {\n  severs = 3\n  capabilities = \
                [\"paus\"]\n  nomad = \"new\"\n  max_time_scale = 0\n }\n stop {}\n}\n";
    let said = told(text);
    for part in [
        "did you mean `servers`?",
        "did you mean `pause`?",
        "`nomad` takes a version",
        "`max_time_scale` takes a whole number from 1 to 100",
        "nothing runs here",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
}

#[test]
fn the_document_shows_the_reference_as_it_is() {
    const BEGIN: &str = "<!-- reference: begin -->\n";
    const END: &str = "<!-- reference: end -->";
    let path = root().join("docs/writing-scenarios.md");
    let text = std::fs::read_to_string(&path).expect("the document is there");
    let (head, rest) = text
        .split_once(BEGIN)
        .expect("it marks the reference's begin");
    let (shown, tail) = rest.split_once(END).expect("it marks the reference's end");
    let wanted = reference();
    if std::env::var_os("REHEARSE_UPDATE_DOCS").is_some() {
        let whole = format!("{head}{BEGIN}{wanted}{END}{tail}");
        std::fs::write(&path, whole).expect("it can be written");
    } else {
        assert_eq!(
            shown, wanted,
            "REHEARSE_UPDATE_DOCS=1 cargo test -p nomad-harness reference"
        );
    }
}

#[test]
fn the_engine_is_restarted_below_every_agent_or_none() {
    let on = |pick: &str| format!("  inject \"restart-engine\" {{\n    on = {pick}\n  }}");
    let message = "7:10: `restart-engine` hits every agent: `on = everyone`";
    for pick in ["leader", "all(server)", "\"client-1\""] {
        starts(&told(&on(pick)), &[message]);
    }
    let scenario = with_steps(&on("everyone")).unwrap();
    assert!(scenario.needs().contains(&Capability::RestartEngine));
    assert_eq!(scenario.data_size(), None);
    let fills = with_steps("  inject \"full-disk\" {\n    on = leader\n  }").unwrap();
    assert_eq!(fills.data_size(), Some(DataSize::USUAL));
}
