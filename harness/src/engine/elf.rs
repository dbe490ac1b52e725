//! What a Linux program needs besides itself: the machine it is built for, its interpreter and
//! its libraries, found where this machine's own loader would find them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use object::elf::{DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_STRTAB, FileHeader64, PT_LOAD};
use object::elf::{EM_AARCH64, EM_S390, EM_X86_64};
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _};
use object::{Endianness, ReadCache, ReadRef as _};

use crate::spec::Arch;

/// Libraries that one program may need: a bound against files that lie.
const LIBRARIES_MAX: usize = 64;

/// Why a program is of no use in a container.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// The file cannot be read.
    #[error("it cannot be read")]
    Read(#[from] std::io::Error),
    /// It is no 64-bit ELF file.
    #[error("it is not a 64-bit Linux program (ELF): {0}")]
    NotElf(String),
    /// A library is nowhere to be found.
    #[error("library `{library}`, which it needs, is not on this machine (looked in {looked})")]
    Missing {
        /// The library.
        library: String,
        /// The folders.
        looked: String,
    },
}

/// What a program says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Elf {
    /// The machine, in our words where it is one of ours.
    pub(super) machine: Result<Arch, String>,
    /// The loader; none where it is linked statically.
    pub(super) interpreter: Option<PathBuf>,
    needed: Vec<String>,
    run_path: Vec<String>,
}

/// Reads a program's head.
pub(super) fn read(path: &Path) -> Result<Elf, ElfError> {
    let cache = ReadCache::new(File::open(path)?);
    let wrong = |error: object::read::Error| ElfError::NotElf(error.to_string());
    let header = FileHeader64::<Endianness>::parse(&cache).map_err(wrong)?;
    let endian = header.endian().map_err(wrong)?;
    let segments = header.program_headers(endian, &cache).map_err(wrong)?;
    let mut elf = Elf {
        machine: machine(header.e_machine(endian)),
        interpreter: None,
        needed: Vec::new(),
        run_path: Vec::new(),
    };
    for segment in segments {
        if let Some(name) = segment.interpreter(endian, &cache).map_err(wrong)? {
            elf.interpreter = Some(PathBuf::from(String::from_utf8_lossy(name).into_owned()));
        }
        let Some(entries) = segment.dynamic(endian, &cache).map_err(wrong)? else {
            continue;
        };
        let tagged = |tag: u32| {
            entries
                .iter()
                .filter(move |entry| entry.d_tag(endian) == u64::from(tag))
                .map(move |entry| entry.d_val(endian))
        };
        let Some(strings) = tagged(DT_STRTAB).next() else {
            continue;
        };
        // The table is given by where it is in memory; the file's segments say where that is.
        let in_file = segments.iter().find_map(|load| {
            let start = load.p_vaddr(endian);
            let inside = load.p_type(endian) == PT_LOAD
                && (start..start + load.p_filesz(endian)).contains(&strings);
            inside.then(|| load.p_offset(endian) + (strings - start))
        });
        let Some(table) = in_file else { continue };
        let text = |offset: u64| {
            let range = table + offset..table + offset + 4096;
            let end = cache.len().unwrap_or(range.end).min(range.end);
            let bytes = (&cache).read_bytes_at_until(range.start..end, 0).ok()?;
            Some(String::from_utf8_lossy(bytes).into_owned())
        };
        elf.needed = tagged(DT_NEEDED).filter_map(text).collect();
        elf.run_path = tagged(DT_RUNPATH)
            .chain(tagged(DT_RPATH))
            .filter_map(text)
            .flat_map(|paths| paths.split(':').map(str::to_owned).collect::<Vec<_>>())
            .collect();
    }
    Ok(elf)
}

fn machine(number: u16) -> Result<Arch, String> {
    match number {
        EM_X86_64 => Ok(Arch::Amd64),
        EM_AARCH64 => Ok(Arch::Arm64),
        EM_S390 => Ok(Arch::S390x),
        other => Err(format!("ELF machine {other}")),
    }
}

/// Files that must be in the image beside a program: path there → file here.
#[derive(Clone, Debug, Default)]
pub(super) struct Needs {
    /// The loader and the libraries.
    pub(super) files: BTreeMap<PathBuf, PathBuf>,
    /// Folders that the loader would not look into by itself.
    pub(super) library_path: Vec<PathBuf>,
}

/// Finds all that a program needs, libraries of libraries included.
pub(super) fn needs(program: &Path, elf: &Elf) -> Result<Needs, ElfError> {
    let mut found = Needs::default();
    let Some(interpreter) = &elf.interpreter else {
        return Ok(found);
    };
    found.files.insert(interpreter.clone(), interpreter.clone());
    let defaults = default_folders(interpreter);
    let mut open: Vec<(PathBuf, Elf)> = vec![(program.to_owned(), elf.clone())];
    while let Some((user, head)) = open.pop() {
        for library in &head.needed {
            let known = |path: &PathBuf| path.file_name().is_some_and(|n| n == library.as_str());
            if found.files.keys().any(known) {
                continue;
            }
            let run_path = head.run_path.iter().map(|path| expand(path, &user));
            let folders: Vec<PathBuf> = run_path.chain(defaults.iter().cloned()).collect();
            let (path, inner) = find(library, &folders, &elf.machine)?;
            let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
            if !is_builtin(&folder) && !found.library_path.contains(&folder) {
                found.library_path.push(folder);
            }
            found.files.insert(path.clone(), path.clone());
            open.push((path, inner));
            if found.files.len() > LIBRARIES_MAX {
                return Err(ElfError::NotElf("it needs too many libraries".to_owned()));
            }
        }
    }
    Ok(found)
}

