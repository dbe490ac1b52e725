//! User data executed: `rehearse plan --run`.

use std::path::Path;

use super::Stage;

/// A configuration of one machine with this user data.
fn configuration(dir: &Path, user_data: &str) {
    std::fs::write(dir.join("boot"), user_data).unwrap();
    let main =
        "resource \"aws_instance\" \"server\" {\n  user_data = file(\"${path.module}/boot\")\n}\n";
    std::fs::write(dir.join("main.tf"), main).unwrap();
}

impl Stage {
    /// Runs the user data, and returns the exit code and what came of the machine.
    async fn first_boot(&self, user_data: &str, more: &[&str]) -> (i32, serde_json::Value) {
        let dir = tempfile::tempdir().unwrap();
        configuration(dir.path(), user_data);
        let path = dir.path().to_string_lossy().into_owned();
        let mut args = vec!["plan", &path, "--run", "--format", "json"];
        args.extend_from_slice(more);
        let (code, out, err) = self.run(&args).await;
        let outcome: serde_json::Value =
            serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}\n{err}"));
        (code, outcome["booted"][0].clone())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_machines_boot_and_a_second_run_is_harmless() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../terraform");
    let ours = ours.to_string_lossy().into_owned();
    let var = "operator_cidrs=[\"198.51.100.7/32\"]";
    let out = stage
        .run_well(&["plan", &ours, "-var", var, "--run", "--format", "json"])
        .await;
    let outcome: serde_json::Value = serde_json::from_str(&out).unwrap();
    let booted = outcome["booted"].as_array().unwrap();
    assert_eq!(booted.len(), 6);
    for machine in booted {
        let name = machine["machine"].as_str().unwrap();
        assert_eq!(machine["first"]["end"]["exited"], 0, "{machine:#}");
        assert_eq!(machine["again"], "harmless", "{machine:#}");
        let file = |path: &str| {
            let files = machine["files"].as_array().unwrap();
            let found = files.iter().find(|file| file["path"] == path);
            found
                .unwrap_or_else(|| panic!("{name} has no {path}: {machine:#}"))
                .clone()
        };
        let owner = if name.starts_with("server") {
            "nomad:nomad"
        } else {
            "root:root"
        };
        let key = file("/etc/nomad.d/tls/agent-key.pem");
        assert_eq!(
            (&key["mode"], &key["owner"]),
            (&"0600".into(), &owner.into())
        );
        assert_eq!(file("/etc/nomad.d/nomad.hcl")["mode"], "0640");
        assert_eq!(file("/usr/local/bin/nomad")["program"], true);
        let calls = machine["calls"].as_array().unwrap();
        let done = |kind: &str, word: &str| {
            calls
                .iter()
                .any(|call| call["kind"] == kind && call["words"].to_string().contains(word))
        };
        assert!(
            done("service", "enable") && done("service", "restart"),
            "{calls:#?}"
        );
        assert!(
            done("cloud", "get-parameter") && done("download", "SHA256SUMS"),
            "{calls:#?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_fails_or_loops_is_told_with_its_line_and_what_it_wrote() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let failing = "#!/bin/bash\nset -e\nmkdir -p /etc/nomad.d\necho 'region = \"eu\"' > /etc/nomad.d/a.hcl\nls /nowhere\necho never > /etc/b\n";
    let (code, booted) = stage.first_boot(failing, &[]).await;
    assert_eq!(code, 30);
    assert_eq!(booted["first"]["end"]["exited"], 2, "{booted:#}");
    assert_eq!(booted["first"]["line"][0], 5, "{booted:#}");
    assert_eq!(booted["first"]["line"][1], "ls /nowhere");
    let files = booted["files"].to_string();
    assert!(
        files.contains("/etc/nomad.d/a.hcl") && !files.contains("/etc/b"),
        "{files}"
    );
    assert_eq!(booted["again"], "not-tried");
    assert!(
        booted["first"]["said"].to_string().contains("/nowhere"),
        "{booted:#}"
    );

    let looping = "#!/bin/sh\ntouch /etc/before\nuntil nslookup server.example 2> /dev/null; do\n  sleep 5\ndone\n";
    let (code, booted) = stage.first_boot(looping, &["--limit", "3"]).await;
    assert_eq!(code, 30);
    assert_eq!(booted["first"]["end"]["over-time"], 3, "{booted:#}");
    assert!(
        booted["first"]["line"][0]
            .as_u64()
            .is_some_and(|line| (3..=4).contains(&line)),
        "{booted:#}"
    );
    let waits: Vec<_> = booted["calls"].as_array().unwrap().iter().collect();
    assert_eq!(waits.len(), 1, "one record: {booted:#}");
    // It is slowed down: what spins does some 160 turns a second.
    let times = waits[0]["times"].as_u64().unwrap();
    assert!((20..120).contains(&times), "{times}");
    assert!(
        booted["files"].to_string().contains("/etc/before"),
        "{booted:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_second_run_would_break_is_seen() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    // More than a pipe holds ends only if somebody reads it.
    let keyring = "#!/bin/bash\nset -eo pipefail\ncurl -fsSL https://example.invalid/gpg | gpg --dearmor -o /usr/share/keyrings/key.gpg\n\
        head -c 200000 /dev/zero | gpg --import\n\
        head -c 200000 /dev/zero | gpg --yes --dearmor -o /etc/large.gpg\n\
        head -c 200000 /dev/zero | apt-key add -\n\
        head -c 200000 /dev/zero | chpasswd\n\
        apt-get install -y nomad=1.8.3-1\n";
    let (code, booted) = stage.first_boot(keyring, &[]).await;
    // The first run ends well; the second is what the exit code tells of.
    assert_eq!(code, 30, "{booted:#}");
    assert_eq!(booted["again"]["fails"]["end"]["exited"], 2, "{booted:#}");
    assert_eq!(booted["again"]["fails"]["line"][0], 3, "{booted:#}");
    let packaged = booted["files"].to_string();
    assert!(packaged.contains("/etc/nomad.d/nomad.hcl"), "{packaged}");

    let (_, booted) = stage
        .first_boot("#!/bin/sh\necho more >> /etc/list\n", &[])
        .await;
    assert_eq!(
        booted["again"]["changes"]["files"][0], "/etc/list",
        "{booted:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_config_is_carried_out_as_cloud_init_does() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let config = "#cloud-config\npackages: [nomad]\nwrite_files:\n  - path: /etc/nomad.d/server.hcl\n    permissions: '0640'\n    content: |\n      server {\n        enabled = true\n      }\nruncmd:\n  - [systemctl, enable, --now, nomad]\nusers: [default]\n";
    let (code, booted) = stage.first_boot(config, &[]).await;
    assert_eq!(code, 0, "{booted:#}");
    let files = booted["files"].as_array().unwrap();
    let file = files
        .iter()
        .find(|file| file["path"] == "/etc/nomad.d/server.hcl")
        .unwrap();
    assert_eq!(file["mode"], "0640");
    assert_eq!(booted["unread"][0], "`users` of `#cloud-config`");
    assert!(booted["calls"].to_string().contains("--now"), "{booted:#}");
    assert_eq!(booted["notes"], serde_json::json!([]));
    // The faults: the last command fails, or cloud-init makes no script of them; and a file of nobody's yet.
    for last in ["\"false\"", "false", "[sh, -c, exit 3]"] {
        let config = format!(
            "#cloud-config\nwrite_files:\n  - path: /etc/a\n    owner: nomad:nomad\nruncmd:\n  - \"true\"\n  - {last}\n"
        );
        let (code, booted) = stage.first_boot(&config, &[]).await;
        assert_eq!(code, 30, "{last}: {booted:#}");
        let note = booted["notes"][0].as_str().unwrap();
        assert!(note.contains("gives `/etc/a` to `nomad`"), "{note}");
    }
}
