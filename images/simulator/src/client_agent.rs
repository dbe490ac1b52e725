//! A client agent, put together: the client, its way to the servers, and its HTTP API, which
//! answers for itself and passes the rest on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::client::{Client, ClientConfig, StartError};
use crate::clock;
use crate::cloud::Discovery;
use crate::config::{self, AgentConfig, ClientOptions, ConfigError};
use crate::http::{self, AgentInfo, ClientContext};
use crate::rpc::{Callee, Kind, Listener, ListenerError, Pool, ServerClient, Tls};

/// How often a cloud that knows no server yet is asked again; Nomad's `retry_interval` is 30 s.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Port of servers that are configured without one.
const RPC_PORT: u16 = 4647;

/// A client agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ClientAgentError {
    /// The configuration does not fit this machine.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its port is taken.
    #[error(transparent)]
    Listener(#[from] ListenerError),
    /// The operating system refuses something basic.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
    /// Its files are unusable.
    #[error(transparent)]
    Client(#[from] StartError),
}

/// A running client agent; it ends when dropped, its tasks' processes do not.
#[derive(Debug)]
pub struct ClientAgent {
    _tasks: JoinSet<()>,
}

impl ClientAgent {
    /// Starts a client agent.
    ///
    /// # Errors
    /// Where its port is taken, its files are unusable, or its interface does not exist.
    pub async fn start(
        config: &AgentConfig,
        options: &ClientOptions,
        info: AgentInfo,
        pool: Pool,
        tls: Option<Arc<Tls>>,
    ) -> Result<Self, ClientAgentError> {
        let mut settings = client_config(config, options)?;
        let mut bind = config.bind.http;
        let mut servers = configured_servers(options).await;
        let cloud: Vec<String> = { options.servers.iter() }
            .filter(|text| text.contains('='))
            .cloned()
            .collect();
        let found = discover(&cloud).await;
        let ask_again = !cloud.is_empty() && found.as_ref().is_some_and(Vec::is_empty);
        servers.extend(found.unwrap_or_default());
        if config.server.is_some() {
            // A development agent: the server in this process has the port of the API. What is
            // asked of the node is passed to it at a port of its own.
            bind.set_port(0);
            servers.push(config.advertise.rpc);
        }
        let http = Listener::bind(bind, Kind::Http, tls).await?;
        if config.server.is_some() {
            settings.http_addr.set_port(http.address()?.port());
        }
        let servers = Arc::new(ServerClient::new(pool.clone(), servers));
        let known = Arc::clone(&servers);
        let client = Arc::new(Client::start(settings, servers.clone())?);
        let callee = Callee {
            pool: pool.clone(),
            servers: {
                let servers = servers.clone();
                Arc::new(move || servers.servers())
            },
            node_id: client.node_id().to_owned(),
            secret_id: client.secret_id().to_owned(),
            router: http::own_router(Arc::clone(&client)),
        };
        let context = ClientContext {
            servers: Arc::new(move || servers.servers()),
            forward: Arc::new(pool),
            agent: Arc::new(info),
            client,
            acl_enabled: config.acl_enabled,
        };
        let mut tasks = JoinSet::new();
        if ask_again {
            tasks.spawn(keep_asking(known, cloud));
        }
        tasks.spawn(callee.keep());
        tasks.spawn(http.serve(http::client_router(context)));
        Ok(Self { _tasks: tasks })
    }
}

/// Addresses of the configured servers; names are resolved once, as in Nomad.
async fn configured_servers(options: &ClientOptions) -> Vec<SocketAddr> {
    let mut servers = Vec::new();
    for text in options.servers.iter().filter(|text| !text.contains('=')) {
        let found = config::resolve(text, RPC_PORT).await;
        if found.is_empty() {
            tracing::warn!(target: "client", server = text, "cannot resolve server");
        }
        servers.extend(found);
    }
    servers
}

/// Servers that clouds know; nothing after an error: up to 1.9.3 Nomad never asks again then.
async fn discover(texts: &[String]) -> Option<Vec<SocketAddr>> {
    let mut servers = Vec::new();
    for text in texts {
        match Discovery::default().addresses(text).await {
            Ok(found) => {
                servers.extend(
                    found
                        .into_iter()
                        .map(|ip| SocketAddr::new(ip.into(), RPC_PORT)),
                );
            }
            Err(error) => {
                tracing::error!(target: "agent.joiner", join_config = text, %error, "discovering join addresses failed");
                return None;
            }
        }
    }
    if servers.is_empty() && !texts.is_empty() {
        tracing::warn!(target: "agent.joiner", "no server is found; asking again");
    }
    Some(servers)
}

/// Asks clouds until they know a server.
async fn keep_asking(servers: Arc<ServerClient>, texts: Vec<String>) {
    loop {
        clock::sleep(ASK_AGAIN).await;
        match discover(&texts).await {
            Some(found) if found.is_empty() => {}
            found => return servers.learn(&found.unwrap_or_default()),
        }
    }
}

fn client_config(
    config: &AgentConfig,
    options: &ClientOptions,
) -> Result<ClientConfig, ConfigError> {
    let whole = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    Ok(ClientConfig {
        data_dir: config.data_dir.clone(),
        name: config.name.clone(),
        region: config.region.clone(),
        datacenter: config.datacenter.clone(),
        node_class: options.node_class.clone(),
        node_pool: options.node_pool.clone(),
        meta: options.meta.clone(),
        options: options.options.clone(),
        cpu_total: options.cpu_total_compute.map(whole),
        memory_mb: options.memory_total_mb.map(whole),
        min_dynamic_port: options.min_dynamic_port,
        max_dynamic_port: options.max_dynamic_port,
        ip: options.task_ip(config.advertise.http)?,
        http_addr: config.advertise.http,
        tls_enabled: config.tls.http,
        raw_exec: config.raw_exec,
        version: crate::version::announced(),
    })
}