fn find(
    library: &str,
    folders: &[PathBuf],
    machine: &Result<Arch, String>,
) -> Result<(PathBuf, Elf), ElfError> {
    let fits = |folder: &PathBuf| {
        let path = folder.join(library);
        let elf = read(&path).ok()?;
        (elf.machine == *machine).then_some((path, elf))
    };
    folders
        .iter()
        .find_map(fits)
        .ok_or_else(|| ElfError::Missing {
            library: library.to_owned(),
            looked: folders
                .iter()
                .map(|folder| folder.display().to_string())
                .collect::<Vec<_>>()
                .join(", "),
        })
}

/// Replaces the loader's word for "where the program is".
fn expand(path: &str, user: &Path) -> PathBuf {
    let origin = user
        .parent()
        .unwrap_or(Path::new("/"))
        .display()
        .to_string();
    let path = path
        .replace("${ORIGIN}", &origin)
        .replace("$ORIGIN", &origin);
    PathBuf::from(path)
}

/// Folders which every loader looks into, whatever its configuration: those of the C library's
/// usual builds.
fn is_builtin(folder: &Path) -> bool {
    let triplets = ["x86_64-linux-gnu", "aarch64-linux-gnu", "s390x-linux-gnu"];
    let roots = ["/lib", "/usr/lib"];
    roots.iter().any(|root| {
        let root = Path::new(root);
        folder == root
            || folder == Path::new(&format!("{}64", root.display()))
            || triplets.iter().any(|triplet| folder == root.join(triplet))
    })
}

/// The folders of this machine's loader, in its order: configured ones, then its own.
fn default_folders(interpreter: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    configured(Path::new("/etc/ld.so.conf"), &mut folders, 0);
    folders.extend(interpreter.parent().map(Path::to_owned));
    for root in ["/lib", "/usr/lib"] {
        for triplet in ["x86_64-linux-gnu", "aarch64-linux-gnu", "s390x-linux-gnu"] {
            folders.push(Path::new(root).join(triplet));
        }
        folders.push(PathBuf::from(format!("{root}64")));
        folders.push(PathBuf::from(root));
    }
    folders
}

/// Reads a configuration of the loader; `include` takes a pattern with `*` in its last part.
fn configured(path: &Path, folders: &mut Vec<PathBuf>, depth: usize) {
    let Ok(text) = std::fs::read_to_string(path) else {
        return;
    };
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or("").trim();
        let Some(pattern) = line.strip_prefix("include ") else {
            if line.starts_with('/') {
                folders.push(PathBuf::from(line));
            }
            continue;
        };
        let pattern = Path::new(pattern.trim());
        let (Some(folder), Some(name)) = (pattern.parent(), pattern.file_name()) else {
            continue;
        };
        let name = name.to_string_lossy();
        let (head, tail) = name.split_once('*').unwrap_or((&name, ""));
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> = entries
            .filter(|entry| {
                let file = entry.file_name().to_string_lossy().into_owned();
                file.starts_with(head) && file.ends_with(tail)
            })
            .map(|entry| entry.path())
            .collect();
        files.sort();
        for file in files {
            if depth < 4 {
                configured(&file, folders, depth + 1);
            }
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_very_program_is_understood() {
        let program = std::env::current_exe().unwrap();
        let elf = read(&program).unwrap();
        assert_eq!(elf.machine.clone().ok(), Arch::host());
        let needs = needs(&program, &elf).unwrap();
        if let Some(interpreter) = &elf.interpreter {
            assert!(needs.files.contains_key(interpreter));
            let has = |start: &str| {
                needs.files.keys().any(|path| {
                    path.file_name()
                        .unwrap()
                        .to_string_lossy()
                        .starts_with(start)
                })
            };
            assert!(has("libc."), "{needs:?}");
            assert!(needs.files.values().all(|file| file.exists()));
        }
    }

    #[test]
    fn what_is_no_program_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nomad");
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        assert!(matches!(read(&path), Err(ElfError::NotElf(_))));
        assert!(matches!(
            read(Path::new("/nonexistent")),
            Err(ElfError::Read(_))
        ));
    }

    #[test]
    fn a_big_endian_program_is_read_too() {
        // The first 64 bytes of an s390x program: identification, type, machine, no segments.
        let mut head = vec![0x7f, b'E', b'L', b'F', 2, 2, 1];
        head.resize(64, 0);
        head[17] = 2;
        head[19] = 22;
        head[23] = 1;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent");
        std::fs::write(&path, head).unwrap();
        assert_eq!(read(&path).unwrap().machine, Ok(Arch::S390x));
    }
}
