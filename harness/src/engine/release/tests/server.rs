//! A release server on this machine, which misbehaves as told.
//!
//! It speaks HTTP/1.1 by hand, one request a connection: no server library lets a test say
//! after which byte the connection ends.

use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::keys::SigningKey;

const ZIP: &str = "nomad_1.8.3_linux_amd64.zip";

/// What goes wrong; by default nothing.
#[derive(Clone, Default)]
pub(super) struct Behaviour {
    pub(super) short_id_signature_only: bool,
    pub(super) no_signature: bool,
    pub(super) spoil_zip: bool,
    pub(super) spoil_sums: bool,
    pub(super) no_ranges: bool,
    /// Each answer is cut after so many bytes.
    pub(super) cut_after: Option<usize>,
    /// Nothing is sent beyond this offset of the file; the connection is cut there.
    pub(super) dead_after: Option<usize>,
    /// Nothing is sent beyond this offset of the file; the connection stays open.
    pub(super) stall_after: Option<usize>,
}

struct Tree {
    zip: Vec<u8>,
    sums: String,
    signature: Vec<u8>,
    key: String,
    behaviour: Mutex<Behaviour>,
    requests: Mutex<Vec<(String, Option<String>)>>,
}

pub(super) struct Server {
    port: u16,
    tree: Arc<Tree>,
    task: JoinHandle<()>,
}

impl Server {
    pub(super) async fn start(key: &SigningKey, program: &[u8]) -> Self {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file("LICENSE.txt", options).unwrap();
        zip.write_all(b"a licence").unwrap();
        zip.start_file("nomad", options).unwrap();
        zip.write_all(program).unwrap();
        Self::start_with_zip(key, zip.finish().unwrap().into_inner()).await
    }

    pub(super) async fn start_with_zip(key: &SigningKey, zip: Vec<u8>) -> Self {
        let sums = format!(
            "{}  nomad_1.8.3_darwin_arm64.zip\n{:x}  {ZIP}\n",
            "0".repeat(64),
            Sha256::digest(&zip)
        );
        let tree = Arc::new(Tree {
            signature: key.sign(sums.as_bytes()),
            key: key.public_text(),
            sums,
            zip,
            behaviour: Mutex::default(),
            requests: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(serve(listener, tree.clone()));
        Self { port, tree, task }
    }

    pub(super) fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn behave(&self, behaviour: Behaviour) {
        *self.tree.behaviour.lock().unwrap() = behaviour;
    }

    pub(super) fn zip_length(&self) -> u64 {
        self.tree.zip.len() as u64
    }

    /// Paths that were asked for.
    pub(super) fn requests(&self) -> Vec<String> {
        let requests = self.tree.requests.lock().unwrap();
        requests.iter().map(|(path, _)| path.clone()).collect()
    }

    /// Ranges that were asked for.
    pub(super) fn ranges(&self) -> Vec<String> {
        let requests = self.tree.requests.lock().unwrap();
        requests
            .iter()
            .filter_map(|(_, range)| range.clone())
            .collect()
    }

    /// Puts the whole zip where a transfer that ended right before unpacking leaves it.
    pub(super) fn leave_whole_part(&self, folder: &Path) {
        let sum = format!("{:x}", Sha256::digest(&self.tree.zip));
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(
            folder.join(format!("{ZIP}.{}.part", &sum[..16])),
            &self.tree.zip,
        )
        .unwrap();
    }

    /// Ends the server; when this returns nobody listens any more.
    pub(super) async fn stop(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// Status, further header lines, the body that is announced, how much of it is sent, and
/// whether the connection then stays open.
struct Answer {
    status: &'static str,
    headers: String,
    body: Vec<u8>,
    sent: usize,
    stall: bool,
}

impl Answer {
    fn whole(body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self {
            status: "200 OK",
            headers: String::new(),
            sent: body.len(),
            body,
            stall: false,
        }
    }

    fn empty(status: &'static str) -> Self {
        Self {
            status,
            ..Self::whole([])
        }
    }
}

async fn serve(listener: TcpListener, tree: Arc<Tree>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        connections.spawn(converse(stream, tree.clone()));
    }
}

async fn converse(stream: TcpStream, tree: Arc<Tree>) {
    let mut stream = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        // A client may connect and leave again.
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let path = lines[0].split(' ').nth(1).unwrap().to_owned();
    let range = lines.iter().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("range").then(|| value.to_owned())
    });
    let behaviour = tree.behaviour.lock().unwrap().clone();
    let answer = answer(&tree, &behaviour, &path, range.as_deref());
    tree.requests.lock().unwrap().push((path, range));
    let head = format!(
        "HTTP/1.1 {}\r\nConnection: close\r\nContent-Length: {}\r\n{}\r\n",
        answer.status,
        answer.body.len(),
        answer.headers
    );
    // A client that gives up early is one of the things tested.
    if stream.write_all(head.as_bytes()).await.is_ok()
        && stream.write_all(&answer.body[..answer.sent]).await.is_ok()
    {
        stream.flush().await.ok();
    }
    if answer.stall {
        std::future::pending::<()>().await;
    }
}

fn answer(tree: &Tree, behaviour: &Behaviour, path: &str, range: Option<&str>) -> Answer {
    const SUMS: &str = "/nomad/1.8.3/nomad_1.8.3_SHA256SUMS";
    match path {
        "/pgp-key.txt" => Answer::whole(tree.key.clone()),
        "/nomad/1.8.3/nomad_1.8.3_linux_amd64.zip" => zip(tree, behaviour, range),
        SUMS if behaviour.spoil_sums => Answer::whole(tree.sums.replace('0', "1")),
        SUMS => Answer::whole(tree.sums.clone()),
        _ if behaviour.no_signature => Answer::empty("404 Not Found"),
        _ if path == format!("{SUMS}.72D7468F.sig")
            || path == format!("{SUMS}.sig") && !behaviour.short_id_signature_only =>
        {
            Answer::whole(tree.signature.clone())
        }
        _ => Answer::empty("404 Not Found"),
    }
}

fn zip(tree: &Tree, behaviour: &Behaviour, range: Option<&str>) -> Answer {
    let whole = tree.zip.len();
    let start = range.filter(|_| !behaviour.no_ranges).map(|range| {
        let from = range.strip_prefix("bytes=").unwrap();
        from.strip_suffix('-').unwrap().parse::<usize>().unwrap()
    });
    let from = start.unwrap_or(0);
    if from >= whole {
        return Answer {
            headers: format!("Content-Range: bytes */{whole}\r\n"),
            ..Answer::empty("416 Range Not Satisfiable")
        };
    }
    let mut answer = Answer::whole(&tree.zip[from..]);
    if start.is_some() {
        answer.status = "206 Partial Content";
        answer.headers = format!("Content-Range: bytes {from}-{}/{whole}\r\n", whole - 1);
    }
    if behaviour.spoil_zip {
        answer.body[whole / 2] ^= 1;
    }
    let until = |offset: Option<usize>| offset.map(|offset| offset.saturating_sub(from));
    let ends = [
        behaviour.cut_after,
        until(behaviour.dead_after),
        until(behaviour.stall_after),
    ];
    answer.sent = ends.into_iter().flatten().fold(answer.sent, usize::min);
    answer.stall = behaviour.stall_after.is_some();
    answer
}
