mod keys;
mod server;

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use semver::Version;

use super::*;
use keys::SigningKey;
use server::{Behaviour, Server};

const VERSION: Version = Version::new(1, 8, 3);
const PROGRAM: &[u8] = b"#!/bin/sh\necho 'Nomad v1.8.3'\n";

fn source(server: &Server, cache: &Path, key: &SigningKey) -> ReleaseSource {
    ReleaseSource {
        base: server.base(),
        cache: Some(cache.to_owned()),
        key_file: None,
        key_address: format!("{}/pgp-key.txt", server.base()),
        fingerprint: key.fingerprint(),
        connect_timeout: Duration::from_secs(5),
        stall_timeout: Duration::from_secs(5),
        lock_timeout: Duration::from_secs(20),
    }
}

fn quiet(_: Progress) {}

async fn fetch(source: &ReleaseSource) -> Result<std::path::PathBuf, ReleaseError> {
    source.fetch(&VERSION, Arch::Amd64, &quiet).await
}

/// The error, its causes and its hint, as a user sees them.
fn told(error: &ReleaseError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    format!("{text} | {}", error.hint().unwrap_or_default())
}

/// What is left in the release's cache folder, sorted; without the lock.
fn left(cache: &Path) -> Vec<String> {
    let folder = cache.join("releases/1.8.3/amd64");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != ".lock")
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_release_is_fetched_verified_and_made_executable() {
    let key = SigningKey::generate();
    let server = Server::start(&key, PROGRAM).await;
    let cache = tempfile::tempdir().unwrap();
    let stages = Mutex::new(Vec::new());
    let program = source(&server, cache.path(), &key)
        .fetch(&VERSION, Arch::Amd64, &|progress: Progress| {
            stages.lock().unwrap().push(progress);
        })
        .await
        .unwrap();

    assert_eq!(std::fs::read(&program).unwrap(), PROGRAM);
    assert_eq!(left(cache.path()), ["nomad", "release.json"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&program).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
    }
    let stages = stages.into_inner().unwrap();
    assert_eq!(stages.first().unwrap().stage, Stage::Verifying);
    assert_eq!(stages.last().unwrap().stage, Stage::Unpacking);
    let downloaded = stages
        .iter()
        .rfind(|one| one.stage == Stage::Downloading)
        .unwrap();
    assert_eq!(downloaded.total, Some(server.zip_length()));
    assert_eq!(downloaded.received, server.zip_length());
}

#[tokio::test]
async fn a_cached_release_needs_no_network() {
    let key = SigningKey::generate();
    let server = Server::start(&key, PROGRAM).await;
    let cache = tempfile::tempdir().unwrap();
    let source = source(&server, cache.path(), &key);
    assert_eq!(source.cached(&VERSION, Arch::Amd64), None);
    let first = fetch(&source).await.unwrap();
    server.stop().await;

    assert_eq!(source.cached(&VERSION, Arch::Amd64), Some(first.clone()));
    assert_eq!(source.cached(&VERSION, Arch::Arm64), None);
    assert_eq!(fetch(&source).await.unwrap(), first);
}

#[tokio::test]
async fn a_cached_program_cut_short_does_not_count() {
    let key = SigningKey::generate();
    let server = Server::start(&key, PROGRAM).await;
    let cache = tempfile::tempdir().unwrap();
    let source = source(&server, cache.path(), &key);
    let program = fetch(&source).await.unwrap();
    std::fs::write(&program, &PROGRAM[..5]).unwrap();

    assert_eq!(source.cached(&VERSION, Arch::Amd64), None);
    fetch(&source).await.unwrap();
    assert_eq!(std::fs::read(&program).unwrap(), PROGRAM);
}

#[tokio::test]
async fn the_signature_is_found_under_the_keys_short_id_too() {
    let key = SigningKey::generate();
    let server = Server::start(&key, PROGRAM).await;
    server.behave(Behaviour {
        short_id_signature_only: true,
        ..Behaviour::default()
    });
    let cache = tempfile::tempdir().unwrap();
    fetch(&source(&server, cache.path(), &key)).await.unwrap();
}

#[tokio::test]
async fn sums_that_nobody_signed_are_refused() {
    let key = SigningKey::generate();
    let server = Server::start(&key, PROGRAM).await;
    server.behave(Behaviour {
        no_signature: true,
        ..Behaviour::default()
    });
    let cache = tempfile::tempdir().unwrap();
    let error = fetch(&source(&server, cache.path(), &key))
        .await
        .unwrap_err();
    assert!(
        matches!(error, ReleaseError::NoSignature { .. }),
        "{error:?}"
    );
    assert!(left(cache.path()).is_empty());
}

