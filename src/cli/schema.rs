//! `schema`: JSON Schemas of the inventory and of plans.

use clap::{Args, ValueEnum};

use crate::inventory;
use crate::report::Printer;
use crate::run::error::{Error, ExitStatus};

/// Print the JSON Schema of the inventory, or of plans
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  clusterctl-rs schema > inventory.schema.json
  clusterctl-rs schema plan > plan.schema.json
The first line of an inventory, for VS Code's YAML extension:
  # yaml-language-server: $schema=inventory.schema.json")]
pub(super) struct Schema {
    /// What the schema describes
    #[arg(value_enum, default_value_t, value_name = "WHAT")]
    of: Of,
}

/// What there are schemas of.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Of {
    /// The inventory
    #[default]
    Inventory,
    /// What `plan --output json` prints and `plan --out` writes
    Plan,
}

impl Schema {
    pub(super) fn run(&self) -> Result<ExitStatus, Error> {
        let schema = match self.of {
            Of::Inventory => inventory::schema(),
            Of::Plan => crate::plan::document::plan_schema(),
        };
        Printer::new().out(&format!("{schema:#}"));
        Ok(ExitStatus::Done)
    }
}
