//! The etcd stand-in: real enough in its command line, its TLS, its membership and
//! its loss of quorum; its storage is a text file, and instead of gRPC it speaks
//! only the JSON gateway.

mod client;
mod disk;
mod gateway;
mod kv;
mod node;
mod raft;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

pub use client::{Etcd, Stored};

use crate::flags::Flags;
use crate::http::{Request, Response, json as reply, text};
use crate::tls::{self, ClientAuth};
use raft::{Member, Raft};

const GATES: &[&str] = &[
    "AllAlpha",
    "AllBeta",
    "CompactHashCheck",
    "InitialCorruptCheck",
    "LeaseCheckpoint",
    "LeaseCheckpointPersist",
    "SetMemberLocalAddr",
    "StopGRPCServiceOnDefrag",
    "TxnModeWriteWithSharedBuffer",
];

/// Runs etcd until it is killed.
pub async fn main(args: &[String]) -> u8 {
    let release = crate::version::current();
    if args.iter().any(|a| a == "--version") {
        println!(
            "etcd Version: {}\nGit SHA: standin\nGo OS/Arch: linux/amd64",
            release.etcd_version()
        );
        return 0;
    }
    let flags = match crate::flags::parse("etcd", release, args) {
        Ok(flags) => flags,
        Err(e) => {
            eprintln!("{e}\nUsage:\n\n  etcd [flags]\n    Start an etcd server.\n");
            return 2;
        }
    };
    match run(&flags).await {
        Ok(()) => 0,
        Err(e) => {
            eprintln!(
                "{}",
                json!({"level": "fatal", "msg": "discovery failed or error verifying flags", "error": format!("{e:#}")})
            );
            1
        }
    }
}

/// A URL of `--listen-…`: its scheme and address.
fn listen(url: &str) -> anyhow::Result<(bool, SocketAddr)> {
    let (scheme, address) = url
        .split_once("://")
        .with_context(|| format!("URL scheme must be http, https, unix, or unixs: {url}"))?;
    let address = address.trim_end_matches('/');
    let address = address.replace("localhost:", "127.0.0.1:");
    let parsed = address
        .parse()
        .map_err(|_| anyhow::anyhow!("expected IP in URL for binding ({url})"))?;
    match scheme {
        "https" => Ok((true, parsed)),
        "http" => Ok((false, parsed)),
        _ => bail!("URL scheme must be http, https, unix, or unixs: {url}"),
    }
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|e| match e.kind() {
            std::io::ErrorKind::AddrInUse => {
                anyhow::anyhow!("listen tcp {address}: bind: address already in use")
            }
            std::io::ErrorKind::AddrNotAvailable => {
                anyhow::anyhow!("listen tcp {address}: bind: cannot assign requested address")
            }
            _ => anyhow::anyhow!("listen tcp {address}: bind: {e}"),
        })
}

/// The files of one side: cert, key, CA, and whether clients must show one.
struct Side<'a> {
    cert: &'a str,
    key: &'a str,
    ca: &'a str,
    require: bool,
}

impl Side<'_> {
    fn server(&self) -> anyhow::Result<Arc<rustls::ServerConfig>> {
        ensure!(
            !self.cert.is_empty() && !self.key.is_empty(),
            "cannot listen on TLS: KeyFile and CertFile are not presented"
        );
        let pair = tls::pair(self.cert, self.key)?;
        let auth = if self.require {
            ensure!(
                !self.ca.is_empty(),
                "client-cert-auth needs trusted-ca-file"
            );
            ClientAuth::Require(tls::client_verifier(tls::roots_file(self.ca)?)?)
        } else {
            ClientAuth::None
        };
        tls::server(pair, auth)
    }
}

/// `a=https://x,a=https://y,b=…` as name to URLs.
fn initial_cluster(text: &str) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
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
    Ok(members)
}

