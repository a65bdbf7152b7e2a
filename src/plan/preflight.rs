//! Runs the preflight checks on all hosts.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt};

use super::containerd::check_containerd;
use super::kubelet_certificates::check_kubelet_certificates;
use super::way_out::check_way_out;
use crate::cluster::endpoint;
use crate::cluster::identity::{KnownCluster, Stranger};
use crate::cluster::survey::{Aside, Surveyed, survey_hosts};
use crate::host;
use crate::host::Owner;
use crate::host::preflight::{
    Connection, Finding, Severity, Subject, check_forwarding, check_reachability,
    check_virtual_address, group_findings, required_connections, virtual_address,
};
use crate::inventory::{Cluster, Etcd};
use crate::kubernetes::Component;
use crate::kubernetes::health::{
    api_server_endpoint, component_endpoint, etcd_client_address, kubelet_endpoint,
};
use crate::run::Run;
use crate::run::error::Error;
use crate::run::phase::Phase;
use crate::run::remote::Remote;

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
    let warnings = findings.iter();
    let warnings = warnings.filter(|finding| finding.severity == Severity::Warning);
    for warning in group_findings(warnings) {
        run.events().warn(warning.to_string());
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

/// The name of what is found where nothing could be checked.
pub const UNCHECKED: &str = "Connection";

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
/// Files of the state directory that can't be used.
pub async fn report_findings(run: &Run) -> Result<Report, Error> {
    let (surveyed, aside) = survey_hosts(run).await;
    let mut findings: Vec<Finding> = aside.iter().map(unchecked).collect();
    let known = KnownCluster::read(run)?;
    // Without an address certificates can't be planned; then that is what there is to tell.
    let known_addresses = |one: &&Surveyed| one.gathered.facts.advertised(&one.host).is_some();
    let control_planes: Vec<&Surveyed> = surveyed
        .iter()
        .filter(|one| one.host.is_control_plane())
        .filter(known_addresses)
        .collect();
    let pki = super::certificates::plan_certificates(
        run,
        &crate::desired::certificates::request(
            &run.cluster,
            &crate::desired::target::facts_of(&control_planes),
        )?,
    )?;
    let owner = known.owner(&run.cluster, pki.ca_cert(), &surveyed);
    findings.extend(collect_findings(run, &owner, pki.ca_cert(), &surveyed).await?);
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

/// Why a host could not be checked at all.
fn unchecked(one: &Aside) -> Finding {
    Finding {
        host: one.host.clone(),
        check: UNCHECKED.into(),
        severity: Severity::Error,
        message: one.error.to_string(),
        remedy: one.error.hint(),
    }
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
    findings.extend(check_way_out(run, &subjects, surveyed).await?);
    let control_planes: Vec<(&Subject<'_>, &Remote)> = subjects
        .iter()
        .zip(surveyed)
        .filter(|(subject, _)| subject.host.is_control_plane())
        .map(|(subject, one)| (subject, &one.session))
        .collect();
    findings.extend(ask_forwarding(run, &control_planes).await);
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

/// Asks the sshd of each control plane whether it lets through what a run connects to: API
/// server, etcd, and what tells of health. Where a cluster runs, the API server alone: whoever
/// listens logs each connection that says nothing.
async fn ask_forwarding(run: &Run, control_planes: &[(&Subject<'_>, &Remote)]) -> Vec<Finding> {
    let asked = control_planes.iter().map(|(subject, remote)| async move {
        let targets = forwarded(&run.cluster, subject);
        let forbidden = remote.find_forbidden(&targets).await;
        check_forwarding(subject, targets.len(), &forbidden)
    });
    let findings: Vec<Vec<Finding>> = futures::stream::iter(asked)
        .buffered(run.options.parallel)
        .collect()
        .await;
    findings.into_iter().flatten().collect()
}

/// Addresses and ports on a control plane that are reached through its session.
fn forwarded(cluster: &Cluster, subject: &Subject<'_>) -> Vec<(String, u16)> {
    let (host, facts) = (subject.host, &subject.gathered.facts);
    let api = api_server_endpoint(cluster, host, Some(facts));
    let mut targets = vec![(api.address, api.port)];
    if !subject.owned {
        if matches!(cluster.etcd, Etcd::Local(_)) {
            targets.push(etcd_client_address(cluster, host));
        }
        let components = Component::all(cluster).iter();
        let health = components
            .filter_map(|one| component_endpoint(*one, cluster, host, Some(facts)))
            .chain(kubelet_endpoint(host));
        targets.extend(health.map(|at| (at.address, at.port)));
    }
    targets.sort_unstable();
    targets.dedup();
    targets
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
