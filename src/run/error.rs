//! All errors of a verb, how they are rendered, and their exit codes.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use pki::PkiError;
use ssh::SshError;
use text::count;
use text::terminal::sanitize;

use super::selection::SelectionError;
use super::state::StateError;
use crate::artifacts::ArtifactsError;
use crate::host::preflight::{Finding, Severity, group_findings};
use crate::host::{HostError, RunOwner};
use crate::inventory::edit::FileEditError;
use crate::inventory::{InventoryError, Place};
use crate::kubernetes::KubernetesError;
use crate::kubernetes::api::ApiError;

/// The exit codes. They are part of the interface and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// The inventory or the command line is invalid (clap uses the same code).
    Usage = 2,
    /// `plan --exit-code` found changes, or `status --exit-code` a problem.
    Changes = 3,
    /// Finished, but some hosts were set aside.
    SetAside = 4,
    /// Preflight checks failed.
    Preflight = 5,
    /// Another run holds the lock.
    Locked = 6,
}

/// What a component said when it ended, and what in the inventory it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The component and its own error, escaped.
    pub line: String,
    /// Where the inventory says what it refuses, if that can be told.
    pub place: Option<Place>,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)?;
        match &self.place {
            Some(place) => write!(f, "\n{ARROW}{place}"),
            None => Ok(()),
        }
    }
}

/// Before a place in the inventory.
const ARROW: &str = "  --> ";

