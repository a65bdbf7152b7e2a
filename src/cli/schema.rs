//! `schema`: the inventory's JSON Schema.

use clap::Args;

use crate::report::Printer;
use crate::{Error, ExitStatus, inventory};

/// Print the JSON Schema of the inventory
#[derive(Debug, Args)]
#[command(
    after_help = "Example (VS Code's YAML extension, first line of the inventory):\n  \
# yaml-language-server: $schema=inventory.schema.json"
)]
pub(super) struct Schema {}

impl Schema {
    pub(super) fn run(&self) -> Result<ExitStatus, Error> {
        Printer::new().out(&format!("{:#}", inventory::schema()));
        Ok(ExitStatus::Done)
    }
}
