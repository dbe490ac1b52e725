//! Images made here: one layer, written as the tar that `docker save` would write and sent to
//! `docker load`. That is the one way which behaves alike on every engine and image store:
//! `import` ignores the platform before Engine 23, a build wants a builder, and OCI layouts are
//! refused by the classic store.
//!
//! Content alone decides the bytes (no times, a fixed order), so that its hash can be the tag.
//! An archive is streamed: it may be larger than this process ought to be.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::stream::BoxStream;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::Labels;
use crate::spec::Arch;

/// Bytes sent to the engine in one piece.
const CHUNK: usize = 256 * 1024;
/// Pieces that may wait for the engine.
const CHUNKS_WAITING_MAX: usize = 4;

/// Where a file's bytes come from.
#[derive(Clone, Debug)]
pub enum Content {
    /// From here.
    Text(String),
    /// From this program.
    Bytes(&'static [u8]),
    /// From a file of this machine.
    File(PathBuf),
}

/// What is at a path in the image.
#[derive(Clone, Debug)]
enum Kind {
    Folder,
    File(Content),
    Link(String),
}

#[derive(Clone, Debug)]
struct Entry {
    path: String,
    mode: u32,
    owner: u32,
    kind: Kind,
}

/// What an image is to hold.
#[derive(Clone, Debug)]
pub struct ImageRecipe {
    /// Its architecture.
    pub arch: Arch,
    /// Environment of its processes, `KEY=VALUE`.
    pub env: Vec<String>,
    /// Its labels.
    pub labels: Labels,
    /// The image that it stands on, by ID; `None` from scratch.
    pub base: Option<String>,
    entries: Vec<Entry>,
}

impl ImageRecipe {
    /// Returns an empty image.
    #[must_use]
    pub fn new(arch: Arch) -> Self {
        Self {
            arch,
            env: Vec::new(),
            labels: Labels::new(),
            base: None,
            entries: Vec::new(),
        }
    }

    /// Adds a folder; `path` is absolute. Its parents come along, root's and readable by all.
    pub fn folder(&mut self, path: &str, mode: u32, owner: u32) {
        self.add(path, mode, owner, Kind::Folder);
    }

    /// Adds a file that belongs to root.
    pub fn file(&mut self, path: &str, mode: u32, content: Content) {
        self.add(path, mode, 0, Kind::File(content));
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, path: &str, target: &str) {
        self.add(path, 0o777, 0, Kind::Link(target.to_owned()));
    }

    fn add(&mut self, path: &str, mode: u32, owner: u32, kind: Kind) {
        let path = path.trim_start_matches('/');
        for (at, _) in path.match_indices('/') {
            let parent = &path[..at];
            if !self.entries.iter().any(|entry| entry.path == parent) {
                self.entries.push(Entry {
                    path: parent.to_owned(),
                    mode: 0o755,
                    owner: 0,
                    kind: Kind::Folder,
                });
            }
        }
        self.entries.retain(|entry| entry.path != path);
        self.entries.push(Entry {
            path: path.to_owned(),
            mode,
            owner,
            kind,
        });
    }

    /// Returns a text that differs as soon as any file's size or time differs. Far cheaper than
    /// reading all files, and enough to know an image that was made before on this machine.
    ///
    /// # Errors
    /// When a file cannot be looked at.
    pub fn fingerprint(&self) -> io::Result<String> {
        use std::os::unix::fs::MetadataExt as _;
        let mut hash = Sha256::new();
        hash.update(format!("1 {} {:?} {:?}", self.arch, self.env, self.labels));
        hash.update(self.base.as_deref().unwrap_or_default());
        for entry in &self.entries {
            hash.update(format!(
                "\n{} {:o} {} ",
                entry.path, entry.mode, entry.owner
            ));
            match &entry.kind {
                Kind::Folder => {}
                Kind::Link(target) => hash.update(target),
                Kind::File(Content::Text(text)) => hash.update(text),
                Kind::File(Content::Bytes(bytes)) => hash.update(bytes),
                Kind::File(Content::File(path)) => {
                    let meta = std::fs::metadata(path).map_err(|error| named(path, &error))?;
                    hash.update(format!(
                        "{} {} {} {}.{} {}.{}",
                        meta.dev(),
                        meta.ino(),
                        meta.size(),
                        meta.mtime(),
                        meta.mtime_nsec(),
                        meta.ctime(),
                        meta.ctime_nsec()
                    ));
                }
            }
        }
        Ok(hex(&hash.finalize()))
    }

