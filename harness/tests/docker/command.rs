//! The command: what it prints, and how it ends.

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
    assert!(
        out.contains("3 servers, 2 clients, SIMULATED agent"),
        "{out}"
    );

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

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_ends_with_2_and_says_what_to_do() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let file = stage.folder.path().join("nomad");
    std::fs::write(&file, "not a program").unwrap();
    let file = file.to_str().unwrap();
    let not_executable = format!("`{file}` is not an executable file");
    let make_executable = format!("hint: chmod +x {file}");
    for (args, problem, hint) in [
        (
            vec!["up", "Bad_Name", "--servers", "2"],
            "2 servers cannot be: expected 1, 3 or 5",
            "hint: rehearse up --servers 3",
        ),
        (
            vec![
                "up",
                "x",
                "--engine",
                "simulator",
                "--set",
                "server.raft_multi=1",
            ],
            "unknown agent configuration key `server.raft_multi`",
            "",
        ),
        (
            vec!["up", "x", "--engine", "binary", "--nomad-binary", file],
            not_executable.as_str(),
            make_executable.as_str(),
        ),
        (
            vec![
                "up",
                "x",
                "--engine",
                "binary",
                "--nomad-binary",
                "/bin/true",
            ],
            "is not Nomad",
            "",
        ),
        (
            vec![
                "up",
                "x",
                "--arch",
                "s390x",
                "--engine",
                "binary",
                "--nomad-binary",
                "/bin/true",
            ],
            "expected s390x",
            "hint: rehearse up --nomad-binary s390x=PATH",
        ),
        (
            vec!["up", "x", "--engine", "image"],
            "engine `image` needs an image",
            "hint:",
        ),
        (
            vec!["status", "nowhere"],
            "there is no cluster `nowhere`",
            "hint: rehearse ls",
        ),
        (
            vec!["down", "nowhere"],
            "there is no cluster `nowhere`",
            "hint: rehearse ls",
        ),
    ] {
        let (code, out, err) = stage.run(&args).await;
        assert_eq!(code, 2, "{args:?}\n{out}\n{err}");
        assert!(err.contains("error: "), "{args:?}: {err}");
        assert!(err.contains(problem), "{args:?}: {err}");
        assert!(err.contains(hint), "{args:?}: {err}");
        stage.assert_nothing_left("x").await;
    }
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
    let output = command.output().await.unwrap();
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
