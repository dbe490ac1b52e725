//! Six machines of a cluster `demo` at moto's, and the command that is attached to them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nomad_harness::poll::{self, Look};
use nomad_harness::target::aws::Journal;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::slow_ec2::SlowEc2;
use crate::stand_in::StandIn;

/// moto's server with the machines, until the value is dropped.
pub struct Ground {
    pub ids: Vec<String>,
    addresses: Vec<String>,
    pub endpoint: String,
    ec2: Option<String>,
    ssm: Option<String>,
    folder: tempfile::TempDir,
    http: reqwest::Client,
    _server: Child,
}

fn moto() -> Option<PathBuf> {
    let given = std::env::var_os("REHEARSE_MOTO").map(PathBuf::from);
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))?;
    let usual = cache.join("rehearse/moto-5.1.12/bin/moto_server");
    given.or(Some(usual)).filter(|path| path.exists())
}

/// The command, with an environment of its own.
pub fn rehearse(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rehearse"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder)
        .env("XDG_STATE_HOME", folder.join("state"))
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_REGION", "us-east-2")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_MAX_ATTEMPTS", "2")
        .current_dir(folder)
        .kill_on_drop(true);
    command
}

/// Outputs as `terraform/` has them: the first half of the machines are servers.
pub fn outputs(ids: &[String], addresses: &[String], region: &str) -> Value {
    let half = ids.len().div_ceil(2);
    let mut agents = serde_json::Map::new();
    for (index, id) in ids.iter().enumerate() {
        let role = if index < half { "server" } else { "client" };
        let address = addresses.get(index).map_or("10.9.9.9", String::as_str);
        let agent = json!({
            "role": role, "instance_id": id, "private_ip": address,
            "public_ip": "203.0.113.1", "zone": "us-east-2a"
        });
        agents.insert(format!("{role}-{}", index % half + 1), agent);
    }
    let value = |value: Value| json!({ "value": value, "sensitive": false });
    json!({
        "ca_file": value("/nowhere/ca.pem".into()),
        "cert_file": value("/nowhere/cli.pem".into()),
        "key_file": value("/nowhere/cli-key.pem".into()),
        "token_file": value("/nowhere/bootstrap.token".into()),
        "tls_server_name": value("server.global.nomad".into()),
        "cluster": value(json!({
            "name": "demo", "aws_region": region, "nomad_region": "global", "datacenter": "dc1",
            "nomad_version": "1.8.3", "architecture": "amd64",
            "cluster_tag": { "key": "rehearse-cluster", "value": "demo" },
            "join_tag": { "key": "x", "value": "y" }, "agents": agents,
        })),
    })
}