    /// Reads every file and fixes the image's name: `REPOSITORY:<content's hash>-<architecture>`.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn seal(self, repository: &str) -> io::Result<ImageArchive> {
        let mut counter = Counter {
            hash: Sha256::new(),
            bytes: 0,
        };
        self.write_layer(&mut counter)?;
        let layer = hex(&counter.hash.finalize());
        let config = json!({
            "architecture": self.arch.to_string(),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": { "Env": self.env, "Labels": self.labels },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer}")] },
            "history": [{
                "created": "1970-01-01T00:00:00Z",
                "created_by": "rehearse",
                "comment": self.base.as_ref().map(|base| format!("on {base}")),
            }],
        })
        .to_string();
        let digest = hex(&Sha256::digest(&config));
        Ok(ImageArchive {
            name: format!("{repository}:{}-{}", &digest[..12], self.arch),
            config,
            digest,
            layer_bytes: counter.bytes,
            recipe: self,
        })
    }

    fn write_layer(&self, out: impl Write) -> io::Result<()> {
        let mut tar = tar::Builder::new(out);
        for entry in &self.entries {
            let mut header = tar::Header::new_gnu();
            header.set_mode(entry.mode);
            header.set_uid(entry.owner.into());
            header.set_gid(entry.owner.into());
            header.set_mtime(0);
            match &entry.kind {
                Kind::Folder => {
                    header.set_entry_type(tar::EntryType::Directory);
                    header.set_size(0);
                    tar.append_data(&mut header, format!("{}/", entry.path), io::empty())?;
                }
                Kind::Link(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_size(0);
                    tar.append_link(&mut header, &entry.path, target)?;
                }
                Kind::File(Content::Text(text)) => {
                    header.set_size(text.len() as u64);
                    tar.append_data(&mut header, &entry.path, text.as_bytes())?;
                }
                Kind::File(Content::Bytes(bytes)) => {
                    header.set_size(bytes.len() as u64);
                    tar.append_data(&mut header, &entry.path, *bytes)?;
                }
                Kind::File(Content::File(path)) => {
                    let file = std::fs::File::open(path).map_err(|error| named(path, &error))?;
                    let size = file.metadata().map_err(|error| named(path, &error))?.len();
                    header.set_size(size);
                    // A file that grows meanwhile must not spoil what follows it.
                    let file = io::Read::take(file, size);
                    tar.append_data(&mut header, &entry.path, file)?;
                }
            }
        }
        tar.finish()
    }
}

/// An image whose name is known, ready to be sent.
#[derive(Debug)]
pub struct ImageArchive {
    name: String,
    config: String,
    digest: String,
    layer_bytes: u64,
    recipe: ImageRecipe,
}

