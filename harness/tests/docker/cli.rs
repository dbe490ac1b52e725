//! The real `nomad` command against a simulated cluster: what operators type every day.
//!
//! The program is `$NOMAD_BINARY`, or `nomad` on the path. Without one these tests say so and
//! prove nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nomad_harness::poll::{Look, eventually};

use super::Stage;

const SOON: Duration = Duration::from_secs(40);
const TICK: Duration = Duration::from_millis(200);

/// The command, and the cluster that it talks to.
struct Cli<'s> {
    stage: &'s Stage,
    program: PathBuf,
    cluster: &'static str,
    environment: BTreeMap<String, String>,
}

/// The program, where there is one.
fn program(stage: &Stage) -> Option<PathBuf> {
    let found = super::a_nomad(&stage.environment);
    if found.is_none() {
        eprintln!(
            "\n*** SKIPPED, nothing was tested: no NOMAD_BINARY, and no `nomad` on PATH ***\n"
        );
    }
    found
}

impl<'s> Cli<'s> {
    /// Brings a cluster up to talk to.
    async fn up(stage: &'s Stage, program: PathBuf, cluster: &'static str) -> Self {
        stage
            .run_well(&["up", cluster, "--engine", "simulator"])
            .await;
        let told = stage.run_well(&["env", cluster, "--format", "json"]).await;
        Self {
            stage,
            program,
            cluster,
            environment: serde_json::from_str(&told).unwrap(),
        }
    }

    async fn down(self) {
        self.stage.run_well(&["down", self.cluster]).await;
        self.stage.assert_nothing_left(self.cluster).await;
    }

    /// Runs it; returns its exit code and all that it said.
    async fn run(&self, args: &[&str]) -> (i32, String) {
        let running = tokio::process::Command::new(&self.program)
            .args(args)
            .env_clear()
            .envs(&self.environment)
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(Duration::from_secs(60), running).await;
        let output = output.unwrap_or_else(|_| panic!("`nomad {args:?}` does not end"));
        let output = output.expect("it starts");
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&text).into_owned(),
        )
    }

    /// Runs it; it must succeed, and say all of these.
    async fn well(&self, args: &[&str], words: &[&str]) -> String {
        let (code, text) = self.run(args).await;
        assert_eq!(code, 0, "nomad {args:?}\n{text}");
        for word in words {
            assert!(text.contains(word), "nomad {args:?} lacks `{word}`\n{text}");
        }
        text
    }

    /// Runs it until it says this.
    async fn until(&self, args: &[&str], word: &str) -> String {
        let look = || async {
            let (code, text) = self.run(args).await;
            if code == 0 && text.contains(word) {
                Look::Done(text)
            } else {
                Look::NotYet(text)
            }
        };
        let what = format!("nomad {args:?} says `{word}`");
        eventually(SOON, TICK, &what, look).await.unwrap()
    }

    /// A field of one object, by a template.
    async fn field(&self, args: &[&str], template: &str) -> String {
        let (kind, rest) = args.split_at(2);
        let all = [kind, &["-t", template], rest].concat();
        self.well(&all, &[]).await.trim().to_owned()
    }

    /// Waits until this version of a job is deployed.
    async fn deployed(&self, job: &str, version: u64) {
        let template = "{{.JobVersion}} {{.Status}}";
        let newest = ["job", "deployments", "-latest", "-t", template, job];
        self.until(&newest, &format!("{version} successful")).await;
    }

    /// The ID of one of a job's running allocations.
    async fn allocation(&self, job: &str) -> String {
        let text = self.well(&["job", "status", "-verbose", job], &[]).await;
        let (_, rows) = text.split_once("\nAllocations\n").expect("it has some");
        let running = rows.lines().find(|row| row.contains(" running "));
        let id = running.and_then(|row| row.split_whitespace().next());
        id.expect("one runs").to_owned()
    }
}

