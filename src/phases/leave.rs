//! What a cluster that lives on has to do when hosts leave it: let go of their
//! etcd members, and delete their Nodes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, DeleteParams};

use super::cluster_api::Tunnel;
use super::reset::{Outcome, ResetHost};
use super::{Phase, Run};
use crate::Error;
use crate::engine::Part;
use crate::inventory::{Etcd, Host};
use crate::kubernetes::api::{self, ApiError, Identity};
use crate::kubernetes::read_embedded;
use crate::ssh::{self, RunOptions, Script, Session};

/// Time for etcd to let members go, or for the API to delete a Node.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whether members of an etcd that lives on would leave it.
pub(super) fn changes_etcd(run: &Run, leaving: &[&Host], stay: &[&Host]) -> bool {
    let control_plane = |hosts: &[&Host]| hosts.iter().any(|host| host.is_control_plane());
    matches!(run.cluster.etcd, Etcd::Local(_)) && control_plane(leaving) && control_plane(stay)
}

/// Lets the members on leaving control planes go. Comes back with those that may
/// not leave, and why.
pub(super) async fn leave_etcd(
    run: &Run,
    stay: &[&Host],
    leaving: &[&Host],
) -> BTreeMap<String, String> {
    let members: Vec<&Host> = leaving
        .iter()
        .copied()
        .filter(|host| host.is_control_plane())
        .collect();
    if members.is_empty() {
        return BTreeMap::new();
    }
    let said = match remaining(run, stay).await {
        Some((host, session)) => ask_etcd(run, host, &session, &members).await,
        None => Err("no other control plane can be reached".into()),
    };
    let mut refused = BTreeMap::new();
    for host in members {
        let why = match &said {
            Ok(text) => verdict(text, &host.node_name),
            Err(why) => Some(why.clone()),
        };
        refused.extend(why.map(|why| (host.name.clone(), why)));
    }
    refused
}

/// Deletes the Nodes of hosts that are clean now, if a control plane stays. A
/// Node that stays is a warning: nothing runs there any more.
pub(super) async fn delete_nodes(run: &Run, stay: &[&Host], done: &[ResetHost], part: &Part) {
    let clean = |host: &Host| {
        let is_clean = |done: &ResetHost| matches!(done.outcome, Ok(Outcome::Clean { .. }));
        done.iter()
            .any(|done| done.name == host.name && is_clean(done))
    };
    let hosts = run.cluster.hosts.iter().filter(|host| clean(host));
    let names: Vec<&str> = hosts.map(|host| host.node_name.as_str()).collect();
    if names.is_empty() || !stay.iter().any(|host| host.is_control_plane()) {
        return;
    }
    let nodes = match remaining(run, stay).await {
        Some((host, session)) => client(run, host, &session).map(Api::<Node>::all),
        None => Err("no control plane can be reached".into()),
    };
    for name in names {
        let deleted = async {
            let nodes = nodes.as_ref().map_err(Clone::clone)?;
            let what = format!("Node {name}");
            run.journalled(None, Phase::Reset, &what, delete(nodes, name))
                .await
                .map_err(|error| error.to_string())
        };
        match tokio::time::timeout(PATIENCE, deleted).await {
            Ok(Ok(true)) => part.changed(format!("Node {name}"), "deleted"),
            Ok(Ok(false)) => {}
            Ok(Err(why)) => run.events().warn(stays(name, &why)),
            Err(_) => run.events().warn(stays(name, "the API does not answer")),
        }
    }
}

/// The first control plane that stays and can be reached.
async fn remaining<'a>(run: &Run, stay: &[&'a Host]) -> Option<(&'a Host, Session)> {
    for host in stay.iter().copied().filter(|host| host.is_control_plane()) {
        match run.connect(host).await {
            Ok(session) => return Some((host, session)),
            Err(error) => run.events().warn(error.to_string()),
        }
    }
    None
}

/// A client with the operator's kubeconfig, through a control plane.
pub(super) fn client(run: &Run, host: &Host, session: &Session) -> Result<kube::Client, String> {
    let path = run.state.kubeconfig();
    let text = std::fs::read_to_string(&path)
        .map(zeroize::Zeroizing::new)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let (ca, cert, key) = read_embedded(&text)
        .ok_or_else(|| format!("{} holds no client certificate", path.display()))?;
    let address = host
        .advertise_address
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let tunnel = Tunnel::new(session, address, run.cluster.bind_port);
    api::client(tunnel, &ca, &Identity { cert, key }).map_err(|error| error.to_string())
}

fn stays(node: &str, why: &str) -> String {
    format!("Node {node} stays in the API ({why}): kubectl delete node {node}")
}

/// Deletes a Node; says whether there was one.
pub(super) async fn delete(nodes: &Api<Node>, name: &str) -> Result<bool, Error> {
    match nodes.delete(name, &DeleteParams::default()).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(ApiError::request(format!("delete node {name}"))(error).into()),
    }
}

async fn ask_etcd(
    run: &Run,
    host: &Host,
    session: &Session,
    members: &[&Host],
) -> Result<String, String> {
    let names: Vec<&str> = members.iter().map(|host| host.node_name.as_str()).collect();
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let script = Script {
        name: "let etcd members go".into(),
        text: format!(
            "names={}\npki={}\nsocket={}\n{}",
            quoted(&names.join(" ")),
            quoted(&format!("{}/etcd", run.cluster.certificates_dir)),
            quoted(host.cri_socket.trim_start_matches("unix://")),
            include_str!("leave-etcd.sh")
        ),
        input: Vec::new(),
    };
    let options = RunOptions {
        timeout: PATIENCE,
        ..RunOptions::default()
    };
    let what = format!("etcd members {}", names.join(", "));
    run.journalled(Some(&host.name), Phase::Reset, &what, async {
        let output = session.run(&script, &options).await?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    })
    .await
    .map_err(|error| error.to_string())
}

/// Why a member may not leave, out of what the script said.
fn verdict(said: &str, member: &str) -> Option<String> {
    let clean = |text: &str| ssh::escape(text).into_owned();
    for line in said.lines() {
        if let Some(why) = line.strip_prefix("@@silent ") {
            return Some(clean(why));
        }
        if line.strip_prefix("@@gone ") == Some(member) {
            return None;
        }
        let refusal = line.strip_prefix("@@refused ");
        if let Some((name, why)) = refusal.and_then(|rest| rest.split_once(' '))
            && name == member
        {
            return Some(clean(why));
        }
    }
    Some("the answer was cut off".into())
}

#[cfg(test)]
mod tests {
    use super::verdict;

    #[test]
    fn only_a_member_that_is_gone_may_leave() {
        let said =
            "@@clusterctl leave-etcd 1\n@@gone cp1\n@@refused cp2 unhealthy\u{7} cluster\n@@end\n";
        assert_eq!(verdict(said, "cp1"), None);
        assert!(verdict(said, "cp2").is_some_and(|why| why.starts_with("unhealthy\\")));
        assert!(verdict(said, "cp3").is_some());
        assert_eq!(
            verdict("@@silent no quorum\n", "cp1").as_deref(),
            Some("no quorum")
        );
    }
}
