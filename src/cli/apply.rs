//! `apply`: makes hosts and cluster what the inventory says.

use std::path::PathBuf;

use clap::Args;
use text::count;
use zeroize::Zeroizing;

use super::Global;
use super::prompt::confirm;
use super::session::{Access, Part, Session};
use crate::apply::certs::make_certificates;
use crate::cluster::survey::Aside;
use crate::kubernetes::upload_certs::CertificateKey;
use crate::plan::document::PlanDocument;
use crate::plan::draft::Draft;
use crate::report::Printer;
use crate::run::error::{Error, ExitStatus};

/// Bring the cluster up, or put right what differs from the inventory
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  clusterctl-rs apply
  clusterctl-rs apply --yes --hosts 'worker*' --phases hosts
  clusterctl-rs plan --out next.plan && clusterctl-rs apply next.plan

A run that was interrupted is taken up by the same command.")]
pub(super) struct Apply {
    /// The inventory; or a plan of `plan --out`, which is carried out as it is,
    /// or refused if anything that it is about has moved since
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Don't ask before changing things
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    part: Part,
    /// Store the shared certificates, encrypted, in the cluster for two hours, for
    /// `kubeadm join --control-plane`
    #[arg(long)]
    upload_certs: bool,
    /// Fail if anything at all would be changed, and change nothing
    #[arg(long)]
    assert_noop: bool,
}

/// The key of uploaded certificates, and what it is good for.
fn certificate_key(key: &CertificateKey, joinable: bool) -> Zeroizing<String> {
    let how = match joinable {
        true => {
            "; until\n\
             then a control plane joins with what `kubeadm token create --print-join-command` \
             says and\n--control-plane --certificate-key KEY"
        }
        false => {
            ", but\n\
             kubeadm joins no control plane to a cluster without a controlPlaneEndpoint: set one, \
             and apply"
        }
    };
    Zeroizing::new(format!(
        "\ncertificate key: {}\n\
         It opens the cluster's CA keys: keep it secret. The upload is gone in two hours{how}",
        *key.expose()
    ))
}

impl Apply {
    pub(super) async fn run(self, global: &Global) -> Result<ExitStatus, Error> {
        let kept = self.kept_plan()?;
        let (file, part, upload_certs) = match &kept {
            // The options are the plan's own.
            Some(plan) => (
                Some(PathBuf::from(&plan.inventory)),
                Part::of_plan(&plan.options),
                plan.options.upload_certs,
            ),
            None => (self.file.clone(), self.part.clone(), self.upload_certs),
        };
        let mut session = Session::open(global, "apply", file.as_ref(), &part, Access::Write)?;
        session.run.options.upload_certs |= upload_certs;
        tokio::select! {
            result = self.go(global, &session, kept.as_ref()) => result,
            // Whatever is under way dies with its channel, on the hosts too.
            () = crate::run::interrupt::interrupted() => Err(Error::Interrupted),
        }
    }

    /// The plan in the file that was named, if it is one.
    fn kept_plan(&self) -> Result<Option<PlanDocument>, Error> {
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
                    "{} is a plan, and says itself which phases and hosts take part",
                    path.display()
                ),
                hint: Some("give these options to `clusterctl-rs plan --out FILE`".into()),
            });
        }
        crate::plan::file::read_plan(path).map(Some)
    }

    async fn go(
        &self,
        global: &Global,
        session: &Session,
        kept: Option<&PlanDocument>,
    ) -> Result<ExitStatus, Error> {
        let run = &session.run;
        let printer = global.printer();
        let mut draft = Draft::new(run).await?;
        if let Some(kept) = kept {
            let moved = crate::plan::file::moved(kept, &draft.document(run).await?);
            if !moved.is_empty() {
                return Err(Error::Moved { moved });
            }
        }
        let mut plan = draft.plan(run).await?;
        if self.assert_noop && !plan.is_empty() {
            let document = draft.document(run).await?;
            printer.out(&document.render(printer.color_out));
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
            if let Some(document) = shown {
                printer.err(&document.render(printer.color_err));
                let question = format!("Make {}?", count(plan.count(), "change"));
                confirm(&question)?;
            }
            if plan.changes_certs() {
                make_certificates(run, &mut draft)?;
                plan = draft.plan(run).await?;
            }
            aside.extend(crate::apply::apply(run, &plan).await?);
        }
        printer.out(&session.summary.render());
        if let Some(key) = &plan.certificate_key {
            let joinable = plan.control_planes_join_by_hand();
            printer.out(&certificate_key(key, joinable));
        }
        Ok(conclude(printer, &aside))
    }
}

/// Tells why hosts were set aside, and how the process ends.
pub(super) fn conclude(printer: Printer, aside: &[Aside]) -> ExitStatus {
    for one in aside {
        // Some errors name their host by themselves.
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
