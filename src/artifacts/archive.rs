//! Which images an archive holds: docker-archive and OCI-archive, without
//! reading more than their headers and indexes.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Component, Path};

use serde_json::Value;

/// Indexes are a few kB each.
const LIMIT: u64 = 4 << 20;

/// The images' references, sorted, as containerd will name them.
pub(super) fn references(path: &Path) -> io::Result<Vec<String>> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut archive = tar::Archive::new(file);
    let mut found = Vec::new();
    let mut is_archive = false;
    for entry in archive.entries_with_seek()? {
        let mut entry = entry?;
        // Seeking past the end of a truncated file would go unnoticed.
        let end = entry.raw_file_position().checked_add(entry.size());
        if end.is_none_or(|end| end > length) {
            return Err(invalid("is truncated"));
        }
        let Some(collect) = index(&entry.path()?) else {
            continue;
        };
        is_archive = true;
        if entry.size() > LIMIT {
            return Err(invalid("has an index of more than 4 MiB"));
        }
        let mut json = Vec::new();
        entry.read_to_end(&mut json)?;
        let json: Value = serde_json::from_slice(&json)
            .map_err(|e| invalid(format!("has an index that is not JSON: {e}")))?;
        collect(&json, &mut found);
    }
    if !is_archive {
        return Err(invalid(
            "is neither a docker-archive nor an OCI-archive (no manifest.json, no index.json)",
        ));
    }
    if found.is_empty() {
        return Err(invalid("does not name its images"));
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn invalid(why: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why.into())
}

type Collect = fn(&Value, &mut Vec<String>);

/// How to read this file of the archive, if it is an index.
fn index(path: &Path) -> Option<Collect> {
    let mut parts = path.components().filter(|part| *part != Component::CurDir);
    let (Some(Component::Normal(name)), None) = (parts.next(), parts.next()) else {
        return None;
    };
    match name.to_str()? {
        "manifest.json" => Some(docker),
        "index.json" => Some(oci),
        _ => None,
    }
}

/// `[{"RepoTags": ["registry.k8s.io/pause:3.10"]}]`
fn docker(manifest: &Value, found: &mut Vec<String>) {
    let tags = manifest
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|image| image["RepoTags"].as_array())
        .flatten();
    found.extend(tags.filter_map(Value::as_str).map(normal));
}

/// The OCI's annotation may be a mere tag; containerd's own is a whole name.
fn oci(index: &Value, found: &mut Vec<String>) {
    let manifests = index["manifests"].as_array().into_iter().flatten();
    found.extend(manifests.filter_map(|manifest| {
        let annotations = &manifest["annotations"];
        annotations["io.containerd.image.name"]
            .as_str()
            .or_else(|| {
                annotations["org.opencontainers.image.ref.name"]
                    .as_str()
                    .filter(|name| name.contains(['/', ':']))
            })
            .map(normal)
    }));
}

/// Docker leaves its own registry out of names; containerd doesn't.
fn normal(reference: &str) -> String {
    match reference.split_once('/') {
        None => format!("docker.io/library/{reference}"),
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => reference.into(),
        Some(_) => format!("docker.io/{reference}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use tempfile::NamedTempFile;

    use super::*;

    fn archive(files: &[(&str, &str)]) -> NamedTempFile {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            builder
                .append_data(&mut header, name, content.as_bytes())
                .unwrap();
        }
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), builder.into_inner().unwrap()).unwrap();
        file
    }

    fn read(files: &[(&str, &str)]) -> Result<Vec<String>, String> {
        references(archive(files).path()).map_err(|e| e.to_string())
    }

    #[test]
    fn docker_archives_name_their_images() {
        let manifest = r#"[{"RepoTags": ["registry.k8s.io/pause:3.10", "busybox:1"]},
            {"RepoTags": null}, {"RepoTags": ["flannel/flannel:v1", "localhost/x:1"]}]"#;
        assert_eq!(
            read(&[("layer.tar", "x"), ("./manifest.json", manifest)]).unwrap(),
            [
                "docker.io/flannel/flannel:v1",
                "docker.io/library/busybox:1",
                "localhost/x:1",
                "registry.k8s.io/pause:3.10",
            ]
        );
    }

    #[test]
    fn oci_archives_name_their_images() {
        let index = r#"{"manifests": [
            {"annotations": {"io.containerd.image.name": "registry.k8s.io/etcd:3.6.8-0",
                             "org.opencontainers.image.ref.name": "3.6.8-0"}},
            {"annotations": {"org.opencontainers.image.ref.name": "registry.k8s.io/pause:3.10"}},
            {"annotations": {"org.opencontainers.image.ref.name": "latest"}},
            {}]}"#;
        let files = [("blobs/sha256/index.json", "{"), ("index.json", index)];
        assert_eq!(
            read(&files).unwrap(),
            ["registry.k8s.io/etcd:3.6.8-0", "registry.k8s.io/pause:3.10"]
        );
    }

    #[test]
    fn what_is_no_archive_says_so() {
        let wrong = |files: &[(&str, &str)]| read(files).unwrap_err();
        assert!(wrong(&[("x", "y")]).starts_with("is neither"));
        assert!(wrong(&[("manifest.json", "[]")]).starts_with("does not name"));
        assert!(wrong(&[("index.json", "[}")]).starts_with("has an index that is not JSON"));
    }

    #[test]
    fn a_truncated_archive_is_refused() {
        let manifest = r#"[{"RepoTags": ["a/b:1"]}]"#;
        let file = archive(&[
            ("manifest.json", manifest),
            ("layer.tar", &"x".repeat(5_000)),
        ]);
        let whole = std::fs::read(file.path()).unwrap();
        assert!(references(file.path()).is_ok());
        std::fs::write(file.path(), &whole[..2_500]).unwrap();
        let error = references(file.path()).unwrap_err();
        assert_eq!(error.to_string(), "is truncated");
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            let file = NamedTempFile::new().unwrap();
            std::fs::write(file.path(), bytes).unwrap();
            let _ = references(file.path());
        }
    }
}
