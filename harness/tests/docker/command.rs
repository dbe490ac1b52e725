//! The command: what it prints, and how it ends.

use tokio::io::AsyncBufReadExt as _;

use super::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn up_status_env_stop_start_down() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let out = stage
        .run_well(&["up", "walk", "--engine", "simulator", "--clients", "2"])
        .await;
    assert!(out.starts_with("cluster `walk` is ready after "), "{out}");
    let arch = nomad_harness::spec::Arch::host().expect("Docker is here");
    let engine = format!("3 servers on {arch}, 2 clients on {arch}, SIMULATED agent");
    assert!(out.contains(&engine), "{out}");

    let status = stage
        .run_well(&["status", "walk", "--format", "json"])
        .await;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["agents"].as_array().unwrap().len(), 5);
    assert_eq!(status["nomad"]["nodes"].as_array().unwrap().len(), 2);
    let text = stage.run_well(&["status", "walk"]).await;
    assert!(text.contains("SIMULATED"), "{text}");
    assert!(text.contains("3 voters"), "{text}");

    let env = stage.run_well(&["env", "walk", "--format", "json"]).await;
    let env: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&env).unwrap();
    for key in ["NOMAD_CACERT", "NOMAD_CLIENT_CERT", "NOMAD_CLIENT_KEY"] {
        let path = env[key].as_str().unwrap();
        assert!(std::path::Path::new(path).is_file(), "{key} {path}");
    }
    let address = env["NOMAD_ADDR"].clone();
    assert!(address.as_str().unwrap().starts_with("https://127.0.0.1:"));

    stage.run_well(&["stop", "walk", "client-2"]).await;
    let listed = stage.run_well(&["ls"]).await;
    assert!(listed.contains("4 of 5 agents running"), "{listed}");
    stage.run_well(&["start", "walk", "client-2"]).await;
    stage.run_well(&["stop", "walk"]).await;
    assert!(stage.run_well(&["ls"]).await.contains("stopped"));
    stage.run_well(&["start", "walk"]).await;
    let again = stage.run_well(&["env", "walk", "--format", "json"]).await;
    assert!(
        again.contains(address.as_str().unwrap()),
        "the same address after a stop"
    );

    let logs = stage.run_well(&["logs", "walk", "-n", "3"]).await;
    assert!(logs.contains("server-1 | "), "{logs}");
    let (code, out, _) = stage
        .run(&[
            "exec",
            "walk",
            "client-1",
            "--",
            "/usr/local/bin/rehearse-agent",
            "df",
            "-kP",
            "/",
        ])
        .await;
    assert_eq!(code, 0, "{out}");
    assert!(out.starts_with("Filesystem"), "{out}");

    stage.run_well(&["down", "walk"]).await;
    stage.assert_nothing_left("walk").await;
}

/// A release is kept under any name: what it is called says nothing of what it can be.
#[tokio::test(flavor = "multi_thread")]
async fn a_program_of_another_name_serves_in_containers() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let renamed = stage.folder.path().join("rehearse-0.1");
    std::fs::copy(env!("CARGO_BIN_EXE_rehearse"), &renamed).expect("there is room");
    let size = ["--servers", "1", "--clients", "1"];
    let up = ["up", "renamed", "--engine", "simulator"];
    for args in [[&up[..], &size].concat(), vec!["down", "renamed"]] {
        let mut run = tokio::process::Command::new(&renamed);
        run.args(&args)
            .env("XDG_STATE_HOME", stage.folder.path())
            .env_remove("REHEARSE_AGENT")
            .env("PATH", "")
            .kill_on_drop(true);
        let output = stage.output(run).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {said}");
    }
    stage.assert_nothing_left("renamed").await;
}

