//! Raft's outgoing calls.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, Request, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt;
use openraft::error::{
    Fatal, InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError, ReplicationClosed,
    StreamingError, Unreachable,
};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::storage::Snapshot;
use openraft::{AnyError, BasicNode, LogId, OptionalSend, Vote};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::{JoinError, JoinHandle};
use uuid::Uuid;

use super::contacts::Contacts;
use super::{TypeConfig, encode};
use crate::rpc::{Pool, RpcError};

/// How soon an unreachable server is tried again: it may be restarting.
const RETRY: Duration = Duration::from_millis(200);

/// How long a call is waited for in the background: until its connection counts as broken.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a snapshot may take to be sent and installed.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(60);

/// Makes links to servers.
#[derive(Clone, Debug)]
pub(super) struct Network {
    pub(super) pool: Pool,
    pub(super) contacts: Arc<Contacts>,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Link;

    async fn new_client(&mut self, target: Uuid, node: &BasicNode) -> Link {
        Link {
            target,
            address: node.addr.parse().ok(),
            network: self.clone(),
            under_way: None,
        }
    }
}

impl Network {
    /// Sends a call whose reply says nothing but that it was taken.
    pub(super) async fn tell(
        &self,
        address: SocketAddr,
        path: &'static str,
        body: Vec<u8>,
        limit: Duration,
    ) -> Result<(), String> {
        let call = exchange::<()>(&self.pool, address, path, body);
        match tokio::time::timeout(limit, call).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Failure::Unreachable(e) | Failure::Network(e))) => Err(e.to_string()),
            Err(_elapsed) => Err("i/o timeout".to_owned()),
        }
    }

    /// Sends a snapshot outside replication; `None` where no answer came.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        address: SocketAddr,
        body: Vec<u8>,
        limit: Duration,
    ) -> Option<T> {
        let call = exchange(&self.pool, address, "/raft/snapshot", body);
        tokio::time::timeout(limit, call).await.ok()?.ok()
    }
}

/// The way to one server.
#[derive(Debug)]
pub(super) struct Link {
    target: Uuid,
    address: Option<SocketAddr>,
    network: Network,
    /// Entries that were sent and are not answered yet.
    under_way: Option<(Load, JoinHandle<Result<Appended, Failure>>)>,
}

/// What the other server makes of entries.
type Appended = Result<AppendEntriesResponse<Uuid>, RaftError<Uuid>>;

/// Which entries a call carries: whose, after which, up to which.
#[derive(Clone, Debug, PartialEq)]
struct Load {
    vote: Vote<Uuid>,
    after: Option<LogId<Uuid>>,
    last: Option<LogId<Uuid>>,
}

/// Why a call gave no reply; every kind of openraft's errors can be made of it.
#[derive(Debug)]
enum Failure {
    /// Nothing was sent: worth a pause.
    Unreachable(AnyError),
    /// It broke on the way.
    Network(AnyError),
}

impl<E: std::error::Error> From<Failure> for RPCError<Uuid, BasicNode, E> {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unreachable(e) => Unreachable::new(&e).into(),
            Failure::Network(e) => NetworkError::new(&e).into(),
        }
    }
}

impl<E: std::error::Error> From<Failure> for StreamingError<TypeConfig, E> {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unreachable(e) => Unreachable::new(&e).into(),
            Failure::Network(e) => NetworkError::new(&e).into(),
        }
    }
}

