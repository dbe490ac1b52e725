//! The way of a release from the server into the cache.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use semver::Version;

use super::catalog::{available, nearest};
use super::download::{DownloadError, Fetcher, shown};
use super::signature::{ReleaseKey, SignatureError};
use super::unpack::{self, UnpackError};
use super::{
    FINGERPRINT, KEY_ADDRESS, OnProgress, Progress, RELEASES, ReleaseError, ReleaseSource, Stage,
};
use crate::spec::Arch;

/// Largest sums file, signature or key that is read; the real ones have 1 to 16 KiB.
const SMALL: usize = 1 << 20;

/// How often a taken lock is looked at.
const LOCK_POLL: Duration = Duration::from_millis(100);

/// HashiCorp's other name of the signature, by the key's short id.
const SHORT_KEY_ID: &str = "72D7468F";

impl ReleaseSource {
    /// Reads the source from the environment: `REHEARSE_RELEASES` (base address, for mirrors),
    /// `REHEARSE_RELEASE_KEY` (a file), `REHEARSE_RELEASE_KEY_ADDRESS`, `XDG_CACHE_HOME`.
    #[must_use]
    pub fn from_env() -> Self {
        let text = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let path = |name| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let cache = path("XDG_CACHE_HOME")
            .filter(|cache| cache.is_absolute())
            .or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
        Self {
            base: text("REHEARSE_RELEASES").unwrap_or_else(|| RELEASES.to_owned()),
            cache: cache.map(|cache| cache.join("rehearse")),
            key_file: path("REHEARSE_RELEASE_KEY"),
            key_address: text("REHEARSE_RELEASE_KEY_ADDRESS")
                .unwrap_or_else(|| KEY_ADDRESS.to_owned()),
            fingerprint: FINGERPRINT.to_owned(),
            connect_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(15 * 60),
        }
    }

    /// Returns the program of a release, if it is in the cache. Asks no network.
    #[must_use]
    pub fn cached(&self, version: &Version, arch: Arch) -> Option<PathBuf> {
        unpack::cached(&self.folder(version, arch).ok()?)
    }

