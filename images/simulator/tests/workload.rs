//! Laws of the sample workload, on the program itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running workload, killed at the end of the test.
struct Workload {
    child: Child,
    port: u16,
}

impl Drop for Workload {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agent"));
    command.arg("workload").stdout(Stdio::piped());
    command
}

/// Starts one and waits for its first line.
fn start(args: &[&str]) -> Workload {
    let port = free_port();
    let mut child = command()
        .args(args)
        .env("NOMAD_PORT_http", port.to_string())
        .env("NOMAD_ALLOC_ID", "a1")
        .env("NOMAD_ALLOC_INDEX", "2")
        .env("NODE", "client-3")
        .spawn()
        .expect("it starts");
    let out = child.stdout.as_mut().expect("its output is piped");
    let mut line = String::new();
    BufReader::new(out)
        .read_line(&mut line)
        .expect("it says so");
    assert!(line.contains("started, listening"), "{line}");
    Workload { child, port }
}

impl Workload {
    fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).expect("it listens")
    }

    fn ask(&self, path: &str) -> TcpStream {
        let mut stream = self.connect();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .expect("it reads");
        stream
    }

    fn get(&self, path: &str) -> String {
        answer(self.ask(path))
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = i32::try_from(self.child.id()).expect("IDs are positive i32");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).expect("it runs");
    }

    fn exit_code(&mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }
}

fn answer(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    text
}

#[test]
fn it_says_who_answers() {
    let workload = start(&["-version", "7"]);
    let text = workload.get("/");
    let (_, body) = text.split_once("\r\n\r\n").expect("headers and body");
    let who: agent::workload::Whoami = serde_json::from_str(body).expect("JSON");
    assert_eq!((who.version.as_str(), who.alloc.as_str()), ("7", "a1"));
    assert_eq!(
        (who.node.as_str(), who.alloc_index.as_str()),
        ("client-3", "2")
    );
    assert!(who.time.ends_with('Z'), "{}", who.time);
    assert!(workload.get("/health").starts_with("HTTP/1.1 200"));
    assert!(workload.get("/wait/soon").starts_with("HTTP/1.1 400"));
}

#[test]
fn it_finishes_what_it_has_begun_and_ends_well() {
    for signal in [nix::sys::signal::SIGTERM, nix::sys::signal::SIGINT] {
        let mut workload = start(&[]);
        // Connected and idle: must not hold the end up.
        let idle = workload.connect();
        let begun = workload.ask("/wait/700ms");
        // Its answer can only be begun once it was read.
        assert!(workload.get("/health").starts_with("HTTP/1.1 200"));
        let asked = Instant::now();
        workload.signal(signal);
        assert!(answer(begun).starts_with("HTTP/1.1 200"));
        assert_eq!(workload.exit_code(), Some(0));
        assert!(asked.elapsed() < Duration::from_secs(5));
        drop(idle);
    }
}

#[test]
fn it_fails_when_told_to() {
    let mut workload = start(&["-fail-after", "300ms", "-exit", "9"]);
    assert!(workload.get("/health").starts_with("HTTP/1.1 200"));
    assert_eq!(workload.exit_code(), Some(9));
    let status = command().args(["-exit", "4"]).status().expect("it runs");
    assert_eq!(status.code(), Some(4));
    let status = command().arg("-nonsense").status().expect("it runs");
    assert_eq!(status.code(), Some(2));
}