impl Stage {
    /// Runs a command that must be refused as bad input, with this problem and this hint.
    async fn assert_refused(&self, args: &[&str], problem: &str, hint: &str) {
        let (code, out, err) = self.run(args).await;
        assert_eq!(code, 2, "{args:?}\n{out}\n{err}");
        assert!(err.contains("error: "), "{args:?}: {err}");
        assert!(err.contains(problem), "{args:?}: {err}");
        assert!(err.contains(hint), "{args:?}: {err}");
        self.assert_nothing_left("x").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_ends_with_2_and_says_what_to_do() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let args = ["up", "Bad_Name", "--servers", "2"];
    let problem = "2 servers cannot be: expected 1, 3 or 5";
    stage
        .assert_refused(&args, problem, "hint: rehearse up --servers 3")
        .await;
    let set = "server.raft_multi=1";
    let args = ["up", "x", "--engine", "simulator", "--set", set];
    let problem = "unknown agent configuration key `server.raft_multi`";
    stage.assert_refused(&args, problem, "").await;
    let args = ["up", "x", "--engine", "image"];
    let problem = "engine `image` needs an image";
    stage
        .assert_refused(&args, problem, "hint: rehearse up")
        .await;
    for command in ["status", "down"] {
        let problem = "there is no cluster `nowhere`";
        let args = [command, "nowhere"];
        stage
            .assert_refused(&args, problem, "hint: rehearse ls")
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_nomad_is_refused() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let up = ["up", "x", "--engine", "binary", "--nomad-binary"];
    let with = |file| [up.as_slice(), &[file]].concat();
    let file = stage.folder.path().join("nomad");
    std::fs::write(&file, "not a program").unwrap();
    let file = file.to_str().unwrap();
    let problem = format!("`{file}` is not an executable file");
    let hint = format!("hint: chmod +x {file}");
    stage.assert_refused(&with(file), &problem, &hint).await;
    stage
        .assert_refused(&with("/bin/true"), "is not Nomad", "")
        .await;
    let args = [with("/bin/true").as_slice(), &["--arch", "s390x"]].concat();
    let hint = "hint: rehearse up --nomad-binary s390x=PATH";
    stage.assert_refused(&args, "expected s390x", hint).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_engine_ends_with_10() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let mut command = stage.rehearse();
    command
        .env("DOCKER_HOST", "unix:///nonexistent.sock")
        .arg("ls");
    let output = stage.output(command).await;
    assert_eq!(output.status.code(), Some(10));
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(
        err.starts_with("error: cannot reach a Docker engine at `unix:///nonexistent.sock`"),
        "{err}"
    );
    assert!(err.contains("\n  hint: "), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_does_not_come_up_ends_with_20_and_the_agents_words() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    // A number of servers that can never be had: nobody leads.
    let (code, _, err) = stage
        .run(&[
            "up",
            "late",
            "--engine",
            "simulator",
            "--clients",
            "0",
            "--timeout",
            "2",
            "--set",
            "server.server_join.retry_join=[\"10.255.255.1\"]",
        ])
        .await;
    assert_eq!(code, 20, "{err}");
    assert!(
        err.contains("cluster `late` was not ready within 2.0 s"),
        "{err}"
    );
    assert!(
        err.contains("missing: every server agrees on one leader"),
        "{err}"
    );
    assert!(err.contains("last lines of `server-"), "{err}");
    stage.assert_nothing_left("late").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_reported_compared_and_written_where_it_was_said() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let file = stage.folder.path().join("small.scenario.hcl");
    let script = "scenario \"small\" {\n  description = \"one leader\"\n\n  \
                  expect \"leader\" {\n    within = \"15s\"\n  }\n}\n";
    std::fs::write(&file, script).unwrap();
    // A file is in the way: told before anything starts.
    let blocked = stage.folder.path().join("blocked");
    std::fs::write(&blocked, "").unwrap();
    let args = |report: &std::path::Path| {
        let words = ["run", file.to_str().unwrap(), "--engine", "simulator"];
        let more = ["--seed", "3", "--repeat", "2", "--jobs", "2", "--report"];
        let all = words.into_iter().chain(more).map(str::to_owned);
        all.chain([report.display().to_string()])
            .collect::<Vec<_>>()
    };
    let run = |args: Vec<String>| {
        let mut command = stage.rehearse();
        command.args(args);
        command
    };
    let refused = stage.output(run(args(&blocked))).await;
    assert_eq!(refused.status.code(), Some(10));
    let err = String::from_utf8_lossy(&refused.stderr);
    assert!(err.starts_with("error: cannot write"), "{err}");
    assert!(!err.contains("engine:"), "nothing was started: {err}");

    let reports = stage.folder.path().join("reports");
    let output = stage.output(run(args(&reports))).await;
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{err}");
    for name in ["index.html", "junit.xml", "results.json", "summary.md"] {
        assert!(reports.join(name).is_file(), "{name}");
    }
    let folders: Vec<_> = std::fs::read_dir(&reports)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    assert_eq!(folders.len(), 2, "a folder each");
    for folder in &folders {
        let page = std::fs::read_to_string(folder.join("report.html")).unwrap();
        assert!(page.contains("SIMULATED"));
    }
    let sides: Vec<_> = folders.iter().map(|path| path.to_str().unwrap()).collect();
    let text = stage.run_well(&["compare", sides[0], sides[1]]).await;
    assert!(text.contains("no drift in"), "{text}");
    assert!(text.contains("SIMULATED"), "{text}");

    let silent = "a client that falls silent is down after";
    let usual = format!("predicted: {silent} 20 to 30 s on all sides");
    assert!(text.contains(&usual), "{text}");
    assert_tells_its_configuration(&folders[0].join("result.json"));
    // A cluster that is configured otherwise is told by it.
    let other = stage.folder.path().join("other");
    let mut words = args(&other);
    words.extend(["--set", "server.heartbeat_grace=42s"].map(str::to_owned));
    let output = stage.output(run(words)).await;
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{err}");
    let (code, text, err) = stage
        .run(&["compare", sides[0], other.to_str().unwrap()])
        .await;
    assert_eq!(code, 40, "{text}{err}");
    assert!(text.contains(": 10s in "), "the default is known: {text}");
    for drift in ["server.heartbeat_grace of server-1", silent] {
        assert!(text.contains(&format!("drift: {drift}")), "{text}");
    }
    assert!(
        text.contains("42s in ") && text.contains("52 to 62 s in "),
        "{text}"
    );
}

/// What all agents said of themselves, and nothing that is nobody's business.
fn assert_tells_its_configuration(result: &std::path::Path) {
    let written = std::fs::read_to_string(result).unwrap();
    let result: serde_json::Value = serde_json::from_str(&written).unwrap();
    let told = &result["configuration"];
    assert!(told["not_read"].is_null(), "{told}");
    let servers = &told["agents"][0]["settings"];
    assert_eq!(servers["server.encrypt"], "set", "{told}");
    assert_eq!(servers["tls.verify_https_client"], true, "{told}");
    assert!(!told.to_string().contains("/etc/nomad.d"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_heals_reports_and_exits_with_31() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let file = stage.folder.path().join("long.scenario.hcl");
    let script = "scenario \"long\" {\n  description = \"a follower is frozen\"\n\n  \
                  inject \"pause\" {\n    on = follower\n  }\n  hold {\n    lasting = \"5m\"\n  }\n}\n";
    std::fs::write(&file, script).unwrap();
    let reports = stage.folder.path().join("reports");
    let mut command = stage.rehearse();
    command
        .args([
            "run",
            file.to_str().unwrap(),
            "--engine",
            "simulator",
            "--repeat",
            "2",
        ])
        .args(["--report", reports.to_str().unwrap()])
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
    let mut lines = tokio::io::BufReader::new(child.stderr.take().unwrap()).lines();
    let mut told = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        told.push_str(&line);
        told.push('\n');
        if line.contains("injected: pause") {
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
        }
    }
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(31), "{told}");
    assert!(told.contains("healed: pause"), "{told}");
    assert!(told.contains("not run: long"), "{told}");
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(out.contains("interrupted"), "{out}");
    let results = std::fs::read_to_string(reports.join("results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_str(&results).unwrap();
    assert_eq!(results.as_array().unwrap().len(), 1);
    assert_eq!(results[0]["verdict"], "inconclusive");

    // A run that never begins leaves what is told there as it is.
    let before = std::fs::read_to_string(reports.join("index.html")).unwrap();
    let mut nowhere = stage.rehearse();
    nowhere
        .args(["run", "leader-pause", "--report"])
        .arg(&reports)
        .env("DOCKER_HOST", "unix:///nonexistent");
    assert_eq!(stage.output(nowhere).await.status.code(), Some(10));
    let after = std::fs::read_to_string(reports.join("index.html")).unwrap();
    assert_eq!(before, after);
    let cluster = results[0]["cluster"].as_str().unwrap();
    stage.assert_nothing_left(cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tour_shows_a_clusters_life_and_leaves_nothing() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let mut command = stage.rehearse();
    command
        .args(["tour", "shown", "--yes"])
        .env("REHEARSE_ENGINE", "simulator")
        .current_dir(stage.folder.path());
    let output = stage.output(command).await;
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
    for seen in [
        "[1/6] A cluster",
        "$ rehearse up shown",
        "cluster `shown` is ready after",
        "deployment",
        "1 passed (SIMULATED",
        "Allocations: ",
        "[6/6] All of it goes again",
        "From here",
    ] {
        assert!(out.contains(seen), "{seen}\n{out}\n{err}");
    }
    stage.assert_nothing_left("shown").await;
    assert!(!stage.folder.path().join("target").exists());
    // Nobody is there.
    let (code, _, err) = stage.run(&["tour", "shown"]).await;
    assert_eq!(code, 2);
    assert!(err.contains("hint: rehearse tour --yes"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projects_file_says_what_is_always_typed() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let below = stage.folder.path().join("a/b");
    std::fs::create_dir_all(&below).unwrap();
    let file = stage.folder.path().join("rehearse.hcl");
    let run = async |args: &[&str]| {
        let mut command = stage.rehearse();
        command.args(args).current_dir(&below);
        let output = stage.output(command).await;
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    };
    std::fs::write(&file, "engine = \"simulatr\"\nup {\n  server = 1\n}\n").unwrap();
    let (code, said) = run(&["up"]).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("rehearse.hcl:1:10: `engine` of `up` cannot be `simulatr`"),
        "{said}"
    );
    assert!(
        said.contains("rehearse.hcl:3:3: unknown option `server`"),
        "{said}"
    );
    assert!(said.contains("did you mean `servers`?"), "{said}");
    assert_eq!(
        run(&["--help"]).await.0,
        Some(0),
        "help is to be had all the same"
    );

    let text =
        "cluster = \"filed\"\nengine  = \"simulator\"\n\nup {\n  servers = 1\n  clients = 1\n}\n";
    std::fs::write(&file, text).unwrap();
    let (_, said) = run(&["config", "show"]).await;
    assert!(said.contains("rehearse.hcl:5:3  up"), "{said}");
    let (code, said) = run(&["up"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("cluster `filed` is ready after"), "{said}");
    assert!(said.contains("1 server on "), "{said}");
    let (code, said) = run(&["down"]).await;
    assert_eq!(code, Some(0), "{said}");
    stage.assert_nothing_left("filed").await;
}
