//! Logs of static pods' containers, where and as the kubelet keeps them: a directory for each pod,
//! in it one for each container, in it a file for each attempt, each line with its time and
//! its stream.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::ChildStderr;

use super::host;
use crate::api::{name, text};

/// Attempts whose logs are kept beside the current one's.
const KEPT: u64 = 2;

/// The directory of a static pod's logs on `node`. The kubelet names it after the pod's uid, which
/// is the manifest's hash.
pub fn pod_dir(manifest: &Value, node: &str, hash: &str) -> PathBuf {
    let (namespace, name) = (text(&manifest["metadata"], "namespace"), name(manifest));
    PathBuf::from(host(&format!(
        "/var/log/pods/{namespace}_{name}-{node}_{hash}"
    )))
}

/// Opens the log of the next attempt at a container, and forgets those of long ago.
pub fn open_next(pod_dir: &Path, container: &str) -> io::Result<std::fs::File> {
    let dir = pod_dir.join(container);
    std::fs::create_dir_all(&dir)?;
    let attempts: Vec<u64> = std::fs::read_dir(&dir)?
        .flatten()
        .filter_map(|entry| entry.path().file_stem()?.to_str()?.parse().ok())
        .collect();
    let next = attempts.iter().max().map_or(0, |last| last + 1);
    for old in attempts.iter().filter(|old| **old + KEPT < next) {
        let _ = std::fs::remove_file(dir.join(format!("{old}.log")));
    }
    std::fs::File::create(dir.join(format!("{next}.log")))
}

/// Writes what a container says until it says no more.
pub async fn follow(stderr: ChildStderr, log: std::fs::File) -> io::Result<()> {
    let mut log = File::from_std(log);
    let mut lines = BufReader::new(stderr).split(b'\n');
    while let Some(line) = lines.next_segment().await? {
        let mut written = format!("{} stderr F ", crate::api::micro_now()).into_bytes();
        written.extend(line);
        written.push(b'\n');
        log.write_all(&written).await?;
        log.flush().await?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_has_a_file_and_old_ones_go() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..5 {
            open_next(dir.path(), "etcd").unwrap();
        }
        let mut names: Vec<_> = std::fs::read_dir(dir.path().join("etcd"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["2.log", "3.log", "4.log"]);
    }
}
