//! A directory of artifacts: `linux-<arch>/<binary>`, `linux-<arch>/cni-plugins/<plugin>`,
//! `linux-<arch>/images/<archive>.tar`, and `SHA256SUMS` over all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use futures::{StreamExt, TryStreamExt};
use tokio::task::spawn_blocking;

use super::error::ArtifactsError;
use super::hashes::{Hashes, Known, hash};
use super::set::{Arch, File, ImageArchive, Set};
use super::{archive, sums};

/// No release has this many files, but a home directory given by mistake does.
const FILES: usize = 10_000;

/// Reads a directory and checks all files in it. `hashes` is a file that caches checksums
/// between runs. All problems are reported at once.
pub async fn open_directory(
    dir: &Path,
    architectures: &BTreeSet<String>,
    hashes: &Path,
) -> Result<Set, ArtifactsError> {
    let (owned, cache) = (dir.to_owned(), hashes.to_owned());
    let (sums, files, cache) = blocking(move || {
        let sums = sums::read(&owned)?;
        let files = walk(&owned)?;
        Ok((sums, files, Hashes::load(&cache)))
    })
    .await?;

    let mut problems = Vec::new();
    for (file, kind) in &files {
        match kind {
            Kind::Plain if sums.contains_key(file) => {}
            Kind::Plain => problems.push((file.clone(), "is not listed in SHA256SUMS".to_owned())),
            Kind::Other(what) => problems.push((file.clone(), format!("is {what}"))),
        }
    }
    for file in sums.keys().filter(|file| !files.contains_key(*file)) {
        problems.push((file.clone(), "is listed in SHA256SUMS, but missing".into()));
    }
    refuse(dir, problems)?;

    let known = examine(dir, sums.keys().cloned().collect(), &cache).await?;
    let mut problems = Vec::new();
    let mut fresh = BTreeMap::new();
    for (file, outcome) in known {
        match outcome {
            Ok(known) if known.sha256 == sums[&file] => {
                fresh.insert(file, known);
            }
            Ok(known) => problems.push((
                file,
                format!("has the SHA-256 {}, not the one listed", known.sha256),
            )),
            Err(why) => problems.push((file, why)),
        }
    }
    refuse(dir, problems)?;

    let set = arrange(dir, architectures, &fresh)?;
    let (owned, path) = (dir.to_owned(), hashes.to_owned());
    blocking(move || {
        let fresh = fresh
            .into_iter()
            .map(|(file, known)| (owned.join(file), known))
            .collect();
        cache
            .keep(&owned, fresh)
            .map_err(|source| ArtifactsError::Write { path, source })
    })
    .await?;
    Ok(set)
}

fn refuse(dir: &Path, mut problems: Vec<(String, String)>) -> Result<(), ArtifactsError> {
    if problems.is_empty() {
        return Ok(());
    }
    problems.sort();
    Err(ArtifactsError::Refused {
        dir: dir.to_owned(),
        problems,
    })
}

/// The type of a directory entry.
enum Kind {
    Plain,
    /// Something that must not be there, worded to follow "is".
    Other(&'static str),
}

/// All files below `dir` except the list of checksums, by relative path. Symbolic links are
/// not followed.
fn walk(dir: &Path) -> Result<BTreeMap<String, Kind>, ArtifactsError> {
    let mut found = BTreeMap::new();
    let mut todo = vec![PathBuf::new()];
    while let Some(sub) = todo.pop() {
        let path = dir.join(&sub);
        let fail = |source| ArtifactsError::Read {
            path: path.clone(),
            source,
        };
        for entry in fs::read_dir(&path).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let kind = entry.file_type().map_err(fail)?;
            let relative = sub.join(entry.file_name());
            if kind.is_dir() {
                todo.push(relative);
                continue;
            }
            let Some(name) = relative.to_str() else {
                let name = relative.to_string_lossy().into_owned();
                found.insert(name, Kind::Other("not named in UTF-8"));
                continue;
            };
            let kind = if kind.is_file() {
                Kind::Plain
            } else if kind.is_symlink() {
                Kind::Other("a symbolic link")
            } else {
                Kind::Other("not a regular file")
            };
            if name != sums::FILE {
                found.insert(name.to_owned(), kind);
            }
            if found.len() > FILES {
                return Err(fail(io::Error::other(
                    "more than 10,000 files: this is not an artifacts directory",
                )));
            }
        }
    }
    Ok(found)
}

/// What each file contains, or why that is unknown.
async fn examine(
    dir: &Path,
    files: Vec<String>,
    cache: &Hashes,
) -> Result<Vec<(String, Result<Known, String>)>, ArtifactsError> {
    let workers = available_parallelism().map_or(2, usize::from);
    futures::stream::iter(files)
        .map(|file| {
            let path = dir.join(&file);
            let known = cache.get(&path).cloned();
            async move {
                let outcome = match known {
                    Some(known) => Ok(known),
                    None => {
                        let is_archive = image_archive(&file);
                        blocking(move || Ok(read(&path, is_archive))).await?
                    }
                };
                Ok((file, outcome))
            }
        })
        .buffered(workers)
        .try_collect()
        .await
}

fn read(path: &Path, is_archive: bool) -> Result<Known, String> {
    let fail = |e: io::Error| format!("cannot be read: {e}");
    let (sha256, size) = hash(path).map_err(fail)?;
    let references = if is_archive {
        archive::references(path).map_err(|e| match e.kind() {
            io::ErrorKind::InvalidData => e.to_string(),
            _ => format!("is not an image archive: {e}"),
        })?
    } else {
        Vec::new()
    };
    Ok(Known {
        sha256,
        size,
        references,
    })
}

/// `linux-<arch>/images/<name>.tar`
pub(super) fn image_archive(file: &str) -> bool {
    let parts: Vec<&str> = file.split('/').collect();
    matches!(parts[..], [arch, "images", name]
        if arch.starts_with("linux-") && name.ends_with(".tar"))
}

fn arrange(
    dir: &Path,
    architectures: &BTreeSet<String>,
    known: &BTreeMap<String, Known>,
) -> Result<Set, ArtifactsError> {
    let mut set = Set::default();
    for arch in architectures {
        let mut found = Arch::default();
        let prefix = format!("linux-{arch}/");
        for (file, known) in known {
            let Some(rest) = file.strip_prefix(&prefix) else {
                continue;
            };
            let path = dir.join(file);
            let named = |name: &str| File {
                name: name.to_owned(),
                path: path.clone(),
                sha256: known.sha256.clone(),
                size: known.size,
            };
            match rest.split('/').collect::<Vec<_>>()[..] {
                [name] => {
                    found.binaries.insert(name.to_owned(), named(name));
                }
                ["cni-plugins", name] => {
                    found.cni_plugins.insert(name.to_owned(), named(name));
                }
                ["images", _] if image_archive(file) => found.images.push(ImageArchive {
                    sha256: known.sha256.clone(),
                    size: known.size,
                    references: known.references.clone(),
                    path,
                }),
                _ => {}
            }
        }
        if !found.binaries.contains_key("kubelet") {
            return Err(ArtifactsError::NoArchitecture {
                dir: dir.to_owned(),
                arch: arch.clone(),
            });
        }
        set.architectures.insert(arch.clone(), found);
    }
    Ok(set)
}

/// Runs what blocks on a thread that may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ArtifactsError> + Send + 'static,
) -> Result<T, ArtifactsError> {
    spawn_blocking(work)
        .await
        .map_err(|e| ArtifactsError::Task(e.to_string()))?
}
