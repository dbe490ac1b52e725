//! `agent -config PATH ...`: starts an agent of either role and keeps it until a signal.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::client_agent::{ClientAgent, ClientAgentError};
use crate::config::{self, AgentConfig, ClientOptions, ConfigError, ServerOptions};
use crate::http::AgentInfo;
use crate::logging::{self, Levels};
use crate::plant::{self, Plant, UnknownPlant};
use crate::rpc::{Pool, Tls, TlsError};
use crate::server::{Server, ServerError};
use crate::version;

/// Environment variable that makes Nomad's own timers run so many times faster.
pub const TIME_SCALE: &str = "REHEARSE_TIME_SCALE";

/// An agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The configuration is unusable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The certificates are unusable.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The server part cannot start.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The client part cannot start.
    #[error(transparent)]
    Client(#[from] ClientAgentError),
    /// The operating system refuses something basic.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
    /// The defect to be planted is not known.
    #[error(transparent)]
    Plant(#[from] UnknownPlant),
    /// The time scale is not a number above 0.
    #[error("`{TIME_SCALE}` is `{0}`: expected a number above 0")]
    TimeScale(String),
}

/// Runs an agent with these configuration files; returns when a signal ended it.
pub fn run(paths: &[PathBuf]) -> ExitCode {
    match start(paths) {
        Ok(code) => code,
        Err(problem) => {
            let mut text = problem.to_string();
            let mut cause = std::error::Error::source(&problem);
            while let Some(inner) = cause {
                text = format!("{text}: {inner}");
                cause = inner.source();
            }
            logging::print(&format!("==> {text}"));
            ExitCode::FAILURE
        }
    }
}

fn start(paths: &[PathBuf]) -> Result<ExitCode, AgentError> {
    let config = config::load(paths)?;
    if let Ok(text) = std::env::var(TIME_SCALE) {
        let scale: Option<f64> = text.parse().ok();
        match scale.filter(|s| s.is_finite() && *s > 0.0) {
            Some(scale) => crate::clock::set_scale(scale),
            None => return Err(AgentError::TimeScale(text)),
        }
    }
    if let Ok(version) = std::env::var(version::ANNOUNCED) {
        version::announce(version);
    }
    let planted = match std::env::var(plant::VARIABLE) {
        Ok(name) if !name.is_empty() => Some(Plant::named(&name)?),
        _ => None,
    };
    let levels = logging::start(&config.log_level);
    if let Some(planted) = planted {
        plant::plant(planted);
        let (name, effect) = (planted.name(), planted.effect());
        logging::print(&format!(
            "==> WARNING: the defect `{name}` is planted: {effect}"
        ));
        tracing::error!(target: "agent", defect = name, effect, "A DEFECT IS PLANTED: this agent is wrong on purpose");
    }
    // Two workers: an agent is idle nearly always, and six share a laptop.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(16)
        .thread_stack_size(1024 * 1024)
        .enable_all()
        .build()?;
    let code = runtime.block_on(Agent::run(config, paths.to_vec(), levels));
    runtime.shutdown_background();
    code
}

struct Agent {
    paths: Vec<PathBuf>,
    levels: Levels,
    tls: Option<Arc<Tls>>,
    pool: Pool,
}

impl Agent {
    async fn run(
        config: AgentConfig,
        paths: Vec<PathBuf>,
        levels: Levels,
    ) -> Result<ExitCode, AgentError> {
        let mut signals = Signals::new()?;
        for path in &paths {
            logging::print(&format!("==> Loaded configuration from {}", path.display()));
        }
        logging::print("==> Starting Nomad agent...");
        let tls = if config.tls.http || config.tls.rpc {
            Some(Arc::new(Tls::load(config.tls.clone())?))
        } else {
            None
        };
        let rpc_tls = tls.clone().filter(|_| config.tls.rpc);
        let agent = Self {
            paths,
            levels,
            tls,
            pool: Pool::new(rpc_tls),
        };
        match (&config.server, &config.client) {
            // Both at once: a development agent.
            (Some(options), _) => {
                let server = agent.start_server(&config, options).await?;
                let _client = match &config.client {
                    Some(options) => Some(agent.start_client(&config, options).await?),
                    None => None,
                };
                print_started(&config);
                tokio::select! {
                    code = agent.wait(&mut signals) => Ok(code),
                    problem = server.replica.failed() => {
                        tracing::error!(target: "nomad.raft", problem, "raft has failed");
                        Ok(ExitCode::FAILURE)
                    }
                }
            }
            (None, Some(options)) => {
                let _client = agent.start_client(&config, options).await?;
                print_started(&config);
                Ok(agent.wait(&mut signals).await)
            }
            (None, None) => unreachable!("the configuration was checked for a role"),
        }
    }

    async fn start_server(
        &self,
        config: &AgentConfig,
        options: &ServerOptions,
    ) -> Result<Server, AgentError> {
        let info = info(config);
        let (pool, tls) = (self.pool.clone(), self.tls.clone());
        Ok(Server::start(config, options, info, pool, tls).await?)
    }

    async fn start_client(
        &self,
        config: &AgentConfig,
        options: &ClientOptions,
    ) -> Result<ClientAgent, AgentError> {
        let info = info(config);
        let (pool, tls) = (self.pool.clone(), self.tls.clone());
        Ok(ClientAgent::start(config, options, info, pool, tls).await?)
    }

    /// Waits for the signal that ends the agent. Nomad leaves at once with code 1.
    async fn wait(&self, signals: &mut Signals) -> ExitCode {
        loop {
            let name = tokio::select! {
                _ = signals.interrupt.recv() => "interrupt",
                _ = signals.terminate.recv() => "terminated",
                _ = signals.hangup.recv() => {
                    self.reload();
                    continue;
                }
            };
            logging::print(&format!("==> Caught signal: {name}"));
            return ExitCode::FAILURE;
        }
    }

    /// Reads log level and certificates again.
    fn reload(&self) {
        logging::print("==> Caught signal: hangup");
        logging::print("==> Reloading configuration...");
        match config::load(&self.paths) {
            Ok(config) => logging::set_level(&self.levels, &config.log_level),
            Err(problem) => {
                tracing::error!(target: "agent", %problem, "failed to reload configs");
                return;
            }
        }
        if let Some(tls) = &self.tls {
            match tls.reload() {
                Ok(()) => {
                    self.pool.clear();
                    tracing::info!(target: "agent", "reloaded TLS configuration");
                }
                Err(problem) => {
                    tracing::error!(target: "agent", %problem, "failed to reload TLS configuration");
                }
            }
        }
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// What Nomad prints before its log.
fn print_started(config: &AgentConfig) {
    let (bind, advertise) = (&config.bind, &config.advertise);
    let server = config.server.is_some();
    let serf = |address| {
        if server {
            format!("; Serf: {address}")
        } else {
            String::new()
        }
    };
    logging::print(&format!(
        "==> Nomad agent configuration:\n\n       Advertise Addrs: HTTP: {}; RPC: {}{}\n            \
         Bind Addrs: HTTP: [{}]; RPC: {}{}\n                Client: {}\n             Log Level: {}\n                \
         Region: {} (DC: {})\n                Server: {server}\n               Version: {} (simulated)\n\n\
         ==> Nomad agent started! Log data will stream in below:\n",
        advertise.http,
        advertise.rpc,
        serf(advertise.serf),
        bind.http,
        bind.rpc,
        serf(bind.serf),
        config.client.is_some(),
        config.log_level,
        config.region,
        config.datacenter,
        version::announced(),
    ));
    if !config.inert.is_empty() {
        let keys: Vec<&str> = config.inert.iter().map(String::as_str).collect();
        tracing::info!(target: "agent", keys = keys.join(","), "configuration keys that the simulator does not act on");
    }
}

fn info(config: &AgentConfig) -> AgentInfo {
    AgentInfo {
        name: config.name.clone(),
        region: config.region.clone(),
        datacenter: config.datacenter.clone(),
        version: version::announced(),
        rpc_addr: config.advertise.rpc,
        http_addr: config.advertise.http,
        bootstrap_expect: config.server.as_ref().map_or(0, |s| s.bootstrap_expect),
        config: api_config(config),
        inert: config.inert.iter().cloned().collect(),
        gossip_encrypted: config
            .server
            .as_ref()
            .is_some_and(|server| server.encrypt.is_some()),
    }
}

/// The configuration as `agent/self` shows it: the files', and what came of them; no secrets.
fn api_config(config: &AgentConfig) -> serde_json::Value {
    let (bind, advertise) = (&config.bind, &config.advertise);
    let mut shown = config.shown.clone();
    shown["NodeName"] = json!(config.name);
    shown["Region"] = json!(config.region);
    shown["Datacenter"] = json!(config.datacenter);
    shown["DataDir"] = json!(config.data_dir);
    shown["BindAddr"] = json!(bind.http.ip().to_string());
    shown["Ports"] =
        json!({"HTTP": bind.http.port(), "RPC": bind.rpc.port(), "Serf": bind.serf.port()});
    shown["Addresses"] = json!({
        "HTTP": bind.http.ip().to_string(),
        "RPC": bind.rpc.ip().to_string(),
        "Serf": bind.serf.ip().to_string(),
    });
    shown["AdvertiseAddrs"] = json!({
        "HTTP": advertise.http.to_string(),
        "RPC": advertise.rpc.to_string(),
        "Serf": advertise.serf.to_string(),
    });
    let (tls, of_tls) = (&config.tls, &mut shown["TLSConfig"]);
    of_tls["EnableHTTP"] = json!(tls.http);
    of_tls["EnableRPC"] = json!(tls.rpc);
    of_tls["VerifyServerHostname"] = json!(tls.verify_server_hostname);
    of_tls["VerifyHTTPSClient"] = json!(tls.verify_https_client);
    of_tls["CAFile"] = json!(tls.ca_file);
    of_tls["CertFile"] = json!(tls.cert_file);
    of_tls["KeyFile"] = json!(tls.key_file);
    shown["Server"]["Enabled"] = json!(config.server.is_some());
    shown["Client"]["Enabled"] = json!(config.client.is_some());
    shown
}
