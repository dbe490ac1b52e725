//! Checks of the services that an allocation registers with Nomad itself: is the port open, does
//! it answer. What they find decides with the tasks whether the allocation is healthy.
//!
//! As in Nomad the first question comes after half an interval, each is judged by its last
//! answer alone, and no answer is kept once the allocation is to end. How long an answer may
//! take is not scaled as Nomad's timers are: the programs that are asked run no faster.
//! Missing: `check_restart`, HTTPS.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::runner::View;
use crate::clock;
use crate::rpc::in_gos_words;
use crate::types::{Allocation, Nanos, SECOND, Service, ServiceCheck};

/// Most that is kept of an answer that is no plain success, in bytes.
const OUTPUT: usize = 3 << 10;

/// What a check found last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(
    missing_docs,
    reason = "the fields are Nomad's, documented in its API reference"
)]
pub struct CheckResult {
    #[serde(rename = "ID")]
    pub id: String,
    /// `healthiness`, or `readiness` where no deployment waits for it.
    pub mode: &'static str,
    /// `success`, `failure`, or `pending`.
    pub status: &'static str,
    #[serde(skip_serializing_if = "is_zero")]
    pub status_code: u16,
    pub output: String,
    /// Seconds since the epoch.
    pub timestamp: i64,
    pub group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub task: String,
    pub service: String,
    pub check: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(code: &u16) -> bool {
    *code == 0
}

/// A check, and where its service is.
#[derive(Clone, Debug)]
struct Question {
    check: ServiceCheck,
    /// Address and port, or why there are none.
    at: Result<(String, u16), String>,
    /// The result before there is one.
    pending: CheckResult,
}

/// The checks of one allocation.
pub(super) struct Checks {
    view: watch::Sender<View>,
    asking: BTreeMap<String, JoinHandle<()>>,
    /// Since when none of them is against it.
    since: Option<Nanos>,
}

impl Drop for Checks {
    fn drop(&mut self) {
        self.asking.values().for_each(JoinHandle::abort);
    }
}

impl Checks {
    /// None yet; what they find is shown in `view`.
    pub(super) fn new(view: watch::Sender<View>) -> Self {
        Self {
            view,
            asking: BTreeMap::new(),
            since: None,
        }
    }

    /// Begins those that are new, and ends those that the job does not have any more.
    pub(super) fn follow(&mut self, alloc: &Allocation, node_ip: &str) {
        let wanted = questions(alloc, node_ip);
        let gone: Vec<String> = self
            .asking
            .keys()
            .filter(|id| !wanted.contains_key(*id))
            .cloned()
            .collect();
        for id in gone {
            self.end(&id);
        }
        for (id, question) in wanted {
            if self.asking.contains_key(&id) {
                continue;
            }
            let pending = question.pending.clone();
            self.view
                .send_modify(|view| drop(view.checks.insert(id.clone(), pending)));
            let asking = tokio::spawn(question.ask_again_and_again(self.view.clone()));
            self.asking.insert(id, asking);
        }
    }

    /// Ends all of them, and forgets what they found.
    pub(super) fn stop(&mut self) {
        let all: Vec<String> = self.asking.keys().cloned().collect();
        for id in all {
            self.end(&id);
        }
        self.since = None;
    }

    fn end(&mut self, id: &str) {
        if let Some(asking) = self.asking.remove(id) {
            asking.abort();
        }
        self.view.send_modify(|view| drop(view.checks.remove(id)));
    }

