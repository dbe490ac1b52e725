//! foca's messages in JSON, each after its length: readable in a dump of the (opened) datagrams,
//! and the same on every architecture.

use bytes::{Buf, BufMut};
use foca::{Codec, Header, Member};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Identity;

/// The codec.
#[derive(Clone, Copy, Debug)]
pub(super) struct Json;

/// A message cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub(super) enum CodecError {
    /// No room left in the datagram.
    #[error("no room for {0} bytes")]
    Full(usize),
    /// The datagram ends too early.
    #[error("message is cut off")]
    Short,
    /// Not what it should be.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

fn write<T: Serialize>(value: &T, mut buf: impl BufMut) -> Result<(), CodecError> {
    let json = serde_json::to_vec(value)?;
    let length = u16::try_from(json.len()).map_err(|_| CodecError::Full(json.len()))?;
    if buf.remaining_mut() < json.len() + 2 {
        return Err(CodecError::Full(json.len()));
    }
    buf.put_u16(length);
    buf.put_slice(&json);
    Ok(())
}

fn read<T: DeserializeOwned>(mut buf: impl Buf) -> Result<T, CodecError> {
    if buf.remaining() < 2 {
        return Err(CodecError::Short);
    }
    let length = usize::from(buf.get_u16());
    if buf.remaining() < length {
        return Err(CodecError::Short);
    }
    let json = buf.copy_to_bytes(length);
    Ok(serde_json::from_slice(&json)?)
}

impl Codec<Identity> for Json {
    type Error = CodecError;

    fn encode_header(
        &mut self,
        header: &Header<Identity>,
        buf: impl BufMut,
    ) -> Result<(), CodecError> {
        write(header, buf)
    }

    fn decode_header(&mut self, buf: impl Buf) -> Result<Header<Identity>, CodecError> {
        read(buf)
    }

    fn encode_member(
        &mut self,
        member: &Member<Identity>,
        buf: impl BufMut,
    ) -> Result<(), CodecError> {
        write(member, buf)
    }

    fn decode_member(&mut self, buf: impl Buf) -> Result<Member<Identity>, CodecError> {
        read(buf)
    }
}
