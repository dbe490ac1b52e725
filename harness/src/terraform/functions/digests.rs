//! Digests, of text and of files.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest as _;

use super::{Args, Entry, Needs, files};
use crate::terraform::value::Value;

pub(super) const TABLE: &[Entry] = &[
    ("base64sha256", Needs::Everything, |args| {
        Ok(Value::String(
            STANDARD.encode(sha2::Sha256::digest(args.text(0)?)),
        ))
    }),
    ("base64sha512", Needs::Everything, |args| {
        Ok(Value::String(
            STANDARD.encode(sha2::Sha512::digest(args.text(0)?)),
        ))
    }),
    ("filebase64sha256", Needs::Everything, |args| {
        Ok(Value::String(
            STANDARD.encode(sha2::Sha256::digest(bytes(args)?)),
        ))
    }),
    ("filebase64sha512", Needs::Everything, |args| {
        Ok(Value::String(
            STANDARD.encode(sha2::Sha512::digest(bytes(args)?)),
        ))
    }),
    ("filemd5", Needs::Everything, |args| {
        Ok(Value::String(hex(&md5::Md5::digest(bytes(args)?))))
    }),
    ("filesha1", Needs::Everything, |args| {
        Ok(Value::String(hex(&sha1::Sha1::digest(bytes(args)?))))
    }),
    ("filesha256", Needs::Everything, |args| {
        Ok(Value::String(hex(&sha2::Sha256::digest(bytes(args)?))))
    }),
    ("filesha512", Needs::Everything, |args| {
        Ok(Value::String(hex(&sha2::Sha512::digest(bytes(args)?))))
    }),
    ("md5", Needs::Everything, |args| {
        Ok(Value::String(hex(&md5::Md5::digest(args.text(0)?))))
    }),
    ("sha1", Needs::Everything, |args| {
        Ok(Value::String(hex(&sha1::Sha1::digest(args.text(0)?))))
    }),
    ("sha256", Needs::Everything, |args| {
        Ok(Value::String(hex(&sha2::Sha256::digest(args.text(0)?))))
    }),
    ("sha512", Needs::Everything, |args| {
        Ok(Value::String(hex(&sha2::Sha512::digest(args.text(0)?))))
    }),
];

fn bytes(args: &Args<'_>) -> Result<Vec<u8>, String> {
    files::read(args, &args.text(0)?)
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
