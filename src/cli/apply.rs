//! `apply`: brings hosts and cluster in line with the inventory.

use std::path::PathBuf;

use clap::Args;
use text::count;
use zeroize::Zeroizing;

use super::Global;
use super::next::is_new;
use super::open_run::{AccessMode, OpenRun, PartArgs};
use super::prompt::confirm;
use crate::apply::certs::make_certificates;
use crate::cluster::survey::Aside;
use crate::kubernetes::upload_certs::CertificateKey;
use crate::plan::document::PlanDocument;
use crate::plan::draft::Draft;
use crate::report;
use crate::report::Printer;
use crate::run::error::{Error, ExitStatus};

/// Create the cluster, or bring it in line with the inventory
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  clusterctl-rs apply
  clusterctl-rs apply --yes --hosts 'worker*' --phases hosts
  clusterctl-rs plan --out next.plan && clusterctl-rs apply next.plan

To resume an interrupted run, run the same command again.")]
pub(super) struct ApplyArgs {
    /// The inventory, or a plan from `plan --out`: that is applied exactly, or
    /// rejected if anything it covers has changed since
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Don't ask for confirmation
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    part: PartArgs,
    /// Store the shared certificates, encrypted, in the cluster for two hours, for
    /// `kubeadm join --control-plane`
    #[arg(long)]
    upload_certs: bool,
    /// Fail without changing anything if there are changes to make
    #[arg(long)]
    assert_noop: bool,
}

/// Describes the key of the uploaded certificates and how to use it.
fn describe_certificate_key(key: &CertificateKey, joinable: bool) -> Zeroizing<String> {
    let how = match joinable {
        true => {
            ".\n\
             Until then, join control planes with the command that `kubeadm token create \
             --print-join-command`\nprints, plus `--control-plane --certificate-key KEY`."
        }
        false => {
            ".\n\
             kubeadm cannot join control planes to a cluster without a controlPlaneEndpoint: set \
             one, then\nrun `clusterctl-rs apply`."
        }
    };
    Zeroizing::new(format!(
        "\ncertificate key: {}\n\
         It decrypts the cluster's CA keys: keep it secret. The upload expires in two hours{how}",
        *key.expose()
    ))
}

impl ApplyArgs {
    pub(super) async fn run(self, global: &Global) -> Result<ExitStatus, Error> {
        let kept = self.read_kept_plan()?;
        let (file, part, upload_certs) = match &kept {
            // A saved plan brings its own options.
            Some(plan) => (
                Some(PathBuf::from(&plan.inventory)),
                PartArgs::of_plan(&plan.options),
                plan.options.upload_certs,
            ),
            None => (self.file.clone(), self.part.clone(), self.upload_certs),
        };
        let mut opened = OpenRun::open(global, "apply", file.as_ref(), &part, AccessMode::Write)?;
        opened.run.options.upload_certs |= upload_certs;
        tokio::select! {
            result = self.apply_inventory(global, &opened, kept.as_ref()) => return result,
            // Dropping the run closes its channels, which ends its commands on the hosts,
            // too.
            () = crate::run::interrupt::interrupted() => {}
        }
        crate::apply::release_lock(&opened.run).await;
        Err(Error::Interrupted)
    }

    /// Reads FILE as a plan, if it is one.
    fn read_kept_plan(&self) -> Result<Option<PlanDocument>, Error> {
        let Some(path) = self
            .file
            .as_ref()
            .filter(|path| crate::plan::file::is_plan(path))
        else {
            return Ok(None);
        };
        if !self.part.is_all() || self.upload_certs {
            return Err(Error::Usage {
                message: format!(
                    "{} is a plan, which sets phases and hosts itself",
                    path.display()
                ),
                hint: Some("pass these options to `clusterctl-rs plan --out FILE` instead".into()),
            });
        }
        crate::plan::file::read_plan(path).map(Some)
    }

    async fn apply_inventory(
        &self,
        global: &Global,
        opened: &OpenRun,
        kept: Option<&PlanDocument>,
    ) -> Result<ExitStatus, Error> {
        let run = &opened.run;
        let printer = global.printer();
        let is_first = is_new(&run.state);
        let mut draft = Draft::new(run).await?;
        if let Some(kept) = kept {
            draft.refuse_stale(run, kept).await?;
        }
        let mut plan = draft.plan(run).await?;
        if self.assert_noop && !plan.is_empty() {
            let document = draft.document(run).await?;
            printer.out_coloured(&document.render(printer.color_out));
            return Err(Error::NotNoop {
                changes: plan.count(),
            });
        }
        let shown = match plan.is_empty() || self.yes {
            true => None,
            false => Some(draft.document(run).await?),
        };
        let mut aside = std::mem::take(&mut draft.aside);
        if !plan.is_empty() {
            // Rather before the question than after it.
            plan.refuse_held()?;
            if let Some(document) = shown {
                printer.err_coloured(&document.render(printer.color_err));
                let question = format!("Make {}?", count(plan.count(), "change"));
                confirm(&question)?;
            }
            if plan.changes_certs() {
                make_certificates(run, &mut draft)?;
                plan = draft.plan(run).await?;
            }
            aside.extend(crate::apply::apply(run, &plan).await?);
        }
        printer.out(&opened.summary.render());
        if let Some(key) = &plan.certificate_key {
            let joinable = plan.control_planes_join_by_hand();
            printer.out(&describe_certificate_key(key, joinable));
        }
        let status = conclude(printer, &opened.summary, &aside);
        self.say_what_is_next(global, is_first && !is_new(&run.state), &aside);
        Ok(status)
    }

    fn say_what_is_next(&self, global: &Global, created: bool, aside: &[Aside]) {
        // A saved plan names its inventory itself.
        let is_plan = |file: &&PathBuf| !crate::plan::file::is_plan(file);
        let file = self.file.as_ref().filter(is_plan);
        if !aside.is_empty() {
            let names: Vec<&str> = aside.iter().map(|one| one.host.as_str()).collect();
            let again = global.command("apply", file);
            global.say_next(&format!("fix {}, then run {again} again", names.join(", ")));
        } else if created {
            global.say_next(&format!(
                "run {}, then `kubectl get nodes` and {}",
                global.command("kubeconfig --merge", file),
                global.command("status", file)
            ));
        }
    }
}

/// Prints why hosts were set aside, where that was not told when it happened; returns the exit
/// status.
pub(super) fn conclude(printer: Printer, summary: &report::Summary, aside: &[Aside]) -> ExitStatus {
    for one in aside.iter().filter(|one| !summary.has_told(&one.host)) {
        // Some errors already name their host.
        let text = one.error.to_string();
        let named = text.starts_with(&format!("{}:", one.host));
        printer.err(&if named {
            text
        } else {
            format!("{}: {text}", one.host)
        });
    }
    match aside.is_empty() {
        true => ExitStatus::Done,
        false => ExitStatus::SetAside,
    }
}
