//! `init`: a commented starter inventory.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::report::Printer;
use crate::{Error, ExitStatus, inventory};

/// Write a commented inventory to start from
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  clusterctl-rs init --name prod prod.yaml")]
pub(super) struct Init {
    /// Where to write it; an existing file is left alone
    #[arg(default_value = "inventory.yaml")]
    file: PathBuf,
    /// The cluster's name
    #[arg(long, default_value = "demo")]
    name: String,
}

impl Init {
    pub(super) fn run(&self) -> Result<ExitStatus, Error> {
        let cannot = |source| Error::File {
            what: "write",
            path: self.file.clone(),
            source,
        };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&self.file)
            .map_err(cannot)?;
        file.write_all(inventory::starter(&self.name).as_bytes())
            .map_err(cannot)?;
        Printer::new().err(&format!(
            "wrote {0}: put your hosts in, then `clusterctl-rs validate {0}`",
            self.file.display()
        ));
        Ok(ExitStatus::Done)
    }
}