/// A job file of the library.
fn job(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../jobs");
    root.join(format!("{name}.nomad.hcl")).display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nomad_command_looks_at_the_cluster_and_guards_it() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let Some(program) = program(&stage) else {
        return;
    };
    let cli = Cli::up(&stage, program, "cli-look").await;
    cli.well(
        &["server", "members"],
        &["server-1.global", "server-3.global", "alive"],
    )
    .await;
    cli.well(&["node", "status"], &["client-1", "client-3", "ready"])
        .await;
    let nodes = cli.well(&["node", "status", "-json"], &[]).await;
    let nodes: Vec<serde_json::Value> = serde_json::from_str(&nodes).unwrap();
    let node = nodes[0]["ID"].as_str().unwrap();
    cli.well(
        &["node", "status", node],
        &[
            "Driver Status",
            "raw_exec",
            "Allocated Resources",
            "Node Events",
        ],
    )
    .await;
    cli.well(&["node", "status", "-verbose", node], &["kernel.name"])
        .await;
    cli.well(
        &["operator", "raft", "list-peers"],
        &["leader", "follower", "true"],
    )
    .await;
    cli.well(
        &["operator", "autopilot", "get-config"],
        &["CleanupDeadServers", "200ms"],
    )
    .await;
    cli.well(&["scaling", "policy", "list"], &["No policies found"])
        .await;
    access(&cli).await;
    drain(&cli, node).await;
    cli.down().await;
}

/// Policies and tokens.
async fn access(cli: &Cli<'_>) {
    let rules = cli.stage.folder.path().join("reader.hcl");
    std::fs::write(&rules, "namespace \"default\" { policy = \"read\" }").unwrap();
    let rules = rules.to_str().unwrap();
    cli.well(
        &["acl", "policy", "apply", "reader", rules],
        &["Successfully wrote"],
    )
    .await;
    cli.well(&["acl", "policy", "list"], &["reader"]).await;
    cli.well(&["acl", "policy", "info", "reader"], &["Rules", "read"])
        .await;
    let made = cli
        .well(
            &["acl", "token", "create", "-name=r", "-policy=reader"],
            &["Accessor ID", "Secret ID", "reader"],
        )
        .await;
    let line = |head: &str| {
        let line = made.lines().find(|line| line.starts_with(head)).unwrap();
        line.split('=').nth(1).unwrap().trim().to_owned()
    };
    let (accessor, secret) = (line("Accessor ID"), line("Secret ID"));
    cli.well(&["acl", "token", "info", &accessor], &["client", "reader"])
        .await;
    cli.well(&["acl", "token", "self"], &["management"]).await;
    let as_reader = format!("-token={secret}");
    cli.until(&["status", &as_reader], "No running jobs").await;
    let (code, text) = cli.run(&["node", "status", &as_reader]).await;
    assert!(
        code == 1 && text.contains("403 (Permission denied)"),
        "{text}"
    );
    cli.well(
        &["acl", "token", "delete", &accessor],
        &["successfully deleted"],
    )
    .await;
    cli.well(
        &["acl", "policy", "delete", "reader"],
        &["Successfully deleted"],
    )
    .await;
}

/// A node is drained while the command looks on.
async fn drain(cli: &Cli<'_>, node: &str) {
    cli.well(
        &["node", "drain", "-enable", "-yes", "-deadline", "30s", node],
        &["Drain complete for node"],
    )
    .await;
    cli.well(&["node", "status", node], &["ineligible"]).await;
    cli.well(&["node", "eligibility", "-enable", node], &["eligible"])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nomad_command_runs_a_job_from_its_plan_to_its_end() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let Some(program) = program(&stage) else {
        return;
    };
    let cli = Cli::up(&stage, program, "cli-jobs").await;
    let one = job("whoami");
    let (code, plan) = cli.run(&["job", "plan", &one]).await;
    // 1: it changes something.
    let new = code == 1 && plan.contains("Job Modify Index: 0") && plan.contains("3 create");
    assert!(new, "{code}: {plan}");
    let ended = "finished with status \"complete\"";
    let ran = cli.well(&["job", "run", &one], &[ended]).await;
    let eval = ran.split("Monitoring evaluation \"").nth(1).unwrap();
    let eval = eval.split('"').next().unwrap();
    let words = ["job-register", "complete"];
    cli.well(&["eval", "status", eval], &words).await;
    cli.deployed("whoami", 0).await;
    cli.well(&["job", "inspect", "whoami"], &["\"whoami\""])
        .await;
    allocation(&cli).await;
    changes(&cli).await;
    dispatch(&cli).await;
    cli.well(&["job", "stop", "-detach", "-purge", "whoami"], &[])
        .await;
    let (code, gone) = cli.run(&["job", "status", "whoami"]).await;
    let gone_now = code == 1 && gone.contains("No job(s) with prefix or id");
    assert!(gone_now, "{code}: {gone}");
    cli.down().await;
}

