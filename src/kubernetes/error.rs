//! What can go wrong while rendering.

use std::path::PathBuf;

use super::templates::Origin;

/// What can go wrong in this room. None of these carries a secret: templates
/// are named, their variables never shown.
#[derive(Debug, thiserror::Error)]
pub enum KubernetesError {
    /// A template doesn't render.
    #[error("{origin} fails at line {line}: {reason}")]
    Template {
        /// Whose template it is.
        origin: Origin,
        /// Line in the template, from 1.
        line: usize,
        /// What the engine says.
        reason: String,
    },
    /// A template renders to something that isn't what its consumer reads.
    #[error("{origin} renders to something that is no {expected}: {reason}")]
    Rendered {
        /// Whose template it is.
        origin: Origin,
        /// Such as `YAML`, `static pod`.
        expected: &'static str,
        /// What the parser says.
        reason: String,
    },
    /// A template of the operator's has a name that we don't know.
    #[error("`{}` replaces none of our templates", path.display())]
    UnknownTemplate {
        /// The file.
        path: PathBuf,
    },
    /// A file of the operator's can't be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A patch is not what its name says.
    #[error("patch `{file}` is not usable: {reason}")]
    Patch {
        /// The file's name.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A patch doesn't fit what it patches.
    #[error("patch `{file}` does not apply to {target}: {reason}")]
    PatchApply {
        /// The file's name.
        file: String,
        /// What it patches, such as `kube-apiserver`.
        target: String,
        /// What is wrong.
        reason: String,
    },
    /// Nobody says which address the host's components advertise.
    #[error(
        "host `{host}` has no address to advertise: its `address` is a name, and it told no default route"
    )]
    NoAdvertiseAddress {
        /// The host.
        host: String,
    },
    /// Several control planes and no endpoint in front of them.
    #[error("the cluster has {count} control planes but no controlPlaneEndpoint")]
    NoControlPlaneEndpoint {
        /// How many.
        count: usize,
    },
    /// No interface of the host carries the address that it advertises.
    #[error("host `{host}` has no interface that carries {address}")]
    NoInterface {
        /// The host.
        host: String,
        /// The address.
        address: std::net::IpAddr,
    },
    /// The bridge pod network is IPv4 only.
    #[error("the bridge pod network needs an IPv4 podSubnet, and there is none")]
    BridgeNeedsIpv4,
    /// A kubeconfig that we should add to can't be read.
    #[error("cannot merge into this kubeconfig: {reason}")]
    Kubeconfig {
        /// What is wrong with it.
        reason: String,
    },
    /// A bootstrap token is malformed.
    #[error("a bootstrap token is not of the form [a-z0-9]{{6}}.[a-z0-9]{{16}}")]
    Token,
    /// A token's lifetime is malformed.
    #[error("bootstrap token `{id}`: `{ttl}` is no duration")]
    TokenTtl {
        /// The token's public half.
        id: String,
        /// The lifetime as written.
        ttl: String,
    },
    /// The key for uploaded certificates is malformed.
    #[error("certificateKey is not 64 hexadecimal digits")]
    CertificateKey,
    /// The operating system gives no random numbers.
    #[error("the operating system gives no random numbers")]
    Random,
    /// The operator's containerd configuration can't be written as TOML.
    #[error("containerd's configuration for host `{host}` cannot be written: {reason}")]
    Containerd {
        /// The host.
        host: String,
        /// Why.
        reason: String,
    },
    /// A tree can't be written as YAML. Not seen, but serialisers may fail.
    #[error("cannot write YAML: {0}")]
    Yaml(String),
}

impl KubernetesError {
    /// What to do next, where there is something.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            KubernetesError::Template { origin, .. } | KubernetesError::Rendered { origin, .. } => {
                match (origin, origin.path()) {
                    (Origin::Own { values, .. }, _) => format!("a file's template may use {values}"),
                    (_, Some(path)) => format!("compare `{}` with ours of the same name, or move it away", path.display()),
                    (_, None) => return None,
                }
            }
            KubernetesError::UnknownTemplate { .. } => {
                "give it the name of one of ours, such as manifests/etcd.yaml.j2".into()
            }
            KubernetesError::NoAdvertiseAddress { .. } => {
                "set localAPIEndpoint.advertiseAddress of this host".into()
            }
            KubernetesError::NoControlPlaneEndpoint { .. } => {
                "set controlPlaneEndpoint to a name or address that leads to all of them".into()
            }
            KubernetesError::NoInterface { .. } => {
                "set localAPIEndpoint.advertiseAddress to an address that the host has".into()
            }
            KubernetesError::BridgeNeedsIpv4 => {
                "set networking.cni.type to `none` or `manifest` and bring a pod network that knows IPv6".into()
            }
            KubernetesError::CertificateKey => "leave it out: each upload then makes a new one".into(),
            KubernetesError::Patch { .. } => {
                "patches are named target[suffix][+strategic|merge|json].{yaml,json}".into()
            }
            _ => return None,
        };
        Some(hint)
    }
}
