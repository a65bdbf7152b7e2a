//! The kube-controller-manager stand-in: the controllers without which a cluster
//! does not come up, each acting in its own service account's name.

pub mod csr;
mod namespaces;
mod nodes;
pub mod tokens;
mod workloads;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use ipnet::IpNet;
use serde_json::{Value, json};
use tokio::sync::{Mutex, Notify};

use crate::api::{Result, err, text};
use crate::client::{Client, Kubeconfig};
use crate::flags::Flags;
use crate::informer::Informer;

/// What all controllers share.
pub struct Context {
    main: Client,
    config: Kubeconfig,
    own_accounts: bool,
    clients: Mutex<HashMap<&'static str, (Client, Instant)>>,
    informers: HashMap<&'static str, Informer>,
    signing: Option<csr::Signing>,
    cluster_cidrs: Vec<IpNet>,
    node_mask: u8,
    grace: Duration,
    allocate: bool,
    enabled: Vec<String>,
}

const WATCHED: &[(&str, &str)] = &[
    ("nodes", "/api/v1/nodes"),
    ("pods", "/api/v1/pods"),
    ("namespaces", "/api/v1/namespaces"),
    ("secrets", "/api/v1/secrets"),
    ("configmaps", "/api/v1/namespaces/kube-public/configmaps"),
    ("serviceaccounts", "/api/v1/serviceaccounts"),
    ("leases", "/apis/coordination.k8s.io/v1/leases"),
    (
        "csrs",
        "/apis/certificates.k8s.io/v1/certificatesigningrequests",
    ),
    ("daemonsets", "/apis/apps/v1/daemonsets"),
    ("deployments", "/apis/apps/v1/deployments"),
    ("replicasets", "/apis/apps/v1/replicasets"),
];

impl Context {
    /// All objects of a watched resource.
    fn all(&self, resource: &str) -> Vec<Value> {
        self.informers
            .get(resource)
            .map(Informer::all)
            .unwrap_or_default()
    }

    /// One object of a watched resource.
    fn one(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        self.informers.get(resource)?.get(namespace, name)
    }

    /// Whether `--controllers` switches this one on. Two are off by default.
    fn runs(&self, name: &str) -> bool {
        let off_by_default = matches!(
            name,
            "bootstrap-signer-controller" | "token-cleaner-controller"
        );
        let old = match name {
            "bootstrap-signer-controller" => "bootstrapsigner",
            "token-cleaner-controller" => "tokencleaner",
            _ => name,
        };
        let has = |wanted: &str| self.enabled.iter().any(|c| c == wanted);
        if has(&format!("-{name}")) || has(&format!("-{old}")) {
            return false;
        }
        has(name) || has(old) || has("*") && !off_by_default
    }

    /// A client in the name of a controller's service account.
    async fn client(&self, account: &'static str) -> Result<Client> {
        if !self.own_accounts {
            return Ok(self.main.clone());
        }
        let mut clients = self.clients.lock().await;
        if let Some((client, since)) = clients.get(account)
            && since.elapsed() < Duration::from_secs(1800)
        {
            return Ok(client.clone());
        }
        let base = "/api/v1/namespaces/kube-system/serviceaccounts";
        let path = format!("{base}/{account}/token");
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600, "audiences": []}});
        let answer = match self.main.create(&path, &request).await {
            Err(e) if e.code == 404 => {
                let object = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account, "namespace": "kube-system"}});
                self.main.create(base, &object).await?;
                self.main.create(&path, &request).await?
            }
            other => other?,
        };
        let config = Kubeconfig {
            cert: vec![],
            key: vec![],
            token: text(&answer["status"], "token").to_owned(),
            ..self.config.clone()
        };
        let client = Client::new(&config).map_err(|e| err!(0, "{e}"))?;
        clients.insert(account, (client.clone(), Instant::now()));
        Ok(client)
    }
}

