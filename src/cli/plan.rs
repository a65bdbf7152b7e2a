//! `plan`: what `apply` would do.

use std::path::PathBuf;

use clap::Args;

use super::session::{Access, Part, Session};
use super::{Global, OutputFormat};
use crate::plan::draft::Draft;
use crate::plan::file::write_plan;
use crate::run::error::{Error, ExitStatus};

/// Show what `apply` would do; change nothing
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  clusterctl-rs plan --exit-code || echo 'the cluster differs'
  clusterctl-rs plan --out next.plan     keep it, look at it, let others look at it
  clusterctl-rs apply next.plan          do exactly that, or refuse if anything has moved
  clusterctl-rs plan --output json | jq '.hosts[] | {name, changes: (.changes | length)}'

`clusterctl-rs schema plan` prints the JSON Schema of plans.")]
pub(super) struct Plan {
    /// The inventory
    file: Option<PathBuf>,
    /// Exit with 3 if there are changes
    #[arg(long)]
    exit_code: bool,
    /// Keep the plan in a file that only you may read, for `apply FILE`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    part: Part,
    /// Plan for `apply --upload-certs`
    #[arg(long)]
    upload_certs: bool,
}

impl Plan {
    pub(super) async fn run(self, global: &Global) -> Result<ExitStatus, Error> {
        let mut session =
            Session::open(global, "plan", self.file.as_ref(), &self.part, Access::Read)?;
        session.run.options.upload_certs |= self.upload_certs;
        let draft = Draft::new(&session.run).await?;
        let plan = draft.document(&session.run).await?;
        let printer = global.printer();
        if global.output == OutputFormat::Json {
            let json = serde_json::to_string(&plan).map_err(|error| Error::File {
                what: "write",
                path: "the plan".into(),
                source: error.into(),
            })?;
            printer.out(&json);
        } else {
            printer.out(&plan.render(printer.color_out));
        }
        if let Some(path) = &self.out {
            write_plan(path, &plan)?;
            printer.err(&format!(
                "the plan is in {0}; `clusterctl-rs apply {0}` carries it out",
                path.display()
            ));
        }
        Ok(match (plan.is_empty(), draft.aside.is_empty()) {
            (false, _) if self.exit_code => ExitStatus::Changes,
            (_, false) => ExitStatus::SetAside,
            _ => ExitStatus::Done,
        })
    }
}
