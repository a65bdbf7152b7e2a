//! What can go wrong, where it is rendered, and the exit code that it makes.

use std::io;
use std::path::PathBuf;

use pki::PkiError;
use ssh::SshError;
use text::count;

use super::selection::SelectionError;
use super::state::StateError;
use crate::artifacts::ArtifactsError;
use crate::host::HostError;
use crate::host::preflight::{Finding, Severity};
use crate::inventory::InventoryError;
use crate::inventory::edit::FileEditError;
use crate::kubernetes::KubernetesError;
use crate::kubernetes::api::ApiError;

/// How the process ends. The numbers are a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// The inventory or the command line is wrong (clap's own code, too).
    Usage = 2,
    /// `plan --exit-code` found changes.
    Changes = 3,
    /// Finished, but some hosts were set aside.
    SetAside = 4,
    /// Preflight refused.
    Preflight = 5,
    /// Another run holds the lock.
    Locked = 6,
}

/// Anything that ends a verb, or sets a host aside.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The inventory is wrong. Its text holds every fault.
    #[error("{0}")]
    Inventory(#[from] InventoryError),
    /// The command line is wrong in a way that clap can't know.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What would be right.
        hint: Option<String>,
    },
    /// A phase was named that isn't there.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// A part was asked for that can't stand alone.
    #[error("cannot run phase {phase} on its own: {missing}")]
    NotAlone {
        /// The phase.
        phase: &'static str,
        /// What is missing.
        missing: String,
        /// What to run.
        hint: String,
    },
    /// The operator said no.
    #[error("aborted; nothing was changed")]
    Declined,
    /// Preflight found errors.
    #[error("preflight found {}{}", count(*.errors, "error"), list(.findings))]
    Preflight {
        /// How many.
        errors: usize,
        /// All findings, warnings among them.
        findings: Vec<Finding>,
    },
    /// `--assert-noop` found something to do.
    #[error("`--assert-noop` allows no changes, but {} would be made", count(*.changes, "change"))]
    NotNoop {
        /// How many.
        changes: usize,
    },
    /// What a plan is about is no longer as it was.
    #[error("the plan is out of date: {} changed since it was made{}", count(.moved.len(), "thing"), lines(.moved))]
    Moved {
        /// What has moved, a line each.
        moved: Vec<String>,
    },
    /// There is no admin kubeconfig yet.
    #[error("cluster {cluster} has no kubeconfig yet: {} does not exist", path.display())]
    NoKubeconfig {
        /// Whose it would be.
        cluster: String,
        /// Where it would be.
        path: PathBuf,
    },
    /// SSH failed.
    #[error("{0}")]
    Ssh(#[from] SshError),
    /// A host's answer or state is not what it should be.
    #[error("{0}")]
    Host(#[from] HostError),
    /// Certificates.
    #[error("{0}")]
    Pki(#[from] PkiError),
    /// Binaries and images.
    #[error("{0}")]
    Artifacts(#[from] ArtifactsError),
    /// Rendering.
    #[error("{0}")]
    Kubernetes(#[from] KubernetesError),
    /// The API.
    #[error("{0}")]
    Api(#[from] ApiError),
    /// A component didn't get healthy; with what its host tells about it.
    #[error("{source}\n{evidence}")]
    Unhealthy {
        /// What was waited for.
        source: ApiError,
        /// The tail of the logs that matter, terminal-safe.
        evidence: String,
        /// The likely cause and what to do.
        hint: Option<String>,
    },
    /// The operator's load balancer, or kube-vip's address, leads to no control plane.
    #[error(
        "no control plane is reachable at {endpoint} (controlPlaneEndpoint) from {from}: {reason}"
    )]
    Endpoint {
        /// `host:port`.
        endpoint: String,
        /// The host that asked.
        from: String,
        /// What the last try said.
        reason: String,
        /// Whether kube-vip should hold it.
        kube_vip: bool,
    },
    /// etcd doesn't let a member go.
    #[error("cannot remove this etcd member: {why}")]
    Quorum {
        /// etcd's words, terminal-safe.
        why: String,
    },
    /// A control plane that would have to be taken down is needed.
    #[error("not changed, because taking it down now would stop the cluster: {why}")]
    AtRisk {
        /// What is wrong with the others, terminal-safe.
        why: String,
    },
    /// etcd was whole once and doesn't answer, so that no member can join it.
    #[error("{host}: cannot join etcd, which is not responding: {why}")]
    EtcdSilent {
        /// The control plane that is to join.
        host: String,
        /// Why not.
        why: String,
    },
    /// A node that was changed has failed, so the same was not done to this one.
    #[error("not changed, because updating {after} failed")]
    RolloutStopped {
        /// The node that has failed.
        after: String,
    },
    /// The operator state.
    #[error(transparent)]
    State(#[from] StateError),
    /// A host failed that the run can't do without.
    #[error("{host}: {source}")]
    OnHost {
        /// The host.
        host: String,
        /// What failed there.
        source: Box<Error>,
    },
    /// What was asked for would cost something that it must not, so nothing was
    /// done.
    #[error("{message}")]
    Refused {
        /// What it would cost.
        message: String,
        /// What to do instead.
        hint: String,
    },
    /// A host that is to go can't be reached.
    #[error("{source}")]
    Unreachable {
        /// Which, and why not.
        source: Box<Error>,
    },
    /// A node could not be emptied. It takes pods again.
    #[error("cannot drain node {node}: {why}")]
    Drain {
        /// The node.
        node: String,
        /// Why, and which pods are left, terminal-safe.
        why: String,
    },
    /// The inventory's text can't be edited without touching what is its
    /// owner's.
    #[error("cannot edit {}: {why}", path.display())]
    Edit {
        /// The inventory.
        path: PathBuf,
        /// Why it can't be edited.
        why: String,
        /// What to write by hand.
        by_hand: String,
    },
    /// A file of the workstation.
    #[error("cannot {what} {}: {source}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The run was interrupted.
    #[error("interrupted; run the same command again to continue")]
    Interrupted,
}

impl From<FileEditError> for Error {
    fn from(error: FileEditError) -> Self {
        match error {
            FileEditError::File { what, path, source } => Error::File { what, path, source },
            FileEditError::Refused { path, why, by_hand } => Error::Edit { path, why, by_hand },
            FileEditError::Invalid(error) => Error::Inventory(error),
        }
    }
}

impl Error {
    /// The same error, on a host that the run can't do without.
    pub fn on(self, host: &str) -> Self {
        Error::OnHost {
            host: host.to_owned(),
            source: Box::new(self),
        }
    }

    /// What to do next, where there is something to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Usage { hint, .. } | Error::Unhealthy { hint, .. } => hint.clone(),
            Error::Selection(error) => Some(error.hint()),
            Error::NotAlone { hint, .. } => Some(hint.clone()),
            Error::Ssh(error) => error.hint(),
            Error::Host(error) => error.hint(),
            Error::Pki(error) => error.hint(),
            Error::Artifacts(error) => error.hint(),
            Error::Kubernetes(error) => error.hint(),
            Error::State(error) => error.hint(),
            Error::OnHost { source, .. } => source.hint(),
            Error::Preflight { .. } => Some(
                "fix each finding as it says, or demote its check with `preflight.ignore` in the inventory"
                    .into(),
            ),
            Error::NoKubeconfig { .. } => Some(
                "run `clusterctl-rs apply` first; if you did so on another machine, look in the .clusterctl directory there"
                    .into(),
            ),
            Error::Endpoint { kube_vip: true, .. } => Some(
                "the control planes are up: check kube-vip's logs there (`crictl logs $(crictl ps -q --name kube-vip)`), loadBalancer.interface, and that the network lets an address move, then run the same command again"
                    .into(),
            ),
            Error::Endpoint { .. } => Some(
                "the control planes are up: make the load balancer forward TCP to their API servers, then run the same command again"
                    .into(),
            ),
            Error::Quorum { .. } => Some(
                "start the other members first; if their data does not matter, run `clusterctl-rs reset --force` on this host"
                    .into(),
            ),
            Error::Unreachable { source } => Some(match source.hint() {
                Some(hint) => format!("{hint}; if the host is gone for good, pass `--unreachable`"),
                None => "if the host is gone for good, pass `--unreachable`".into(),
            }),
            Error::Refused { hint, .. } => Some(hint.clone()),
            Error::Drain { .. } => Some(
                "fix these pods or the disruption budgets that protect them, or allow more time with `--timeout`, then run the same command again"
                    .into(),
            ),
            Error::Edit { by_hand, .. } => Some(format!("make the edit yourself: {by_hand}")),
            Error::AtRisk { .. } => Some(
                "repair the other control planes first, then run the same command again".into(),
            ),
            Error::EtcdSilent { .. } => Some(
                "first start the control planes that hold etcd's data: a majority of them must run"
                    .into(),
            ),
            Error::RolloutStopped { after } => Some(format!(
                "fix {after}, then run the same command again"
            )),
            Error::Moved { .. } => Some(
                "nothing was changed; make a new plan with `clusterctl-rs plan --out FILE`".into(),
            ),
            Error::Inventory(error) => error.hint(),
            Error::Api(_)
            | Error::NotNoop { .. }
            | Error::Declined
            | Error::File { .. }
            | Error::Interrupted => None,
        }
    }

    /// How the process ends.
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Error::Inventory(_)
            | Error::Usage { .. }
            | Error::Selection(_)
            | Error::NotAlone { .. } => ExitStatus::Usage,
            Error::Preflight { .. } => ExitStatus::Preflight,
            Error::State(StateError::Locked { .. }) => ExitStatus::Locked,
            Error::OnHost { source, .. } => source.exit_status(),
            _ => ExitStatus::Failed,
        }
    }

    /// The error as the operator reads it: the one place that renders.
    pub fn render(&self, color: bool) -> String {
        // The inventory's faults bring their own form: source lines, carets.
        if let Error::Inventory(error @ InventoryError::Invalid(_)) = self {
            return error.render(color);
        }
        let word = |text: &str, style: console::Style| {
            if color {
                style.force_styling(true).apply_to(text).to_string()
            } else {
                text.into()
            }
        };
        let mut text = format!(
            "{}: {self}",
            word("error", console::Style::new().red().bold())
        );
        if let Some(hint) = self.hint() {
            text.push_str(&format!(
                "\n{}: {hint}",
                word("hint", console::Style::new().cyan().bold())
            ));
        }
        text
    }
}

/// The first of many lines, and how many more there are.
fn lines(all: &[String]) -> String {
    const SHOWN: usize = 20;
    let mut text: String = all
        .iter()
        .take(SHOWN)
        .map(|line| format!("\n  {line}"))
        .collect();
    if all.len() > SHOWN {
        text.push_str(&format!("\n  and {} more", all.len() - SHOWN));
    }
    text
}

/// The errors among the findings, a line each.
fn list(findings: &[Finding]) -> String {
    findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| format!("\n  {finding}"))
        .collect()
}