/// An error that ends a verb or sets a host aside.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The inventory is invalid. Contains all errors found.
    #[error("{0}")]
    Inventory(#[from] InventoryError),
    /// The command line is invalid in a way that clap cannot detect.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// How to fix it.
        hint: Option<String>,
    },
    /// An unknown phase, or none left to run.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// The selected phases need others that have not run.
    #[error("cannot run phase {phase} on its own: {missing}")]
    NotAlone {
        /// The phase.
        phase: &'static str,
        /// What is missing.
        missing: String,
        /// What to run.
        hint: String,
    },
    /// The user did not confirm.
    #[error("aborted; nothing was changed")]
    Declined,
    /// Preflight found errors.
    #[error("preflight found {}{}", count(*.errors, "error"), list(.findings))]
    Preflight {
        /// Their number.
        errors: usize,
        /// All findings, including warnings.
        findings: Vec<Finding>,
    },
    /// `--assert-noop` found changes to make.
    #[error("`--assert-noop` allows no changes, but {} would be made", count(*.changes, "change"))]
    NotNoop {
        /// Their number.
        changes: usize,
    },
    /// A saved plan is out of date.
    #[error("the plan is out of date: {} changed since it was made{}", count(.moved.len(), "thing"), lines(.moved))]
    Moved {
        /// What has changed, one line each.
        moved: Vec<String>,
    },
    /// There is no admin kubeconfig yet.
    #[error("cluster {cluster} has no kubeconfig yet: {} does not exist", path.display())]
    NoKubeconfig {
        /// The cluster.
        cluster: String,
        /// The path where it would be.
        path: PathBuf,
    },
    /// SSH failed.
    #[error("{0}")]
    Ssh(#[from] SshError),
    /// A host's output or state is not as expected.
    #[error("{0}")]
    Host(#[from] HostError),
    /// Certificates.
    #[error("{0}")]
    Pki(#[from] PkiError),
    /// Binaries and images.
    #[error("{0}")]
    Artifacts(#[from] ArtifactsError),
    /// Rendering what hosts and the API should hold.
    #[error("{0}")]
    Kubernetes(#[from] KubernetesError),
    /// An API server or an etcd member that answers, but is not healthy.
    #[error("{why}")]
    NotReady {
        /// What it says.
        why: String,
    },
    /// What answers in the place of an API server is not of this cluster.
    #[error("{why}")]
    Stranger {
        /// What is wrong with its certificate.
        why: String,
    },
    /// A host, its API or etcd did not answer in time.
    #[error("timed out after {} s", .after.as_secs())]
    NoAnswer {
        /// How long it was waited for.
        after: Duration,
    },
    /// A request to the API.
    #[error("{0}")]
    Api(#[from] ApiError),
    /// A component did not become healthy; with evidence from its host.
    #[error("{}{what}\n{evidence}", .cause.as_ref().map(|cause| format!("{cause}\n  ")).unwrap_or_default())]
    Unhealthy {
        /// The component's own error, if it is known that it won't become healthy.
        cause: Option<Box<Cause>>,
        /// What was waited for.
        what: String,
        /// The end of the relevant logs, escaped.
        evidence: String,
        /// The likely cause and how to fix it.
        hint: Option<String>,
    },
    /// A change did not come up. Its predecessor is back, or should be.
    #[error("{}", after_cause(&.source.to_string(), .outcome))]
    PutBack {
        /// What went wrong with the change.
        source: Box<Error>,
        /// What became of the previous configuration, in words.
        outcome: String,
    },
    /// No control plane is reachable through the load balancer or kube-vip's address.
    #[error(
        "no control plane is reachable at {endpoint} (controlPlaneEndpoint) from {from}: {reason}"
    )]
    Endpoint {
        /// `host:port`.
        endpoint: String,
        /// The host that asked.
        from: String,
        /// The error of the last attempt.
        reason: String,
        /// Whether kube-vip holds the address.
        kube_vip: bool,
    },
    /// An etcd member cannot be removed.
    #[error("cannot remove this etcd member: {why}")]
    Quorum {
        /// The reason, escaped.
        why: String,
    },
    /// A control plane that would have to be restarted is needed by the cluster.
    #[error("not changed, because taking it down now would stop the cluster: {why}")]
    AtRisk {
        /// What is wrong with the others, escaped.
        why: String,
    },
    /// etcd was complete once and does not respond, so no member can join it.
    #[error("{host}: cannot join etcd, which is not responding: {why}")]
    EtcdSilent {
        /// The control plane that is to join.
        host: String,
        /// Why not.
        why: String,
    },
    /// Updating another node failed, so this one was not changed.
    #[error("not changed, because updating {after} failed")]
    RolloutStopped {
        /// The node that has failed.
        after: String,
    },
    /// Another run is changing the cluster.
    #[error("another run has the lock: {} by {}, since {} ({place})", owner.verb, owner.holder, owner.since)]
    Held {
        /// Whose it is.
        owner: Box<RunOwner>,
        /// Where it was last seen, and when.
        place: String,
    },
    /// Another run has taken the lock over.
    #[error("this run has lost the lock: {why}")]
    LockLost {
        /// To whom.
        why: String,
    },
    /// The state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// An error on one host.
    #[error("{host}: {source}")]
    OnHost {
        /// The host.
        host: String,
        /// What failed there.
        source: Box<Error>,
    },
    /// Refused, because it would destroy something. Nothing was changed.
    #[error("{message}")]
    Refused {
        /// What would be destroyed.
        message: String,
        /// What to do instead.
        hint: String,
    },
    /// A host to be removed is unreachable.
    #[error("{source}")]
    Unreachable {
        /// The host and the reason.
        source: Box<Error>,
    },
    /// A node could not be drained. It has been uncordoned.
    #[error("cannot drain node {node}: {why}")]
    Drain {
        /// The node.
        node: String,
        /// The reason and the remaining pods, escaped.
        why: String,
    },
    /// The inventory cannot be edited without changing the user's formatting.
    #[error("cannot edit {}: {why}", path.display())]
    Edit {
        /// The inventory.
        path: PathBuf,
        /// The reason.
        why: String,
        /// The edit to make by hand.
        by_hand: String,
    },
    /// A file on this machine.
    #[error("cannot {what} {}: {source}", path.display())]
    File {
        /// The operation.
        what: &'static str,
        /// The file.
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
    /// Adds the host's name to the error.
    pub fn on(self, host: &str) -> Self {
        Error::OnHost {
            host: host.to_owned(),
            source: Box::new(self),
        }
    }

    /// What to do next, if there is something to say.
    // Long: one arm for each error.
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
            Error::OnHost { source, .. } | Error::PutBack { source, .. } => source.hint(),
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
            Error::Held { .. } => Some(
                "wait for that run to end; if it is dead, run `clusterctl-rs lock break`".into(),
            ),
            Error::LockLost { .. } => Some(
                "nothing more was changed: once the other run has ended, run the same command again"
                    .into(),
            ),
            Error::Inventory(error) => error.hint(),
            Error::Api(error) => error.hint(),
            Error::NoAnswer { .. }
            | Error::NotReady { .. }
            | Error::Stranger { .. }
            | Error::NotNoop { .. }
            | Error::Declined
            | Error::File { .. }
            | Error::Interrupted => None,
        }
    }

    /// Whether a host has refused this run before it changed anything there.
    pub(crate) fn has_changed_nothing(&self) -> bool {
        match self {
            Error::OnHost { source, .. } => source.has_changed_nothing(),
            Error::LockLost { .. } => true,
            Error::Host(error) => matches!(
                error,
                HostError::Superseded { .. }
                    | HostError::ChangedSince { .. }
                    | HostError::Loose { .. }
            ),
            _ => false,
        }
    }

    /// The exit status.
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Error::Inventory(_)
            | Error::Usage { .. }
            | Error::Selection(_)
            | Error::NotAlone { .. } => ExitStatus::Usage,
            Error::Preflight { .. } => ExitStatus::Preflight,
            Error::Artifacts(error) if error.is_usage() => ExitStatus::Usage,
            Error::State(StateError::Locked { .. })
            | Error::Held { .. }
            | Error::LockLost { .. }
            | Error::Host(HostError::Superseded { .. }) => ExitStatus::Locked,
            Error::OnHost { source, .. } => source.exit_status(),
            _ => ExitStatus::Failed,
        }
    }

    /// Renders the error and its hint, escaped. All errors are rendered here.
    pub fn render(&self, color: bool) -> String {
        // Errors of the inventory have their own format, with source lines and carets.
        if let Error::Inventory(error @ (InventoryError::Invalid(_) | InventoryError::Refused(_))) =
            self
        {
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
            "{}: {}",
            word("error", console::Style::new().red().bold()),
            sanitize(&self.to_string())
        );
        if let Some(hint) = self.hint() {
            text.push_str(&format!(
                "\n{}: {}",
                word("hint", console::Style::new().cyan().bold()),
                sanitize(&hint)
            ));
        }
        text
    }
}

/// A text with one more line after what matters most: the first line, and the inventory's
/// place below it.
fn after_cause(text: &str, more: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    let has_place = lines.get(1).is_some_and(|line| line.starts_with(ARROW));
    let more = format!("  {more}");
    lines.insert(lines.len().min(if has_place { 2 } else { 1 }), &more);
    lines.join("\n")
}

/// The first lines, and how many more there are.
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

/// The findings that are errors, one line each.
fn list(findings: &[Finding]) -> String {
    let errors = findings.iter();
    let errors = errors.filter(|finding| finding.severity == Severity::Error);
    let lines = group_findings(errors).into_iter();
    lines.map(|finding| format!("\n  {finding}")).collect()
}
