//! The kube-controller-manager stand-in: the controllers without which a cluster
//! does not come up, each acting in its own service account's name.

pub mod csr;
mod namespaces;
mod nodes;
mod services;
pub mod tokens;
mod workloads;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tokio::sync::{Mutex, Notify};

use crate::api::Result;
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
    root_ca: String,
    cluster_cidrs: Vec<ipnet::IpNet>,
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
    ("configmaps", "/api/v1/configmaps"),
    ("serviceaccounts", "/api/v1/serviceaccounts"),
    ("services", "/api/v1/services"),
    ("leases", "/apis/coordination.k8s.io/v1/leases"),
    (
        "csrs",
        "/apis/certificates.k8s.io/v1/certificatesigningrequests",
    ),
    ("daemonsets", "/apis/apps/v1/daemonsets"),
    ("deployments", "/apis/apps/v1/deployments"),
    ("replicasets", "/apis/apps/v1/replicasets"),
    (
        "clusterroles",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    ),
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
        let token = answer["status"]["token"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let client = Client::bare(&self.config, token)
            .map_err(|e| crate::api::Error::new(0, e.to_string()))?;
        clients.insert(account, (client.clone(), Instant::now()));
        Ok(client)
    }
}

/// Runs kube-controller-manager until it is killed.
pub async fn main(args: &[String]) -> u8 {
    let release = crate::version::current();
    if args.iter().any(|a| a == "--version") {
        println!("Kubernetes {release}");
        return 0;
    }
    let flags = match crate::flags::parse("kube-controller-manager", release, args) {
        Ok(flags) => flags,
        Err(e) => {
            eprintln!("Error: {e}");
            return 1;
        }
    };
    match run(&flags).await {
        Ok(()) => 0,
        Err(e) => {
            crate::klog!(error, "\"command failed\" err=\"{e:#}\"");
            1
        }
    }
}