/// The job gets a new version, gets its old one back, and is scaled.
async fn changes(cli: &Cli<'_>) {
    let two = job("whoami-v2");
    let (code, plan) = cli.run(&["job", "plan", &two]).await;
    let replaces = code == 1 && plan.contains("create/destroy update");
    assert!(replaces, "{code}: {plan}");
    cli.well(
        &["job", "run", "-detach", &two],
        &["registration successful"],
    )
    .await;
    cli.deployed("whoami", 1).await;
    cli.well(&["job", "revert", "-detach", "whoami", "0"], &[])
        .await;
    cli.deployed("whoami", 2).await;
    cli.well(&["job", "scale", "-detach", "whoami", "web", "4"], &[])
        .await;
    cli.deployed("whoami", 3).await;
    cli.well(&["job", "history", "whoami"], &["Version     = 3"])
        .await;
    let four = "{{range .TaskGroups}}count={{.Count}}{{end}}";
    cli.well(&["job", "inspect", "-t", four, "whoami"], &["count=4"])
        .await;
}

/// What is told of one allocation, its logs and its files.
async fn allocation(cli: &Cli<'_>) {
    let id = cli.allocation("whoami").await;
    let told = [
        "Client Status       = running",
        "Task \"server\" is \"running\"",
        "Started",
        "http",
    ];
    cli.well(&["alloc", "status", &id], &told).await;
    cli.well(&["alloc", "logs", "-stderr", &id], &[]).await;
    cli.well(&["alloc", "logs", &id, "server"], &[]).await;
    cli.well(&["alloc", "fs", &id], &["alloc/", "server/"])
        .await;
    cli.well(&["alloc", "fs", "-stat", &id, "alloc/logs"], &["logs"])
        .await;
    cli.well(&["alloc", "stop", "-detach", &id], &[]).await;
    cli.until(&["alloc", "status", &id], "= complete").await;
}

/// A parameterized job is called.
async fn dispatch(cli: &Cli<'_>) {
    cli.well(
        &["job", "run", &job("parameterized")],
        &["Job registration successful"],
    )
    .await;
    cli.well(
        &["job", "dispatch", "-meta", "who=me", "parameterized"],
        &[
            "Dispatched Job ID = parameterized/dispatch-",
            "finished with status \"complete\"",
        ],
    )
    .await;
    cli.until(&["job", "status", "parameterized"], "  dead")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nomad_command_promotes_and_fails_deployments() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let Some(program) = program(&stage) else {
        return;
    };
    let cli = Cli::up(&stage, program, "cli-canary").await;
    let canary = job("canary");
    let status = ["job", "status", "canary"];
    cli.well(&["job", "run", "-detach", &canary], &[]).await;
    cli.until(&status, "Deployment completed successfully")
        .await;
    let newest = ["job", "deployments", "-latest", "canary"];
    cli.well(
        &["job", "run", "-detach", "-var", "version=2", &canary],
        &[],
    )
    .await;
    cli.until(&newest, "requires manual promotion").await;
    let id = cli
        .field(&["job", "deployments", "-latest", "canary"], "{{.ID}}")
        .await;
    let healthy = "{{range .TaskGroups}}healthy={{.HealthyAllocs}}{{end}}";
    let look = ["deployment", "status", "-t", healthy, &id];
    cli.until(&look, "healthy=1").await;
    cli.well(&["deployment", "promote", "-detach", &id], &[])
        .await;
    cli.until(
        &["deployment", "status", &id],
        "Deployment completed successfully",
    )
    .await;
    cli.well(&["deployment", "list"], &["successful"]).await;
    cli.well(
        &["job", "run", "-detach", "-var", "version=3", &canary],
        &[],
    )
    .await;
    cli.until(&newest, "requires manual promotion").await;
    let id = cli
        .field(&["job", "deployments", "-latest", "canary"], "{{.ID}}")
        .await;
    cli.well(&["deployment", "fail", "-detach", &id], &[]).await;
    cli.until(
        &["deployment", "status", &id],
        "Deployment marked as failed",
    )
    .await;
    cli.well(&["job", "stop", "-detach", "canary"], &[]).await;
    cli.until(&status, "dead (stopped)").await;
    cli.down().await;
}