impl ImageArchive {
    /// Returns the image's name with its tag.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the size of the archive in bytes, headers left out.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.layer_bytes
    }

    /// Writes the archive.
    ///
    /// # Errors
    /// When a file cannot be read any more, or is not what was hashed.
    pub fn write(&self, out: impl Write) -> io::Result<()> {
        let config_name = format!("{}.json", self.digest);
        let manifest = json!([{
            "Config": config_name,
            "RepoTags": [self.name],
            "Layers": ["layer.tar"],
        }])
        .to_string();
        let mut tar = tar::Builder::new(out);
        let header = |size: u64| {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_mtime(0);
            header.set_size(size);
            header
        };
        for (name, text) in [("manifest.json", &manifest), (&config_name, &self.config)] {
            tar.append_data(&mut header(text.len() as u64), name, text.as_bytes())?;
        }
        // The layer is written in place: the builder would want it as a reader.
        let mut layer = header(self.layer_bytes);
        layer.set_path("layer.tar")?;
        layer.set_cksum();
        let out = tar.get_mut();
        out.write_all(layer.as_bytes())?;
        self.recipe.write_layer(&mut *out)?;
        let beyond = self.layer_bytes % 512;
        if beyond > 0 {
            let padding = usize::try_from(512 - beyond).expect("less than 512");
            out.write_all(&[0; 512][..padding])?;
        }
        tar.finish()
    }

    /// Returns the archive piece by piece, made on a thread of its own.
    #[must_use]
    pub fn stream(self) -> BoxStream<'static, io::Result<Bytes>> {
        self.pieces(|archive, out| archive.write(out))
    }

    /// Returns the files alone as a tar, piece by piece: what goes on top of a base.
    #[must_use]
    pub fn layer(self) -> BoxStream<'static, io::Result<Bytes>> {
        self.pieces(|archive, out| archive.recipe.write_layer(out))
    }

    /// Returns what the image is to hold.
    #[must_use]
    pub fn recipe(&self) -> &ImageRecipe {
        &self.recipe
    }

    fn pieces(
        self,
        write: fn(&Self, &mut dyn Write) -> io::Result<()>,
    ) -> BoxStream<'static, io::Result<Bytes>> {
        let (sender, receiver) = tokio::sync::mpsc::channel(CHUNKS_WAITING_MAX);
        tokio::task::spawn_blocking(move || {
            let mut pieces = io::BufWriter::with_capacity(
                CHUNK,
                Pieces {
                    sender: sender.clone(),
                },
            );
            let outcome = write(&self, &mut pieces).and_then(|()| pieces.flush());
            if let Err(error) = outcome {
                // The receiver is gone when the engine refused the rest: it said why itself.
                drop(sender.blocking_send(Err(error)));
            }
        });
        let next = |mut receiver: tokio::sync::mpsc::Receiver<_>| async move {
            receiver.recv().await.map(|piece| (piece, receiver))
        };
        Box::pin(futures::stream::unfold(receiver, next))
    }
}

/// Sends what is written.
struct Pieces {
    sender: tokio::sync::mpsc::Sender<io::Result<Bytes>>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sender
            .blocking_send(Ok(Bytes::copy_from_slice(bytes)))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hashes and counts what is written.
struct Counter {
    hash: Sha256,
    bytes: u64,
}

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A tar of single files and folders for a container that was not started yet. Everything
/// belongs to `owner`.
#[must_use]
pub fn upload(owner: u32, folders: &[(&str, u32)], files: &[(String, &str)]) -> Bytes {
    let mut tar = tar::Builder::new(Vec::new());
    let mut append = |path: &str, mode: u32, entry_type: tar::EntryType, data: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(entry_type);
        header.set_mode(mode);
        header.set_uid(owner.into());
        header.set_gid(owner.into());
        header.set_mtime(0);
        header.set_size(data.len() as u64);
        let path = path.trim_start_matches('/');
        tar.append_data(&mut header, path, data)
            .expect("a vector takes any tar, and the paths are short");
    };
    for (path, mode) in folders {
        append(&format!("{path}/"), *mode, tar::EntryType::Directory, &[]);
    }
    for (path, text) in files {
        append(path, 0o600, tar::EntryType::Regular, text.as_bytes());
    }
    let bytes = tar.into_inner().expect("a vector takes any tar");
    bytes.into()
}

/// A file or a link for a container that was not started yet. Both belong to root.
#[derive(Clone, Debug)]
pub struct Member {
    path: String,
    mode: u32,
    kind: Kind,
}

impl Member {
    /// Returns a file.
    #[must_use]
    pub fn file(path: impl Into<String>, mode: u32, text: &str) -> Self {
        Self {
            path: path.into(),
            mode,
            kind: Kind::File(Content::Text(text.to_owned())),
        }
    }

