//! The task that drives foca: one loop over datagrams, foca's timers and joining.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use foca::{AccumulatingRuntime, Foca, NoCustomBroadcast, OwnedNotification, Timer};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use super::codec::Json;
use super::orders::{Joined, Joining, Order};
use super::{GossipSettings, Identity, Keyring, timing};
use crate::cloud::Discovery;
use crate::config;
use crate::consensus::Member;
use crate::plant::{self, Plant};

/// How often absent servers are asked to join, at the start: all start at about the same time.
const JOIN_SOON: Duration = Duration::from_millis(150);
/// How long the start lasts in that sense.
const JOIN_START: Duration = Duration::from_secs(15);
/// How often afterwards.
const JOIN_LATER: Duration = Duration::from_secs(2);

/// At most one line about datagrams that the key does not open in this time.
const COMPLAIN: Duration = Duration::from_secs(5);

/// How long an operator's join waits for an answer; then the address cannot be reached.
const JOIN_LIMIT: Duration = Duration::from_secs(3);

/// What is thought of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Alive,
    Failed,
    /// It failed, and an operator or autopilot gave it up.
    Left,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Failed => "failed",
            Self::Left => "left",
        }
    }
}

type Swim = Foca<Identity, Json, StdRng, NoCustomBroadcast>;

pub(super) struct Engine {
    settings: GossipSettings,
    socket: Arc<UdpSocket>,
    foca: Swim,
    runtime: AccumulatingRuntime<Identity>,
    timers: BinaryHeap<Reverse<(Instant, Timer<Identity>)>>,
    /// Everyone ever seen, by gossip address.
    roster: BTreeMap<SocketAddr, (Identity, Status)>,
    members: watch::Sender<Vec<Member>>,
    orders: mpsc::Receiver<Order>,
    joining: Vec<Joining>,
    started: Instant,
    next_join: Option<Instant>,
    complained: Option<Instant>,
}

impl Engine {
    pub(super) fn new(
        settings: GossipSettings,
        socket: Arc<UdpSocket>,
        members: watch::Sender<Vec<Member>>,
        orders: mpsc::Receiver<Order>,
    ) -> Self {
        let identity = Identity::of(&settings);
        let foca = Foca::new(
            identity.clone(),
            timing(settings.speed),
            StdRng::from_os_rng(),
            Json,
        );
        let now = Instant::now();
        let mut engine = Self {
            roster: BTreeMap::from([(identity.address, (identity, Status::Alive))]),
            settings,
            socket,
            foca,
            runtime: AccumulatingRuntime::new(),
            timers: BinaryHeap::new(),
            members,
            orders,
            joining: Vec::new(),
            started: now,
            next_join: Some(now),
            complained: None,
        };
        engine.publish();
        engine
    }

    pub(super) async fn run(mut self) {
        let mut buffer = vec![0_u8; 2048];
        loop {
            self.due().await;
            let far = Instant::now() + Duration::from_secs(3600);
            let timer = self.timers.peek().map(|Reverse((at, _))| *at);
            let joins = self.joining.iter().map(|joining| joining.by).min();
            let deadline = [timer, self.next_join, joins]
                .into_iter()
                .flatten()
                .min()
                .unwrap_or(far);
            tokio::select! {
                received = timeout_at(deadline, self.socket.recv_from(&mut buffer)) => {
                    // An error tells of a datagram that was not delivered; so does silence.
                    if let Ok(Ok((length, from))) = received {
                        self.received(&buffer[..length], from);
                    }
                }
                Some(order) = self.orders.recv() => self.obey(order).await,
            }
            self.react().await;
            self.joined();
        }
    }

    /// Does what is due by now.
    async fn due(&mut self) {
        let now = Instant::now();
        while self
            .timers
            .peek()
            .is_some_and(|Reverse((at, _))| *at <= now)
        {
            if let Some(Reverse((_, timer))) = self.timers.pop() {
                if let Err(problem) = self.foca.handle_timer(timer, &mut self.runtime) {
                    tracing::debug!(target: "nomad.serf", %problem, "timer");
                }
            }
            self.react().await;
        }
        if self.next_join.is_some_and(|at| at <= now) {
            self.join(now).await;
            self.react().await;
        }
    }

