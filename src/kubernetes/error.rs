//! What can go wrong while rendering.

use std::path::PathBuf;

use super::origin::Origin;

/// What can go wrong in this module. None of these carries a secret: templates
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
    /// A template renders, but not to what its reader expects.
    #[error("{origin} does not render to {expected}: {reason}")]
    Rendered {
        /// Whose template it is.
        origin: Origin,
        /// Such as `valid YAML`, `a Pod`.
        expected: &'static str,
        /// What the parser says.
        reason: String,
    },
    /// A template of the operator's has the name of no built-in template.
    #[error("`{}` does not replace a built-in template", path.display())]
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
    #[error("invalid patch `{file}`: {reason}")]
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
    /// Neither the inventory nor the host says which address to advertise.
    #[error(
        "host `{host}` has no address to advertise: its `address` is a name, and it has no default route"
    )]
    NoAdvertiseAddress {
        /// The host.
        host: String,
    },
    /// Several control planes and no endpoint in front of them.
    #[error("{count} control planes need a controlPlaneEndpoint")]
    NoControlPlaneEndpoint {
        /// How many.
        count: usize,
    },
    /// No interface of the host has the address that it advertises.
    #[error("no interface of host `{host}` has the address {address}")]
    NoInterface {
        /// The host.
        host: String,
        /// The address.
        address: std::net::IpAddr,
    },
    /// The bridge pod network is IPv4 only.
    #[error("the bridge pod network needs an IPv4 podSubnet")]
    BridgeNeedsIpv4,
    /// The file of a pod network holds something else than API objects.
    #[error("invalid manifest `{}`: {reason}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A kubeconfig that we should add to can't be parsed.
    #[error("cannot merge into the kubeconfig: {reason}")]
    Kubeconfig {
        /// What is wrong with it.
        reason: String,
    },
    /// A bootstrap token is malformed.
    #[error("a bootstrap token must look like `abcdef.0123456789abcdef`")]
    Token,
    /// A token's lifetime is malformed.
    #[error("bootstrap token `{id}`: invalid duration `{ttl}`")]
    TokenTtl {
        /// The token's public half.
        id: String,
        /// The lifetime as written.
        ttl: String,
    },
    /// The key for uploaded certificates is malformed.
    #[error("certificateKey must be 64 hexadecimal digits")]
    CertificateKey,
    /// The operating system's random number generator failed.
    #[error("cannot read random numbers from the operating system")]
    Random,
    /// The operator's containerd configuration can't be written as TOML.
    #[error("cannot write containerd's configuration for host `{host}`: {reason}")]
    Containerd {
        /// The host.
        host: String,
        /// Why.
        reason: String,
    },
    /// A tree can't be written as YAML. Not seen so far, but serializers may fail.
    #[error("cannot write YAML: {0}")]
    Yaml(String),
}

impl KubernetesError {
    /// What to do next, where there is something.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            KubernetesError::Template { origin, .. } | KubernetesError::Rendered { origin, .. } => {
                match (origin, origin.path()) {
                    (Origin::Own { values, .. }, _) => format!("the template of a file can use {values}"),
                    (_, Some(path)) => format!("compare `{}` with the built-in template of the same name, or remove it", path.display()),
                    (_, None) => return None,
                }
            }
            KubernetesError::UnknownTemplate { .. } => {
                "name it like a built-in template, such as manifests/etcd.yaml.j2".into()
            }
            KubernetesError::NoAdvertiseAddress { .. } => {
                "set localAPIEndpoint.advertiseAddress of this host".into()
            }
            KubernetesError::NoControlPlaneEndpoint { .. } => {
                "set controlPlaneEndpoint to a name or address that reaches all of them".into()
            }
            KubernetesError::NoInterface { .. } => {
                "set localAPIEndpoint.advertiseAddress to an address that the host has".into()
            }
            KubernetesError::BridgeNeedsIpv4 => {
                "set networking.cni.type to `none` or `manifest` and install a pod network that supports IPv6".into()
            }
            KubernetesError::CertificateKey => "remove it: each upload then generates a new one".into(),
            KubernetesError::Patch { .. } => {
                "name patches target[suffix][+strategic|merge|json].{yaml,json}".into()
            }
            _ => return None,
        };
        Some(hint)
    }
}