/// A member's identity follows from its URLs and the cluster's token, so that all
/// members of a new cluster compute the same ones.
fn member_id(urls: &[String], token: &str) -> u64 {
    let mut urls = urls.to_vec();
    urls.sort();
    let hash = crate::api::sha256(format!("{}{token}", urls.concat()).as_bytes());
    u64::from_str_radix(&hash[..15], 16).unwrap_or(1)
}

async fn run(flags: &Flags) -> anyhow::Result<()> {
    for gate in flags.list("feature-gates") {
        let name = gate.split('=').next().unwrap_or_default();
        ensure!(GATES.contains(&name), "unrecognized feature gate: {name}");
    }
    let name = flags.get_or("name", "default");
    let default_dir = format!("{name}.etcd");
    let data_dir = Path::new(flags.get_or("data-dir", &default_dir));
    let client_urls = flags.list("listen-client-urls");
    let advertised = flags.list("advertise-client-urls");
    ensure!(
        client_urls.is_empty() || !advertised.is_empty(),
        "--advertise-client-urls is required when --listen-client-urls is set explicitly"
    );
    let peer_urls = match flags.list("initial-advertise-peer-urls") {
        urls if urls.is_empty() => vec!["http://localhost:2380".to_owned()],
        urls => urls,
    };
    let client = Side {
        cert: flags.get("cert-file"),
        key: flags.get("key-file"),
        ca: flags.get("trusted-ca-file"),
        require: flags.bool("client-cert-auth", false) || !flags.get("trusted-ca-file").is_empty(),
    };
    let peer = Side {
        cert: flags.get("peer-cert-file"),
        key: flags.get("peer-key-file"),
        ca: flags.get("peer-trusted-ca-file"),
        require: flags.bool("peer-client-cert-auth", false)
            || !flags.get("peer-trusted-ca-file").is_empty(),
    };

    // Every listener before anything is written: a port in use must leave no trace.
    let mut peer_listeners = vec![];
    for url in flags.list("listen-peer-urls") {
        let (secure, address) = listen(&url)?;
        peer_listeners.push((
            bind(address).await?,
            if secure { Some(peer.server()?) } else { None },
        ));
    }
    let mut client_listeners = vec![];
    for url in client_urls {
        let (secure, address) = listen(&url)?;
        client_listeners.push((
            bind(address).await?,
            if secure { Some(client.server()?) } else { None },
        ));
    }
    let mut metrics_listeners = vec![];
    for url in flags.list("listen-metrics-urls") {
        let (secure, address) = listen(&url)?;
        metrics_listeners.push((
            bind(address).await?,
            if secure { Some(client.server()?) } else { None },
        ));
    }

    let roots = if peer.ca.is_empty() {
        rustls::RootCertStore::empty()
    } else {
        tls::roots_file(peer.ca)?
    };
    let pair = if peer.cert.is_empty() {
        None
    } else {
        Some(tls::pair(peer.cert, peer.key)?)
    };
    let pool = crate::client::pool(tls::client(Some(roots), pair)?);

    disk::prepare(data_dir)?;
    if !disk::exists(data_dir) {
        found(flags, name, &peer_urls, data_dir, &pool).await?;
    }
    let loaded = disk::load(data_dir)?;
    let disk = disk::Disk::open(data_dir, &loaded)?;
    let (id, cluster) = (loaded.id, loaded.cluster);
    let raft = Raft::new(id, loaded.term, loaded.vote, loaded.snapshot, loaded.log);
    let snapshot_count = flags
        .get_or("snapshot-count", "10000")
        .parse()
        .unwrap_or(10_000);
    let node = node::Node::start(raft, disk, cluster, snapshot_count, pool);
    eprintln!(
        "{}",
        json!({"level": "info", "msg": "starting etcd server", "member": format!("{id:x}"), "cluster": format!("{cluster:x}")})
    );

    for (listener, tls) in peer_listeners {
        let (node, check) = (
            node.clone(),
            tls.is_some()
                && peer.require
                && !flags.bool("peer-skip-client-san-verification", false),
        );
        tokio::spawn(crate::http::serve(listener, tls, move |request| {
            on_peer(node.clone(), request, check)
        }));
    }
    for (listener, tls) in metrics_listeners {
        let node = node.clone();
        tokio::spawn(crate::http::serve(
            listener,
            tls,
            move |request: Request| {
                let response = gateway::probe(&node, &request.path);
                async move { response }
            },
        ));
    }
    // Clients are served once the cluster has a leader, as in etcd.
    publish(
        &node,
        Member {
            id,
            name: name.to_owned(),
            client_urls: advertised,
            ..Member::default()
        },
    )
    .await;
    for (listener, tls) in client_listeners {
        let node = node.clone();
        tokio::spawn(crate::http::serve(listener, tls, move |request| {
            gateway::handle(node.clone(), request)
        }));
    }
    eprintln!(
        "{}",
        json!({"level": "info", "msg": "ready to serve client requests"})
    );
    crate::proxy::terminated().await;
    Ok(())
}

