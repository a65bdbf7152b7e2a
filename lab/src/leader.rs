//! Leader election with a Lease, and the serving port that controller manager and
//! scheduler have in common.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::api::{age, micro_now};
use crate::client::Client;
use crate::flags::Flags;
use crate::http::{Request, text};

const LEASE: i64 = 15;

/// Waits until this process holds the lease `name` in kube-system, then keeps it;
/// a process that loses it ends, as the real ones do.
pub async fn elect(client: Client, name: &str) {
    let identity = format!("{}_{}", hostname(), crate::api::uid());
    while !acquire(&client, name, &identity).await {
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    crate::klog!(info, "successfully acquired lease kube-system/{name}");
    let name = name.to_owned();
    tokio::spawn(async move {
        let mut renewed = std::time::Instant::now();
        loop {
            tokio::time::sleep(Duration::from_secs(2)).await;
            if acquire(&client, &name, &identity).await {
                renewed = std::time::Instant::now();
            } else if renewed.elapsed() > Duration::from_secs(10) {
                crate::klog!(error, "leaderelection lost");
                std::process::exit(1);
            }
        }
    });
}

async fn acquire(client: &Client, name: &str, identity: &str) -> bool {
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/{name}");
    let spec = |since: Value, transitions: i64| json!({"holderIdentity": identity, "leaseDurationSeconds": LEASE, "acquireTime": since, "renewTime": micro_now(), "leaseTransitions": transitions});
    let result = match client.get(&path).await {
        Ok(mut lease) => {
            let mine = lease["spec"]["holderIdentity"] == identity;
            let free = lease["spec"]["holderIdentity"]
                .as_str()
                .is_none_or(str::is_empty);
            // There is one of each per host: its own predecessor needs no waiting for.
            let ours = lease["spec"]["holderIdentity"]
                .as_str()
                .and_then(|h| h.split_once('_'))
                .is_some_and(|(host, _)| host == hostname());
            if !mine
                && !ours
                && !free
                && age(&lease["spec"]["renewTime"]).is_some_and(|a| a < LEASE as f64)
            {
                return false;
            }
            let transitions = lease["spec"]["leaseTransitions"].as_i64().unwrap_or(0);
            lease["spec"] = if mine {
                spec(lease["spec"]["acquireTime"].clone(), transitions)
            } else {
                spec(micro_now().into(), transitions + 1)
            };
            client.replace(&path, &lease).await
        }
        Err(e) if e.code == 404 => {
            let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name, "namespace": "kube-system"}, "spec": spec(micro_now().into(), 0)});
            client
                .create(
                    "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases",
                    &lease,
                )
                .await
        }
        Err(e) => Err(e),
    };
    result
        .inspect_err(|e| {
            crate::klog!(
                error,
                "error retrieving resource lock kube-system/{name}: {e}"
            )
        })
        .is_ok()
}

/// The host's name, lower-cased.
pub fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .unwrap_or_default()
        .trim()
        .to_lowercase()
}

/// Serves `/healthz`, `/livez`, `/readyz` over TLS where the flags say.
pub async fn serve(flags: &Flags, component: &str, default_port: &str) -> anyhow::Result<()> {
    let bind: IpAddr = flags.get_or("bind-address", "0.0.0.0").parse()?;
    let port: u16 = flags
        .get_or("secure-port", default_port)
        .parse()
        .context("--secure-port must be between 0 and 65535")?;
    let pair = match flags.get("tls-cert-file") {
        "" => crate::tls::self_signed(component, vec!["localhost".into(), "127.0.0.1".into()])?,
        cert => crate::tls::pair(cert, flags.get("tls-private-key-file"))?,
    };
    for ca in ["client-ca-file", "requestheader-client-ca-file"] {
        if flags.has(ca) {
            crate::tls::roots_file(flags.get(ca))?;
        }
    }
    let tls = crate::tls::server(pair, crate::tls::ClientAuth::Ask)?;
    let address = SocketAddr::new(bind, port);
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("failed to create listener: failed to listen on {address}"))?;
    crate::klog!(info, "Serving securely on {address}");
    tokio::spawn(crate::http::serve(
        listener,
        Some(tls),
        |request: Request| async move {
            match request.path.as_str() {
                "/healthz" | "/livez" | "/readyz" => text(200, "ok"),
                _ => text(403, "Forbidden"),
            }
        },
    ));
    Ok(())
}
