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
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::codec::Json;
use super::{GossipSettings, Identity, timing};
use crate::config;
use crate::consensus::Member;

/// How often absent servers are asked to join, at the start: all start at about the same time.
const JOIN_SOON: Duration = Duration::from_millis(150);
/// How long the start lasts in that sense.
const JOIN_START: Duration = Duration::from_secs(15);
/// How often afterwards.
const JOIN_LATER: Duration = Duration::from_secs(2);

/// At most one line about datagrams that the key does not open in this time.
const COMPLAIN: Duration = Duration::from_secs(5);

type Swim = Foca<Identity, Json, StdRng, NoCustomBroadcast>;

pub(super) struct Engine {
    settings: GossipSettings,
    socket: Arc<UdpSocket>,
    foca: Swim,
    runtime: AccumulatingRuntime<Identity>,
    timers: BinaryHeap<Reverse<(Instant, Timer<Identity>)>>,
    /// Everyone ever seen, by gossip address; whether alive.
    roster: BTreeMap<SocketAddr, (Identity, bool)>,
    members: watch::Sender<Vec<Member>>,
    started: Instant,
    next_join: Option<Instant>,
    complained: Option<Instant>,
}

impl Engine {
    pub(super) fn new(
        settings: GossipSettings,
        socket: Arc<UdpSocket>,
        members: watch::Sender<Vec<Member>>,
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
            roster: BTreeMap::from([(identity.address, (identity, true))]),
            settings,
            socket,
            foca,
            runtime: AccumulatingRuntime::new(),
            timers: BinaryHeap::new(),
            members,
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
            let deadline = [timer, self.next_join]
                .into_iter()
                .flatten()
                .min()
                .unwrap_or(far);
            let received = timeout_at(deadline, self.socket.recv_from(&mut buffer)).await;
            // An error tells of a datagram that was not delivered; silence tells the same.
            if let Ok(Ok((length, from))) = received {
                self.received(&buffer[..length], from);
            }
            self.react().await;
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
        for text in self.settings.join.clone() {
            for address in config::resolve(&text, self.settings.port).await {
                let known = self.roster.get(&address).is_some_and(|(_, alive)| *alive);
                if !known {
                    let target = Identity::unknown(address);
                    if let Err(problem) = self.foca.announce(target, &mut self.runtime) {
                        tracing::debug!(target: "nomad.serf", %problem, "announce");
                    }
                }
            }
        }
        let soon = now.duration_since(self.started) < JOIN_START;
        self.next_join = Some(now + if soon { JOIN_SOON } else { JOIN_LATER });
    }

    fn received(&mut self, datagram: &[u8], from: SocketAddr) {
        let opened = match &self.settings.seal {
            None => Some(datagram.to_vec()),
            Some(seal) => seal.open(datagram),
        };
        let Some(plain) = opened else {
            self.complain(from);
            return;
        };
        if let Err(problem) = self.foca.handle_data(&plain, &mut self.runtime) {
            tracing::debug!(target: "nomad.serf", %from, %problem, "ignored a message");
        }
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
            let sealed = match &self.settings.seal {
                None => Some(data.to_vec()),
                Some(seal) => seal.close(&data),
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
                self.roster.insert(identity.address, (identity, true));
            }
            OwnedNotification::MemberDown(identity) => {
                let member = identity.member("failed");
                tracing::info!(target: "nomad.serf", "EventMemberFailed: {} {}", member.name, member.address.ip());
                self.roster.insert(identity.address, (identity, false));
                // Its successor at another address, or itself, may be asked for again.
                self.next_join.get_or_insert(Instant::now() + JOIN_LATER);
            }
            OwnedNotification::Rename(old, new) => {
                let alive = self
                    .roster
                    .get(&old.address)
                    .is_none_or(|(_, alive)| *alive);
                self.roster.insert(new.address, (new, alive));
            }
            OwnedNotification::Rejoin(itself) => {
                tracing::info!(target: "nomad.serf", "refuting a dead message about this server");
                self.roster.insert(itself.address, (itself, true));
            }
            _ => return false,
        }
        true
    }

    fn alive(&self) -> usize {
        self.roster.values().filter(|(_, alive)| *alive).count()
    }

    fn publish(&mut self) {
        let mut members: Vec<Member> = self
            .roster
            .values()
            .map(|(identity, alive)| identity.member(if *alive { "alive" } else { "failed" }))
            .collect();
        members.sort_by(|a, b| a.name.cmp(&b.name));
        self.members.send_replace(members);
    }
}
