//! Credentials that were renewed on a host, as by `kubeadm certs renew`: they are kept
//! while they outlive ours. Those in the state directory stay valid, too, so nothing has to
//! be copied back and no key leaves the host. Once ours are about to end, new ones are made,
//! which outlive those of the host and replace them: one restart, and both are the same again.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pki::Pki;

use crate::host::{Content, FileResource, Observed, Resource};
use crate::run::phase::Phase;

/// Removes resources that have been renewed on the host.
pub(crate) fn left_alone(
    mut resources: Vec<(Phase, Resource)>,
    observed: &Observed,
    pki: &Pki,
) -> Vec<(Phase, Resource)> {
    let files = resources.iter().filter_map(|(_, resource)| match resource {
        Resource::File(file) => Some(file),
        _ => None,
    });
    let newer: BTreeSet<String> = files
        .filter(|file| is_newer(file, observed, pki).unwrap_or(false))
        // A certificate's key is kept with it; kubeconfigs contain theirs.
        .flat_map(|file| [file.path.clone(), key_of(&file.path)])
        .collect();
    resources.retain(|(_, resource)| match resource {
        Resource::File(file) => !newer.contains(&file.path),
        _ => true,
    });
    resources
}

fn key_of(path: &str) -> String {
    path.strip_suffix(".crt")
        .map_or_else(|| path.to_owned(), |base| format!("{base}.key"))
}

fn is_newer(file: &FileResource, observed: &Observed, pki: &Pki) -> Option<bool> {
    let Content::Bytes(ours) = &file.content else {
        return None;
    };
    let ours = std::str::from_utf8(ours).ok()?;
    if file.is_kubeconfig() {
        let theirs = Kubeconfig::of(observed.kubeconfigs.get(&file.path)?.iter().cloned());
        let ours = Kubeconfig::of(said(ours));
        let same = theirs.leads_to == ours.leads_to;
        let [theirs, ours] = [theirs, ours].map(|one| STANDARD.decode(one.certificate));
        let (theirs, ours) = (theirs.ok()?, ours.ok()?);
        let (theirs, ours) = (std::str::from_utf8(&theirs), std::str::from_utf8(&ours));
        return Some(same && pki.outlives(theirs.ok()?, ours.ok()?));
    }
    let theirs = observed.contents.get(&file.path)?;
    let theirs = std::str::from_utf8(theirs).ok()?;
    let complete = observed.paths.contains_key(&key_of(&file.path));
    Some(file.path.ends_with(".crt") && complete && pki.outlives(theirs, ours))
}

/// The parts of a kubeconfig that are not secret.
#[derive(Default)]
struct Kubeconfig {
    /// Server and CA.
    leads_to: Vec<String>,
    /// The client's, base64 of PEM.
    certificate: String,
}

impl Kubeconfig {
    /// Parses the lines that the script prints on a host.
    fn of(lines: impl Iterator<Item = String>) -> Self {
        let mut this = Kubeconfig::default();
        for line in lines {
            match line.strip_prefix("certificate ") {
                Some(certificate) => certificate.trim().clone_into(&mut this.certificate),
                None => this.leads_to.push(line.trim().to_owned()),
            }
        }
        this.leads_to.sort();
        this
    }
}

