//! The status of etcd's members, through the SSH connections of the round.

use std::net::IpAddr;
use std::time::Duration;

use futures::future::join_all;
use ssh::Session;

use super::model::EtcdMemberStatus;
use crate::cluster::etcd;
use crate::inventory::Host;
use crate::kubernetes::api;
use crate::kubernetes::api::{ApiError, EtcdClient, MemberStatus};
use crate::run::Run;
use crate::run::error::Error;

/// Time limit for one request to one member.
const ANSWER: Duration = Duration::from_secs(4);

/// A member as listed, and its own status.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) listed: api::Member,
    /// Its own status, or why it is unknown.
    pub(super) said: Result<MemberStatus, String>,
}

/// Converts members to their status. A member is the leader if it says so itself: others
/// may not know yet.
pub(super) fn statuses(members: &[Member]) -> Vec<EtcdMemberStatus> {
    members
        .iter()
        .map(|member| {
            let said = member.said.as_ref().ok();
            let mut wrong: Vec<String> = match &member.said {
                Ok(said) => said.errors.iter().map(|why| super::short(why)).collect(),
                Err(why) => vec![super::short(why)],
            };
            if said.is_some_and(|said| !said.has_leader()) {
                wrong.insert(0, "it has no leader".into());
            }
            EtcdMemberStatus {
                name: super::short(&member.listed.name),
                id: super::short(&member.listed.hex()),
                leader: said
                    .is_some_and(|said| said.has_leader() && said.leader == member.listed.id),
                learner: member.listed.is_learner,
                healthy: wrong.is_empty(),
                db_size: said.and_then(|said| said.db_size.parse().ok()),
                error: (!wrong.is_empty()).then(|| wrong.join("; ")),
            }
        })
        .collect()
}

/// Asks all members. The list comes from the first control plane that responds, with or
/// without quorum; then each is asked over its own host's connection, or from another
/// control plane if there is none.
pub(super) async fn ask(run: &Run, through: &[(&Host, Session)]) -> Result<Vec<Member>, String> {
    let mut said = Vec::new();
    for (host, session) in through {
        let listing = async {
            let client = etcd::client(run, session, host)?;
            Ok::<_, Error>(client.members_known_here().await?)
        };
        match within(listing).await {
            Ok(members) => {
                let members = members.into_iter();
                let asking = members.map(|member| ask_one(run, member, (host, session), through));
                return Ok(join_all(asking).await);
            }
            Err(why) => said.push(format!("through {}: {}", host.name, super::short(&why))),
        }
    }
    Err(match said.is_empty() {
        true => "no control plane is reachable".into(),
        false => said.join("; "),
    })
}

async fn ask_one(
    run: &Run,
    listed: api::Member,
    lister: (&Host, &Session),
    through: &[(&Host, Session)],
) -> Member {
    let said = match listed.has_started() {
        true => {
            let asking = async {
                let client = client(run, &listed, lister, through)?;
                Ok::<_, Error>(client.status().await?)
            };
            within(asking).await
        }
        false => Err("it has not started yet".into()),
    };
    Member { listed, said }
}

fn client(
    run: &Run,
    listed: &api::Member,
    lister: (&Host, &Session),
    through: &[(&Host, Session)],
) -> Result<EtcdClient, Error> {
    let own = |(host, _): &&(&Host, Session)| host.node_name == listed.name;
    if let Some((host, session)) = through.iter().find(own) {
        return etcd::client(run, session, host);
    }
    let (address, port) = listed
        .client_urls
        .iter()
        .find_map(|url| address(url))
        .ok_or_else(|| ApiError::Client("it advertises no client URL".into()))?;
    etcd::client_at(run, lister.1, lister.0, address, port)
}

/// Address and port of a client URL.
fn address(url: &str) -> Option<(IpAddr, u16)> {
    let uri: http::Uri = url.parse().ok()?;
    let address = uri.host()?.trim_matches(['[', ']']).parse().ok()?;
    Some((address, uri.port_u16()?))
}

async fn within<T>(asking: impl Future<Output = Result<T, Error>>) -> Result<T, String> {
    match tokio::time::timeout(ANSWER, asking).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("timed out after {} s", ANSWER.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_urls_lead_to_members() {
        let v4 = Some((IpAddr::from([192, 0, 2, 11]), 2379));
        assert_eq!(address("https://192.0.2.11:2379"), v4);
        assert!(address("https://[2001:db8::1]:2379").is_some_and(|(ip, _)| ip.is_ipv6()));
        assert_eq!(address("https://\u{1b}"), None);
    }
}
