//! An endpoint that would change for some nodes and not for others.

use super::judge::Refused;
use super::read::Joined;
use crate::cluster::survey::{Aside, Surveyed};
use crate::inventory::Spot;
use crate::inventory::listen::ListenUrl;
use crate::layout::components::API_SERVER;
use crate::layout::paths;
use crate::run::Run;
use crate::run::phase::Phase;

/// Refuses another `controlPlaneEndpoint` for a run that does not reach every worker: the
/// kubelet of one that is left behind would go on looking for the API where it was.
pub(super) fn find_left_behind(
    run: &Run,
    joined: &[Joined<'_>],
    surveyed: &[Surveyed],
    aside: &[Aside],
) -> Option<Refused> {
    // With a balancer on each node, nodes reach the API at their own address.
    if run.cluster.load_balancer.is_local() {
        return None;
    }
    let (running, wanted) = find_change(joined)?;
    let reached = |name: &str| {
        let is_aside = aside.iter().any(|one| one.host == name);
        !is_aside && surveyed.iter().any(|one| one.host.name == name)
    };
    let left: Vec<String> = run
        .cluster
        .workers()
        .filter(|host| !run.has(Phase::Join) || !run.takes_part(host) || !reached(&host.name))
        .map(|host| host.name.clone())
        .collect();
    (!left.is_empty()).then(|| Refused {
        source: None,
        spots: vec![Spot::Spec("controlPlaneEndpoint")],
        why: format!(
            "this run does not change {}, whose kubelet would go on looking for the API at \
             `{running}`",
            left.join(", ")
        ),
        ..Refused::of_cluster(
            running,
            wanted,
            "or run this without `--hosts` and `--phases` once every worker is reachable",
        )
    })
}

/// The endpoint that no control plane has yet, and the one that they have.
fn find_change(joined: &[Joined<'_>]) -> Option<(String, String)> {
    let mut change = None;
    for one in joined {
        let server = |settings: &crate::host::Running| {
            let server = settings.value(paths::ADMIN_CONF, "server");
            server.map(str::to_owned)
        };
        let (Some(running), Some(wanted)) = (server(one.running), server(&one.wanted)) else {
            continue;
        };
        if running == wanted {
            return None;
        }
        // Its own address, and no endpoint: what changes is the address.
        let host = |url: &str| ListenUrl::parse(url).map(|url| url.host.to_owned());
        let is_own = |url: &str, settings: &crate::host::Running| {
            host(url).as_deref() == settings.flag(API_SERVER, "advertise-address")
        };
        if is_own(&running, one.running) && is_own(&wanted, &one.wanted) {
            return None;
        }
        change = Some((running, wanted));
    }
    change
}
