//! The status of etcd's members, through the SSH connections of the round.

use std::net::IpAddr;
use std::time::Duration;

use futures::future::join_all;

use super::access::tell_silent;
use super::model::EtcdMemberStatus;
use super::one_line::short;
use crate::cluster::answer::{answer_within, ask_first};
use crate::cluster::etcd;
use crate::inventory::Host;
use crate::kubernetes::api;
use crate::kubernetes::api::{ApiError, EtcdClient, MemberStatus};
use crate::run::Run;
use crate::run::error::Error;
use crate::run::remote::Remote;

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
                Ok(said) => said.errors.iter().map(|why| short(why)).collect(),
                Err(why) => vec![short(why)],
            };
            if said.is_some_and(|said| !said.has_leader()) {
                wrong.insert(0, "it has no leader".into());
            }
            EtcdMemberStatus {
                name: short(&member.listed.name),
                id: short(&member.listed.hex()),
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
pub(super) async fn ask_members(
    run: &Run,
    through: &[(&Host, Remote)],
) -> Result<Vec<Member>, String> {
    let hosts = through.iter().map(|(host, remote)| (*host, remote));
    let asked = ask_first(hosts, async |host, remote| {
        let client = etcd::member_client(run, remote, host)?;
        let members = answer_within(ANSWER, client.members_known_here()).await?;
        Ok((members, (host, remote)))
    });
    let answer = asked.await.into_result();
    let (members, lister) = answer.map_err(|silent| tell_silent(&silent))?;
    let members = members.into_iter();
    let asking = members.map(|member| ask_member(run, member, lister, through));
    Ok(join_all(asking).await)
}

async fn ask_member(
    run: &Run,
    listed: api::Member,
    lister: (&Host, &Remote),
    through: &[(&Host, Remote)],
) -> Member {
    let said = match listed.has_started() {
        true => {
            let asking = async {
                let client = client_of_member(run, &listed, lister, through)?;
                answer_within(ANSWER, client.status()).await
            };
            asking.await.map_err(|error| error.to_string())
        }
        false => Err("it has not started yet".into()),
    };
    Member { listed, said }
}

fn client_of_member(
    run: &Run,
    listed: &api::Member,
    lister: (&Host, &Remote),
    through: &[(&Host, Remote)],
) -> Result<EtcdClient, Error> {
    let own = |(host, _): &&(&Host, Remote)| host.node_name == listed.name;
    if let Some((host, session)) = through.iter().find(own) {
        return etcd::member_client(run, session, host);
    }
    let (address, port) = listed
        .client_urls
        .iter()
        .find_map(|url| parse_client_url(url))
        .ok_or_else(|| ApiError::Client("it advertises no client URL".into()))?;
    etcd::member_client_at(run, lister.1, lister.0, address, port)
}

/// Address and port of a client URL.
fn parse_client_url(url: &str) -> Option<(IpAddr, u16)> {
    let uri: http::Uri = url.parse().ok()?;
    let address = uri.host()?.trim_matches(['[', ']']).parse().ok()?;
    Some((address, uri.port_u16()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_urls_lead_to_members() {
        let v4 = Some((IpAddr::from([192, 0, 2, 11]), 2379));
        assert_eq!(parse_client_url("https://192.0.2.11:2379"), v4);
        assert!(parse_client_url("https://[2001:db8::1]:2379").is_some_and(|(ip, _)| ip.is_ipv6()));
        assert_eq!(parse_client_url("https://\u{1b}"), None);
    }
}
