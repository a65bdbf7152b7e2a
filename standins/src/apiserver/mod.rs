//! The kube-apiserver stand-in.

mod admission;
mod apply;
mod authn;
mod authz;
mod bootstrap;
mod cache;
mod crud;
mod defaults;
mod patch;
pub mod resources;
mod reviews;
mod route;
mod update;
mod validation;
mod watch;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use ipnet::IpNet;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::Instant;

pub use admission::kubelet_label;
pub use validation::validate_pod;

use crate::etcd::Etcd;
use crate::flags::Flags;
use crate::jwt::{Signer, Verifier};
use crate::tls::{self, ClientAuth};
use authn::Authenticator;
use authz::Authorizer;
use cache::Cache;

/// The real server needs longer than this until it listens. Were it quicker, a
/// balancer's check would not see that it was gone, and send clients to a server that
/// knows no roles yet.
const START: Duration = Duration::from_secs(2);

const PLUGINS: &[&str] = &[
    "AlwaysAdmit",
    "AlwaysDeny",
    "AlwaysPullImages",
    "CertificateApproval",
    "CertificateSigning",
    "CertificateSubjectRestriction",
    "ClusterTrustBundleAttest",
    "DefaultIngressClass",
    "DefaultStorageClass",
    "DefaultTolerationSeconds",
    "DenyServiceExternalIPs",
    "EventRateLimit",
    "ExtendedResourceToleration",
    "ImagePolicyWebhook",
    "LimitPodHardAntiAffinityTopology",
    "LimitRanger",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionWebhook",
    "NamespaceAutoProvision",
    "NamespaceExists",
    "NamespaceLifecycle",
    "NodeRestriction",
    "OwnerReferencesPermissionEnforcement",
    "PersistentVolumeClaimResize",
    "PodNodeSelector",
    "PodSecurity",
    "PodTolerationRestriction",
    "PodTopologyLabels",
    "Priority",
    "ResourceQuota",
    "RuntimeClass",
    "ServiceAccount",
    "StorageObjectInUseProtection",
    "TaintNodesByCondition",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionWebhook",
];

/// A running server.
pub struct Server {
    etcd: Etcd,
    cache: Arc<Cache>,
    authenticator: Authenticator,
    authorizer: Authorizer,
    signer: Signer,
    node_restriction: bool,
    service_ranges: Vec<IpNet>,
    advertise: String,
    port: u16,
    authentication_info: Value,
    ready: AtomicBool,
}

/// Runs kube-apiserver until it is killed.
pub async fn main(args: &[String]) -> u8 {
    let release = crate::version::current();
    if args.iter().any(|a| a == "--version") {
        println!("Kubernetes {release}");
        return 0;
    }
    let flags = match crate::flags::parse("kube-apiserver", release, args) {
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

fn read(path: &str) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("open {path}"))
}