/// Tells the cluster this member's name and client URLs, however long that takes.
async fn publish(node: &Arc<node::Node>, member: Member) {
    let body = json!(member);
    loop {
        let done = match node.leader().await {
            Ok(None) => gateway::local(node, "/standin/publish", body.clone())
                .await
                .is_ok(),
            Ok(Some(url)) => {
                let forwarded = json!({"path": "/standin/publish", "body": body});
                matches!(
                    node.post(&url, "/standin/forward", &forwarded, Duration::from_secs(7))
                        .await,
                    Ok((200, _))
                )
            }
            Err(_) => false,
        };
        if done {
            return;
        }
        eprintln!(
            "{}",
            json!({"level": "warn", "msg": "failed to publish local member to cluster through raft", "error": "etcdserver: request timed out"})
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A new member: of a new cluster, or of one that expects it.
async fn found(
    flags: &Flags,
    name: &str,
    peer_urls: &[String],
    data_dir: &Path,
    pool: &crate::client::Pool,
) -> anyhow::Result<()> {
    let default = format!("{name}={}", peer_urls.join(","));
    let cluster_text = flags.get_or("initial-cluster", &default);
    let initial = initial_cluster(cluster_text)?;
    let Some(own) = initial.get(name) else {
        bail!("couldn't find local name {name:?} in the initial cluster configuration");
    };
    let sorted = |urls: &[String]| {
        let mut urls = urls.to_vec();
        urls.sort();
        urls
    };
    ensure!(
        sorted(own) == sorted(peer_urls),
        "--initial-cluster has {} but missing from --initial-advertise-peer-urls={}",
        own.join(","),
        peer_urls.join(",")
    );
    let token = flags.get_or("initial-cluster-token", "etcd-cluster");
    match flags.get_or("initial-cluster-state", "new") {
        "new" => {
            let members: BTreeMap<u64, Member> = initial
                .iter()
                .map(|(name, urls)| Member {
                    id: member_id(urls, token),
                    name: name.clone(),
                    peer_urls: urls.clone(),
                    ..Member::default()
                })
                .map(|m| (m.id, m))
                .collect();
            let ids: String = members.keys().map(|id| format!("{id:x}")).collect();
            let cluster = member_id(&[ids], "cluster");
            // Index 1 stands for the entries that made these members: a node
            // without them has no log that could match.
            let snapshot =
                json!({"index": 1, "term": 0, "members": members, "store": kv::Store::default()});
            disk::create(data_dir, member_id(own, token), cluster, &snapshot)
        }
        "existing" => {
            let others = initial
                .iter()
                .filter(|(n, _)| *n != name)
                .flat_map(|(_, urls)| urls);
            for url in others {
                let Ok((members, cluster)) = remote_members(pool, url).await else {
                    continue;
                };
                ensure!(
                    members.len() == initial.len(),
                    "error validating peerURLs {{ClusterID:{cluster:x} Members:{members:?}}}: member count is unequal"
                );
                let Some(me) = members
                    .iter()
                    .find(|m| sorted(&m.peer_urls) == sorted(peer_urls))
                else {
                    bail!(
                        "error validating peerURLs {{ClusterID:{cluster:x}}}: unmatched member while checking PeerURLs ({})",
                        peer_urls.join(",")
                    );
                };
                let snapshot =
                    json!({"index": 0, "term": 0, "members": {}, "store": kv::Store::default()});
                return disk::create(data_dir, me.id, cluster, &snapshot);
            }
            bail!(
                "cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs"
            )
        }
        other => bail!("invalid value {other:?} for flag --initial-cluster-state"),
    }
}

async fn remote_members(
    pool: &crate::client::Pool,
    url: &str,
) -> anyhow::Result<(Vec<Member>, u64)> {
    let request = http::Request::get(format!("{}/members", url.trim_end_matches('/')))
        .body(Full::default())?;
    let response = tokio::time::timeout(Duration::from_secs(5), pool.request(request)).await??;
    let body: Value = serde_json::from_slice(&response.into_body().collect().await?.to_bytes())?;
    Ok((
        serde_json::from_value(body["members"].clone())?,
        kv::number(&body["cluster"]),
    ))
}

/// Answers peers, whose certificates must name the address they come from.
async fn on_peer(node: Arc<node::Node>, request: Request, check: bool) -> Response {
    if check && let Err(e) = peer_san(&request).await {
        crate::klog!(
            warn,
            "rejected connection on peer endpoint from {}: {e}",
            request.peer.address
        );
        return text(403, &e);
    }
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    if request.path == "/members" {
        let members: Vec<Member> = node.peek(|r| r.members.values().cloned().collect());
        return reply(200, &json!({"cluster": node.cluster, "members": members}));
    }
    if request.header("x-etcd-cluster-id") != format!("{:x}", node.cluster) {
        return text(412, "request cluster ID mismatch");
    }
    match request.path.as_str() {
        "/raft/vote" | "/raft/append" | "/raft/snapshot" => {
            reply(200, &node.on_peer(&request.path, &body))
        }
        "/standin/forward" => match gateway::local(
            &node,
            body["path"].as_str().unwrap_or_default(),
            body["body"].clone(),
        )
        .await
        {
            Ok(value) => reply(200, &value),
            Err(e) => reply(e.code, &json!({"error": e.message})),
        },
        _ => text(404, "404 page not found\n"),
    }
}

/// What etcd's `checkCertSAN` does: the peer's address must be among the IP SANs,
/// or one of the DNS SANs must resolve to it. A certificate without SANs passes.
async fn peer_san(request: &Request) -> Result<(), String> {
    let remote = request.peer.address.ip().to_canonical();
    let (mut ips, mut names) = (vec![], vec![]);
    {
        let leaf = request.peer.certs.first().ok_or("no certificate")?;
        let (_, cert) = X509Certificate::from_der(leaf).map_err(|e| e.to_string())?;
        let sans = cert.subject_alternative_name().map_err(|e| e.to_string())?;
        for san in sans.iter().flat_map(|s| &s.value.general_names) {
            match san {
                GeneralName::IPAddress(bytes) => {
                    ips.extend(<[u8; 4]>::try_from(*bytes).map(IpAddr::from));
                    ips.extend(<[u8; 16]>::try_from(*bytes).map(IpAddr::from));
                }
                GeneralName::DNSName(name) => names.push((*name).to_owned()),
                _ => {}
            }
        }
    }
    if ips.is_empty() && names.is_empty() || ips.contains(&remote) {
        return Ok(());
    }
    for name in &names {
        if let Ok(mut found) = tokio::net::lookup_host((name.as_str(), 0)).await
            && found.any(|a| a.ip() == remote)
        {
            return Ok(());
        }
    }
    Err(format!(
        "tls: {remote:?} does not match any of DNSNames {names:?}"
    ))
}
