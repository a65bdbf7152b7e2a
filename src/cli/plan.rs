//! `plan`: what `apply` would do.

use std::path::PathBuf;

use clap::Args;

use super::next::is_new;
use super::open_run::{AccessMode, OpenRun, PartArgs};
use super::{Global, OutputFormat};
use crate::plan::draft::Draft;
use crate::plan::file::write_plan;
use crate::run::error::{Error, ExitStatus};

/// Show what `apply` would do; change nothing
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  clusterctl-rs plan --exit-code || echo 'the cluster differs'
  clusterctl-rs plan --out next.plan     save it for review
  clusterctl-rs apply next.plan          apply exactly that plan, or fail if it is out of date
  clusterctl-rs plan --output json | jq '.hosts[] | {name, changes: (.changes | length)}'

`clusterctl-rs schema plan` prints the JSON Schema of plans.")]
pub(super) struct PlanArgs {
    /// The inventory
    file: Option<PathBuf>,
    /// Exit with code 3 if there are changes
    #[arg(long)]
    exit_code: bool,
    /// Save the plan to a file (mode 0600) for `apply FILE`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    part: PartArgs,
    /// Plan for `apply --upload-certs`
    #[arg(long)]
    upload_certs: bool,
}

impl PlanArgs {
    pub(super) async fn run(self, global: &Global) -> Result<ExitStatus, Error> {
        let mut opened = OpenRun::open(
            global,
            "plan",
            self.file.as_ref(),
            &self.part,
            AccessMode::Read,
        )?;
        opened.run.options.upload_certs |= self.upload_certs;
        let draft = Draft::new(&opened.run).await?;
        let plan = draft.document(&opened.run).await?;
        let printer = global.printer();
        if global.output == OutputFormat::Json {
            let json = serde_json::to_string(&plan).map_err(|error| Error::File {
                what: "write",
                path: "the plan".into(),
                source: error.into(),
            })?;
            printer.json(&json);
        } else {
            printer.out_coloured(&plan.render(printer.color_out));
        }
        if let Some(path) = &self.out {
            write_plan(path, &plan)?;
            printer.err(&format!(
                "wrote the plan to {0}; apply it with `clusterctl-rs apply {0}`",
                path.display()
            ));
        }
        if self.out.is_none() && !plan.is_empty() && is_new(&opened.run.state) {
            let apply = global.command("apply", self.file.as_ref());
            global.say_next(&format!("run {apply}"));
        }
        Ok(match (plan.is_empty(), draft.aside.is_empty()) {
            (false, _) if self.exit_code => ExitStatus::Changes,
            (_, false) => ExitStatus::SetAside,
            _ => ExitStatus::Done,
        })
    }
}