    /// Looks at what they found; since when none of them is against the allocation.
    pub(super) fn passing_since(&mut self, now: Nanos) -> Option<Nanos> {
        let view = self.view.borrow();
        let passes = |result: &CheckResult| match result.status {
            "success" => true,
            "failure" => result.mode == "readiness",
            _ => false,
        };
        self.since = if view.checks.values().all(passes) {
            self.since.or(Some(now))
        } else {
            None
        };
        self.since
    }
}

/// All checks of an allocation's services, by their IDs.
fn questions(alloc: &Allocation, node_ip: &str) -> BTreeMap<String, Question> {
    let groups = alloc.job.iter().flat_map(|job| &job.task_groups);
    let Some(group) = groups.into_iter().find(|g| g.name == alloc.task_group) else {
        return BTreeMap::new();
    };
    let of_tasks = group.tasks.iter().flat_map(|task| &task.services);
    let services = group.services.iter().chain(of_tasks).flatten();
    let mut found = BTreeMap::new();
    for service in services.filter(|service| service.provider == "nomad") {
        for check in service.checks.iter().flatten() {
            let question = Question::new(alloc, node_ip, service, check);
            found.insert(question.pending.id.clone(), question);
        }
    }
    found
}

impl Question {
    fn new(alloc: &Allocation, node_ip: &str, service: &Service, check: &ServiceCheck) -> Self {
        let label = match check.port_label.as_str() {
            "" => &service.port_label,
            own => own,
        };
        let port = alloc.ports.iter().find(|port| port.label == *label);
        let at = match (port, label.parse()) {
            (Some(port), _) => Ok((port.host_ip.clone(), port.value)),
            (None, Ok(number)) => Ok((node_ip.to_owned(), number)),
            (None, Err(_)) => Err(format!("invalid port {label:?}: port label not found")),
        };
        let pending = CheckResult {
            id: id_of(alloc, service, check),
            mode: if check.is_readiness() {
                "readiness"
            } else {
                "healthiness"
            },
            status: "pending",
            output: "nomad: waiting to run".to_owned(),
            timestamp: clock::now() / SECOND,
            group: alloc.name.clone(),
            task: check.task_name.clone(),
            service: service.name.clone(),
            check: check.name.clone(),
            ..CheckResult::default()
        };
        Self {
            check: check.clone(),
            at,
            pending,
        }
    }

    async fn ask_again_and_again(self, view: watch::Sender<View>) {
        let interval = clock::scaled_nanos(self.check.interval);
        let mut pause = interval / 2;
        loop {
            clock::sleep(pause).await;
            let result = self.ask().await;
            view.send_modify(|view| drop(view.checks.insert(result.id.clone(), result)));
            pause = interval;
        }
    }

    /// Asks once.
    async fn ask(&self) -> CheckResult {
        let nanos = u64::try_from(self.check.timeout).unwrap_or(0);
        let answer = tokio::time::timeout(Duration::from_nanos(nanos), self.answer()).await;
        let (status, status_code, output) = match answer {
            Ok(Ok((code, output))) => {
                let fails = code != 0 && code >= 400;
                (if fails { "failure" } else { "success" }, code, output)
            }
            Ok(Err(why)) => ("failure", 0, why),
            Err(_elapsed) => ("failure", 0, self.silence()),
        };
        CheckResult {
            status,
            status_code,
            output,
            timestamp: clock::now() / SECOND,
            ..self.pending.clone()
        }
    }

    /// What Nomad says of one that does not answer in time.
    fn silence(&self) -> String {
        let (address, port) = self.at.clone().unwrap_or_default();
        if self.is_http() {
            let (method, path) = (self.method(), &self.check.path);
            let method = format!("{}{}", &method[..1], method[1..].to_lowercase());
            let url = format!("http://{address}:{port}{path}");
            format!("nomad: {method} {url:?}: context deadline exceeded")
        } else {
            format!("dial tcp {address}:{port}: i/o timeout")
        }
    }

    fn is_http(&self) -> bool {
        self.check.check_type.eq_ignore_ascii_case("http")
    }

    fn method(&self) -> &str {
        match self.check.method.as_str() {
            "" => "GET",
            method => method,
        }
    }

