//! EC2 as moto plays it, but for one machine that takes its time: at moto's it changes at once.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};

use crate::ground::{Ground, http};

#[derive(Debug, Default)]
struct Play {
    moto: String,
    id: String,
    /// What the machine is said to be at so many more looks.
    said: &'static str,
    looks: usize,
    actions: Vec<String>,
}

/// A service on loopback, in front of moto.
pub struct SlowEc2 {
    pub address: String,
    play: Arc<Mutex<Play>>,
}

impl SlowEc2 {
    /// Says of one of the machines that it is `said`, at the first `looks` looks.
    pub async fn saying(ground: &Ground, machine: usize, said: &'static str, looks: usize) -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let play = Arc::new(Mutex::new(Play {
            moto: ground.endpoint.clone(),
            id: ground.ids[machine].clone(),
            said,
            looks,
            actions: Vec::new(),
        }));
        let router = Router::new().fallback(answer).with_state(play.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, play }
    }

    /// What was asked for, but for looks.
    pub fn actions(&self) -> Vec<String> {
        self.play.lock().unwrap().actions.clone()
    }

    /// How many looks are left at which the machine is what it was said to be.
    pub fn looks_left(&self) -> usize {
        self.play.lock().unwrap().looks
    }
}

async fn answer(
    State(play): State<Arc<Mutex<Play>>>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, String) {
    let action = body
        .split('&')
        .find_map(|part| part.strip_prefix("Action="));
    let action = action.unwrap_or_default().to_owned();
    let moto = play.lock().unwrap().moto.clone();
    let mut asked = http().post(moto).body(body);
    for name in ["content-type", "authorization"] {
        asked = asked.header(name, headers[name].clone());
    }
    let answered = asked.send().await.unwrap();
    let (status, text) = (answered.status(), answered.text().await.unwrap());
    let mut play = play.lock().unwrap();
    if action != "DescribeInstances" {
        play.actions.push(action);
        return (status, text);
    }
    let Some((before, of_it)) = text.split_once(&format!("<instanceId>{}<", play.id)) else {
        return (status, text);
    };
    if play.looks == 0 {
        return (status, text);
    }
    play.looks -= 1;
    let (start, rest) = of_it.split_once("<instanceState>").unwrap();
    let (_, end) = rest.split_once("</instanceState>").unwrap();
    let (id, said) = (&play.id, play.said);
    let text = format!(
        "{before}<instanceId>{id}<{start}<instanceState><name>{said}</name></instanceState>{end}"
    );
    (status, text)
}
