//! `phases`: the phases of `apply`, in order.

use clap::Args;
use serde_json::json;

use super::{Global, OutputFormat};
use crate::report::table;
use crate::run::error::{Error, ExitStatus};
use crate::run::phase::PHASES;

/// List the phases of `apply`, in order
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  clusterctl-rs phases\n  clusterctl-rs apply --phases certs,hosts"
)]
pub(super) struct PhasesArgs {}

impl PhasesArgs {
    pub(super) fn run(&self, global: &Global) -> Result<ExitStatus, Error> {
        let printer = global.printer();
        let needs = |info: &crate::run::phase::PhaseInfo| -> Vec<&str> {
            info.needs.iter().map(|phase| phase.name()).collect()
        };
        if global.output == OutputFormat::Json {
            let list: Vec<_> = PHASES
                .iter()
                .map(|info| json!({"name": info.name, "title": info.title, "needs": needs(info)}))
                .collect();
            printer.json(&json!(list).to_string());
        } else {
            let rows: Vec<_> = PHASES
                .iter()
                .map(|info| vec![info.name.into(), info.title.into(), needs(info).join(", ")])
                .collect();
            printer.out(&table(&["PHASE", "DESCRIPTION", "NEEDS"], &rows));
        }
        Ok(ExitStatus::Done)
    }
}
