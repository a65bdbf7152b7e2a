//! `plan`: what `apply` would do.

use std::path::PathBuf;

use clap::Args;

use super::session::{Access, Part, Session};
use super::{Global, OutputFormat};
use crate::phases::Draft;
use crate::{Error, ExitStatus};

/// Show what `apply` would do; change nothing
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  clusterctl-rs plan --exit-code || echo 'the cluster differs'")]
pub(super) struct Plan {
    /// The inventory
    file: Option<PathBuf>,
    /// End with 3 if there are changes
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    part: Part,
}

impl Plan {
    pub(super) async fn run(self, global: &Global) -> Result<ExitStatus, Error> {
        let session = Session::open(
            global,
            "plan",
            self.file.as_ref(),
            &self.part,
            Access::Read,
            false,
        )?;
        let draft = Draft::new(&session.run).await?;
        let plan = draft.plan(&session.run).await?;
        let printer = global.printer();
        if global.output == OutputFormat::Json {
            printer.out(&plan.to_json().to_string());
        } else {
            printer.out(&plan.render(printer.color_out));
        }
        Ok(match (plan.is_empty(), draft.aside.is_empty()) {
            (false, _) if self.exit_code => ExitStatus::Changes,
            (_, false) => ExitStatus::SetAside,
            _ => ExitStatus::Done,
        })
    }
}