async fn run(flags: &Flags) -> anyhow::Result<()> {
    let config = Kubeconfig::load(flags.get("kubeconfig")).context("invalid --kubeconfig")?;
    for name in ["authentication-kubeconfig", "authorization-kubeconfig"] {
        if flags.has(name) {
            Kubeconfig::load(flags.get(name)).with_context(|| {
                format!(
                    "failed to get delegated {} kubeconfig",
                    name.trim_end_matches("-kubeconfig")
                )
            })?;
        }
    }
    let enabled = match flags.list("controllers") {
        list if list.is_empty() => vec!["*".to_owned()],
        list => list,
    };
    for name in &enabled {
        let known = name.trim_start_matches('-');
        ensure!(
            known == "*" || CONTROLLERS.contains(&known),
            "{known:?} is not in the list of known controllers"
        );
    }
    let file = |name: &str| -> anyhow::Result<String> {
        match flags.get(name) {
            "" => Ok(String::new()),
            path => std::fs::read_to_string(path)
                .with_context(|| format!("error reading --{name} file at {path}")),
        }
    };
    let root_ca = file("root-ca-file")?;
    if !root_ca.is_empty() {
        crate::tls::certs(root_ca.as_bytes()).with_context(|| {
            format!(
                "error parsing root-ca-file at {}",
                flags.get("root-ca-file")
            )
        })?;
    }
    let account_key = file("service-account-private-key-file")?;
    if !account_key.is_empty() {
        crate::jwt::Signer::load(account_key.as_bytes())
            .context("error reading key for service account token controller")?;
    }
    let signing = match (
        flags.get("cluster-signing-cert-file"),
        flags.get("cluster-signing-key-file"),
    ) {
        ("", "") => None,
        ("", _) | (_, "") => anyhow::bail!(
            "cannot specify default and per controller certificate files: cluster-signing-cert-file and cluster-signing-key-file go together"
        ),
        (cert, key) => Some(csr::Signing::load(
            cert,
            key,
            flags.get("cluster-signing-duration"),
        )?),
    };
    let cluster_cidrs = flags
        .list("cluster-cidr")
        .iter()
        .map(|c| {
            c.parse::<ipnet::IpNet>()
                .with_context(|| format!("invalid CIDR address: {c}"))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let allocate = flags.bool("allocate-node-cidrs", false);
    let mask = flags.get_or(
        "node-cidr-mask-size",
        flags.get_or("node-cidr-mask-size-ipv4", "24"),
    );
    let node_mask: u8 = mask.parse().context("--node-cidr-mask-size")?;
    if allocate {
        ensure!(
            !cluster_cidrs.is_empty(),
            "--cluster-cidr is required when --allocate-node-cidrs is set"
        );
        for cidr in cluster_cidrs.iter().filter(|c| c.addr().is_ipv4()) {
            ensure!(
                cidr.prefix_len() <= node_mask,
                "New CIDR set failed; the node CIDR size is too big: cluster CIDR {cidr}, node mask {node_mask}"
            );
        }
    }
    for cidr in flags.list("service-cluster-ip-range") {
        cidr.parse::<ipnet::IpNet>()
            .with_context(|| format!("invalid CIDR address: {cidr}"))?;
    }
    let main = Client::new(&config)?;
    crate::leader::serve(flags, "kube-controller-manager", "10257").await?;
    // The API server has 10 s to answer before the real one gives up.
    let mut tries = 0;
    while let Err(e) = main.get("/healthz").await {
        tries += 1;
        ensure!(
            tries < 20,
            "failed to wait for apiserver being healthy: timed out waiting for the condition: failed to get apiserver /healthz status: {e}"
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    if flags.bool("leader-elect", true) {
        crate::leader::elect(main.clone(), "kube-controller-manager").await;
    }
    let bell = Arc::new(Notify::new());
    let informers = WATCHED
        .iter()
        .map(|(name, path)| (*name, Informer::start(main.clone(), path, bell.clone())))
        .collect();
    let grace = crate::flags::duration(flags.get_or("node-monitor-grace-period", "50s"))
        .unwrap_or(Duration::from_secs(50));
    let context = Context {
        main,
        config,
        own_accounts: flags.bool("use-service-account-credentials", false),
        clients: Mutex::default(),
        informers,
        signing,
        root_ca,
        cluster_cidrs,
        node_mask,
        grace,
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
        () = crate::proxy::terminated() => Ok(()),
    }
}

async fn reconcile(context: &Context) {
    let run = |name: &str, result: Result<()>| {
        if let Err(e) = result {
            crate::klog!(error, "{name}: {e}");
        }
    };
    if context.runs("serviceaccount-controller") {
        run(
            "serviceaccount-controller",
            namespaces::accounts(context).await,
        );
    }
    if context.runs("root-ca-certificate-publisher-controller") {
        run(
            "root-ca-certificate-publisher-controller",
            namespaces::root_ca(context).await,
        );
    }
    if context.runs("clusterrole-aggregation-controller") {
        run(
            "clusterrole-aggregation-controller",
            namespaces::aggregate(context).await,
        );
    }
    if context.runs("certificatesigningrequest-approving-controller") {
        run(
            "certificatesigningrequest-approving-controller",
            csr::approve(context).await,
        );
    }
    if context.runs("certificatesigningrequest-signing-controller") {
        run(
            "certificatesigningrequest-signing-controller",
            csr::sign(context).await,
        );
    }
    if context.runs("bootstrap-signer-controller") {
        run("bootstrap-signer-controller", tokens::sign(context).await);
    }
    if context.runs("token-cleaner-controller") {
        run("token-cleaner-controller", tokens::clean(context).await);
    }
    if context.allocate && context.runs("node-ipam-controller") {
        run("node-ipam-controller", nodes::allocate(context).await);
    }
    if context.runs("node-lifecycle-controller") {
        run("node-lifecycle-controller", nodes::lifecycle(context).await);
    }
    if context.runs("daemonset-controller") {
        run(
            "daemonset-controller",
            workloads::daemon_sets(context).await,
        );
    }
    if context.runs("deployment-controller") {
        run(
            "deployment-controller",
            workloads::deployments(context).await,
        );
    }
    if context.runs("replicaset-controller") {
        run(
            "replicaset-controller",
            workloads::replica_sets(context).await,
        );
    }
    if context.runs("endpoints-controller") {
        run("endpoints-controller", services::endpoints(context).await);
    }
    if context.runs("namespace-controller") {
        run("namespace-controller", namespaces::terminate(context).await);
    }
    if context.runs("garbage-collector-controller") {
        run(
            "garbage-collector-controller",
            namespaces::collect(context).await,
        );
    }
}

/// Ignores that somebody was faster: the next round sees what is there now.
fn lenient(result: Result<Value>) -> Result<()> {
    match result {
        Err(e) if !matches!(e.code, 404 | 409) => Err(e),
        _ => Ok(()),
    }
}

const CONTROLLERS: &[&str] = &[
    "bootstrapsigner",
    "tokencleaner",
    "bootstrap-signer-controller",
    "token-cleaner-controller",
    "certificatesigningrequest-approving-controller",
    "certificatesigningrequest-cleaner-controller",
    "certificatesigningrequest-signing-controller",
    "cloud-node-lifecycle-controller",
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "daemonset-controller",
    "deployment-controller",
    "disruption-controller",
    "endpoints-controller",
    "endpointslice-controller",
    "endpointslice-mirroring-controller",
    "ephemeral-volume-controller",
    "garbage-collector-controller",
    "horizontal-pod-autoscaler-controller",
    "job-controller",
    "legacy-serviceaccount-token-cleaner-controller",
    "namespace-controller",
    "node-ipam-controller",
    "node-lifecycle-controller",
    "node-route-controller",
    "persistentvolume-attach-detach-controller",
    "persistentvolume-binder-controller",
    "persistentvolume-expander-controller",
    "persistentvolume-protection-controller",
    "persistentvolumeclaim-protection-controller",
    "pod-garbage-collector-controller",
    "replicaset-controller",
    "replicationcontroller-controller",
    "resourceclaim-controller",
    "resourcequota-controller",
    "root-ca-certificate-publisher-controller",
    "selinux-warning-controller",
    "service-cidr-controller",
    "service-lb-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "statefulset-controller",
    "storageversion-garbage-collector-controller",
    "storage-version-migrator-controller",
    "taint-eviction-controller",
    "ttl-after-finished-controller",
    "ttl-controller",
    "validatingadmissionpolicy-status-controller",
    "volumeattributesclass-protection-controller",
    "kube-apiserver-serving-clustertrustbundle-publisher-controller",
    "device-taint-eviction-controller",
    "podcertificaterequest-cleaner-controller",
];
