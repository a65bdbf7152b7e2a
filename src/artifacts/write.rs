//! Writes what was fetched to a directory of the user's, for sites without internet.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::archive;
use super::directory::image_archive;
use super::error::ArtifactsError;
use super::hashes::hash;
use super::set::{File, ImageArchive, Set};
use super::sums::{self, Sums};

/// Copies a set's files to `dir` and lists them in its SHA256SUMS; whatever else is there and
/// listed stays. Returns what there is in `dir` afterwards for these architectures.
///
/// # Errors
/// Files that can't be copied, or are not what was fetched any more; a SHA256SUMS of the user's
/// that can't be read.
pub fn write_directory(set: &Set, dir: &Path) -> Result<Set, ArtifactsError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ArtifactsError::Write { path, source }
    };
    fs::create_dir_all(dir).map_err(failed(dir))?;
    let mut sums = match sums::read(dir) {
        Err(ArtifactsError::NoSums(_)) => Sums::new(),
        other => other?,
    };
    let mut written = Set::default();
    for (arch, found) in &set.architectures {
        let base = format!("linux-{arch}");
        let mut copied = found.clone();
        // Plugins that a release no longer has would be installed for ever.
        let plugins = format!("{base}/cni-plugins");
        drop_unlisted(dir, &plugins, &found.cni_plugins, &mut sums)?;
        for (sub, files) in [
            (base.clone(), &mut copied.binaries),
            (plugins, &mut copied.cni_plugins),
        ] {
            for file in files.values_mut() {
                let name = format!("{sub}/{}", file.name);
                let target = dir.join(&name);
                copy(file, &target).map_err(failed(&target))?;
                sums.insert(name, file.sha256.clone());
                file.path = target;
            }
        }
        copied.images = images(dir, &base, &sums)?;
        written.architectures.insert(arch.clone(), copied);
    }
    let path = dir.join(sums::FILE);
    files::write_with_mode(&path, sums::format(&sums).as_bytes(), 0o644).map_err(failed(&path))?;
    Ok(written)
}

/// Removes plugins that are listed as ours and are not in the release.
fn drop_unlisted(
    dir: &Path,
    plugins: &str,
    wanted: &BTreeMap<String, File>,
    sums: &mut Sums,
) -> Result<(), ArtifactsError> {
    let prefix = format!("{plugins}/");
    let old: Vec<String> = sums
        .keys()
        .filter(|file| {
            file.strip_prefix(&prefix)
                .is_some_and(|name| !wanted.contains_key(name))
        })
        .cloned()
        .collect();
    for file in old {
        let path = dir.join(&file);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(ArtifactsError::Write { path, source: e });
            }
            _ => {}
        }
        sums.remove(&file);
    }
    Ok(())
}

/// A whole copy or none: beside its place first.
fn copy(file: &File, target: &Path) -> io::Result<()> {
    let dir = target.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(dir)?;
    let mut aside = tempfile::NamedTempFile::new_in(dir)?;
    io::copy(&mut fs::File::open(&file.path)?, aside.as_file_mut())?;
    aside
        .as_file()
        .set_permissions(Permissions::from_mode(0o755))?;
    aside.as_file().sync_all()?;
    if hash(aside.path())?.0 != file.sha256 {
        return Err(io::Error::other(format!(
            "{} has changed meanwhile",
            file.path.display()
        )));
    }
    aside.persist(target).map_err(|error| error.error)?;
    Ok(())
}

/// The image archives of an architecture that the directory lists.
fn images(dir: &Path, base: &str, sums: &Sums) -> Result<Vec<ImageArchive>, ArtifactsError> {
    let prefix = format!("{base}/");
    sums.iter()
        .filter(|(file, _)| file.starts_with(&prefix) && image_archive(file))
        .map(|(file, sha256)| {
            let path = dir.join(file);
            let read = || -> io::Result<ImageArchive> {
                Ok(ImageArchive {
                    sha256: sha256.clone(),
                    size: fs::metadata(&path)?.len(),
                    references: archive::references(&path)?,
                    path: path.clone(),
                })
            };
            read().map_err(|source| ArtifactsError::Read {
                path: path.clone(),
                source,
            })
        })
        .collect()
}
