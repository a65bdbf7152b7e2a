//! Certificates on hosts and in the state directory.

use std::collections::BTreeMap;
use std::fs;

use jiff::Timestamp;
use pki::{Ca, CertificateInfo, LEAVES, inspect, node_file, shared_file};
use text::terminal::escape;

use super::model::{CertificateStatus, Validity};
use crate::run::Run;

/// A certificate, and where it was found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) pem: String,
}

/// Where a certificate was found.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// On that host.
    Host(String),
    /// In the state directory; for that host, or for all.
    Operator(Option<String>),
}

/// A certificate's name by the path of its file on a host.
pub(super) fn name(certificates_dir: &str, path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    if let Some(rest) = path.strip_prefix(certificates_dir) {
        return rest.trim_start_matches('/').trim_end_matches(".crt").into();
    }
    match file {
        "kubelet-client-current.pem" => "kubelet-client".into(),
        "kubelet-server-current.pem" | "kubelet.crt" => "kubelet-serving".into(),
        other => other.into(),
    }
}

/// Reads the certificates in the state directory. Blocks.
///
/// Leaves out the kubelet's: it is a seed that the kubelet replaces.
pub(super) fn read_operator_certificates(run: &Run) -> Vec<Found> {
    let mut found = Vec::new();
    let mut read = |file: String, name: &str, owner: Option<&str>| {
        if let Ok(pem) = fs::read_to_string(run.state.dir().join(file)) {
            found.push(Found {
                name: name.to_owned(),
                place: Place::Operator(owner.map(str::to_owned)),
                pem,
            });
        }
    };
    for ca in Ca::ALL {
        read(shared_file(ca.base(), "crt"), ca.base(), None);
    }
    for host in run.cluster.control_planes() {
        for leaf in LEAVES {
            if leaf.base == "kubeconfig/kubelet" {
                continue;
            }
            let name = match leaf.base.strip_prefix("kubeconfig/") {
                Some(user) => format!("{user}.conf"),
                None => leaf.base.to_owned(),
            };
            let file = node_file(&host.name, leaf.base, "crt");
            read(file, &name, Some(&host.name));
        }
    }
    found
}

/// One row per certificate, wherever it was found; sorted by expiry.
pub(super) fn merge(found: &[Found], now: Timestamp) -> Vec<CertificateStatus> {
    let mut rows: BTreeMap<(String, String, String), CertificateStatus> = BTreeMap::new();
    for one in found {
        // Unreadable certificates are reported as drift.
        let Ok(info) = inspect(&one.pem) else {
            continue;
        };
        let name = escape(&one.name).into_owned();
        let key = (name.clone(), info.issuer.clone(), info.serial.clone());
        let row = rows.entry(key).or_insert_with(|| CertificateStatus {
            name,
            subject: escape(&info.subject).into_owned(),
            serial: info.serial.clone(),
            ca: info.is_ca,
            hosts: Vec::new(),
            operator: false,
            owner: None,
            not_after: info.not_after,
            state: validity(&info, now),
        });
        match &one.place {
            Place::Host(host) if !row.hosts.contains(host) => row.hosts.push(host.clone()),
            Place::Host(_) => {}
            Place::Operator(owner) => {
                row.operator = true;
                row.owner.clone_from(owner);
            }
        }
    }
    let mut rows: Vec<CertificateStatus> = rows.into_values().collect();
    rows.sort_by(|a, b| (a.not_after, &a.name, &a.hosts).cmp(&(b.not_after, &b.name, &b.hosts)));
    rows
}

/// Seconds in 30 days.
const SOON: i64 = 30 * 24 * 3600;

fn validity(info: &CertificateInfo, now: Timestamp) -> Validity {
    let left = info.not_after.as_second() - now.as_second();
    let life = info.not_after.as_second() - info.not_before.as_second();
    if left <= 0 {
        Validity::Expired
    } else if left < SOON.min(life / 10) {
        Validity::Expiring
    } else {
        Validity::Valid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_the_names_that_kubeadm_gives_them() {
        let dir = "/etc/kubernetes/pki";
        for (path, expected) in [
            ("/etc/kubernetes/pki/apiserver.crt", "apiserver"),
            ("/etc/kubernetes/pki/etcd/peer.crt", "etcd/peer"),
            ("/etc/kubernetes/admin.conf", "admin.conf"),
            (
                "/var/lib/kubelet/pki/kubelet-client-current.pem",
                "kubelet-client",
            ),
            ("/var/lib/kubelet/pki/kubelet.crt", "kubelet-serving"),
        ] {
            assert_eq!(name(dir, path), expected);
        }
    }
}
