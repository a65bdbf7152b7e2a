//! The kubelet stand-in. Static pods run as child processes on the host; other pods
//! only get a status, after the checks that a real kubelet would stumble over.

mod bootstrap;
mod config;
mod node;
mod pods;
mod probes;
mod runtime;
mod static_pods;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::client::Client;
use crate::flags::Flags;
use crate::http::{Request, json as reply, text};
pub use config::Config;

/// What the parts of a running kubelet share.
pub struct Kubelet {
    /// The configuration.
    pub config: Config,
    /// The command line.
    pub flags: Flags,
    /// The node's name.
    pub node: String,
    /// The node's address.
    pub ip: String,
    /// The way to the API, once there are credentials.
    pub client: tokio::sync::watch::Sender<Option<Client>>,
    /// The container runtime.
    pub runtime: runtime::Runtime,
}

/// Where the host's own paths begin: `/`, but for tests.
pub fn host(path: &str) -> String {
    match std::env::var("STANDIN_ROOT") {
        Ok(root) => format!("{root}{path}"),
        Err(_) => path.to_owned(),
    }
}

fn in_test() -> bool {
    std::env::var_os("STANDIN_ROOT").is_some()
}

/// Runs the kubelet until it is killed.
pub async fn main(args: &[String]) -> u8 {
    let release = crate::version::current();
    if args.iter().any(|a| a == "--version") {
        println!("Kubernetes {release}");
        return 0;
    }
    let flags = match crate::flags::parse("kubelet", release, args) {
        Ok(flags) => flags,
        Err(e) => {
            crate::klog!(
                error,
                "\"command failed\" err=\"failed to parse kubelet flag: {e}\""
            );
            return 1;
        }
    };
    match run(flags).await {
        Ok(()) => 0,
        Err(e) => {
            crate::klog!(error, "\"command failed\" err=\"{e:#}\"");
            1
        }
    }
}

async fn run(flags: Flags) -> anyhow::Result<()> {
    let config = config::load(&flags)?;
    ensure!(
        in_test() || rustix::process::geteuid().is_root(),
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
    let health: SocketAddr = format!("{}:{}", config.healthz_address, config.healthz_port)
        .parse()
        .context("healthzBindAddress")?;
    let credentials = bootstrap::prepare(&flags, &config, &node)?;
    let ip = match flags.get("node-ip") {
        "" => default_ip(),
        ip => ip
            .split(',')
            .next()
            .unwrap_or_default()
            .parse::<std::net::IpAddr>()
            .context("--node-ip")?
            .to_string(),
    };
    let client_ca = match config.client_ca.as_str() {
        "" => None,
        path => Some(crate::tls::client_verifier(
            crate::tls::roots_file(path)
                .with_context(|| format!("unable to load client CA file {path}"))?,
        )?),
    };
    let serving =
        crate::tls::self_signed(&format!("{node}@standin"), vec![node.clone(), ip.clone()])?;
    let tls = crate::tls::server(serving, crate::tls::ClientAuth::Ask)?;
    let listener = TcpListener::bind((config.address.as_str(), config.port))
        .await
        .with_context(|| format!("failed to listen on {}:{}", config.address, config.port))?;
    let health_listener = TcpListener::bind(health)
        .await
        .with_context(|| format!("Failed to start healthz server: listen tcp {health}"))?;
    let kubelet = Arc::new(Kubelet {
        config,
        flags,
        node,
        ip,
        client: tokio::sync::watch::Sender::new(None),
        runtime,
    });
    crate::klog!(
        info,
        "Started kubelet {} for node {}",
        crate::version::current(),
        kubelet.node
    );

    tokio::spawn(crate::http::serve(
        health_listener,
        None,
        |request: Request| async move {
            if request.path.starts_with("/healthz") {
                text(200, "ok")
            } else {
                text(404, "404 page not found\n")
            }
        },
    ));
    let table = static_pods::Table::default();
    let (listed, anonymous) = (table.clone(), kubelet.config.anonymous);
    tokio::spawn(crate::http::serve(
        listener,
        Some(tls),
        move |request: Request| {
            let known = client_ca
                .as_deref()
                .is_some_and(|v| crate::tls::verify_client(v, &request.peer.certs).is_ok());
            let response = match request.path.as_str() {
                _ if !known && !anonymous => text(401, "Unauthorized"),
                "/healthz" => text(200, "ok"),
                "/pods" => reply(
                    200,
                    &json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": listed.manifests()}),
                ),
                _ => text(404, "404 page not found\n"),
            };
            async move { response }
        },
    ));
    tokio::spawn(bootstrap::run(kubelet.clone(), credentials));
    tokio::spawn(node::run(kubelet.clone()));
    tokio::spawn(pods::run(kubelet.clone(), table.clone()));
    tokio::select! {
        () = static_pods::run(kubelet.clone(), table.clone()) => {}
        () = crate::proxy::terminated() => {}
    }
    table.stop_all().await;
    Ok(())
}

/// The address of the interface that the default route uses.
fn default_ip() -> String {
    let socket =
        std::net::UdpSocket::bind("0.0.0.0:0").and_then(|s| s.connect("192.0.2.1:9").map(|()| s));
    socket
        .and_then(|s| s.local_addr())
        .map_or_else(|_| "127.0.0.1".to_owned(), |a| a.ip().to_string())
}

/// A field of an object as text; empty if it is none.
fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}