    /// The status of the answer (0 where there is none to have), and what is told of it.
    async fn answer(&self) -> Result<(u16, String), String> {
        let (address, port) = self.at.clone()?;
        let place = format!("{address}:{port}");
        let tcp = TcpStream::connect((address, port)).await;
        let tcp = tcp.map_err(|error| format!("dial tcp {place}: {}", in_gos_words(&error)));
        if !self.is_http() {
            return tcp.map(|_open| (0, "nomad: tcp ok".to_owned()));
        }
        let answered = match tcp {
            Ok(tcp) => self.exchange(tcp, &place).await,
            Err(why) => Err(why),
        };
        answered.map_err(|why| format!("nomad: {why}"))
    }

    async fn exchange(&self, tcp: TcpStream, place: &str) -> Result<(u16, String), String> {
        let request = self.request(place)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(tcp))
            .await
            .map_err(|error| error.to_string())?;
        let asked = async {
            let answer = sender.send_request(request).await;
            let answer = answer.map_err(|error| error.to_string())?;
            let status = answer.status();
            if status == StatusCode::OK {
                return Ok((status.as_u16(), "nomad: http ok".to_owned()));
            }
            let mut kept = Vec::new();
            let mut body = answer.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                kept.extend_from_slice(frame.data_ref().map_or(&[], |data| data.as_ref()));
                if kept.len() >= OUTPUT {
                    break;
                }
            }
            kept.truncate(OUTPUT);
            let output = String::from_utf8_lossy(&kept).into_owned();
            Ok((status.as_u16(), output))
        };
        tokio::select! {
            answer = asked => answer,
            Err(error) = connection => Err(error.to_string()),
        }
    }

    fn request(&self, place: &str) -> Result<Request<Body>, String> {
        let method = Method::from_bytes(self.method().as_bytes());
        let path = match self.check.path.as_str() {
            path if path.starts_with('/') => path.to_owned(),
            path => format!("/{path}"),
        };
        let mut request = Request::builder()
            .method(method.map_err(|error| error.to_string())?)
            .uri(path)
            .header(header::HOST, place)
            .header(
                header::USER_AGENT,
                concat!("rehearse/", env!("CARGO_PKG_VERSION")),
            )
            .body(Body::from(self.check.body.clone()))
            .map_err(|error| error.to_string())?;
        for (name, values) in self.check.header.iter().flatten() {
            let name: HeaderName = name.parse().map_err(|_| format!("bad header {name:?}"))?;
            request.headers_mut().remove(&name);
            for value in values {
                let value: Result<HeaderValue, _> = value.parse();
                let value = value.map_err(|error| error.to_string())?;
                request.headers_mut().append(name.clone(), value);
            }
        }
        Ok(request)
    }
}

