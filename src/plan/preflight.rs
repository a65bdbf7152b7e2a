//! Runs the preflight checks on all hosts.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt};

use super::containerd::check_containerd;
use super::kubelet_certificates::check_kubelet_certificates;
use crate::cluster::endpoint;
use crate::cluster::identity::{KnownCluster, Stranger};
use crate::cluster::survey::{Aside, Surveyed, survey_hosts};
use crate::host;
use crate::host::Owner;
use crate::host::preflight::{
    Connection, Finding, Severity, Subject, check_reachability, check_virtual_address,
    required_connections, virtual_address,
};
use crate::run::Run;
use crate::run::error::Error;
use crate::run::phase::Phase;

/// Checks all hosts; fails if there are errors.
///
/// # Errors
/// [`Error::Preflight`], after the findings have been reported.
pub(crate) async fn run_preflight(
    run: &Run,
    owner: &Owner,
    ca: &str,
    surveyed: &[Surveyed],
) -> Result<Vec<Finding>, Error> {
    if !run.has(Phase::Preflight) {
        return Ok::<_, Error>(Vec::new());
    }
    let findings = collect_findings(run, owner, ca, surveyed).await?;
    for warning in group_warnings(&findings) {
        run.events().warn(warning);
    }
    let errors = findings
        .iter()
        .filter(|f| f.severity == Severity::Error)
        .count();
    if errors > 0 {
        return Err(Error::Preflight { errors, findings });
    }
    Ok(findings)
}

/// Reports warnings, one line for all hosts that share one.
fn group_warnings(findings: &[Finding]) -> Vec<String> {
    let mut shared: Vec<(&Finding, Vec<&str>)> = Vec::new();
    for finding in findings
        .iter()
        .filter(|finding| finding.severity == Severity::Warning)
    {
        let same = |other: &Finding| {
            (&other.check, &other.message, &other.remedy)
                == (&finding.check, &finding.message, &finding.remedy)
        };
        match shared.iter_mut().find(|(other, _)| same(other)) {
            Some((_, hosts)) => hosts.push(&finding.host),
            None => shared.push((finding, vec![&finding.host])),
        }
    }
    shared
        .into_iter()
        .map(|(finding, hosts)| {
            Finding {
                host: hosts.join(", "),
                ..finding.clone()
            }
            .to_string()
        })
        .collect()
}

/// The result of `preflight`.
#[derive(Debug)]
pub struct Report {
    /// Reachable hosts, in the inventory's order.
    pub hosts: Vec<String>,
    /// Unreachable hosts.
    pub aside: Vec<Aside>,
    /// The findings of all checks.
    pub findings: Vec<Finding>,
}

/// Connects, gathers facts and checks. Findings are not errors here.
///
/// # Errors
/// A control plane that is unreachable.
pub async fn report_findings(run: &Run) -> Result<Report, Error> {
    let (surveyed, aside) = survey_hosts(run).await;
    let control_planes: Vec<&Surveyed> = surveyed
        .iter()
        .filter(|one| one.host.is_control_plane())
        .collect();
    let pki = super::certificates::plan_certificates(
        run,
        &crate::desired::certificates::request(
            &run.cluster,
            &crate::desired::target::facts_of(&control_planes),
        )?,
    )?;
    let known = KnownCluster::read(run)?;
    let owner = known.owner(&run.cluster, pki.ca_cert(), &surveyed);
    let mut findings = collect_findings(run, &owner, pki.ca_cert(), &surveyed).await?;
    findings.extend(
        known
            .find_strangers(run, &surveyed)
            .into_iter()
            .map(other_cluster),
    );
    findings.retain(|finding| finding.severity != Severity::Passed);
    Ok(Report {
        hosts: surveyed.iter().map(|one| one.host.name.clone()).collect(),
        aside,
        findings,
    })
}