#[tokio::test]
async fn a_zip_with_another_sum_is_refused_and_not_kept() {
    let key = SigningKey::generate();
    let server = Server::start(&key, PROGRAM).await;
    server.behave(Behaviour {
        spoil_zip: true,
        ..Behaviour::default()
    });
    let cache = tempfile::tempdir().unwrap();
    let error = fetch(&source(&server, cache.path(), &key))
        .await
        .unwrap_err();
    let told = told(&error);
    assert!(matches!(error, ReleaseError::WrongSum { .. }), "{told}");
    assert!(told.contains("`nomad_1.8.3_linux_amd64.zip`"), "{told}");
    assert!(left(cache.path()).is_empty());
}

#[tokio::test]
async fn a_signed_file_that_is_no_zip_is_refused_and_not_kept() {
    let key = SigningKey::generate();
    let server = Server::start_with_zip(&key, b"PK\x03\x04 but nothing after it".to_vec()).await;
    let cache = tempfile::tempdir().unwrap();
    let error = fetch(&source(&server, cache.path(), &key))
        .await
        .unwrap_err();
    assert!(
        matches!(error, ReleaseError::Unpack(UnpackError::Zip { .. })),
        "{}",
        told(&error)
    );
    assert!(left(cache.path()).is_empty());
}

#[tokio::test]
async fn sums_changed_after_signing_are_refused() {
    let key = SigningKey::generate();
    let server = Server::start(&key, PROGRAM).await;
    server.behave(Behaviour {
        spoil_sums: true,
        ..Behaviour::default()
    });
    let cache = tempfile::tempdir().unwrap();
    let source = source(&server, cache.path(), &key);
    for attempt in ["with the key just fetched", "with the key from the cache"] {
        let error = fetch(&source).await.unwrap_err();
        assert!(
            matches!(&error, ReleaseError::Untrusted { source, .. }
                if matches!(**source, SignatureError::Mismatch { .. })),
            "{attempt}: {}",
            told(&error)
        );
    }
    assert!(left(cache.path()).is_empty());
}

#[tokio::test]
async fn a_key_of_another_fingerprint_is_refused_wherever_it_comes_from() {
    let (key, other) = (SigningKey::generate(), SigningKey::generate());
    // The other key signed everything, and is served as the release key.
    let server = Server::start(&other, PROGRAM).await;
    let cache = tempfile::tempdir().unwrap();
    let file = cache.path().join("given.asc");
    std::fs::write(&file, other.public_text()).unwrap();
    let from_server = source(&server, cache.path(), &key);
    let from_file = ReleaseSource {
        key_file: Some(file),
        ..from_server.clone()
    };
    for source in [from_server, from_file] {
        let error = fetch(&source).await.unwrap_err();
        let told = told(&error);
        assert!(
            matches!(&error, ReleaseError::Untrusted { source, .. }
                if matches!(**source, SignatureError::OtherKey { .. })),
            "{told}"
        );
        assert!(told.contains(&key.fingerprint()), "{told}");
        assert!(told.contains(&other.fingerprint()), "{told}");
    }
    assert!(!cache.path().join("release-key.asc").exists());
}

#[tokio::test]
async fn an_expired_cached_key_is_replaced_by_the_one_issued_again() {
    let key = SigningKey::generate();
    let server = Server::start(&key, PROGRAM).await;
    let cache = tempfile::tempdir().unwrap();
    let kept = cache.path().join("release-key.asc");
    std::fs::write(&kept, key.expired_public_text()).unwrap();
    let source = source(&server, cache.path(), &key);
    fetch(&source).await.unwrap();
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), key.public_text());
}

#[tokio::test]
async fn an_expired_key_file_is_told_apart_from_a_wrong_one() {
    let key = SigningKey::generate();
    let server = Server::start(&key, PROGRAM).await;
    let cache = tempfile::tempdir().unwrap();
    let file = cache.path().join("old.asc");
    std::fs::write(&file, key.expired_public_text()).unwrap();
    let mut source = source(&server, cache.path(), &key);
    source.key_file = Some(file);
    let told = told(&fetch(&source).await.unwrap_err());
    assert!(told.contains("expired on 2021-"), "{told}");
    assert!(told.contains("pgp-key.txt"), "{told}");
}