impl Ground {
    /// Starts moto, and six machines there; `None` where moto is not at hand.
    pub async fn set() -> Option<Self> {
        let Some(program) = moto() else {
            let required = std::env::var_os("REHEARSE_REQUIRE_MOTO").is_some();
            assert!(
                !required,
                "REHEARSE_REQUIRE_MOTO is set, and moto is not there: ci/moto.sh"
            );
            eprintln!("\n*** SKIPPED, nothing was tested: moto is not there (ci/moto.sh) ***\n");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let http = http();
        let (server, endpoint) = started(&program, folder.path(), &http, &[]).await;
        let mut ground = Self {
            ids: Vec::new(),
            addresses: Vec::new(),
            endpoint,
            ec2: None,
            ssm: None,
            folder,
            http,
            _server: server,
        };
        let xml = ground
            .ec2(
                "RunInstances",
                &[
                    ("ImageId", "ami-12c6146b"),
                    ("MinCount", "6"),
                    ("MaxCount", "6"),
                    ("TagSpecification.1.ResourceType", "instance"),
                    ("TagSpecification.1.Tag.1.Key", "rehearse-cluster"),
                    ("TagSpecification.1.Tag.1.Value", "demo"),
                ],
            )
            .await;
        ground.ids = all(&xml, "instanceId");
        assert_eq!(ground.ids.len(), 6, "{xml}");
        for index in 0..6 {
            let address = ground.described(index, "privateIpAddress").await;
            ground.addresses.push(address);
        }
        ground.write_outputs("us-east-2");
        Some(ground)
    }

    /// Asks Systems Manager at a stand-in from now on.
    pub fn with_ssm(mut self, stand_in: &StandIn) -> Self {
        self.ssm = Some(stand_in.address());
        self
    }

    /// Asks EC2 at a stand-in from now on.
    pub fn with_ec2(mut self, stand_in: &SlowEc2) -> Self {
        self.ec2 = Some(stand_in.address.clone());
        self
    }

    /// Writes the file that is attached to.
    pub fn write_outputs(&self, region: &str) {
        let outputs = outputs(&self.ids, &self.addresses, region);
        std::fs::write(self.file(), outputs.to_string()).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("cluster.json")
    }

    /// The cluster's heal journal.
    pub fn journal(&self) -> PathBuf {
        Journal::place(
            &self.folder.path().join("state/rehearse"),
            "123456789012",
            "us-east-2",
            "demo",
        )
    }

    /// Writes a line into the journal, as a process that died right after it.
    pub fn note(&self, machine: usize, agent: &str, done: &str) {
        use std::io::Write as _;
        let line = format!(
            "{{\"fault\":{{\"number\":90,\"at\":\"2026-01-01T00:00:00Z\",\"agent\":\"{agent}\",\"instance_id\":\"{}\",{done}}}}}\n",
            self.ids[machine]
        );
        let mut file = std::fs::File::options()
            .append(true)
            .open(self.journal())
            .unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }

    /// Leaves half a line in the journal.
    pub fn tear_journal(&self) {
        use std::io::Write as _;
        let mut file = std::fs::File::options()
            .append(true)
            .open(self.journal())
            .unwrap();
        file.write_all(b"{\"fault\":{\"numb").unwrap();
    }

    /// The command, attached to the cluster.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = rehearse(self.folder.path());
        command
            .args(args)
            .args(["--target", "aws", "--attach"])
            .arg(self.file())
            .env("AWS_ENDPOINT_URL", &self.endpoint);
        let stand_ins = [("EC2", &self.ec2), ("SSM", &self.ssm)];
        for (service, stand_in) in stand_ins {
            if let Some(address) = stand_in {
                command.env(format!("AWS_ENDPOINT_URL_{service}"), address);
            }
        }
        command
    }

