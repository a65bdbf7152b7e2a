//! How a data directory begins: as a member of a new cluster, or of one that expects it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use super::raft::Member;
use super::{disk, kv};
use crate::client::Pool;
use crate::flags::Flags;

/// `a=https://x,a=https://y,b=…` as name to URLs, in order.
fn parse_members(text: &str) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
    let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for part in text.split(',').filter(|p| !p.is_empty()) {
        let (name, url) = part.split_once('=').with_context(|| {
            format!("error parsing initial cluster: empty URL given for {part:?}")
        })?;
        members
            .entry(name.to_owned())
            .or_default()
            .push(url.to_owned());
    }
    members.values_mut().for_each(|urls| urls.sort());
    Ok(members)
}

/// A member's identity follows from its URLs and the cluster's token, so that all
/// members of a new cluster compute the same ones.
fn member_id(urls: &[String], token: &str) -> u64 {
    let hash = crate::api::sha256(format!("{}{token}", urls.concat()).as_bytes());
    u64::from_str_radix(&hash[..15], 16).unwrap_or(1)
}

/// Writes the data directory of a new member.
pub async fn found(
    flags: &Flags,
    name: &str,
    peer_urls: &[String],
    data_dir: &Path,
    pool: &Pool,
) -> anyhow::Result<()> {
    let default = format!("{name}={}", peer_urls.join(","));
    let initial = parse_members(flags.get_or("initial-cluster", &default))?;
    let Some(own) = initial.get(name) else {
        bail!("couldn't find local name {name:?} in the initial cluster configuration");
    };
    let mut advertised = peer_urls.to_vec();
    advertised.sort();
    ensure!(
        *own == advertised,
        "--initial-cluster has {} but missing from --initial-advertise-peer-urls={}",
        own.join(","),
        peer_urls.join(",")
    );
    match flags.get_or("initial-cluster-state", "new") {
        "new" => {
            let token = flags.get_or("initial-cluster-token", "etcd-cluster");
            let member = |(name, urls): (&String, &Vec<String>)| Member {
                id: member_id(urls, token),
                name: name.clone(),
                peer_urls: urls.clone(),
                ..Member::default()
            };
            let members: BTreeMap<u64, Member> =
                initial.iter().map(member).map(|m| (m.id, m)).collect();
            let ids: String = members.keys().map(|id| format!("{id:x}")).collect();
            let cluster = member_id(&[ids], "cluster");
            // Index 1 stands for the entries that made these members: a node
            // without them has no log that could match.
            let snapshot =
                json!({"index": 1, "term": 0, "members": members, "store": kv::Store::default()});
            disk::create(data_dir, member_id(own, token), cluster, &snapshot)
        }
        "existing" => {
            let others = initial.iter().filter(|(n, _)| *n != name);
            for url in others.flat_map(|(_, urls)| urls) {
                let Ok((members, cluster)) = ask_members(pool, url).await else {
                    continue;
                };
                let id = expected_id(&members, &initial, &advertised).with_context(|| {
                    format!("error validating peerURLs {{ClusterID:{cluster:x}}}")
                })?;
                let snapshot =
                    json!({"index": 0, "term": 0, "members": {}, "store": kv::Store::default()});
                return disk::create(data_dir, id, cluster, &snapshot);
            }
            bail!(
                "cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs"
            )
        }
        other => bail!("invalid value {other:?} for flag --initial-cluster-state"),
    }
}

/// Which of the members that a cluster has is the one that starts.
fn expected_id(
    members: &[Member],
    initial: &BTreeMap<String, Vec<String>>,
    own: &[String],
) -> anyhow::Result<u64> {
    ensure!(
        members.len() == initial.len(),
        "member count is unequal: {members:?}"
    );
    let mut all = members.iter();
    let me = all.find(|m| m.peer_urls.iter().all(|u| own.contains(u)));
    let me = me.with_context(|| {
        format!(
            "unmatched member while checking PeerURLs ({})",
            own.join(",")
        )
    })?;
    Ok(me.id)
}

async fn ask_members(pool: &Pool, url: &str) -> anyhow::Result<(Vec<Member>, u64)> {
    let url = format!("{}/members", url.trim_end_matches('/'));
    let request = http::Request::get(url).body(Full::default())?;
    let response = tokio::time::timeout(Duration::from_secs(5), pool.request(request)).await??;
    let body: Value = serde_json::from_slice(&response.into_body().collect().await?.to_bytes())?;
    let members = serde_json::from_value(body["members"].clone())?;
    Ok((members, kv::number(&body["cluster"])))
}
