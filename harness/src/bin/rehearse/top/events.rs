//! The last events of Nomad's event stream, a line each.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use nomad_harness::nomad::Exchange;
use nomad_harness::poll;
use nomad_harness::target::Target as _;
use nomad_harness::target::docker::DockerCluster;
use serde_json::Value;

use crate::env;

/// So many lines are kept: more than any terminal is high.
const KEPT: usize = 200;
/// A stream is begun anew after so many bytes, which are kept until then.
const STREAM_MAX: usize = 1 << 20;
/// A stream is begun anew after this time.
const STREAM_FOR: Duration = Duration::from_secs(600);
/// Time from a broken stream to the next try.
const PAUSE: Duration = Duration::from_millis(500);

/// What was heard.
#[derive(Debug, Default)]
pub struct Heard {
    lines: VecDeque<String>,
    index: u64,
}

impl Heard {
    /// Returns the lines, the newest last.
    pub fn lines(&self) -> Vec<String> {
        self.lines.iter().cloned().collect()
    }

    /// Takes in what a stream says; returns how much of it was whole.
    fn hear(&mut self, new: &[u8]) -> usize {
        let whole = new.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        for line in new[..whole].split(|b| *b == b'\n') {
            let Ok(frame) = serde_json::from_slice::<Value>(line) else {
                continue;
            };
            self.index = self.index.max(frame["Index"].as_u64().unwrap_or(0));
            for event in frame["Events"].as_array().into_iter().flatten() {
                self.add(event);
            }
        }
        whole
    }

    fn add(&mut self, event: &Value) {
        let Some(line) = line(event) else { return };
        if self.lines.back() != Some(&line) {
            self.lines.push_back(line);
        }
        if self.lines.len() > KEPT {
            self.lines.pop_front();
        }
    }
}

/// Listens for ever, to whichever server runs.
pub async fn follow(cluster: &DockerCluster, heard: &Mutex<Heard>) {
    loop {
        let server = env::running_server(cluster).await;
        let api = cluster.api(&server.name).timeout(STREAM_FOR);
        let index = heard.lock().expect("nobody panics with it").index + 1;
        let asked = Exchange::new("GET", &format!("event/stream?topic=*&index={index}"));
        let read = Mutex::new(0);
        let enough = |body: &[u8]| {
            let mut read = read.lock().expect("nobody panics with it");
            let mut heard = heard.lock().expect("nobody panics with it");
            *read += heard.hear(&body[*read..]);
            body.len() > STREAM_MAX
        };
        // However it ended, it is begun anew where it was.
        drop(api.exchange_until(&asked, enough).await);
        poll::rest(PAUSE).await;
    }
}

/// Says an event in words; those of heartbeats and the like are none.
fn line(event: &Value) -> Option<String> {
    let payload = event["Payload"].as_object()?;
    let of = |kind: &str| payload.get(kind).cloned().unwrap_or_default();
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or("").to_owned();
    let short = |value: &Value| text(value, "ID").chars().take(8).collect::<String>();
    let index = event["Index"].as_u64().unwrap_or(0);
    let said = match event["Topic"].as_str()? {
        "Job" => {
            let job = of("Job");
            let version = job["Version"].as_u64().unwrap_or(0);
            let what = match event["Type"].as_str()? {
                "JobDeregistered" => "stopped".to_owned(),
                "JobBatchDeregistered" => "stopped".to_owned(),
                _ => format!("version {version}, {}", text(&job, "Status")),
            };
            format!("job `{}`: {what}", event["Key"].as_str()?)
        }
        "Evaluation" => {
            let eval = of("Evaluation");
            let (why, status) = (text(&eval, "TriggeredBy"), text(&eval, "Status"));
            format!("evaluation {} ({why}): {status}", short(&eval))
        }
        "Allocation" => {
            let alloc = of("Allocation");
            let healthy = match alloc["DeploymentStatus"]["Healthy"].as_bool() {
                Some(true) => ", healthy",
                Some(false) => ", unhealthy",
                None => "",
            };
            let (name, node) = (text(&alloc, "Name"), text(&alloc, "NodeName"));
            let status = text(&alloc, "ClientStatus");
            format!("{} {name} on {node}: {status}{healthy}", short(&alloc))
        }
        "Deployment" => {
            let one = of("Deployment");
            let (job, status) = (text(&one, "JobID"), text(&one, "StatusDescription"));
            format!("deployment {} of `{job}`: {status}", short(&one))
        }
        "Node" => {
            let node = of("Node");
            let (name, status) = (text(&node, "Name"), text(&node, "Status"));
            let eligible = text(&node, "SchedulingEligibility");
            format!("node {name}: {status}, {eligible}")
        }
        _ => return None,
    };
    Some(format!("{index:>6}  {said}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_lines_once_they_are_whole() {
        let frame = |index: u64, topic: &str, key: &str, payload: &str| {
            format!(
                "{{\"Index\":{index},\"Events\":[{{\"Topic\":\"{topic}\",\"Type\":\"T\",\"Key\":\"{key}\",\
                 \"Index\":{index},\"Payload\":{payload}}}]}}\n"
            )
        };
        let stream = [
            "{}\n".to_owned(),
            frame(7, "Job", "web", "{\"Job\":{\"Version\":2,\"Status\":\"running\"}}"),
            frame(8, "Allocation", "x", "{\"Allocation\":{\"ID\":\"0123456789\",\"Name\":\"web.g[0]\",\"NodeName\":\"client-1\",\"ClientStatus\":\"running\",\"DeploymentStatus\":null}}"),
            frame(9, "ACLToken", "x", "{}"),
        ]
        .concat();
        let mut heard = Heard::default();
        let half = stream.len() - 9;
        let read = heard.hear(&stream.as_bytes()[..half]);
        assert!(read < half);
        assert_eq!(heard.index, 8);
        heard.hear(&stream.as_bytes()[read..]);
        let said = [
            "     7  job `web`: version 2, running",
            "     8  01234567 web.g[0] on client-1: running",
        ];
        assert_eq!(heard.lines(), said);
        assert_eq!(heard.index, 9);
    }
}
