//! Connects to hosts and gathers facts.

use futures::StreamExt;

use super::answer::ask_first;
use crate::host::Gathered;
use crate::inventory::Host;
use crate::run::Run;
use crate::run::error::Error;
use crate::run::phase::Phase;
use crate::run::remote::Remote;
use crate::run::tracker::Part;

/// A reachable host.
#[derive(Debug, Clone)]
pub struct Surveyed {
    /// Its entry in the inventory.
    pub host: Host,
    /// The connection to it.
    pub session: Remote,
    /// Its facts.
    pub gathered: Gathered,
}

/// A host that was set aside for the rest of this run.
#[derive(Debug)]
pub struct Aside {
    /// Its name.
    pub host: String,
    /// What failed.
    pub error: Error,
}

/// Connects to the selected hosts, and to all control planes, because the API is reached
/// through them. Unreachable hosts are set aside; whether a run can continue without one of
/// its control planes is known only after asking the API.
pub(crate) async fn survey_hosts(run: &Run) -> (Vec<Surveyed>, Vec<Aside>) {
    let workers_only = !run
        .cluster
        .control_planes()
        .any(|host| run.takes_part(host));
    if run.options.one_control_plane && workers_only {
        return survey_with_one(run).await;
    }
    let wanted: Vec<&Host> = run
        .cluster
        .hosts
        .iter()
        .filter(|host| host.is_control_plane() || run.takes_part(host))
        .collect();
    run.tracker.expect(Phase::Preflight, wanted.len());
    survey_all(run, wanted).await
}

/// Like `survey`, if only workers are selected: one control plane is enough to reach the
/// API, so that the cost does not depend on the size of the cluster.
async fn survey_with_one(run: &Run) -> (Vec<Surveyed>, Vec<Aside>) {
    let workers: Vec<&Host> = run
        .cluster
        .hosts
        .iter()
        .filter(|host| run.takes_part(host))
        .collect();
    run.tracker.expect(Phase::Preflight, workers.len() + 1);
    let part = run.tracker.part(Phase::Preflight);
    // Unreachable ones are set aside only if no control plane is reachable.
    let control_plane = async {
        let hosts = run.cluster.control_planes().map(|host| (host, ()));
        let asked = ask_first(hosts, async |host, ()| survey_one(run, host, &part).await).await;
        let lost = asked.silent.0.into_iter().map(|(host, error)| Aside {
            host: host.name.clone(),
            error,
        });
        if asked.answer.is_some() {
            for Aside { host, error } in lost {
                run.events().warn(error.on(&host).to_string());
            }
            return (asked.answer, Vec::new());
        }
        (None, lost.collect())
    };
    let (control_plane, workers) = futures::join!(control_plane, survey_all(run, workers));
    let (control_plane, mut aside) = control_plane;
    if let Some(one) = &control_plane {
        part.quiet(&one.host.name);
    }
    let (workers, lost) = workers;
    aside.extend(lost);
    (control_plane.into_iter().chain(workers).collect(), aside)
}

/// Surveys hosts in parallel.
async fn survey_all(run: &Run, hosts: Vec<&Host>) -> (Vec<Surveyed>, Vec<Aside>) {
    let answers: Vec<(&Host, Result<Surveyed, Error>)> = futures::stream::iter(hosts)
        .map(|host| async move {
            let part = run.tracker.part(Phase::Preflight);
            let answer = survey_one(run, host, &part).await;
            match &answer {
                // A failing control plane ends the run, whose error says why.
                Err(error) if !host.is_control_plane() => part.failed(&host.name, error),
                _ => part.quiet(&host.name),
            }
            (host, answer)
        })
        .buffered(run.options.parallel)
        .collect()
        .await;
    let mut surveyed = Vec::with_capacity(answers.len());
    let mut aside = Vec::new();
    for (host, answer) in answers {
        match answer {
            Ok(one) => surveyed.push(one),
            Err(error) => aside.push(Aside {
                host: host.name.clone(),
                error,
            }),
        }
    }
    (surveyed, aside)
}

async fn survey_one(run: &Run, host: &Host, part: &Part) -> Result<Surveyed, Error> {
    part.doing(&host.name, "connecting");
    let session = run.connect(host).await?;
    part.doing(&host.name, "gathering facts");
    let gathered = session.gather(&run.cluster, host).await?;
    Ok(Surveyed {
        host: host.clone(),
        session,
        gathered,
    })
}
