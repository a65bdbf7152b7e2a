//! `init`: a commented starter inventory.

use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::Global;
use crate::inventory;
use crate::run::error::{Error, ExitStatus};

/// Write a commented starter inventory
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  clusterctl-rs init\n  clusterctl-rs init --name prod prod.yaml"
)]
pub(super) struct InitArgs {
    /// File to write; existing files are never overwritten
    file: Option<PathBuf>,
    /// Name of the cluster
    #[arg(long, default_value = "demo")]
    name: String,
}

impl InitArgs {
    pub(super) fn run(&self, global: &Global) -> Result<ExitStatus, Error> {
        let path = global.inventory(self.file.as_ref());
        let cannot = |source| Error::File {
            what: "write",
            path: path.clone(),
            source,
        };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|source| match source.kind() {
                io::ErrorKind::AlreadyExists => Error::Refused {
                    message: format!("{} already exists", path.display()),
                    hint: "choose another file with `clusterctl-rs init FILE`, or remove this one first".into(),
                },
                _ => cannot(source),
            })?;
        file.write_all(inventory::starter(&self.name).as_bytes())
            .map_err(cannot)?;
        global.printer().err(&format!(
            "wrote {0}; add your hosts to it, then run `clusterctl-rs validate {0}`",
            path.display()
        ));
        Ok(ExitStatus::Done)
    }
}