    async fn obey(&mut self, order: Order) {
        match order {
            Order::Join { addresses, reply } => self.join_now(addresses, reply).await,
            Order::Leave { name, prune } => self.give_up(&name, prune),
            Order::Keys { order, reply } => {
                let keys = match &mut self.settings.keyring {
                    Some(keyring) => keyring.order(&order.verb, &order.key),
                    None => Err("Keyring is empty (encryption not enabled)".to_owned()),
                };
                drop(reply.send(keys));
            }
        }
    }

    async fn join_now(&mut self, texts: Vec<String>, reply: oneshot::Sender<Joined>) {
        let mut waited = Vec::new();
        let mut failures = Vec::new();
        for text in texts {
            let Some(address) = config::resolve(&text, self.settings.port).await.pop() else {
                failures.push(format!("Failed to resolve {text}"));
                continue;
            };
            waited.push(address);
            self.announce(address);
        }
        self.joining.push(Joining {
            by: Instant::now() + JOIN_LIMIT,
            waited,
            failures,
            reply: Some(reply),
        });
    }

    fn announce(&mut self, address: SocketAddr) {
        let target = Identity::unknown(address);
        if let Err(problem) = self.foca.announce(target, &mut self.runtime) {
            tracing::debug!(target: "nomad.serf", %problem, "announce");
        }
    }

    /// Answers the joins whose addresses are all members by now, or whose time is over.
    fn joined(&mut self) {
        let now = Instant::now();
        for joining in &mut self.joining {
            let is_member = |address: &&SocketAddr| {
                let known = self.roster.get(address);
                known.is_some_and(|(_, status)| *status == Status::Alive)
            };
            let count = joining.waited.iter().filter(is_member).count();
            if count < joining.waited.len() && joining.by > now {
                continue;
            }
            let missing = joining.waited.iter().filter(|address| !is_member(address));
            let mut failures = std::mem::take(&mut joining.failures);
            failures.extend(missing.map(|address| {
                format!(
                    "Failed to join {}: dial udp {address}: i/o timeout",
                    address.ip()
                )
            }));
            if let Some(reply) = joining.reply.take() {
                drop(reply.send((count, failures)));
            }
        }
        self.joining.retain(|joining| joining.reply.is_some());
    }

    /// A member that failed is given up; one that lives refutes that, as in Serf.
    fn give_up(&mut self, name: &str, prune: bool) {
        let named = |identity: &Identity| identity.member("").name == name;
        let gone = |status: Status| status != Status::Alive;
        for (identity, status) in self.roster.values_mut() {
            if named(identity) && *status == Status::Failed {
                tracing::info!(target: "nomad.serf", "EventMemberLeave (forced): {name}");
                *status = Status::Left;
            }
        }
        if prune {
            self.roster
                .retain(|_, (identity, status)| !(named(identity) && gone(*status)));
        }
        self.publish();
    }

    /// Puts addresses in the place of texts that a cloud is asked by. `false` after an error: up to 1.9.3 Nomad
    /// never asks again then (`command/agent/retry_join.go`).
    async fn discover(&mut self) -> bool {
        let mut known = Vec::new();
        for text in std::mem::take(&mut self.settings.join) {
            if !text.contains('=') {
                known.push(text);
                continue;
            }
            match Discovery::default().addresses(&text).await {
                // Nobody yet: it is asked again.
                Ok(found) if found.is_empty() => known.push(text),
                Ok(found) => known.extend(found.iter().map(ToString::to_string)),
                Err(error) => {
                    tracing::error!(target: "agent.joiner", join_config = text, %error, "discovering join addresses failed");
                    return false;
                }
            }
        }
        self.settings.join = known;
        true
    }

