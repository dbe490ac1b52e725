//! Digests, of text and of files.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest as _;

use super::encoding::is_zipped;
use super::{Args, Entry, Needs, files};
use crate::terraform::value::Value;

pub(super) const TABLE: &[Entry] = &[
    ("base64sha256", Needs::Everything, |args| {
        of_text::<sha2::Sha256>(args, |digest| STANDARD.encode(digest))
    }),
    ("base64sha512", Needs::Everything, |args| {
        of_text::<sha2::Sha512>(args, |digest| STANDARD.encode(digest))
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
        of_text::<md5::Md5>(args, hex)
    }),
    ("sha1", Needs::Everything, |args| {
        of_text::<sha1::Sha1>(args, hex)
    }),
    ("sha256", Needs::Everything, |args| {
        of_text::<sha2::Sha256>(args, hex)
    }),
    ("sha512", Needs::Everything, |args| {
        of_text::<sha2::Sha512>(args, hex)
    }),
];

/// The digest of a text, unless Terraform's text has other bytes.
fn of_text<D: sha2::Digest>(args: &Args<'_>, form: fn(&[u8]) -> String) -> Result<Value, String> {
    let text = args.text(0)?;
    if is_zipped(&text) {
        return Ok(args.unsupported("of a gzip archive, whose bytes Terraform makes otherwise"));
    }
    Ok(Value::String(form(&D::digest(text))))
}

fn bytes(args: &Args<'_>) -> Result<Vec<u8>, String> {
    files::read(args, &args.text(0)?)
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
