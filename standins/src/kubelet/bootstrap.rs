//! Credentials: kubelet.conf if it is good, else a bootstrap token, a key of its own
//! and a CSR; and the same again to replace an embedded certificate by one that rotates.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::json;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Config, Kubelet};
use crate::api::{base64, is_condition, unbase64, write_private};
use crate::client::{Client, Kubeconfig};
use crate::flags::Flags;

/// How to get credentials.
#[derive(Default)]
pub struct Credentials {
    /// With what to ask for a certificate; None if there is a rotating one already.
    ask: Option<Kubeconfig>,
    /// What works now.
    now: Option<Kubeconfig>,
    /// What kubelet.conf will say once the certificate is there.
    later: Kubeconfig,
    dir: PathBuf,
}

fn current(dir: &Path) -> PathBuf {
    dir.join("kubelet-client-current.pem")
}

/// Whether a kubeconfig has a client certificate that is not out of date.
fn usable(config: &Kubeconfig) -> bool {
    crate::tls::certs(&config.cert).is_ok_and(|certs| {
        X509Certificate::from_der(&certs[0]).is_ok_and(|(_, c)| c.validity().is_valid())
    })
}

/// Decides what to do, and writes kubelet.conf if there is none.
pub fn prepare(flags: &Flags, config: &Config, node: &str) -> anyhow::Result<Credentials> {
    let (path, bootstrap) = (flags.get("kubeconfig"), flags.get("bootstrap-kubeconfig"));
    let dir = PathBuf::from(flags.get_or("cert-dir", "/var/lib/kubelet/pki"));
    if path.is_empty() {
        // Standalone: static pods only.
        return Ok(Credentials {
            dir,
            ..Credentials::default()
        });
    }
    match Kubeconfig::load(path) {
        Ok(found) if usable(&found) || bootstrap.is_empty() => {
            let embedded = !std::fs::read_to_string(path)
                .unwrap_or_default()
                .contains("kubelet-client-current.pem");
            let ask = (config.rotate && embedded && !current(&dir).exists()).then(|| found.clone());
            return Ok(Credentials {
                ask,
                now: Some(found.clone()),
                later: found,
                dir,
            });
        }
        Ok(_) => crate::klog!(
            error,
            "Part of the existing bootstrap client certificate in {path} is expired or missing"
        ),
        Err(e) if bootstrap.is_empty() => bail!("failed to run Kubelet: invalid kubeconfig: {e:#}"),
        Err(e) => crate::klog!(info, "{e:#}: using the bootstrap kubeconfig"),
    }
    let token = Kubeconfig::load(bootstrap).map_err(|e| {
        anyhow::anyhow!("failed to run Kubelet: unable to load bootstrap kubeconfig: {e:#}")
    })?;
    write_kubeconfig(path, &token, &dir).with_context(|| format!("cannot write {path}"))?;
    let later = Kubeconfig {
        token: String::new(),
        ..token.clone()
    };
    crate::klog!(
        info,
        "Client rotation is on, will bootstrap in background for {node}"
    );
    Ok(Credentials {
        ask: Some(token),
        now: None,
        later,
        dir,
    })
}

/// kubelet.conf as the kubelet itself writes it.
fn write_kubeconfig(path: &str, config: &Kubeconfig, dir: &Path) -> anyhow::Result<()> {
    let pem = current(dir).display().to_string();
    let text = format!(
        "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {}\n    server: {}\n  name: default-cluster\ncontexts:\n- context:\n    cluster: default-cluster\n    namespace: default\n    user: default-auth\n  name: default-context\ncurrent-context: default-context\nkind: Config\npreferences: {{}}\nusers:\n- name: default-auth\n  user:\n    client-certificate: {pem}\n    client-key: {pem}\n",
        base64(&config.ca),
        config.server
    );
    Ok(write_private(Path::new(path), text.as_bytes())?)
}

/// Gives the kubelet its client, now and after the CSR.
pub async fn run(kubelet: Arc<Kubelet>, credentials: Credentials) {
    if let Some(now) = &credentials.now {
        install(&kubelet, now);
    }
    let Some(ask) = credentials.ask else { return };
    let mut wait = Duration::from_secs(1);
    loop {
        match request(&kubelet.node, &ask, &credentials.dir).await {
            Ok(pem) => {
                install(
                    &kubelet,
                    &Kubeconfig {
                        cert: pem.clone(),
                        key: pem,
                        ..credentials.later
                    },
                );
                return;
            }
            Err(e) => crate::klog!(
                error,
                "Failed while requesting a signed certificate from the control plane: {e:#}"
            ),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(Duration::from_secs(15));
    }
}

fn install(kubelet: &Kubelet, config: &Kubeconfig) {
    match Client::new(config) {
        Ok(client) => {
            kubelet.client.send_replace(Some(client));
        }
        Err(e) => crate::klog!(error, "cannot use kubeconfig: {e:#}"),
    }
}

/// Makes a key, asks for a certificate, waits for it, writes both.
async fn request(node: &str, ask: &Kubeconfig, dir: &Path) -> anyhow::Result<Vec<u8>> {
    let client = Client::new(ask)?;
    let key = rcgen::KeyPair::generate()?;
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(rcgen::DnType::OrganizationName, "system:nodes");
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, format!("system:node:{node}"));
    let csr = params.serialize_request(&key)?.pem()?;
    let object = json!({"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"generateName": "csr-"},
        "spec": {"request": base64(csr.as_bytes()), "signerName": "kubernetes.io/kube-apiserver-client-kubelet", "usages": ["digital signature", "client auth"]}});
    let base = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let made = client
        .create(base, &object)
        .await
        .context("cannot create certificate signing request")?;
    let path = format!("{base}/{}", crate::api::name(&made));
    // The real one waits 15 minutes for somebody to approve it.
    for _ in 0..3600 {
        let live = client.get(&path).await?;
        if is_condition(&live, "Denied") {
            bail!("certificate signing request {path} is denied");
        }
        if is_condition(&live, "Failed") {
            bail!(
                "certificate signing request {path} failed: {}",
                live["status"]["conditions"]
            );
        }
        if let Some(certificate) = live["status"]["certificate"].as_str() {
            let mut pem = unbase64(certificate);
            pem.extend(key.serialize_pem().into_bytes());
            let date = jiff::Zoned::now().strftime("%Y-%m-%d-%H-%M-%S").to_string();
            let file = dir.join(format!("kubelet-client-{date}.pem"));
            std::fs::create_dir_all(dir)?;
            write_private(&file, &pem)?;
            let link = dir.join("kubelet-client-current.tmp");
            let _ = std::fs::remove_file(&link);
            std::os::unix::fs::symlink(&file, &link)?;
            std::fs::rename(&link, current(dir))?;
            crate::klog!(
                info,
                "Certificate signing request is issued: {}",
                crate::api::name(&made)
            );
            return Ok(pem);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    bail!("timed out waiting for {path} to be signed")
}
