//! How large the file systems of agents' data are, where that is fixed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A size in whole MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct DataSize {
    mib: u64,
}

impl DataSize {
    /// What scenarios get that need one and are given none: a client offers Nomad what is free there, and
    /// each group of a job takes 300 MB of it unless it says otherwise (`DefaultEphemeralDisk`).
    pub const USUAL: Self = Self { mib: 1024 };
    /// Less is full before anything was written.
    const MIB_MIN: u64 = 64;
    /// More than machines have memory.
    const MIB_MAX: u64 = 64 * 1024;

    /// Returns it in bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.mib << 20
    }
}

impl fmt::Display for DataSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mib % 1024 {
            0 => write!(f, "{}GiB", self.mib / 1024),
            _ => write!(f, "{}MiB", self.mib),
        }
    }
}

impl From<DataSize> for String {
    fn from(size: DataSize) -> Self {
        size.to_string()
    }
}

impl FromStr for DataSize {
    type Err = DataSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let units = [("GiB", 1024), ("MiB", 1)];
        let read = |(unit, times): (&str, u64)| {
            let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
            number.checked_mul(times)
        };
        let mib = units.into_iter().find_map(read);
        mib.filter(|mib| (Self::MIB_MIN..=Self::MIB_MAX).contains(mib))
            .map(|mib| Self { mib })
            .ok_or_else(|| DataSizeError {
                text: text.to_owned(),
            })
    }
}

impl TryFrom<String> for DataSize {
    type Error = DataSizeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Text which is no such size.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no size of data (expected one from 64MiB to 64GiB, as 1GiB)")]
pub struct DataSizeError {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_they_are_written() {
        for text in ["64MiB", "1GiB", "1500MiB", "64GiB"] {
            assert_eq!(text.parse::<DataSize>().unwrap().to_string(), text);
        }
        assert_eq!("2GiB".parse::<DataSize>().unwrap().bytes(), 2 << 30);
        assert_eq!("2048MiB".parse::<DataSize>().unwrap().to_string(), "2GiB");
        for wrong in [
            "",
            "1",
            "1 GiB",
            "63MiB",
            "65GiB",
            "1GB",
            "-1GiB",
            "18446744073709551615GiB",
        ] {
            let error = wrong.parse::<DataSize>().unwrap_err();
            assert!(error.to_string().contains("as 1GiB"), "{error}");
        }
    }
}
