//! As much of `df` as Nomad's storage fingerprint reads (`client/fingerprint/storage_unix.go`):
//! POSIX columns, in units of 1024 bytes.

use std::fmt::Write as _;

use nix::sys::statvfs::statvfs;

/// A path cannot be looked at.
#[derive(Debug, thiserror::Error)]
#[error("df: {path}: {reason}")]
pub(super) struct DfError {
    path: String,
    reason: nix::Error,
}

pub(super) fn run(args: &[String]) -> Result<String, DfError> {
    let mut text =
        "Filesystem     1024-blocks      Used Available Capacity Mounted on\n".to_owned();
    for path in args.iter().filter(|arg| !arg.starts_with('-')) {
        let stat = statvfs(path.as_str()).map_err(|reason| DfError {
            path: path.clone(),
            reason,
        })?;
        // The kernel's numbers have another width on every platform.
        #[allow(clippy::unnecessary_cast, clippy::cast_lossless)]
        let kib = |blocks: nix::libc::fsblkcnt_t| {
            u128::from(blocks as u64) * u128::from(stat.fragment_size() as u64) / 1024
        };
        let (total, free, available) = (
            kib(stat.blocks()),
            kib(stat.blocks_free()),
            kib(stat.blocks_available()),
        );
        let used = total.saturating_sub(free);
        let percent = (used * 100).div_ceil((used + available).max(1));
        writeln!(
            text,
            "volume         {total:>11} {used:>9} {available:>9} {percent:>7}% {path}"
        )
        .expect("a string takes any text");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_line_has_the_numbers_where_nomad_looks() {
        let text = run(&["-kP".to_owned(), "/".to_owned()]).unwrap();
        let line = text.lines().nth(1).unwrap();
        let fields: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(fields.len(), 6, "{line}");
        let total: u64 = fields[1].parse().unwrap();
        let available: u64 = fields[3].parse().unwrap();
        assert!(total > 0 && available <= total, "{line}");
        assert!(fields[4].ends_with('%'));
        assert_eq!(fields[5], "/");
        run(&["/nonexistent".to_owned()]).unwrap_err();
    }
}