/// What every other verb would refuse: no setting demotes it.
fn other_cluster(Stranger { host, why }: Stranger) -> Finding {
    Finding {
        host,
        check: "OtherCluster".into(),
        severity: Severity::Error,
        message: why,
        remedy: Some(
            "take the host out of the inventory, or reset it with its own cluster's; if it is \
                 this cluster's, run `clusterctl-rs state recover`"
                .into(),
        ),
    }
}

/// Runs all checks on all hosts.
async fn collect_findings(
    run: &Run,
    owner: &Owner,
    ca: &str,
    surveyed: &[Surveyed],
) -> Result<Vec<Finding>, Error> {
    let subjects: Vec<Subject<'_>> = surveyed
        .iter()
        .map(|one| Subject {
            host: &one.host,
            gathered: &one.gathered,
            owned: host::preflight::belongs_to_cluster(owner, &one.gathered, Some(ca.as_bytes())),
        })
        .collect();
    let mut findings = host::preflight::check_hosts(&run.cluster, &subjects);
    let now = jiff::Timestamp::now();
    let owned = subjects.iter().zip(surveyed);
    let owned = owned.filter(|(subject, _)| subject.owned);
    findings.extend(owned.flat_map(|(_, one)| check_kubelet_certificates(one, now)));
    let containerd = surveyed.iter();
    findings.extend(containerd.flat_map(|one| check_containerd(&run.cluster, one)));
    findings.extend(probe_reachability(run, &subjects, surveyed).await?);
    let control_planes = subjects
        .iter()
        .zip(surveyed)
        .filter(|(subject, _)| subject.host.is_control_plane())
        .map(|(subject, one)| (subject, &one.session))
        .collect();
    findings
        .extend(crate::cluster::external_etcd::check_external_etcds(run, control_planes).await?);
    let of_cluster = subjects
        .iter()
        .zip(surveyed)
        .find(|(subject, _)| subject.owned && subject.host.is_control_plane());
    if let Some((subject, one)) = of_cluster {
        let name = &subject.host.name;
        findings.extend(endpoint::check_endpoint(&run.cluster, ca, name, &one.session).await);
    }
    Ok(findings)
}

/// Checks that new hosts can connect to the hosts they need and vice versa, and that
/// kube-vip's address is unused. Skipped between hosts that already work together, which
/// saves a command.
async fn probe_reachability(
    run: &Run,
    subjects: &[Subject<'_>],
    surveyed: &[Surveyed],
) -> Result<Vec<Finding>, Error> {
    let new: BTreeSet<&str> = subjects
        .iter()
        .filter(|subject| !subject.owned)
        .map(|subject| subject.host.name.as_str())
        .collect();
    let connections: Vec<Connection> = required_connections(&run.cluster, subjects)
        .into_iter()
        .filter(|one| new.contains(one.from.as_str()) || new.contains(one.to.as_str()))
        .collect();
    let attempt = virtual_address(&run.cluster, subjects);
    let probes = subjects.iter().zip(surveyed).map(|(subject, one)| {
        let from = &subject.host.name;
        let own: Vec<Connection> = connections
            .iter()
            .filter(|one| one.from == *from)
            .cloned()
            .collect();
        let attempt = attempt.as_ref().filter(|attempt| attempt.from == *from);
        async move {
            if own.is_empty() && attempt.is_none() {
                return Ok::<_, Error>(Vec::new());
            }
            let asked: Vec<Connection> = own.iter().chain(attempt).cloned().collect();
            let tried = one.session.try_connections(&asked).await;
            let probes = tried.map_err(|error| error.on(from))?;
            let mut findings = check_reachability(subject, &own, &probes);
            if let Some(attempt) = attempt {
                findings.extend(check_virtual_address(subjects, attempt, &probes));
            }
            Ok(findings)
        }
    });
    let found: Vec<Vec<Finding>> = futures::stream::iter(probes)
        .buffered(run.options.parallel)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}
