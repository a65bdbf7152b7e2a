//! The Kubernetes components that a cluster is made of here.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::process::Command;

/// A directory of components.
pub(crate) struct Components {
    pub(crate) dir: PathBuf,
    /// As the kubelet says it: directories' names may lie.
    pub(crate) version: String,
}

impl Components {
    /// Those that the environment names.
    pub(crate) fn find() -> Self {
        let Some(dir) = std::env::var_os("CLUSTERCTL_ARTIFACTS") else {
            panic!(
                "CLUSTERCTL_ARTIFACTS names no directory of Kubernetes components. `make test` \
                 finds or makes one and runs this; or set it yourself to <dir> with \
                 <dir>/linux-amd64/kubelet, images and SHA256SUMS"
            );
        };
        let mut found = Components {
            dir: PathBuf::from(dir).canonicalize().unwrap(),
            version: String::new(),
        };
        let said = Command::new(found.binary("kubelet"))
            .arg("--version")
            .output()
            .unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        found.version = said.split_whitespace().nth(1).unwrap().to_owned();
        eprintln!(
            "components: {} {} in {}",
            found.kind(),
            found.version,
            found.dir.display()
        );
        found
    }

    /// A binary for this machine, which has the architecture of its containers.
    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        let arch = match std::env::consts::ARCH {
            "aarch64" => "arm64",
            _ => "amd64",
        };
        self.dir.join(format!("linux-{arch}")).join(name)
    }

    fn kind(&self) -> &'static str {
        match self.are_standins() {
            true => "STAND-INS",
            false => "REAL Kubernetes",
        }
    }

    /// Stand-ins answer as real components do, but each copy ends in a mark.
    pub(crate) fn are_standins(&self) -> bool {
        let mut file = File::open(self.binary("kubelet")).unwrap();
        file.seek(SeekFrom::End(-64)).unwrap();
        let mut tail = Vec::new();
        file.read_to_end(&mut tail).unwrap();
        let mark = b"standin-release:";
        tail.windows(mark.len()).any(|window| window == mark)
    }
}
