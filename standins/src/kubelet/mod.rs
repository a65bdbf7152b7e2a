//! The kubelet stand-in. Static pods run as child processes on the host; other pods
//! only get a status, after the checks that a real kubelet would stumble over.

mod bootstrap;
mod config;
mod container_log;
mod node;
mod pods;
mod probes;
mod process;
mod runtime;
mod static_pods;

use std::future::ready;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use anyhow::{Context, ensure};
use serde_json::json;
use tokio::net::TcpListener;

use crate::api::name;
use crate::client::Client;
use crate::flags::Flags;
use crate::http::{Request, json as reply, plain, serve};
use crate::tls::{self, ClientAuth};
use config::Config;
use static_pods::{Pod, Table};

/// What the parts of a running kubelet share.
pub struct Kubelet {
    config: Config,
    flags: Flags,
    node: String,
    ip: String,
    /// The way to the API, once there are credentials.
    client: tokio::sync::watch::Sender<Option<Client>>,
    runtime: runtime::Runtime,
}

impl Kubelet {
    /// What a static pod is called in the API.
    fn mirror_name(&self, pod: &Pod) -> String {
        format!("{}-{}", name(&pod.manifest), self.node)
    }
}

/// Where the host's own paths begin: `/`, but for tests.
fn host(path: &str) -> String {
    let root = std::env::var("STANDIN_ROOT").unwrap_or_default();
    format!("{root}{path}")
}

fn is_test() -> bool {
    std::env::var_os("STANDIN_ROOT").is_some()
}

/// Runs the kubelet until it is killed.
pub async fn run(flags: Flags) -> anyhow::Result<()> {
    let config = config::load(&flags)?;
    ensure!(
        is_test() || rustix::process::geteuid().is_root(),
        "kubelet needs to run as uid `0`. It is being run as {}",
        rustix::process::geteuid().as_raw()
    );
    config::check_host(&config)?;
    let runtime = runtime::Runtime::connect(&config.runtime_endpoint).await?;
    let node = match flags.get("hostname-override") {
        "" => crate::leader::hostname(),
        name => name.to_lowercase(),
    };
    ensure!(
        crate::api::is_subdomain(&node),
        "failed to run Kubelet: invalid node name {node:?}"
    );
    let credentials = bootstrap::prepare(&flags, &config, &node)?;
    let ip = match flags.get("node-ip").split(',').next() {
        None | Some("") => default_ip(),
        Some(ip) => ip.parse::<IpAddr>().context("--node-ip")?.to_string(),
    };
    let table = Table::default();
    serve_health(&config).await?;
    serve_pods(&config, &node, &ip, table.clone()).await?;
    let kubelet = Arc::new(Kubelet {
        config,
        flags,
        node,
        ip,
        client: tokio::sync::watch::Sender::new(None),
        runtime,
    });
    let release = crate::version::current();
    crate::klog!(info, "Started kubelet {release} for node {}", kubelet.node);
    tokio::spawn(bootstrap::run(kubelet.clone(), credentials));
    tokio::spawn(node::run(kubelet.clone()));
    tokio::spawn(pods::run(kubelet.clone(), table.clone()));
    tokio::select! {
        () = static_pods::run(kubelet.clone(), table.clone()) => {}
        () = crate::terminated() => {}
    }
    table.stop_all().await;
    Ok(())
}

/// `/healthz`, for the host only.
async fn serve_health(config: &Config) -> anyhow::Result<()> {
    let address: SocketAddr = format!("{}:{}", config.healthz_address, config.healthz_port)
        .parse()
        .context("healthzBindAddress")?;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("Failed to start healthz server: listen tcp {address}"))?;
    tokio::spawn(serve(listener, None, |request: Request| {
        ready(match request.path.as_str() {
            "/healthz" => plain(200, "ok"),
            _ => plain(404, "404 page not found\n"),
        })
    }));
    Ok(())
}

/// The kubelet's own API, for those that its CA knows.
async fn serve_pods(config: &Config, node: &str, ip: &str, table: Table) -> anyhow::Result<()> {
    let client_ca = match config.client_ca.as_str() {
        "" => None,
        path => {
            let roots = tls::roots_file(path);
            let roots = roots.with_context(|| format!("unable to load client CA file {path}"))?;
            Some(tls::client_verifier(roots)?)
        }
    };
    let names = vec![node.to_owned(), ip.to_owned()];
    let tls = tls::server(
        tls::self_signed(&format!("{node}@standin"), names)?,
        ClientAuth::Ask,
    )?;
    let listener = TcpListener::bind((config.address.as_str(), config.port))
        .await
        .with_context(|| format!("failed to listen on {}:{}", config.address, config.port))?;
    let anonymous = config.anonymous;
    tokio::spawn(serve(listener, Some(tls), move |request: Request| {
        let known = client_ca
            .as_deref()
            .is_some_and(|v| tls::verify_client(v, &request.peer.certs).is_ok());
        ready(match request.path.as_str() {
            _ if !known && !anonymous => plain(401, "Unauthorized"),
            "/healthz" => plain(200, "ok"),
            "/pods" => {
                let items = table.manifests();
                let list =
                    json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items});
                reply(200, &list)
            }
            _ => plain(404, "404 page not found\n"),
        })
    }));
    Ok(())
}

/// The address of the interface that the default route uses.
fn default_ip() -> String {
    let socket = UdpSocket::bind("0.0.0.0:0").and_then(|s| s.connect("192.0.2.1:9").map(|()| s));
    let address = socket.and_then(|s| s.local_addr());
    address.map_or_else(|_| "127.0.0.1".to_owned(), |a| a.ip().to_string())
}