    /// Returns the versions in the cache for an architecture, oldest first.
    #[must_use]
    pub fn cached_versions(&self, arch: Arch) -> Vec<Version> {
        let folder = self.cache.as_ref().map(|cache| cache.join("releases"));
        let mut versions: Vec<Version> = folder
            .and_then(|folder| fs::read_dir(folder).ok())
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|version| self.cached(version, arch).is_some())
            .collect();
        versions.sort();
        versions
    }

    /// Checks that somebody answers at the base address, within the connect timeout.
    ///
    /// # Errors
    /// [`ReleaseError::Download`] when nobody does, or the server is out of order.
    pub async fn reachable(&self) -> Result<(), ReleaseError> {
        let fetcher = Fetcher::new(self.connect_timeout, self.connect_timeout)?;
        let url = format!("{}/nomad/", self.base());
        let status = fetcher.reachable(&url).await?;
        // A mirror may list no folders: any answer but its own failure will do.
        if status.is_server_error() {
            return Err(ReleaseError::Download(DownloadError::Status {
                url: shown(&url),
                status,
            }));
        }
        Ok(())
    }

    /// Returns the program of a release, from the cache or fetched and verified.
    ///
    /// Dropping the future stops it; what was downloaded so far is used by the next fetch.
    ///
    /// # Errors
    /// [`ReleaseError`], which has a [hint](ReleaseError::hint).
    pub async fn fetch(
        &self,
        version: &Version,
        arch: Arch,
        progress: OnProgress<'_>,
    ) -> Result<PathBuf, ReleaseError> {
        available(version, arch)?;
        let folder = self.folder(version, arch)?;
        if let Some(program) = unpack::cached(&folder) {
            return Ok(program);
        }
        let lock = self.lock(&folder, progress).await?;
        if let Some(program) = unpack::cached(&folder) {
            return Ok(program);
        }
        let program = self.fetch_locked(version, arch, &folder, progress).await;
        drop(lock);
        program
    }

    async fn fetch_locked(
        &self,
        version: &Version,
        arch: Arch,
        folder: &Path,
        progress: OnProgress<'_>,
    ) -> Result<PathBuf, ReleaseError> {
        at(progress, Stage::Verifying);
        let fetcher = Fetcher::new(self.connect_timeout, self.stall_timeout)?;
        let sums = self.verified_sums(&fetcher, version).await?;
        let file = format!("nomad_{version}_linux_{arch}.zip");
        let expected = sum_of(&sums, &file).ok_or_else(|| ReleaseError::NotBuilt {
            version: version.clone(),
            arch,
            base: shown(self.base()),
            others: linux_builds(&sums, version),
        })?;
        // The name carries the sum: a part of another zip can never be continued.
        let part = folder.join(format!("{file}.{}.part", &expected[..16]));
        let url = format!("{}/nomad/{version}/{file}", self.base());
        self.zip(&fetcher, &url, &part, &expected, progress).await?;
        let (zip, to, key) = (part.clone(), folder.to_owned(), self.fingerprint.clone());
        let program = blocking(move || unpack::unpack(&zip, &to, &expected, &key)).await;
        // It has served, or is no use; where only the disk was at fault it is kept.
        if !matches!(program, Err(UnpackError::Disk { .. })) {
            fs::remove_file(&part).map_err(disk("remove", &part))?;
        }
        Ok(program?)
    }

    /// Brings the zip and checks its sum; a bad one that was put together from two transfers is
    /// fetched once more, from its beginning.
    async fn zip(
        &self,
        fetcher: &Fetcher,
        url: &str,
        part: &Path,
        expected: &str,
        progress: OnProgress<'_>,
    ) -> Result<(), ReleaseError> {
        loop {
            let resumed = part.exists();
            let report = |received, total| {
                progress(Progress {
                    stage: Stage::Downloading,
                    received,
                    total,
                });
            };
            fetcher.to_file(url, part, &report).await?;
            at(progress, Stage::Unpacking);
            let zip = part.to_owned();
            let seen = blocking(move || unpack::sha256(&zip))
                .await
                .map_err(disk("read", part))?;
            if seen == expected {
                return Ok(());
            }
            fs::remove_file(part).map_err(disk("remove", part))?;
            if !resumed {
                return Err(ReleaseError::WrongSum {
                    file: url.rsplit('/').next().unwrap_or(url).to_owned(),
                    base: shown(self.base()),
                    expected: expected.to_owned(),
                    seen,
                });
            }
        }
    }

    /// Returns the sums of a version, vouched for by the pinned key.
    async fn verified_sums(
        &self,
        fetcher: &Fetcher,
        version: &Version,
    ) -> Result<String, ReleaseError> {
        let base = format!("{}/nomad/{version}/nomad_{version}_SHA256SUMS", self.base());
        let sums = match fetcher.small(&base, SMALL).await {
            Err(DownloadError::NotFound { .. }) => {
                return Err(ReleaseError::NoSuchVersion {
                    version: version.clone(),
                    base: shown(self.base()),
                    nearest: nearest(version),
                });
            }
            outcome => outcome?,
        };
        let plain = fetcher.small(&format!("{base}.sig"), SMALL).await;
        let signature = match plain {
            Err(DownloadError::NotFound { .. }) => {
                let named = format!("{base}.{SHORT_KEY_ID}.sig");
                match fetcher.small(&named, SMALL).await {
                    Err(DownloadError::NotFound { .. }) => {
                        return Err(ReleaseError::NoSignature {
                            version: version.clone(),
                            base: shown(self.base()),
                        });
                    }
                    outcome => outcome?,
                }
            }
            outcome => outcome?,
        };
        self.check_signature(fetcher, &sums, &signature).await?;
        Ok(String::from_utf8_lossy(&sums).into_owned())
    }

    /// Judges the signature by the user's key file, else by the cached key, else by a fresh one.
    async fn check_signature(
        &self,
        fetcher: &Fetcher,
        sums: &[u8],
        signature: &[u8],
    ) -> Result<(), ReleaseError> {
        let now = now();
        let judge = |key: &[u8]| -> Result<(), Box<SignatureError>> {
            let key = ReleaseKey::read(key, &self.fingerprint, now)?;
            Ok(key.verify(sums, signature)?)
        };
        let untrusted = |origin: String| move |source| ReleaseError::Untrusted { origin, source };
        if let Some(path) = &self.key_file {
            let key = fs::read(path).map_err(|source| ReleaseError::KeyFile {
                path: path.clone(),
                source,
            })?;
            return judge(&key).map_err(untrusted(format!("`{}`", path.display())));
        }
        let kept = self.cache()?.join("release-key.asc");
        let cached = match fs::read(&kept).ok().map(|key| judge(&key)) {
            Some(Ok(())) => return Ok(()),
            // No other copy of the key can make a false signature true.
            Some(Err(source)) if matches!(*source, SignatureError::Mismatch { .. }) => {
                return Err(untrusted(format!("`{}`", kept.display()))(source));
            }
            Some(Err(reason)) => Some(reason),
            None => None,
        };
        let key = fetcher
            .small(&self.key_address, SMALL)
            .await
            .map_err(|source| ReleaseError::NoKey { cached, source })?;
        if ReleaseKey::read(&key, &self.fingerprint, now).is_ok() {
            fs::write(&kept, &key).map_err(disk("write", &kept))?;
        }
        judge(&key).map_err(untrusted(shown(&self.key_address)))
    }

    async fn lock(&self, folder: &Path, progress: OnProgress<'_>) -> Result<File, ReleaseError> {
        fs::create_dir_all(folder).map_err(disk("create", folder))?;
        // Never removed: two processes would then hold locks on two files of one name.
        let path = folder.join(".lock");
        let file = File::create(&path).map_err(disk("create", &path))?;
        let since = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(source)) => return Err(disk("lock", &path)(source)),
                Err(TryLockError::WouldBlock) if since.elapsed() >= self.lock_timeout => {
                    return Err(ReleaseError::Locked {
                        path,
                        waited: since.elapsed(),
                    });
                }
                Err(TryLockError::WouldBlock) => {
                    at(progress, Stage::Waiting);
                    agent::clock::sleep(LOCK_POLL).await;
                }
            }
        }
    }

    fn cache(&self) -> Result<&Path, ReleaseError> {
        self.cache.as_deref().ok_or(ReleaseError::NoCache)
    }

    fn folder(&self, version: &Version, arch: Arch) -> Result<PathBuf, ReleaseError> {
        let releases = self.cache()?.join("releases");
        Ok(releases.join(version.to_string()).join(arch.to_string()))
    }

    fn base(&self) -> &str {
        self.base.trim_end_matches('/')
    }
}