impl Link {
    /// Sends a call and reads its reply, within `limit`. openraft gives up after a beat or so;
    /// the call goes on without it, for to break it off would close its connection, and the
    /// next one would have to begin with a handshake.
    async fn post<T: DeserializeOwned + Send + 'static>(
        &self,
        path: &'static str,
        body: Vec<u8>,
        limit: Duration,
    ) -> Result<T, Failure> {
        ended(self.start(path, body, limit)?.await)
    }

    /// Sends a call; its reply is waited for in the background.
    fn start<T: DeserializeOwned + Send + 'static>(
        &self,
        path: &'static str,
        body: Vec<u8>,
        limit: Duration,
    ) -> Result<JoinHandle<Result<T, Failure>>, Failure> {
        let Some(address) = self.address else {
            let problem = format!("server {} has no address", self.target);
            return Err(Failure::Network(AnyError::error(problem)));
        };
        let network = self.network.clone();
        let target = self.target;
        Ok(tokio::spawn(async move {
            let call = exchange(&network.pool, address, path, body);
            let reply = tokio::time::timeout(limit, call).await;
            let reply = reply.unwrap_or_else(|_elapsed| {
                let problem = format!("{address} did not answer `{path}` within {limit:?}");
                Err(Failure::Network(AnyError::error(problem)))
            });
            if reply.is_ok() {
                network.contacts.heard(target);
            }
            reply
        }))
    }

    /// A call whose reply is a result of the other server's.
    async fn ask<Q, A, E>(
        &self,
        path: &'static str,
        question: &Q,
    ) -> Result<A, RPCError<Uuid, BasicNode, E>>
    where
        Q: Serialize,
        A: DeserializeOwned + Send + 'static,
        E: std::error::Error + DeserializeOwned + Send + 'static,
    {
        let answer: Result<A, E> = self.post(path, encode(question), CALL_TIMEOUT).await?;
        answer.map_err(|e| RemoteError::new(self.target, e).into())
    }
}

impl RaftNetwork<TypeConfig> for Link {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<Uuid>, RPCError<Uuid, BasicNode, RaftError<Uuid>>> {
        let load = Load {
            vote: rpc.vote,
            after: rpc.prev_log_id,
            last: rpc.entries.last().map(|entry| entry.log_id),
        };
        // openraft gives up after a beat and sends the same again. Entries that take longer (large ones, a slow
        // line or disk) would never arrive: their answer is waited for, and only other ones are sent.
        let same = |(sent, _): &(Load, _)| *sent == load && load.last.is_some();
        if !self.under_way.as_ref().is_some_and(same) {
            let call = self.start("/raft/append", encode(&rpc), CALL_TIMEOUT)?;
            self.under_way = Some((load, call));
        }
        let (_, call) = self.under_way.as_mut().expect("just put there");
        let answer = ended(call.await);
        self.under_way = None;
        answer?.map_err(|e| RemoteError::new(self.target, e).into())
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<Uuid>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Uuid>, RPCError<Uuid, BasicNode, RaftError<Uuid>>> {
        self.ask("/raft/vote", &rpc).await
    }