/// The same lines for a kubeconfig of ours.
fn said(text: &str) -> impl Iterator<Item = String> {
    const FIELDS: [(&str, &str); 3] = [
        ("server: ", "server "),
        ("certificate-authority-data: ", "ca "),
        ("client-certificate-data: ", "certificate "),
    ];
    text.lines().filter_map(|line| {
        let line = line.trim_start_matches([' ', '-']);
        FIELDS
            .iter()
            .find_map(|(field, name)| Some(format!("{name}{}", line.strip_prefix(field)?)))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::kubernetes::{Credentials, KeyPair, Kubeconfig as Written};
    use pki::{Algorithm, EtcdSans, Leaf, NodeRequest, Request, Store, Validity};

    /// A PKI as in the state directory, and the same renewed two years later.
    fn before_and_after() -> (Pki, Pki) {
        let request = Request {
            algorithm: Algorithm::EcdsaP256,
            external_ca: false,
            validity: Validity::default(),
            dns_domain: "cluster.local".into(),
            service_ip: "10.96.0.1".parse().unwrap(),
            control_plane_endpoint: None,
            api_server_sans: Vec::new(),
            etcd: Some(EtcdSans::default()),
            legacy_kubelet_client: false,
            nodes: vec![NodeRequest {
                name: "cp1".into(),
                node_name: "cp1".into(),
                advertise_address: "192.0.2.11".parse().unwrap(),
                init: true,
                kubelet_renews: false,
            }],
        };
        let dir = tempfile::tempdir().unwrap();
        let then = Timestamp::now();
        let later = then + Duration::from_secs(2 * 365 * 24 * 3600);
        let before = Store::at(dir.path(), then).ensure(&request).unwrap();
        let after = Store::at(dir.path(), later).ensure(&request).unwrap();
        (before, after)
    }

    fn admin_conf(pki: &Pki, leaf: &Leaf, server: &str) -> String {
        Written {
            cluster: "kubernetes",
            server,
            ca: pki.ca_cert(),
            user: "kubernetes-admin",
            credentials: Credentials::Certificate(KeyPair {
                cert: &leaf.cert,
                key: &leaf.key,
            }),
        }
        .render()
        .to_string()
    }

    #[test]
    fn what_was_renewed_stays_and_what_is_older_does_not() {
        let (before, after) = before_and_after();
        let files = |pki: &Pki| -> Vec<(Phase, Resource)> {
            let leaf = pki.leaf("cp1", "apiserver").unwrap();
            let admin = pki.leaf("cp1", "kubeconfig/admin").unwrap();
            let crt = FileResource::text("/etc/kubernetes/pki/apiserver.crt", &leaf.cert);
            let key = FileResource::text("/etc/kubernetes/pki/apiserver.key", &*leaf.key);
            let ca = FileResource::text("/etc/kubernetes/pki/ca.crt", pki.ca_cert());
            let conf = admin_conf(pki, admin, "https://192.0.2.11:6443");
            let conf = FileResource::text("/etc/kubernetes/admin.conf", conf).secret();
            [crt, key.secret(), ca, conf]
                .map(|file| (Phase::ControlPlane, Resource::File(file)))
                .to_vec()
        };
        let stands = |pki: &Pki, server: &str| {
            let leaf = pki.leaf("cp1", "apiserver").unwrap();
            let admin = pki.leaf("cp1", "kubeconfig/admin").unwrap();
            let mut observed = Observed::default();
            let crt = leaf.cert.clone().into_bytes();
            let path = "/etc/kubernetes/pki/apiserver.crt".to_owned();
            observed.contents.insert(path, crt);
            let conf = said(&admin_conf(pki, admin, server)).collect();
            let path = "/etc/kubernetes/admin.conf".to_owned();
            observed.kubeconfigs.insert(path, conf);
            observed
        };
        let paths = |kept: Vec<(Phase, Resource)>| -> Vec<String> {
            let path = |(_, resource)| match resource {
                Resource::File(file) => file.path,
                other => panic!("{other:?}"),
            };
            let paths: Vec<String> = kept.into_iter().map(path).collect();
            let base = |path: &String| path.rsplit('/').next().unwrap().to_owned();
            paths.iter().map(base).collect()
        };
        let server = "https://192.0.2.11:6443";
        let mut renewed = stands(&after, server);
        let key = crate::host::PathState {
            kind: crate::host::PathKind::File,
            mode: 0o600,
            owner: "root:root".into(),
            owner_ids: "0:0".into(),
            size: 1,
        };
        let path = "/etc/kubernetes/pki/apiserver.key".to_owned();
        renewed.paths.insert(path, key.clone());
        let wanted = |observed: &Observed, pki: &Pki| paths(left_alone(files(pki), observed, pki));
        assert_eq!(wanted(&renewed, &before), ["ca.crt"]);
        assert_eq!(wanted(&stands(&before, server), &after).len(), 4, "older");
        assert_eq!(
            wanted(&stands(&after, "https://192.0.2.99:6443"), &before).len(),
            4,
            "no key for the one, another server in the other"
        );
        let (strangers, _) = before_and_after();
        assert_eq!(wanted(&renewed, &strangers).len(), 4, "another CA's");
    }
}