    /// Announces this server to those it should know and does not.
    async fn join(&mut self, now: Instant) {
        let others = self.alive() - 1;
        let wanted = usize::try_from(self.settings.expect).unwrap_or(0).max(2) - 1;
        if self.settings.join.is_empty() || others >= wanted {
            if others > 0 {
                tracing::info!(target: "agent.joiner", initial_servers = others, agent_mode = "server", "retry join completed");
            }
            self.next_join = None;
            return;
        }
        if !self.discover().await {
            self.next_join = None;
            return;
        }
        for text in self.settings.join.clone() {
            for address in config::resolve(&text, self.settings.port).await {
                let known = self.roster.get(&address);
                if known.is_none_or(|(_, status)| *status != Status::Alive) {
                    self.announce(address);
                }
            }
        }
        let undiscovered = self.settings.join.iter().any(|text| text.contains('='));
        let soon = !undiscovered && now.duration_since(self.started) < JOIN_START;
        self.next_join = Some(now + if soon { JOIN_SOON } else { JOIN_LATER });
    }

    fn received(&mut self, datagram: &[u8], from: SocketAddr) {
        let opened = match self.keyring() {
            None => Some(datagram.to_vec()),
            Some(keyring) => keyring.open_datagram(datagram),
        };
        let Some(plain) = opened else {
            self.complain(from);
            return;
        };
        if let Err(problem) = self.foca.handle_data(&plain, &mut self.runtime) {
            tracing::debug!(target: "nomad.serf", %from, %problem, "ignored a message");
        }
    }

    /// The keys by which datagrams are sealed and opened.
    fn keyring(&self) -> Option<&Keyring> {
        let keyring = self.settings.keyring.as_ref();
        keyring.filter(|_| !plant::is(Plant::GossipKeyIgnored))
    }

    fn complain(&mut self, from: SocketAddr) {
        let now = Instant::now();
        if self.complained.is_none_or(|at| now - at >= COMPLAIN) {
            self.complained = Some(now);
            tracing::error!(target: "nomad.memberlist", %from, "failed to decrypt packet: no installed keys could decrypt the message");
        }
    }

    /// Sends, schedules and notes what foca wants done.
    async fn react(&mut self) {
        while let Some((to, data)) = self.runtime.to_send() {
            let sealed = match self.keyring() {
                None => Some(data.to_vec()),
                Some(keyring) => keyring.close(&data),
            };
            if let Some(sealed) = sealed {
                // An unreachable member is foca's to find out.
                drop(self.socket.send_to(&sealed, to.address).await);
            }
        }
        let now = Instant::now();
        while let Some((after, timer)) = self.runtime.to_schedule() {
            self.timers.push(Reverse((now + after, timer)));
        }
        let mut changed = false;
        while let Some(notification) = self.runtime.to_notify() {
            changed |= self.note(notification);
        }
        if changed {
            self.publish();
        }
    }

    fn note(&mut self, notification: OwnedNotification<Identity>) -> bool {
        match notification {
            OwnedNotification::MemberUp(identity) => {
                let member = identity.member("alive");
                tracing::info!(target: "nomad.serf", "EventMemberJoin: {} {}", member.name, member.address.ip());
                self.roster
                    .insert(identity.address, (identity, Status::Alive));
            }
            OwnedNotification::MemberDown(identity) => {
                let member = identity.member("failed");
                tracing::info!(target: "nomad.serf", "EventMemberFailed: {} {}", member.name, member.address.ip());
                let before = self.roster.get(&identity.address);
                let status = match before {
                    Some((_, Status::Left)) => Status::Left,
                    _ => Status::Failed,
                };
                self.roster.insert(identity.address, (identity, status));
                // Its successor at another address, or itself, may be asked for again.
                self.next_join.get_or_insert(Instant::now() + JOIN_LATER);
            }
            OwnedNotification::Rename(old, new) => {
                let before = self.roster.get(&old.address);
                let status = before.map_or(Status::Alive, |(_, status)| *status);
                self.roster.insert(new.address, (new, status));
            }
            OwnedNotification::Rejoin(itself) => {
                tracing::info!(target: "nomad.serf", "refuting a dead message about this server");
                self.roster.insert(itself.address, (itself, Status::Alive));
            }
            _ => return false,
        }
        true
    }

    fn alive(&self) -> usize {
        let statuses = self.roster.values().map(|(_, status)| *status);
        statuses.filter(|status| *status == Status::Alive).count()
    }

    fn publish(&mut self) {
        let mut members: Vec<Member> = self
            .roster
            .values()
            .map(|(identity, status)| identity.member(status.name()))
            .collect();
        members.sort_by(|a, b| a.name.cmp(&b.name));
        self.members.send_replace(members);
    }
}
