//! `kubeconfig`: the admin kubeconfig, to a file, to stdout or into
//! `~/.kube/config`.

use std::io;
use std::path::PathBuf;

use clap::Args;
use files::write_private;

use super::Global;
use super::load::load_inventory;
use super::next::quote;
use crate::kubernetes;
use crate::run::error::{Error, ExitStatus};
use crate::run::state::State;

/// Print the admin kubeconfig, or merge it into ~/.kube/config
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  clusterctl-rs kubeconfig --merge && kubectl get nodes
  clusterctl-rs kubeconfig > admin.conf")]
pub(super) struct KubeconfigArgs {
    /// The inventory
    file: Option<PathBuf>,
    /// Merge it into the first file of $KUBECONFIG, or ~/.kube/config, keeping
    /// all other entries
    #[arg(long)]
    merge: bool,
    /// Merge it into this file instead
    #[arg(long, requires = "merge", value_name = "FILE")]
    into: Option<PathBuf>,
}

impl KubeconfigArgs {
    pub(super) async fn run(self, global: &Global) -> Result<ExitStatus, Error> {
        let printer = global.printer();
        let cluster = load_inventory(&global.inventory(self.file.as_ref()), printer)?;
        let path = State::peek(cluster.state_dir())?.kubeconfig();
        let ours = std::fs::read_to_string(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => Error::NoKubeconfig {
                cluster: cluster.name.clone(),
                path,
            },
            _ => Error::File {
                what: "read",
                path,
                source,
            },
        })?;
        if !self.merge {
            printer.data(ours.trim_end());
            return Ok(ExitStatus::Done);
        }
        // kubectl does not look there by itself.
        let is_elsewhere = self.into.is_some();
        let target = self.into.clone().map_or_else(default_target, Ok)?;
        let target = follow_links(target)?;
        let existing = match std::fs::read_to_string(&target) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => {
                return Err(Error::File {
                    what: "read",
                    path: target,
                    source,
                });
            }
        };
        let merged = kubernetes::merge_into(&existing, &ours)?;
        if *merged == existing {
            printer.err(&format!("{} is up to date", target.display()));
            return Ok(ExitStatus::Done);
        }
        if let Some(dir) = target.parent() {
            std::fs::create_dir_all(dir).map_err(|source| Error::File {
                what: "create",
                path: dir.into(),
                source,
            })?;
        }
        write_private(&target, merged.as_bytes()).map_err(|source| Error::File {
            what: "write",
            path: target.clone(),
            source,
        })?;
        printer.err(&format!("merged into {}", target.display()));
        let kubectl = match is_elsewhere {
            true => format!("`kubectl --kubeconfig {} get nodes`", quote(&target)),
            false => "`kubectl get nodes`".to_owned(),
        };
        let status = global.command("status", self.file.as_ref());
        global.say_next(&format!("run {kubectl} and {status}"));
        Ok(ExitStatus::Done)
    }
}

/// What a link leads to, so that it stays a link: configurations of many people are links into
/// a repository or another disk. The last file need not exist.
fn follow_links(path: PathBuf) -> Result<PathBuf, Error> {
    /// As many as Linux follows.
    const LINKS: usize = 40;
    let mut target = path.clone();
    for _ in 0..LINKS {
        match std::fs::read_link(&target) {
            Ok(next) => {
                let dir = target.parent().map(PathBuf::from).unwrap_or_default();
                target = dir.join(next);
            }
            // Not a link, or nothing at all.
            Err(_) => return Ok(target),
        }
    }
    Err(Error::File {
        what: "follow",
        path,
        source: io::Error::other("too many levels of symbolic links"),
    })
}

/// Where kubectl would look: `$KUBECONFIG`'s first file, or `~/.kube/config`.
fn default_target() -> Result<PathBuf, Error> {
    if let Some(list) = std::env::var_os("KUBECONFIG")
        && let Some(first) = std::env::split_paths(&list).find(|path| !path.as_os_str().is_empty())
    {
        return Ok(first);
    }
    std::env::home_dir()
        .map(|home| home.join(".kube/config"))
        .ok_or_else(|| Error::Usage {
            message: "cannot find your home directory".into(),
            hint: Some("name the file with `--merge --into FILE`".into()),
        })
}
