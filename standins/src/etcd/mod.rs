//! The etcd stand-in: real enough in its command line, its TLS, its membership and
//! its loss of quorum; its storage is a text file, and instead of gRPC it speaks
//! only the JSON gateway.

mod client;
mod disk;
mod found;
mod gateway;
mod kv;
mod node;
mod peer;
mod raft;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::json;
use tokio::net::TcpListener;

pub use client::{Etcd, Stored};

use crate::flags::Flags;
use crate::http::{Request, Response, serve};
use crate::tls::{self, ClientAuth};
use node::Node;
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
        println!("etcd Version: {}", release.etcd_version());
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
            log(
                "fatal",
                "discovery failed or error verifying flags",
                &format!("{e:#}"),
            );
            1
        }
    }
}

fn log(level: &str, message: &str, error: &str) {
    eprintln!(
        "{}",
        json!({"level": level, "msg": message, "error": error})
    );
}

/// The files of one side: cert, key, CA, and whether clients must show one.
struct Side<'a> {
    cert: &'a str,
    key: &'a str,
    ca: &'a str,
    require: bool,
}

/// A listener, and its TLS if its URL says https.
type Listener = (TcpListener, Option<Arc<rustls::ServerConfig>>);

impl<'a> Side<'a> {
    /// What the flags with that prefix say.
    fn of(flags: &'a Flags, prefix: &str) -> Self {
        let get = |name: &str| flags.get(&format!("{prefix}{name}"));
        let ca = get("trusted-ca-file");
        Self {
            cert: get("cert-file"),
            key: get("key-file"),
            ca,
            require: flags.bool(&format!("{prefix}client-cert-auth"), false) || !ca.is_empty(),
        }
    }

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

    fn client(&self) -> anyhow::Result<crate::client::Pool> {
        let roots = match self.ca {
            "" => rustls::RootCertStore::empty(),
            ca => tls::roots_file(ca)?,
        };
        let pair = match self.cert {
            "" => None,
            cert => Some(tls::pair(cert, self.key)?),
        };
        Ok(crate::client::pool(tls::client(Some(roots), pair)?))
    }

    /// Binds the URLs of a `--listen-…`.
    async fn listen(&self, urls: &[String]) -> anyhow::Result<Vec<Listener>> {
        let mut listeners = vec![];
        for url in urls {
            let (scheme, address) = url.split_once("://").unwrap_or(("", url));
            let server = match scheme {
                "https" => Some(self.server()?),
                "http" => None,
                _ => bail!("URL scheme must be http, https, unix, or unixs: {url}"),
            };
            let address: SocketAddr = address
                .trim_end_matches('/')
                .parse()
                .map_err(|_| anyhow::anyhow!("expected IP in URL for binding ({url})"))?;
            let listener = TcpListener::bind(address).await;
            let failed = || format!("listen tcp {address}: bind");
            listeners.push((listener.with_context(failed)?, server));
        }
        Ok(listeners)
    }
}

async fn run(flags: &Flags) -> anyhow::Result<()> {
    for gate in flags.list("feature-gates") {
        let name = gate.split('=').next().unwrap_or_default();
        ensure!(GATES.contains(&name), "unrecognized feature gate: {name}");
    }
    let name = flags.get_or("name", "default");
    let default_dir = format!("{name}.etcd");
    let data_dir = Path::new(flags.get_or("data-dir", &default_dir));
    let advertised = flags.list("advertise-client-urls");
    ensure!(
        !flags.has("listen-client-urls") || !advertised.is_empty(),
        "--advertise-client-urls is required when --listen-client-urls is set explicitly"
    );
    let peer_urls = match flags.list("initial-advertise-peer-urls") {
        urls if urls.is_empty() => vec!["http://localhost:2380".to_owned()],
        urls => urls,
    };
    let (client, peer) = (Side::of(flags, ""), Side::of(flags, "peer-"));

    // Every listener before anything is written: a port in use must leave no trace.
    let peer_listeners = peer.listen(&flags.list("listen-peer-urls")).await?;
    let client_listeners = client.listen(&flags.list("listen-client-urls")).await?;
    let metrics_listeners = client.listen(&flags.list("listen-metrics-urls")).await?;
    let pool = peer.client()?;

    disk::prepare(data_dir)?;
    if !disk::exists(data_dir) {
        found::found(flags, name, &peer_urls, data_dir, &pool).await?;
    }
    let loaded = disk::load(data_dir)?;
    let disk = disk::Disk::open(data_dir, &loaded)?;
    let (id, cluster) = (loaded.id, loaded.cluster);
    let raft = Raft::new(id, loaded.term, loaded.vote, loaded.snapshot, loaded.log);
    let snapshot_count = flags.get_or("snapshot-count", "10000").parse()?;
    let node = Node::start(raft, disk, cluster, snapshot_count, pool);
    log(
        "info",
        &format!("starting etcd server {id:x} of {cluster:x}"),
        "",
    );

    let check = peer.require && !flags.bool("peer-skip-client-san-verification", false);
    let own = node.clone();
    serve_all(peer_listeners, move |request| {
        peer::handle(own.clone(), request, check)
    });
    let own = node.clone();
    serve_all(metrics_listeners, move |request: Request| {
        std::future::ready(gateway::probe(&own, &request.path))
    });
    // Clients are served once the cluster has a leader, as in etcd.
    let member = Member {
        id,
        name: name.to_owned(),
        client_urls: advertised,
        ..Member::default()
    };
    publish(&node, member).await;
    serve_all(client_listeners, move |request| {
        gateway::handle(node.clone(), request)
    });
    log("info", "ready to serve client requests", "");
    crate::terminated().await;
    Ok(())
}

fn serve_all<H, F>(listeners: Vec<Listener>, handler: H)
where
    H: Fn(Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    for (listener, tls) in listeners {
        tokio::spawn(serve(listener, tls, handler.clone()));
    }
}

/// Tells the cluster this member's name and client URLs, however long that takes.
async fn publish(node: &Arc<Node>, member: Member) {
    let (path, body) = ("/standin/publish", json!(member));
    loop {
        let done = match node.leader().await {
            Ok(None) => gateway::answer_as_leader(node, path, body.clone()).await,
            Ok(Some(url)) => gateway::forward(node, &url, path, &body).await,
            Err(e) => Err(e),
        };
        let Err(e) = done else { return };
        let message = "failed to publish local member to cluster through raft";
        log("warn", message, &e.message);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