    /// Returns a symbolic link.
    #[must_use]
    pub fn link(path: impl Into<String>, target: &str) -> Self {
        Self {
            path: path.into(),
            mode: 0o777,
            kind: Kind::Link(target.to_owned()),
        }
    }
}

/// A tar of such members. Folders on the way are the image's, or made by the engine.
#[must_use]
pub fn bundle(members: &[Member]) -> Bytes {
    let mut tar = tar::Builder::new(Vec::new());
    for member in members {
        let mut header = tar::Header::new_gnu();
        header.set_mode(member.mode);
        header.set_mtime(0);
        let path = member.path.trim_start_matches('/');
        let written = match &member.kind {
            Kind::Link(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                tar.append_link(&mut header, path, target)
            }
            Kind::File(Content::Text(text)) => {
                header.set_size(text.len() as u64);
                tar.append_data(&mut header, path, text.as_bytes())
            }
            _ => unreachable!("members are files of text, or links"),
        };
        written.expect("a vector takes any tar");
    }
    tar.into_inner().expect("a vector takes any tar").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(program: &Path) -> ImageRecipe {
        let mut recipe = ImageRecipe::new(Arch::S390x);
        recipe.folder("/tmp", 0o1777, 0);
        recipe.file("/bin/program", 0o755, Content::File(program.to_owned()));
        recipe.file(
            "/etc/passwd",
            0o644,
            Content::Text("root:x:0:0\n".to_owned()),
        );
        recipe
    }

    fn program(folder: &Path, bytes: &[u8]) -> PathBuf {
        let path = folder.join("program");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn the_same_content_has_the_same_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = program(folder.path(), b"one");
        let name = |path: &Path| {
            let archive = recipe(path).seal("rehearse/agent").unwrap();
            archive.name().to_owned()
        };
        let first = name(&path);
        assert!(
            first.starts_with("rehearse/agent:") && first.ends_with("-s390x"),
            "{first}"
        );
        let print = recipe(&path).fingerprint().unwrap();
        assert_eq!(name(&path), first);
        assert_eq!(recipe(&path).fingerprint().unwrap(), print);
        let path = program(folder.path(), b"two!");
        assert_ne!(name(&path), first);
        assert_ne!(recipe(&path).fingerprint().unwrap(), print);
    }

    #[tokio::test]
    async fn what_is_streamed_is_an_archive_whose_layer_is_the_one_promised() {
        use futures::TryStreamExt as _;
        let folder = tempfile::tempdir().unwrap();
        let content = vec![7; 700_001];
        let path = program(folder.path(), &content);
        let archive = recipe(&path).seal("rehearse/agent").unwrap();
        let config: serde_json::Value = serde_json::from_str(&archive.config).unwrap();
        let pieces: Vec<Bytes> = archive.stream().try_collect().await.unwrap();
        let bytes = pieces.concat();
        let mut outer = tar::Archive::new(bytes.as_slice());
        let mut layer = Vec::new();
        let mut names = Vec::new();
        for entry in outer.entries().unwrap() {
            let mut entry = entry.unwrap();
            names.push(entry.path().unwrap().display().to_string());
            layer.clear();
            io::Read::read_to_end(&mut entry, &mut layer).unwrap();
        }
        assert_eq!(names[0], "manifest.json");
        assert_eq!(names[2], "layer.tar");
        let promised = config.pointer("/rootfs/diff_ids/0").unwrap();
        assert_eq!(
            promised,
            &format!("sha256:{}", hex(&Sha256::digest(&layer)))
        );
        let mut inner = tar::Archive::new(layer.as_slice());
        let inside: Vec<String> = inner
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(
            inside,
            ["tmp/", "bin/", "bin/program", "etc/", "etc/passwd"]
        );
    }

    #[test]
    fn an_absent_file_is_named() {
        let error = recipe(Path::new("/nonexistent/program"))
            .seal("x")
            .unwrap_err();
        assert!(
            error.to_string().contains("/nonexistent/program"),
            "{error}"
        );
    }
}