    /// Runs the command on the attached cluster; returns exit code and what it printed.
    pub async fn attached(&self, args: &[&str]) -> (i32, String, String) {
        let output = self.command(args).output().await.expect("it starts");
        (
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }

    /// Runs the command, which must succeed, and returns what it printed.
    pub async fn well(&self, args: &[&str]) -> String {
        let (code, out, err) = self.attached(args).await;
        assert_eq!(code, 0, "{args:?}\n{out}\n{err}");
        out
    }

    /// Applies `terraform/` at moto's, and attaches to what it puts out.
    pub async fn apply_ours(&self, plugins: &Path) {
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../terraform");
        let dir = self.folder.path().join("terraform");
        copy(&ours, &dir);
        let pki = [
            "pki",
            "create",
            "--dir",
            "pki",
            "--tfvars",
            "terraform.tfvars",
            "--operator-cidr",
            "198.51.100.7/32",
        ];
        let mut command = rehearse(self.folder.path());
        output_of(command.args(pki).current_dir(&dir)).await;
        let mirror = format!("-plugin-dir={}", plugins.display());
        self.terraform(&dir, &["init", "-no-color", "-input=false", &mirror])
            .await;
        let apply = ["apply", "-no-color", "-input=false", "-auto-approve"];
        self.terraform(&dir, &apply).await;
        let outputs = self.terraform(&dir, &["output", "-json"]).await;
        std::fs::write(self.file(), outputs).unwrap();
    }

    async fn terraform(&self, dir: &Path, args: &[&str]) -> String {
        let mut command = Command::new("terraform");
        command
            .args(args)
            .current_dir(dir)
            .env_remove("TF_CLI_CONFIG_FILE")
            .env_remove("TF_REATTACH_PROVIDERS")
            .env("CHECKPOINT_DISABLE", "1")
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .kill_on_drop(true);
        output_of(&mut command).await
    }

    /// Asks moto by itself, as somebody else in the account.
    pub async fn ec2(&self, action: &str, parameters: &[(&str, &str)]) -> String {
        let mut body = format!("Action={action}&Version=2016-11-15");
        for (key, value) in parameters {
            body.push_str(&format!("&{key}={value}"));
        }
        let (status, text) = self.post(body).await;
        assert!(status == 200, "{action}: {text}");
        text
    }

    /// Sends a form, whatever is answered: status and text.
    pub async fn post(&self, body: String) -> (u16, String) {
        self.post_to(&self.endpoint, body).await
    }

    /// Sends a form to a moto that looks at keys and knows none.
    pub async fn post_as_stranger(&self, body: String) -> (u16, String) {
        let program = moto().expect("one runs already");
        let strict = [("INITIAL_NO_AUTH_ACTION_COUNT", "0")];
        let (_server, endpoint) = started(&program, self.folder.path(), &self.http, &strict).await;
        self.post_to(&endpoint, body).await
    }

    async fn post_to(&self, endpoint: &str, body: String) -> (u16, String) {
        let answer = self
            .http
            .post(format!("{endpoint}/"))
            .header("content-type", "application/x-www-form-urlencoded")
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=other/20260101/us-east-2/ec2/aws4_request, SignedHeaders=host, Signature=0",
            )
            .body(body)
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Gives a machine a tag.
    pub async fn tag(&self, machine: usize, key: &str, value: &str) {
        let id = &self.ids[machine];
        let tag = [
            ("ResourceId.1", id.as_str()),
            ("Tag.1.Key", key),
            ("Tag.1.Value", value),
        ];
        self.ec2("CreateTags", &tag).await;
    }

    async fn described(&self, machine: usize, element: &str) -> String {
        let xml = self
            .ec2("DescribeInstances", &[("InstanceId.1", &self.ids[machine])])
            .await;
        all(&xml, element).first().cloned().unwrap_or_default()
    }

    /// What each machine does.
    pub async fn states(&self) -> Vec<String> {
        let mut states = Vec::new();
        for id in &self.ids {
            let xml = self.ec2("DescribeInstances", &[("InstanceId.1", id)]).await;
            let (_, state) = xml.split_once("<instanceState>").unwrap();
            states.push(all(state, "name").remove(0));
        }
        states
    }

    /// A machine's address in the world.
    pub async fn public_ip(&self, machine: usize) -> String {
        self.described(machine, "ipAddress").await
    }
}

/// Starts moto's server on a port of this machine, and waits until it answers.
async fn started(
    program: &Path,
    folder: &Path,
    http: &reqwest::Client,
    more: &[(&str, &str)],
) -> (Child, String) {
    let port = {
        let held = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        held.local_addr().unwrap().port()
    };
    let log = std::fs::File::create(folder.join("moto.log")).unwrap();
    let server = Command::new(program)
        .args(["-H", "127.0.0.1", "-p", &port.to_string()])
        .env("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
        .envs(more.iter().copied())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let endpoint = format!("http://127.0.0.1:{port}");
    let status = format!("{endpoint}/moto-api/data.json");
    poll::eventually(
        Duration::from_secs(60),
        Duration::from_millis(100),
        "moto",
        || async {
            match http.get(&status).send().await {
                Ok(answer) if answer.status().is_success() => Look::Done(()),
                Ok(answer) => Look::NotYet(answer.status().to_string()),
                Err(error) => Look::NotYet(error.to_string()),
            }
        },
    )
    .await
    .unwrap();
    (server, endpoint)
}

/// Runs a command, which must succeed; returns what it printed.
async fn output_of(command: &mut Command) -> String {
    let output = command.output().await.unwrap();
    assert!(
        output.status.success(),
        "{command:?}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Copies a folder, without what Terraform keeps in hidden ones.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(name)).unwrap();
        } else if !name.to_string_lossy().starts_with('.') {
            copy(&entry.path(), &to.join(name));
        }
    }
}

/// A client without TLS: everything here is on loopback.
pub fn http() -> reqwest::Client {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .no_proxy()
        .use_preconfigured_tls(tls)
        .build()
        .unwrap()
}

/// The texts of all elements of that name.
fn all(xml: &str, element: &str) -> Vec<String> {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    xml.split(&open)
        .skip(1)
        .filter_map(|rest| Some(rest.split_once(&close)?.0.to_owned()))
        .collect()
}