async fn run(flags: &Flags) -> anyhow::Result<()> {
    let begin = Instant::now();
    let required = |name: &str| -> anyhow::Result<&str> {
        ensure!(
            flags.has(name) && !flags.get(name).is_empty(),
            "--{name} is required"
        );
        Ok(flags.get(name))
    };
    // The real server collects these into one message; the first is enough to fail.
    ensure!(
        !flags.list("etcd-servers").is_empty(),
        "--etcd-servers must be specified"
    );
    let issuer = required("service-account-issuer")?;
    let signing_key = required("service-account-signing-key-file")?;
    ensure!(
        flags.has("service-account-key-file") || flags.has("service-account-signing-endpoint"),
        "either `--service-account-key-file` or `--service-account-signing-endpoint` must be set"
    );
    for plugin in flags
        .list("enable-admission-plugins")
        .iter()
        .chain(&flags.list("disable-admission-plugins"))
    {
        ensure!(
            PLUGINS.contains(&plugin.as_str()),
            "enable-admission-plugins plugin {plugin:?} is unknown"
        );
    }
    let mut modes = flags.list("authorization-mode");
    if modes.is_empty() && flags.has("authorization-config") {
        modes = vec!["Node".into(), "RBAC".into()];
    }
    if modes.is_empty() {
        modes.push("AlwaysAllow".into());
    }
    for mode in &modes {
        ensure!(
            matches!(
                mode.as_str(),
                "AlwaysAllow" | "AlwaysDeny" | "ABAC" | "Webhook" | "RBAC" | "Node"
            ),
            "authorization-mode {mode:?} is not a valid mode"
        );
    }
    let service_ranges = flags
        .list("service-cluster-ip-range")
        .iter()
        .map(|r| {
            r.parse::<IpNet>()
                .map(|n| n.trunc())
                .map_err(|_| anyhow::anyhow!("service-cluster-ip-range {r:?} is not a valid CIDR"))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let service_ranges = if service_ranges.is_empty() {
        vec!["10.0.0.0/24".parse()?]
    } else {
        service_ranges
    };
    for range in &service_ranges {
        ensure!(
            range.max_prefix_len() - range.prefix_len() <= 20,
            "specified --service-cluster-ip-range is too large; for {}-bit addresses, the mask must be >= {}",
            range.max_prefix_len(),
            range.max_prefix_len() - 20
        );
    }
    let port: u16 = flags.get_or("secure-port", "6443").parse().map_err(|_| {
        anyhow::anyhow!(
            "--secure-port {} must be between 1 and 65535",
            flags.get("secure-port")
        )
    })?;
    let bind: IpAddr = flags.get_or("bind-address", "::").parse()?;

    let client_ca = match flags.get("client-ca-file") {
        "" => None,
        path => Some(tls::client_verifier(tls::roots_file(path)?)?),
    };
    let mut info = serde_json::Map::new();
    if let Some(path) = Some(flags.get("client-ca-file")).filter(|p| !p.is_empty()) {
        info.insert(
            "client-ca-file".into(),
            String::from_utf8_lossy(&read(path)?).into(),
        );
    }
    if let Some(path) = Some(flags.get("requestheader-client-ca-file")).filter(|p| !p.is_empty()) {
        tls::roots_file(path)?;
        info.insert(
            "requestheader-client-ca-file".into(),
            String::from_utf8_lossy(&read(path)?).into(),
        );
        for name in [
            "requestheader-allowed-names",
            "requestheader-extra-headers-prefix",
            "requestheader-group-headers",
            "requestheader-username-headers",
        ] {
            info.insert(name.into(), json!(flags.list(name)).to_string().into());
        }
    }
    for (cert, key) in [
        ("kubelet-client-certificate", "kubelet-client-key"),
        ("proxy-client-cert-file", "proxy-client-key-file"),
    ] {
        if flags.has(cert) || flags.has(key) {
            tls::pair(flags.get(cert), flags.get(key))?;
        }
    }
    let signer = Signer::load(&read(signing_key)?).with_context(|| {
        format!("failed to parse service-account-issuer-key-file {signing_key}")
    })?;
    let mut account_keys = vec![];
    for path in flags.list("service-account-key-file") {
        account_keys.push(
            Verifier::load(&read(&path)?).with_context(|| format!("failed to parse {path}"))?,
        );
    }
    for path in [
        "audit-policy-file",
        "encryption-provider-config",
        "admission-control-config-file",
        "authentication-config",
        "authorization-config",
        "egress-selector-config-file",
        "token-auth-file",
    ] {
        if flags.has(path) {
            read(flags.get(path))?;
        }
    }
    let server_tls = if flags.has("tls-cert-file") || flags.has("tls-private-key-file") {
        tls::server_of_files(
            flags.get("tls-cert-file"),
            flags.get("tls-private-key-file"),
            ClientAuth::Ask,
        )?
    } else {
        let names = vec!["localhost".into(), "127.0.0.1".into()];
        tls::server(tls::self_signed("apiserver", names)?, ClientAuth::Ask)?
    };
    let listener = match TcpListener::bind(SocketAddr::new(bind, port)).await {
        Err(e)
            if e.kind() == std::io::ErrorKind::Unsupported
                || bind.is_ipv6() && e.raw_os_error() == Some(97) =>
        {
            TcpListener::bind(("0.0.0.0", port)).await
        }
        other => other,
    }
    .with_context(|| format!("failed to create listener: failed to listen on {bind}:{port}"))?;
    let etcd = Etcd::new(
        &flags.list("etcd-servers"),
        flags.get("etcd-cafile"),
        flags.get("etcd-certfile"),
        flags.get("etcd-keyfile"),
    )?;

    let cache = Cache::start(etcd.clone());
    let server = Arc::new(Server {
        authenticator: Authenticator {
            client_ca,
            bootstrap_tokens: flags.bool("enable-bootstrap-token-auth", false),
            anonymous: flags.bool("anonymous-auth", true)
                && !modes.contains(&"AlwaysAllow".to_owned()),
            account_keys,
            issuer: issuer.to_owned(),
            cache: cache.clone(),
        },
        authorizer: Authorizer {
            modes,
            cache: cache.clone(),
        },
        signer,
        node_restriction: flags
            .list("enable-admission-plugins")
            .contains(&"NodeRestriction".to_owned()),
        service_ranges,
        advertise: flags.get_or("advertise-address", "127.0.0.1").to_owned(),
        port,
        authentication_info: Value::Object(info),
        ready: AtomicBool::new(false),
        etcd,
        cache,
    });
    // etcd may come a little later, but without it there is no server.
    let mut tries = 0;
    while let Err(e) = server.etcd.get("/registry/health").await {
        tries += 1;
        crate::klog!(warn, "failed to connect to etcd: {e}");
        if tries > 30 {
            bail!("context deadline exceeded: error while connecting to etcd: {e}");
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let _ = server.cache.revision.subscribe().wait_for(|r| *r > 0).await;
    tokio::time::sleep_until(begin + START).await;
    let serving = server.clone();
    tokio::spawn(crate::http::serve(
        listener,
        Some(server_tls),
        move |request| route::handle(serving.clone(), request),
    ));
    crate::klog!(info, "Serving securely on {bind}:{port}");
    while let Err(e) = bootstrap::run(&server).await {
        crate::klog!(warn, "poststarthook/rbac/bootstrap-roles: {e}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    server.ready.store(true, Ordering::Relaxed);
    crate::proxy::terminated().await;
    Ok(())
}
