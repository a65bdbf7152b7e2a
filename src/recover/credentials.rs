//! What one control plane holds of what the state directory should.

use std::collections::BTreeMap;

use pki::{Ca, Request, SERVICE_ACCOUNT, node_file, shared_file, split_pem};
use zeroize::Zeroizing;

use crate::cluster::survey::Surveyed;
use crate::host::Fetched;
use crate::inventory::{Cluster, Host};
use crate::kubernetes::{kubelet_identity, read_embedded};
use crate::layout::paths;
use crate::run::error::Error;

/// Texts of files, by their names in the state directory.
pub(super) type StateFiles = BTreeMap<String, Zeroizing<String>>;

/// The kubelet's leaf. It rotates its certificate by itself, so that no host is compared with the
/// one in the state directory.
pub(super) const KUBELET: &str = "kubeconfig/kubelet";

/// What one control plane holds.
pub(super) struct Credentials {
    /// The host's name.
    pub(super) host: String,
    /// What all control planes share.
    pub(super) shared: StateFiles,
    /// What is its own.
    pub(super) own: StateFiles,
}

/// What a file on a host is in the state directory.
enum Meaning {
    /// The same file, shared by all control planes.
    Shared(String),
    /// The same file.
    Own(String),
    /// A kubeconfig that embeds a certificate and its key: the pair, without its extensions.
    Kubeconfig(String),
    /// Both in one file, as a kubelet keeps them.
    Combined(String),
}

/// Fetches them. One command.
///
/// # Errors
/// SSH errors.
pub(super) async fn fetch(
    cluster: &Cluster,
    one: &Surveyed,
    request: &Request,
) -> Result<Credentials, Error> {
    let places = list_places(cluster, &one.host, request);
    let paths: Vec<String> = places.iter().map(|(path, _)| path.clone()).collect();
    let fetched = one.session.fetch(&paths).await?;
    Ok(sort(&one.host.name, &places, &fetched))
}

/// Where on a host is what.
fn list_places(cluster: &Cluster, host: &Host, request: &Request) -> Vec<(String, Meaning)> {
    let dir = &cluster.certificates_dir;
    let mut places = Vec::new();
    for ca in Ca::ALL {
        if ca == Ca::Etcd && request.etcd.is_none() {
            continue;
        }
        for end in ["crt", "key"] {
            let base = ca.base();
            let meaning = Meaning::Shared(shared_file(base, end));
            places.push((format!("{dir}/{base}.{end}"), meaning));
        }
    }
    for end in ["key", "pub"] {
        let meaning = Meaning::Shared(shared_file(SERVICE_ACCOUNT, end));
        places.push((format!("{dir}/{SERVICE_ACCOUNT}.{end}"), meaning));
    }
    let node = request.nodes.iter().find(|node| node.name == host.name);
    for leaf in node.into_iter().flat_map(|node| request.leaves_of(node)) {
        let base = leaf.base;
        if !leaf.is_embedded() {
            for end in ["crt", "key"] {
                let meaning = Meaning::Own(node_file(&host.name, base, end));
                places.push((format!("{dir}/{base}.{end}"), meaning));
            }
            continue;
        }
        let pair = base.to_owned();
        let user = base.rsplit('/').next().unwrap_or(base);
        places.push(match base == KUBELET {
            true => (kubelet_identity(host), Meaning::Combined(pair)),
            false => {
                let path = format!("{}/{user}.conf", paths::KUBERNETES_DIR);
                (path, Meaning::Kubeconfig(pair))
            }
        });
    }
    places
}

/// Gives what was fetched the names that it has in the state directory.
fn sort(host: &str, places: &[(String, Meaning)], fetched: &Fetched) -> Credentials {
    let mut found = Credentials {
        host: host.to_owned(),
        shared: StateFiles::new(),
        own: StateFiles::new(),
    };
    for (path, meaning) in places {
        let text = fetched.get(path).and_then(|bytes| {
            let text = std::str::from_utf8(bytes).ok()?;
            Some(Zeroizing::new(text.to_owned()))
        });
        let Some(text) = text else {
            continue;
        };
        let (base, pair) = match meaning {
            Meaning::Shared(file) => {
                found.shared.insert(file.clone(), text);
                continue;
            }
            Meaning::Own(file) => {
                found.own.insert(file.clone(), text);
                continue;
            }
            Meaning::Kubeconfig(base) => {
                (base, read_embedded(&text).map(|(_, cert, key)| (cert, key)))
            }
            Meaning::Combined(base) => (base, split_pem(&text)),
        };
        if let Some((cert, key)) = pair {
            let cert = Zeroizing::new(cert);
            found.own.insert(node_file(host, base, "crt"), cert);
            found.own.insert(node_file(host, base, "key"), key);
        }
    }
    found
}