fn at(progress: OnProgress<'_>, stage: Stage) {
    progress(Progress {
        stage,
        received: 0,
        total: None,
    });
}

fn disk(action: &'static str, path: &Path) -> impl Fn(io::Error) -> ReleaseError + use<> {
    let path = path.to_owned();
    move |source| ReleaseError::Disk {
        action,
        path: path.clone(),
        source,
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .expect("reading and unpacking do not panic")
}

/// Seconds since 1970, as OpenPGP counts them.
fn now() -> u32 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}

/// Finds a file's sum in the text of `sha256sum`.
fn sum_of(sums: &str, file: &str) -> Option<String> {
    sums.lines()
        .filter_map(|line| line.split_once(char::is_whitespace))
        .find(|(_, name)| name.trim_start().trim_start_matches('*') == file)
        .map(|(sum, _)| sum.to_ascii_lowercase())
        .filter(|sum| sum.len() == 64 && sum.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// Says which architectures the sums name.
fn linux_builds(sums: &str, version: &Version) -> String {
    let prefix = format!("nomad_{version}_linux_");
    let builds: Vec<String> = sums
        .split_whitespace()
        .filter_map(|word| word.strip_prefix(&prefix)?.strip_suffix(".zip"))
        .map(|arch| format!("`{arch}`"))
        .collect();
    match builds.is_empty() {
        true => "no Linux at all".to_owned(),
        false => builds.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_found_by_the_whole_name_only() {
        let sum = "a".repeat(64);
        let sums =
            format!("{sum}  nomad_1.8.3_linux_amd64.zip\nshort  nomad_1.8.3_linux_arm64.zip\n");
        assert_eq!(sum_of(&sums, "nomad_1.8.3_linux_amd64.zip"), Some(sum));
        assert_eq!(sum_of(&sums, "nomad_1.8.3_linux_arm64.zip"), None);
        assert_eq!(sum_of(&sums, "linux_amd64.zip"), None);
    }
}