#[tokio::test]
async fn without_any_key_the_error_says_where_to_get_one() {
    let key = SigningKey::generate();
    let server = Server::start(&key, PROGRAM).await;
    let cache = tempfile::tempdir().unwrap();
    let mut source = source(&server, cache.path(), &key);
    source.key_address = format!("{}/no-key-here", server.base());
    let error = fetch(&source).await.unwrap_err();
    let told = told(&error);
    assert!(matches!(error, ReleaseError::NoKey { .. }), "{told}");
    assert!(told.contains("--release-key key.asc"), "{told}");
}

#[tokio::test]
async fn a_version_the_server_lacks_does_not_exist() {
    let key = SigningKey::generate();
    let server = Server::start(&key, PROGRAM).await;
    let cache = tempfile::tempdir().unwrap();
    let source = source(&server, cache.path(), &key);
    let absent = Version::new(1, 8, 1);
    let error = source
        .fetch(&absent, Arch::Amd64, &quiet)
        .await
        .unwrap_err();
    let told = told(&error);
    assert!(
        matches!(error, ReleaseError::NoSuchVersion { .. }),
        "{told}"
    );
    assert!(told.contains("`1.7.7`, `1.8.4`, `1.9.7`"), "{told}");
}

#[tokio::test]
async fn an_architecture_the_sums_lack_names_those_they_have() {
    let key = SigningKey::generate();
    let server = Server::start(&key, PROGRAM).await;
    let cache = tempfile::tempdir().unwrap();
    let source = source(&server, cache.path(), &key);
    let error = source
        .fetch(&VERSION, Arch::Arm64, &quiet)
        .await
        .unwrap_err();
    let told = told(&error);
    assert!(matches!(error, ReleaseError::NotBuilt { .. }), "{told}");
    assert!(told.contains("`amd64`"), "{told}");
}

#[tokio::test]
async fn what_cannot_exist_is_refused_without_asking() {
    let key = SigningKey::generate();
    let server = Server::start(&key, PROGRAM).await;
    let cache = tempfile::tempdir().unwrap();
    let source = source(&server, cache.path(), &key);
    let error = source
        .fetch(&VERSION, Arch::S390x, &quiet)
        .await
        .unwrap_err();
    assert!(matches!(error, ReleaseError::Unavailable(_)), "{error:?}");
    assert!(server.requests().is_empty(), "{:?}", server.requests());
}

#[tokio::test]
async fn nobody_at_the_address_is_told_as_such() {
    let key = SigningKey::generate();
    let server = Server::start(&key, PROGRAM).await;
    let cache = tempfile::tempdir().unwrap();
    let source = source(&server, cache.path(), &key);
    source.reachable().await.unwrap();
    server.stop().await;
    let error = fetch(&source).await.unwrap_err();
    let told = told(&error);
    assert!(
        matches!(
            error,
            ReleaseError::Download(DownloadError::Unreachable { .. })
        ),
        "{told}"
    );
    assert!(told.contains("--engine simulator"), "{told}");
    source.reachable().await.unwrap_err();
}

#[tokio::test]
async fn silence_ends_a_fetch_and_keeps_what_came() {
    let key = SigningKey::generate();
    let program = noise(400_000);
    let server = Server::start(&key, &program).await;
    server.behave(Behaviour {
        stall_after: Some(100_000),
        ..Behaviour::default()
    });
    let cache = tempfile::tempdir().unwrap();
    let mut source = source(&server, cache.path(), &key);
    source.stall_timeout = Duration::from_millis(300);
    let error = fetch(&source).await.unwrap_err();
    let ReleaseError::Download(DownloadError::Stalled { received, .. }) = error else {
        panic!("{}", told(&error));
    };
    assert_eq!(received, 100_000);

    server.behave(Behaviour::default());
    let fetched = fetch(&source).await.unwrap();
    assert_eq!(std::fs::read(fetched).unwrap(), program);
    assert_eq!(server.ranges(), ["bytes=100000-"]);
}

#[tokio::test]
async fn a_broken_transfer_goes_on_where_it_stopped() {
    let key = SigningKey::generate();
    let program = noise(400_000);
    let server = Server::start(&key, &program).await;
    server.behave(Behaviour {
        cut_after: Some(150_000),
        ..Behaviour::default()
    });
    let cache = tempfile::tempdir().unwrap();
    let fetched = fetch(&source(&server, cache.path(), &key)).await.unwrap();
    assert_eq!(std::fs::read(fetched).unwrap(), program);
    assert_eq!(server.ranges(), ["bytes=150000-", "bytes=300000-"]);
}

