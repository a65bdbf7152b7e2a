//! `schema`: JSON Schemas of the inventory and of plans, and the reference of fields.

use clap::{Args, ValueEnum};

use crate::inventory;
use crate::report::Printer;
use crate::run::error::{Error, ExitStatus};

/// Print the JSON Schema of inventories or plans, or the reference of all fields
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  clusterctl-rs schema > inventory.schema.json
  clusterctl-rs schema plan > plan.schema.json
  clusterctl-rs schema fields > fields.md

`x-change` in the schema of inventories says how a field may change while the cluster runs.

For VS Code's YAML extension, put this line first in the inventory:
  # yaml-language-server: $schema=inventory.schema.json")]
pub(super) struct SchemaArgs {
    /// What the schema describes
    #[arg(value_enum, default_value_t, value_name = "WHAT")]
    of: Of,
}

/// What a schema can describe.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Of {
    /// The inventory
    #[default]
    Inventory,
    /// The inventory's fields and how each may change, as Markdown
    Fields,
    /// The output of `plan --output json` and `plan --out`
    Plan,
}

impl SchemaArgs {
    pub(super) fn run(&self) -> Result<ExitStatus, Error> {
        let schema = match self.of {
            Of::Fields => {
                Printer::new().data(inventory::field_reference().trim_end());
                return Ok(ExitStatus::Done);
            }
            Of::Inventory => inventory::schema(),
            Of::Plan => crate::plan::document::plan_schema(),
        };
        Printer::new().data(&format!("{schema:#}"));
        Ok(ExitStatus::Done)
    }
}