/// Always the same for the same check of the same allocation.
fn id_of(alloc: &Allocation, service: &Service, check: &ServiceCheck) -> String {
    let text = format!("{}\0{}\0{check:?}", alloc.id, service.name);
    let digest = Sha256::digest(text.as_bytes());
    digest[..16].iter().fold(String::new(), |mut id, byte| {
        // Writing to a text does not fail.
        let _ = write!(id, "{byte:02x}");
        id
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::types::{AllocatedPort, Job, TaskGroup};

    /// A server that answers each request with this, and tells what it was asked.
    async fn answering(reply: &'static str) -> (u16, Arc<std::sync::Mutex<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let asked = Arc::new(std::sync::Mutex::new(String::new()));
        let noted = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut tcp, _)) = listener.accept().await {
                let mut buffer = vec![0; 4096];
                let read = tcp.read(&mut buffer).await.unwrap_or(0);
                let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
                *noted.lock().expect("no test panics with it") = text;
                drop(tcp.write_all(reply.as_bytes()).await);
            }
        });
        (port, asked)
    }

    fn check(kind: &str) -> ServiceCheck {
        ServiceCheck {
            name: kind.to_owned(),
            check_type: kind.to_owned(),
            path: "/health".to_owned(),
            interval: SECOND / 20,
            timeout: SECOND,
            ..ServiceCheck::default()
        }
    }

    fn alloc(port: u16, checks: Vec<ServiceCheck>) -> Allocation {
        let service = Service {
            name: "web".to_owned(),
            port_label: "http".to_owned(),
            provider: "nomad".to_owned(),
            checks: Some(checks),
            ..Service::default()
        };
        let group = TaskGroup {
            name: "g".to_owned(),
            services: Some(vec![service]),
            ..TaskGroup::default()
        };
        Allocation {
            id: "a1".to_owned(),
            name: "web.g[0]".to_owned(),
            task_group: "g".to_owned(),
            job: Some(Job {
                task_groups: vec![group],
                ..Job::default()
            }),
            ports: vec![AllocatedPort {
                label: "http".to_owned(),
                value: port,
                host_ip: "127.0.0.1".to_owned(),
                ..AllocatedPort::default()
            }],
            ..Allocation::default()
        }
    }

    async fn asked(port: u16, check: ServiceCheck) -> CheckResult {
        let all = questions(&alloc(port, vec![check]), "127.0.0.1");
        let only = all.into_values().next().expect("one check");
        only.ask().await
    }

    #[tokio::test]
    async fn an_open_port_and_a_good_answer_are_successes() {
        let (port, seen) = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await;
        let tcp = asked(port, check("tcp")).await;
        assert_eq!(
            (tcp.status, tcp.output.as_str()),
            ("success", "nomad: tcp ok")
        );
        let mut with_header = check("http");
        with_header.header = Some([("X-Mark".to_owned(), vec!["1".to_owned()])].into());
        let http = asked(port, with_header).await;
        assert_eq!((http.status, http.status_code), ("success", 200));
        assert_eq!(http.output, "nomad: http ok");
        let seen = seen.lock().expect("no test panics with it").clone();
        assert!(seen.starts_with("GET /health HTTP/1.1"), "{seen}");
        assert!(seen.to_lowercase().contains("x-mark: 1"), "{seen}");
    }

    #[tokio::test]
    async fn what_is_wrong_is_told() {
        let (port, _) = answering("HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nbusy").await;
        let busy = asked(port, check("http")).await;
        assert_eq!((busy.status, busy.status_code), ("failure", 503));
        assert_eq!(busy.output, "busy");
        let closed = asked(1, check("tcp")).await;
        assert_eq!(closed.status, "failure");
        assert_eq!(
            closed.output,
            "dial tcp 127.0.0.1:1: connect: connection refused"
        );
        let mut elsewhere = check("tcp");
        elsewhere.port_label = "other".to_owned();
        let nowhere = asked(port, elsewhere).await;
        assert_eq!(
            nowhere.output,
            "invalid port \"other\": port label not found"
        );
    }

    #[tokio::test]
    async fn none_may_fail_but_those_that_only_tell_readiness() {
        let view = watch::Sender::new(View::default());
        let mut checks = Checks::new(view.clone());
        let mut ready = check("tcp");
        ready.on_update = "ignore".to_owned();
        let (port, _) = answering("").await;
        checks.follow(&alloc(port, vec![check("tcp"), ready.clone()]), "127.0.0.1");
        assert_eq!(checks.passing_since(5), None, "nothing was asked yet");
        let mut watching = view.subscribe();
        let all_found = |view: &View| view.checks.values().all(|one| one.status == "success");
        watching
            .wait_for(all_found)
            .await
            .expect("the sender is here");
        assert_eq!(checks.passing_since(7), Some(7));
        assert_eq!(checks.passing_since(9), Some(7));
        view.send_modify(|view| {
            for result in view.checks.values_mut() {
                result.status = "failure";
            }
        });
        assert_eq!(checks.passing_since(10), None);
        // In place, the job has only the one that may fail.
        checks.follow(&alloc(1, vec![ready]), "127.0.0.1");
        view.send_modify(|view| {
            for result in view.checks.values_mut() {
                result.status = "failure";
            }
        });
        assert_eq!(view.borrow().checks.len(), 1);
        assert_eq!(checks.passing_since(11), Some(11));
        checks.stop();
        assert!(view.borrow().checks.is_empty());
    }
}