#[tokio::test]
async fn a_transfer_that_brings_nothing_more_ends_and_a_later_fetch_goes_on() {
    let key = SigningKey::generate();
    let program = noise(400_000);
    let server = Server::start(&key, &program).await;
    server.behave(Behaviour {
        dead_after: Some(150_000),
        ..Behaviour::default()
    });
    let cache = tempfile::tempdir().unwrap();
    let source = source(&server, cache.path(), &key);
    let error = fetch(&source).await.unwrap_err();
    let told = told(&error);
    assert!(
        matches!(
            error,
            ReleaseError::Download(DownloadError::Broken {
                received: 150_000,
                ..
            })
        ),
        "{told}"
    );
    assert!(told.contains("150000 of "), "{told}");

    server.behave(Behaviour::default());
    let fetched = fetch(&source).await.unwrap();
    assert_eq!(std::fs::read(fetched).unwrap(), program);
}

#[tokio::test]
async fn a_server_without_ranges_is_fetched_from_the_beginning() {
    let key = SigningKey::generate();
    let program = noise(400_000);
    let server = Server::start(&key, &program).await;
    server.behave(Behaviour {
        dead_after: Some(150_000),
        ..Behaviour::default()
    });
    let cache = tempfile::tempdir().unwrap();
    let source = source(&server, cache.path(), &key);
    fetch(&source).await.unwrap_err();

    server.behave(Behaviour {
        no_ranges: true,
        ..Behaviour::default()
    });
    let fetched = fetch(&source).await.unwrap();
    assert_eq!(std::fs::read(fetched).unwrap(), program);
}

#[tokio::test]
async fn a_part_spoilt_on_disk_is_thrown_away_and_fetched_anew() {
    let key = SigningKey::generate();
    let program = noise(400_000);
    let server = Server::start(&key, &program).await;
    server.behave(Behaviour {
        dead_after: Some(150_000),
        ..Behaviour::default()
    });
    let cache = tempfile::tempdir().unwrap();
    let source = source(&server, cache.path(), &key);
    fetch(&source).await.unwrap_err();
    let part = cache
        .path()
        .join("releases/1.8.3/amd64")
        .join(&left(cache.path())[0]);
    std::fs::write(&part, vec![0; 150_000]).unwrap();

    server.behave(Behaviour::default());
    let fetched = fetch(&source).await.unwrap();
    assert_eq!(std::fs::read(fetched).unwrap(), program);
}

#[tokio::test]
async fn a_part_that_is_whole_already_needs_no_second_transfer() {
    let key = SigningKey::generate();
    let server = Server::start(&key, PROGRAM).await;
    let cache = tempfile::tempdir().unwrap();
    let source = source(&server, cache.path(), &key);
    server.leave_whole_part(&cache.path().join("releases/1.8.3/amd64"));
    let fetched = fetch(&source).await.unwrap();
    assert_eq!(std::fs::read(fetched).unwrap(), PROGRAM);
}

#[tokio::test]
async fn two_fetches_at_once_make_one_download() {
    let key = SigningKey::generate();
    let program = noise(400_000);
    let server = Server::start(&key, &program).await;
    let cache = tempfile::tempdir().unwrap();
    let source = source(&server, cache.path(), &key);
    let (one, two) = tokio::join!(fetch(&source), fetch(&source));
    assert_eq!(one.unwrap(), two.unwrap());
    let zips = server
        .requests()
        .into_iter()
        .filter(|path| path.ends_with(".zip"))
        .count();
    assert_eq!(zips, 1);
}

#[tokio::test]
async fn a_lock_that_is_never_given_up_is_named() {
    let key = SigningKey::generate();
    let server = Server::start(&key, PROGRAM).await;
    let cache = tempfile::tempdir().unwrap();
    let mut source = source(&server, cache.path(), &key);
    source.lock_timeout = Duration::from_millis(150);
    let folder = cache.path().join("releases/1.8.3/amd64");
    std::fs::create_dir_all(&folder).unwrap();
    let lock = std::fs::File::create(folder.join(".lock")).unwrap();
    lock.lock().unwrap();
    let error = fetch(&source).await.unwrap_err();
    let told = told(&error);
    assert!(matches!(error, ReleaseError::Locked { .. }), "{told}");
    assert!(told.contains(".lock"), "{told}");
    drop(lock);
    fetch(&source).await.unwrap();
}

/// Bytes that do not compress, the same every time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    })
    .take(length)
    .collect()
}
