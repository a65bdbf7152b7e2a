//! The few kubeadm commands that say whether what the product built is what kubeadm
//! would find its way in.

use anyhow::{Context, bail};
use serde_json::json;
use x509_parser::prelude::FromDer;

use crate::api::{items, name, secret_text};
use crate::client::{Client, Kubeconfig};

/// Runs one command.
pub async fn main(args: &[String]) -> u8 {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["version", rest @ ..] => {
            let release = crate::version::current();
            if rest.contains(&"short") || rest.contains(&"-oshort") {
                println!("{release}");
            } else {
                let info = json!({"clientVersion": {"major": "1", "minor": release.minor.to_string(), "gitVersion": release.to_string(), "platform": "linux/amd64"}});
                println!(
                    "{}",
                    if rest.iter().any(|r| r.contains("json")) {
                        info.to_string()
                    } else {
                        format!("kubeadm version: {info}")
                    }
                );
            }
            Ok(())
        }
        ["token", "list", ..] => tokens().await,
        ["certs", "check-expiration", ..] => expiration().await,
        _ => Err(anyhow::anyhow!(
            "unknown command {:?} for \"kubeadm\" (the stand-in knows version, token list, certs check-expiration)",
            args.join(" ")
        )),
    };
    match done {
        Ok(()) => 0,
        Err(e) => {
            eprintln!("error: {e:#}");
            1
        }
    }
}

fn admin() -> anyhow::Result<Client> {
    Client::new(&Kubeconfig::load("/etc/kubernetes/admin.conf")?)
}

async fn tokens() -> anyhow::Result<()> {
    let list = admin()?.get("/api/v1/namespaces/kube-system/secrets?fieldSelector=type=bootstrap.kubernetes.io/token").await?;
    println!("TOKEN\tTTL\tEXPIRES\tUSAGES\tDESCRIPTION\tEXTRA GROUPS");
    for secret in items(&list, "/items") {
        let text = |key: &str| secret_text(secret, key);
        if name(secret) != format!("bootstrap-token-{}", text("token-id")) {
            bail!("invalid bootstrap token secret {:?}", name(secret));
        }
        let usages: Vec<&str> = ["authentication", "signing"]
            .into_iter()
            .filter(|u| text(&format!("usage-bootstrap-{u}")) == "true")
            .collect();
        println!(
            "{}.{}\t\t{}\t{}\t{}\t{}",
            text("token-id"),
            text("token-secret"),
            text("expiration"),
            usages.join(","),
            text("description"),
            text("auth-extra-groups")
        );
    }
    Ok(())
}

async fn expiration() -> anyhow::Result<()> {
    let config = admin()?
        .get("/api/v1/namespaces/kube-system/configmaps/kubeadm-config")
        .await
        .context("failed to get the kubeadm-config ConfigMap")?;
    let cluster: serde_json::Value = serde_saphyr::from_str(
        config["data"]["ClusterConfiguration"]
            .as_str()
            .unwrap_or_default(),
    )?;
    let dir = cluster["certificatesDir"]
        .as_str()
        .unwrap_or("/etc/kubernetes/pki");
    println!("CERTIFICATE\tEXPIRES\tCERTIFICATE AUTHORITY");
    let show = |label: &str, pem: &[u8], ca: &str| -> anyhow::Result<()> {
        let certs = crate::tls::certs(pem)?;
        let (_, cert) = x509_parser::prelude::X509Certificate::from_der(&certs[0])?;
        println!("{label}\t{}\t{ca}", cert.validity().not_after);
        Ok(())
    };
    for conf in [
        "admin.conf",
        "controller-manager.conf",
        "scheduler.conf",
        "super-admin.conf",
    ] {
        if let Ok(kubeconfig) = Kubeconfig::load(&format!("/etc/kubernetes/{conf}")) {
            show(conf, &kubeconfig.cert, "ca")?;
        } else if conf != "super-admin.conf" {
            bail!("{conf} is missing or has no embedded certificate");
        }
    }
    let mut leaves = vec![
        ("apiserver", "ca"),
        ("apiserver-kubelet-client", "ca"),
        ("front-proxy-client", "front-proxy-ca"),
    ];
    if cluster["etcd"]["external"].is_null() {
        leaves.extend([
            ("apiserver-etcd-client", "etcd-ca"),
            ("etcd/healthcheck-client", "etcd-ca"),
            ("etcd/peer", "etcd-ca"),
            ("etcd/server", "etcd-ca"),
        ]);
    }
    for (leaf, ca) in leaves {
        let pem = std::fs::read(format!("{dir}/{leaf}.crt"))
            .with_context(|| format!("{dir}/{leaf}.crt"))?;
        show(&leaf.replace('/', "-"), &pem, ca)?;
    }
    Ok(())
}