/// Runs kube-controller-manager until it is killed.
pub async fn run(flags: Flags) -> anyhow::Result<()> {
    let config = crate::leader::load_kubeconfigs(&flags)?;
    let enabled = enabled(&flags)?;
    check_keys(&flags)?;
    let signing = match (
        flags.get("cluster-signing-cert-file"),
        flags.get("cluster-signing-key-file"),
    ) {
        ("", "") => None,
        (cert, key) => {
            let duration = flags.get("cluster-signing-duration");
            Some(csr::Signing::load(cert, key, duration)?)
        }
    };
    let allocate = flags.bool("allocate-node-cidrs", false);
    let (cluster_cidrs, node_mask) = cidrs(&flags, allocate)?;
    let main = Client::new(&config)?;
    crate::leader::serve(&flags, "kube-controller-manager", "10257").await?;
    wait_for_api(&main).await?;
    if flags.bool("leader-elect", true) {
        crate::leader::elect(main.clone(), "kube-controller-manager").await;
    }
    let bell = Arc::new(Notify::new());
    let informers = WATCHED
        .iter()
        .map(|(name, path)| (*name, Informer::start(main.clone(), path, bell.clone())))
        .collect();
    let grace = crate::flags::duration(flags.get("node-monitor-grace-period"));
    let context = Context {
        main,
        config,
        own_accounts: flags.bool("use-service-account-credentials", false),
        clients: Mutex::default(),
        informers,
        signing,
        cluster_cidrs,
        node_mask,
        grace: grace.unwrap_or(Duration::from_secs(50)),
        allocate,
        enabled,
    };
    while !context.informers.values().all(Informer::synced) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let controllers = async {
        loop {
            reconcile(&context).await;
            // A burst of events is one round; without any there still is one a second.
            let _ = tokio::time::timeout(Duration::from_secs(1), bell.notified()).await;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    };
    tokio::select! {
        () = controllers => Ok(()),
        () = crate::terminated() => Ok(()),
    }
}

/// What `--controllers` says.
fn enabled(flags: &Flags) -> anyhow::Result<Vec<String>> {
    let enabled: Vec<String> = flags
        .get_or("controllers", "*")
        .split(',')
        .map(str::to_owned)
        .collect();
    for name in &enabled {
        let known = name.trim_start_matches('-');
        ensure!(
            known == "*" || CONTROLLERS.split_whitespace().any(|c| c == known),
            "{known:?} is not in the list of known controllers"
        );
    }
    Ok(enabled)
}

/// Files that only controllers need that are not played.
fn check_keys(flags: &Flags) -> anyhow::Result<()> {
    let read = |name: &str| {
        let path = flags.get(name);
        std::fs::read(path).with_context(|| format!("error reading --{name} file at {path}"))
    };
    if flags.has("root-ca-file") {
        crate::tls::certs(&read("root-ca-file")?).context("error parsing root-ca-file")?;
    }
    if flags.has("service-account-private-key-file") {
        crate::jwt::Signer::load(&read("service-account-private-key-file")?)
            .context("error reading key for service account token controller")?;
    }
    Ok(())
}

/// The ranges that nodes get theirs from, and how large those are.
fn cidrs(flags: &Flags, allocate: bool) -> anyhow::Result<(Vec<IpNet>, u8)> {
    let parse = |name: &str| {
        let of = |c: &String| {
            c.parse::<IpNet>()
                .with_context(|| format!("invalid CIDR address: {c}"))
        };
        flags
            .list(name)
            .iter()
            .map(of)
            .collect::<anyhow::Result<Vec<_>>>()
    };
    parse("service-cluster-ip-range")?;
    let cidrs = parse("cluster-cidr")?;
    let mask = flags.get_or("node-cidr-mask-size-ipv4", "24");
    let mask = flags.get_or("node-cidr-mask-size", mask);
    let mask: u8 = mask.parse().context("--node-cidr-mask-size")?;
    ensure!(
        !allocate || !cidrs.is_empty(),
        "--cluster-cidr is required when --allocate-node-cidrs is set"
    );
    for cidr in cidrs.iter().filter(|c| c.addr().is_ipv4() && allocate) {
        ensure!(
            cidr.prefix_len() <= mask,
            "New CIDR set failed; the node CIDR size is too big: cluster CIDR {cidr}, node mask {mask}"
        );
    }
    Ok((cidrs, mask))
}

/// The API server has 10 s to answer before the real one gives up.
async fn wait_for_api(client: &Client) -> anyhow::Result<()> {
    let mut tries = 0;
    while let Err(e) = client.get("/healthz").await {
        tries += 1;
        ensure!(
            tries < 20,
            "failed to wait for apiserver being healthy: timed out waiting for the condition: failed to get apiserver /healthz status: {e}"
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

async fn reconcile(context: &Context) {
    macro_rules! controllers {
        ($($name:literal: $run:expr,)*) => {$(
            if context.runs($name) && let Err(e) = $run(context).await {
                crate::klog!(error, "{}: {e}", $name);
            }
        )*};
    }
    controllers! {
        "serviceaccount-controller": namespaces::add_accounts,
        "certificatesigningrequest-approving-controller": csr::approve,
        "certificatesigningrequest-signing-controller": csr::sign,
        "bootstrap-signer-controller": tokens::sign,
        "token-cleaner-controller": tokens::clean,
        "node-ipam-controller": nodes::allocate,
        "node-lifecycle-controller": nodes::follow_heartbeats,
        "daemonset-controller": workloads::run_daemon_sets,
        "deployment-controller": workloads::run_deployments,
        "replicaset-controller": workloads::run_replica_sets,
        "garbage-collector-controller": namespaces::collect_garbage,
    }
}

/// Ignores that somebody was faster: the next round sees what is there now.
fn lenient(result: Result<Value>) -> Result<()> {
    match result {
        Err(e) if !matches!(e.code, 404 | 409) => Err(e),
        _ => Ok(()),
    }
}

const CONTROLLERS: &str = "bootstrapsigner tokencleaner bootstrap-signer-controller token-cleaner-controller \
    certificatesigningrequest-approving-controller certificatesigningrequest-cleaner-controller \
    certificatesigningrequest-signing-controller cloud-node-lifecycle-controller \
    clusterrole-aggregation-controller cronjob-controller daemonset-controller deployment-controller \
    disruption-controller endpoints-controller endpointslice-controller \
    endpointslice-mirroring-controller ephemeral-volume-controller garbage-collector-controller \
    horizontal-pod-autoscaler-controller job-controller legacy-serviceaccount-token-cleaner-controller \
    namespace-controller node-ipam-controller node-lifecycle-controller node-route-controller \
    persistentvolume-attach-detach-controller persistentvolume-binder-controller \
    persistentvolume-expander-controller persistentvolume-protection-controller \
    persistentvolumeclaim-protection-controller pod-garbage-collector-controller replicaset-controller \
    replicationcontroller-controller resourceclaim-controller resourcequota-controller \
    root-ca-certificate-publisher-controller selinux-warning-controller service-cidr-controller \
    service-lb-controller serviceaccount-controller serviceaccount-token-controller \
    statefulset-controller storageversion-garbage-collector-controller \
    storage-version-migrator-controller taint-eviction-controller ttl-after-finished-controller \
    ttl-controller validatingadmissionpolicy-status-controller \
    volumeattributesclass-protection-controller \
    kube-apiserver-serving-clustertrustbundle-publisher-controller device-taint-eviction-controller \
    podcertificaterequest-cleaner-controller";
