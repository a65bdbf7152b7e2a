//! The kube-apiserver stand-in.

mod admission;
mod apply;
mod authn;
mod authz;
mod bootstrap;
mod cache;
mod crud;
mod defaults;
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
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::time::Instant;

pub use admission::is_kubelet_label;
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

const PLUGINS: &str = "AlwaysAdmit AlwaysDeny AlwaysPullImages CertificateApproval CertificateSigning \
    CertificateSubjectRestriction ClusterTrustBundleAttest DefaultIngressClass DefaultStorageClass \
    DefaultTolerationSeconds DenyServiceExternalIPs EventRateLimit ExtendedResourceToleration \
    ImagePolicyWebhook LimitPodHardAntiAffinityTopology LimitRanger MutatingAdmissionPolicy \
    MutatingAdmissionWebhook NamespaceAutoProvision NamespaceExists NamespaceLifecycle NodeRestriction \
    OwnerReferencesPermissionEnforcement PersistentVolumeClaimResize PodNodeSelector PodSecurity \
    PodTolerationRestriction PodTopologyLabels Priority ResourceQuota RuntimeClass ServiceAccount \
    StorageObjectInUseProtection TaintNodesByCondition ValidatingAdmissionPolicy ValidatingAdmissionWebhook";

/// A running server.
pub struct Server {
    etcd: Etcd,
    cache: Arc<Cache>,
    authenticator: Authenticator,
    authorizer: Authorizer,
    signer: Signer,
    node_restriction: bool,
    service_ranges: Vec<IpNet>,
    port: u16,
    authentication_info: Value,
    has_roles: AtomicBool,
}

fn read(path: &str) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("open {path}"))
}

