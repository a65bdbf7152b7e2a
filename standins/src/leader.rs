//! Leader election with a Lease, and the serving port that controller manager and
//! scheduler have in common.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::api::{age, micro_now, text};
use crate::client::{Client, Kubeconfig};
use crate::flags::Flags;
use crate::http::{Request, plain};

/// How long a component's lease holds, in seconds.
const LEASE: i64 = 15;

/// Waits until this process holds the lease `name` in kube-system, then keeps it;
/// a process that loses it ends, as the real ones do.
pub async fn elect(client: Client, name: &str) {
    let lease = Lease {
        client,
        namespace: "kube-system".into(),
        name: name.into(),
        identity: format!("{}_{}", hostname(), crate::api::uid()),
        duration: LEASE,
    };
    while !lease.acquire().await {
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    tokio::spawn(async move {
        let pause = Duration::from_secs(2);
        lease.keep(pause, Duration::from_secs(10)).await;
        crate::klog!(error, "leaderelection lost");
        std::process::exit(1);
    });
}

/// A Lease, and who would have it.
pub struct Lease {
    pub client: Client,
    pub namespace: String,
    pub name: String,
    /// Who holds it, if this process does.
    pub identity: String,
    /// How long it holds without being renewed, in seconds.
    pub duration: i64,
}

impl Lease {
    /// Takes it, or renews it. Whether this process has it now.
    pub async fn acquire(&self) -> bool {
        let result = match self.client.get(&self.path()).await {
            Ok(lease) => {
                let Some(spec) = self.taken(&lease["spec"]) else {
                    return false;
                };
                self.replace(lease, spec).await
            }
            Err(e) if e.code == 404 => {
                let metadata = json!({"name": self.name, "namespace": self.namespace});
                let lease = json!({
                    "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                    "metadata": metadata, "spec": self.spec(micro_now().into(), 0),
                });
                self.client.create(&self.all(), &lease).await.map(|_| ())
            }
            Err(e) => Err(e),
        };
        result
            .inspect_err(|e| {
                crate::klog!(
                    error,
                    "error retrieving resource lock {}/{}: {e}",
                    self.namespace,
                    self.name
                )
            })
            .is_ok()
    }

    /// Renews it after every `pause`, until that has failed for `deadline`.
    pub async fn keep(&self, pause: Duration, deadline: Duration) {
        crate::klog!(
            info,
            "successfully acquired lease {}/{}",
            self.namespace,
            self.name
        );
        let mut renewed = std::time::Instant::now();
        while renewed.elapsed() <= deadline {
            tokio::time::sleep(pause).await;
            // An API server that hangs is no better than none.
            if let Ok(true) = tokio::time::timeout(deadline, self.acquire()).await {
                renewed = std::time::Instant::now();
            }
        }
    }

    /// Lets go of it, so that nobody has to wait until it runs out.
    pub async fn release(&self) {
        if let Ok(lease) = self.client.get(&self.path()).await
            && lease["spec"]["holderIdentity"] == *self.identity
        {
            let mut spec = lease["spec"].clone();
            spec["holderIdentity"] = "".into();
            spec["leaseDurationSeconds"] = 1.into();
            let _ = self.replace(lease, spec).await;
        }
    }

    /// What it says once this process has it; None if somebody else may keep it.
    fn taken(&self, spec: &Value) -> Option<Value> {
        let holder = text(spec, "holderIdentity");
        // There is one of each per host: its own predecessor needs no waiting for.
        let own = holder == self.identity
            || holder
                .split_once('_')
                .is_some_and(|(host, _)| host == hostname());
        let duration = spec["leaseDurationSeconds"].as_i64().unwrap_or(LEASE);
        let valid = age(&spec["renewTime"]).is_some_and(|age| age < duration as f64);
        if !own && !holder.is_empty() && valid {
            return None;
        }
        let transitions = spec["leaseTransitions"].as_i64().unwrap_or(0);
        Some(match holder == self.identity {
            true => self.spec(spec["acquireTime"].clone(), transitions),
            false => self.spec(micro_now().into(), transitions + 1),
        })
    }

    fn spec(&self, since: Value, transitions: i64) -> Value {
        json!({
            "holderIdentity": self.identity, "leaseDurationSeconds": self.duration,
            "acquireTime": since, "renewTime": micro_now(), "leaseTransitions": transitions,
        })
    }

    async fn replace(&self, mut lease: Value, spec: Value) -> crate::api::Result<()> {
        lease["spec"] = spec;
        self.client.replace(&self.path(), &lease).await.map(|_| ())
    }

    fn all(&self) -> String {
        format!(
            "/apis/coordination.k8s.io/v1/namespaces/{}/leases",
            self.namespace
        )
    }

    fn path(&self) -> String {
        format!("{}/{}", self.all(), self.name)
    }
}

/// The host's name, lower-cased.
pub fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .unwrap_or_default()
        .trim()
        .to_lowercase()
}

/// Loads the kubeconfig of a component, and those that it delegates to.
pub fn load_kubeconfigs(flags: &Flags) -> anyhow::Result<Kubeconfig> {
    for name in ["authentication", "authorization"] {
        let flag = format!("{name}-kubeconfig");
        if flags.has(&flag) {
            Kubeconfig::load(flags.get(&flag))
                .with_context(|| format!("failed to get delegated {name} kubeconfig"))?;
        }
    }
    Kubeconfig::load(flags.get("kubeconfig")).context("invalid --kubeconfig")
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
                "/healthz" | "/livez" | "/readyz" => plain(200, "ok"),
                _ => plain(403, "Forbidden"),
            }
        },
    ));
    Ok(())
}
