//! What is streamed as an HTTP body: the bytes alone, or Nomad's JSON frames.

use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::stream;
use serde_json::{Map, Value, json};

use super::follow::{Piece, Streamed};

/// An empty frame comes this often, so that who waits knows that the stream lives
/// (`streamHeartbeatRate`).
const HEARTBEAT: Duration = Duration::from_secs(1);

/// The bytes alone.
pub fn plain(streamed: Streamed) -> Body {
    let pieces = stream::unfold(streamed, async |mut streamed| {
        loop {
            match streamed.recv().await? {
                Piece::Data { data, .. } => return Some((data, streamed)),
                Piece::Event { .. } => {}
            }
        }
    });
    Body::from_stream(futures::StreamExt::map(pieces, Ok::<Bytes, std::io::Error>))
}

/// JSON objects, one after the other, with the bytes in base64.
pub fn framed(streamed: Streamed) -> Body {
    let frames = stream::unfold(streamed, async |mut streamed| {
        let frame = match tokio::time::timeout(HEARTBEAT, streamed.recv()).await {
            Ok(Some(piece)) => frame(piece),
            Ok(None) => return None,
            Err(_elapsed) => json!({}),
        };
        Some((Bytes::from(frame.to_string()), streamed))
    });
    Body::from_stream(futures::StreamExt::map(frames, Ok::<Bytes, std::io::Error>))
}

/// Empty fields are left out, as Go's `omitempty` does.
fn frame(piece: Piece) -> Value {
    let mut fields = Map::new();
    match piece {
        Piece::Data { file, offset, data } => {
            fields.insert("Offset".to_owned(), json!(offset));
            fields.insert("Data".to_owned(), json!(STANDARD.encode(data)));
            fields.insert("File".to_owned(), json!(file));
        }
        Piece::Event { file, event } => {
            fields.insert("File".to_owned(), json!(file));
            fields.insert("FileEvent".to_owned(), json!(event));
        }
    }
    Value::Object(fields)
}