/// Runs kube-apiserver until it is killed. The real server collects what is wrong with
/// its flags into one message; the first is enough to fail.
pub async fn run(flags: Flags) -> anyhow::Result<()> {
    let begin = Instant::now();
    let modes = authorization_modes(&flags)?;
    check_plugins(&flags)?;
    let service_ranges = service_ranges(&flags)?;
    let authentication_info = authentication_info(&flags)?;
    check_files(&flags)?;
    let signer = load_signer(&flags)?;
    let server_tls = serving_tls(&flags)?;
    let (listener, port) = listen(&flags).await?;
    let etcd = Etcd::new(
        &flags.list("etcd-servers"),
        flags.get("etcd-cafile"),
        flags.get("etcd-certfile"),
        flags.get("etcd-keyfile"),
    )?;
    let cache = Cache::start(etcd.clone());
    let server = Arc::new(Server {
        authenticator: authenticator(&flags, &modes, cache.clone())?,
        authorizer: Authorizer {
            modes,
            cache: cache.clone(),
        },
        signer,
        node_restriction: flags
            .list("enable-admission-plugins")
            .contains(&"NodeRestriction".to_owned()),
        service_ranges,
        port,
        authentication_info,
        has_roles: AtomicBool::new(false),
        etcd,
        cache,
    });
    wait_for_etcd(&server).await?;
    tokio::time::sleep_until(begin + START).await;
    let serving = server.clone();
    tokio::spawn(crate::http::serve(
        listener,
        Some(server_tls),
        move |request| route::handle(serving.clone(), request),
    ));
    crate::klog!(info, "Serving securely on port {port}");
    while let Err(e) = bootstrap::run(&server).await {
        crate::klog!(warn, "poststarthook/rbac/bootstrap-roles: {e}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    server.has_roles.store(true, Ordering::Relaxed);
    crate::terminated().await;
    Ok(())
}

fn authorization_modes(flags: &Flags) -> anyhow::Result<Vec<String>> {
    let mut modes = flags.list("authorization-mode");
    if modes.is_empty() {
        let default: &[&str] = match flags.has("authorization-config") {
            true => &["Node", "RBAC"],
            false => &["AlwaysAllow"],
        };
        modes = default.iter().map(|m| (*m).to_owned()).collect();
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
    Ok(modes)
}

fn check_plugins(flags: &Flags) -> anyhow::Result<()> {
    let mut plugins = flags.list("enable-admission-plugins");
    plugins.extend(flags.list("disable-admission-plugins"));
    for plugin in plugins {
        ensure!(
            PLUGINS.split_whitespace().any(|known| known == plugin),
            "enable-admission-plugins plugin {plugin:?} is unknown"
        );
    }
    Ok(())
}

fn service_ranges(flags: &Flags) -> anyhow::Result<Vec<IpNet>> {
    let mut ranges = vec![];
    for given in flags
        .get_or("service-cluster-ip-range", "10.0.0.0/24")
        .split(',')
    {
        let range: IpNet = given
            .parse()
            .with_context(|| format!("service-cluster-ip-range {given:?} is not a valid CIDR"))?;
        let least = range.max_prefix_len() - 20;
        ensure!(
            range.prefix_len() >= least,
            "specified --service-cluster-ip-range is too large; for {}-bit addresses, the mask must be >= {least}",
            range.max_prefix_len()
        );
        ranges.push(range.trunc());
    }
    Ok(ranges)
}

/// What `extension-apiserver-authentication` tells extensions: the CAs, and the
/// front proxy's headers.
fn authentication_info(flags: &Flags) -> anyhow::Result<Value> {
    let mut info = Map::new();
    for name in ["client-ca-file", "requestheader-client-ca-file"] {
        let path = flags.get(name);
        if !path.is_empty() {
            tls::roots_file(path)?;
            let pem = String::from_utf8_lossy(&read(path)?).into_owned();
            info.insert(name.into(), pem.into());
        }
    }
    for name in [
        "requestheader-allowed-names",
        "requestheader-extra-headers-prefix",
        "requestheader-group-headers",
        "requestheader-username-headers",
    ] {
        info.insert(name.into(), json!(flags.list(name)).to_string().into());
    }
    Ok(Value::Object(info))
}

/// Files that the real server reads, whatever for.
fn check_files(flags: &Flags) -> anyhow::Result<()> {
    for (cert, key) in [
        ("kubelet-client-certificate", "kubelet-client-key"),
        ("proxy-client-cert-file", "proxy-client-key-file"),
    ] {
        if flags.has(cert) || flags.has(key) {
            tls::pair(flags.get(cert), flags.get(key))?;
        }
    }
    for path in [
        "audit-policy-file",
        "encryption-provider-config",
        "admission-control-config-file",
        "authentication-config",
        "authorization-config",
        "egress-selector-config-file",
    ] {
        if flags.has(path) {
            read(flags.get(path))?;
        }
    }
    Ok(())
}

fn load_signer(flags: &Flags) -> anyhow::Result<Signer> {
    let path = flags.get("service-account-signing-key-file");
    ensure!(
        !path.is_empty(),
        "--service-account-signing-key-file is required"
    );
    Signer::load(&read(path)?)
        .with_context(|| format!("failed to parse service-account-issuer-key-file {path}"))
}

fn authenticator(
    flags: &Flags,
    modes: &[String],
    cache: Arc<Cache>,
) -> anyhow::Result<Authenticator> {
    let client_ca = match flags.get("client-ca-file") {
        "" => None,
        path => Some(tls::client_verifier(tls::roots_file(path)?)?),
    };
    let issuer = flags.get("service-account-issuer").to_owned();
    ensure!(!issuer.is_empty(), "--service-account-issuer is required");
    let mut account_keys = vec![];
    for path in flags.list("service-account-key-file") {
        let key = Verifier::load(&read(&path)?);
        account_keys.push(key.with_context(|| format!("failed to parse {path}"))?);
    }
    ensure!(
        !account_keys.is_empty(),
        "either `--service-account-key-file` or `--service-account-signing-endpoint` must be set"
    );
    Ok(Authenticator {
        client_ca,
        bootstrap_tokens: flags.bool("enable-bootstrap-token-auth", false),
        anonymous: flags.bool("anonymous-auth", true) && !modes.contains(&"AlwaysAllow".to_owned()),
        account_keys,
        issuer,
        cache,
    })
}

fn serving_tls(flags: &Flags) -> anyhow::Result<Arc<rustls::ServerConfig>> {
    let (cert, key) = ("tls-cert-file", "tls-private-key-file");
    if flags.has(cert) || flags.has(key) {
        return tls::server_of_files(flags.get(cert), flags.get(key), ClientAuth::Ask);
    }
    let names = vec!["localhost".into(), "127.0.0.1".into()];
    tls::server(tls::self_signed("apiserver", names)?, ClientAuth::Ask)
}

async fn listen(flags: &Flags) -> anyhow::Result<(TcpListener, u16)> {
    let port = flags.get_or("secure-port", "6443");
    let port: u16 = port
        .parse()
        .with_context(|| format!("--secure-port {port} must be between 1 and 65535"))?;
    let bind: IpAddr = flags.get_or("bind-address", "::").parse()?;
    let listener = match TcpListener::bind(SocketAddr::new(bind, port)).await {
        // A kernel without IPv6.
        Err(_) if bind.is_ipv6() => TcpListener::bind(("0.0.0.0", port)).await,
        other => other,
    };
    let failed = || format!("failed to create listener: failed to listen on {bind}:{port}");
    Ok((listener.with_context(failed)?, port))
}

/// etcd may come a little later, but without it there is no server.
async fn wait_for_etcd(server: &Server) -> anyhow::Result<()> {
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
    Ok(())
}