    /// Not used: [`Self::full_snapshot`] sends the whole.
    async fn install_snapshot(
        &mut self,
        _rpc: InstallSnapshotRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<
        InstallSnapshotResponse<Uuid>,
        RPCError<Uuid, BasicNode, RaftError<Uuid, InstallSnapshotError>>,
    > {
        let problem = AnyError::error("snapshots are sent whole, not in chunks");
        Err(NetworkError::new(&problem).into())
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote<Uuid>,
        snapshot: Snapshot<TypeConfig>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Uuid>, StreamingError<TypeConfig, Fatal<Uuid>>> {
        let body = pack(&encode(&(vote, snapshot.meta)), snapshot.snapshot.get_ref());
        let sent = self.post("/raft/snapshot", body, SNAPSHOT_TIMEOUT);
        let answer: Result<SnapshotResponse<Uuid>, Fatal<Uuid>> = tokio::select! {
            closed = cancel => return Err(closed.into()),
            answer = sent => answer?,
        };
        answer.map_err(|e| RemoteError::new(self.target, e).into())
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(RETRY))
    }
}

/// What came of a call in the background.
fn ended<T>(call: Result<Result<T, Failure>, JoinError>) -> Result<T, Failure> {
    call.unwrap_or_else(|e| Err(Failure::Network(AnyError::error(e))))
}

async fn exchange<T: DeserializeOwned>(
    pool: &Pool,
    address: SocketAddr,
    path: &'static str,
    body: Vec<u8>,
) -> Result<T, Failure> {
    let broken = |problem: String| Failure::Network(AnyError::error(problem));
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .body(Bytes::from(body))
        .expect("method and path are constants");
    let response = match pool.call(address, request).await {
        Ok(response) => response,
        Err(e @ RpcError::Connect { .. }) => {
            return Err(Failure::Unreachable(AnyError::new(&e)));
        }
        Err(e) => return Err(Failure::Network(AnyError::new(&e))),
    };
    let status = response.status();
    let body = response
        .into_body()
        .collect()
        .await
        .map_err(|e| broken(e.to_string()))?
        .to_bytes();
    if status != StatusCode::OK {
        let text = String::from_utf8_lossy(&body);
        return Err(broken(format!("{address} answered {status}: {text}")));
    }
    serde_json::from_slice(&body).map_err(|e| broken(e.to_string()))
}

/// Header's length (four bytes, big-endian), header, data.
pub(super) fn pack(header: &[u8], data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(header.len()).expect("a snapshot's header is a few hundred bytes");
    let mut body = Vec::with_capacity(4 + header.len() + data.len());
    body.extend_from_slice(&length.to_be_bytes());
    body.extend_from_slice(header);
    body.extend_from_slice(data);
    body
}

/// Takes apart what [`pack`] made; `None` for anything else.
pub(super) fn unpack(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = body.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::Router;
    use axum::routing::post;
    use openraft::{CommittedLeaderId, Entry, EntryPayload};

    use super::*;
    use crate::clock;
    use crate::rpc::trial::Authority;
    use crate::rpc::{Kind, Listener, Tls};

    fn entries(last: u64) -> AppendEntriesRequest<TypeConfig> {
        let id = |index| LogId::new(CommittedLeaderId::new(1, Uuid::nil()), index);
        AppendEntriesRequest {
            vote: Vote::new_committed(1, Uuid::nil()),
            prev_log_id: Some(id(last - 1)),
            entries: vec![Entry {
                log_id: id(last),
                payload: EntryPayload::Blank,
            }],
            leader_commit: None,
        }
    }

    #[tokio::test]
    async fn entries_that_take_longer_than_a_beat_are_sent_once() {
        static SENT: AtomicUsize = AtomicUsize::new(0);
        let authority = Authority::new();
        let tls = |name| {
            let settings = authority.settings(name, &["server.global.nomad"]);
            Arc::new(Tls::load(settings).unwrap())
        };
        let any = "127.0.0.1:0".parse().unwrap();
        let slow = Listener::bind(any, Kind::Rpc, Some(tls("server-2"))).await;
        let slow = slow.unwrap();
        let address = slow.address().unwrap();
        let router = Router::new().route(
            "/raft/append",
            post(|| async {
                SENT.fetch_add(1, Ordering::SeqCst);
                clock::sleep(Duration::from_millis(250)).await;
                encode(&Appended::Ok(AppendEntriesResponse::Success))
            }),
        );
        let serving = tokio::spawn(slow.serve(router));
        let mut network = Network {
            pool: Pool::new(Some(tls("server-1"))),
            contacts: Arc::default(),
        };
        let node = BasicNode::new(address);
        let mut link = network.new_client(Uuid::new_v4(), &node).await;
        let beat = Duration::from_millis(100);
        let mut beats = 0;
        loop {
            beats += 1;
            let call = link.append_entries(entries(7), RPCOption::new(beat));
            if let Ok(answer) = tokio::time::timeout(beat, call).await {
                assert!(matches!(answer.unwrap(), AppendEntriesResponse::Success));
                break;
            }
        }
        assert!(beats > 1, "it was slow");
        assert_eq!(SENT.load(Ordering::SeqCst), 1);
        // Others are sent, and so are these once they were answered.
        let call = link.append_entries(entries(8), RPCOption::new(beat));
        assert!(tokio::time::timeout(beat, call).await.is_err());
        let answer = link.append_entries(entries(7), RPCOption::new(beat)).await;
        answer.unwrap();
        assert_eq!(SENT.load(Ordering::SeqCst), 3);
        serving.abort();
    }
}
